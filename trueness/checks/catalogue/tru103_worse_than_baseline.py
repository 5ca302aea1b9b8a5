"""A classifier of texts that n-grams or vectors beat."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import worse

CHECK = Check("TRU103", "worse than the best baseline of texts", "warning", ("titles",),
              against=("best",))  # fmt: skip


def check(run: CheckInput) -> CheckResult:
    """A difference to the best baseline that lies below 0 with all of its interval."""
    return worse(CHECK, run, run.difference("best"), "the best baseline")
