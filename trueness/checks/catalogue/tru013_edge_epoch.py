"""Weights of the first epoch, or of the last one that the budget allowed."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers

SHARE = Limit("edge_share", 0.5, "proportion of folds whose best epoch lies at the edge")
CHECK = Check("TRU013", "best epoch at the edge", "note", ("binary",), (SHARE,))


def check(run: CheckInput) -> CheckResult:
    """The best epoch of many folds is the first one though more came, or the last one allowed."""
    epochs = run.epochs
    pairs, n = list(zip(epochs.best, epochs.last, strict=True)), len(epochs.best)
    first = sum(best == 1 < last for best, last in pairs)
    late = sum(best == last == epochs.budget for best, last in pairs)
    if not max(first, late) or max(first, late) < run.limit(SHARE) * n:
        return CHECK.clean()
    of = f" in {max(first, late)} of {numbers.plural(n, 'fold')}" if n > 1 else ""
    text = f"the first epoch is the best{of}: training made nothing better"
    if late >= first:
        text = (
            f"the last of {epochs.budget} epochs is the best{of}: the budget ended before the "
            "training"
        )
    return CHECK.finding(text, first=first, last=late, folds=n, budget=epochs.budget)
