"""Runs compared on the same resampled days, from stored predictions, when they are asked for.

Comparisons depend on what else the store holds, so they are no part of a run. A disposable index in
the store keeps the resampled AUC and precision of every run; each comparison is a subtraction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import StoreError
from trueness.evaluation import (
    Estimate,
    Resampled,
    auc_counts,
    class_counts,
    mean_difference,
    resampled_aucs,
    resampled_precisions,
)
from trueness.evaluation.intervals import DRAWS
from trueness.spec import Spec, bootstrap_block
from trueness.store import Problem, Run, Store

Array = NDArray[np.float64]
MOST_BLOCKS = 16
"""Blocks of days that are halved in all ways."""
Draws = dict[str, Resampled]
"""Key of a run -> its AUC on the measured days and on each resample of them."""


def without_seed(spec: Spec) -> str:
    """Seeds are replicates of one candidate."""
    return spec.model_copy(update={"seed": 42}).canonical_json()


def measured(run: Run) -> tuple[NDArray[np.uint8], Array]:
    """Labels and logits of the measured part of a run, in time order."""
    part = run.spec.evaluation.measured_on
    rows = run.predictions().filter(pl.col("split") == part).sort("when", maintain_order=True)
    return rows["y"].to_numpy(), rows["logit"].to_numpy().astype(np.float64)


def best_baseline(runs: list[Run]) -> Run | None:
    """Baseline with the best AUC among comparable runs."""
    baselines = [run for run in runs if run.spec.is_baseline]
    return max(baselines, key=lambda r: r.record["estimates"]["auc"]["value"] or 0.0, default=None)


@dataclass(frozen=True)
class Statistics:
    """A run on the measured days and on the same resamples of them as every other of its arena.

    AUC, precision at the largest alarm budget, and what the AUC of any half of the days needs:
    won pairs between blocks of days, (blocks, blocks), positives and negatives of each, (blocks,);
    empty if the days are too few to halve.
    """

    auc: Resampled
    precision: Resampled
    won: Array
    positives: Array
    negatives: Array


def statistics(store: Store, runs: Sequence[Run]) -> tuple[dict[str, Statistics], list[Problem]]:
    """Statistics of runs of one arena by key, from the index or the predictions.

    Runs whose predictions cannot be read have none; they are named as problems.
    """
    if not runs:
        return {}, []
    block, budget = bootstrap_block(runs[0].spec), max(runs[0].spec.evaluation.alarms)
    name, problems = f"draws-{runs[0].record['arena']}-{block}-{budget}", []
    index = store.read_index(name)
    known = {run.key: _from_index(index.get(address(run))) for run in runs}
    found = {key: one for key, one in known.items() if one is not None}
    wanted = {run.key: run for run in runs if run.key not in found}
    parts = {}
    for key, run in wanted.items():
        try:
            parts[key] = measured(run)
        except StoreError as error:
            problems.append(Problem(key, str(error)))
    if parts:
        fresh = dict(zip(parts, _computed(list(parts.values()), block, budget), strict=True))
        index |= {address(wanted[key]): one for key, one in fresh.items()}
        store.write_index(name, index)
        found |= {key: one for key, c in fresh.items() if (one := _from_index(c)) is not None}
    return found, problems


def auc_draws(store: Store, runs: Sequence[Run]) -> tuple[Draws, list[Problem]]:
    """AUC of runs of one arena on the same resampled days; see `statistics`."""
    found, problems = statistics(store, runs)
    return {key: one.auc for key, one in found.items()}, problems


def _computed(
    parts: Sequence[tuple[NDArray[np.uint8], Array]], block: int, budget: int
) -> list[dict[str, Any]]:
    """Statistics of labels and scores as plain types; whole numbers stay short."""
    (y, _), scores = parts[0], [score for _, score in parts]
    blocks = min(MOST_BLOCKS, len(y) // block // 2 * 2)
    classes: tuple[Any, ...] = class_counts(y, blocks) if blocks >= 4 else ((), ())
    drawn = zip(
        scores, resampled_aucs(y, scores, block=block),
        resampled_precisions(y, scores, alarms=budget, block=block), strict=True,
    )  # fmt: skip
    return [
        {
            "auc": _plain(auc),
            "precision": _plain(precision, precision.n),
            "won": [
                _short(2 * row) for row in (auc_counts(y, score, blocks) if len(classes[0]) else ())
            ],
            "classes": [_short(np.asarray(counts)) for counts in classes],
        }
        for score, auc, precision in drawn
    ]


def address(run: Run) -> str:
    """Changes with the predictions."""
    return f"{run.key}-{run.record['files']['predictions.parquet']['sha256'][:12]}"


def _plain(one: Resampled, times: int = 1) -> dict[str, Any]:
    value, *draws = _short(np.append(one.value, one.draws) * times)
    return {"value": value, "draws": draws, "n": one.n, "blocks": one.blocks}


def _short(numbers: Array) -> list[float | int | None]:
    """Whole numbers without a point, None for NaN."""
    return [
        None if x != x else int(x) if float(x).is_integer() else x
        for x in numbers.round(12).tolist()
    ]


def _from_index(content: dict[str, Any] | None) -> Statistics | None:
    """None if there is nothing, or it is damaged."""
    if content is None:
        return None
    try:
        won, (positives, negatives) = content["won"], content["classes"]
        return Statistics(
            _resampled(content["auc"]),
            _resampled(content["precision"], content["precision"]["n"]),
            np.array(won, np.float64) / 2,
            np.array(positives, np.float64),
            np.array(negatives, np.float64),
        )
    except (KeyError, IndexError, TypeError, ValueError):
        return None


def _resampled(content: dict[str, Any], times: int = 1) -> Resampled:
    value, draws = (np.array(content[name], np.float64) / times for name in ("value", "draws"))
    whole = all(isinstance(content[name], int) for name in ("n", "blocks"))
    if value.ndim or draws.shape != (DRAWS,) or not whole:
        raise ValueError("damaged")
    return Resampled(float(value), draws, content["n"], content["blocks"])


def differences(draws: Draws, runs: Sequence[Run], reference: Run) -> dict[str, Estimate]:
    """AUC of each run minus that of the reference on the same days, by key."""
    if reference.key not in draws:
        return {}
    confidence = reference.spec.evaluation.confidence_pct / 100
    return {
        run.key: mean_difference([draws[run.key]], [draws[reference.key]]).estimate(confidence)
        for run in runs
        if run.key in draws and run.key != reference.key
    }
