"""How units depend on each other, and resamples that keep what belongs together.

One idea for every task: a statistic is a function of how often each unit counts, and a resample is
such a set of weights. What is drawn are runs of consecutive times with all of their units (series
of a panel stay together), clusters, or clusters inside the times that were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import TruenessError
from trueness.evaluation.clusters import WEIGHTS_AT_ONCE, cluster_weights, numbered
from trueness.evaluation.intervals import DRAWS, FEWEST_BLOCKS, Bootstrap, block_weights

Array = NDArray[np.float64]
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

    @property
    def atom(self) -> Index:
        """Units of one number always count alike: those of a cluster, else of a time, (n,)."""
        index = self.time if self.cluster is None else self.cluster
        return np.arange(self.n) if index is None else index

    @property
    def independent(self) -> Index:
        """Units of one number depend on each other: blocks of times, else clusters, (n,)."""
        return self.atom if self.time is None else self.time // self.length

    def weights(
        self, draws: int = DRAWS, seed: int = 0, bootstrap: Bootstrap = "circular"
    ) -> Weights:
        """How often each unit counts: once, then in each draw; (n, 1 + draws), or (n, 1) if few.

        The same arguments give the same draws, so that statistics of several models on the same
        units are paired.
        """
        atom = self.atom
        portions = [_small(some)[atom] for some in self.atom_weights(draws, seed, bootstrap)]
        every: Any = np.hstack([np.ones((self.n, 1), np.uint8), *portions])
        return np.ascontiguousarray(every)

    def atom_weights(
        self, draws: int = DRAWS, seed: int = 0, bootstrap: Bootstrap = "circular"
    ) -> Iterator[Array]:
        """How often each `atom` counts in each draw, as many draws at a time as memory allows.

        Yields
        ------
        (atoms, b) float64
            Nothing if there are few blocks.
        """
        if self.few:
            return
        alone = self.length == 1 and bootstrap == "circular"
        if self.time is None and (alone or self.cluster is not None):
            yield from cluster_weights(self.items, draws, seed)
            return
        by_time = block_weights(self.items, self.length, draws, seed, bootstrap).T
        inside = None if self.cluster is None else self._inside(draws, seed + 1)
        step = max(1, WEIGHTS_AT_ONCE // len(by_time))
        for start in range(0, draws, step):
            some = by_time[:, start : start + step].astype(np.float64)
            if inside is None:
                yield some
            else:
                drawn = np.stack([next(inside) for _ in range(some.shape[1])], axis=1)
                yield some[self._time_of_cluster()] * drawn

    def _time_of_cluster(self) -> Index:
        assert self.time is not None
        assert self.cluster is not None
        times = np.zeros(int(self.cluster.max()) + 1, np.int64)
        times[self.cluster] = self.time
        return times

    def _inside(self, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Clusters drawn anew inside each time, as many as it has; (clusters,) for each draw."""
        times = self._time_of_cluster()
        order = np.argsort(times, kind="stable")
        sizes = np.bincount(times)
        starts, rng = np.cumsum(sizes) - sizes, np.random.default_rng(seed)
        base, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
        for _ in range(draws):
            picked = order[base + (rng.random(len(base)) * size).astype(np.int64)]
            yield np.bincount(picked, minlength=len(times))


def _small(weights: NDArray[np.generic]) -> Weights:
    """The same in the smallest type that holds it."""
    largest = int(weights.max(initial=0))
    if largest > np.iinfo(np.uint16).max:
        raise TruenessError(f"a unit is drawn {largest} times at once; use fewer, larger clusters")
    return weights.astype(np.uint8 if largest <= np.iinfo(np.uint8).max else np.uint16)
