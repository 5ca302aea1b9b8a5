"""An encoder that counts of characters and words beat."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import worse

LINEAR = ("tfidf_logit", "tfidf_svm")
CHECK = Check("TRU103", "worse than the linear baseline", "warning", ("titles",), against=LINEAR)


def check(run: CheckInput) -> CheckResult:
    """A difference to the better of the linear baselines that lies below 0 with its interval."""
    return worse(CHECK, run, run.difference(*LINEAR), "a linear model of n-grams")
