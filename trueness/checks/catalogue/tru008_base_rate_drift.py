"""Base rates of training and measured part that differ by more than chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from trueness.checks.inputs import CheckInput, Missing, long_run_variance
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.predictions import Predictions

RATIO = Limit("drift_ratio", 1.25, "ratio of the two base rates from which a drift matters")
CHECK = Check("TRU008", "base-rate drift", "note", ("binary",), (RATIO,), version=2)


def check(run: CheckInput) -> CheckResult:
    """A fold whose two shares of positives differ, the number of folds corrected (Bonferroni)."""
    pairs = _pairs(run)
    tail, result = (1 - run.rule.confidence) / 2 / len(pairs), []
    for before, now in pairs:
        apart = Apart.of(before, now, run.rule.block)
        one, other = sorted((float(before.y.mean()), float(now.y.mean())))
        differs = abs(apart.t) > stdtrit(apart.freedom, 1 - tail)
        if differs and other > one and other >= run.limit(RATIO) * one:
            result.append((apart.t, before, now))
    if not result:
        return CHECK.clean()
    t, before, now = max(result, key=lambda one: abs(one[0]))
    where = f" (the strongest of {len(result)} of {len(pairs)} folds)" if len(pairs) > 1 else ""
    rates = [numbers.percent(float(part.y.mean())) for part in (before, now)]
    return CHECK.finding(
        f"{rates[0]} % of {numbers.count(len(before))} training {run.units} are positive and "
        f"{rates[1]} % of {numbers.count(len(now))} measured ones{where}; "
        f"t = {numbers.decimal(t, 1)} under serial dependence",
        training=before.y.mean(), measured=now.y.mean(), t=t, folds=len(result),
    )  # fmt: skip


def _pairs(run: CheckInput) -> list[tuple[Predictions, Predictions]]:
    """Training and measured part of each fold that has enough blocks of both."""
    train, part = run.training, run.measured
    pairs = [(train.only(train.fold == f), part.only(part.fold == f)) for f in np.unique(part.fold)]
    pairs = [p for p in pairs if not any(one.blocks(run.rule.block).few for one in p)]
    if not pairs:
        raise Missing("no fold has five blocks of both parts")
    return pairs


@dataclass(frozen=True)
class Apart:
    """Difference of two shares of positives over its standard error, and degrees of freedom."""

    t: float
    freedom: float

    @classmethod
    def of(cls, before: Predictions, now: Predictions, block: int) -> Apart:
        """Of two parts, with the long-run variance of their labels.

        A short part hides how long its labels depend on each other, so what each label adds is
        taken from both parts together, or from each by itself where that is more.
        """
        parts = (before, now)
        known = [long_run_variance(part.y, part.blocks(block)) for part in parts]
        sums, freedom = np.array(known).T
        n = np.array([len(part) for part in parts])
        variance = max((sums / n**2).sum(), sums.sum() / n.sum() * (1 / n).sum())
        difference = now.y.mean() - before.y.mean()
        return cls(float(difference / variance**0.5) if variance > 0 else 0.0, float(freedom.sum()))
