"""A precision of one, two, … alarms."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit

FEW = Limit("few_alarms", 5, "alarms that are enough for a precision")
CHECK = Check("TRU012", "precision from too few alarms", "warning", ("binary",), (FEW,))


def check(run: CheckInput) -> CheckResult:
    """At least one alarm but too few, at probability 0.5 or at the alarm rate."""
    cuts = {
        "half": ("0.5", "at probability 0.5"),
        "rate": (run.rule.rate_name, "at the alarm rate"),
    }
    found = {}
    for name, (cut, where) in cuts.items():
        precision = run.estimates.get(f"precision@{cut}")
        if precision is not None and 0 < precision.n < run.limit(FEW):
            found[name] = (where, precision)
    if not found:
        return CHECK.clean()
    told = "; ".join(f"{where} {precision}" for where, precision in found.values())
    return CHECK.finding(
        f"{told}: fewer than {run.limit(FEW):g} alarms",
        **{f"alarms_{name}": precision.n for name, (_, precision) in found.items()},
    )
