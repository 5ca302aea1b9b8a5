"""Top-k accuracy: how often the true class is among the k that a model ranks first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from trueness.evaluation.blocks import DRAWS, FEWEST_BLOCKS, Blocks
from trueness.evaluation.by_group import Groups
from trueness.evaluation.class_draws import atom_of, atom_weights, independent
from trueness.evaluation.clusters import by_cluster, effective_clusters
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled
from trueness.evaluation.selection import Contrast, simultaneous_contrasts

Array = NDArray[np.float64]
Index = NDArray[np.int64]
TOP = (1, 3, 5)
ALL = "all"
"""All units, beside the groups."""


def tops(classes: int) -> tuple[int, ...]:
    """How many first classes count: fewer than there are.

    Examples
    --------
    >>> tops(2), tops(4), tops(24)
    ((1,), (1, 3), (1, 3, 5))
    """
    return tuple(k for k in TOP if k < max(classes, 2))


def top_name(k: int) -> str:
    """Name of an estimate."""
    return f"top_{k}"


def positions(y: Index, scores: Array) -> Index:
    """Place of the true class among those ranked by falling score, (n,), from 0.

    Of equal scores the first class comes first, as it is the one that is predicted.

    Parameters
    ----------
    y : (n,) int
    scores : (n, K)

    Examples
    --------
    >>> positions(np.array([0, 1, 2]), np.array([[3.0, 1, 2], [3, 1, 2], [1, 1, 1]])).tolist()
    [0, 2, 2]
    """
    own = scores[np.arange(len(y)), y][:, None]
    before = np.arange(scores.shape[1]) < y[:, None]
    return ((scores > own) | ((scores == own) & before)).sum(axis=1)


@dataclass(frozen=True)
class TopDifference:
    """Top-k accuracy of a model and of another in some units, and the difference.

    Attributes
    ----------
    first, second : float
    difference : Contrast
        First minus second, simultaneous over all slices and all k.
    """

    first: float
    second: float
    difference: Contrast

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**asdict(self), "difference": self.difference.to_dict()}


def compare_tops(
    first: Index, second: Index, classes: int, groups: Groups, blocks: Blocks, *,
    draws: int = DRAWS, confidence: float = 0.95,
) -> dict[str, dict[str, TopDifference]]:  # fmt: skip
    """First model minus second, on the same units, per group and over all.

    Parameters
    ----------
    first, second : (n,) int
        See `positions`.
    classes : int
    groups : Groups
    blocks : Blocks
        What is resampled together.
    draws : int
    confidence : float

    Returns
    -------
    dict of str to dict of str to TopDifference
        ``all`` units and each group: ``top_1`` and so on. Without an interval where there are fewer
        than five blocks.

    Examples
    --------
    >>> from trueness.evaluation.by_group import group_units
    >>> place, blocks = np.arange(40) % 4, Blocks.of(40)
    >>> result = compare_tops(place, place, 4, group_units(None, 40, 1), blocks, draws=50)
    >>> result["all"]["top_3"].first, result["all"]["top_3"].difference.pointwise.value
    (0.75, 0.0)
    """
    ks = tops(classes)
    hits = np.stack([np.stack([one < k for k in ks]) for one in (first, second)]).astype(float)
    drawn = _differences(hits, groups, blocks, draws)
    enough = [one for one in drawn.values() if np.isfinite(one.error)]
    known = iter(simultaneous_contrasts(enough, confidence))
    result: dict[str, dict[str, TopDifference]] = {}
    for (name, k), one in drawn.items():
        contrast = next(known) if np.isfinite(one.error) else _unknown(one)
        inside = _inside(groups, name)
        own, other = (float(side[ks.index(k)][inside].mean()) for side in hits)
        result.setdefault(name, {})[top_name(k)] = TopDifference(own, other, contrast)
    return result


def _inside(groups: Groups, name: str) -> NDArray[np.bool_]:
    if name == ALL:
        return np.ones(len(groups.index), bool)
    return groups.index == groups.slices.index(name)


def _unknown(difference: Resampled) -> Contrast:
    alone = Estimate(difference.value, None, None, difference.n)
    return Contrast(alone, alone)


def _differences(
    hits: Array, groups: Groups, blocks: Blocks, draws: int
) -> dict[tuple[str, int], Resampled]:
    """Mean of first hits minus second ones of each slice and k, with joint draws.

    Parameters
    ----------
    hits : (2, k, n)
    groups, blocks, draws
    """
    names = [ALL, *groups.slices]
    width = len(hits[0])
    gains, atom = hits[0] - hits[1], atom_of(blocks)
    sums = _sums([*gains, np.ones(blocks.n)], groups, atom)

    def means(weights: Array) -> Array:
        totals = (sums @ weights).reshape(len(names), width + 1, weights.shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return totals[:, :width] / totals[:, width:]

    whole = means(np.ones((sums.shape[1], 1)))
    drawn = [means(weights) for weights in atom_weights(blocks, draws)]
    every = np.concatenate([np.empty((len(names), width, 0)), *drawn], axis=2)
    result = {}
    for s, name in enumerate(names):
        inside = _inside(groups, name)
        cluster = independent(blocks)[inside]
        freedom = max(effective_clusters(cluster) - 1, 1.0)
        for i in range(width):
            value = float(whole[s, i, 0])
            wider = value + (every[s, i] - value) * ((freedom + 1) / freedom) ** 0.5
            own = wider if len(np.unique(cluster)) >= FEWEST_BLOCKS else np.empty(0)
            result[name, TOP[i]] = Resampled(value, own, int(inside.sum()), freedom)
    return result


def _sums(values: Sequence[Array], groups: Groups, atom: Index) -> csr_array:
    """Sums of each value (n,) in all units, then in each group, inside atoms; a row per sum."""
    every, atoms = np.arange(len(atom)), int(atom.max()) + 1
    width, cells = len(values), len(groups.slices)
    slices = [np.zeros(len(atom), np.int64), *([groups.index + 1] if cells else [])]
    shape = (width * (1 + cells), atoms)
    made = [
        by_cluster(every, index * width + column, value, atom, shape)
        for index in slices
        for column, value in enumerate(values)
    ]
    return csr_array(sum(made[1:], made[0]))
