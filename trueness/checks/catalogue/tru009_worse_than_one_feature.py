"""A network that loses what one of its columns knows."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import worse

CHECK = Check("TRU009", "worse than one feature", "error", ("binary",), against=("one_feature",))


def check(run: CheckInput) -> CheckResult:
    """A difference to the one-feature baseline that lies below 0 with all of its interval."""
    return worse(CHECK, run, run.difference("one_feature"), "the best single one of its columns")
