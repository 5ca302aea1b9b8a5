"""What is measured of one run on its own: the part of its record that its predictions decide."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from trueness.evaluation import Estimate
from trueness.evaluation.metrics import measure_many, score_facts
from trueness.evaluation.resampling import Resampled
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.spec.kinds import AnySpec

PACKAGES = (
    "trueness", "torch", "numpy", "scikit-learn", "skrub", "TA-Lib", "tokenizers", "lightgbm",
    "xgboost-cpu", "xgboost", "catboost",
)  # fmt: skip
"""Whose versions a record keeps."""


def estimates_of(part: Predictions, rule: Estimands) -> dict[str, Estimate]:
    """Estimates of a rare event on one part, under the rules of a spec."""
    (result,) = estimates_of_many([part], rule)
    return result


def estimates_of_many(
    parts: Sequence[Predictions], rule: Estimands, aucs: list[Resampled] | None = None
) -> list[dict[str, Estimate]]:
    """The same for models on the same units, which are resampled once; `aucs` gets their AUCs."""
    part = parts[0]
    return measure_many(
        part.y, [one.score for one in parts], alarms=rule.alarms, confidence=rule.confidence,
        alarm_rate_pct=rule.alarm_rate_pct, blocks=part.blocks(rule.block), fold=part.fold,
        probabilities=rule.probabilities, input="score", chosen_on=rule.chosen_on,
        measured_on=rule.measured_on, aucs=aucs,
    )  # fmt: skip


def comparison_group(part: Predictions, rule: Estimands) -> str:
    """Digest of units, labels and measures: runs with equal ones may be compared."""
    import hashlib

    return hashlib.sha256(part.units() + repr(rule.measures).encode()).hexdigest()[:12]


def measured(spec: AnySpec, predictions: Predictions) -> dict[str, Any]:
    """What a record says about predictions, checks apart.

    It depends on nothing but the run itself: comparisons with other runs are made on reading.
    """
    (result,) = measured_many([spec], [predictions])
    return result


def measured_many(
    specs: Sequence[AnySpec], predictions: Sequence[Predictions],
    aucs: list[Resampled] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """The same for models on the same units, under the rules of the first spec.

    `aucs` gets the resampled AUC of each, where the label is binary.
    """
    rule = specs[0].estimands
    parts = [one.part(rule.measured_on) for one in predictions]
    common = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "comparison_group": comparison_group(parts[0], rule),
        "units": {"n": len(parts[0]), "folds": len(np.unique(parts[0].fold))},
    }
    if rule.kind == "classes":
        own = [_of_classes(one, rule) for one in predictions]
    else:
        own = [
            {"estimates": {name: e.to_dict() for name, e in estimates.items()},
             "scores": score_facts(part.score, probabilities=rule.probabilities)}
            for part, estimates in zip(parts, estimates_of_many(parts, rule, aucs), strict=True)
        ]  # fmt: skip
    return [
        common | {"label": spec.label()} | one for spec, one in zip(specs, own, strict=True)
    ]  # fmt: skip


def _of_classes(predictions: Predictions, rule: Estimands) -> dict[str, Any]:
    """Slices of every part that may be judged, and temperatures where labels are left for them."""
    from trueness.evaluation.group_calibration import fit_group_temperatures
    from trueness.judge.languages import slices_of

    parts = [name for name in rule.judged_on if predictions.has(name)]
    slices = {name: slices_of(predictions.part(name), rule, name) for name in parts}
    result = {
        "classes": list(predictions.classes),
        "estimates": {n: e.to_dict() for n, e in slices[rule.measured_on].scores.items()},
        "slices": {name: one.to_dict() for name, one in slices.items()},
    }
    if rule.chosen_on == "validation" and predictions.has("validation"):
        part = predictions.part("validation")
        groups = part.group if part.group is not None else np.full(len(part), "all")
        result["temperatures"] = fit_group_temperatures(part.y, part.scores, groups).to_dict()
    return result


@cache
def environment() -> dict[str, str]:
    """Versions that a result may depend on; packages that are not installed are left out."""
    result = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
    }
    for name in PACKAGES:
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            continue
    return result
