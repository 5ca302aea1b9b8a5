"""An encoder that counts of characters and words may match."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import above, difference_of, where

LINEAR = ("tfidf_logit", "tfidf_svm")
CHECK = Check(
    "TRU103", "no better than the linear baseline", "warning", ("titles",), against=LINEAR
)


def check(run: CheckInput) -> CheckResult:
    """A difference to the better of the linear baselines whose interval is not above 0."""
    found = run.difference(*LINEAR)
    if above(found, 0.0):
        return CHECK.clean()
    return CHECK.finding(
        f"{difference_of(run, found)} to a linear model of n-grams {where(found, 0.0)}",
        difference=found.value, low=found.low, high=found.high,
    )  # fmt: skip
