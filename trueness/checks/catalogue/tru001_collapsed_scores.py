"""Probabilities that are nearly the same for every unit."""

import numpy as np

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers

NEAR_MEAN = 0.02
"""Distance from the mean within which probabilities count as one heap."""
WIDTH = Limit(
    "collapsed_width", 0.2,
    "range of the probabilities, in standard deviations of the labels, that is wide enough",
)  # fmt: skip
CORE = Limit(
    "collapsed_core", 0.1,
    "range of their central 90 %, in standard deviations of the labels, that is wide enough",
)  # fmt: skip
CHECK = Check("TRU001", "collapsed scores", "error", ("binary",), (WIDTH, CORE), version=2)


def check(run: CheckInput) -> CheckResult:
    """All of the probabilities in a narrow range, or all but a few at either end.

    Labels of base rate r have the standard deviation ``sqrt(r (1 - r))``; calibrated probabilities
    of a rare event lie in a range that is narrower by as much.
    """
    prob, rate = run.probabilities, run.measured.y.mean()
    width = float(prob.max() - prob.min())
    low, high = np.quantile(prob, [0.05, 0.95])
    deviation = (rate * (1 - rate)) ** 0.5
    least = [run.limit(one) * deviation for one in (WIDTH, CORE)]
    if width >= least[0] and high - low >= least[1]:
        return CHECK.clean()
    heap = float((np.abs(prob - prob.mean()) <= NEAR_MEAN).mean())
    return CHECK.finding(
        f"probabilities span {width:.3f} ({prob.min():.3f} to {prob.max():.3f}), those of the "
        f"middle 90 % of the {run.units} {high - low:.3f}; {numbers.percent(heap)} % lie within "
        f"{NEAR_MEAN} of the mean; at least {least[0]:.3f} and {least[1]:.3f} are expected",
        width=width, core=high - low, near_mean=heap,
    )  # fmt: skip
