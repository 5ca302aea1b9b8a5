"""How units depend on each other, and resamples that keep what belongs together.

One idea for every task: a statistic is a function of how often each unit counts, and a resample is
such a set of weights. What is drawn are runs of consecutive times with all of their units (series
of a panel stay together), clusters, or clusters inside the times that were drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import at_least
from trueness.evaluation.clusters import numbered
from trueness.evaluation.inputs import InputError, choice

Index = NDArray[np.int64]
Weights: TypeAlias = NDArray[np.uint8 | np.uint16]
Bootstrap: TypeAlias = Literal["circular", "stationary"]

DRAWS = 1000
"""Bootstrap draws unless said otherwise."""
FEWEST_BLOCKS = 5
"""With fewer, draws say nothing about chance."""
AT_ONCE = 400_000
"""Units times draws that are counted at once."""
SETS_KEPT = 4
"""Sets of weights that are kept for the next model on the same units."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which of n units are drawn together; equal if they draw the same.

    Attributes
    ----------
    n : int
        Units.
    time : (n,) int64, optional
        Position of each unit among the distinct times, from 0, consecutive.
    cluster : (n,) int64, optional
        Cluster of each unit, from 0; with `time`, inside its time and numbered time by time.
    length : int
        Consecutive times per block; 1 for clusters without times.

    Examples
    --------
    >>> panel = Blocks.of(4, time=["2024-01-02", "2024-01-02", "2024-01-03", "2024-01-03"])
    >>> panel.items, panel.time.tolist()
    (2, [0, 0, 1, 1])
    """

    n: int
    time: Index | None = None
    cluster: Index | None = None
    length: int = 1

    @classmethod
    def of(
        cls, n: int, *, time: ArrayLike | None = None, cluster: ArrayLike | None = None,
        length: int = 1,
    ) -> Blocks:  # fmt: skip
        """Blocks of units from their times and clusters, (n,) each, in any order.

        Without both, each unit is a time of its own, in the order given.

        Raises
        ------
        InputError
            With the codes ``length`` (not one per unit) and ``missing``.
        """
        n, length = at_least("units", n, 1), at_least("block", length, 1)
        at = None if time is None else _numbered("times", time, n)
        if cluster is None:
            return cls(n, at, None, length)
        own = _numbered("clusters", cluster, n)
        if at is None:
            return cls(n, None, own, 1)
        return cls(n, at, numbered(at * (int(own.max()) + 1) + own)[0], length)

    # ------------------------------------------------------------------------------ what is drawn

    @property
    def item(self) -> Index:
        """Time, cluster or unit that each unit is drawn with, (n,), from 0."""
        index = self.cluster if self.time is None else self.time
        return np.arange(self.n) if index is None else index

    @cached_property
    def items(self) -> int:
        """Times, clusters or units that are drawn."""
        return int(self.item.max()) + 1

    @property
    def count(self) -> int:
        """Blocks, the last one perhaps shorter."""
        return -(-self.items // self.length)

    @property
    def few(self) -> bool:
        """Whether there are fewer than five, which says nothing about chance."""
        return self.items < FEWEST_BLOCKS * self.length

    @property
    def alone(self) -> bool:
        """Whether every unit is independent of every other."""
        return self.length == 1 and self.items == self.n

    def totals(self, values: ArrayLike) -> NDArray[np.float64]:
        """Sum of the values (n,) of the units of each time or cluster, (items,)."""
        each = np.asarray(values, np.float64)
        if self._in_order:
            return each
        return np.asarray(np.bincount(self.item, each, self.items), np.float64)

    @cached_property
    def _in_order(self) -> bool:
        """Whether each unit is its own item, in the order of the items."""
        return self.items == self.n and bool((np.diff(self.item) == 1).all())

    def pieces(self, count: int) -> Index:
        """Consecutive pieces of about equally many times (or clusters), (n,), from 0.

        Raises
        ------
        InputError
            With the code ``few`` if there are fewer times than pieces.
        """
        if self.items < at_least("pieces", count, 1):
            raise InputError(f"{self.items} times do not make {count} pieces", "few")
        return self.item * count // self.items

    # --------------------------------------------------------------------------------- resamples

    def weights(
        self, draws: int = DRAWS, seed: int = 0, bootstrap: Bootstrap = "circular"
    ) -> Weights:
        """How often each unit counts: once, then in each draw; (n, 1 + draws), or (n, 1) if few.

        Circular: blocks of equal length, wrapping around at the end. Politis and Romano, "A
        circular block-resampling procedure for stationary data" (1992). Stationary: lengths are
        geometric with mean `length`. Politis and Romano, "The Stationary Bootstrap" (1994). As many
        times (or clusters) are drawn as there are. The same arguments give the same draws, so that
        statistics of several models on the same units are paired; the last few sets are kept.

        Parameters
        ----------
        draws, seed : int
        bootstrap : {"circular", "stationary"}

        Returns
        -------
        (n, 1 + draws) uint8 or uint16
            Read-only; the first column is 1.

        Examples
        --------
        >>> Blocks.of(10, length=2).weights(draws=3).sum(axis=0)
        array([10, 10, 10, 10], dtype=uint64)
        """
        draws, seed = at_least("draws", draws, 1), at_least("seed", seed, 0)
        choice("bootstrap", bootstrap, get_args(Bootstrap))
        return _weights(self, 0 if self.few else draws, seed, bootstrap)

    @cached_property
    def _content(self) -> tuple[object, ...]:
        arrays = (None if a is None else a.tobytes() for a in (self.time, self.cluster))
        digests = (None if a is None else hashlib.blake2b(a).digest() for a in arrays)
        return (self.n, self.length, *digests)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocks) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


def _numbered(name: str, values: ArrayLike, n: int) -> Index:
    """Times or clusters as numbers from 0, by rising value, (n,)."""
    names = np.asarray(values)
    if names.shape != (n,):
        raise InputError(f"{name} of shape {names.shape} for {n} units", "length")
    return numbered(names, name)[0]


@lru_cache(maxsize=SETS_KEPT)
def _weights(blocks: Blocks, draws: int, seed: int, bootstrap: Bootstrap) -> Weights:
    places = _circular if bootstrap == "circular" else _stationary
    weights = _counts(
        places(np.random.default_rng(seed), blocks.items, blocks.length, draws), blocks.items, draws
    )
    if blocks.time is not None or blocks.cluster is not None:
        weights = weights[blocks.item]
    if blocks.time is not None and blocks.cluster is not None:
        clusters = int(blocks.cluster.max()) + 1
        inside = _inside(np.random.default_rng(seed + 1), blocks.time, blocks.cluster, draws)
        weights = _times(weights, _counts(inside, clusters, draws), blocks.cluster)
    weights.flags.writeable = False
    return weights


def _counts(places: Iterator[Index], n: int, draws: int) -> Weights:
    """Once, then how often each of n places occurs in each of the draws (b, k), (n, 1 + draws)."""
    counts, done = np.ones((n, 1 + draws), np.uint8), 1
    for some in places:
        rows = len(some)
        flat = some * rows + np.arange(rows)[:, None]
        times = np.bincount(flat.ravel(), minlength=n * rows).reshape(n, rows)
        counts = _wide_enough(counts, int(times.max()))
        counts[:, done : done + rows] = times
        done += rows
    return counts


def _times(weights: Weights, inside: Weights, cluster: Index) -> Weights:
    """Weights of units (n, draws) times those of their clusters, a few draws at a time."""
    result = np.empty(weights.shape, np.uint8)
    for some in _some(weights.shape[1], len(weights)):
        product = weights[:, some].astype(np.uint32) * inside[:, some][cluster]
        result = _wide_enough(result, int(product.max()))
        result[:, some] = product
    return result


def _wide_enough(weights: Weights, largest: int) -> Weights:
    """The same in a type that holds the largest number to come."""
    if largest > np.iinfo(np.uint16).max:
        raise InputError(
            f"a unit is drawn {largest} times at once; use fewer, larger clusters", "large"
        )
    return weights if largest <= np.iinfo(weights.dtype).max else weights.astype(np.uint16)


def _circular(rng: np.random.Generator, n: int, length: int, draws: int) -> Iterator[Index]:
    starts = rng.integers(0, n, (draws, -(-n // length)))
    for some in _some(draws, n):
        places = starts[some, :, None] + np.arange(length)
        yield places.reshape(len(places), -1)[:, :n] % n


def _stationary(rng: np.random.Generator, n: int, length: int, draws: int) -> Iterator[Index]:
    """Each item follows the one before it, or is drawn anew with probability 1 / length."""
    anew = rng.random((draws, n)) < 1 / length
    anew[:, :1] = True
    starts = rng.integers(0, n, (draws, n))
    for some in _some(draws, n):
        since = np.maximum.accumulate(np.where(anew[some], np.arange(n), 0), axis=1)
        yield (np.take_along_axis(starts[some], since, axis=1) + np.arange(n) - since) % n


def _inside(rng: np.random.Generator, time: Index, cluster: Index, draws: int) -> Iterator[Index]:
    """Clusters drawn anew inside each time, as many as it has."""
    first = np.empty(int(cluster.max()) + 1, np.int64)
    first[cluster] = time
    sizes = np.bincount(first)
    base, size = (np.repeat(x, sizes) for x in (np.cumsum(sizes) - sizes, sizes))
    for some in _some(draws, len(first)):
        yield base + (rng.random((some.stop - some.start, len(first))) * size).astype(np.int64)


def _some(draws: int, n: int) -> Iterator[slice]:
    """A few draws at a time, so that their places fit the cache."""
    step = max(1, AT_ONCE // n)
    return (slice(start, min(start + step, draws)) for start in range(0, draws, step))
