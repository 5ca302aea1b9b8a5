"""Base rates of training and measured part that differ by more than chance."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from trueness.checks.inputs import CheckInput, Missing, block_of
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.predictions import Predictions

RATIO = Limit("drift_ratio", 1.25, "ratio of the two base rates from which a drift matters")
CHECK = Check("TRU008", "base-rate drift", "note", ("binary",), (RATIO,))


def check(run: CheckInput) -> CheckResult:
    """A fold whose two shares of positives differ, the number of folds corrected (Bonferroni).

    The variance of either share is that of its blocks, never less than for independent units; the
    critical value is Student's.
    """
    pairs = _pairs(run)
    tail, found = (1 - run.rule.confidence) / 2 / len(pairs), []
    for before, now in pairs:
        z = _z(before, now, run.rule.block)
        one, other = sorted((float(before.y.mean()), float(now.y.mean())))
        blocks = now.blocks(run.rule.block)
        apart = abs(z) > stdtrit(blocks.items // blocks.length - 1, 1 - tail)
        if apart and other > one and other >= run.limit(RATIO) * one:
            found.append((z, before, now))
    if not found:
        return CHECK.clean()
    z, before, now = max(found, key=lambda one: abs(one[0]))
    where = f" (the strongest of {len(found)} of {len(pairs)} folds)" if len(pairs) > 1 else ""
    rates = [numbers.percent(float(part.y.mean())) for part in (before, now)]
    return CHECK.finding(
        f"{rates[0]} % of {numbers.count(len(before))} training {run.units} are positive and "
        f"{rates[1]} % of {numbers.count(len(now))} measured ones{where}; "
        f"z = {numbers.decimal(z, 1)} over blocks of {run.rule.block}",
        training=before.y.mean(), measured=now.y.mean(), z=z, folds=len(found),
    )  # fmt: skip


def _pairs(run: CheckInput) -> list[tuple[Predictions, Predictions]]:
    """Training and measured part of each fold that has enough blocks of both."""
    train, part = run.training, run.measured
    pairs = [(train.only(train.fold == f), part.only(part.fold == f)) for f in np.unique(part.fold)]
    pairs = [p for p in pairs if not any(one.blocks(run.rule.block).few for one in p)]
    if not pairs:
        raise Missing("no fold has five blocks of both parts")
    return pairs


def _z(before: Predictions, now: Predictions, block: int) -> float:
    """Difference of two shares over its standard error; 0 if neither varies."""
    pooled = float(np.concatenate([before.y, now.y]).mean())
    variance = sum(
        share_variance(part.y, block_of(part.blocks(block)), pooled) for part in (before, now)
    )
    return 0.0 if variance == 0 else float((now.y.mean() - before.y.mean()) / variance**0.5)


def share_variance(y: NDArray[np.integer], block: NDArray[np.int64], pooled: float) -> float:
    """Squared standard error of a share from the sums of its blocks, at least the binomial one.

    Parameters
    ----------
    y, block : (n,)
        Labels 0 and 1, and the block of each, from 0.
    pooled : float
        Share that the binomial variance is taken at.

    Examples
    --------
    >>> alike = share_variance(np.repeat([0, 1], 50), np.arange(100) // 10, 0.5)
    >>> mixed = share_variance(np.tile([0, 1], 50), np.arange(100) // 10, 0.5)
    >>> round(alike, 4), round(mixed, 4)
    (0.0278, 0.0025)
    """
    excess = np.bincount(block, y - y.mean())
    clusters = len(excess) / (len(excess) - 1) * float((excess**2).sum()) / len(y) ** 2
    return max(clusters, pooled * (1 - pooled) / len(y))
