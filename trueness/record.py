"""What is written down about a run: estimates, checks, environment, and every prediction."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.evaluation import (
    Estimate,
    Evidence,
    measure,
    paired_auc_difference,
    run_checks,
    score_facts,
)
from trueness.examples import PARTS, Examples
from trueness.models import parameter_count
from trueness.spec import PatchTST, Spec

HISTORY = {
    "fold": pl.Int64,
    "epoch": pl.Int64,
    "train_loss": pl.Float64,
    "val_loss": pl.Float64,
    "val_auc": pl.Float64,
}


@dataclass(frozen=True)
class Reference:
    """Best baseline on the measured days: what every network is compared to."""

    key: str
    label: str
    when: NDArray[np.datetime64]
    y: NDArray[np.uint8]
    score: NDArray[np.float64]
    auc: Estimate


def weight_count(spec: Spec, examples: Examples) -> int:
    """Trainable weights of a spec on these examples; 0 for baselines."""
    if not isinstance(spec.model, PatchTST):
        return 0
    return parameter_count(spec.model, len(examples.features), examples.context)


def measured_part(
    spec: Spec, examples: Examples, logits: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.datetime64], NDArray[np.uint8], NDArray[np.float64]]:
    """Days, labels and scores of the part that is measured, pooled over folds, in time order."""
    rows = [examples.members(spec.evaluation.measured_on, fold) for fold in range(examples.n_folds)]
    every = np.concatenate(rows)
    score = np.concatenate([logit[i] for logit, i in zip(logits, rows, strict=True)]).astype(
        np.float64
    )
    order = np.argsort(examples.when[every], kind="stable")
    return examples.when[every][order], examples.y[every][order], score[order]


def estimates_of(spec: Spec, y: NDArray[np.uint8], score: NDArray[np.float64]) -> dict[str, Any]:
    """Estimates of one set of scores, as dictionaries."""
    rule = spec.evaluation
    measured = measure(
        y, score, alarms=rule.alarms, alarm_rate_pct=rule.alarm_rate_pct,
        confidence=rule.confidence_pct / 100, block=max(rule.block_days, spec.task.horizon_days),
        chosen_on="train" if spec.is_baseline else rule.chosen_on, measured_on=rule.measured_on,
    )  # fmt: skip
    return {name: estimate.to_dict() for name, estimate in measured.items()}


def arena_of(spec: Spec, examples: Examples) -> str:
    """Digest of the measured days, labels and measures: runs with equal ones may be compared."""
    blank = [np.zeros(len(examples.y), np.float32)] * examples.n_folds
    when, y, _ = measured_part(spec, examples, blank)
    rule = spec.evaluation
    measures = f"{rule.alarms} {rule.alarm_rate_pct} {rule.confidence_pct} {rule.block_days}"
    content = when.astype(np.int64).tobytes() + y.tobytes() + measures.encode()
    return hashlib.sha256(content).hexdigest()[:12]


def make_record(
    spec: Spec,
    examples: Examples,
    logits: Sequence[NDArray[np.float32]],
    reference: Reference | None,
) -> dict[str, Any]:
    """Everything a record says that does not depend on how the scores were made.

    `logits` holds one array (N,) per fold; without a `reference` no difference is recorded.
    """
    _, y, score = measured_part(spec, examples, logits)
    estimates = estimates_of(spec, y, score)
    difference = None
    if reference is not None:
        rule = spec.evaluation
        difference = paired_auc_difference(
            y, score, reference.score, block=max(rule.block_days, spec.task.horizon_days),
            confidence=rule.confidence_pct / 100,
        )  # fmt: skip
    evidence = Evidence(
        y, score, {k: Estimate.from_dict(v) for k, v in estimates.items()}, difference
    )
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": _environment(),
        "label": spec.label(),
        "parameters": weight_count(spec, examples),
        "features": list(examples.features),
        "notes": list(examples.notes),
        "folds": [{p: list(c) for p, c in fold.items()} for fold in examples.counts()],
        "arena": arena_of(spec, examples),
        "estimates": estimates,
        "scores": score_facts(score),
        "difference": None if reference is None or difference is None
        else {"baseline": reference.key, "label": reference.label, "auc": difference.to_dict()},
        "findings": [] if spec.is_baseline else [f.to_dict() for f in run_checks(evidence)],
    }  # fmt: skip


def _environment() -> dict[str, str]:
    packages = {
        name: version(name) for name in ("trueness", "torch", "numpy", "scikit-learn", "TA-Lib")
    }
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        **packages,
    }


def predictions_table(
    examples: Examples, best: Sequence[NDArray[np.float32]], last: Sequence[NDArray[np.float32]]
) -> pl.DataFrame:
    """One row per fold and example that plays a part in it."""
    frames = []
    for fold in range(examples.n_folds):
        rows = np.flatnonzero(examples.parts[fold])
        frames.append(
            pl.DataFrame({
                "split": np.array(PARTS)[examples.parts[fold, rows]],
                "fold": np.full(len(rows), fold, np.int16),
                "when": examples.when[rows],
                "group": examples.group[rows],
                "y": examples.y[rows],
                "logit": best[fold][rows],
                "logit_last": last[fold][rows],
            })
        )  # fmt: skip
    return pl.concat(frames)
