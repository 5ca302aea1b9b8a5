"""How much hits that come in runs are worth: design effects, and p-values of a precision.

Volatile weeks hold many of the days that matter, so an alarm that hits is often followed by
another. Thirty such alarms say less than thirty independent ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from trueness.evaluation.blocks import FEWEST_BLOCKS, Blocks
from trueness.evaluation.inputs import InputError, between
from trueness.evaluation.power import binomial_tail

Array = NDArray[np.float64]
LEVELS = (1e-12, 0.49)
"""P-values of dependent alarms beyond these are indistinguishable."""


@dataclass(frozen=True)
class Dependence:
    """How much less than so many independent alarms dependent ones say.

    Attributes
    ----------
    effect : float
        Variance of the hits over that of independent ones, at least 1.
    blocks : float
        Effective number of blocks that hold the alarms.
    """

    effect: float
    blocks: float

    def effective(self, alarms: int, level: float) -> float:
        """Independent alarms that say as much at an error level, for few blocks corrected.

        The correction is that of Korn and Graubard, "Confidence intervals for proportions with
        small expected number of positive counts estimated from survey data" (1998).
        """
        if not np.isfinite(self.blocks):
            return alarms / self.effect
        quantile = stdtrit(max(self.blocks - 1, 1.0), 1 - level)
        return float(alarms / self.effect * (ndtri(1 - level) / quantile) ** 2)

    def further(self, alarms: int, independent: int, level: float) -> int:
        """Alarms beyond those there are, until they are worth so many independent ones.

        Further alarms are taken to depend on each other as these do, in as many more blocks.
        """

        def worth(total: int) -> float:
            return replace(self, blocks=self.blocks * total / alarms).effective(total, level)

        low = high = alarms
        while worth(high) < independent:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if worth(middle) < independent else (low, middle)
        return max(1, high - alarms)


INDEPENDENT = Dependence(1.0, np.inf)


def _rolled(values: Array, length: int) -> Array:
    """Sum over every run of `length` items, the last followed by the first; (m,) -> (m,)."""
    total = np.append(0.0, np.cumsum(np.append(values, values[:length])))
    return total[length : length + len(values)] - total[: len(values)]


def _block_variance(values: Array, length: int) -> float:
    """Variance of the sum of values whose mean is 0 that depend on each other up to `length` times.

    The larger of two. The circular block bootstrap has it in closed form, with weights on the
    products of two times that fall from 1 to 0 over the block: Politis and Romano, "A circular
    block-resampling procedure for stationary data" (1992). Twice that of double blocks less that of
    single ones keeps the weight 1 up to `length` times: Politis and Romano, "Bias-corrected
    nonparametric spectral estimation" (1995). Times or clusters that are independent of each other
    need the first only.
    """
    single = np.square(_rolled(values, length)).mean() / length
    if length == 1:
        return float(len(values) * single)
    double = np.square(_rolled(values, 2 * length)).mean() / (2 * length)
    return float(len(values) * max(single, 2 * double - single))


def dependence(y_true: ArrayLike, alarm: ArrayLike, blocks: Blocks) -> Dependence:
    """Design effect of hits that come in runs, from the variance of blocks.

    One block of alarms that all miss is added to those there are: alarms that never missed would
    otherwise look independent, however few blocks they lie in.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    alarm : (n,) bool
        At least one of them set.
    blocks : Blocks
        Times over which hits depend on each other, or clusters.

    Returns
    -------
    Dependence

    Raises
    ------
    InputError
        With the code ``few`` if there are fewer than five blocks, ``no_alarms`` without any.

    Examples
    --------
    >>> y = np.repeat(np.random.default_rng(0).random(100) < 0.5, 10)  # ten days alike, 100 times
    >>> round(dependence(y, np.ones(1000, bool), Blocks.of(1000, length=10)).effect)
    9
    """
    if blocks.alone:
        return INDEPENDENT
    if blocks.few:
        raise InputError(
            f"{blocks.items} times are fewer than {FEWEST_BLOCKS} blocks of {blocks.length}: too "
            "few to tell how much hits depend on each other; take longer data", "few",
        )  # fmt: skip
    raised, hit = np.asarray(alarm, np.float64), np.asarray(y_true, np.float64)
    alarm_sums, hit_sums = blocks.totals(raised), blocks.totals(raised * hit)
    alarms, hits, length = alarm_sums.sum(), hit_sums.sum(), blocks.length
    if not alarms:
        raise InputError("no alarms; at least one is needed", "no_alarms")
    fellows = np.square(_rolled(alarm_sums, length)).mean() / length * blocks.items / alarms
    share = hits / (alarms + fellows)
    if not hits:
        return Dependence(float(fellows), float(alarms / fellows))
    variance = _block_variance(hit_sums - share * alarm_sums, length) + (fellows * share) ** 2
    effect = variance / ((alarms + fellows) * share * (1 - share))
    return Dependence(float(max(1.0, effect)), float(alarms / fellows))


def precision_p_value(k: int, n: int, precision: float, depends: Dependence = INDEPENDENT) -> float:
    """P-value of "the precision is at most p", given k hits of n alarms.

    The exact binomial tail; for dependent units the larger of it and of the tail of as many
    independent alarms as the dependent ones are worth, the smallest level at which that test
    rejects.

    Parameters
    ----------
    k, n : int
    precision : float
        In (0, 1).
    depends : Dependence

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> round(precision_p_value(24, 30, 0.6), 3)
    0.017
    >>> round(precision_p_value(24, 30, 0.6, Dependence(1.5, 12.0)), 3)
    0.07
    """
    exact = float(binomial_tail(k, n, between("precision", precision)))
    if depends == INDEPENDENT or not n:
        return exact

    def tail(level: float) -> float:
        size = depends.effective(n, level)
        return float(binomial_tail(k / n * size, size, precision))

    if k <= n * precision:
        return max(exact, tail(LEVELS[1]))
    low, high = np.log(LEVELS)
    for _ in range(35):
        middle = (low + high) / 2
        rejected = tail(float(np.exp(middle))) <= np.exp(middle)
        low, high = (low, middle) if rejected else (middle, high)
    return max(exact, float(np.exp(high)))
