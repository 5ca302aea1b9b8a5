"""Whether scores know anything of the labels: their sums against rearranged labels.

If scores and labels have nothing to do with each other, labels that are shifted along time by any
number of steps fit the scores as well as they did, whatever the dependence of either over time.
Where a time has several units the labels of whole times are shifted, and those of a time permuted
among its units. Texts and other units without an order are permuted, whole clusters at a time. All
models see the same rearrangements, so the largest of their standardised sums accounts for how many
there are and for how alike they are. Lancaster, Iatsenko, Pidde, Ticcinelli and Stefanovska,
"Surrogate data for hypothesis testing of physical systems" (2018); Westfall and Young,
"Resampling-Based Multiple Testing" (1993).

A shift joins the end of the labels to their beginning. There neighbours are strangers, so sums
after a shift vary less than the sum without one, the more the longer both series remember; the
observed sum is brought to their scale (see `Series.seam`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.resampling import SortedScores, check_size
from trueness.evaluation.threads import in_threads

Array = NDArray[np.float64]
Index = NDArray[np.int64]
PERMUTATIONS = 2000
"""Rearrangements that are drawn where there are too many, the given one among them."""
AT_ONCE = 32
"""Models whose sums are taken in one pass."""
ROUNDING = 1e-9
"""Standardised sums that differ by less are equal."""
SEAM_SHARE = 2
"""Lags up to half of the series count for the seam."""
LEAST_SEAM = 0.25
"""Share of the variance that is left at least; estimates below it are noise."""


class Labels(Protocol):
    """Labels of some units, and how they are rearranged."""

    shifted: ClassVar[bool]
    """Whether labels move along time."""

    @property
    def count(self) -> int:
        """Rearrangements, the given labels among them."""

    def sums(self, values: Array) -> Array:
        """Sum of labels, their mean taken off, times values (m, n), (m, count); as given first."""

    def seam(self, values: Array) -> Array:
        """Variance of sums after a rearrangement, as a share of that without one, (m,)."""


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
    """

    place: Index
    centred: Array
    shifted: ClassVar[bool] = True

    @classmethod
    def of(cls, centred: Array, place: Index, width: int) -> Series:
        """Of labels (n,) at their places among so many series."""
        cells = np.zeros((int(place.max()) // width + 1, width))
        cells.ravel()[place] = centred
        return cls(place, cells)

    @property
    def count(self) -> int:
        """Times."""
        return len(self.centred)

    def _cells(self, values: Array) -> Array:
        cells = np.zeros((len(values), self.centred.size))
        cells[:, self.place] = values
        return cells.reshape(-1, *self.centred.shape)

    def sums(self, values: Array) -> Array:
        """By the fast Fourier transform; see `Labels`."""
        labels = np.fft.rfft(self.centred, axis=0)
        spectrum = np.fft.rfft(self._cells(values), axis=1)
        return np.fft.irfft((spectrum * labels.conj()).sum(2), self.count, axis=1)

    def seam(self, values: Array) -> Array:
        """By the autocovariances of both; see `Labels`.

        A pair of times that lie d apart is parted by the seam in d of all shifts, and then has
        labels that lie ``count - d`` apart.
        """
        cells = self._cells(values - values.mean(axis=1, keepdims=True))
        return seam_of(cells, self.centred)


@dataclass(frozen=True)
class Times:
    """Several units at a time: whole times are shifted, labels of a time permuted in it.

    Attributes
    ----------
    order : (n,) int64
        Units time by time.
    time : (n,) int64
        Of each unit in this order.
    mean : (times,) float64
        Mean label of each time, that of all labels taken off.
    rest : (n,) float64
        Labels minus the mean of their time, in this order.
    shifts : (count,) int64
    """

    order: Index
    time: Index
    mean: Array
    rest: Array
    shifts: Index
    shifted: ClassVar[bool] = True

    @classmethod
    def of(cls, centred: Array, time: Index) -> Times:
        """Of labels (n,) with their times; units of a time in random order."""
        rng = np.random.default_rng(0)
        order = np.lexsort((rng.random(len(time)), time))
        at, sizes = time[order], np.bincount(time)
        mean = np.bincount(time, centred) / sizes
        shifts = np.append(0, rng.integers(0, len(sizes), PERMUTATIONS - 1))
        return cls(order, at, mean, centred[order] - mean[at], shifts)

    @property
    def count(self) -> int:
        """Drawn rearrangements."""
        return len(self.shifts)

    def sums(self, values: Array) -> Array:
        """Shifted means of times, and labels turned round inside their times; see `Labels`."""
        inside = values[:, self.order]
        means = self._moved(self._totals(inside))
        sizes = np.bincount(self.time)
        start = (np.cumsum(sizes) - sizes)[self.time]
        place = np.arange(len(self.time)) - start
        rng, found = np.random.default_rng(1), np.empty((len(values), self.count))
        found[:, 0] = inside @ self.rest
        for arrangement in range(1, self.count):
            turn = (rng.random(len(sizes)) * sizes).astype(np.int64)[self.time]
            found[:, arrangement] = inside @ self.rest[start + (place + turn) % sizes[self.time]]
        return found + means

    def _totals(self, inside: Array) -> Array:
        starts = np.flatnonzero(np.diff(self.time, prepend=-1))
        return np.add.reduceat(inside, starts, axis=1)

    def _moved(self, totals: Array) -> Array:
        means = Series.of(self.mean, np.arange(len(self.mean)), 1)
        return means.sums(totals)[:, self.shifts]

    def seam(self, values: Array) -> Array:
        """That of the sums of times; see `Series.seam`."""
        inside = (values - values.mean(axis=1, keepdims=True))[:, self.order]
        return seam_of(self._totals(inside)[:, :, None], self.mean[:, None])


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

    def sums(self, values: Array) -> Array:
        """See `Labels`."""
        cells = np.empty_like(values)
        cells[:, self.place] = values
        return cells @ self.centred[self.orders].T

    def seam(self, values: Array) -> Array:
        """There is none."""
        return np.ones(len(values))


def seam_of(values: Array, labels: Array) -> Array:
    """Variance of sums of values times labels after a shift as a share of that without, (m,).

    Parameters
    ----------
    values : (m, times, series)
        Of mean 0.
    labels : (times, series)
        Of mean 0.

    Returns
    -------
    (m,) float64
        In [0.25, 1].
    """
    n = len(labels)
    size = 2 * n
    of_values, of_labels = (
        np.fft.irfft(np.square(np.abs(np.fft.rfft(x, size, axis=-2))), size, axis=-2)[..., :n, :]
        for x in (values, labels)
    )
    lag = np.arange(1, max(2, n // SEAM_SHARE))
    whole = (of_values[:, 0] * of_labels[0]).sum(1) * n
    whole += 2 * ((n - lag)[:, None] * of_values[:, lag] * of_labels[lag]).sum((1, 2))
    strangers = of_labels[lag] - of_labels[n - lag]
    parted = (lag * (n - lag) / (n - 1))[:, None] * of_values[:, lag] * strangers
    lost = 2 * parted.sum((1, 2))
    share = 1 - np.divide(lost, whole, out=np.zeros_like(lost), where=whole > 0)
    return np.clip(share, LEAST_SEAM, 1)


@dataclass(frozen=True)
class Chance:
    """Standardised sums of some models, and the largest of all under each rearrangement.

    Attributes
    ----------
    observed : (m,) float64
        Standard deviations above the mean over all rearrangements, corrected for the seam; -inf of
        a model that does not tell units apart.
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
        >>> labels = labels_of(y.astype(np.uint8), Blocks.of(500, time=np.arange(500), length=20))
        >>> float(Chance.of(labels, [y * 1.0]).single[0])
        0.002
        """
        chunks = [values[i : i + AT_ONCE] for i in range(0, len(values), AT_ONCE)]
        found = in_threads(lambda some: cls._of_some(labels, some), chunks)
        nobody, nothing = np.empty(0), np.full(labels.count, -np.inf)
        return reduce(cls.joined, found, cls(nobody, nobody, nobody, nothing, nothing))

    @classmethod
    def _of_some(cls, labels: Labels, values: Sequence[Array]) -> Chance:
        """Of so many values as are held at once."""
        each = np.array(values, np.float64)
        sums = labels.sums(each)
        spread = sums.std(axis=1, keepdims=True)
        moves = spread > ROUNDING * (1 + np.abs(sums).max(axis=1, keepdims=True))
        z = (sums - sums.mean(axis=1, keepdims=True)) / np.where(moves, spread, 1)
        z[:, 0] *= np.sqrt(labels.seam(each))
        z[~moves[:, 0]] = -np.inf
        single = (z >= z[:, :1] - ROUNDING).mean(axis=1)
        return cls(z[:, 0].copy(), single, spread[:, 0], z.max(axis=0), sums.max(axis=0))

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
