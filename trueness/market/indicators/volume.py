"""Volume: on-balance volume, money flow, VWAP, Klinger oscillator, volume against price moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row
from trueness.market.indicators.library import talib

# NOTE[DIFF] the published columns show 0, 0.5 or 1 while they warm up; here they are missing.


def _vwap(f: Frame, n: int) -> p.Array:
    return p.ratio(p.mean(f.close * f.volume, n), p.mean(f.volume, n))


def _klinger_signal(f: Frame) -> p.Array:
    force = p.klinger_force(f.high, f.low, f.close, f.volume)
    return p.ewm(p.ewm(force, 34) - p.ewm(force, 55), 13)


def _rising(f: Frame) -> NDArray[np.bool_]:
    return f.volume > p.lag(f.volume, 1)


def _falling(f: Frame) -> NDArray[np.bool_]:
    return f.volume < p.lag(f.volume, 1)


def _heavy(f: Frame) -> NDArray[np.bool_]:
    return f.volume > 1.5 * p.mean(f.volume, 20)


def _against_mean(x: p.Array) -> p.Array:
    return p.filled(p.ratio(x, np.abs(p.mean(x, 20))), 0.0)


def _in_deviations(x: p.Array) -> p.Array:
    return p.filled(p.ratio(x, p.std(x, 20)), 0.0)


def _price_trend(f: Frame) -> p.Array:
    """Running sum of volume times return, from row 1."""
    return np.append(np.nan, np.cumsum((f.volume * f.returns)[1:]))


def _balance(f: Frame) -> p.Array:
    """On-balance volume that starts at 0."""
    return np.append(0.0, np.cumsum(f.volume[1:] * np.sign(np.diff(f.close))))


def _klinger_histogram(f: Frame) -> p.Array:
    sign = np.sign(p.diff((f.high + f.low + f.close) / 3, 1))
    force = f.volume * (f.high - f.low) * sign
    line = p.ewm(force, 34) - p.ewm(force, 55)
    return _in_deviations(line - p.ewm(line, 13))


def _scores(f: Frame) -> tuple[p.Array, p.Array]:
    """20-row z-scores of volume and of return."""
    return p.zscore(f.volume, 20), p.zscore(100 * f.returns, 20)


def _spike(f: Frame, move: Callable[[p.Array], NDArray[np.bool_]]) -> p.Array:
    volume, price = _scores(f)
    return p.flag((volume > 2) & move(np.abs(price)))


def _volume_deviations(f: Frame) -> p.Array:
    return p.ratio(f.volume - p.mean(f.volume, 20), p.std(f.volume, 20))


def _heavy_day_return(f: Frame) -> p.Array:
    """Mean return in percent of the heavy days among the last 20, each heavy by its own mean."""
    heavy = _heavy(f)
    earned = p.total(np.where(heavy, 100 * f.returns, 0.0), 20)
    return p.filled(p.ratio(earned, p.total(p.flag(heavy), 20)), 0.0)


def _vwap_divergence(f: Frame) -> p.Array:
    price, vwap = np.sign(p.diff(f.close, 5)), np.sign(p.diff(f["vwap_20"], 5))
    return p.flag(np.abs(price - vwap) > 0)


def _money_flow(f: Frame) -> p.Array:
    """Chaikin money flow; a flat bar has multiplier 0."""
    multiplier = p.ratio((f.close - f.low) - (f.high - f.close), f.high - f.low)
    flow = p.filled(multiplier, 0.0) * f.volume
    return p.ratio(p.total(flow, 20), p.total(f.volume, 20))


def _money_flow_index(f: Frame) -> p.Array:
    """Share of rising typical prices in 14 rows of money flow, in percent; 50 where none flows."""
    typical = (f.high + f.low + f.close) / 3
    step, flow = p.diff(typical, 1), typical * f.volume
    up, down = (p.total(flow * np.clip(np.sign(way * step), 0, 1), 14) for way in (1, -1))
    return np.where(up + down == 0, 50.0, 100 * p.ratio(up, up + down))


def _ease_of_movement(f: Frame) -> p.Array:
    """Arms, "The Arms Index" (1989), smoothed; a flat bar adds nothing and keeps the mean."""
    box = p.ratio(f.volume / 1e6, f.high - f.low)
    ease = p.ratio(p.diff((f.high + f.low) / 2, 1), box)
    known = ~np.isnan(ease)
    smooth = np.append(np.nan, p.ewm(ease[known], 14))
    return smooth[np.cumsum(known)]


def _index_signal(f: Frame, counted: NDArray[np.bool_]) -> p.Array:
    """1 while an index that moves with price on counted days lies above its mean.

    Fosback, "Stock Market Logic" (1976): negative and positive volume index against 255 days.
    """
    index = 1000 * np.cumprod(np.where(counted, 1 + f.returns, 1.0))
    return p.flag(index > p.ewm(index, 255))


def _confirmed_breakout(f: Frame) -> p.Array:
    return p.flag((f.close > p.lag(p.highest(f.close, 20), 1)) & _heavy(f))


def _up_against_down(f: Frame) -> p.Array:
    means = []
    for day in (f.returns >= 0, f.returns < 0):
        means.append(p.ratio(p.total(f.volume * day, 20), p.total(p.flag(day), 20)))
    return p.filled(p.ratio(*means), 1.0)


def _volume_move_correlation(f: Frame) -> p.Array:
    return p.filled(p.correlation(f.volume, np.abs(f.returns), 20), 0.0)


ROWS = (
    Row(15, "obv", "a20", "on-balance volume of C and V (first row = V)",
        lambda f: talib.OBV(f.close, f.volume), 0, "volume", ("volume",)),
    Row(16, "adosc", "a20", "Chaikin A/D oscillator, fast 3, slow 10",
        lambda f: talib.ADOSC(f.high, f.low, f.close, f.volume, 3, 10), 9, "volume", ("volume",)),
    Row(20, "vwap_20", "a20", "sum(C*V,20) / sum(V,20); zero volume sum -> missing",
        lambda f: _vwap(f, 20), 19, "price", ("volume",)),
    Row(48, "volume_ratio_20d", "a50", "V / SMA(V,20); zero -> missing",
        lambda f: p.ratio(f.volume, talib.SMA(f.volume, 20)), 19, needs=("volume",)),
    Row(49, "kvo_signal", "a50", "Klinger volume force f: ewm(ewm(f,34) - ewm(f,55), 13)",
        _klinger_signal, 0, "volume", ("volume",)),
    Row(63, "mfi_14", "a100", "money flow index, n=14; without a flow 50",
        _money_flow_index, 14, needs=("volume",)),
    Row(91, "obv_slope", "a100", "g = d(OBV,5); g/std(g,20); undefined -> 0",
        lambda f: _in_deviations(p.diff(talib.OBV(f.close, f.volume), 5)), 24, needs=("volume",)),
    Row(92, "volume_price_trend", "a100",
        "P = running sum of V*r; P/abs(mean(P,20)); undefined -> 0",
        lambda f: _against_mean(_price_trend(f)), 20, needs=("volume",)),
    Row(93, "kvo_histogram", "a100",
        "f = V*(H-L)*sign(d((H+L+C)/3,1)); k = ewm(f,34)-ewm(f,55); h = k - ewm(k,13); "
        "h/std(h,20); undefined -> 0 (simpler force than kvo_signal)",
        _klinger_histogram, 20, needs=("volume",)),
    Row(94, "accumulation_dist", "a100",
        "A/D line divided by abs(mean(A/D line,20)); undefined -> 0",
        lambda f: _against_mean(talib.AD(f.high, f.low, f.close, f.volume)), 19, needs=("volume",)),
    Row(97, "buying_pressure_ratio", "a100", "(C-L)/(H-L); flat bar -> 0.5",
        lambda f: p.filled(p.ratio(f.close - f.low, f.high - f.low), 0.5), 0),
    Row(165, "volume_trend_5d", "a200", "zv = (V-mean(V,20))/std(V,20) (zero std -> 1); d(zv,5)",
        lambda f: p.diff(p.zscore(f.volume, 20), 5), 24, needs=("volume",)),
    Row(166, "consecutive_volume_increase", "a200", "run(V > V[-1])",
        lambda f: p.run(_rising(f)), 1, needs=("volume",)),
    Row(167, "volume_price_confluence", "a200",
        "zv * zr, zr = (100*r - mean)/std over 20 rows (zero std -> 1)",
        lambda f: np.multiply(*_scores(f)), 20, needs=("volume",)),
    Row(168, "high_volume_direction_bias", "a200",
        "mean of 100*r over the rows among the last 20 whose V > 1.5*mean(V,20); none -> 0",
        _heavy_day_return, 38, needs=("volume",)),
    Row(193, "price_obv_divergence", "a200",
        "rank_le(C,20) - rank_le(B,20), B = running sum of V*sign(C-C[-1]) from 0",
        lambda f: p.rank_le(f.close, 20) - p.rank_le(_balance(f), 20), 19, needs=("volume",)),
    Row(279, "volume_trend_3d", "a500", "d(V,3)/std(V,20)",
        lambda f: p.ratio(p.diff(f.volume, 3), p.std(f.volume, 20)), 19, needs=("volume",)),
    Row(280, "volume_ma_ratio_5_20", "a500", "mean(V,5)/mean(V,20)",
        lambda f: p.ratio(p.mean(f.volume, 5), p.mean(f.volume, 20)), 19, needs=("volume",)),
    Row(281, "consecutive_decreasing_vol", "a500", "run(V < V[-1])",
        lambda f: p.run(_falling(f)), 1, needs=("volume",)),
    Row(282, "volume_acceleration", "a500", "d(volume_trend_3d,3)",
        lambda f: p.diff(f["volume_trend_3d"], 3), 22, needs=("volume",)),
    Row(283, "pct_from_vwap_20", "a500", "100*(C/vwap_20 - 1)",
        lambda f: 100 * (f.close / f["vwap_20"] - 1), 19, needs=("volume",)),
    Row(284, "vwap_slope_5d", "a500", "d(vwap_20,5)",
        lambda f: p.diff(f["vwap_20"], 5), 24, "price", ("volume",)),
    Row(285, "vwap_pct_change_1d", "a500", "100*(vwap_20/vwap_20[-1] - 1)",
        lambda f: p.change_pct(f["vwap_20"], 1), 20, needs=("volume",)),
    Row(286, "vwap_price_divergence", "a500",
        "1 if sign(d(C,5)) differs from sign(d(vwap_20,5)), else 0 (missing -> 0)",
        _vwap_divergence, 24, needs=("volume",)),
    Row(287, "price_vwap_cross_recency", "a500", "age(C, vwap_20)",
        lambda f: p.age(f.close, f["vwap_20"]), 19, needs=("volume",)),
    Row(288, "cmf_20", "a500", "sum(k*V,20)/sum(V,20), k = ((C-L)-(H-C))/(H-L), flat bar k = 0",
        _money_flow, 19, needs=("volume",)),
    Row(289, "emv_14", "a500", "ewm(d((H+L)/2,1) / ((V/1e6)/(H-L)), 14); flat bar missing",
        _ease_of_movement, 1, "price_per_volume", ("volume",)),
    Row(290, "nvi_signal", "a500",
        "index N starts at 1000 and is multiplied by (1+r) only on rows with V < V[-1]; 1 if N > "
        "ewm(N,255) else 0 (ewm needs 255 rows)",
        lambda f: _index_signal(f, _falling(f)), 254, needs=("volume",)),
    Row(291, "pvi_signal", "a500", "same with rows V > V[-1]",
        lambda f: _index_signal(f, _rising(f)), 254, needs=("volume",)),
    Row(292, "vpt_slope", "a500", "d(running sum of V*r, 5)",
        lambda f: p.diff(_price_trend(f), 5), 6, "volume", ("volume",)),
    Row(293, "volume_spike_price_flat", "a500",
        "1 if zv > 2 and abs(zr) < 0.5, else 0 (20-row z-scores of V and r)",
        lambda f: _spike(f, lambda move: move < 0.5), 20, needs=("volume",)),
    Row(294, "volume_price_spike_both", "a500", "1 if zv > 2 and abs(zr) > 2, else 0",
        lambda f: _spike(f, lambda move: move > 2), 20, needs=("volume",)),
    Row(295, "sequential_vol_buildup_3d", "a500", "(number of the last 3 rows with V > V[-1]) / 3",
        lambda f: p.total(p.flag(_rising(f)), 3) / 3, 3, needs=("volume",)),
    Row(296, "vol_breakout_confirmation", "a500",
        "1 if C > max(C,20)[-1] and V > 1.5*mean(V,20), else 0",
        _confirmed_breakout, 20, needs=("volume",)),
    Row(297, "volume_percentile_20d", "a500", "rank_lt(V, 20)",
        lambda f: p.rank_lt(f.volume, 20), 19, needs=("volume",)),
    Row(298, "volume_zscore_20d", "a500", "(V-mean(V,20))/std(V,20)",
        _volume_deviations, 19, needs=("volume",)),
    Row(299, "avg_vol_up_vs_down_days", "a500",
        "mean V on rows with r >= 0 divided by mean V on rows with r < 0, 20 rows; undefined -> 1",
        _up_against_down, 20, needs=("volume",)),
    Row(300, "volume_trend_strength", "a500", "corr(V, abs(r), 20); undefined -> 0",
        _volume_move_correlation, 20, needs=("volume",)),
)  # fmt: skip
