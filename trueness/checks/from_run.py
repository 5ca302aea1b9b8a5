"""Evidence of a run, from what is stored of it; the same way when it is made and ever after."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.evaluation import Days, Epochs, Estimate, Evidence, Finding, Limits, run_checks
from trueness.checks.registry import VERSION
from trueness.spec import Baseline, Spec, bootstrap_block


def judged(spec: Spec, record: dict[str, Any], predictions: pl.DataFrame) -> dict[str, Any]:
    """What a record says about checks: findings under the default limits, and their version."""
    found = diagnose(spec, record, predictions)
    return {"findings": [f.to_dict() for f in found], "checks": VERSION}


def diagnose(
    spec: Spec, record: dict[str, Any], predictions: pl.DataFrame, limits: Limits | None = None
) -> list[Finding]:
    """Findings of a run that do not depend on other runs; baselines have none."""
    if spec.is_baseline:
        return []
    return run_checks(evidence_of(spec, record, predictions, limits))


def evidence_of(
    spec: Spec, record: dict[str, Any], predictions: pl.DataFrame, limits: Limits | None = None
) -> Evidence:
    """Everything that a record and its predictions tell the checks; older ones tell less."""
    part, known = spec.evaluation.measured_on, predictions.columns
    every = predictions if "fold" in known else predictions.with_columns(fold=pl.lit(0))
    measured = every.filter(pl.col("split") == part).sort("when", maintain_order=True)
    train = every.filter(pl.col("split") == "train").sort("fold", "when", maintain_order=True)
    return Evidence(
        y=measured["y"].to_numpy(),
        score=_scores(measured),
        estimates={n: Estimate.from_dict(e) for n, e in record["estimates"].items()},
        fold=measured["fold"].to_numpy().astype(np.int64),
        when=measured["when"].to_numpy(),
        mirror=measured["y_mirror"].to_numpy() if "y_mirror" in known else None,
        block=bootstrap_block(spec),
        budget=max(spec.evaluation.alarms, default=None),
        train=_days(train) if len(train) else None,
        epochs=_epochs(spec, record),
        incidents=tuple(record.get("incidents", ())),
        horizon_days=spec.task.horizon_days,
        confidence=spec.evaluation.confidence_pct / 100,
        limits=limits or Limits(),
    )


def _scores(table: pl.DataFrame) -> NDArray[np.float64]:
    return table["logit"].to_numpy().astype(np.float64)


def _days(table: pl.DataFrame) -> Days:
    fold = table["fold"].to_numpy().astype(np.int64)
    return Days(table["y"].to_numpy(), _scores(table), fold, table["when"].to_numpy())


def _epochs(spec: Spec, record: dict[str, Any]) -> Epochs | None:
    if isinstance(spec.model, Baseline) or "best_epochs" not in record:
        return None
    return Epochs(tuple(record["best_epochs"]), tuple(record["last_epochs"]), spec.recipe.epochs)
