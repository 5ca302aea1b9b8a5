"""Macro-F1 of several models on the same units, each on the same resamples of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from trueness.errors import at_least
from trueness.evaluation.blocks import DRAWS, Blocks
from trueness.evaluation.by_group import (
    Groups,
    cell_counts,
    macro_f1,
    majority_of,
    summaries,
)
from trueness.evaluation.clusters import WEIGHTS_AT_ONCE, cluster_weights
from trueness.evaluation.resampling import Resampled, mean_of

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def atom_of(blocks: Blocks) -> Index:
    """Units of one number always count alike: those of a cluster, else of a time, (n,), from 0."""
    return blocks.item if blocks.cluster is None else blocks.cluster


def independent(blocks: Blocks) -> Index:
    """Units of one number depend on each other: blocks of times, clusters, units, (n,)."""
    return blocks.item // blocks.length


def atom_weights(blocks: Blocks, draws: int = DRAWS, seed: int = 0) -> Iterator[Array]:
    """How often each atom counts in each draw, as many draws at a time as fit into memory.

    The draws are those of `Blocks.weights`, which holds all of them for every unit.

    Yields
    ------
    (atoms, b) float64
        Nothing if there are few blocks.
    """
    draws, seed = at_least("draws", draws, 1), at_least("seed", seed, 0)
    if blocks.few:
        return
    if blocks.time is None and blocks.length == 1:
        yield from cluster_weights(blocks.items, draws, seed)
        return
    first = np.unique(atom_of(blocks), return_index=True)[1]
    weights, step = blocks.weights(draws, seed), max(1, WEIGHTS_AT_ONCE // len(first))
    for start in range(1, 1 + draws, step):
        yield weights[first, start : start + step].astype(np.float64)


@dataclass(frozen=True)
class Sizes:
    """Units of each group, and what stands for itself among them; of all units last.

    Attributes
    ----------
    names : tuple of str
        Groups with enough units.
    rows, blocks : tuple of int
        One more than names.
    majority : str
        Group that must not be degraded.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    blocks: tuple[int, ...]
    majority: str


@dataclass(frozen=True)
class ClassDraws:
    """Macro-F1 of each group and the summaries of one model, resampled."""

    groups: dict[str, Resampled]
    summaries: dict[str, Resampled]

    @classmethod
    def of(cls, scores: Array, sizes: Sizes) -> ClassDraws:
        """From macro-F1 of each group, then of all units: as they are, and in each draw.

        Parameters
        ----------
        scores : (G + 1, 1 + draws)
        sizes : Sizes
        """
        rows, blocks = sizes.rows, sizes.blocks
        whole = summaries(sizes.names, scores[:-1], scores[-1], sizes.majority)
        return cls(
            {n: _resampled(scores[i], rows[i], blocks[i]) for i, n in enumerate(sizes.names)},
            {n: _resampled(values, rows[-1], blocks[-1]) for n, values in whole.items()},
        )

    @classmethod
    def mean(cls, seeds: Sequence[ClassDraws]) -> ClassDraws:
        """Mean of several seeds, draw by draw."""
        first = seeds[0]
        if len(seeds) == 1:
            return first
        return cls(
            {n: mean_of([s.groups[n] for s in seeds]) for n in first.groups},
            {n: mean_of([s.summaries[n] for s in seeds]) for n in first.summaries},
        )


def _resampled(values: Array, rows: int, blocks: int) -> Resampled:
    return Resampled(float(values[0]), values[1:], rows, blocks)


def sizes_of(groups: Groups, blocks: Blocks, majority: str = "") -> Sizes:
    """Sizes of the groups with enough units, and of all units."""
    inside = [groups.index == g for g in range(len(groups.names))]
    block = independent(blocks)
    return Sizes(
        groups.names,
        (*(int(one.sum()) for one in inside), len(block)),
        (*(len(np.unique(block[one])) for one in inside), len(np.unique(block))),
        majority_of(groups.names, majority),
    )


def macro_f1_draws(
    y: Index, predictions: Mapping[Any, Index], groups: Groups, blocks: Blocks, *,
    n_classes: int, draws: int = DRAWS, seed: int = 0,
) -> dict[Any, Array]:  # fmt: skip
    """Macro-F1 of each group, then of all units: as they are, and in each draw.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    predictions : mapping to (n,) int
        Predicted classes of several models.
    groups : Groups
    blocks : Blocks
        All models see the same draws of them; no draws with fewer than five.
    n_classes : int
        K.
    draws, seed : int

    Returns
    -------
    dict to (G + 1, 1 + draws) float64
        G groups with enough units.

    Examples
    --------
    >>> from trueness.evaluation.by_group import group_units
    >>> y = np.array([0, 1] * 10)
    >>> groups, blocks = group_units(None, 20, 1), Blocks.of(20)
    >>> macro_f1_draws(y, {"a": y, "b": 1 - y}, groups, blocks, n_classes=2, draws=3)["b"]
    array([[0., 0., 0., 0.]])
    """
    atom, every = atom_of(blocks), np.arange(len(y))
    atoms, kept = int(atom.max()) + 1, len(groups.names)
    shape = (groups.cells, n_classes, -1)

    def counts(rows: Index, label: Index) -> csr_array:
        return cell_counts(rows, label, groups, atom, atoms, n_classes)

    units = counts(every, y)
    others = {
        name: csr_array(vstack([counts(np.flatnonzero(y == p), y), counts(every, p)]))
        for name, p in predictions.items()
    }
    portions: dict[Any, list[Array]] = {name: [] for name in predictions}
    for weights in chain([np.ones((atoms, 1))], atom_weights(blocks, draws, seed)):
        truth = (units @ weights).reshape(shape)
        for name, sums in others.items():
            hits, guesses = (sums @ weights).reshape(2, *shape)
            own, overall = macro_f1(np.stack([hits, truth, guesses]))
            portions[name].append(np.vstack([own[:kept], overall]))
    return {name: np.hstack(some) for name, some in portions.items()}
