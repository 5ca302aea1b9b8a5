"""What a statistic owes to each unit: influences, whose sum over a resample is its deviation.

A statistic of n units is its value plus the sum of the influences of other units, up to terms that
vanish faster. So its variance is that of a sum, for which there is `long_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.blocks import DRAWS, Blocks
from trueness.evaluation.long_run import Window
from trueness.evaluation.resampling import Resampled, SortedScores

Array = NDArray[np.float64]
Index = NDArray[np.int64]
FEWEST = 10
"""Positives, and negatives, below which there is no interval."""
AT_ONCE = 128
"""Statistics whose draws are made in one product."""


def auc_influence(ranked: SortedScores) -> tuple[float, Array]:
    """AUC, and what it owes to each unit, (n,); NaN and zeros with one class only.

    The placement of a positive is the share of negatives below it, that of a negative the share of
    positives above it, ties half. DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two
    or more correlated receiver operating characteristic curves" (1988).

    Examples
    --------
    >>> auc, each = auc_influence(SortedScores.of([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]))
    >>> auc, each.tolist()
    (0.75, [0.125, -0.125, -0.125, 0.125])
    """
    return _auc_of(ranked, ranked.order, ranked.ends)


def auc_in_fold_influence(ranked: SortedScores, fold: Index) -> tuple[float, Array]:
    """Mean of the AUCs inside each fold (n,) that has both classes, and its influences (n,)."""
    each = [_auc_of(ranked, order, ends) for order, ends in ranked.in_folds(fold)]
    if not each:
        return float("nan"), np.zeros(len(ranked.y))
    return float(np.mean([auc for auc, _ in each])), np.mean([one for _, one in each], axis=0)


def _auc_of(ranked: SortedScores, order: Index, ends: Index) -> tuple[float, Array]:
    """AUC of some units by falling score, and influences of all units."""
    influence, y = np.zeros(len(ranked.y)), ranked.positive[order]
    positives = int(np.count_nonzero(y))
    negatives = len(order) - positives
    if not positives or not negatives:
        return float("nan"), influence
    starts, sizes = np.append(0, ends[:-1]), np.diff(ends, prepend=0)
    above = np.append(0, np.cumsum(y))
    mean = (above[starts] + above[ends]) / 2  # positives above, those of equal scores half
    higher = np.repeat(mean, sizes)
    lower = np.repeat(negatives - ((starts + ends) / 2 - mean), sizes)
    placement = np.where(y, lower / negatives, higher / positives)
    auc = float(placement[y].mean())
    influence[order] = (placement - auc) / np.where(y, positives, negatives)
    return auc, influence


def average_precision_influence(ranked: SortedScores) -> tuple[float, Array]:
    """Average precision, and what it owes to each unit, (n,); NaN and zeros without positives.

    The derivative to the weight of each unit: a positive brings the precision at its own score, and
    every unit moves the precision at all lower ones.

    Examples
    --------
    >>> area, each = average_precision_influence(SortedScores.of([0, 0, 1, 1], [1, 4, 3, 8]))
    >>> round(area, 3), each.round(3).tolist()
    (0.833, [-0.0, -0.111, -0.028, 0.139])
    """
    influence, y = np.zeros(len(ranked.y)), ranked.positive[ranked.order].astype(np.float64)
    positives = float(y.sum())
    if not positives:
        return float("nan"), influence
    sizes = np.diff(ranked.ends, prepend=0)
    starts, ends = np.repeat(ranked.ends - sizes, sizes), np.repeat(ranked.ends, sizes)
    precision = np.cumsum(y)[ends - 1] / ends
    area = float((y * precision).sum() / positives)
    lower, moved = (
        np.append(np.cumsum(each[::-1])[::-1], 0.0)[starts]
        for each in (y / ends, y * precision / ends)
    )
    influence[ranked.order] = (y * (precision - area + lower) - moved) / positives
    return area, influence


def precision_at_edge(ranked: SortedScores, count: int) -> float:
    """Share of positives around the rank `count`: from half of it to one and a half times it."""
    around = ranked.order[count // 2 : count + max(1, count // 2)]
    return float(ranked.y[around].mean())


def perfect_bound(y: NDArray[np.uint8], blocks: Blocks, confidence: float) -> float:
    """One-sided lower bound of an AUC where every positive outranks every negative.

    Pairs of a positive and a negative of different blocks are independent, and each is in order
    with the AUC as its probability. With m of them in order the bound is ``(1 - confidence)^(1/m)``
    (Clopper and Pearson, 1934); m is the number of blocks that hold the rarer class.

    Examples
    --------
    >>> round(perfect_bound(np.tile([0, 1], 50), Blocks.of(100), 0.95), 3)
    0.942
    """
    block = blocks.item // blocks.length
    independent = min(len(np.unique(block[y == label])) for label in (0, 1))
    return float((1 - confidence) ** (1 / independent))


def too_few(y: NDArray[Any]) -> bool:
    """Whether there are fewer than ten positives, or negatives."""
    positives = int(np.count_nonzero(y))
    return min(positives, len(y) - positives) < FEWEST


def linear(value: float, influence: Array, blocks: Blocks, *, few: bool = False) -> Resampled:
    """A statistic with the standard error that its influences (n,) give it, without draws.

    Parameters
    ----------
    value : float
    influence : (n,)
    blocks : Blocks
    few : bool
        Whether the units are too few for an interval; also with fewer than five blocks.
    """
    window = Window.of(blocks)
    if few or blocks.few or not np.isfinite(value):
        return Resampled(value, np.empty(0), blocks.n, window.freedom, float("nan"))
    error = float(window.variance(blocks.totals(influence))) ** 0.5
    return Resampled(value, np.empty(0), blocks.n, window.freedom, error)


def with_draws(
    statistics: Sequence[Resampled], influences: Sequence[Array], blocks: Blocks,
    draws: int = DRAWS,
) -> list[Resampled]:  # fmt: skip
    """Statistics of `linear` with normal draws, from the same noise for all."""
    result = []
    for start in range(0, len(statistics), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        sums = [blocks.totals(one) for one in influences[some]]
        window = Window.of(blocks)
        moved = window.draws(window.coloured(window.transform(sums)), draws)
        for one, deviation in zip(statistics[some], moved, strict=True):
            known = np.isfinite(one.error)
            every = one.value + deviation if known else np.full(draws, np.nan)
            result.append(replace(one, draws=every))
    return result


def linear_draws(value: float, influence: Array, blocks: Blocks, *, few: bool = False) -> Resampled:
    """A statistic from its influences (n,), with draws; see `linear` and `with_draws`."""
    return with_draws([linear(value, influence, blocks, few=few)], [influence], blocks)[0]
