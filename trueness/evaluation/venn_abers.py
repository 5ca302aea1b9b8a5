"""Isotonic regression of 0/1 labels with one more example at every possible place, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pool = tuple[int, int, int]
"""Examples, positives, and the group at which the next pool begins."""


def _pools(weight: list[int], positives: list[int]) -> list[Pool]:
    """First pool of the isotonic regression of groups i, i + 1, ..., for every i.

    That of the groups from i on goes on with that of the groups from the next pool on.
    """
    pools: list[Pool] = [(0, 0, 0)] * len(weight)
    for i in range(len(weight) - 1, -1, -1):
        pools[i] = _absorb(weight[i], positives[i], i + 1, pools)
    return pools


def _absorb(w: int, s: int, following: int, pools: list[Pool]) -> Pool:
    """Pool of w examples, s positive, with those after it that have no larger share."""
    while following < len(pools) and pools[following][1] * w <= s * pools[following][0]:
        more, positive, following = pools[following]
        w, s = w + more, s + positive
    return w, s, following


def values_of_one_more(weight: list[int], positives: list[int]) -> NDArray[np.float64]:
    """Isotonic value of one more example of label 0 or 1 in each gap and each group.

    Pools left of the place and right of it are known for every place, so each insertion only
    merges what it violates; in whole numbers, hence exactly.

    Parameters
    ----------
    weight, positives : k int
        Examples and positives of each group of equal scores, by ascending score.

    Returns
    -------
    (2 k + 1, 2) float64
        Row 2 i is the gap before group i, row 2 i + 1 the group itself; columns are labels 0, 1.

    Examples
    --------
    >>> values_of_one_more([2], [1]).round(3)
    array([[0.   , 0.667],
           [0.333, 0.667],
           [0.333, 1.   ]])
    """
    k, negatives = len(weight), [w - s for w, s in zip(weight, positives, strict=True)]
    right = _pools(weight, positives)
    left = _pools(weight[::-1], negatives[::-1])  # a falling regression, seen from behind
    values = np.empty((2 * k + 1, 2))
    for place in range(2 * k + 1):
        i, tied = divmod(place, 2)
        for label in (0, 1):
            w, s = (1 + weight[i], label + positives[i]) if tied else (1, label)
            before, after, settled = k - i, i + tied, False
            while not settled:
                w, s, after_now = _absorb(w, s, after, right)
                w, fails, before_now = _absorb(w, w - s, before, left)
                s, settled = w - fails, (before, after) == (before_now, after_now)
                before, after = before_now, after_now
            values[place, label] = s / w
    return values
