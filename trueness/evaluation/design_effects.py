"""Design effects: how much hits and shares of units vary that depend on each other.

Volatile weeks hold many of the days that matter, so an alarm that hits is often followed by
another. Thirty such alarms say less than thirty independent ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.evaluation.blocks import DRAWS, SETS_KEPT, Blocks
from trueness.evaluation.dependence import INDEPENDENT, Dependence
from trueness.evaluation.influence import precision_at_edge
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.long_run import Window
from trueness.evaluation.resampling import SortedScores

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Transformed = NDArray[np.complex128]
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
        sums = window.transform(blocks.totals(rest))
        products = _pairs(sums, window, float(np.square(rest).sum()))
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
        if self.blocks.few:
            return Dependence(count, 1.0)
        alarms, window = _Alarms.of(self, ranked, count), self.window
        edge = alarms.edge if by_rank else alarms.precision
        variance, effect = count * alarms.variance, self.of_sums(alarms.sums, count)
        if by_rank:
            effect += float(window.of_products(alarms.moved, window.spectrum)) / variance
        own = float(window.of_products(alarms.apart(edge), window.spectrum)) / variance
        return Dependence(max(1.0, effect, own), self.independent)

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
        alarms, window = _Alarms.of(self, ranked, count), self.window
        together = 1.0 if self.blocks.items == self.blocks.n else self.correlation[0].clip(0, 1)
        spectrum = np.maximum(self.spectrum + together - self.correlation[0], 0)
        labels = float(window.of_products(alarms.sums, spectrum)) + (1 - together) * count
        own = np.zeros(draws)
        if together < 1:
            own = (1 - together) ** 0.5 * _own_noise(ranked.order[:count], draws, seed)
        scale, moved = alarms.variance**0.5, alarms.moved
        variance = alarms.variance * labels + float(window.of_products(moved, window.spectrum))
        return Noisy(
            scale * window.coloured(alarms.sums, spectrum), window.coloured(moved),
            scale * own, variance**0.5,
        )  # fmt: skip

    def effect(self, mask: NDArray[np.bool_]) -> float:
        """Design effect of the sum of the labels of some units (n,), at least 1."""
        count = int(mask.sum())
        if not count or self.blocks.few:
            return float(max(count, 1))
        return max(1.0, self.of_sums(self.window.transform(self.blocks.totals(mask)), count))

    def share(self, y: ArrayLike, mask: NDArray[np.bool_], confidence: float = 0.95) -> Estimate:
        """Share of positives among some units (n,), such as the alarms of a year."""
        k, n = int(np.asarray(y)[mask].sum()), int(mask.sum())
        return Dependence(self.effect(mask), self.independent).estimate(k, n, confidence)

    def of_sums(self, transformed: Transformed, count: int) -> float:
        """Design effect of so many units from their sums by time, transformed."""
        pairs = float(self.window.of_products(transformed, self.spectrum))
        return 1 + pairs / count - float(self.correlation[0])

    def of_weights(self, weights: Array) -> float:
        """Variance of a weighted sum of units (n,), over that of one; as if independent at least.

        Where blocks are too few, all units are worth one.
        """
        independent = float(np.square(weights).sum())
        if self.blocks.few:
            return float(np.square(np.abs(weights).sum()))
        sums = self.window.transform(self.blocks.totals(weights))
        pairs = float(self.window.of_products(sums, self.spectrum))
        return max(independent, independent * (1 - float(self.correlation[0])) + pairs)

    @cached_property
    def spectrum(self) -> Array:
        """Of the correlation, (size // 2 + 1,)."""
        return self.window.spectrum_of(self.correlation)

    @property
    def independent(self) -> float:
        """Blocks; infinite if every unit is independent of every other, 1 if they are too few."""
        if self.blocks.few:
            return 1.0
        return np.inf if self.blocks.alone else self.blocks.items / self.blocks.length


@dataclass(frozen=True)
class _Alarms:
    """The highest scores of one model, and their hits.

    Attributes
    ----------
    count : int
    precision, edge : float
        Share of hits among the alarms, and among the units around the cut.
    sums, hits, units : (size // 2 + 1,) complex128
        Transformed: alarms by time, their hits, and one alarm spread over all units.
    """

    count: int
    precision: float
    edge: float
    sums: Transformed
    hits: Transformed
    units: Transformed

    @classmethod
    def of(cls, residuals: Residuals, ranked: SortedScores, count: int) -> _Alarms:
        blocks, window, raised = residuals.blocks, residuals.window, ranked.order[:count]
        item, hit = blocks.item[raised], ranked.y[raised]
        return cls(
            count, float(hit.mean()), precision_at_edge(ranked, count),
            window.transform(np.bincount(item, minlength=blocks.items)),
            window.transform(np.bincount(item, hit, blocks.items)),
            _units(blocks, window)[0] / len(ranked.y),
        )  # fmt: skip

    @property
    def variance(self) -> float:
        """Of one hit; never 0."""
        smoothed = (self.precision * self.count + 1) / (self.count + 2)
        return smoothed * (1 - smoothed)

    @property
    def moved(self) -> Transformed:
        """Hits that are gained or lost because another sample has more or fewer high scores."""
        lead = max(0.0, self.precision - self.edge)
        return lead * (self.sums - self.count * self.units)

    def apart(self, edge: float) -> Transformed:
        """Hits, where an alarm more is one less of those at the edge; of mean 0."""
        missing = self.count * (self.precision - edge)
        return self.hits - edge * self.sums - missing * self.units


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
def _units(blocks: Blocks, window: Window) -> tuple[Transformed, Array]:
    """Units of each item, transformed, and pairs of units at each distance, (width + 1,)."""
    units = window.transform(blocks.totals(np.ones(blocks.n)))
    return units, _pairs(units, window, blocks.n)


def _own_noise(units: Index, draws: int, seed: int) -> Array:
    """Sum of the noise of single units, which are many; each has the same for every model."""
    total = np.zeros(draws)
    for unit in units.tolist():
        bits = np.random.Philox(key=seed, counter=unit << 64)
        total += np.random.Generator(bits).standard_normal(draws)
    return total


def _pairs(transformed: Transformed, window: Window, itself: float) -> Array:
    """Products of two units, summed over pairs at each distance, (width + 1,).

    Both orders of a pair count; those of a unit with `itself` are taken off.
    """
    power = np.square(transformed.real) + np.square(transformed.imag)
    products = np.fft.irfft(power, window.size)[: window.width + 1]
    return np.append(products[0] - itself, 2 * products[1:])


def of_share(indicator: ArrayLike, mask: ArrayLike, blocks: Blocks) -> Dependence:
    """Design effect of the share of units with an indicator among some of them.

    From the long-run variance of these units; for many of them, such as the positives of a recall.
    With fewer than five blocks all of them are worth one unit.

    Parameters
    ----------
    indicator, mask : (n,) bool
    blocks : Blocks

    Examples
    --------
    >>> y = np.repeat(np.random.default_rng(0).random(100) < 0.5, 10)  # ten days alike, 100 times
    >>> round(of_share(y, np.ones(1000, bool), Blocks.of(1000, length=10)).effect)
    13
    """
    hit, of = np.asarray(indicator, np.float64), np.asarray(mask, np.float64)
    n = float(of.sum())
    if blocks.alone or not n:
        return INDEPENDENT
    if blocks.few:
        return Dependence(n, 1.0)
    window, k = Window.of(blocks), float((hit * of).sum())
    smoothed = (k + 1) / (n + 2)
    variance = float(window.variance(blocks.totals(of * (hit - k / n))))
    effect = variance / (n * smoothed * (1 - smoothed))
    return Dependence(max(1.0, effect), window.freedom + 1)
