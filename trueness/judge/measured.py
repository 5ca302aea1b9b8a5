"""What is measured of one run on its own: the part of its record that its predictions decide."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from trueness.evaluation import Estimate
from trueness.evaluation.metrics import measure, score_facts
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.spec.kinds import AnySpec

PACKAGES = ("trueness", "torch", "numpy", "scikit-learn", "TA-Lib", "tokenizers")
"""Whose versions a record keeps."""


def estimates_of(part: Predictions, rule: Estimands) -> dict[str, Estimate]:
    """Estimates of a rare event on one part, under the rules of a spec."""
    return measure(
        part.y, part.score, alarms=rule.alarms, alarm_rate_pct=rule.alarm_rate_pct,
        confidence=rule.confidence, blocks=part.blocks(rule.block), fold=part.fold,
        probabilities=rule.probabilities, input="score", chosen_on=rule.chosen_on,
        measured_on=rule.measured_on,
    )  # fmt: skip


def comparison_group(part: Predictions, rule: Estimands) -> str:
    """Digest of units, labels and measures: runs with equal ones may be compared."""
    import hashlib

    return hashlib.sha256(part.units() + repr(rule.measures).encode()).hexdigest()[:12]


def measured(spec: AnySpec, predictions: Predictions) -> dict[str, Any]:
    """What a record says about predictions, checks apart.

    It depends on nothing but the run itself: comparisons with other runs are made on reading.
    """
    rule = spec.estimands
    part = predictions.part(rule.measured_on)
    common = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(),
        "label": spec.label(),
        "comparison_group": comparison_group(part, rule),
        "units": {"n": len(part), "folds": len(np.unique(part.fold))},
    }
    if rule.kind == "classes":
        return common | _of_classes(predictions, rule)
    estimates = {name: e.to_dict() for name, e in estimates_of(part, rule).items()}
    scores = score_facts(part.score, probabilities=rule.probabilities)
    return common | {"estimates": estimates, "scores": scores}


def _of_classes(predictions: Predictions, rule: Estimands) -> dict[str, Any]:
    """Slices of every part that may be judged, and temperatures where labels are left for them."""
    from trueness.evaluation.group_calibration import fit_group_temperatures
    from trueness.judge.languages import slices_of

    parts = [name for name in rule.judged_on if predictions.has(name)]
    slices = {name: slices_of(predictions.part(name), rule, name) for name in parts}
    found = {
        "classes": list(predictions.classes),
        "estimates": {n: e.to_dict() for n, e in slices[rule.measured_on].scores.items()},
        "slices": {name: one.to_dict() for name, one in slices.items()},
    }
    if rule.chosen_on == "validation" and predictions.has("validation"):
        part = predictions.part("validation")
        groups = part.group if part.group is not None else np.full(len(part), "all")
        found["temperatures"] = fit_group_temperatures(part.y, part.scores, groups).to_dict()
    return found


def environment() -> dict[str, str]:
    """Versions that a result may depend on; packages that are not installed are left out."""
    found = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
