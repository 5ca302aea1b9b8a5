"""Means, differences, correlations and slopes of a few independent numbers, with intervals.

For tables of trials: each configuration counts once, as training it again brings nothing new.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import ndtri, stdtrit

from trueness.evaluation.intervals import Estimate
from trueness.evaluation.power import auc_standard_error


def _t(confidence: float, freedom: float) -> float:
    """Quantile of Student's distribution that leaves out half of the rest on each side."""
    return float(stdtrit(freedom, (1 + confidence) / 2))


def _around(value: float, half: float, n: int, **named: Any) -> Estimate:  # noqa: ANN401
    if not math.isfinite(half):
        return Estimate(value, None, None, n, **named)
    return Estimate(value, value - half, value + half, n, **named)


def mean_estimate(values: object, confidence: float = 0.95) -> Estimate:
    """Mean of independent numbers with Student's interval; no interval for fewer than two.

    Examples
    --------
    >>> print(mean_estimate([0.70, 0.71, 0.72]))
    0.710 (0.685–0.735)
    """
    x = np.asarray(values, np.float64)
    if not len(x):
        return Estimate(None, None, None, 0)
    half = math.inf
    if len(x) > 1:
        half = _t(confidence, len(x) - 1) * float(x.std(ddof=1)) / math.sqrt(len(x))
    return _around(float(x.mean()), half, len(x))


def difference_estimate(first: object, second: object, confidence: float = 0.95) -> Estimate:
    """Difference of means, first minus second, of two independent groups.

    Welch, "The generalization of Student's problem when several different population variances are
    involved" (1947). No interval if a group has fewer than two numbers.

    Examples
    --------
    >>> print(difference_estimate([0.72, 0.74], [0.70, 0.71, 0.72]))
    0.020 (−0.040 to 0.080)
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not len(a) or not len(b):
        return Estimate(None, None, None, len(a) + len(b))
    value, half = float(a.mean() - b.mean()), math.inf
    if min(len(a), len(b)) > 1:
        parts = [float(x.var(ddof=1)) / len(x) for x in (a, b)]
        half = 0.0
        if sum(parts) > 0:
            spread = sum(p**2 / (len(x) - 1) for p, x in zip(parts, (a, b), strict=True))
            half = _t(confidence, sum(parts) ** 2 / spread) * math.sqrt(sum(parts))
    return _around(value, half, len(a) + len(b))


def correlation_estimate(x: object, y: object, confidence: float = 0.95) -> Estimate:
    """Pearson's correlation with Fisher's interval; undefined if one side does not vary.

    Fisher, "On the probable error of a coefficient of correlation" (1921). No interval for fewer
    than four pairs.

    Examples
    --------
    >>> print(correlation_estimate([1, 2, 3, 4, 5], [1, 2, 3, 5, 4]))
    0.900 (0.086–0.993)
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return Estimate(None, None, None, len(a))
    r = float(np.clip(np.corrcoef(a, b)[0, 1], -1, 1))
    if len(a) < 4:
        return Estimate(r, None, None, len(a))
    half = float(ndtri((1 + confidence) / 2)) / math.sqrt(len(a) - 3)
    centre = math.atanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return Estimate(r, math.tanh(centre - half), math.tanh(centre + half), len(a))


def slope_estimate(x: object, y: object, confidence: float = 0.95) -> Estimate:
    """Least-squares slope of y over x with Student's interval; undefined if x does not vary.

    Examples
    --------
    >>> print(slope_estimate([0, 1, 2, 3], [0.70, 0.71, 0.71, 0.73]))
    0.009 (−0.002 to 0.020)
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(a) < 2 or np.ptp(a) == 0:
        return Estimate(None, None, None, len(a))
    da, db = a - a.mean(), b - b.mean()
    slope, half = float(da @ db / (da @ da)), math.inf
    if len(a) > 2:
        error = float(((db - slope * da) ** 2).sum()) / (len(a) - 2) / float(da @ da)
        half = _t(confidence, len(a) - 2) * math.sqrt(error)
    return _around(slope, half, len(a))


def auc_estimate(
    auc: float, positives: int, negatives: int, *, n_candidates: int = 1, confidence: float = 0.95,
    chosen_on: str = "", measured_on: str = "",
) -> Estimate:  # fmt: skip
    """AUC with the interval of `auc_standard_error`, cut at 0 and 1.

    Examples
    --------
    >>> print(auc_estimate(0.73, positives=76, negatives=346))
    0.730 (0.662–0.798)
    """
    half = float(ndtri((1 + confidence) / 2)) * auc_standard_error(auc, positives, negatives)
    low, high = max(0.0, auc - half), min(1.0, auc + half)
    n = positives + negatives
    return Estimate(auc, low, high, n, None, chosen_on, measured_on, n_candidates)
