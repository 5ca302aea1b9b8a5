"""A probability of one half that raises no alarm, or nothing but alarms."""

import numpy as np

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.document import numbers

CHECK = Check("TRU002", "one class at 0.5", "note", ("binary",))


def check(run: CheckInput) -> CheckResult:
    """No alarm at all, or a fold that alarms at every unit."""
    alarm, fold = run.probabilities >= 0.5, run.measured.fold
    folds = np.unique(fold)
    always = [f for f in folds if alarm[fold == f].all()]
    if alarm.any() and not always:
        return CHECK.clean()
    what, n = f"none of the {run.units} reaches probability 0.5", 0
    if always:
        n = int(np.isin(fold, always).sum())
        where = "" if len(folds) == 1 else f" of {numbers.plural(len(always), 'fold')}"
        what = f"all {numbers.count(n)} {run.units}{where} reach probability 0.5"
    return CHECK.finding(what, alarms=int(alarm.sum()), days=len(alarm), days_that_always_alarm=n)
