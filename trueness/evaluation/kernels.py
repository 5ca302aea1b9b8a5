"""Compiled loops over pairs of pieces, of models and of ranks.

`trueness.compiling` says how they are compiled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import compiled

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
FEW_TIES = 8
"""Candidates that are ranked one by one."""


@compiled
def won_pairs(positive: Mask, order: Index, ends: Index, piece: Index, pieces: int) -> Array:
    """Pairs of a positive of one piece that outranks a negative of another, ties half.

    Parameters
    ----------
    positive, order, ends
        Labels, units by falling score, and the position after each group of equal scores.
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
