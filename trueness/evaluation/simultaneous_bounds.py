"""Lower bounds of the precisions of many candidates, all of which hold at once.

An interval ``p - c s`` of the studentised maximum is useless for few alarms: 7 hits of 7 have no
spread at all, and among 30 equal candidates it is wrong in half of the simulated tables. So the
joint resampling gives two numbers only: the level at which each candidate may be judged alone, from
the quantile of the largest deviation (Romano and Wolf, "Stepwise Multiple Testing as Formalized
Data Snooping", 2005, first step), and how many independent alarms the dependent ones are worth
(Kish, "Survey Sampling", 1965: the design effect). The bound is the exact binomial one at that
level and of so many alarms (Clopper and Pearson, 1934).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from trueness.evaluation.inputs import check_confidence
from trueness.evaluation.intervals import Estimate, exact_tails
from trueness.evaluation.resampling import Resampled, number
from trueness.evaluation.selection import small_sample_critical

Array = NDArray[np.float64]
SMALLEST_ERROR = 1e-9


def precision_bounds(candidates: Sequence[Resampled], confidence: float = 0.95) -> list[Estimate]:
    """Precision of each candidate at the same number of alarms, bounded below all at once.

    With at least the stated confidence no bound lies above the true precision of its candidate at
    that rate of alarms, however many candidates there are and whichever of them is shown.

    Parameters
    ----------
    candidates : sequence of m Resampled
        Of `resampled_precisions`: on the same resampled units, in blocks at least as long as the
        horizon of the labels.
    confidence : float
        Of all bounds together, in (0, 1).

    Returns
    -------
    list of m Estimate
        ``low`` is the bound and ``high`` is 1; both None with fewer than five blocks.

    Raises
    ------
    InputError
        With the code ``range``.

    Examples
    --------
    >>> from trueness.evaluation.blocks import Blocks
    >>> from trueness.evaluation.resampling import resampled_precisions
    >>> y = np.tile([0, 1, 0, 0, 1], 60)
    >>> scores, blocks = [y + np.arange(300) / 1e3], Blocks.of(300, length=20)
    >>> (bound,) = precision_bounds(resampled_precisions(y, scores, alarms=30, blocks=blocks))
    >>> print(bound)
    100 % (90–100) · 30/30
    """
    check_confidence(confidence)
    if not candidates:
        return []
    values = np.array([c.value for c in candidates])
    alarms = np.array([c.n for c in candidates])
    draws = np.array([c.draws for c in candidates])
    draws = draws[:, np.isfinite(draws).all(axis=0)]
    lows: list[float | None] = [None] * len(values)
    if draws.shape[1] > 1:
        level = _level(values, draws, alarms, min(c.blocks for c in candidates), 1 - confidence)
        worth = alarms / _design_effects(values, draws, alarms)
        lows = exact_tails(values * worth, worth, level)[0].tolist()
    return [_bound(*one, len(values)) for one in zip(values, lows, alarms, strict=True)]


def _level(
    values: Array, draws: Array, alarms: NDArray[np.int_], blocks: int, alpha: float
) -> float:
    """Error that each candidate may make alone, between alpha / m (Bonferroni) and alpha.

    Deviations are compared on Anscombe's scale (1948), where few hits are not skewed.
    """
    scaled = np.arcsin(np.sqrt((draws * alarms[:, None] + 0.375) / (alarms[:, None] + 0.75)))
    centre = np.arcsin(np.sqrt((values * alarms + 0.375) / (alarms + 0.75)))
    error = scaled.std(axis=1, ddof=1)
    moving = error > SMALLEST_ERROR
    if not moving.any():
        return alpha / len(values)
    t = (scaled[moving] - centre[moving, None]) / error[moving, None]
    critical = small_sample_critical(float(np.quantile(t.max(axis=0), 1 - alpha)), blocks)
    return float(np.clip(ndtr(-critical), alpha / len(values), alpha))


def _design_effects(values: Array, draws: Array, alarms: NDArray[np.int_]) -> Array:
    """Variance over the resamples by that of independent alarms, (m,); at least 1, and the pooled.

    The pooled one stands in where all alarms are hits, or none, and nothing is left to vary.
    """
    resampled, binomial = draws.var(axis=1, ddof=1), values * (1 - values) / alarms
    own = np.divide(resampled, binomial, out=np.ones_like(values), where=binomial > 0)
    pooled = resampled.mean() / binomial.mean() if binomial.any() else 1.0
    return np.minimum(np.maximum(np.maximum(own, pooled), 1), alarms)


def _bound(value: float, low: float | None, alarms: int, companions: int) -> Estimate:
    hits = value * alarms
    k = round(hits) if np.isfinite(hits) and abs(hits - round(hits)) < 1e-6 else None
    high = None if low is None else 1.0
    return Estimate(number(value), low, high, int(alarms), k, n_candidates=companions)
