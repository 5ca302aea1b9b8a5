"""Numbered diagnoses of one run, each with its evidence.

`trueness explain TRU001` prints the page of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trueness.evaluation.intervals import Estimate

COLLAPSED_WIDTH = 0.2
FEW_POSITIVES = 100


@dataclass(frozen=True)
class Finding:
    """A check that fired.

    `severity` is "error", "warning" or "note"; `evidence` holds the numbers that made it fire.
    """

    code: str
    severity: str
    title: str
    evidence: str

    def to_dict(self) -> dict[str, str]:
        """Plain types for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """What a check may look at.

    `y`, `score` and `fold` (n,) are labels, logits and folds of the measured part; `difference` is
    the AUC difference to the best baseline, where there is one to compare with.
    """

    y: NDArray[np.uint8]
    score: NDArray[np.float64]
    estimates: dict[str, Estimate]
    fold: NDArray[np.int64] | None = None
    difference: Estimate | None = None


def _collapsed(e: Evidence) -> Finding | None:
    prob = expit(e.score)
    width = float(prob.max() - prob.min())
    if width >= COLLAPSED_WIDTH:
        return None
    span = f"{width:.3f} ({prob.min():.3f} to {prob.max():.3f})"
    return Finding(
        "TRU001",
        "error",
        "collapsed scores",
        f"probabilities span {span}, below {COLLAPSED_WIDTH}",
    )


def _constant_class(e: Evidence) -> Finding | None:
    """No alarm at all, or a fold that alarms every day."""
    alarm, fold = e.score >= 0, np.zeros(len(e.y)) if e.fold is None else e.fold
    always = [f for f in np.unique(fold) if alarm[fold == f].all()]
    if alarm.any() and not always:
        return None
    what = "no day reaches probability 0.5"
    if always:
        days = int(np.isin(fold, always).sum())
        where = "" if len(np.unique(fold)) == 1 else f" of {len(always)} of the folds"
        what = f"all {days} days{where} reach probability 0.5"
    return Finding("TRU002", "warning", "one class at 0.5", what)


def _no_better_than_chance(e: Evidence) -> Finding | None:
    auc = e.estimates["auc"]
    if auc.value is not None and auc.low is not None and auc.low > 0.5:
        return None
    return Finding("TRU003", "error", "no better than chance", f"AUC {auc} does not exclude 0.5")


def no_better_than_baseline(difference: Estimate) -> Finding | None:
    """TRU004, for an AUC difference to the best baseline."""
    if difference.low is not None and difference.low > 0:
        return None
    return Finding(
        "TRU004",
        "warning",
        "no better than the best baseline",
        f"AUC difference {difference} does not exclude 0",
    )


def _no_better_than_baseline(e: Evidence) -> Finding | None:
    return None if e.difference is None else no_better_than_baseline(e.difference)


def _few_positives(e: Evidence) -> Finding | None:
    positives = int(e.y.sum())
    if positives >= FEW_POSITIVES:
        return None
    error = 0.5 / max(1, positives) ** 0.5
    return Finding(
        "TRU005",
        "warning",
        "few positives",
        f"{positives} positives among {len(e.y)} days; a recall is known to about +-{error:.0%}",
    )


def _double_sigmoid(e: Evidence) -> Finding | None:
    prob = expit(e.score)
    if not (prob.min() >= 0.5 and prob.max() <= expit(1.0) + 1e-9 and prob.max() > prob.min()):
        return None
    return Finding(
        "TRU006",
        "error",
        "double sigmoid",
        f"all probabilities lie in [{prob.min():.3f}, {prob.max():.3f}], "
        "inside sigmoid([0, 1]) = [0.5, 0.731]",
    )


def run_checks(evidence: Evidence) -> list[Finding]:
    """Findings of all checks, in the order of their codes."""
    found = (check(evidence) for check in CHECKS.values())
    return [finding for finding in found if finding is not None]


def findings_from(content: list[dict[str, Any]]) -> list[Finding]:
    """Back from the dictionaries of a record."""
    names = ("code", "severity", "title", "evidence")
    return [Finding(*(str(one[name]) for name in names)) for one in content]


CHECKS: dict[str, Callable[[Evidence], Finding | None]] = {
    "TRU001": _collapsed,
    "TRU002": _constant_class,
    "TRU003": _no_better_than_chance,
    "TRU004": _no_better_than_baseline,
    "TRU005": _few_positives,
    "TRU006": _double_sigmoid,
}
