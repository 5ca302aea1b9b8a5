"""Vectorised formulas over daily columns, (L,) -> (L,); NaN until defined, never looking ahead.

TA-Lib computes what TA-Lib has (unstable period 0); the rest is numpy. Windows are trailing and
include the current row. Recursive and cumulative formulas depend on where the series starts: call
them on full history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

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


def filled(x: Array, value: float) -> Array:
    """`x` with `value` where it is NaN."""
    return np.where(np.isnan(x), value, x)


def flag(condition: NDArray[np.bool_]) -> Array:
    """1 where the condition holds, else 0."""
    return condition.astype(np.float64)


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
        known = slice(defined[0], None)
        out[known] = pl.Series(x[known]).ewm_mean(span=n, adjust=False)
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


def run_start(state: NDArray[Any]) -> NDArray[np.int64]:
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


def week_number(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Number of the week, Monday to Sunday, that each day lies in; (L,) -> (L,)."""
    return (dates.astype(np.int64) + 3) // 7  # 1970-01-01 was a Thursday


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
    week = week_number(dates)
    last_row = np.append(np.flatnonzero(np.diff(week)), len(week) - 1)
    values = formula(close[last_row])
    completed = np.searchsorted(week[last_row], week) - 1
    return np.where(completed >= 0, values[completed], np.nan)


def total(x: Array, n: int) -> Array:
    """Sum of the last n values."""
    return rolling(x, n, np.sum)


def lowest(x: Array, n: int) -> Array:
    """Minimum of the last n values."""
    return rolling(x, n, np.min)


def highest(x: Array, n: int) -> Array:
    """Maximum of the last n values."""
    return rolling(x, n, np.max)


def quantile(x: Array, n: int, share: float) -> Array:
    """Quantile of the last n values, interpolated linearly; `share` in [0, 1]."""
    return rolling(x, n, lambda w, axis: np.quantile(w, share, axis=axis))


def zscore(x: Array, n: int) -> Array:
    """``(x - mean(x, n)) / std(x, n)``; a standard deviation of 0 counts as 1."""
    spread = std(x, n)
    return (x - mean(x, n)) / np.where(spread == 0, 1.0, spread)


def correlation(x: Array, y: Array, n: int) -> Array:
    """Pearson correlation over the last n rows, in [-1, 1]; NaN where one side is constant."""
    out = np.full_like(x, np.nan)
    if len(x) < n:
        return out
    pair = [np.lib.stride_tricks.sliding_window_view(side, n) for side in (x, y)]
    a, b = (window - window.mean(axis=1, keepdims=True) for window in pair)
    flat = np.any([np.ptp(window, axis=1) == 0 for window in pair], axis=0)
    spread = np.where(flat, 0.0, np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)))
    out[n - 1 :] = ratio((a * b).sum(axis=1), spread).clip(-1, 1)
    return out


def position(x: Array, n: int) -> Array:
    """``(x - min(x, n)) / (max(x, n) - min(x, n))``; 0.5 where flat, NaN where undefined."""
    low, high = lowest(x, n), highest(x, n)
    where = ratio(x - low, high - low)
    return np.where(high == low, 0.5, where)


def rank_le(x: Array, n: int) -> Array:
    """Share of the last n values that are <= the current one, in (0, 1]."""
    return rolling(x, n, lambda w, axis: _share(w <= w[:, -1:], w))


def rank_lt(x: Array, n: int) -> Array:
    """Count of the last n values strictly below the current one, over n - 1; in [0, 1]."""
    return rolling(x, n, lambda w, axis: _share(w < w[:, -1:], w) * (n / (n - 1)))


def _share(hits: NDArray[np.bool_], window: Array) -> Array:
    return np.where(np.isnan(window).any(axis=1), np.nan, hits.mean(axis=1))


def tri(x: Array) -> Array:
    """-1 below 0.33, +1 above 0.67, else 0; NaN stays."""
    return np.where(np.isnan(x), np.nan, np.where(x < 0.33, -1.0, np.where(x > 0.67, 1.0, 0.0)))


def run(condition: NDArray[np.bool_]) -> Array:
    """Consecutive rows, ending now, on which the condition holds; 0 where it does not.

    Examples
    --------
    >>> run(np.array([True, True, False, True])).tolist()
    [1.0, 2.0, 0.0, 1.0]
    """
    length = np.arange(len(condition)) - run_start(condition) + 1.0
    return np.where(condition, length, 0.0)


def age(x: Array, y: Array) -> Array:
    """Signed rows since x crossed y: +1 on the flip row upwards, -1 downwards, then counting on.

    The sign is + while x >= y. 0 while either is undefined; counting starts on the first defined
    row.

    Examples
    --------
    >>> age(np.array([np.nan, 2.0, 3.0, 1.0]), np.array([2.0, 2.0, 2.0, 2.0])).tolist()
    [0.0, 1.0, 2.0, -1.0]
    """
    known, above = ~(np.isnan(x) | np.isnan(y)), x >= y
    state = np.where(known, np.where(above, 1, -1), 0)
    return state * (np.arange(len(x)) - run_start(state) + 1.0)


def supertrend(high: Array, low: Array, close: Array, atr: Array, k: float) -> tuple[Array, Array]:
    """Supertrend line and state (+1, -1), started on the first row with an ATR as upper band, -1.

    mid = (H + L) / 2, upper and lower = mid +- k * ATR. In state +1 the line is the higher of the
    lower band and itself while C >= line, else it jumps to the upper band; state -1 mirrors this.
    """
    return _trail(high, low, close, atr, k, _supertrend_step)


def ratchet(high: Array, low: Array, close: Array, atr: Array, k: float) -> tuple[Array, Array]:
    """Ratchet line and state, started as lower band, +1; the old level is carried across flips.

    If C > line[-1]: line = max(lower, line[-1]), +1; else line = min(upper, line[-1]), -1. This is
    not a standard supertrend.
    """
    return _trail(high, low, close, atr, k, _ratchet_step)


def _supertrend_step(
    close: float, upper: float, lower: float, line: float, state: float
) -> tuple[float, float]:
    if state > 0:
        candidate = max(lower, line)
        return (candidate, 1.0) if close >= candidate else (upper, -1.0)
    candidate = min(upper, line)
    return (candidate, -1.0) if close <= candidate else (lower, 1.0)


def _ratchet_step(
    close: float, upper: float, lower: float, line: float, state: float
) -> tuple[float, float]:
    del state
    return (max(lower, line), 1.0) if close > line else (min(upper, line), -1.0)


def _trail(
    high: Array,
    low: Array,
    close: Array,
    atr: Array,
    k: float,
    step: Callable[..., tuple[float, float]],
) -> tuple[Array, Array]:
    middle = (high + low) / 2
    upper, lower = middle + k * atr, middle - k * atr
    line, state = np.full_like(close, np.nan), np.full_like(close, np.nan)
    first = int(np.argmax(~np.isnan(atr)))
    starts_low = step is _ratchet_step
    now = (lower[first], 1.0) if starts_low else (upper[first], -1.0)
    for t in range(first, len(close)):
        if t > first:
            now = step(close[t], upper[t], lower[t], *now)
        line[t], state[t] = now
    return line, state
