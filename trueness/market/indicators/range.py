"""Range: gaps, the way from open to close, channels of highs and lows, breakouts."""

from __future__ import annotations

import numpy as np

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row

# NOTE[DIFF] the published positions, counters and states show 0, 0.5 or 1 while they warm up; here
# they are missing.
RETRACEMENTS = np.array([0, 0.236, 0.382, 0.5, 0.618, 0.786, 1])


def _height(f: Frame, n: int) -> p.Array:
    return p.highest(f.high, n) - p.lowest(f.low, n)


def _place(f: Frame, n: int) -> p.Array:
    """Where the close lies between the lowest low (0) and the highest high (1); 0.5 where flat."""
    place = p.ratio(f.close - p.lowest(f.low, n), _height(f, n))
    return p.filled(place, 0.5).clip(0, 1)


def _place_of_closes(f: Frame) -> p.Array:
    low, high = p.lowest(f.close, 252), p.highest(f.close, 252)
    return p.ratio(f.close - low, high - low)


def _above_pct(f: Frame, level: p.Array) -> p.Array:
    return 100 * (f.close / level - 1)


def _since_earliest_high(x: p.Array, n: int) -> p.Array:
    return p.rolling(x, n, lambda w, axis: n - 1.0 - np.argmax(w, axis=axis))


def _since_latest_high(x: p.Array, n: int) -> p.Array:
    return p.rolling(x, n, lambda w, axis: 1.0 * np.argmax(w[:, ::-1], axis=axis))


def _to_breakout(f: Frame) -> p.Array:
    high, low = f["donchian_upper_20"], f["donchian_lower_20"]
    upper_half = f.close >= (high + low) / 2
    return 100 * np.where(upper_half, high - f.close, low - f.close) / f.close


def _breakout_strength(f: Frame) -> p.Array:
    excess = f.close - p.lag(f["donchian_upper_20"], 1)
    return np.where(excess > 0, p.ratio(excess, f.atr14), 0.0)


def _expansion(f: Frame) -> p.Array:
    height = _height(f, 10)
    return p.filled(p.ratio(height, p.lag(height, 10)), 1.0)


def _support_tests(f: Frame) -> p.Array:
    low = f["donchian_lower_20"]
    return p.total(p.flag(f.close - low <= 0.005 * low), 20)


def _nearest_retracement(f: Frame) -> p.Array:
    distance = np.abs(f["donchian_position"][:, None] - RETRACEMENTS)
    return RETRACEMENTS[distance.argmin(axis=1)]


ROWS = (
    Row(46, "overnight_gap", "a50", "100*(O/C[-1] - 1)",
        lambda f: 100 * (f.open / p.lag(f.close, 1) - 1), 1),
    Row(47, "open_to_close_pct", "a50", "100*(C/O - 1)",
        lambda f: 100 * (f.close / f.open - 1), 0),
    Row(98, "fib_range_position", "a100", "(C-min(L,44))/(max(H,44)-min(L,44)); flat -> 0.5",
        lambda f: _place(f, 44), 43),
    Row(99, "prior_high_20d_dist", "a100", "100*(C/max(H,20) - 1), window includes today",
        lambda f: _above_pct(f, p.highest(f.high, 20)), 19),
    Row(100, "prior_low_20d_dist", "a100", "100*(C/min(L,20) - 1), window includes today",
        lambda f: _above_pct(f, p.lowest(f.low, 20)), 19),
    Row(153, "percentile_in_52wk_range", "a200", "(C-min(C,252))/(max(C,252)-min(C,252))",
        _place_of_closes, 251),
    Row(154, "distance_from_52wk_high_pct", "a200", "100*(C/max(C,252) - 1)",
        lambda f: _above_pct(f, p.highest(f.close, 252)), 251),
    Row(155, "days_since_52wk_high", "a200",
        "rows since the maximum close of the last 252 rows (ties: earliest); 0 during warm-up",
        lambda f: _since_earliest_high(f.close, 252), 251),
    Row(156, "days_since_52wk_low", "a200",
        "rows since the minimum close of the last 252 rows (ties: earliest); 0 during warm-up",
        lambda f: _since_earliest_high(-f.close, 252), 251),
    Row(187, "donchian_upper_20", "a200", "max(H,20)",
        lambda f: p.highest(f.high, 20), 19, "price"),
    Row(188, "donchian_lower_20", "a200", "min(L,20)", lambda f: p.lowest(f.low, 20), 19, "price"),
    Row(189, "donchian_position", "a200",
        "clip((C-min(L,20))/(max(H,20)-min(L,20)), 0, 1); flat -> 0.5",
        lambda f: _place(f, 20), 19),
    Row(190, "donchian_width_pct", "a200", "100*(max(H,20)-min(L,20))/C",
        lambda f: 100 * _height(f, 20) / f.close, 19),
    Row(191, "pct_to_donchian_breakout", "a200",
        "if C >= channel middle: 100*(max(H,20)-C)/C, else -100*(C-min(L,20))/C",
        _to_breakout, 19),
    Row(324, "range_position_20d", "a500",
        "clip((C-min(L,20))/(max(H,20)-min(L,20)),0,1); undefined -> 0.5",
        lambda f: f["donchian_position"], 19, flags=("same_as:donchian_position",)),
    Row(325, "range_position_50d", "a500", "same over 50 rows", lambda f: _place(f, 50), 49),
    Row(326, "range_position_252d", "a500", "same over 252 rows (0.5 during warm-up)",
        lambda f: _place(f, 252), 251),
    Row(327, "range_width_20d_pct", "a500", "100*(max(H,20)-min(L,20))/C",
        lambda f: f["donchian_width_pct"], 19, flags=("same_as:donchian_width_pct",)),
    Row(328, "pct_from_20d_high", "a500", "100*(C/max(H,20) - 1)",
        lambda f: f["prior_high_20d_dist"], 19, flags=("same_as:prior_high_20d_dist",)),
    Row(329, "pct_from_20d_low", "a500", "100*(C/min(L,20) - 1)",
        lambda f: f["prior_low_20d_dist"], 19, flags=("same_as:prior_low_20d_dist",)),
    Row(330, "pct_from_52w_high", "a500", "100*(C/max(H,252) - 1)",
        lambda f: _above_pct(f, p.highest(f.high, 252)), 251),
    Row(331, "pct_from_52w_low", "a500", "100*(C/min(L,252) - 1)",
        lambda f: _above_pct(f, p.lowest(f.low, 252)), 251),
    Row(332, "days_since_20d_high", "a500",
        "rows since the maximum H of the last 20 rows (ties: latest); 0 in warm-up",
        lambda f: _since_latest_high(f.high, 20), 19),
    Row(333, "days_since_20d_low", "a500",
        "rows since the minimum L of the last 20 rows (ties: latest); 0 in warm-up",
        lambda f: _since_latest_high(-f.low, 20), 19),
    Row(334, "days_since_50d_high", "a500", "same, H over 50 rows",
        lambda f: _since_latest_high(f.high, 50), 49),
    Row(335, "days_since_50d_low", "a500", "same, L over 50 rows",
        lambda f: _since_latest_high(-f.low, 50), 49),
    Row(336, "breakout_20d", "a500", "1 if C > max(H,20)[-1] else 0",
        lambda f: p.flag(f.close > p.lag(f["donchian_upper_20"], 1)), 20),
    Row(337, "breakdown_20d", "a500", "1 if C < min(L,20)[-1] else 0",
        lambda f: p.flag(f.close < p.lag(f["donchian_lower_20"], 1)), 20),
    Row(338, "breakout_strength_20d", "a500", "(C - max(H,20)[-1])/ATR14 on breakout rows, else 0",
        _breakout_strength, 20),
    Row(339, "consecutive_new_highs_20d", "a500", "run(breakout_20d = 1)",
        lambda f: p.run(f["breakout_20d"] == 1), 20),
    Row(340, "range_expansion_10d", "a500", "R = max(H,10)-min(L,10); R/R[-10]; undefined -> 1",
        _expansion, 19),
    Row(341, "range_contraction_score", "a500", "run(R < R[-1]), R as above",
        lambda f: p.run(p.diff(_height(f, 10), 1) < 0), 10),
    Row(342, "high_low_range_ratio", "a500",
        "(max(H,20)-min(L,20))/(max(H,50)-min(L,50)); undefined -> 1",
        lambda f: p.filled(p.ratio(_height(f, 20), _height(f, 50)), 1.0), 49),
    Row(343, "support_test_count_20d", "a500",
        "number of the last 20 rows whose C was within 0.5 percent of that row's own min(L,20)",
        _support_tests, 38),
    Row(344, "fib_retracement_level", "a500",
        "member of {0, 0.236, 0.382, 0.5, 0.618, 0.786, 1} nearest to "
        "(C-min(L,20))/(max(H,20)-min(L,20))",
        _nearest_retracement, 19),
    Row(345, "distance_to_fib_50", "a500",
        "(C-min(L,20))/(max(H,20)-min(L,20)) - 0.5; undefined -> 0",
        lambda f: f["donchian_position"] - 0.5, 19, flags=("affine_of:donchian_position",)),
)  # fmt: skip
