"""AUC and precision of many models on the same units, as joint draws.

All models get the same random multipliers, so that every comparison of two of them knows what they
share. See `long_run` for the multipliers, `influence` for what they multiply.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from trueness.errors import at_least
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import Residuals
from trueness.evaluation.influence import (
    Array,
    auc_influence,
    linear,
    precision_influence,
    too_few,
    with_draws,
)
from trueness.evaluation.resampling import Resampled, SortedScores, check_size
from trueness.evaluation.threads import in_threads


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
    0.877 (0.631–0.967)
    """

    def auc(score: object) -> tuple[Resampled, Array]:
        ranked = _ranked(y_true, score, blocks)
        value, influence = auc_influence(ranked)
        return linear(value, influence, blocks, few=too_few(ranked.y)), influence

    found = in_threads(auc, scores)
    return with_draws([one for one, _ in found], [influence for _, influence in found], blocks)


def precision_draws(
    y_true: object, scores: Iterable[object], *, alarms: int, blocks: Blocks
) -> list[Resampled]:
    """Precision of several models at the same number of alarms.

    Scores tied at the edge raise no alarm. The spread of the draws is at least the standard error
    that the effective number of alarms has, which is estimated from all units and not from a few
    alarms (see `Residuals`).

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
        Its `n` is the number of alarms; with `depends`.
    """
    budget = at_least("alarms", alarms, 1)

    def precision(score: object) -> tuple[Resampled, Array]:
        ranked = _ranked(y_true, score, blocks)
        value, influence = precision_influence(ranked, budget)
        depends = Residuals.of(ranked, blocks).of_alarms(
            ranked, n := ranked.above(budget), by_rank=True
        )
        drawn = linear(value, influence, blocks, few=too_few(ranked.y))
        return replace(drawn, n=n, depends=depends), influence

    found = in_threads(precision, scores)
    drawn = with_draws([one for one, _ in found], [influence for _, influence in found], blocks)
    return [_widened(one) for one in drawn]


def _ranked(y_true: object, score: object, blocks: Blocks) -> SortedScores:
    ranked = SortedScores.of(y_true, score)
    check_size(blocks, len(ranked.y))
    return ranked


def _widened(one: Resampled) -> Resampled:
    """Draws around the same value, with the larger of two standard errors."""
    if not (np.isfinite(one.error) and one.error > 0):
        return one
    smoothed = (one.value * one.n + 1) / (one.n + 2)
    least = float(np.sqrt(one.dependence.effect * smoothed * (1 - smoothed) / one.n))
    wider = max(1.0, least / one.error)
    draws = one.value + (one.draws - one.value) * wider
    return replace(one, draws=draws, known_error=one.error * wider)
