"""Trend: moving averages and their crossings, ADX, Aroon, regression lines, trailing stops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row
from trueness.market.indicators.library import talib

# NOTE[DIFF] the published counters, shares and states show 0, 0.5 or 1 while their inputs warm up;
# here they are missing until then.


def _hull(f: Frame, n: int) -> p.Array:
    """Hull average: a fast minus a slow weighted mean, smoothed over sqrt(n) rows."""
    fast, slow = talib.WMA(f.close, n // 2), talib.WMA(f.close, n)
    return talib.WMA(2 * fast - slow, int(n**0.5))


def _volume_weighted(f: Frame, n: int) -> p.Array:
    return p.ratio(p.mean(f.close * f.volume, n), p.mean(f.volume, n))


_Average = tuple[str, Callable[[Frame, int], p.Array], Callable[[int], int]]

_AVERAGES: dict[str, _Average] = {
    "sma": ("simple mean of C over {n} rows", lambda f, n: f.sma(n), lambda n: n - 1),
    "ema": ("EMA of C, n={n}", lambda f, n: talib.EMA(f.close, n), lambda n: n - 1),
    "dema": ("double EMA of C, n={n}", lambda f, n: f.dema(n), lambda n: 2 * (n - 1)),
    "tema": ("triple EMA of C, n={n}", lambda f, n: talib.TEMA(f.close, n), lambda n: 3 * (n - 1)),
    "wma": ("linearly weighted mean of C, n={n}",
            lambda f, n: talib.WMA(f.close, n), lambda n: n - 1),
    "kama": ("Kaufman adaptive MA of C, n={n}", lambda f, n: talib.KAMA(f.close, n), lambda n: n),
    "hma": ("Hull MA: WMA(2*WMA(C,{half}) - WMA(C,{n}), {root})",
            _hull, lambda n: n + int(n**0.5) - 2),
    "vwma": ("sum(C*V,{n})/sum(V,{n})", _volume_weighted, lambda n: n - 1),
}  # fmt: skip


def _split(line: str) -> tuple[str, int]:
    kind, n = line.split("_")
    return kind, int(n)


def _line(f: Frame, line: str) -> p.Array:
    """Column of an average such as ``sma_9``, whether or not it is a row of the catalogue."""
    kind, n = _split(line)
    return f[line] if line in f.rows else _AVERAGES[kind][1](f, n)


def _warmup(*lines: str) -> int:
    return max(_AVERAGES[kind][2](n) for kind, n in map(_split, lines))


def _needs(line: str) -> tuple[str, ...]:
    return ("volume",) if line.startswith("vwma") else ()


def _written(line: str) -> str:
    kind, n = _split(line)
    return f"SMA(C,{n})" if kind == "sma" and n in (9, 20, 50, 200) else line


def _average(position: int, tier: str, line: str, *flags: str, remark: str = "") -> Row:
    kind, n = _split(line)
    wording, compute, _ = _AVERAGES[kind]
    formula = wording.format(n=n, half=n // 2, root=int(n**0.5)) + remark
    return Row(position, line, tier, formula, lambda f: compute(f, n), _warmup(line), "price",
               _needs(line), flags)  # fmt: skip


def _slope(position: int, tier: str, line: str, remark: str = "") -> Row:
    return Row(position, f"{line}_slope", tier, f"d({_written(line)},5){remark}",
               lambda f: p.diff(_line(f, line), 5), _warmup(line) + 5, "price")  # fmt: skip


def _acceleration(position: int, line: str) -> Row:
    return Row(position, f"{line}_acceleration", "a500", f"d({line}_slope,5)",
               lambda f: p.diff(f[f"{line}_slope"], 5), _warmup(line) + 10, "price")  # fmt: skip


def _distance(position: int, tier: str, line: str) -> Row:
    return Row(position, f"price_pct_from_{line}", tier, f"100*(C/{_written(line)} - 1)",
               lambda f: 100 * (f.close / _line(f, line) - 1), _warmup(line))  # fmt: skip


def _proximity(position: int, tier: str, name: str, fast: str, slow: str) -> Row:
    return Row(position, f"{name}_proximity", tier,
               f"100*({_written(fast)}/{_written(slow)} - 1)",
               lambda f: 100 * (_line(f, fast) / _line(f, slow) - 1),
               _warmup(fast, slow))  # fmt: skip


def _days_above(position: int, tier: str, line: str) -> Row:
    return Row(position, f"days_above_{line}", tier, f"run(C >= {_written(line)})",
               lambda f: p.run(f.close >= _line(f, line)), _warmup(line),
               needs=_needs(line))  # fmt: skip


def _days_below(position: int, tier: str, line: str) -> Row:
    return Row(position, f"days_below_{line}", tier, f"run(C < {_written(line)})",
               lambda f: p.run(f.close < _line(f, line)), _warmup(line),
               needs=_needs(line))  # fmt: skip


def _days_since(position: int, tier: str, name: str, fast: str, slow: str) -> Row:
    return Row(position, f"days_since_{name}_cross", tier,
               f"age({_written(fast)}, {_written(slow)})",
               lambda f: p.age(_line(f, fast), _line(f, slow)), _warmup(fast, slow))  # fmt: skip


def _since_flip(f: Frame, n: int) -> p.Array:
    """Rows since the sign (-1, 0, +1) of C - SMA(C, n) changed; counts from the first mean."""
    sign = np.sign(f.close - f.sma(n))
    state = np.where(np.isnan(sign), 2.0, sign)
    return np.arange(len(state)) - p.run_start(state).astype(np.float64)


def _recency(event: p.Array) -> p.Array:
    """Rows since the last event (+1 or -1), with its sign; 0 on its row, NaN before the first."""
    rows = np.arange(len(event))
    last = np.maximum.accumulate(np.where(event != 0, rows, -1))
    return np.where(last >= 0, event[last] * (rows - last), np.nan)


def _zero_crossing(x: p.Array) -> p.Array:
    """+1 where x > 0 after x <= 0, -1 where x < 0 after x >= 0, else 0."""
    before = p.lag(x, 1)
    up, down = (x > 0) & (before <= 0), (x < 0) & (before >= 0)
    return up.astype(np.float64) - down


def _flip_recency(f: Frame) -> p.Array:
    atr = talib.ATR(f.high, f.low, f.close, 14)
    state = p.ratchet(f.high, f.low, f.close, atr, 3.0)[1]
    flipped = p.diff(state, 1)
    return _recency(np.where(np.isnan(flipped) | (flipped == 0), 0.0, state))


def _centre(f: Frame, n: int) -> p.Array:
    """Middle of the range of n rows."""
    return (p.highest(f.high, n) + p.lowest(f.low, n)) / 2


def _cloud_side(f: Frame) -> p.Array:
    a, b = f["senkou_span_a"], f["senkou_span_b"]
    above, below = f.close > np.maximum(a, b), f.close < np.minimum(a, b)
    return above.astype(np.float64) - below


def _aroon(f: Frame, n: int) -> tuple[p.Array, p.Array]:
    """Aroon up and down."""
    down, up = talib.AROON(f.high, f.low, n)
    return up, down


def _both_middling(f: Frame) -> p.Array:
    up, down = _aroon(f, 14)
    middling = (up >= 30) & (up <= 70) & (down >= 30) & (down <= 70)
    return middling.astype(np.float64)


def _one_sided(f: Frame, sign: int) -> p.Array:
    """Size of the returns of one sign in percent, 0 on other days; NaN on row 0."""
    return np.maximum(sign * 100 * f.returns, 0)


def _one_sided_mean(f: Frame, sign: int) -> p.Array:
    size = _one_sided(f, sign)
    mean = p.ratio(p.total(size, 20), p.total((size > 0).astype(np.float64), 20))
    return np.where(np.isnan(mean), 0.0, mean)


def _or_one(a: p.Array, b: p.Array) -> p.Array:
    """``a / b``; 1 where b is 0."""
    return np.where(b == 0, 1.0, p.ratio(a, b))


def _longest_streak(f: Frame) -> p.Array:
    up, down = p.run(f.returns > 0), p.run(f.returns < 0)
    return p.highest(np.maximum(up, down), 20)


def _bias(f: Frame) -> p.Array:
    return 2 * np.abs(p.mean((f.returns > 0).astype(np.float64), 20) - 0.5)


def _trend_direction(f: Frame) -> p.Array:
    pace = 100 * f["sma_50_slope"] / f.sma(50)
    return (pace > 0.5).astype(np.float64) - (pace < -0.5)


def _trend_per_volatility(f: Frame) -> p.Array:
    score = p.ratio(f["adx_14"], 10 * f["atr_pct"])
    return np.where(np.isnan(score), 0.0, score)


def _line_residuals(window: p.Array) -> p.Array:
    """What a least-squares line on time leaves, (rows, n) -> (rows, n)."""
    n = window.shape[1]
    time = np.arange(n) - (n - 1) / 2
    centred = window - window.mean(axis=1, keepdims=True)
    slope = centred @ time / (time @ time)
    return centred - slope[:, None] * time


def _residual_std(window: p.Array, axis: int) -> p.Array:
    return np.sqrt((_line_residuals(window) ** 2).mean(axis=axis))


def _r_squared(window: p.Array, axis: int) -> p.Array:
    total = window.var(axis=axis) * window.shape[axis]
    explained = 1 - p.ratio((_line_residuals(window) ** 2).sum(axis=axis), total)
    return np.where(np.ptp(window, axis=axis) == 0, 1.0, explained)


ROWS = (
    _average(1, "a20", "dema_9"),
    _average(2, "a20", "dema_10"),
    _average(3, "a20", "sma_12"),
    _average(4, "a20", "dema_20"),
    _average(5, "a20", "dema_25"),
    _average(6, "a20", "sma_50"),
    _average(7, "a20", "dema_90"),
    _average(8, "a20", "sma_100"),
    _average(9, "a20", "sma_200"),
    Row(18, "adx_14", "a20", "average directional index, n=14",
        lambda f: talib.ADX(f.high, f.low, f.close, 14), 27),
    _distance(40, "a50", "sma_50"),
    _distance(41, "a50", "sma_200"),
    _proximity(42, "a50", "sma_50_200", "sma_50", "sma_200"),
    _proximity(74, "a100", "sma_9_50", "sma_9", "sma_50"),
    _slope(75, "a100", "sma_50", " in price units"),
    _slope(76, "a100", "sma_200", " in price units"),
    Row(77, "days_since_sma_50_cross", "a100",
        "unsigned rows since sign(C - SMA(C,50)) last flipped; "
        "0 on the flip row, on the first defined row and before it",
        lambda f: _since_flip(f, 50), 49),
    Row(78, "days_since_sma_200_cross", "a100", "same with SMA(C,200)",
        lambda f: _since_flip(f, 200), 199),
    _average(79, "a100", "ema_12"),
    _average(80, "a100", "ema_26"),
    Row(86, "adx_slope", "a100", "d(ADX14,5)", lambda f: p.diff(f["adx_14"], 5), 32),
    Row(87, "di_spread", "a100", "+DI14 - (-DI14)",
        lambda f: f["plus_di_14"] - f["minus_di_14"], 14),
    Row(88, "aroon_oscillator", "a100", "Aroon up - Aroon down, n=25",
        lambda f: f["aroon_up_25"] - f["aroon_down_25"], 25),
    Row(89, "price_pct_from_supertrend", "a100", "100*(C/ST - 1), ST = supertrend(10,3)",
        lambda f: 100 * (f.close / f.supertrend10[0] - 1), 10),
    Row(90, "supertrend_direction", "a100", "state (+1/-1) of supertrend(10,3)",
        lambda f: f.supertrend10[1], 10),
    _average(101, "a200", "tema_9"),
    _average(102, "a200", "tema_20"),
    _average(103, "a200", "tema_50"),
    _average(104, "a200", "tema_100", remark=" (longest warm-up of the whole set: 297 rows)"),
    _average(105, "a200", "wma_10"),
    _average(106, "a200", "wma_20"),
    _average(107, "a200", "wma_50"),
    _average(108, "a200", "wma_200"),
    _average(109, "a200", "kama_10"),
    _average(110, "a200", "kama_20"),
    _average(111, "a200", "kama_50"),
    _average(112, "a200", "hma_9"),
    _average(113, "a200", "hma_21"),
    _average(114, "a200", "hma_50"),
    _average(115, "a200", "vwma_10"),
    _average(116, "a200", "vwma_20", "same_as:vwap_20"),
    _average(117, "a200", "vwma_50"),
    _slope(118, "a200", "tema_20"),
    _distance(119, "a200", "tema_50"),
    _distance(120, "a200", "kama_20"),
    _days_above(121, "a200", "sma_9"),
    _days_below(122, "a200", "sma_9"),
    _days_above(123, "a200", "sma_50"),
    _days_below(124, "a200", "sma_50"),
    _days_above(125, "a200", "sma_200"),
    _days_below(126, "a200", "sma_200"),
    _days_above(127, "a200", "tema_20"),
    _days_below(128, "a200", "tema_20"),
    _days_above(129, "a200", "kama_20"),
    _days_below(130, "a200", "kama_20"),
    _days_above(131, "a200", "vwma_20"),
    _days_below(132, "a200", "vwma_20"),
    _days_since(133, "a200", "sma_9_50", "sma_9", "sma_50"),
    _days_since(134, "a200", "sma_50_200", "sma_50", "sma_200"),
    _days_since(135, "a200", "tema_sma_50", "tema_20", "sma_50"),
    _days_since(136, "a200", "kama_sma_50", "kama_20", "sma_50"),
    _days_since(137, "a200", "sma_9_200", "sma_9", "sma_200"),
    _proximity(138, "a200", "tema_20_sma_50", "tema_20", "sma_50"),
    _proximity(139, "a200", "kama_20_sma_50", "kama_20", "sma_50"),
    _proximity(140, "a200", "sma_9_200", "sma_9", "sma_200"),
    Row(181, "tenkan_sen", "a200", "(max(H,9)+min(L,9))/2", lambda f: _centre(f, 9), 8, "price"),
    Row(182, "kijun_sen", "a200", "(max(H,26)+min(L,26))/2",
        lambda f: _centre(f, 26), 25, "price"),
    Row(183, "senkou_span_a", "a200", "(tenkan_sen + kijun_sen)/2, NOT displaced forward",
        lambda f: (f["tenkan_sen"] + f["kijun_sen"]) / 2, 25, "price"),
    Row(184, "senkou_span_b", "a200", "(max(H,52)+min(L,52))/2, NOT displaced forward",
        lambda f: _centre(f, 52), 51, "price"),
    Row(185, "price_vs_cloud", "a200",
        "+1 if C > max(span A, span B), -1 if C < min of them, else 0", _cloud_side, 51),
    Row(186, "cloud_thickness_pct", "a200", "100*(span A - span B)/C",
        lambda f: 100 * (f["senkou_span_a"] - f["senkou_span_b"]) / f.close, 51),
    _average(207, "a500", "sma_5"),
    _average(208, "a500", "sma_14"),
    _average(209, "a500", "sma_21"),
    _average(210, "a500", "sma_63"),
    _average(211, "a500", "ema_5"),
    _average(212, "a500", "ema_9"),
    _average(213, "a500", "ema_50"),
    _average(214, "a500", "ema_100"),
    _average(215, "a500", "ema_200"),
    _slope(216, "a500", "sma_5"),
    _slope(217, "a500", "sma_21"),
    _slope(218, "a500", "sma_63"),
    _slope(219, "a500", "ema_9"),
    _slope(220, "a500", "ema_50"),
    _slope(221, "a500", "ema_100"),
    _distance(222, "a500", "sma_5"),
    _distance(223, "a500", "sma_21"),
    _distance(224, "a500", "ema_9"),
    _distance(225, "a500", "ema_50"),
    _distance(226, "a500", "ema_100"),
    _proximity(227, "a500", "sma_5_21", "sma_5", "sma_21"),
    _proximity(228, "a500", "sma_21_50", "sma_21", "sma_50"),
    _proximity(229, "a500", "sma_63_200", "sma_63", "sma_200"),
    _proximity(230, "a500", "ema_9_50", "ema_9", "ema_50"),
    _days_above(231, "a500", "ema_9"),
    _days_below(232, "a500", "ema_9"),
    _days_above(233, "a500", "ema_50"),
    _days_below(234, "a500", "ema_50"),
    _days_above(235, "a500", "sma_21"),
    _days_below(236, "a500", "sma_21"),
    _days_above(237, "a500", "sma_63"),
    _days_below(238, "a500", "sma_63"),
    _days_since(239, "a500", "ema_9_50", "ema_9", "ema_50"),
    _days_since(240, "a500", "ema_50_200", "ema_50", "ema_200"),
    _days_since(241, "a500", "sma_5_21", "sma_5", "sma_21"),
    _days_since(242, "a500", "sma_21_63", "sma_21", "sma_63"),
    _days_since(243, "a500", "ema_9_sma_50", "ema_9", "sma_50"),
    _acceleration(244, "ema_9"),
    _acceleration(245, "ema_50"),
    _acceleration(246, "sma_21"),
    _acceleration(247, "sma_63"),
    Row(301, "plus_di_14", "a500", "+DI, n=14",
        lambda f: talib.PLUS_DI(f.high, f.low, f.close, 14), 14),
    Row(302, "minus_di_14", "a500", "-DI, n=14",
        lambda f: talib.MINUS_DI(f.high, f.low, f.close, 14), 14),
    Row(303, "adx_14_slope", "a500", "d(ADX14,5)",
        lambda f: p.diff(f["adx_14"], 5), 32, flags=("same_as:adx_slope",)),
    Row(304, "adx_acceleration", "a500", "d(d(ADX14,5),5)",
        lambda f: p.diff(f["adx_slope"], 5), 37),
    Row(305, "di_cross_recency", "a500", "age(plus_di_14, minus_di_14)",
        lambda f: p.age(f["plus_di_14"], f["minus_di_14"]), 14),
    Row(306, "avg_up_day_magnitude", "a500", "mean of the positive 100*r in 20 rows; none -> 0",
        lambda f: _one_sided_mean(f, 1), 20),
    Row(307, "avg_down_day_magnitude", "a500",
        "mean of abs of the negative 100*r in 20 rows; none -> 0",
        lambda f: _one_sided_mean(f, -1), 20),
    Row(308, "up_down_magnitude_ratio", "a500",
        "avg_up_day_magnitude/avg_down_day_magnitude; undefined -> 1",
        lambda f: _or_one(f["avg_up_day_magnitude"], f["avg_down_day_magnitude"]), 20),
    Row(309, "trend_persistence_20d", "a500",
        "maximum over the last 20 rows of the running up-streak or down-streak length",
        _longest_streak, 20),
    Row(310, "up_vs_down_momentum", "a500",
        "sum of positive 100*r over sum of abs negative 100*r, 20 rows; undefined -> 1",
        lambda f: _or_one(p.total(_one_sided(f, 1), 20), p.total(_one_sided(f, -1), 20)), 20),
    Row(311, "directional_bias_strength", "a500", "2*abs(share of up rows in 20 - 0.5)", _bias, 20),
    Row(313, "price_trend_direction", "a500",
        "g = 100*d(SMA(C,50),5)/SMA(C,50); +1 if g > 0.5, -1 if g < -0.5, else 0",
        _trend_direction, 54),
    Row(314, "trend_alignment_score", "a500",
        "1 if sign(+DI14 - -DI14) equals price_trend_direction, else 0",
        lambda f: np.sign(f["di_spread"]) == f["price_trend_direction"], 54),
    Row(316, "trend_strength_vs_vol", "a500", "ADX14/(10*atr_pct); undefined -> 0",
        _trend_per_volatility, 27),
    Row(317, "linreg_slope_20d", "a500",
        "100*252*b/C, b = least-squares slope of C on time over 20 rows",
        lambda f: 25200 * talib.LINEARREG_SLOPE(f.close, 20) / f.close, 19),
    Row(318, "linreg_r_squared_20d", "a500", "R-squared of that regression (flat -> 1)",
        lambda f: p.rolling(f.close, 20, _r_squared), 19),
    Row(319, "price_linreg_deviation", "a500", "100*(C - fitted end value over 20 rows)/C",
        lambda f: 100 * (f.close - talib.LINEARREG(f.close, 20)) / f.close, 19),
    Row(320, "channel_width_linreg_20d", "a500",
        "100*2*population std of the 20 residuals / C",
        lambda f: 200 * p.rolling(f.close, 20, _residual_std) / f.close, 19),
    Row(321, "aroon_up_25", "a500", "Aroon up, n=25", lambda f: _aroon(f, 25)[0], 25),
    Row(322, "aroon_down_25", "a500", "Aroon down, n=25", lambda f: _aroon(f, 25)[1], 25),
    Row(323, "aroon_trend_strength", "a500", "abs(Aroon up - Aroon down)/100, n=25",
        lambda f: np.abs(f["aroon_oscillator"]) / 100, 25),
    Row(484, "aroon_up_14", "a500", "Aroon up, n=14", lambda f: _aroon(f, 14)[0], 14),
    Row(485, "aroon_down_14", "a500", "Aroon down, n=14", lambda f: _aroon(f, 14)[1], 14),
    Row(486, "aroon_crossover_recency", "a500",
        "signed rows since (Aroon up - Aroon down, n=14) last crossed zero, positive after an "
        "upward cross; 0 on the cross row; missing before the first cross",
        lambda f: _recency(_zero_crossing(f["aroon_oscillator_14"])), 15,
        flags=("start_depends_on_first_event",)),
    Row(487, "aroon_consolidation", "a500", "1 if both Aroon 14 values lie in [30,70]",
        _both_middling, 14),
    Row(488, "aroon_oscillator_14", "a500", "Aroon up - Aroon down, n=14",
        lambda f: f["aroon_up_14"] - f["aroon_down_14"], 14),
    Row(492, "supertrend_flip_recency_14", "a500",
        "signed rows since ratchet(14,3) last changed state, sign = new state; "
        "missing before the first flip",
        _flip_recency, 15, flags=("start_depends_on_first_event", "nonstandard_recursion")),
    Row(493, "pct_from_supertrend_20", "a500", "100*(C/line - 1), line = ratchet(20,3)",
        lambda f: 100 * (f.close / f.ratchet20[0] - 1), 20, flags=("nonstandard_recursion",)),
    Row(494, "supertrend_slope", "a500", "d(line of ratchet(20,3), 5)",
        lambda f: p.diff(f.ratchet20[0], 5), 25, "price", flags=("nonstandard_recursion",)),
)  # fmt: skip
