"""Macro-F1 of several models on the same units, with draws that all of them share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import at_least
from trueness.evaluation.blocks import DRAWS, Blocks
from trueness.evaluation.by_group import Groups, majority_of, summaries
from trueness.evaluation.clusters import WEIGHTS_AT_ONCE, cluster_weights
from trueness.evaluation.long_run import Window
from trueness.evaluation.macro_f1 import Cells, macro_f1_jackknife
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
    """Units of each slice, and how freely their scores vary; of all units last.

    Attributes
    ----------
    names : tuple of str
        Groups with enough units: the first slices.
    rows : tuple of int
    freedom : tuple of float
        Degrees of freedom of a standard error.
    enough : tuple of bool
        Whether macro-F1 has an interval, see `Cells`.
    majority : str
        Group that must not be degraded.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    freedom: tuple[float, ...]
    enough: tuple[bool, ...]
    majority: str

    @property
    def evaluated(self) -> list[int]:
        """Positions of the groups that take part in means and in the worst."""
        return [i for i in range(len(self.names)) if self.enough[i]]

    def summaries(self, scores: Array) -> dict[str, Array]:
        """Summaries of macro-F1 of each slice, then of all units, (S + 1, draws)."""
        names = tuple(self.names[i] for i in self.evaluated)
        return summaries(names, scores[self.evaluated], scores[-1], self.majority)


@dataclass(frozen=True)
class ClassDraws:
    """Macro-F1 of each group and the summaries of one model, with joint draws."""

    groups: dict[str, Resampled]
    summaries: dict[str, Resampled]

    @classmethod
    def of(cls, scores: Array, sizes: Sizes) -> ClassDraws:
        """From macro-F1 of each slice, then of all units: as they are, and in each draw.

        Parameters
        ----------
        scores : (S + 1, 1 + draws)
        sizes : Sizes
        """
        several = min([sizes.freedom[i] for i in sizes.evaluated], default=0.0)
        freedom = {"macro_f1": sizes.freedom[-1], "mean_group": sizes.freedom[-1]}
        return cls(
            {n: _resampled(scores[i], sizes.rows[i], sizes.freedom[i])
             for i, n in enumerate(sizes.names)},
            {n: _resampled(values, sizes.rows[-1], freedom.get(n, several))
             for n, values in sizes.summaries(scores).items()},
        )  # fmt: skip

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


def _resampled(values: Array, rows: int, freedom: float) -> Resampled:
    return Resampled(float(values[0]), values[1:], rows, freedom)


def sizes_of(groups: Groups, blocks: Blocks, cells: Cells, majority: str = "") -> Sizes:
    """Sizes of the slices, and of all units."""
    each = Window.of(blocks).freedom / blocks.items
    return Sizes(
        groups.names,
        (*np.bincount(groups.index, minlength=groups.cells).tolist(), blocks.n),
        tuple((cells.freedom * each).tolist()),
        tuple(cells.enough.tolist()),
        majority_of(groups.names, majority),
    )


def macro_f1_draws(
    y: Index, predictions: Mapping[Any, Index], groups: Groups, blocks: Blocks, cells: Cells, *,
    draws: int = DRAWS, paired: bool = True,
) -> dict[Any, Array]:  # fmt: skip
    """Macro-F1 of each slice, then of all units: as they are, and in each draw.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    predictions : mapping to (n,) int
        Predicted classes of several models.
    groups : Groups
    blocks : Blocks
        All models see the same draws of them.
    cells : Cells
        Of the same labels.
    draws : int
    paired : bool
        Whether they are for differences of models, see `macro_f1_jackknife`.

    Returns
    -------
    dict to (S + 1, 1 + draws) float64
        Draws are NaN where cells are not enough for an interval.

    Examples
    --------
    >>> from trueness.evaluation.by_group import group_units
    >>> y = np.array([0, 1] * 10)
    >>> groups, blocks = group_units(["en"] * 20, 20, 1), Blocks.of(20)
    >>> cells = Cells.of(y, groups, blocks, 2)
    >>> macro_f1_draws(y, {"a": y, "b": 1 - y}, groups, blocks, cells, draws=3)["b"][0]
    array([0., 0., 0., 0.])
    """
    at_least("draws", draws, 1)
    result = {}
    for name, one in predictions.items():
        own = macro_f1_jackknife(y, one, groups, blocks, cells, paired=paired)
        drawn = np.where(cells.enough[:, None], own.draws(blocks, draws), np.nan)
        result[name] = np.column_stack([own.value, drawn])
    return result
