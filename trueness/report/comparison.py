"""Differences to the best baseline, computed from stored predictions when they are asked for.

They depend on which baselines the store holds, so they are no part of a run. A disposable index in
the store keeps those that were computed before.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import StoreError
from trueness.evaluation import Estimate, paired_auc_differences
from trueness.spec import bootstrap_block
from trueness.store import Problem, Run, Store


def measured(run: Run) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Labels and logits of the measured part of a run, in time order."""
    part = run.spec.evaluation.measured_on
    rows = run.predictions().filter(pl.col("split") == part).sort("when", maintain_order=True)
    return rows["y"].to_numpy(), rows["logit"].to_numpy().astype(np.float64)


def best_baseline(runs: list[Run]) -> Run | None:
    """Baseline with the best AUC among comparable runs."""
    baselines = [run for run in runs if run.spec.is_baseline]
    return max(baselines, key=lambda r: r.record["estimates"]["auc"]["value"] or 0.0, default=None)


def differences(
    store: Store, runs: list[Run], reference: Run
) -> tuple[dict[str, Estimate], list[Problem]]:
    """AUC of each run minus that of the reference on the same days, by key.

    Runs whose predictions cannot be read have none; they are named as problems.
    """
    problems: list[Problem] = []
    name = f"auc-minus-{reference.key}"
    known = {key: Estimate.from_dict(e) for key, e in store.read_index(name).items()}
    wanted = [run for run in runs if run.key != reference.key and run.key not in known]
    if wanted:
        known |= _computed(wanted, reference, problems)
        store.write_index(name, {key: estimate.to_dict() for key, estimate in known.items()})
    return {run.key: known[run.key] for run in runs if run.key in known}, problems


def _computed(runs: list[Run], reference: Run, problems: list[Problem]) -> dict[str, Estimate]:
    parts = {}
    for run in (reference, *runs):
        try:
            parts[run.key] = measured(run)
        except StoreError as error:
            problems.append(Problem(run.key, str(error)))
    if reference.key not in parts:
        return {}
    y, against = parts.pop(reference.key)
    rule = reference.spec.evaluation
    found = paired_auc_differences(
        y,
        [score for _, score in parts.values()],
        against,
        block=bootstrap_block(reference.spec),
        confidence=rule.confidence_pct / 100,
    )
    return dict(zip(parts, found, strict=True))
