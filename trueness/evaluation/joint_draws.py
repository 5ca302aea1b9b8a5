"""AUC and precision of many models on the same units, as joint draws.

All models get the same random noise, so that every comparison of two of them knows what they share.
See `long_run` for the noise, `influence` and `design_effects` for what it moves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import at_least
from trueness.evaluation.blocks import DRAWS, FEWEST_BLOCKS, Blocks
from trueness.evaluation.design_effects import Noisy, Residuals
from trueness.evaluation.influence import (
    AT_ONCE,
    Array,
    auc_influence,
    linear,
    linear_draws,
    too_few,
    with_draws,
)
from trueness.evaluation.long_run import Window
from trueness.evaluation.resampling import Resampled, SortedScores, check_size
from trueness.evaluation.threads import in_threads

NAN, UNDEFINED = float("nan"), np.full(DRAWS, np.nan)


def auc_draws(y_true: object, scores: Iterable[object], *, blocks: Blocks) -> list[Resampled]:
    """AUC of several models on the same units.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    scores : iterable of (n,)
    blocks : Blocks
        Of the n units.

    Returns
    -------
    list of Resampled
        Draws are NaN with fewer than five blocks, or ten positives or negatives.

    Examples
    --------
    >>> y = np.tile([0, 0, 1, 0], 50)
    >>> (auc,) = auc_draws(y, [y + np.arange(200) / 100], blocks=Blocks.of(200, length=5))
    >>> print(auc.proportion(0.95))
    0.877 (0.632–0.967)
    """

    def auc(score: object) -> tuple[Resampled, Array]:
        ranked = _ranked(y_true, score, blocks)
        value, influence = auc_influence(ranked)
        return linear(value, influence, blocks, few=too_few(ranked.y)), influence

    result = in_threads(auc, scores)
    return with_draws([one for one, _ in result], [influence for _, influence in result], blocks)


def masked_auc_draws(
    y: NDArray[Any], scores: Iterable[NDArray[np.float64]], mask: NDArray[np.bool_],
    blocks: Blocks,
) -> list[Resampled]:  # fmt: skip
    """AUC of several models on some of the units, such as those of a year or of a series.

    Parameters
    ----------
    y : (n,)
        Labels of all units, 0 and 1.
    scores : iterable of (n,)
    mask : (n,) bool
    blocks : Blocks
        Of all n units.

    Returns
    -------
    list of Resampled
        Draws are NaN where the units fill fewer than five blocks, or hold fewer than ten positives
        or negatives.
    """
    inside = y[mask]
    few = too_few(inside) or round(blocks.count * float(mask.mean())) < FEWEST_BLOCKS
    result = []
    for score in scores:
        influence = np.zeros(len(mask))
        auc, influence[mask] = auc_influence(SortedScores.of(inside, score[mask]))
        result.append(replace(linear_draws(auc, influence, blocks, few=few), n=len(inside)))
    return result


def precision_draws(
    y_true: object, scores: Iterable[object], *, alarms: int, blocks: Blocks
) -> list[Resampled]:
    """Precision of several models at the same number of alarms.

    Scores tied at the edge raise no alarm. Thirty alarms cannot tell how much their hits depend on
    each other, and two models that share most of them can tell it still less of the few by which
    they differ: draws move the labels of alarms as the residuals of all units depend on each other
    (see `Residuals`), and spread as far as the effective number of alarms says.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    scores : iterable of (n,)
    alarms : int
        Budget, at least 1; all units if it is larger.
    blocks : Blocks

    Returns
    -------
    list of Resampled
        Its `n` is the number of alarms; with `depends`. Draws are NaN with fewer than five blocks,
        or ten positives or negatives.
    """
    budget, window = at_least("alarms", alarms, 1), Window.of(blocks)

    def precision(score: object) -> tuple[Resampled, Noisy | None]:
        ranked = _ranked(y_true, score, blocks)
        n, residuals = ranked.above(budget), Residuals.of(ranked, blocks)
        depends = residuals.of_alarms(ranked, n, by_rank=True)
        if not n:
            return Resampled(NAN, UNDEFINED, 0, window.freedom, NAN, depends), None
        raised = ranked.order[:n]
        hits = int(ranked.y[raised].sum())
        if blocks.few or too_few(ranked.y):
            return Resampled(hits / n, UNDEFINED, n, window.freedom, NAN, depends), None
        smoothed = (hits + 1) / (n + 2)
        error = float(np.sqrt(depends.effect * smoothed * (1 - smoothed) / n))
        matches = Resampled(hits / n, UNDEFINED, n, window.freedom, error, depends)
        return matches, residuals.noisy(ranked, n)

    matches = in_threads(precision, scores)
    moving = [(i, noisy) for i, (_, noisy) in enumerate(matches) if noisy is not None]
    result = [one for one, _ in matches]
    for start in range(0, len(moving), AT_ONCE):
        some = moving[start : start + AT_ONCE]
        moved = window.draws(np.array([noisy.labels for _, noisy in some]))
        moved += window.draws(np.array([noisy.cut for _, noisy in some]), seed=1)
        for (i, noisy), sums in zip(some, moved, strict=True):
            one = result[i]
            draws = one.value + one.error * (sums + noisy.own) / noisy.error
            result[i] = replace(one, draws=draws)
    return result


def _ranked(y_true: object, score: object, blocks: Blocks) -> SortedScores:
    ranked = SortedScores.of(y_true, score)
    check_size(blocks, len(ranked.y))
    return ranked
