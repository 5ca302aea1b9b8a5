"""Momentum: returns, RSI and its relatives, MACD, Schaff trend cycle, DeMarker, weekly trends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row
from trueness.market.indicators.library import talib

# NOTE[DIFF] the published counters and oscillators show 0, 0.5 or 50 while their inputs warm up;
# here they are missing until then.


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


def _demarker(f: Frame) -> p.Array:
    """DeMark, "The New Science of Technical Analysis" (1994)."""
    up = p.mean(np.maximum(p.diff(f.high, 1), 0), 14)
    down = p.mean(np.maximum(-p.diff(f.low, 1), 0), 14)
    share = p.ratio(up, up + down)
    return np.where(np.isnan(share), 0.5, share)


def _nearest(x: p.Array, low: float, high: float) -> p.Array:
    """Distance to the nearer of two levels."""
    return np.minimum(np.abs(x - low), np.abs(x - high))


def _stochastic(f: Frame) -> tuple[p.Array, p.Array]:
    """Slow %K and %D, 14/3/3 simple."""
    slow = p.mean(_raw_stochastic(f, 14), 3)
    return slow, p.mean(slow, 3)


def _raw_stochastic(f: Frame, n: int) -> p.Array:
    """Place of the close between the extremes of n rows, in percent; 50 where nothing moved."""
    low, high = p.lowest(f.low, n), p.highest(f.high, n)
    raw = 100 * p.ratio(f.close - low, high - low)
    return np.where(high == low, 50.0, raw)


def _fast_stochastic(f: Frame) -> tuple[p.Array, p.Array]:
    """Fast %K and %D, 5/3 simple."""
    raw = _raw_stochastic(f, 5)
    return raw, p.mean(raw, 3)


def _rsi(position: int, n: int) -> Row:
    return Row(position, f"rsi_{n}", "a500", f"Wilder RSI of C, n={n}",
               lambda f: talib.RSI(f.close, n), n)  # fmt: skip


def _slope(position: int, source: str, warmup: int) -> Row:
    return Row(position, f"{source}_slope", "a500", f"d({source},5)",
               lambda f: p.diff(f[source], 5), warmup)  # fmt: skip


def _from_mean(position: int, n: int, *flags: str) -> Row:
    return Row(position, f"zscore_from_{n}d_mean", "a200", f"(C - SMA(C,{n}))/std(C,{n})",
               lambda f: p.ratio(f.close - f.sma(n), p.std(f.close, n)), n - 1,
               flags=flags)  # fmt: skip


def _up(f: Frame) -> NDArray[np.bool_]:
    return f.close > p.lag(f.close, 1)


def _down(f: Frame) -> NDArray[np.bool_]:
    return f.close < p.lag(f.close, 1)


def _signal_proximity(f: Frame) -> p.Array:
    line, signal, _ = f.macd
    size = np.abs(signal)
    return 100 * (line - signal) / np.where(size <= 1e-7 * f.close, f.close / 1000, size)


def _divergence(f: Frame) -> p.Array:
    parts = np.abs(f["price_rsi_divergence"]), np.abs(f["price_obv_divergence"])
    return np.maximum(*parts)


def _weekly(
    position: int, name: str, formula: str, of_week: Callable[[p.Array], p.Array], weeks: int
) -> Row:
    """`weeks` weekly closes are needed; with the wait for the week to end that is 5 days each."""
    return Row(position, f"weekly_{name}", "a500", formula,
               lambda f: f.weekly(of_week), 5 * weeks)  # fmt: skip


def _mean_slope(close: p.Array) -> p.Array:
    mean = talib.SMA(close, 20)
    return mean / p.lag(mean, 5) - 1


def _rsi_slope(close: p.Array) -> p.Array:
    return p.diff(talib.RSI(close, 14), 5)


def _bands(close: p.Array) -> tuple[p.Array, p.Array, p.Array]:
    return talib.BBANDS(close, 20, 2.0, 2.0, talib.MA_Type.SMA)


def _band_position(close: p.Array) -> p.Array:
    upper, _, lower = _bands(close)
    return p.ratio(close - lower, upper - lower)


def _band_width(close: p.Array) -> p.Array:
    upper, middle, lower = _bands(close)
    return (upper - lower) / middle


def _trend_agreement(f: Frame) -> p.Array:
    daily = p.diff(f.sma(20), 5)
    weekly = f.weekly(lambda c: p.diff(talib.SMA(c, 4), 1))
    rising, falling = (daily > 0) & (weekly > 0), (daily < 0) & (weekly < 0)
    return rising.astype(np.float64) - falling


def _volatility_agreement(f: Frame) -> p.Array:
    """Place of daily ATR in its range of 60 days less that of weekly ATR in 12 weeks."""
    starts = np.flatnonzero(np.append(True, np.diff(p.week_number(f.dates)) != 0))
    high, low = np.maximum.reduceat(f.high, starts), np.minimum.reduceat(f.low, starts)
    weekly = f.weekly(lambda c: p.position(talib.ATR(high, low, c, 4) / c, 12))
    return p.position(f.atr14 / f.close, 60) - weekly


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
    Row(29, "stc_value", "a50",
        "MACD line 23/50/10, stochastic over 10, ewm 3, twice; clipped to [0, 100]",
        _schaff_trend_cycle, 76),
    Row(30, "stc_from_50", "a50", "stc_value - 50",
        lambda f: f["stc_value"] - 50, 76, flags=("affine_of:stc_value",)),
    Row(38, "rsi_slope", "a50", "d(RSI14, 5)", lambda f: p.diff(f.rsi14, 5), 19),
    Row(39, "rsi_extreme_dist", "a50", "min(abs(RSI14-30), abs(RSI14-70))",
        lambda f: _nearest(f.rsi14, 30, 70), 14),
    Row(50, "macd_histogram", "a50", "MACD 12/26/9 histogram", lambda f: f.macd[2], 33, "price"),
    Row(51, "return_1d_acceleration", "a100", "d(return_1d,1)",
        lambda f: p.diff(f["return_1d"], 1), 2),
    Row(52, "return_5d_acceleration", "a100", "d(return_5d,1)",
        lambda f: p.diff(f["return_5d"], 1), 6),
    Row(53, "qqe_slope", "a100", "d(qqe_fast,5)",
        lambda f: p.diff(f["qqe_fast"], 5), 19, flags=("simplified_indicator",)),
    Row(54, "qqe_extreme_dist", "a100", "min(abs(qqe_fast-20), abs(qqe_fast-80))",
        lambda f: _nearest(f["qqe_fast"], 20, 80), 14, flags=("simplified_indicator",)),
    Row(55, "stc_slope", "a100", "d(stc_value,5)", lambda f: p.diff(f["stc_value"], 5), 81),
    Row(56, "stc_extreme_dist", "a100", "min(abs(stc_value-25), abs(stc_value-75))",
        lambda f: _nearest(f["stc_value"], 25, 75), 76),
    Row(57, "demarker_value", "a100",
        "u = max(H-H[-1],0), w = max(L[-1]-L,0); mean(u,14)/(mean(u,14)+mean(w,14)); "
        "undefined -> 0.5", _demarker, 14),
    Row(58, "demarker_from_half", "a100", "demarker_value - 0.5",
        lambda f: f["demarker_value"] - 0.5, 14, flags=("affine_of:demarker_value",)),
    Row(59, "stoch_k_14", "a100", "slow %K: raw n=14 (50 without a range) by 3-row simple mean",
        lambda f: _stochastic(f)[0], 17),
    Row(60, "stoch_d_14", "a100", "slow %D: 3-row simple mean of stoch_k_14",
        lambda f: _stochastic(f)[1], 17),
    Row(61, "stoch_extreme_dist", "a100", "min(abs(stoch_k_14-20), abs(stoch_k_14-80))",
        lambda f: _nearest(f["stoch_k_14"], 20, 80), 17),
    Row(62, "cci_14", "a100", "commodity channel index, n=14",
        lambda f: talib.CCI(f.high, f.low, f.close, 14), 13),
    Row(64, "williams_r_14", "a100", "Williams %R, n=14 (range -100..0); without a range -50",
        lambda f: _raw_stochastic(f, 14) - 100, 13),
    Row(147, "rsi_distance_from_50", "a200", "RSI14 - 50",
        lambda f: f.rsi14 - 50, 14, flags=("affine_of:rsi_daily",)),
    Row(148, "days_rsi_overbought", "a200", "run(RSI14 > 70)", lambda f: p.run(f.rsi14 > 70), 14),
    Row(149, "days_rsi_oversold", "a200", "run(RSI14 < 30)", lambda f: p.run(f.rsi14 < 30), 14),
    Row(150, "rsi_percentile_60d", "a200", "rank_le(RSI14, 60)",
        lambda f: p.rank_le(f.rsi14, 60), 73),
    _from_mean(151, 20, "affine_of:bb_percent_b"),
    _from_mean(152, 50),
    Row(157, "consecutive_up_days", "a200", "run(C > C[-1])", lambda f: p.run(_up(f)), 1),
    Row(158, "consecutive_down_days", "a200", "run(C < C[-1])", lambda f: p.run(_down(f)), 1),
    Row(159, "up_days_ratio_20d", "a200", "share of C > C[-1] in 20 rows",
        lambda f: p.mean(_up(f).astype(np.float64), 20), 20, flags=("same_as:win_rate_20d",)),
    Row(161, "macd_signal", "a200", "MACD 12/26/9 signal line (second output)",
        lambda f: f.macd[1], 33, "price"),
    Row(162, "macd_histogram_slope", "a200", "d(macd_histogram,5)",
        lambda f: p.diff(f["macd_histogram"], 5), 38, "price"),
    Row(163, "days_since_macd_cross_signal", "a200", "age(macd_line, macd_signal)",
        lambda f: p.age(f["macd_line"], f["macd_signal"]), 33),
    Row(164, "macd_signal_proximity", "a200",
        "100*(macd_line - macd_signal)/abs(macd_signal); "
        "divisor replaced by C/1000 when abs(signal) <= 1e-7*C", _signal_proximity, 33),
    Row(192, "price_rsi_divergence", "a200", "rank_le(C,20) - rank_le(RSI14,20)",
        lambda f: p.rank_le(f.close, 20) - p.rank_le(f.rsi14, 20), 33),
    Row(194, "divergence_streak", "a200", "run(divergence_magnitude > 0.2)",
        lambda f: p.run(f["divergence_magnitude"] > 0.2), 33, needs=("volume",)),
    Row(195, "divergence_magnitude", "a200",
        "max(abs(price_rsi_divergence), abs(price_obv_divergence))",
        _divergence, 33, needs=("volume",)),
    _rsi(248, 5),
    _rsi(249, 21),
    Row(250, "stoch_k_5", "a500", "fast stochastic %K, n=5, unsmoothed",
        lambda f: _fast_stochastic(f)[0], 6),
    Row(251, "stoch_d_5", "a500", "3-row simple mean of stoch_k_5",
        lambda f: _fast_stochastic(f)[1], 6),
    _slope(252, "rsi_5", 10),
    _slope(253, "rsi_21", 26),
    _slope(254, "stoch_k_5", 11),
    Row(255, "rsi_5_21_spread", "a500", "rsi_5 - rsi_21", lambda f: f["rsi_5"] - f["rsi_21"], 21),
    _weekly(396, "ma_slope", "wk(S/S[-5] - 1), S = SMA of weekly closes n=20; fraction",
            _mean_slope, 25),
    _weekly(397, "ma_slope_acceleration", "wk(one-week difference of that slope)",
            lambda c: p.diff(_mean_slope(c), 1), 26),
    Row(398, "price_pct_from_weekly_ma", "a500", "C/wk(S) - 1; fraction",
        lambda f: f.close / f.weekly(lambda c: talib.SMA(c, 20)) - 1, 100),
    _weekly(399, "rsi_slope", "wk(d(weekly RSI14, 5 weeks))", _rsi_slope, 20),
    _weekly(400, "rsi_slope_acceleration", "wk(one-week difference of weekly_rsi_slope)",
            lambda c: p.diff(_rsi_slope(c), 1), 21),
    _weekly(401, "bb_position",
            "wk((weekly close - lo)/(up - lo)), Bollinger 20/2 on weekly closes",
            _band_position, 20),
    _weekly(402, "bb_width", "wk((up-lo)/mid); fraction", _band_width, 20),
    _weekly(403, "bb_width_slope", "wk(5-week difference of that width)",
            lambda c: p.diff(_band_width(c), 5), 25),
    Row(404, "trend_alignment_daily_weekly", "a500",
        "+1 if d(SMA(C,20),5) > 0 and wk(one-week change of weekly SMA 4) > 0; "
        "-1 if both < 0; else 0", _trend_agreement, 25),
    Row(405, "rsi_alignment_daily_weekly", "a500", "RSI14 - wk(weekly RSI14)",
        lambda f: f.rsi14 - f["rsi_weekly"], 75),
    Row(406, "vol_alignment_daily_weekly", "a500",
        "mm(ATR14/C, 60) - wk(mm(weekly ATR(4)/weekly close, 12 weeks))",
        _volatility_agreement, 80),
)  # fmt: skip
