"""Candles: body, wicks and gaps of single days, and patterns of two to five days."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row

# NOTE[DIFF] the published columns show 0 on the first rows, where yesterday is not known, and take
# a partial window for the extremes; here they are missing until their look-back has passed.
# Patterns follow Nison, "Japanese Candlestick Charting Techniques" (1991), with the published
# thresholds.
TINY = 1e-11
"""Of the close: keeps the published ratios defined on a flat bar; 1e-8 at a price of 1,000."""

Condition = NDArray[np.bool_]


def _tiny(f: Frame) -> p.Array:
    return TINY * f.close


def _body(f: Frame) -> p.Array:
    return np.abs(f.close - f.open)


def _range(f: Frame) -> p.Array:
    return f.high - f.low


def _upper_wick(f: Frame) -> p.Array:
    return f.high - np.maximum(f.open, f.close)


def _lower_wick(f: Frame) -> p.Array:
    return np.minimum(f.open, f.close) - f.low


def _wicks(f: Frame) -> p.Array:
    return _upper_wick(f) + _lower_wick(f)


def _fullness(f: Frame) -> p.Array:
    """Body over range."""
    return _body(f) / (_range(f) + _tiny(f))


def _part(f: Frame, length: p.Array, flat: float) -> p.Array:
    return p.filled(p.ratio(length, _range(f)), flat).clip(0, 1)


def _direction(f: Frame) -> p.Array:
    return np.sign(f.close - f.open)


def _middle(f: Frame) -> p.Array:
    return (f.open + f.close) / 2


def _turned(f: Frame, to: int) -> Condition:
    """Today's candle has direction `to`, yesterday's the opposite one."""
    return (_direction(f) == to) & (p.lag(_direction(f), 1) == -to)


def _bodies(f: Frame) -> tuple[p.Array, p.Array, p.Array, p.Array]:
    """Lower and upper end of the body, today and yesterday."""
    low, high = np.minimum(f.open, f.close), np.maximum(f.open, f.close)
    return low, high, p.lag(low, 1), p.lag(high, 1)


def _engulfs(f: Frame) -> Condition:
    low, high, low_before, high_before = _bodies(f)
    return (low <= low_before) & (high >= high_before)


def _pin(f: Frame, long: p.Array, short: p.Array) -> Condition:
    return (long >= 2 * _body(f)) & (short <= 0.3 * _body(f))


def _rejection(f: Frame) -> p.Array:
    lower, upper = f["hammer_score"], f["shooting_star_score"]
    return np.where(lower > upper, lower, np.where(upper > lower, -upper, 0.0))


def _gap(f: Frame) -> p.Array:
    return f.open - p.lag(f.close, 1)


def _gap_direction(f: Frame) -> p.Array:
    return np.sign(f["gap_size_pct"]) * (np.abs(f["gap_size_pct"]) > 0.1)


def _gap_filled(f: Frame) -> Condition:
    before = p.lag(f.close, 1)
    return ((_gap(f) > 0) & (f.low <= before)) | ((_gap(f) < 0) & (f.high >= before))


def _gap_fill_pct(f: Frame) -> p.Array:
    gap = _gap(f)
    way_back = np.where(gap > 0, f.open - f.low, f.high - f.open)
    return (100 * np.minimum(way_back, np.abs(gap)) / (np.abs(gap) + _tiny(f))).clip(0, 100)


def _count_one_way(state: p.Array) -> p.Array:
    """Rows in a row with the same non-zero state; unsigned."""
    return np.maximum(p.run(state > 0), p.run(state < 0))


def _longer_wick(f: Frame) -> p.Array:
    upper, lower = _upper_wick(f), _lower_wick(f)
    return np.where(lower > 2 * upper, 1.0, np.where(upper > 2 * lower, -1.0, 0.0))


def _doji_after_trend(f: Frame) -> p.Array:
    """A doji after at least three closes in one direction, not counting today's."""
    moves = _count_one_way(np.sign(p.diff(f.close, 1)))
    return f["doji_strict_indicator"] * (p.lag(moves, 1) >= 3)


def _spinning_top(f: Frame) -> Condition:
    body = _body(f)
    return (_fullness(f) < 0.3) & (_upper_wick(f) > body) & (_lower_wick(f) > body)


def _near_extreme(f: Frame) -> Condition:
    return (f.high >= 0.98 * p.highest(f.high, 20)) | (f.low <= 1.02 * p.lowest(f.low, 20))


def _star(f: Frame, to: int) -> Condition:
    """Morning (+1) or evening (-1) star: small body in the middle, last close past halfway."""
    first = p.lag(_direction(f), 2) == -to
    small, last = p.lag(_fullness(f), 1) < 0.3, _direction(f) == to
    return first & small & last & (to * (f.close - p.lag(_middle(f), 2)) > 0)


def _three(f: Frame, to: int, wick: p.Array) -> Condition:
    return p.run((_direction(f) == to) & (wick / (_range(f) + _tiny(f)) < 0.3)) >= 3


def _harami(f: Frame) -> p.Array:
    low, high, low_before, high_before = _bodies(f)
    inside = (low >= low_before) & (high <= high_before)
    return 1.0 * (inside & _turned(f, 1)) - 1.0 * (inside & _turned(f, -1))


def _equal_to_last(x: p.Array) -> Condition:
    return np.abs(p.diff(x, 1)) / p.lag(x, 1) < 0.001


def _closes_ran(f: Frame, to: int) -> Condition:
    """The two closes before today's moved in direction `to`."""
    return p.lag(p.run(to * p.diff(f.close, 1) > 0), 1) >= 2


def _bullish(f: Frame) -> p.Array:
    return f["morning_star_indicator"] + f["three_white_soldiers"] + (f["harami_indicator"] == 1)


def _bearish(f: Frame) -> p.Array:
    return f["evening_star_indicator"] + f["three_black_crows"] + (f["harami_indicator"] == -1)


ROWS = (
    Row(175, "candle_body_pct", "a200", "100*ab/O", lambda f: 100 * _body(f) / f.open, 0),
    Row(176, "body_to_range_ratio", "a200", "clip(ab/rng, 0, 1); flat bar -> 0.5",
        lambda f: _part(f, _body(f), flat=0.5), 0),
    Row(177, "upper_wick_pct", "a200", "clip(uw/rng, 0, 1); flat bar -> 0",
        lambda f: _part(f, _upper_wick(f), flat=0.0), 0),
    Row(178, "lower_wick_pct", "a200", "clip(lw/rng, 0, 1); flat bar -> 0",
        lambda f: _part(f, _lower_wick(f), flat=0.0), 0),
    Row(179, "doji_indicator", "a200", "1 if body_to_range_ratio < 0.1 else 0",
        lambda f: p.flag(f["body_to_range_ratio"] < 0.1), 0),
    Row(180, "range_vs_avg_range", "a200", "rng/mean(rng,20) (zero mean -> 1)",
        lambda f: p.filled(p.ratio(_range(f), p.mean(_range(f), 20)), 1.0), 19),
    Row(346, "bullish_engulfing", "a500",
        "1 if today's body span contains yesterday's, today C > O, yesterday C < O",
        lambda f: p.flag(_engulfs(f) & _turned(f, 1)), 1),
    Row(347, "bearish_engulfing", "a500",
        "1 if today's body span contains yesterday's, today C < O, yesterday C > O",
        lambda f: p.flag(_engulfs(f) & _turned(f, -1)), 1),
    Row(348, "engulfing_score", "a500", "clip(ab/(ab[-1]+1e-11*C), 0, 5)",
        lambda f: (_body(f) / (p.lag(_body(f), 1) + _tiny(f))).clip(0, 5), 1),
    Row(349, "consecutive_engulfing_count", "a500", "run(either engulfing pattern)",
        lambda f: p.run(f["bullish_engulfing"] + f["bearish_engulfing"] > 0), 1),
    Row(350, "hammer_indicator", "a500", "1 if lw >= 2*ab and uw <= 0.3*ab",
        lambda f: p.flag(_pin(f, _lower_wick(f), _upper_wick(f))), 0),
    Row(351, "shooting_star_indicator", "a500", "1 if uw >= 2*ab and lw <= 0.3*ab",
        lambda f: p.flag(_pin(f, _upper_wick(f), _lower_wick(f))), 0),
    Row(352, "hammer_score", "a500", "clip(lw/(ab+1e-11*C), 0, 10)",
        lambda f: (_lower_wick(f) / (_body(f) + _tiny(f))).clip(0, 10), 0),
    Row(353, "shooting_star_score", "a500", "clip(uw/(ab+1e-11*C), 0, 10)",
        lambda f: (_upper_wick(f) / (_body(f) + _tiny(f))).clip(0, 10), 0),
    Row(354, "wick_rejection_score", "a500",
        "larger of the two scores, positive when the hammer score is larger, negative when the "
        "shooting-star score is, 0 when equal",
        _rejection, 0),
    Row(355, "gap_size_pct", "a500", "100*(O-C[-1])/C[-1]; row 0 -> 0",
        lambda f: f["overnight_gap"], 1, flags=("same_as:overnight_gap",)),
    Row(356, "gap_direction", "a500", "+1 if gap_size_pct > 0.1, -1 if < -0.1, else 0",
        _gap_direction, 1),
    Row(357, "gap_filled_today", "a500",
        "1 if (O > C[-1] and L <= C[-1]) or (O < C[-1] and H >= C[-1])",
        lambda f: p.flag(_gap_filled(f)), 1),
    Row(358, "gap_fill_pct", "a500",
        "gap up: min(O-L, gap); gap down: min(H-O, abs gap); divided by (abs gap + 1e-11*C), times "
        "100, clipped 0..100",
        _gap_fill_pct, 1),
    Row(359, "significant_gap", "a500", "1 if abs(gap_size_pct) > 0.5",
        lambda f: p.flag(np.abs(f["gap_size_pct"]) > 0.5), 1),
    Row(360, "inside_day", "a500", "1 if H <= H[-1] and L >= L[-1]",
        lambda f: p.flag((f.high <= p.lag(f.high, 1)) & (f.low >= p.lag(f.low, 1))), 1),
    Row(361, "outside_day", "a500", "1 if H > H[-1] and L < L[-1]",
        lambda f: p.flag((f.high > p.lag(f.high, 1)) & (f.low < p.lag(f.low, 1))), 1),
    Row(362, "consecutive_inside_days", "a500", "run(inside_day = 1)",
        lambda f: p.run(f["inside_day"] == 1), 1),
    Row(363, "consecutive_outside_days", "a500", "run(outside_day = 1)",
        lambda f: p.run(f["outside_day"] == 1), 1),
    Row(364, "narrow_range_day", "a500", "1 if rng < 0.5*mean(rng,10)",
        lambda f: p.flag(_range(f) < 0.5 * p.mean(_range(f), 10)), 9),
    Row(365, "wide_range_day", "a500", "1 if rng > 2*mean(rng,10)",
        lambda f: p.flag(_range(f) > 2 * p.mean(_range(f), 10)), 9),
    Row(366, "narrow_range_score", "a500",
        "clip(mean(rng,10)/(rng+1e-11*C), 0, 10); undefined -> 0",
        lambda f: (p.mean(_range(f), 10) / (_range(f) + _tiny(f))).clip(0, 10), 9),
    Row(367, "consecutive_narrow_days", "a500", "run(narrow_range_day = 1)",
        lambda f: p.run(f["narrow_range_day"] == 1), 9),
    Row(368, "trend_day_indicator", "a500", "1 if br > 0.7 and 100*ab/O > 0.5",
        lambda f: p.flag((_fullness(f) > 0.7) & (f["candle_body_pct"] > 0.5)), 0),
    Row(369, "trend_day_direction", "a500", "sign(C-O) on trend days, else 0",
        lambda f: f["trend_day_indicator"] * _direction(f), 0),
    Row(370, "consecutive_trend_days", "a500",
        "running count of trend days in one direction; resets to 1 on a reversal and 0 on a "
        "non-trend day",
        lambda f: _count_one_way(f["trend_day_direction"]), 0),
    Row(371, "doji_strict_indicator", "a500", "1 if br < 0.1",
        lambda f: p.flag(_fullness(f) < 0.1), 0, flags=("same_as:doji_indicator",)),
    Row(372, "doji_score", "a500", "clip(1 - br, 0, 1)",
        lambda f: (1 - _fullness(f)).clip(0, 1), 0, flags=("affine_of:body_to_range_ratio",)),
    Row(373, "doji_type", "a500",
        "on doji rows +1 if lw > 2*uw, -1 if uw > 2*lw, else 0; 0 otherwise",
        lambda f: f["doji_strict_indicator"] * _longer_wick(f), 0),
    Row(374, "consecutive_doji_count", "a500", "run(doji_strict_indicator = 1)",
        lambda f: p.run(f["doji_strict_indicator"] == 1), 0),
    Row(375, "doji_after_trend", "a500",
        "1 if doji and the close had moved the same way on at least the 3 preceding rows",
        _doji_after_trend, 4),
    Row(376, "marubozu_indicator", "a500", "1 if (uw+lw)/(rng+1e-11*C) < 0.1",
        lambda f: p.flag(_wicks(f) / (_range(f) + _tiny(f)) < 0.1), 0),
    Row(377, "marubozu_direction", "a500", "sign(C-O) on marubozu rows, else 0",
        lambda f: f["marubozu_indicator"] * _direction(f), 0),
    Row(378, "marubozu_strength", "a500", "clip(br, 0, 1)",
        lambda f: _fullness(f).clip(0, 1), 0, flags=("affine_of:body_to_range_ratio",)),
    Row(379, "consecutive_strong_candles", "a500",
        "running count of rows with br > 0.7 in one direction (reset as for "
        "consecutive_trend_days)",
        lambda f: _count_one_way((_fullness(f) > 0.7) * _direction(f)), 0),
    Row(380, "spinning_top_indicator", "a500", "1 if br < 0.3 and uw > ab and lw > ab",
        lambda f: p.flag(_spinning_top(f)), 0),
    Row(381, "spinning_top_score", "a500", "clip((uw+lw)/(ab+1e-11*C), 0, 10)",
        lambda f: (_wicks(f) / (_body(f) + _tiny(f))).clip(0, 10), 0),
    Row(382, "indecision_streak", "a500", "run(spinning top or br < 0.1)",
        lambda f: p.run(_spinning_top(f) | (_fullness(f) < 0.1)), 0),
    Row(383, "indecision_at_extreme", "a500",
        "1 if spinning top and (H >= 0.98*max(H,20) or L <= 1.02*min(L,20)); window may be "
        "partial at the start",
        lambda f: p.flag(_spinning_top(f) & _near_extreme(f)), 19),
    Row(384, "morning_star_indicator", "a500",
        "1 if C[-2] < O[-2], br[-1] < 0.3, C > O and C > (O[-2]+C[-2])/2",
        lambda f: p.flag(_star(f, 1)), 2),
    Row(385, "evening_star_indicator", "a500",
        "1 if C[-2] > O[-2], br[-1] < 0.3, C < O and C < (O[-2]+C[-2])/2",
        lambda f: p.flag(_star(f, -1)), 2),
    Row(386, "three_white_soldiers", "a500",
        "1 if the last 3 rows all have C > O and uw/(rng+1e-11*C) < 0.3",
        lambda f: p.flag(_three(f, 1, _upper_wick(f))), 2),
    Row(387, "three_black_crows", "a500",
        "1 if the last 3 rows all have C < O and lw/(rng+1e-11*C) < 0.3",
        lambda f: p.flag(_three(f, -1, _lower_wick(f))), 2),
    Row(388, "harami_indicator", "a500",
        "today's body inside yesterday's: +1 if yesterday C < O and today C > O, -1 if yesterday "
        "C > O and today C < O, else 0",
        _harami, 1),
    Row(389, "piercing_line", "a500",
        "1 if yesterday C < O, today C > O and C > (O[-1]+C[-1])/2 (no gap condition)",
        lambda f: p.flag(_turned(f, 1) & (f.close > p.lag(_middle(f), 1))), 1),
    Row(390, "dark_cloud_cover", "a500",
        "1 if yesterday C > O, today C < O and C < (O[-1]+C[-1])/2 (no gap condition)",
        lambda f: p.flag(_turned(f, -1) & (f.close < p.lag(_middle(f), 1))), 1),
    Row(391, "tweezer_bottom", "a500", "1 if abs(L-L[-1])/L[-1] < 0.001 and C[-3] > C[-2] > C[-1]",
        lambda f: p.flag(_equal_to_last(f.low) & _closes_ran(f, -1)), 3),
    Row(392, "tweezer_top", "a500", "1 if abs(H-H[-1])/H[-1] < 0.001 and C[-3] < C[-2] < C[-1]",
        lambda f: p.flag(_equal_to_last(f.high) & _closes_ran(f, 1)), 3),
    Row(393, "reversal_pattern_count_5d", "a500",
        "sum over 5 rows of morning star + evening star + soldiers + crows + abs(harami)",
        lambda f: p.total(_bullish(f) + _bearish(f), 5), 6),
    Row(394, "pattern_alignment_score", "a500",
        "sign of (bullish minus bearish pattern count over 5 rows); bullish = morning star, "
        "soldiers, harami +1",
        lambda f: np.sign(p.total(_bullish(f) - _bearish(f), 5)), 6),
    Row(395, "pattern_cluster_indicator", "a500",
        "1 if at least 2 of those patterns occurred in the last 3 rows",
        lambda f: p.flag(p.total(_bullish(f) + _bearish(f), 3) >= 2), 4),
)  # fmt: skip
