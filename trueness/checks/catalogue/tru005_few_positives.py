"""Too few positives to tell recalls apart."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers

FEW = Limit("few_positives", 100, "measured positives that are enough")
CHECK = Check("TRU005", "few positives", "note", ("binary",), (FEW,))


def check(run: CheckInput) -> CheckResult:
    """Fewer positives than are enough."""
    y = run.measured.y
    positives = int(y.sum())
    if positives >= run.limit(FEW):
        return CHECK.clean()
    error = 0.5 / max(1, positives) ** 0.5
    return CHECK.finding(
        f"{numbers.plural(positives, 'positive')} among {run.count(len(y))}; a recall is known to "
        f"about ±{numbers.percent(error)} %",
        positives=positives, days=len(y), error=error,
    )  # fmt: skip
