"""A network that loses what one of its columns knows."""

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import difference_of

CHECK = Check("TRU009", "worse than one feature", "error", ("binary",), against=("one_feature",))


def check(run: CheckInput) -> CheckResult:
    """A difference to the one-feature baseline that lies below 0 with all of its interval."""
    found = run.difference("one_feature")
    if found.high is None:
        raise Missing("the difference has no interval")
    if found.high >= 0:
        return CHECK.clean()
    return CHECK.finding(
        f"{difference_of(run, found)} to the best single one of the same columns lies below 0",
        difference=found.value, low=found.low, high=found.high,
    )  # fmt: skip
