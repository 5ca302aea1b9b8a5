"""Intervals that hold for all groups at once, and bounds that hold for all models at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, stdtrit

from trueness.evaluation.differences import small_sample_critical
from trueness.evaluation.resampling import Resampled

Array = NDArray[np.float64]


def simultaneous_band(scores: Array, freedom: Array, confidence: float) -> tuple[Array, Array]:
    """Ends of intervals of scores in [0, 1] that all hold at once, each (G,).

    A summary that rises with every score, such as the smallest or a quantile, lies between that of
    the lower ends and that of the upper ends. Resampling the smallest itself does not cover it:
    Andrews, "Inconsistency of the bootstrap when a parameter is on the boundary of the parameter
    space" (2000). On the scale of log-odds with Student's critical value of the largest deviation.

    Parameters
    ----------
    scores : (G, 1 + draws)
        As they are, then in joint draws.
    freedom : (G,)
    confidence : float

    Examples
    --------
    >>> value = np.array([[0.5], [0.8]])
    >>> drawn = value + np.random.default_rng(0).normal(0, 0.02, (2, 500))
    >>> scores = np.hstack([value, drawn])
    >>> low, high = simultaneous_band(scores, np.array([50.0, 50.0]), 0.95)
    >>> low.round(2), high.round(2)
    (array([0.45, 0.75]), array([0.55, 0.84]))
    """
    value = scores[:, 0]
    moved = scores[:, 1:] - value[:, None]
    error = moved.std(axis=1, ddof=1)
    moving = (error > 0) & (value > 0) & (value < 1)
    if not moving.any():
        return value, value
    largest = (moved[moving] / error[moving, None]).max(axis=0)
    critical = float(np.quantile(largest, (1 + confidence) / 2))
    low, high = value.copy(), value.copy()
    inside = value[moving]
    half = -stdtrit(freedom[moving], ndtr(-critical)) * error[moving] / (inside * (1 - inside))
    low[moving], high[moving] = expit(logit(inside) - half), expit(logit(inside) + half)
    return low, high


def lower_bounds(differences: Sequence[Resampled], confidence: float) -> list[float]:
    """One-sided lower bounds of differences that all hold at once; NaN without draws.

    Examples
    --------
    >>> draws = np.random.default_rng(0).normal(size=1000)
    >>> [round(bound, 2) for bound in lower_bounds([Resampled(0.0, draws, 99, 1e6)], 0.95)]
    [-1.51]
    """
    known = [one for one in differences if np.isfinite(one.error) and one.error > 0]
    if not known:
        return [one.value if one.error == 0 else float("nan") for one in differences]
    largest = np.max([(one.draws - one.value) / one.error for one in known], axis=0)
    freedom = min(one.freedom for one in known)
    critical = float(small_sample_critical(np.quantile(largest, confidence), freedom))
    return [one.value - critical * one.error for one in differences]
