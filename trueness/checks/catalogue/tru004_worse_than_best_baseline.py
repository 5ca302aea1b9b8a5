"""A network that a baseline beats."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import worse

CHECK = Check(
    "TRU004", "worse than the best baseline", "warning", ("binary", "external"), against=("best",)
)


def check(run: CheckInput) -> CheckResult:
    """A difference to the best baseline that lies below 0 with all of its interval."""
    return worse(CHECK, run, run.difference("best"), "the best baseline")
