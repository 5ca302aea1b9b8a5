"""Answers that back off: a leaf if it is sure, else a parent if that is, each cut certified.

Of every group there is a cut for leaves, one for parents of what the first leaves open, and so on.
All of them keep their promise together; see `backing_off_thresholds`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.by_group import check_lengths, group_units
from trueness.evaluation.class_draws import independent
from trueness.evaluation.group_calibration import (
    AbstentionThreshold,
    RankedUnits,
    accepted,
    checked_probabilities,
)
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.levels import Level

Array = NDArray[np.float64]
LIKELY = 0.5
"""Probability to pass from which a threshold counts as the expected one."""
Chain = tuple[AbstentionThreshold, ...]
"""Cuts of a group: of leaves, then of each level above."""


def backing_off_thresholds(
    y: object, probabilities: object, group: object, levels: Sequence[Level] = (),
    blocks: Blocks | None = None, *, precision: float, confidence: float = 0.95,
    min_rows: int = 100,
) -> dict[str, Chain]:  # fmt: skip
    """For each group a cut of leaves, and of each level a cut of what the cuts below leave open.

    Each cut is found as by `trueness.evaluation.group_calibration.abstention_thresholds`: places
    and their order are fixed before any label is seen. The error is divided equally among D levels.
    Which units a parent is asked about depends on the cut below, which was chosen on the same
    labels; so the error of a level is divided once more, over every cut that could have been chosen
    there (Bonferroni, weighted before the labels are seen): a share proportional to ``2 ** -d`` for
    the one d steps from the cut that would pass if the probabilities are right. So all cuts of a
    group keep their promise together with the confidence. Without levels the cuts are those of
    `abstention_thresholds`.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    probabilities : (n, K)
        Of the leaves; rows sum to 1.
    group : (n,) str
    levels : sequence of Level
        Above the leaves, the nearest first.
    blocks : Blocks, optional
        Which units depend on each other; none without.
    precision : float
        To be kept at every level, in (0, 1).
    confidence : float
        In (0.5, 1).
    min_rows : int
        Groups with fewer units share the cuts "other"; see `abstention_thresholds`.

    Returns
    -------
    dict of str to tuple of AbstentionThreshold
        Of leaves first; shares of units accepted are of all units of the group.

    Raises
    ------
    InputError
        If shapes, labels or probabilities cannot be used.

    Examples
    --------
    >>> from trueness.evaluation.levels import levels_of
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(4, size=600)
    >>> p = np.kron(np.eye(2), np.full((2, 2), 0.5))[y]  # which half is known, not which leaf
    >>> levels = levels_of(["a/1", "a/2", "b/1", "b/2"], "/")
    >>> result = backing_off_thresholds(y, p, ["en"] * 600, levels, precision=0.9)
    >>> [one.threshold for one in result["en"]]
    [None, 1.0]
    """
    asked = Asked(precision, 1 - confidence)
    return {
        name: _chain(one, asked)
        for name, one in _groups(y, probabilities, group, levels, blocks, asked, min_rows)
    }


def largest_certified(
    y: object, probabilities: object, group: object, levels: Sequence[Level] = (),
    blocks: Blocks | None = None, *, below: float, confidence: float = 0.95,
    min_rows: int = 100,
) -> dict[str, float]:  # fmt: skip
    """For each group without a cut at a precision, the largest whole percent that has one.

    That is optimistic: it is the best of many that were tried on the same labels, so it says what
    to ask of other units, and certifies nothing.

    Parameters
    ----------
    y, probabilities, group, levels, blocks, confidence, min_rows
        See `backing_off_thresholds`.
    below : float
        The precision that was asked for, in (0, 1).

    Returns
    -------
    dict of str to float
        Without groups that have a cut at `below`, or none at any precision.

    Examples
    --------
    >>> y, p = np.zeros(400, int), np.full(400, 0.8)
    >>> y[::5] = 1
    >>> largest_certified(y, np.c_[p, 1 - p], ["en"] * 400, below=0.9)
    {'en': 0.76}
    """
    asked = Asked(below, 1 - confidence)
    result = {}
    for name, one in _groups(y, probabilities, group, levels, blocks, asked, min_rows):
        if not one.enough or _has_cut(one, asked):
            continue
        lower = (pct / 100 for pct in range(ceil(100 * below) - 1, 0, -1))
        most = next((p for p in lower if _has_cut(one, Asked(p, asked.error))), None)
        if most is not None:
            result[name] = most
    return result


@dataclass(frozen=True)
class Asked:
    """Precision to be kept at every level, and the error of all levels together."""

    precision: float
    error: float


@dataclass(frozen=True)
class Units:
    """Units of a group.

    Attributes
    ----------
    hits, tops : (D, n)
        See `hits_and_tops`.
    block : (n,) int
        Which depend on each other.
    enough : bool
        Whether they are enough for a certificate.
    pooled : tuple of str
        Groups that they are of, where they are of several.
    """

    hits: NDArray[np.bool_]
    tops: Array
    block: NDArray[np.int64]
    enough: bool = True
    pooled: tuple[str, ...] = ()


def _groups(
    y: object, probabilities: object, group: object, levels: Sequence[Level],
    blocks: Blocks | None, asked: Asked, min_rows: int,
) -> Iterator[tuple[str, Units]]:  # fmt: skip
    """Units of each group."""
    confidence = 1 - asked.error
    labels, values = checked_probabilities(y, probabilities, asked.precision, confidence)
    blocks = Blocks.of(len(labels)) if blocks is None else blocks
    check_lengths(y=y, probabilities=probabilities, group=group, blocks=blocks.item)
    groups = group_units(group, len(labels), min_rows, undetermined=True)
    block = independent(blocks)
    hits, tops = hits_and_tops(labels, values, levels)
    for g, name in enumerate(groups.slices):
        inside = groups.index == g
        pooled = () if name in groups.names else tuple(groups.pooled)
        enough = int(inside.sum()) >= min_rows
        yield name, Units(hits[:, inside], tops[:, inside], block[inside], enough, pooled)


def _has_cut(units: Units, asked: Asked) -> bool:
    return any(one.threshold is not None for one in _chain(units, asked))


def hits_and_tops(
    y: NDArray[np.int64], probabilities: Array, levels: Sequence[Level]
) -> tuple[NDArray[np.bool_], Array]:
    """Whether the likeliest class of each level is right, and its probability, (D, n) both."""
    result = [(probabilities, y), *((one.summed(probabilities), one.of[y]) for one in levels)]
    hits = np.array([values.argmax(axis=1) == truth for values, truth in result])
    return hits, np.array([values.max(axis=1) for values, _ in result])


def _chain(group: Units, asked: Asked) -> Chain:
    """Cuts of one group, level by level, each on what the cuts below leave open."""
    levels, n = group.tops.shape
    left, error, result = np.ones(n, bool), asked.error / levels, []
    for hit, top in zip(group.hits, group.tops, strict=True):
        if not left.any():
            result.append(_none(n, group.pooled))
            continue
        units = RankedUnits(hit[left], top[left], group.block[left])
        one = units.certified(asked.precision, 1 - error, group.enough)
        of_all = Estimate.proportion(one.precision.n, n)
        result.append(replace(one, accepted=of_all, pooled=group.pooled))
        error *= _share(units, one.threshold, asked.precision, error)
        if one.threshold is not None:
            left &= top < one.threshold
    return tuple(result)


def _share(units: RankedUnits, chosen: float | None, precision: float, error: float) -> float:
    """Share of the next level's error that belongs to the cut that was chosen; labels have no say.

    The shares of all cuts that could have been, and of none, sum to 1.
    """
    thresholds = units.thresholds
    likely = np.flatnonzero(units.passing(thresholds, precision, error) >= LIKELY)
    expected = likely[0] if len(likely) else len(thresholds)
    weights = 2.0 ** -np.abs(np.arange(len(thresholds) + 1) - expected)
    place = len(thresholds) if chosen is None else int(np.flatnonzero(thresholds == chosen)[0])
    return float(weights[place] / weights.sum())


def _none(n: int, pooled: tuple[str, ...]) -> AbstentionThreshold:
    """No cut: the cuts below leave nothing open."""
    nothing = Estimate.proportion(0, 0)
    return AbstentionThreshold(None, nothing, Estimate.proportion(0, n), True, False, pooled)


def answered_level(
    tops: Array, group: NDArray[np.str_], thresholds: Sequence[dict[str, AbstentionThreshold]]
) -> NDArray[np.int64]:
    """Level whose cut each unit reaches first, (n,): 0 for leaves, -1 for none.

    Parameters
    ----------
    tops : (D, n)
        Largest probability at each level.
    group : (n,) str
    thresholds : sequence of dict
        Cuts of each level, by group.
    """
    result = np.full(tops.shape[1], -1)
    for level in reversed(range(len(tops))):
        result[accepted(tops[level][:, None], group, thresholds[level])] = level
    return result
