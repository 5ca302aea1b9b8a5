"""How units depend on each other, and resamples that keep what belongs together.

One idea for every task: a statistic is a function of how often each unit counts, and a resample is
such a set of weights. What is drawn are runs of consecutive times with all of their units (series
of a panel stay together), clusters, or clusters inside the times that were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import TruenessError
from trueness.evaluation.clusters import cluster_weights, numbered
from trueness.evaluation.intervals import DRAWS, FEWEST_BLOCKS, Bootstrap, block_weights

Index = NDArray[np.int64]
Weights = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Blocks:
    """Which of n units are drawn together.

    Attributes
    ----------
    n : int
        Units.
    time : (n,) int64, optional
        Position of each unit among the distinct times, from 0, consecutive.
    cluster : (n,) int64, optional
        Cluster of each unit, from 0; with `time`, inside its time.
    length : int
        Consecutive times per block.

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
        """Blocks of units from their times and clusters, (n,) each.

        Without both, each unit stands for itself and the units are taken in the order given.
        """
        at = None if time is None else numbered(time)[0]
        if cluster is None:
            return cls(n, at, None, length)
        own = numbered(cluster)[0]
        if at is not None:
            own = numbered(at * (int(own.max(initial=0)) + 1) + own)[0]
        return cls(n, at, own, length)

    @property
    def items(self) -> int:
        """Times, clusters or units that are drawn."""
        index = self.cluster if self.time is None else self.time
        return self.n if index is None else int(index.max(initial=-1)) + 1

    @property
    def count(self) -> int:
        """Blocks, the last one perhaps shorter."""
        return -(-self.items // self.length)

    @property
    def few(self) -> bool:
        """Whether there are fewer than five, which says nothing about chance."""
        return self.items < FEWEST_BLOCKS * self.length

    def weights(
        self, draws: int = DRAWS, seed: int = 0, bootstrap: Bootstrap = "circular"
    ) -> Weights:
        """How often each unit counts: once, then in each draw; (n, 1 + draws), or (n, 1) if few.

        The same arguments give the same draws, so that statistics of several models on the same
        units are paired.
        """
        whole = np.ones((self.n, 1), np.uint8)
        if self.few:
            return whole
        return np.ascontiguousarray(np.hstack([whole, self._drawn(draws, seed, bootstrap)]))

    def _drawn(self, draws: int, seed: int, bootstrap: Bootstrap) -> Weights:
        if self.time is None and self.cluster is not None:
            by_cluster = np.hstack(list(cluster_weights(self.items, draws, seed)))
            return _small(by_cluster)[self.cluster]
        by_time = _small(block_weights(self.items, self.length, draws, seed, bootstrap).T)
        if self.time is None:
            return by_time
        if self.cluster is None:
            return by_time[self.time]
        inside = np.hstack(list(self._inside(draws, seed + 1)))
        return _small(by_time[self.time].astype(np.uint16) * inside[self.cluster])

    def _inside(self, draws: int, seed: int) -> Iterator[NDArray[np.uint16]]:
        """Clusters drawn anew inside each time, as many as it has; (clusters, draws)."""
        assert self.time is not None
        assert self.cluster is not None
        first = np.full(int(self.cluster.max()) + 1, -1, np.int64)
        first[self.cluster] = self.time
        order = np.argsort(first, kind="stable")
        sizes = np.bincount(first)
        starts, rng = np.cumsum(sizes) - sizes, np.random.default_rng(seed)
        base, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
        for _ in range(draws):
            picked = order[base + (rng.random(len(base)) * size).astype(np.int64)]
            yield np.bincount(picked, minlength=len(first)).astype(np.uint16)[:, None]


def _small(weights: NDArray[np.generic]) -> Weights:
    """The same in the smallest type that holds it."""
    largest = int(weights.max(initial=0))
    if largest > np.iinfo(np.uint16).max:
        raise TruenessError(f"a unit is drawn {largest} times at once; use fewer, larger clusters")
    return weights.astype(np.uint8 if largest <= np.iinfo(np.uint8).max else np.uint16)
