"""Momentum: returns, RSI and its relatives, MACD, Schaff trend cycle."""

from __future__ import annotations

import numpy as np
import talib

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row


def _return(position: int, days: int) -> Row:
    return Row(
        position,
        f"return_{days}d",
        "a50",
        f"100*(C/C[-{days}] - 1)",
        lambda f: p.change_pct(f.close, days),
        days,
    )


def _stochrsi(close: p.Array) -> p.Array:
    return talib.STOCHRSI(close, 14, 5, 3, talib.MA_Type.SMA)[0]


def _schaff_trend_cycle(f: Frame) -> p.Array:
    line = talib.MACD(f.close, 23, 50, 10)[0]
    first = p.ewm(p.stochastic(line, 10), 3)
    return p.ewm(p.stochastic(first, 10), 3).clip(0, 100)


ROWS = (
    Row(10, "rsi_daily", "a20", "Wilder RSI of C, n=14", lambda f: f.rsi14, 14),
    Row(11, "rsi_weekly", "a20", "wk(RSI of weekly closes, n=14)",
        lambda f: f.weekly(lambda c: talib.RSI(c, 14)), 75),
    Row(12, "stochrsi_daily", "a20",
        "fast %K of stochastic RSI on C: RSI n=14, %K n=5, %D n=3 simple",
        lambda f: _stochrsi(f.close), 20),
    Row(13, "stochrsi_weekly", "a20", "wk(fast %K of stochastic RSI on weekly closes, 14/5/3)",
        lambda f: f.weekly(_stochrsi), 105),
    Row(14, "macd_line", "a20", "MACD line of C, 12/26/9", lambda f: f.macd[0], 33, "price"),
    _return(21, 1),
    _return(22, 5),
    _return(23, 21),
    _return(24, 63),
    _return(25, 252),
    Row(26, "qqe_fast", "a50", "ewm(RSI14, 5); smoothing only, no trailing bands",
        lambda f: p.ewm(f.rsi14, 5), 14, flags=("simplified_indicator",)),
    Row(27, "qqe_slow", "a50", "ewm(RSI14, 14)",
        lambda f: p.ewm(f.rsi14, 14), 14, flags=("simplified_indicator",)),
    Row(28, "qqe_fast_slow_spread", "a50", "qqe_fast - qqe_slow",
        lambda f: f["qqe_fast"] - f["qqe_slow"], 14, flags=("simplified_indicator",)),
    # NOTE[DIFF] the published columns show 50 and 0 while the oscillator warms up; here they are
    # missing.
    Row(29, "stc_value", "a50",
        "MACD line 23/50/10, stochastic over 10, ewm 3, twice; clipped to [0, 100]",
        _schaff_trend_cycle, 76),
    Row(30, "stc_from_50", "a50", "stc_value - 50",
        lambda f: f["stc_value"] - 50, 76, flags=("affine_of:stc_value",)),
    Row(38, "rsi_slope", "a50", "d(RSI14, 5)", lambda f: p.diff(f.rsi14, 5), 19),
    Row(39, "rsi_extreme_dist", "a50", "min(abs(RSI14-30), abs(RSI14-70))",
        lambda f: np.minimum(np.abs(f.rsi14 - 30), np.abs(f.rsi14 - 70)), 14),
    Row(50, "macd_histogram", "a50", "MACD 12/26/9 histogram", lambda f: f.macd[2], 33, "price"),
)  # fmt: skip
