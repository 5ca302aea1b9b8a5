"""A network that a baseline may match."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import above, difference_of, where

CHECK = Check(
    "TRU004", "no better than the best baseline", "warning", ("binary", "external"),
    against=("best",),
)  # fmt: skip


def check(run: CheckInput) -> CheckResult:
    """A difference to the best baseline whose interval is not above 0."""
    found = run.difference("best")
    if above(found, 0.0):
        return CHECK.clean()
    return CHECK.finding(
        f"{difference_of(run, found)} {where(found, 0.0)}",
        difference=found.value, low=found.low, high=found.high,
    )  # fmt: skip
