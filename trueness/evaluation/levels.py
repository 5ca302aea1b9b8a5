"""Levels above classes that are paths: a parent's probability is the sum of its leaves'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """Classes at one depth of a tree.

    Attributes
    ----------
    depth : int
        Steps from the root; a leaf that lies less deep stands for itself.
    classes : tuple of P str
        Sorted.
    of : (K,) int64
        Place of each leaf's parent among them.
    """

    depth: int
    classes: tuple[str, ...]
    of: NDArray[np.int64]

    def summed(self, probabilities: Array) -> Array:
        """Probabilities (n, P) of parents from those (n, K) of leaves."""
        result = np.zeros((len(probabilities), len(self.classes)))
        for leaf, parent in enumerate(self.of):
            result[:, parent] += probabilities[:, leaf]
        return result


def levels_of(classes: Sequence[str], joiner: str | None) -> tuple[Level, ...]:
    """Levels above the leaves, the nearest first; those that distinguish something.

    Parameters
    ----------
    classes : sequence of K str
    joiner : str or None
        Between the levels of a class; without one there are none.

    Examples
    --------
    >>> (above,) = levels_of(["Home > Bed", "Home > Sofa", "Toys"], " > ")
    >>> above.classes, above.of.tolist()
    (('Home', 'Toys'), [0, 0, 1])
    >>> above.summed(np.array([[0.3, 0.3, 0.4]])).round(1).tolist()
    [[0.6, 0.4]]
    """
    paths = [[name] if joiner is None else name.split(joiner) for name in classes]
    result, below = [], len(classes)
    for depth in range(max(map(len, paths)) - 1, 0, -1):
        nodes = [(joiner or "").join(path[:depth]) for path in paths]
        names = sorted(set(nodes))
        if 1 < len(names) < below:
            of = np.array([names.index(node) for node in nodes])
            result.append(Level(depth, tuple(names), of))
            below = len(names)
    return tuple(result)
