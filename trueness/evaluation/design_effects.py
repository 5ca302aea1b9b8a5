"""Effective sample sizes: how many independent units those that depend on each other are worth.

Volatile weeks hold many of the days that matter, so an alarm that hits is often followed by
another. Thirty such alarms say less than thirty independent ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.influence import precision_at_edge
from trueness.evaluation.intervals import exact_tails
from trueness.evaluation.long_run import Window
from trueness.evaluation.resampling import SortedScores

Array = NDArray[np.float64]
GROUPS = 20
"""Equal groups of the score, around whose shares of positives labels scatter."""


@dataclass(frozen=True)
class Dependence:
    """How much less than so many independent units dependent ones say.

    Attributes
    ----------
    effect : float
        Design effect: variance over that of independent units, at least 1.
    blocks : float
        Blocks of units that do not depend on each other; infinite for independent units.
    """

    effect: float
    blocks: float

    def effective(self, n: float, level: float) -> float:
        """Independent units that say as much at an error level, for few blocks corrected.

        The correction is that of Korn and Graubard, "Confidence intervals for proportions with
        small expected number of positive counts estimated from survey data" (1998).
        """
        if not np.isfinite(self.blocks):
            return n / self.effect
        quantile = stdtrit(max(self.blocks - 1, 1.0), 1 - level)
        return float(n / self.effect * (ndtri(1 - level) / quantile) ** 2)

    def bounds(self, k: float, n: float, tail: float) -> tuple[float, float]:
        """Interval of a proportion of k of n: exact, of the effective number of units.

        Each end is missed with about the probability `tail`.

        Examples
        --------
        >>> low, high = Dependence(2.0, 50.0).bounds(18, 30, 0.025)
        >>> round(low, 2), round(high, 2)
        (0.32, 0.84)
        """
        if not n:
            return 0.0, 1.0
        size = self.effective(n, tail)
        low, high = exact_tails(np.array(k / n * size), np.array(size), tail)
        return float(low), float(high)

    def further(self, n: int, independent: int, level: float) -> int:
        """Units beyond those there are, until they are worth so many independent ones.

        Further units are taken to depend on each other as these do, in as many more blocks.
        """

        def worth(total: int) -> float:
            return replace(self, blocks=self.blocks * total / n).effective(total, level)

        low = high = n
        while worth(high) < independent:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if worth(middle) < independent else (low, middle)
        return max(1, high - n)


INDEPENDENT = Dependence(1.0, np.inf)


@dataclass(frozen=True)
class Residuals:
    """How labels depend on each other beyond what one model's scores say, from all units.

    Thirty alarms cannot tell how much their hits depend on each other, but the labels of all units
    can: they scatter around the share of positives of units with a similar score. How far what is
    left of neighbouring units correlates, and at which distances the alarms lie, is how much hits
    depend on each other.

    Attributes
    ----------
    blocks : Blocks
    window : Window
    correlation : (width + 1,) float64
        Of two units whose times lie so many items apart, weighted by the window.
    """

    blocks: Blocks
    window: Window
    correlation: Array

    @classmethod
    def of(cls, ranked: SortedScores, blocks: Blocks) -> Residuals:
        """Of the labels and scores of one model."""
        n = len(ranked.y)
        group = np.empty(n, np.int64)
        group[ranked.order] = np.arange(n) * GROUPS // n
        share = np.bincount(group, ranked.y) / np.maximum(np.bincount(group), 1)
        return cls.around(ranked.y - share[group], blocks)

    @classmethod
    def around(cls, rest: Array, blocks: Blocks) -> Residuals:
        """Of labels minus what is expected of each, (n,)."""
        window, n = Window.of(blocks), len(rest)
        pairs = _pairs(blocks.totals(np.ones(n)), window, n)
        products = _pairs(blocks.totals(rest), window, float(np.square(rest).sum()))
        variance = max(float(np.square(rest).mean()), 1e-300)
        each = np.divide(products, pairs, out=np.zeros_like(products), where=pairs > 0)
        return cls(blocks, window, window.lags * (each / variance + 1 / n))

    def of_alarms(self, ranked: SortedScores, count: int, *, by_rank: bool) -> Dependence:
        """Design effect of the hits of the highest scores, so many of them.

        Parameters
        ----------
        ranked : SortedScores
        count : int
        by_rank : bool
            Whether the cut follows the number of alarms: another sample would have cut elsewhere,
            and its precision varies with it.

        Returns
        -------
        Dependence
        """
        if (self.blocks.alone and not by_rank) or not count:
            return INDEPENDENT
        alarm = np.zeros(len(ranked.y))
        alarm[ranked.order[:count]] = 1.0
        sums = self.blocks.totals(alarm)
        effect = self._effect(sums, count)
        if by_rank:
            effect += self._of_cut(ranked, count, sums)
        return Dependence(max(1.0, effect), self._independent)

    def effect(self, among: NDArray[np.bool_]) -> float:
        """Design effect of the sum of the labels of some units (n,), at least 1."""
        count = int(among.sum())
        return max(1.0, self._effect(self.blocks.totals(among), count)) if count else 1.0

    def _effect(self, sums: Array, count: int) -> float:
        return 1 + float(_pairs(sums, self.window, count) @ self.correlation) / count

    @property
    def _independent(self) -> float:
        """Blocks; infinite if every unit is independent of every other."""
        return np.inf if self.blocks.alone else self.blocks.items / self.blocks.length

    def _of_cut(self, ranked: SortedScores, count: int, sums: Array) -> float:
        """What a cut that moves with the number of alarms adds to the design effect."""
        precision = float(ranked.y[ranked.order[:count]].mean())
        step = max(0.0, precision - precision_at_edge(ranked, count))
        share = self.blocks.totals(np.ones(len(ranked.y))) * count / len(ranked.y)
        smoothed = (precision * count + 1) / (count + 2)
        moved = step**2 * float(self.window.variance(sums - share))
        return moved / (count * smoothed * (1 - smoothed))


def _pairs(sums: Array, window: Window, itself: float) -> Array:
    """Products of two units, summed over pairs at each distance, (width + 1,).

    Both orders of a pair count; those of a unit with `itself` are taken off.
    """
    transformed = np.fft.rfft(sums, window.size)
    products = np.fft.irfft(np.square(np.abs(transformed)), window.size)[: window.width + 1]
    return np.append(products[0] - itself, 2 * products[1:])


def of_share(indicator: ArrayLike, among: ArrayLike, blocks: Blocks) -> Dependence:
    """Design effect of the share of units with an indicator among some of them.

    From the long-run variance of these units; for many of them, such as the positives of a recall.

    Parameters
    ----------
    indicator, among : (n,) bool
    blocks : Blocks

    Examples
    --------
    >>> y = np.repeat(np.random.default_rng(0).random(100) < 0.5, 10)  # ten days alike, 100 times
    >>> round(of_share(y, np.ones(1000, bool), Blocks.of(1000, length=10)).effect)
    13
    """
    hit, of = np.asarray(indicator, np.float64), np.asarray(among, np.float64)
    n = float(of.sum())
    if blocks.alone or not n:
        return INDEPENDENT
    window, k = Window.of(blocks), float((hit * of).sum())
    smoothed = (k + 1) / (n + 2)
    variance = float(window.variance(blocks.totals(of * (hit - k / n))))
    effect = variance / (n * smoothed * (1 - smoothed))
    return Dependence(max(1.0, effect), window.freedom + 1)
