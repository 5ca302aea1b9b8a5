"""Labels and their rearrangements, which leave the dependence of units as it is.

A shift joins the end of the labels to their beginning. There neighbours are strangers, so sums
after a shift vary less than the sum without one, the more the longer both series remember; the
observed sum is brought to their scale (see `seam_weights`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.resampling import check_size

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Spectrum = NDArray[np.complex128]
PERMUTATIONS = 2000
"""Rearrangements that are drawn where there are too many, the given one among them."""
SEAM_SHARE = 2
"""Lags up to half of the series count for the seam."""
LEAST_SEAM = 0.25
"""Share of the variance that is left at least; estimates below it are noise."""
LEAST_VARIANCE = 0.05
"""Of the labels at a time, as a share of their mean variance."""


class Labels(Protocol):
    """Labels of some units, and how they are rearranged."""

    shifted: ClassVar[bool]
    """Whether labels move along time."""

    @property
    def tests(self) -> int:
        """How often all is tested."""

    @property
    def count(self) -> int:
        """Rearrangements, the given labels among them."""

    def rearranged(self, values: Array) -> tuple[Array, Array]:
        """Sums of labels times values (m, n) in every rearrangement, the means of both taken off.

        Returns
        -------
        sums : (tests, m, count)
            Of both as they are, and where units have times without their lines over time; the given
            labels first.
        seam : (tests, m)
            Variance after a rearrangement as a share of that without one.
        """


def labels_of(y: NDArray[np.uint8], blocks: Blocks, group: object = None) -> Labels:
    """Labels (n,) with the rearrangements that leave their dependence as it is.

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
        return Clusters.of(centred, blocks.item)
    series = np.zeros(blocks.n, np.int64)
    if group is not None:
        series = np.unique(np.asarray(group), return_inverse=True)[1]
    width = int(series.max()) + 1
    place = blocks.time * width + series
    if len(np.unique(place)) < blocks.n:
        return Times.of(centred, blocks.time)
    return Series.of(centred, place, width)


@dataclass(frozen=True)
class Series:
    """One unit of each series at a time: every shift of all series together.

    Attributes
    ----------
    place : (n,) int64
        Place of each unit among the cells: series side by side, times in order.
    centred : (count, series) float64
        Labels minus their mean; 0 where a series has no unit.
    there : (count, series) float64
        1 where it has one, else 0.
    """

    place: Index
    centred: Array
    there: Array
    shifted: ClassVar[bool] = True
    tests: ClassVar[int] = 2

    @classmethod
    def of(cls, centred: Array, place: Index, width: int) -> Series:
        """Of labels (n,) at their places among so many series."""
        cells, there = np.zeros((2, int(place.max()) // width + 1, width))
        cells.ravel()[place], there.ravel()[place] = centred, 1
        return cls(place, cells, there)

    @property
    def count(self) -> int:
        """Times."""
        return len(self.centred)

    def rearranged(self, values: Array) -> tuple[Array, Array]:
        """See `Labels`; without lines, `seam` is multiplied by `_evenness`."""
        cells = np.zeros((len(values), self.centred.size))
        cells[:, self.place] = values - values.mean(axis=1, keepdims=True)
        cells = cells.reshape(-1, *self.centred.shape)
        both = cells, self._without_lines(cells)
        sums, seam = zip(*(s.of(x) for s, x in zip(self._shifts, both, strict=True)), strict=True)
        return np.array(sums), np.array([seam[0], seam[1] * self._evenness(both[1])])

    @cached_property
    def _shifts(self) -> tuple[Shifts, Shifts]:
        return Shifts.by(self.centred), Shifts.by(self._without_lines(self.centred))

    @cached_property
    def _line(self) -> Array:
        """Time of each unit, of mean 0 and length 1 in each series; 0 where there is no unit."""
        time = np.arange(self.count)[:, None]
        line = self.there * (time - (self.there * time).sum(0) / self._units)
        return line / np.maximum(np.sqrt(np.square(line).sum(0)), 1e-300)

    @cached_property
    def _units(self) -> Array:
        return np.maximum(self.there.sum(0), 1)

    def _without_lines(self, cells: Array) -> Array:
        """Cells (..., count, series) with the trend of each series taken off, its mean kept."""
        return cells - (cells * self._line).sum(-2, keepdims=True) * self._line

    @cached_property
    def _variance(self) -> Array:
        """Of the labels beside their line, itself by a line, (count, series)."""
        square = np.square(self._without_lines(self.centred))
        mean, slope = square.sum(0) / self._units, (square * self._line).sum(0)
        return self.there * np.maximum(mean + slope * self._line, LEAST_VARIANCE * mean)

    def _evenness(self, cells: Array) -> Array:
        """Variance of sums if labels varied at all times alike, by that where values lie, (m,).

        With a trend labels vary most where they are frequent, and so do sums of values that lie
        there; shifted labels come from all times.
        """
        square = np.square(cells)
        own = np.einsum("mts,ts->m", square, self._variance)
        even = square.sum(1) @ self._variance.mean(0)
        return np.clip(np.divide(even, own, out=np.ones_like(own), where=own > 0), LEAST_SEAM, 1)


@dataclass(frozen=True)
class Shifts:
    """Some labels under every shift, by the fast Fourier transform.

    Attributes
    ----------
    labels : (count + 1, series) complex128
        Transform of the labels, twice as long.
    weights : (2, count + 1, series) float64
        See `seam_weights`.
    """

    labels: Spectrum
    weights: Array

    @classmethod
    def by(cls, labels: Array) -> Shifts:
        """Of labels (count, series) of mean 0."""
        spectrum = np.fft.rfft(labels, 2 * len(labels), axis=0)
        return cls(spectrum, seam_weights(spectrum))

    def of(self, cells: Array) -> tuple[Array, Array]:
        """Sums (m, count) of values (m, count, series), and the share that the seam leaves, (m,).

        A share is a variance after a shift by that without one, in [0.25, 1].
        """
        count = cells.shape[1]
        values = np.fft.rfft(cells, 2 * count, axis=1)
        single = (values[:, ::2] * self.labels[::2].conj()).sum(2)  # as of a transform half as long
        power = np.square(values.real) + np.square(values.imag)
        lost, whole = np.einsum("mfs,kfs->km", power, self.weights)
        share = 1 - np.divide(lost, whole, out=np.zeros_like(lost), where=whole > 0)
        return np.fft.irfft(single, count, axis=1), np.clip(share, LEAST_SEAM, 1)


def seam_weights(labels: Spectrum) -> Array:
    """What the seam takes from the variance of sums, and all of it, by frequency of the values.

    The variance is a sum over pairs of times, of the autocovariances of values and labels. A pair
    that lies d apart is parted by the seam in d of all shifts, and then has labels that lie
    ``count - d`` apart. Such sums over lags are sums over frequencies as well (Parseval).

    Parameters
    ----------
    labels : (count + 1, series) complex128
        Transform of the labels of mean 0, twice as long.

    Returns
    -------
    (2, count + 1, series) float64
    """
    n = len(labels) - 1
    of_labels = np.fft.irfft(np.square(np.abs(labels)), 2 * n, axis=0)
    lag = np.arange(max(2, n // SEAM_SHARE))
    apart, at = lag[:, None], np.zeros((2, 2 * n, labels.shape[1]))
    at[0, lag] = apart * (n - apart) / max(1, n - 1) * (of_labels[lag] - of_labels[n - lag])
    at[1, lag] = (n - apart) * of_labels[lag]
    at[:, -lag[1:]] = at[:, lag[1:]]
    twice = np.full(n + 1, 2.0)
    twice[[0, -1]] = 1
    return np.fft.rfft(at, axis=1).real * twice[:, None]


@dataclass(frozen=True)
class Times:
    """Several units at a time: whole times are shifted, labels of a time permuted in it.

    Attributes
    ----------
    order : (n,) int64
        Units time by time.
    time : (n,) int64
        Of each unit in this order.
    means : Series
        Mean label of each time, that of all labels taken off.
    rest : (n,) float64
        Labels minus the mean of their time, in this order.
    shifts : (count,) int64
    """

    order: Index
    time: Index
    means: Series
    rest: Array
    shifts: Index
    shifted: ClassVar[bool] = True
    tests: ClassVar[int] = 2

    @classmethod
    def of(cls, centred: Array, time: Index) -> Times:
        """Of labels (n,) with their times; units of a time in random order."""
        rng = np.random.default_rng(0)
        order = np.lexsort((rng.random(len(time)), time))
        at, sizes = time[order], np.bincount(time)
        mean = np.bincount(time, centred) / sizes
        shifts = np.append(0, rng.integers(0, len(sizes), PERMUTATIONS - 1))
        means = Series.of(mean, np.arange(len(mean)), 1)
        return cls(order, at, means, centred[order] - mean[at], shifts)

    @property
    def count(self) -> int:
        """Drawn rearrangements."""
        return len(self.shifts)

    def rearranged(self, values: Array) -> tuple[Array, Array]:
        """Shifted means of times, and labels turned round inside their times; see `Labels`.

        Inside a time there is no trend.
        """
        inside = (values - values.mean(axis=1, keepdims=True))[:, self.order]
        totals = np.add.reduceat(inside, np.flatnonzero(np.diff(self.time, prepend=-1)), axis=1)
        sums, seam = self.means.rearranged(totals)
        return sums[..., self.shifts] + self._turned(inside), seam

    def _turned(self, inside: Array) -> Array:
        """Sums inside times, (m, count)."""
        sizes = np.bincount(self.time)
        start = (np.cumsum(sizes) - sizes)[self.time]
        place = np.arange(len(self.time)) - start
        rng, result = np.random.default_rng(1), np.empty((len(inside), self.count))
        result[:, 0] = inside @ self.rest
        for arrangement in range(1, self.count):
            turn = (rng.random(len(sizes)) * sizes).astype(np.int64)[self.time]
            result[:, arrangement] = inside @ self.rest[start + (place + turn) % sizes[self.time]]
        return result


@dataclass(frozen=True)
class Clusters:
    """Units without an order: whole clusters are permuted.

    Attributes
    ----------
    place : (n,) int64
        Place of each unit, clusters one after another.
    centred : (n,) float64
        Labels minus their mean, by place.
    orders : (count, n) int32
        Places of the labels.
    """

    place: Index
    centred: Array
    orders: NDArray[np.int32]
    shifted: ClassVar[bool] = False
    tests: ClassVar[int] = 1

    @classmethod
    def of(cls, centred: Array, item: Index) -> Clusters:
        """In random orders; labels of a cluster stay side by side."""
        rng, n = np.random.default_rng(0), len(item)
        by_cluster = np.argsort(item, kind="stable")
        place = np.empty(n, np.int64)
        place[by_cluster] = np.arange(n)
        sizes = np.bincount(item)
        starts = np.cumsum(sizes) - sizes
        orders = np.empty((PERMUTATIONS, n), np.int32)
        orders[0] = np.arange(n)
        for row in orders[1:]:
            drawn = rng.permutation(len(sizes))
            ends = np.cumsum(sizes[drawn])
            shift = starts[drawn] - ends + sizes[drawn]
            row[:] = np.arange(n) + np.repeat(shift, sizes[drawn])
        return cls(place, centred[by_cluster], orders)

    @property
    def count(self) -> int:
        """Permutations."""
        return len(self.orders)

    def rearranged(self, values: Array) -> tuple[Array, Array]:
        """Without a seam; see `Labels`."""
        cells = np.empty_like(values)
        cells[:, self.place] = values
        return (cells @ self.centred[self.orders].T)[None], np.ones((1, len(values)))
