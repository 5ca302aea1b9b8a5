"""Vectorised formulas over daily columns, (L,) -> (L,); NaN until defined, never looking ahead.

TA-Lib computes what TA-Lib has (unstable period 0); the rest is numpy. Windows are trailing and
include the current row. Recursive and cumulative formulas depend on where the series starts: call
them on full history.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Array = NDArray[np.float64]


def lag(x: Array, k: int) -> Array:
    """Value k rows earlier, (L,) -> (L,)."""
    out = np.full_like(x, np.nan)
    out[k:] = x[:-k]
    return out


def diff(x: Array, k: int) -> Array:
    """``x - x[-k]``, (L,) -> (L,)."""
    return x - lag(x, k)


def change_pct(x: Array, k: int) -> Array:
    """``100 * (x / x[-k] - 1)``, (L,) -> (L,) in percent."""
    return 100 * (x / lag(x, k) - 1)


def ratio(a: Array, b: Array) -> Array:
    """``a / b``, NaN where b is 0."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)


def rolling(x: Array, n: int, reduce: Callable[..., Array]) -> Array:
    """Reduce the last n values, e.g. with ``np.mean``; NaN for the first n - 1 rows."""
    out = np.full_like(x, np.nan)
    if len(x) >= n:
        out[n - 1 :] = reduce(np.lib.stride_tricks.sliding_window_view(x, n), axis=1)
    return out


def mean(x: Array, n: int) -> Array:
    """Mean of the last n values."""
    return rolling(x, n, np.mean)


def std(x: Array, n: int) -> Array:
    """Sample standard deviation (n - 1) of the last n values; exactly 0 for a constant window."""
    out = rolling(x, n, lambda w, axis: w.std(axis=axis, ddof=1))
    return np.where(rolling(x, n, np.ptp) == 0, 0.0, out)


def ewm(x: Array, n: int) -> Array:
    """Recursive mean with weight ``2 / (n + 1)``, started at the first defined value.

    No average serves as seed.
    """
    out = np.full_like(x, np.nan)
    defined = np.flatnonzero(~np.isnan(x))
    if len(defined):
        first, weight = defined[0], 2 / (n + 1)
        out[first:], _ = lfilter([weight], [1, weight - 1], x[first:], zi=[(1 - weight) * x[first]])
    return out


def stochastic(x: Array, n: int) -> Array:
    """``100 * (x - min(x, n)) / (max(x, n) - min(x, n))``; 50 where undefined or flat."""
    low, high = rolling(x, n, np.min), rolling(x, n, np.max)
    position = 100 * ratio(x - low, high - low)
    return np.where(np.isnan(position), 50.0, position)


def realised_volatility(close: Array, n: int) -> Array:
    """Annualised standard deviation of n log returns, in percent.

    ``100 * sqrt(252) * std(ln(C/C[-1]), n)``.
    """
    return 100 * np.sqrt(252) * std(np.log(close / lag(close, 1)), n)


def reward_to_risk(returns: Array, risk: Array, n: int) -> Array:
    """``sqrt(252) * mean(returns, n) / std(risk, n)``; 0 where the risk is 0."""
    score = np.sqrt(252) * ratio(mean(returns, n), std(risk, n))
    return np.where(np.isnan(score), 0.0, score)


def run_start(state: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row at which the current run of equal states began, (L,) -> (L,)."""
    begins = np.append(True, state[1:] != state[:-1])
    return np.maximum.accumulate(np.where(begins, np.arange(len(state)), 0))


def klinger_force(high: Array, low: Array, close: Array, volume: Array) -> Array:
    """Volume force of the Klinger oscillator.

    Klinger, "Identifying trends with volume analysis" (1997). The trend s is +1 if H+L+C rose, else
    -1 (row 0: -1). ``dm = H - L`` is accumulated to cm while s holds, starting from the previous
    row's dm at a flip; ``force = 100 * V * s * abs(2 * dm / cm - 1)`` with cm = 0 read as 1.
    """
    typical = high + low + close
    rising = np.append(False, typical[1:] > typical[:-1])
    range_, start = high - low, run_start(rising)
    total = np.append(0.0, np.cumsum(range_))
    cumulated = total[1:] - total[np.where(start > 0, start - 1, 0)]
    cumulated = np.where(cumulated == 0, 1.0, cumulated)
    return 100 * volume * np.where(rising, 1.0, -1.0) * np.abs(2 * range_ / cumulated - 1)


def weekly(dates: NDArray[np.datetime64], close: Array, formula: Callable[[Array], Array]) -> Array:
    """Apply `formula` to weekly closes and hand each day the value of the last completed week.

    Weeks run Monday to Sunday; the value of a week is known from the next week's first day on,
    joined as-of. NOTE[DIFF] the published system joined on the exact Monday, so that a holiday
    Monday kept the value of two weeks ago for the whole week.

    Parameters
    ----------
    dates : (L,) datetime64[D]
    close : (L,) float64
    formula : (weeks,) -> (weeks,)

    Returns
    -------
    (L,) float64
    """
    week = (dates.astype(np.int64) + 3) // 7  # 1970-01-01 was a Thursday; Mondays start a week
    last_row = np.append(np.flatnonzero(np.diff(week)), len(week) - 1)
    values = formula(close[last_row])
    completed = np.searchsorted(week[last_row], week) - 1
    return np.where(completed >= 0, values[completed], np.nan)
