"""A probability of one half that raises no alarm where it should, or nothing but alarms."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from trueness.checks.inputs import CheckInput, long_run_variance
from trueness.checks.results import Check, CheckResult
from trueness.document import numbers

CHECK = Check("TRU002", "one class at 0.5", "warning", ("binary",), version=2)


def check(run: CheckInput) -> CheckResult:
    """A fold of nothing but alarms whose base rate is below 0.5, or no alarm and a high precision.

    Where calibrated probabilities are all below 0.5, no precision is above it; where all are above,
    the base rate is. Either bound is one-sided and takes account of days that depend on each other.
    """
    alarm, part = run.probabilities >= 0.5, run.measured
    folds = [part.fold == f for f in np.unique(part.fold)]
    always = [rows for rows in folds if alarm[rows].all()]
    if always:
        rows = np.logical_or.reduce(always)
        return _nothing_else(run, rows, len(always) if len(folds) > 1 else 0)
    best = run.estimates.get(f"precision@{run.rule.budget}")
    if alarm.any() or best is None or best.low is None or best.low <= 0.5:
        return CHECK.clean()
    return CHECK.finding(
        f"none of the {run.units} reaches probability 0.5, but {best} of the highest "
        f"{numbers.count(best.n)} are positive",
        alarms=0, days=len(alarm), days_that_always_alarm=0,
    )  # fmt: skip


def _nothing_else(run: CheckInput, rows: NDArray[np.bool_], folds: int) -> CheckResult:
    """What to say of units that all are alarms, in so many folds of several."""
    part, n = run.measured.only(rows), int(rows.sum())
    rate = float(part.y.mean())
    variance, freedom = long_run_variance(part.y, part.blocks(run.rule.block))
    if rate + stdtrit(freedom, (1 + run.rule.confidence) / 2) * variance**0.5 / n >= 0.5:
        return CHECK.clean()
    where = f" of {numbers.plural(folds, 'fold')}" if folds else ""
    return CHECK.finding(
        f"all {numbers.count(n)} {run.units}{where} reach probability 0.5, {numbers.percent(rate)} "
        "% of them are positive",
        alarms=int((run.probabilities >= 0.5).sum()), days=len(rows), days_that_always_alarm=n,
    )  # fmt: skip
