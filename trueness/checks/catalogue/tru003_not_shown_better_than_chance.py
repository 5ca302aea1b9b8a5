"""A ranking that may be chance."""

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import above, where

CHECK = Check("TRU003", "not shown to be better than chance", "warning", ("binary",))


def check(run: CheckInput) -> CheckResult:
    """An AUC whose interval is not above 0.5."""
    auc = run.estimates["auc"]
    if auc.value is None or auc.low is None:
        raise Missing("the AUC has no interval")
    if above(auc, 0.5):
        return CHECK.clean()
    return CHECK.finding(f"AUC {auc} {where(auc, 0.5)}", auc=auc.value, low=auc.low, high=auc.high)
