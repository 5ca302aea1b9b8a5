"""Lower bounds of the precisions of many candidates, all of which hold at once.

An interval ``p - c s`` of the studentised maximum is useless for few alarms: 7 hits of 7 have no
spread at all. So the joint draws give one number only: the level at which each candidate may be
judged alone, from the quantile of the largest deviation (Romano and Wolf, "Stepwise Multiple
Testing as Formalized Data Snooping", 2005, first step). The bound is the exact binomial one at that
level, of as many independent alarms as the dependent ones are worth (Clopper and Pearson, 1934).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from trueness.evaluation.dependence import Dependence
from trueness.evaluation.inputs import check_confidence
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled, number

Array = NDArray[np.float64]
SMALLEST_ERROR = 1e-9


def precision_bounds(
    candidates: Sequence[Resampled], depends: Sequence[Dependence], confidence: float = 0.95
) -> list[Estimate]:
    """Precision of each candidate with a lower bound, all of which hold at once.

    With about the stated confidence no bound lies above the true precision of its candidate,
    however many candidates there are and whichever of them is shown.

    Parameters
    ----------
    candidates : sequence of m Resampled
        Of `precision_draws`, on the same units.
    depends : sequence of m Dependence
        Of their hits.
    confidence : float
        Of all bounds together, in (0, 1).

    Returns
    -------
    list of m Estimate
        ``low`` is the bound and ``high`` is 1; both None where there are no draws.
    """
    check_confidence(confidence)
    level = joint_level([one.draws for one in candidates], 1 - confidence)
    return [
        _bound(one, depend, level, len(candidates))
        for one, depend in zip(candidates, depends, strict=True)
    ]


def joint_level(draws: Sequence[Array], alpha: float, further: int = 0) -> float | None:
    """Error that each of m statistics may make alone so that all together make `alpha`.

    Between alpha / m (Bonferroni) and alpha, by how alike they are.

    Parameters
    ----------
    draws : m sequences (draws,)
        Joint ones; a statistic that is nowhere defined is left out.
    alpha : float
    further : int
        Statistics that are not here, for each of which the level is paid in full.

    Returns
    -------
    float or None
        None if no statistic has draws.

    Examples
    --------
    >>> alike = np.random.default_rng(0).standard_normal(1000)
    >>> joint_level([alike, alike], 0.05) > 0.04
    True
    """
    every = np.array([one for one in draws if np.isfinite(one).all()])
    if not len(every):
        return None
    moved = every - every.mean(axis=1, keepdims=True)
    error = moved.std(axis=1)
    moves = error > SMALLEST_ERROR
    still = int((~moves).sum()) + further  # what never moves is paid for as if it stood alone
    least = alpha / (len(every) + further)
    if not moves.any():
        return least
    largest = np.sort((moved[moves] / error[moves, None]).max(axis=0))[::-1]
    levels, exceeded = ndtr(-largest), (np.arange(len(largest)) + 1) / len(largest)
    valid = exceeded + still * levels <= alpha
    return float(max(least, levels[valid].max(initial=0.0)))


def _bound(one: Resampled, depends: Dependence, level: float | None, companions: int) -> Estimate:
    low = high = hits = None
    if np.isfinite(one.value) and one.n:
        hits = one.value * one.n
        if level is not None:
            low, high = depends.bounds(hits, one.n, level)[0], 1.0
        hits = round(hits) if abs(hits - round(hits)) < 1e-6 else None
    return Estimate(number(one.value), low, high, one.n, hits, n_candidates=companions)
