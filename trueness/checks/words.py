"""Comparisons of estimates with a bound, and their words, shared by several checks."""

import numpy as np
from numpy.typing import NDArray

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult
from trueness.document import numbers
from trueness.evaluation.intervals import Estimate, percentile_interval

Array = NDArray[np.float64]

HEADLINE = {"binary": "AUC", "classes": "macro-F1"}
"""What the differences to baselines are differences of."""


def above(estimate: Estimate, bound: float) -> bool:
    """Whether the whole interval lies above a bound."""
    return estimate.low is not None and estimate.low > bound


def where(estimate: Estimate, bound: float) -> str:
    """What an interval that is not above `bound` says of it.

    Examples
    --------
    >>> where(Estimate(0.4, 0.3, 0.45, 100), 0.5), where(Estimate(0.55, 0.48, 0.6, 100), 0.5)
    ('lies below 0.5', 'does not exclude 0.5')
    """
    below = estimate.high is not None and estimate.high < bound
    return f"lies below {bound:g}" if below else f"does not exclude {bound:g}"


def difference_of(run: CheckInput, result: Estimate) -> str:
    """A difference to a baseline with its interval."""
    return f"{HEADLINE[run.rule.kind]} difference {numbers.estimate(result, signed=True)}"


def worse(check: Check, run: CheckInput, result: Estimate, than: str) -> CheckResult:
    """A finding if a difference to a baseline lies below 0 with all of its interval.

    One that may be 0 is none: that a model was not shown to be better is said by the leaderboard,
    and a check that fired on it would fire on nearly all models that are as good.
    """
    if result.high is None:
        raise Missing("the difference has no interval")
    if result.high >= 0:
        return check.clean()
    return check.finding(
        f"{difference_of(run, result)} to {than} lies below 0",
        difference=result.value, low=result.low, high=result.high,
    )  # fmt: skip


def brier_finding(check: Check, run: CheckInput, own: Array, simple: Array) -> CheckResult:
    """A finding if squared errors are larger than those of the base rate, both (n,).

    The interval of the mean difference, in blocks of units, lies above 0.
    """
    draws = run.resampled_mean(own - simple)
    low, high = percentile_interval(draws, run.rule.confidence)
    if low is None or low <= 0:
        return check.clean()
    result = Estimate(float(np.mean(own - simple)), low, high, len(own))
    return check.finding(
        f"Brier score {own.mean():.4f}, {simple.mean():.4f} if all {run.units} get the training "
        f"base rate; difference {numbers.estimate(result, 4, signed=True)}",
        brier=own.mean(), prior=simple.mean(), difference=result.value, low=low, high=high,
    )  # fmt: skip
