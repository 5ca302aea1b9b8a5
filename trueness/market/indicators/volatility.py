"""Volatility and risk: true range, bands and channels, realised and implied volatility, risk."""

from __future__ import annotations

import numpy as np

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row
from trueness.market.indicators.library import talib

# NOTE[DIFF] the published ratios, counters and states show 0, and the implied-to-realised ratio 1,
# while they warm up; here they are missing.


def _sharpe(position: int, days: int, tier: str = "a50") -> Row:
    return Row(
        position,
        f"sharpe_{days}d",
        tier,
        f"sqrt(252)*mean(r,{days})/std(r,{days}); undefined -> 0",
        lambda f: p.reward_to_risk(f.returns, f.returns, days),
        days,
    )


def _sortino(position: int, days: int, tier: str = "a50") -> Row:
    return Row(
        position,
        f"sortino_{days}d",
        tier,
        f"sqrt(252)*mean(r,{days})/std(min(r,0),{days}), gains replaced by zero; undefined -> 0",
        lambda f: p.reward_to_risk(f.returns, np.minimum(f.returns, 0), days),
        days,
    )


def _premium(position: int, days: int, tier: str = "a50") -> Row:
    return Row(
        position,
        f"vrp_{days}d",
        tier,
        f"VIX - RV({days})",
        lambda f: f.volatility - p.realised_volatility(f.close, days),
        days,
        needs=("volatility",),
    )


def _implied_ratio(f: Frame) -> p.Array:
    realised = p.realised_volatility(f.close, 21)
    return np.where(realised == 0, 1.0, p.ratio(f.volatility, realised))


def _percent_b(f: Frame) -> p.Array:
    upper, _, lower = f.bands
    return p.ratio(f.close - lower, upper - lower)


def _atr(f: Frame, n: int) -> p.Array:
    return talib.ATR(f.high, f.low, f.close, n)


def _against_lag(x: p.Array, k: int) -> p.Array:
    return p.ratio(x, p.lag(x, k))


def _deviations(x: p.Array, n: int) -> p.Array:
    return p.ratio(x - p.mean(x, n), p.std(x, n))


def _annual(daily_variance: p.Array) -> p.Array:
    """Annualised volatility, a fraction; a negative estimate of the variance counts as 0."""
    return np.sqrt(252 * np.maximum(0, daily_variance))


def _parkinson(f: Frame) -> p.Array:
    """Volatility from high and low, in percent.

    Parkinson, "The extreme value method for estimating the variance of the rate of return" (1980).
    """
    squares = np.log(f.high / f.low) ** 2
    return 100 * _annual(p.mean(squares, 20) / (4 * np.log(2)))


def _garman_klass(f: Frame) -> p.Array:
    """Garman, Klass, "On the estimation of security price volatilities" (1980)."""
    range_, body = np.log(f.high / f.low), np.log(f.close / f.open)
    return 100 * _annual(p.mean(0.5 * range_**2 - (2 * np.log(2) - 1) * body**2, 20))


def _rogers_satchell(f: Frame) -> p.Array:
    """Daily terms of the variance estimated from high, low and close.

    Rogers, Satchell, "Estimating variance from high, low and closing prices" (1991).
    """
    up = np.log(f.high / f.open) * np.log(f.high / f.close)
    return up + np.log(f.low / f.open) * np.log(f.low / f.close)


def _yang_zhang(f: Frame) -> p.Array:
    """Yang, Zhang, "Drift-independent volatility estimation" (2000), with weight 0.34."""
    overnight = p.std(np.log(f.open / p.lag(f.close, 1)), 20) ** 2
    session = p.std(np.log(f.close / f.open), 20) ** 2
    return _annual(overnight + 0.34 * session + 0.66 * p.mean(_rogers_satchell(f), 20))


def _keltner(f: Frame, n: int) -> tuple[p.Array, p.Array, p.Array]:
    """Keltner channel (upper, middle, lower): EMA of 20 rows, 1.5 average true ranges of n rows."""
    middle, half = talib.EMA(f.close, 20), 1.5 * _atr(f, n)
    return middle + half, middle, middle - half


def _keltner_width(f: Frame) -> p.Array:
    upper, middle, lower = _keltner(f, 10)
    return 100 * (upper - lower) / middle


def _keltner_position(f: Frame) -> p.Array:
    upper, _, lower = _keltner(f, 10)
    return p.ratio(f.close - lower, upper - lower)


def _squeeze(f: Frame) -> p.Array:
    """1 while the Bollinger bands lie inside the Keltner channel.

    Carter, "Mastering the Trade" (2005).
    """
    upper, _, lower = _keltner(f, 20)
    return p.flag((f.bands[0] < upper) & (f.bands[2] > lower))


def _squeeze_fire_recency(f: Frame) -> p.Array:
    """Rows since the squeeze went off, 0 on that row, with the sign of the 14-day move then."""
    on, rows = f["bb_squeeze_indicator"], np.arange(len(f.close))
    fired = (p.lag(on, 1) == 1) & (on == 0)
    last = np.maximum.accumulate(np.where(fired, rows, -1))
    sign = np.where(f.close > p.lag(f.close, 14), 1, -1)[last]
    return np.where(last >= 0, sign * (rows - last), np.nan)


def _autocorrelation(x: p.Array, n: int) -> p.Array:
    """Correlation of the n - 1 neighbouring pairs inside a window of n rows."""
    return p.correlation(x, p.lag(x, 1), n - 1)


def _sortino_of_losses(f: Frame, n: int) -> p.Array:
    """Mean return to the spread of the losses alone; 0 with fewer than two different losses."""
    risk = p.rolling(f.returns, n, _loss_spread)
    return p.filled(np.sqrt(252) * p.ratio(p.mean(f.returns, n), risk), 0.0)


def _loss_spread(window: p.Array, axis: int) -> p.Array:
    loss = window < 0
    count = loss.sum(axis=axis, keepdims=True)
    centre = np.where(loss, window, 0.0).sum(axis=axis, keepdims=True) / np.maximum(count, 1)
    squares = np.where(loss, window - centre, 0.0) ** 2
    return np.sqrt(squares.sum(axis=axis) / np.maximum(count.squeeze(axis) - 1, 1))


def _tail_mean(window: p.Array, axis: int) -> p.Array:
    """Mean of the values up to the 5th percentile of their window."""
    tail = window <= np.quantile(window, 0.05, axis=axis, keepdims=True)
    return p.ratio(np.where(tail, window, 0.0).sum(axis=axis), tail.sum(axis=axis))


def _expectancy(x: p.Array, n: int) -> p.Array:
    gain, loss = p.flag(x > 0), p.flag(x < 0)
    share = p.mean(gain, n)
    win = p.filled(p.ratio(p.total(np.maximum(x, 0), n), p.total(gain, n)), 0.0)
    lose = p.filled(p.ratio(p.total(np.minimum(x, 0), n), p.total(loss, n)), 0.0)
    return share * win - (1 - share) * np.abs(lose)


ROWS = (
    Row(17, "atr_14", "a20", "Wilder average true range, n=14", lambda f: f.atr14, 14, "price"),
    Row(19, "bb_percent_b", "a20", "(C - BB.lo) / (BB.up - BB.lo)", _percent_b, 19),
    _premium(31, 10),
    _premium(32, 21),
    Row(33, "implied_vs_realized_ratio", "a50", "VIX / RV(21); undefined -> 1",
        _implied_ratio, 21, needs=("volatility",)),
    _sharpe(34, 20),
    _sharpe(35, 60),
    _sortino(36, 20),
    _sortino(37, 60),
    Row(43, "atr_pct", "a50", "100*ATR14/C", lambda f: 100 * f.atr14 / f.close, 14),
    Row(44, "atr_pct_slope", "a50", "d(atr_pct, 5)", lambda f: p.diff(f["atr_pct"], 5), 19),
    Row(45, "bb_width", "a50", "100*(BB.up - BB.lo)/BB.mid",
        lambda f: 100 * (f.bands[0] - f.bands[2]) / f.bands[1], 19),
    _premium(65, 5, "a100"),
    Row(66, "vrp_slope", "a100", "d(vrp_5d,1)",
        lambda f: p.diff(f["vrp_5d"], 1), 6, needs=("volatility",)),
    _sharpe(67, 252, "a100"),
    Row(68, "sortino_252d", "a100",
        "sqrt(252)*mean(r,252)/std of only the negative r in the window; undefined -> 0 (differs "
        "from the a50 sortino)",
        lambda f: _sortino_of_losses(f, 252), 252),
    Row(69, "sharpe_slope_20d", "a100", "d(sharpe_20d,1)",
        lambda f: p.diff(f["sharpe_20d"], 1), 21),
    Row(70, "sortino_slope_20d", "a100",
        "d(.,1) of the 20-row sortino built with std of only the negative r; undefined sortino ->"
        " 0 before differencing",
        lambda f: p.diff(_sortino_of_losses(f, 20), 1), 21),
    Row(71, "var_95", "a100", "quantile(100*r, 20, 0.05)",
        lambda f: p.quantile(100 * f.returns, 20, 0.05), 20),
    Row(72, "var_99", "a100", "quantile(100*r, 20, 0.01)",
        lambda f: p.quantile(100 * f.returns, 20, 0.01), 20),
    Row(73, "cvar_95", "a100",
        "mean of the 100*r values in the 20-row window that are <= that window's 5th percentile",
        lambda f: p.rolling(100 * f.returns, 20, _tail_mean), 20),
    Row(81, "atr_pct_percentile_60d", "a100",
        "100 * share of the last 60 atr_pct values that are >= the current one",
        lambda f: 100 * p.rank_le(-f["atr_pct"], 60), 73, flags=("rank_inverted",)),
    Row(82, "bb_width_percentile_60d", "a100",
        "100 * share of the last 60 bb_width values that are >= the current one",
        lambda f: 100 * p.rank_le(-f["bb_width"], 60), 78, flags=("rank_inverted",)),
    Row(83, "parkinson_volatility", "a100", "100*sqrt(252*mean(ln(H/L)^2,20)/(4*ln 2))",
        _parkinson, 19),
    Row(84, "garman_klass_volatility", "a100",
        "100*sqrt(252*max(0, mean(0.5*ln(H/L)^2 - (2*ln 2 - 1)*ln(C/O)^2, 20)))",
        _garman_klass, 19),
    Row(85, "vol_of_vol", "a100", "std over 20 of [sqrt(252)*std(100*r,5)]",
        lambda f: p.std(np.sqrt(252) * p.std(100 * f.returns, 5), 20), 24),
    Row(95, "expectancy_20d", "a100",
        "over 20 rows of 100*r: w = share > 0; w*mean(gains) - (1-w)*abs(mean(losses)); empty "
        "side counts 0",
        lambda f: _expectancy(100 * f.returns, 20), 20),
    Row(96, "win_rate_20d", "a100", "share of r > 0 in 20 rows",
        lambda f: p.mean(p.flag(f.returns > 0), 20), 20),
    Row(141, "pct_from_upper_band", "a200", "100*(C/BB.up - 1)",
        lambda f: 100 * (f.close / f.bands[0] - 1), 19),
    Row(142, "pct_from_lower_band", "a200", "100*(C/BB.lo - 1)",
        lambda f: 100 * (f.close / f.bands[2] - 1), 19),
    Row(143, "days_above_upper_band", "a200", "run(C > BB.up)",
        lambda f: p.run(f.close > f.bands[0]), 19),
    Row(144, "days_below_lower_band", "a200", "run(C < BB.lo)",
        lambda f: p.run(f.close < f.bands[2]), 19),
    Row(145, "bb_squeeze_indicator", "a200",
        "1 if BB.up < K.up and BB.lo > K.lo with K = EMA(C,20) +/- 1.5*ATR(20), else 0",
        _squeeze, 20),
    Row(146, "bb_squeeze_duration", "a200", "run(bb_squeeze_indicator = 1)",
        lambda f: p.run(f["bb_squeeze_indicator"] == 1), 20),
    Row(160, "range_compression_5d", "a200", "mean(H-L,5) / mean(H-L,5)[-15]",
        lambda f: _against_lag(p.mean(f.high - f.low, 5), 15), 19),
    Row(256, "atr_5", "a500", "Wilder ATR, n=5", lambda f: _atr(f, 5), 5, "price"),
    Row(257, "atr_21", "a500", "Wilder ATR, n=21", lambda f: _atr(f, 21), 21, "price"),
    Row(258, "atr_5_pct", "a500", "100*atr_5/C", lambda f: 100 * f["atr_5"] / f.close, 5),
    Row(259, "atr_21_pct", "a500", "100*atr_21/C", lambda f: 100 * f["atr_21"] / f.close, 21),
    Row(260, "atr_5_21_ratio", "a500", "atr_5/atr_21",
        lambda f: p.ratio(f["atr_5"], f["atr_21"]), 21),
    Row(261, "atr_expansion_5d", "a500", "ATR14/ATR14[-5]", lambda f: _against_lag(f.atr14, 5), 19),
    Row(262, "atr_acceleration", "a500", "d(d(atr_pct,5),5)",
        lambda f: p.diff(f["atr_pct_slope"], 5), 24),
    Row(263, "atr_percentile_20d", "a500", "rank_lt(ATR14, 20)",
        lambda f: p.rank_lt(f.atr14, 20), 33),
    Row(264, "tr_pct", "a500", "100*TR/C",
        lambda f: 100 * talib.TRANGE(f.high, f.low, f.close) / f.close, 1),
    Row(265, "tr_pct_zscore_20d", "a500", "(tr_pct - mean(tr_pct,20))/std(tr_pct,20)",
        lambda f: _deviations(f["tr_pct"], 20), 20),
    Row(266, "consecutive_high_vol_days", "a500", "run(tr_pct > 1.5*mean(tr_pct,20))",
        lambda f: p.run(f["tr_pct"] > 1.5 * p.mean(f["tr_pct"], 20)), 20),
    Row(267, "rogers_satchell_volatility", "a500",
        "sqrt(252*max(0, mean(q,20))), q = ln(H/O)*ln(H/C) + ln(L/O)*ln(L/C); a fraction, not "
        "percent",
        lambda f: _annual(p.mean(_rogers_satchell(f), 20)), 19),
    Row(268, "yang_zhang_volatility", "a500",
        "sqrt(252*max(0, var(ln(O/C[-1]),20) + 0.34*var(ln(C/O),20) + 0.66*mean(q,20))), q as "
        "above; fraction",
        _yang_zhang, 20),
    Row(269, "historical_volatility_10d", "a500", "sqrt(252)*std(ln(C/C[-1]),10); fraction",
        lambda f: p.realised_volatility(f.close, 10) / 100, 10),
    Row(270, "bb_width_slope", "a500", "d(bb_width,5)", lambda f: p.diff(f["bb_width"], 5), 24),
    Row(271, "bb_width_acceleration", "a500", "d(d(bb_width,5),5)",
        lambda f: p.diff(f["bb_width_slope"], 5), 29),
    Row(272, "bb_width_percentile_20d", "a500", "rank_lt(bb_width, 20)",
        lambda f: p.rank_lt(f["bb_width"], 20), 38),
    Row(273, "price_bb_band_position", "a500", "(C-BB.lo)/(BB.up-BB.lo)",
        lambda f: f["bb_percent_b"], 19, flags=("same_as:bb_percent_b",)),
    Row(274, "kc_width", "a500",
        "Keltner channel EMA(C,20) +/- 1.5*ATR(10): 100*(upper-lower)/middle",
        _keltner_width, 19),
    Row(275, "kc_position", "a500", "(C-lower)/(upper-lower) of that Keltner channel",
        _keltner_position, 19),
    Row(276, "bb_kc_ratio", "a500", "bb_width/kc_width",
        lambda f: p.ratio(f["bb_width"], f["kc_width"]), 19),
    Row(277, "vol_regime_change_intensity", "a500", "100*(atr_5/atr_21 - 1)",
        lambda f: 100 * (f["atr_5_21_ratio"] - 1), 21, flags=("affine_of:atr_5_21_ratio",)),
    Row(278, "vol_clustering_score", "a500",
        "lag-1 autocorrelation of abs(r) inside a 20-row window",
        lambda f: _autocorrelation(np.abs(f.returns), 20), 20),
    Row(489, "squeeze_on_14", "a500", "same condition as bb_squeeze_indicator",
        lambda f: f["bb_squeeze_indicator"],
        20, flags=("name_states_wrong_window", "same_as:bb_squeeze_indicator")),
    Row(490, "squeeze_duration_14", "a500", "run(squeeze_on_14 = 1)",
        lambda f: f["bb_squeeze_duration"],
        20, flags=("name_states_wrong_window", "same_as:bb_squeeze_duration")),
    Row(491, "squeeze_fire_recency", "a500",
        "signed rows since the squeeze last switched off, sign = +1 if C > C[-14] on that row "
        "else -1; missing before the first event",
        _squeeze_fire_recency, 21, flags=("start_depends_on_first_event",)),
)  # fmt: skip
