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

    `y` and `score` (n,) are labels and logits of the measured part; `difference` is the AUC
    difference to the best baseline.
    """

    y: NDArray[np.uint8]
    score: NDArray[np.float64]
    estimates: dict[str, Estimate]
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
    alarms, n = e.estimates["precision_half"].n, len(e.y)
    if 0 < alarms < n:
        return None
    what = "no day" if alarms == 0 else f"all {n} days"
    return Finding("TRU002", "warning", "one class at 0.5", f"{what} reach probability 0.5")


def _no_better_than_chance(e: Evidence) -> Finding | None:
    auc = e.estimates["auc"]
    if auc.value is not None and auc.low is not None and auc.low > 0.5:
        return None
    return Finding("TRU003", "error", "no better than chance", f"AUC {auc} does not exclude 0.5")


def _no_better_than_baseline(e: Evidence) -> Finding | None:
    d = e.difference
    if d is None or (d.low is not None and d.low > 0):
        return None
    return Finding(
        "TRU004",
        "warning",
        "no better than the best baseline",
        f"AUC difference {d} does not exclude 0",
    )


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
    return [Finding(**one) for one in content]


CHECKS: dict[str, Callable[[Evidence], Finding | None]] = {
    "TRU001": _collapsed,
    "TRU002": _constant_class,
    "TRU003": _no_better_than_chance,
    "TRU004": _no_better_than_baseline,
    "TRU005": _few_positives,
    "TRU006": _double_sigmoid,
}
