"""Macro-F1 of each group, and how it deviates without each cluster: a jackknife in one pass.

F1 of a class is a ratio of counts, so leaving a cluster out changes only the classes that it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from trueness.evaluation.blocks import DRAWS, FEWEST_BLOCKS, Blocks
from trueness.evaluation.by_group import (
    FEWEST_UNITS,
    Groups,
    check_lengths,
    checked_groups,
    checked_labels,
    class_f1,
    summaries,
)
from trueness.evaluation.long_run import Window

Array = NDArray[np.float64]
Index = NDArray[np.int64]
FEWEST_ITEMS = 2
"""Clusters that must hold a class for it to count: of one alone nobody knows how it varies."""
FEWEST_CLASSES = 2
"""Classes that a group needs for a macro-F1 with an interval."""


@dataclass(frozen=True)
class Cells:
    """Which classes of which slices count, and how many units stand for themselves.

    Attributes
    ----------
    counted : (S + 1, K) bool
        Classes of each slice, then of all units, that macro-F1 is the mean over: those with at
        least five units of at least two clusters; all that occur where fewer than two have so many.
    enough : (S + 1,) bool
        Slices with two such classes and five clusters; the others have no interval, and take no
        part in means and in the worst.
    items : (S + 1,) int64
        Clusters, times or units that are resampled.
    freedom : (S + 1,) float64
        Degrees of freedom of the variance of macro-F1 over these items.
    """

    counted: NDArray[np.bool_]
    enough: NDArray[np.bool_]
    items: Index
    freedom: Array

    @classmethod
    def of(cls, y: Index, groups: Groups, blocks: Blocks, n_classes: int) -> Cells:
        """Of labels (n,) in the slices of their groups."""
        s, item, cell = groups.cells, blocks.item, groups.index * n_classes + y
        inside, size = np.bincount(cell, minlength=s * n_classes), (s, n_classes)
        units = np.vstack([inside.reshape(size), np.bincount(y, minlength=n_classes)])
        held = np.vstack([
            _holders(cell, item, s * n_classes).reshape(size), _holders(y, item, n_classes)
        ])  # fmt: skip
        items = np.append(_holders(groups.index, item, s), blocks.items)
        large = (units >= FEWEST_UNITS) & (held >= FEWEST_ITEMS)
        several = large.sum(axis=1) >= FEWEST_CLASSES
        counted = np.where(several[:, None], large, units > 0)
        return cls(
            counted, several & (items >= FEWEST_BLOCKS * blocks.length), items,
            np.minimum(_freedom(np.where(counted, held, 0)), items - 1),
        )  # fmt: skip


def _freedom(held: Index) -> Array:
    """Degrees of freedom of the variance of a mean over classes, (S + 1,).

    The variance of a class that n items hold is known to n - 1 degrees of freedom and falls with
    n, so that rare classes, of which least is known, weigh most. Satterthwaite, "An approximate
    distribution of estimates of variance components" (1946).

    Parameters
    ----------
    held : (S + 1, K) int64
        Items that hold each class that counts; 0 for the others.
    """
    variance = np.divide(1, held, out=np.zeros(held.shape), where=held > 0)
    unsure = np.square(variance) / np.maximum(held - 1, 1)
    return np.square(variance.sum(axis=1)) / unsure.sum(axis=1)


def _holders(cell: Index, item: Index, cells: int) -> Index:
    """Items that hold a unit of each cell, (cells,)."""
    width = int(item.max()) + 1
    return np.bincount(np.unique(cell * width + item) // width, minlength=cells)


@dataclass(frozen=True)
class Jackknife:
    """Macro-F1 of each slice, then of all units, and its deviations.

    Attributes
    ----------
    value : (S + 1,) float64
        Mean of F1 over the classes that count.
    deviation : (S + 1, items) sparse float32
        What the value owes to each cluster.
    """

    value: Array
    deviation: csr_array

    def draws(self, blocks: Blocks, draws: int = DRAWS, seed: int = 0) -> Array:
        """Normal draws around the values, (S + 1, draws); the same numbers for every model."""
        window = Window.of(blocks)
        deviation = window.coloured(window.transform(self.deviation.toarray()))
        return self.value[:, None] + window.draws(deviation, draws, seed)


def macro_f1_jackknife(
    y: Index,
    predicted: Index,
    groups: Groups,
    blocks: Blocks,
    cells: Cells,
    *,
    paired: bool = False,
) -> Jackknife:
    """Macro-F1 over the classes that count, each cluster (or time, or unit) left out in turn.

    The squares of these deviations overstate the variance where few clusters hold a class, which
    makes up for the skewness of a single macro-F1. Efron and Stein, "The jackknife estimate of
    variance" (1981). It would only blunt the difference of two models, in which skewness cancels:
    `paired` deviations are smaller by the root of the share of the class that is left, and unbiased
    for a mean. MacKinnon and White, "Some heteroskedasticity-consistent covariance matrix
    estimators with improved finite sample properties" (1985), HC2 in place of HC3.

    Parameters
    ----------
    y, predicted : (n,) int64
        Classes, 0 to K - 1.
    groups : Groups
    blocks : Blocks
    cells : Cells
        Of the same labels.
    paired : bool
        Whether the draws are for differences of models.

    Examples
    --------
    >>> from trueness.evaluation.by_group import group_units
    >>> y, groups, blocks = np.tile([0, 1], 10), group_units(None, 20, 1), Blocks.of(20)
    >>> cells = Cells.of(y, groups, blocks, 2)
    >>> macro_f1_jackknife(y, np.append(1, y[1:]), groups, blocks, cells).value.round(3)
    array([0.95, 0.95])
    """
    whole = np.zeros_like(y), cells.counted[-1:]
    parts = [
        _deviations(y, predicted, index, blocks, counted, paired)
        for index, counted in ((groups.index, cells.counted[:-1]), whole)
    ]
    deviation = csr_array(vstack([deviation for _, deviation in parts]))
    return Jackknife(np.concatenate([v for v, _ in parts]), _scaled(deviation, cells.items))


def _deviations(
    y: Index, predicted: Index, slice_: Index, blocks: Blocks, counted: NDArray[np.bool_],
    paired: bool,
) -> tuple[Array, csr_array]:  # fmt: skip
    """Macro-F1 of each slice, and it minus that without each item, where these differ."""
    (s, k), wrong, n = counted.shape, y != predicted, blocks.items
    cell = np.concatenate([slice_ * k + y, (slice_ * k + predicted)[wrong]])
    item = np.concatenate([blocks.item, blocks.item[wrong]])
    hit = np.concatenate([~wrong, wrong[wrong] & False])
    pairs, place = np.unique(cell * n + item, return_inverse=True)
    own, holder = np.divmod(pairs, n)
    both, hits = np.bincount(place, 1.0 + hit), np.bincount(place, hit)
    all_both, all_hits = (np.bincount(own, some, s * k) for some in (both, hits))
    f1 = _f1(all_hits, all_both)
    moved = f1[own] - _f1(all_hits[own] - hits, all_both[own] - both)
    if paired:
        moved *= np.sqrt(1 - both / all_both[own])
    many = counted.sum(axis=1)
    value = np.where(counted, f1.reshape(s, k), 0.0).sum(axis=1) / np.maximum(many, 1)
    inside = counted.ravel()[own]
    group = own[inside] // k
    return value, csr_array((moved[inside] / many[group], (group, holder[inside])), (s, n))


def _f1(hits: Array | Index, both: Array | Index) -> Array:
    return class_f1(np.stack([hits, both, np.zeros_like(both)]).astype(np.float64))


def _scaled(deviation: csr_array, items: Index) -> csr_array:
    """Deviations times what gives them the variance of a jackknife over the items of their slice.

    The noise that they meet has the variance n / (n - 1) over all n items.
    """
    share = 1 - 1 / np.maximum(items, 2)
    return csr_array(deviation.multiply(np.sqrt(share * share[-1])[:, None])).astype(np.float32)


# --------------------------------------------------------------------------------------- selection


def selection_scores(
    y: object, predicted: object, group: object, n_classes: int, min_rows: int
) -> dict[str, float]:
    """Plain scores for choosing an epoch or a penalty, as `Cells` counts them; no intervals.

    Where no group has enough units of two classes, all groups take part.

    Parameters
    ----------
    y, predicted : (n,) int
        Classes, 0 to K - 1.
    group : (n,) str
    n_classes : int
        K.
    min_rows : int
        Units a group needs to count.

    Returns
    -------
    dict of str to float
        ``macro_f1``, ``mean_group``, ``worst_group``, each in [0, 1].

    Raises
    ------
    InputError
        If no group has enough units.

    Examples
    --------
    >>> selection_scores(np.array([0, 1, 0, 1]), np.array([0, 1, 1, 1]), ["en"] * 2 + ["de"] * 2,
    ...                  n_classes=2, min_rows=2)["worst_group"]
    0.3333333333333333
    """
    check_lengths(y=y, predicted=predicted, group=group)
    labels = checked_labels("y", y, n_classes)
    guesses = checked_labels("predicted", predicted, n_classes)
    groups, blocks = checked_groups(group, min_rows), Blocks.of(len(labels))
    cells = Cells.of(labels, groups, blocks, n_classes)
    value = macro_f1_jackknife(labels, guesses, groups, blocks, cells).value[:, None]
    every = range(len(groups.names))
    some = [i for i in every if cells.enough[i]] or list(every)
    result = summaries(tuple(groups.names[i] for i in some), value[some], value[-1])
    return {n: float(result[n][0]) for n in ("macro_f1", "mean_group", "worst_group")}
