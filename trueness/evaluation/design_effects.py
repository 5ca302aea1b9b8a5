"""Design effects: how much hits and shares of units vary that depend on each other.

Volatile weeks hold many of the days that matter, so an alarm that hits is often followed by
another. Thirty such alarms say less than thirty independent ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.evaluation.blocks import DRAWS, SETS_KEPT, Blocks
from trueness.evaluation.dependence import INDEPENDENT, Dependence
from trueness.evaluation.influence import precision_at_edge
from trueness.evaluation.long_run import Window
from trueness.evaluation.resampling import SortedScores

Array = NDArray[np.float64]
Index = NDArray[np.int64]
GROUPS = 20
"""Equal groups of the score, around whose shares of positives labels scatter."""
SMALLEST_REST = 0.25
"""Of all pairs of units, those beyond the window count as at least so many."""


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
        """Of labels minus what is expected of each, (n,).

        What is left sums to 0, so correlations come out too small by the variance of its mean.
        """
        window, n = Window.of(blocks), len(rest)
        pairs = _units(blocks, window)[1]
        products = _pairs(blocks.totals(rest), window, float(np.square(rest).sum()))
        variance = max(float(np.square(rest).mean()), 1e-300)
        each = np.divide(products, pairs, out=np.zeros_like(products), where=pairs > 0)
        correlation, weights = window.lags * each / variance, window.lags * pairs / n**2
        of_mean = (1 / n + weights @ (each / variance)) / max(1 - weights.sum(), SMALLEST_REST)
        return cls(blocks, window, correlation + window.lags * max(of_mean, 1 / n))

    def of_alarms(self, ranked: SortedScores, count: int, *, by_rank: bool) -> Dependence:
        """Design effect of the hits of the highest scores, so many of them.

        The larger of two: that of the residuals of all units is known better where alarms are few,
        the long-run variance of the hits themselves where they are many.

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
        sums, precision = self.blocks.totals(alarm), float(ranked.y[ranked.order[:count]].mean())
        smoothed = (precision * count + 1) / (count + 2)
        variance = count * smoothed * (1 - smoothed)
        effect, edge = self._effect(sums, count), precision
        if by_rank:
            edge = precision_at_edge(ranked, count)
            effect += max(0.0, precision - edge) ** 2 * self._moved(ranked, count, sums) / variance
        own = self._own(ranked, count, alarm, edge) / variance
        return Dependence(max(1.0, effect, own), self._independent)

    def noisy(self, ranked: SortedScores, count: int, draws: int = DRAWS, seed: int = 0) -> Noisy:
        """What moves the precision of the highest scores, so many of them.

        Their labels scatter as the residuals of all units depend on each other; and another sample
        would have cut elsewhere, which moves all models together whose scores follow the same
        states.

        Parameters
        ----------
        ranked : SortedScores
        count : int
            At least 1.
        draws, seed : int
            The same seed gives the same noise, so that models are paired.
        """
        raised, n = ranked.order[:count], len(ranked.y)
        precision = float(ranked.y[raised].mean())
        smoothed = (precision * count + 1) / (count + 2)
        sums = np.bincount(self.blocks.item[raised], minlength=self.blocks.items)
        together = 1.0 if self.blocks.items == self.blocks.n else max(0.0, self.correlation[0])
        spectrum = self.window.spectrum_of(np.append(together, self.correlation[1:]))
        labels = float(self.window.variance(sums, spectrum)) + (1 - together) * count
        own = np.zeros(draws)
        if together < 1:
            own = (1 - together) ** 0.5 * _own_noise(raised, draws, seed)
        lead = max(0.0, precision - precision_at_edge(ranked, count))
        moved = lead * (sums - _units(self.blocks, self.window)[0] * count / n)
        scale = (smoothed * (1 - smoothed)) ** 0.5
        variance = scale**2 * labels + float(self.window.variance(moved))
        return Noisy(
            scale * self.window.coloured(sums, spectrum), self.window.coloured(moved),
            scale * own, variance**0.5,
        )  # fmt: skip

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

    def _moved(self, ranked: SortedScores, count: int, sums: Array) -> float:
        """Variance of the number of units above a cut that expects so many."""
        share = _units(self.blocks, self.window)[0] * count / len(ranked.y)
        return float(self.window.variance(sums - share))

    def _own(self, ranked: SortedScores, count: int, alarm: Array, edge: float) -> float:
        """Long-run variance of the hits; an alarm more is one less of those at the edge."""
        hits = ranked.y * alarm
        each = hits - edge * alarm
        return float(self.window.variance(self.blocks.totals(each - each.mean())))


@dataclass(frozen=True)
class Noisy:
    """How the hits of one model move at random.

    Attributes
    ----------
    labels, cut : (size,) float32
        What two kinds of noise of times are multiplied by, see `Window.coloured`.
    own : (draws,) float64
        Noise of single units among several of a time; zeros where there is one.
    error : float
        Standard deviation of all together.
    """

    labels: NDArray[np.float32]
    cut: NDArray[np.float32]
    own: Array
    error: float


@lru_cache(maxsize=SETS_KEPT)
def _units(blocks: Blocks, window: Window) -> tuple[Array, Array]:
    """Units of each item, (items,), and pairs of units at each distance, (width + 1,)."""
    units = blocks.totals(np.ones(blocks.n))
    return units, _pairs(units, window, blocks.n)


def _own_noise(units: Index, draws: int, seed: int) -> Array:
    """Sum of the noise of single units, which are many; each has the same for every model."""
    total = np.zeros(draws)
    for unit in units.tolist():
        bits = np.random.Philox(key=seed, counter=unit << 64)
        total += np.random.Generator(bits).standard_normal(draws)
    return total


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
