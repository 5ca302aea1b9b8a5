"""Whether scores know anything of the labels: their sums against rearranged labels.

If scores and labels have nothing to do with each other, labels that are shifted along time by any
number of steps fit the scores as well as they did, whatever the dependence of either over time.
Texts and other units without an order are permuted, whole clusters at a time. All models see the
same rearrangements, so the largest of their standardised sums accounts for how many there are and
for how alike they are. For stationary series
the p-values are right up to the seam where the end meets the beginning: scores whose memory is a
fifth of the series or more make those of the AUC too small. Lancaster,
Iatsenko, Pidde, Ticcinelli and Stefanovska, "Surrogate data for hypothesis testing of physical
systems" (2018); Westfall and Young, "Resampling-Based Multiple Testing" (1993).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.resampling import SortedScores, check_size

Array = NDArray[np.float64]
PERMUTATIONS = 2000
"""Rearrangements of units that have no order, the given one among them."""
AT_ONCE = 32
"""Models whose sums are taken in one pass."""
ROUNDING = 1e-9
"""Standardised sums that differ by less are equal."""


@dataclass(frozen=True)
class Labels:
    """Labels of some units, and how they are rearranged.

    Attributes
    ----------
    centred : (cells,) float64
        Labels minus their mean by place; 0 where a series of a panel has no unit.
    place : (n,) int64
        Place of each unit: series of a panel side by side, times in order.
    step : int
        Places that a shift moves: the series of a panel stay together.
    orders : (permutations, cells) int32 or None
        Places of the labels where units have no order; None where they are shifted.
    """

    centred: Array
    place: NDArray[np.int64]
    step: int = 1
    orders: NDArray[np.int32] | None = None

    @classmethod
    def of(cls, y: NDArray[np.uint8], blocks: Blocks, group: object = None) -> Labels:
        """Of labels (n,) in the order of their times.

        Parameters
        ----------
        y : (n,)
        blocks : Blocks
            Whether the units have times or clusters.
        group : (n,), optional
            Series of a panel, which are shifted together where each has one unit per time.
        """
        check_size(blocks, len(y))
        centred = y - y.mean()
        if blocks.time is None:
            return cls._permuted(centred, blocks)
        series = np.zeros(blocks.n, np.int64)
        if group is not None:
            series = np.unique(np.asarray(group), return_inverse=True)[1]
        width = int(series.max()) + 1
        place = blocks.time * width + series
        if len(np.unique(place)) < blocks.n:  # several units of one series at a time
            order = np.argsort(blocks.time, kind="stable")
            place, width = np.empty(blocks.n, np.int64), 1
            place[order] = np.arange(blocks.n)
        cells = np.zeros((int(place.max()) // width + 1) * width)
        cells[place] = centred
        return cls(cells, place, width)

    @classmethod
    def _permuted(cls, centred: Array, blocks: Blocks) -> Labels:
        """Clusters in random orders; labels of a cluster stay side by side."""
        rng, item = np.random.default_rng(0), blocks.item
        by_cluster = np.argsort(item, kind="stable")
        place = np.empty(blocks.n, np.int64)
        place[by_cluster] = np.arange(blocks.n)
        sizes = np.bincount(item)
        starts = np.cumsum(sizes) - sizes
        orders = np.empty((PERMUTATIONS, blocks.n), np.int32)
        orders[0] = np.arange(blocks.n)
        for row in orders[1:]:
            drawn = rng.permutation(len(sizes))
            ends = np.cumsum(sizes[drawn])
            shift = starts[drawn] - ends + sizes[drawn]
            row[:] = np.arange(blocks.n) + np.repeat(shift, sizes[drawn])
        return cls(centred[by_cluster], place, 1, orders)

    @property
    def count(self) -> int:
        """Rearrangements, the given labels among them."""
        return len(self.centred) // self.step if self.orders is None else len(self.orders)

    def sums(self, values: Array) -> Array:
        """Sum of labels times values (m, n) under each rearrangement, (m, count)."""
        cells = np.zeros((len(values), len(self.centred)))
        cells[:, self.place] = values
        if self.orders is None:
            return self._shifted(cells)
        return cells @ self.centred[self.orders].T

    def _shifted(self, cells: Array) -> Array:
        """By the fast Fourier transform, series of a panel side by side."""
        shape = (self.count, self.step)
        labels = np.fft.rfft(self.centred.reshape(shape), axis=0)
        spectrum = np.fft.rfft(cells.reshape(-1, *shape), axis=1)
        return np.fft.irfft((spectrum * labels.conj()).sum(2), self.count, axis=1)


@dataclass(frozen=True)
class Chance:
    """Standardised sums of some models, and the largest of all under each rearrangement.

    Attributes
    ----------
    observed : (m,) float64
        Standard deviations above the mean over all rearrangements; -inf of a model that does not
        tell units apart.
    single : (m,) float64
        P-value of each model by itself.
    spread : (m,) float64
        Standard deviation of its sums.
    largest : (count,) float64
        Largest standardised sum of any model, -inf without any.
    highest : (count,) float64
        Largest sum of any model as it is, the mean of the labels taken off.
    """

    observed: Array
    single: Array
    spread: Array
    largest: Array
    highest: Array

    @classmethod
    def of(cls, labels: Labels, values: Sequence[Array]) -> Chance:
        """Of values (n,) of each model: 1 for its alarms, or ranks.

        Examples
        --------
        >>> y = np.random.default_rng(0).random(500) < 0.3
        >>> labels = Labels.of(y.astype(np.uint8), Blocks.of(500, time=np.arange(500), length=20))
        >>> float(Chance.of(labels, [y * 1.0]).single[0])
        0.002
        """
        observed, single = np.full(len(values), -np.inf), np.ones(len(values))
        spreads, nothing = np.zeros(len(values)), np.full(labels.count, -np.inf)
        largest, highest = nothing, nothing
        for start in range(0, len(values), AT_ONCE):
            sums = labels.sums(np.array(values[start : start + AT_ONCE], np.float64))
            spread = sums.std(axis=1, keepdims=True)
            moves = spread > ROUNDING * (1 + np.abs(sums).max(axis=1, keepdims=True))
            z = (sums - sums.mean(axis=1, keepdims=True)) / np.where(moves, spread, 1)
            z[~moves[:, 0]] = -np.inf
            some = slice(start, start + len(z))
            observed[some] = z[:, 0]
            single[some] = (z >= z[:, :1] - ROUNDING).mean(axis=1)
            spreads[some] = spread[:, 0]
            largest = np.maximum(largest, z.max(axis=0))
            highest = np.maximum(highest, sums.max(axis=0))
        return cls(observed, single, spreads, largest, highest)

    def joined(self, other: Chance) -> Chance:
        """Both families as one."""
        rows = (
            np.concatenate([getattr(self, name), getattr(other, name)])
            for name in ("observed", "single", "spread")
        )
        return Chance(
            *rows, np.maximum(self.largest, other.largest), np.maximum(self.highest, other.highest)
        )

    def p_value(self, model: int, further: int = 0) -> float:
        """P-value of a model, adjusted for all of them and for so many that are not here.

        The share of rearrangements in which the largest of all reaches it; each model that is not
        here adds the p-value of this one by itself (Bonferroni).
        """
        joint = float((self.largest >= self.observed[model] - ROUNDING).mean())
        return min(1.0, joint + further * float(self.single[model]))


def alarm_values(ranked: SortedScores, alarms: int) -> Array:
    """1 for the highest scores, at most so many, 0 for the others, (n,)."""
    values = np.zeros(len(ranked.y))
    values[ranked.order[: ranked.above(alarms)]] = 1.0
    return values


def rank_values(ranked: SortedScores) -> Array:
    """Rank of each score from 0 for the lowest, equal ones at their mean, (n,); sums are AUCs."""
    sizes = np.diff(ranked.ends, prepend=0)
    values = np.empty(len(ranked.y))
    values[ranked.order] = np.repeat(len(ranked.y) - ranked.ends + (sizes - 1) / 2, sizes)
    return values
