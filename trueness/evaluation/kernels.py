"""Compiled statistics of many resamples of the same units, (n, draws) -> (draws,).

Units are walked once by falling score, all resamples side by side; how often each counts is a row
of `weights`. Counts are whole numbers and their sums exact. Each kernel is compiled on its first
call; importing this module compiles nothing, but it loads numba: import it where it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import compiled

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
FEW_TIES = 8
"""Candidates that are ranked one by one."""


@compiled
def _add(
    total: NDArray[Any], weights: NDArray[Any], wanted: bool, positive: Mask, units: Index
) -> None:
    """Add how often those of some units occur whose label is as wanted, (draws,)."""
    for unit in units:
        if positive[unit] == wanted:
            row = weights[unit]
            for k in range(len(row)):
                total[k] += row[k]


@compiled
def _lose(fresh: NDArray[Any], above: NDArray[Any], lost: NDArray[Any], hits: NDArray[Any]) -> None:
    """Count what `fresh` positives lose to the negatives above them, and the hits, (draws,)."""
    for k in range(len(hits)):
        lost[k] += fresh[k] * above[k]
        hits[k] += fresh[k]


@compiled
def _gain(fresh: NDArray[Any], above: NDArray[Any], hits: NDArray[Any], area: Array) -> None:
    """Add the precision that `fresh` positives see, each, (draws,)."""
    for k in range(len(hits)):
        area[k] += fresh[k] * (hits[k] / max(hits[k] + 0.5 * above[k], 1.0))


@compiled
def ranking_of_draws(
    weights: NDArray[Any], positive: Mask, order: Index, ends: Index, zeros: NDArray[Any],
    precision_too: bool,
) -> tuple[Array, Array]:  # fmt: skip
    """AUC and average precision of each resample.

    Parameters
    ----------
    weights : (n, draws) uint8 or uint16
        How often each unit occurs.
    positive : (n,) bool
    order : (m,) int64
        Units by falling score; those left out do not count.
    ends : (groups,) int64
        Position after the last of each group of equal scores.
    zeros : (draws,)
        Zeros of the type that sums; it must hold twice the largest number of pairs.
    precision_too : bool
        Else the second result means nothing.

    Returns
    -------
    auc, average_precision : (draws,) float64
        Ties count half; NaN where a class, or every positive, is missing.
    """
    draws, start = len(zeros), 0
    above, lost, hits = zeros.copy(), zeros.copy(), zeros.copy()  # `above`: twice the negatives
    fresh, area = zeros.copy(), np.zeros(draws)
    for end in ends:
        units = order[start:end]
        if len(units) > 1:
            fresh[:] = 0
            _add(fresh, weights, True, positive, units)
            _add(above, weights, False, positive, units)
            _lose(fresh, above, lost, hits)
            _add(above, weights, False, positive, units)
            if precision_too:
                _gain(fresh, above, hits, area)
        elif positive[units[0]]:
            _lose(weights[units[0]], above, lost, hits)
            if precision_too:
                _gain(weights[units[0]], above, hits, area)
        else:
            row = weights[units[0]]
            for k in range(draws):
                above[k] += 2 * row[k]
        start = end
    auc = np.empty(draws)
    for k in range(draws):
        pairs = float(hits[k]) * float(above[k])
        auc[k] = (pairs - lost[k]) / pairs
        area[k] /= hits[k]
    return auc, area


@compiled
def precision_of_draws(
    weights: NDArray[Any], positive: Mask, order: Index, ends: Index, alarms: int
) -> Array:
    """Share of hits among the `alarms` highest units of each resample.

    A unit that occurs more often than the budget has room for counts in part; so does each unit of
    a group of equal scores, as if the order among them were drawn at random.

    Parameters
    ----------
    weights, positive, order, ends
        As for `ranking_of_draws`.
    alarms : int
        At most n.

    Returns
    -------
    (draws,) float64
    """
    draws, start = weights.shape[1], 0
    left, hits = np.full(draws, float(alarms)), np.zeros(draws)
    size, good = np.empty(draws), np.empty(draws)
    for end in ends:
        size[:] = 0.0
        good[:] = 0.0
        _add(size, weights, False, positive, order[start:end])
        _add(good, weights, True, positive, order[start:end])
        open_ = 0.0
        for k in range(draws):
            size[k] += good[k]
            taken = min(size[k], left[k])
            if taken > 0:
                hits[k] += good[k] * taken / size[k]
                left[k] -= taken
            open_ = max(open_, left[k])
        if open_ == 0.0:
            break
        start = end
    for k in range(draws):  # resamples of unequal times may hold fewer units than the budget
        hits[k] /= alarms - left[k]
    return hits


@compiled
def gaps_of_draws(weights: NDArray[Any], gap: Array, order: Index, ends: Index) -> Array:
    """Sum over bins of the absolute sum of the gaps of their units, in each resample.

    Parameters
    ----------
    weights : (n, draws) uint8 or uint16
    gap : (n,) float64
    order : (n,) int64
        Units by bin.
    ends : (bins,) int64
        Position after the last unit of each bin.

    Returns
    -------
    (draws,) float64
    """
    draws, start = weights.shape[1], 0
    total, inside = np.zeros(draws), np.empty(draws)
    for end in ends:
        inside[:] = 0.0
        for unit in order[start:end]:
            row, of_unit = weights[unit], gap[unit]
            for k in range(draws):
                inside[k] += row[k] * of_unit
        for k in range(draws):
            total[k] += abs(inside[k])
        start = end
    return total


@compiled
def won_pairs(positive: Mask, order: Index, ends: Index, piece: Index, pieces: int) -> Array:
    """Pairs of a positive of one piece that outranks a negative of another, ties half.

    Parameters
    ----------
    positive, order, ends
        As for `ranking_of_draws`.
    piece : (n,) int64
    pieces : int

    Returns
    -------
    (pieces, pieces) float64
        Rows are pieces of positives, columns of negatives.
    """
    above, won, start = np.zeros(pieces), np.zeros((pieces, pieces)), 0
    positives = np.zeros(pieces)
    for end in ends:
        units = order[start:end]
        for unit in units:
            if not positive[unit]:
                above[piece[unit]] += 0.5
        for unit in units:
            if positive[unit]:
                won[piece[unit]] -= above
                positives[piece[unit]] += 1.0
        for unit in units:
            if not positive[unit]:
                above[piece[unit]] += 0.5
        start = end
    for i in range(pieces):
        won[i] += positives[i] * above
    return won


@compiled
def largest_deviations(deviation: Array, scale: Array) -> Array:
    """Largest absolute difference of two rows, times the scale of the pair, for each column.

    Parameters
    ----------
    deviation : (m, draws) float64
    scale : (m, m) float64

    Returns
    -------
    (draws,) float64
    """
    m, draws = deviation.shape
    largest = np.zeros(draws)
    for i in range(m):
        for j in range(i + 1, m):
            one, other, times = deviation[i], deviation[j], scale[i, j]
            for k in range(draws):
                t = abs((other[k] - one[k]) * times)
                largest[k] = t if t > largest[k] else largest[k]
    return largest


@compiled
def _rank(values: Array, one: float) -> float:
    """Rank of one of some values, from 1 for the smallest; ties have their mean rank."""
    below, equal = 0, 0
    for value in values:
        below += value < one
        equal += value == one
    return below + (equal + 1) / 2


@compiled
def ranks_of_best(inside: Array, outside: Array) -> Array:
    """Rank outside, from 1 for the worst, of the candidate that is best inside.

    Ties have their mean rank; of equally good candidates the mean of their ranks.

    Parameters
    ----------
    inside, outside : (splits, m) float64

    Returns
    -------
    (splits,) float64
    """
    splits = len(inside)
    result = np.empty(splits)
    for s in range(splits):
        best = np.flatnonzero(inside[s] == inside[s].max())
        total = 0.0
        if len(best) <= FEW_TIES:
            for i in best:
                total += _rank(outside[s], outside[s, i])
        else:  # one sort is faster than that many walks
            ranked = np.sort(outside[s])
            for i in best:
                below = np.searchsorted(ranked, outside[s, i])
                total += (below + np.searchsorted(ranked, outside[s, i], side="right") + 1) / 2
        result[s] = total / len(best)
    return result
