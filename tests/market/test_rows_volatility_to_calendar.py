"""Volatility, risk, volume, range, candle and calendar rows from position 51 on, against references.

The references are pandas, TA-Lib and plain loops written from the formulas; none calls the rows' helpers.
"""

import calendar
import dataclasses
import datetime
import math

import numpy as np
import pandas as pd
import pytest
import talib

from trueness.market import load_bars
from trueness.market.bars import Bars, Volatility
from trueness.market.indicators import CATALOGUE, candles, volatility, volume
from trueness.market.indicators import calendar as day_calendar
from trueness.market.indicators import range as day_range
from trueness.market.indicators.frame import Frame

FAMILIES = (volatility, volume, day_range, candles, day_calendar)
ROWS = {row.name: row for family in FAMILIES for row in family.ROWS if row.position > 50}
TRUNCATIONS = (300, 301, 555, 1000, 1234, 1777, 2500, 3003, 3600, 4321, 4800, 5030)
NAN = float("nan")


def _columns(bars, vix):
    frame = Frame(bars, vix, CATALOGUE)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: frame[name] for name in ROWS}


@pytest.fixture(scope="module")
def bars():
    return load_bars("sp500")


@pytest.fixture(scope="module")
def vix(bars):
    rng = np.random.default_rng(0)
    return 15 + 5 * np.abs(rng.standard_normal(len(bars)))


@pytest.fixture(scope="module")
def columns(bars, vix):
    return _columns(bars, vix)


@pytest.fixture(scope="module")
def data(bars, vix):
    fields = {n: getattr(bars, n) for n in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(fields, index=pd.DatetimeIndex(bars.dates)).assign(vix=vix)


# --- references: shared parts ------------------------------------------------------------------


def _hlc(d):
    return d.high.to_numpy(), d.low.to_numpy(), d.close.to_numpy()


def _series(values, d):
    return pd.Series(values, index=d.index)


def _atr(d, n=14):
    return _series(talib.ATR(*_hlc(d), n), d)


def _r(d):
    return d.close.pct_change()


def _log_vol(d, n):
    """Annualised, a fraction."""
    return np.sqrt(252) * np.log(d.close).diff().rolling(n).std()


def _bands(d):
    mid, half = d.close.rolling(20).mean(), 2 * d.close.rolling(20).std(ddof=0)
    return mid + half, mid, mid - half


def _width(d):
    up, mid, low = _bands(d)
    return 100 * (up - low) / mid


def _ewm(x, n):
    return x.ewm(span=n, adjust=False, ignore_na=True).mean()


def _run(condition):
    out, length = [], 0
    for holds in condition:
        length = length + 1 if holds else 0
        out.append(length)
    return np.array(out, dtype=float)


def _age(x, y):
    out, state, length = [], 0, 0
    for a, b in zip(x, y, strict=True):
        now = 0 if math.isnan(a) or math.isnan(b) else (1 if a >= b else -1)
        length = length + 1 if now == state else 1
        state = now
        out.append(state * length)
    return np.array(out, dtype=float)


def _windows(x, n, rule):
    """Apply `rule` to the list of the last n values, row by row."""
    values = [float(v) for v in x]
    rows = [NAN] * (n - 1)
    for t in range(n - 1, len(values)):
        window = values[t - n + 1 : t + 1]
        rows.append(NAN if any(map(math.isnan, window)) else rule(window))
    return np.array(rows)


def _below(w):
    return sum(v < w[-1] for v in w) / (len(w) - 1)


def _up_to(w):
    return sum(v <= w[-1] for v in w) / len(w)


def _not_below_pct(w):
    return 100 * sum(v >= w[-1] for v in w) / len(w)


def _z(x, n=20):
    return (x - x.rolling(n).mean()) / x.rolling(n).std()


# --- references: volatility and risk -----------------------------------------------------------


def _mean_log(d, daily):
    out = [
        daily(math.log(h / o), math.log(low / o), math.log(c / o))
        for o, h, low, c in zip(d.open, d.high, d.low, d.close, strict=True)
    ]
    return _series(out, d).rolling(20).mean()


def _rogers_satchell(d):
    return _mean_log(d, lambda up, down, c: up * (up - c) + down * (down - c))


def _yang_zhang(d):
    overnight = np.log(d.open / d.close.shift()).rolling(20).var()
    session = np.log(d.close / d.open).rolling(20).var()
    return np.sqrt(252 * (overnight + 0.34 * session + 0.66 * _rogers_satchell(d)).clip(lower=0))


def _garman_klass(d):
    term = _mean_log(d, lambda up, down, c: 0.5 * (up - down) ** 2 - (2 * math.log(2) - 1) * c**2)
    return 100 * np.sqrt(252 * term.clip(lower=0))


def _channel(d, n):
    mid, half = _series(talib.EMA(d.close.to_numpy(), 20), d), 1.5 * _atr(d, n)
    return mid + half, mid, mid - half


def _squeeze(d):
    (up, _, low), (kup, _, klow) = _bands(d), _channel(d, 20)
    return ((up < kup) & (low > klow)).astype(float)


def _squeeze_recency(d):
    on, close, out, event = _squeeze(d).to_numpy(), d.close.to_numpy(), [], None
    for t in range(len(d)):
        if t > 20 and on[t - 1] and not on[t]:
            event = (t, 1 if close[t] > close[t - 14] else -1)
        out.append(NAN if event is None else event[1] * (t - event[0]))
    return out


def _sortino_of_losses(d, n):
    def rule(w):
        losses = [v for v in w if v < 0]
        if len(losses) < 2:
            return 0.0
        spread = np.std(losses, ddof=1)
        return math.sqrt(252) * (sum(w) / n) / spread if spread > 0 else 0.0

    return _windows(_r(d), n, rule)


def _expectancy(w):
    gains, losses = [v for v in w if v > 0], [v for v in w if v < 0]
    share = len(gains) / len(w)
    win = np.mean(gains) if gains else 0.0
    lose = abs(np.mean(losses)) if losses else 0.0
    return share * win - (1 - share) * lose


def _tail(w):
    cut = np.percentile(w, 5)
    return np.mean([v for v in w if v <= cut])


def _volatility():
    tr = lambda d: 100 * _series(talib.TRANGE(*_hlc(d)), d) / d.close  # noqa: E731
    pct = lambda d: 100 * _atr(d) / d.close  # noqa: E731
    return {
        "vrp_5d": lambda d: d.vix - 100 * _log_vol(d, 5),
        "vrp_slope": lambda d: (d.vix - 100 * _log_vol(d, 5)).diff(),
        "atr_pct_percentile_60d": lambda d: _windows(pct(d), 60, _not_below_pct),
        "bb_width_percentile_60d": lambda d: _windows(_width(d), 60, _not_below_pct),
        "parkinson_volatility": lambda d: (
            100
            * np.sqrt(252 * (np.log(d.high / d.low) ** 2).rolling(20).mean() / (4 * math.log(2)))
        ),
        "garman_klass_volatility": _garman_klass,
        "vol_of_vol": lambda d: (np.sqrt(252) * (100 * _r(d)).rolling(5).std()).rolling(20).std(),
        "pct_from_upper_band": lambda d: 100 * (d.close / _bands(d)[0] - 1),
        "pct_from_lower_band": lambda d: 100 * (d.close / _bands(d)[2] - 1),
        "days_above_upper_band": lambda d: _run(d.close > _bands(d)[0]),
        "days_below_lower_band": lambda d: _run(d.close < _bands(d)[2]),
        "bb_squeeze_indicator": _squeeze,
        "bb_squeeze_duration": lambda d: _run(_squeeze(d) == 1),
        "range_compression_5d": lambda d: (
            (d.high - d.low).rolling(5).mean() / (d.high - d.low).rolling(5).mean().shift(15)
        ),
        "atr_5": lambda d: _atr(d, 5),
        "atr_21": lambda d: _atr(d, 21),
        "atr_5_pct": lambda d: 100 * _atr(d, 5) / d.close,
        "atr_21_pct": lambda d: 100 * _atr(d, 21) / d.close,
        "atr_5_21_ratio": lambda d: _atr(d, 5) / _atr(d, 21),
        "atr_expansion_5d": lambda d: _atr(d) / _atr(d).shift(5),
        "atr_acceleration": lambda d: pct(d).diff(5).diff(5),
        "atr_percentile_20d": lambda d: _windows(_atr(d), 20, _below),
        "tr_pct": tr,
        "tr_pct_zscore_20d": lambda d: _z(tr(d)),
        "consecutive_high_vol_days": lambda d: _run(tr(d) > 1.5 * tr(d).rolling(20).mean()),
        "rogers_satchell_volatility": lambda d: np.sqrt(252 * _rogers_satchell(d).clip(lower=0)),
        "yang_zhang_volatility": _yang_zhang,
        "historical_volatility_10d": lambda d: _log_vol(d, 10),
        "bb_width_slope": lambda d: _width(d).diff(5),
        "bb_width_acceleration": lambda d: _width(d).diff(5).diff(5),
        "bb_width_percentile_20d": lambda d: _windows(_width(d), 20, _below),
        "price_bb_band_position": lambda d: (
            (d.close - _bands(d)[2]) / (_bands(d)[0] - _bands(d)[2])
        ),
        "kc_width": lambda d: 100 * 3 * _atr(d, 10) / _channel(d, 10)[1],
        "kc_position": lambda d: (d.close - _channel(d, 10)[2]) / (3 * _atr(d, 10)),
        "bb_kc_ratio": lambda d: _width(d) / (100 * 3 * _atr(d, 10) / _channel(d, 10)[1]),
        "vol_regime_change_intensity": lambda d: 100 * (_atr(d, 5) / _atr(d, 21) - 1),
        "vol_clustering_score": lambda d: _windows(
            _r(d).abs(), 20, lambda w: np.corrcoef(w[1:], w[:-1])[0, 1]
        ),
        "squeeze_on_14": _squeeze,
        "squeeze_duration_14": lambda d: _run(_squeeze(d) == 1),
        "squeeze_fire_recency": _squeeze_recency,
    }


def _risk():
    sharpe = lambda d, n: np.sqrt(252) * _r(d).rolling(n).mean() / _r(d).rolling(n).std()  # noqa: E731
    return {
        "sharpe_252d": lambda d: sharpe(d, 252),
        "sharpe_slope_20d": lambda d: sharpe(d, 20).diff(),
        "sortino_252d": lambda d: _sortino_of_losses(d, 252),
        "sortino_slope_20d": lambda d: _series(_sortino_of_losses(d, 20), d).diff(),
        "var_95": lambda d: (100 * _r(d)).rolling(20).quantile(0.05),
        "var_99": lambda d: (100 * _r(d)).rolling(20).quantile(0.01),
        "cvar_95": lambda d: _windows(100 * _r(d), 20, _tail),
        "expectancy_20d": lambda d: _windows(100 * _r(d), 20, _expectancy),
        "win_rate_20d": lambda d: _windows(_r(d), 20, lambda w: sum(v > 0 for v in w) / 20),
    }


# --- references: volume ------------------------------------------------------------------------


def _obv(d):
    return (np.sign(d.close.diff()).fillna(0) * d.volume).cumsum()


def _vwap(d):
    return (d.close * d.volume).rolling(20).sum() / d.volume.rolling(20).sum()


def _money_flow(d):
    place = ((d.close - d.low) - (d.high - d.close)) / (d.high - d.low)
    return place.fillna(0) * d.volume


def _against_mean(x):
    """Plain means, window by window: the running mean of pandas drifts where the mean is near 0."""
    return _windows(x, 20, lambda w: w[-1] / abs(math.fsum(w) / 20))


def _klinger_histogram(d):
    typical = (d.high + d.low + d.close) / 3
    k = d.volume * (d.high - d.low) * np.sign(typical.diff())
    k = _ewm(k, 34) - _ewm(k, 55)
    h = k - _ewm(k, 13)
    return h / h.rolling(20).std()


def _heavy_day_return(d):
    heavy = d.volume > 1.5 * d.volume.rolling(20).mean()
    return (100 * _r(d)).where(heavy).rolling(20, min_periods=1).mean().fillna(0)


def _index_signal(d, counts):
    level, levels, v, c = 1000.0, [1000.0], d.volume.to_numpy(), d.close.to_numpy()
    for t in range(1, len(d)):
        level *= c[t] / c[t - 1] if counts(v[t], v[t - 1]) else 1.0
        levels.append(level)
    levels = _series(levels, d)
    return (levels > _ewm(levels, 255)).astype(float)


def _divergence(d):
    price, vwap = d.close.diff(5), _vwap(d).diff(5)
    return ((price > 0) != (vwap > 0)) | ((price < 0) != (vwap < 0))


def _up_down(d):
    v, r = d.volume.to_numpy(), _r(d).to_numpy()
    out = [NAN] * 20
    for t in range(20, len(d)):
        rows = range(t - 19, t + 1)
        up, down = [v[i] for i in rows if r[i] >= 0], [v[i] for i in rows if r[i] < 0]
        out.append(np.mean(up) / np.mean(down) if up and down else 1.0)
    return out


def _volume():
    zv, zr = (lambda d: _z(d.volume)), (lambda d: _z(100 * _r(d)))
    vpt = lambda d: (d.volume * _r(d)).cumsum()  # noqa: E731
    trend3 = lambda d: d.volume.diff(3) / d.volume.rolling(20).std()  # noqa: E731
    heavy = lambda d: d.volume > 1.5 * d.volume.rolling(20).mean()  # noqa: E731
    ease = lambda d: ((d.high + d.low) / 2).diff() * (d.high - d.low) * 1e6 / d.volume  # noqa: E731
    return {
        "mfi_14": lambda d: talib.MFI(*_hlc(d), d.volume.to_numpy(), 14),
        "obv_slope": lambda d: _obv(d).diff(5) / _obv(d).diff(5).rolling(20).std(),
        "volume_price_trend": lambda d: _against_mean(vpt(d)),
        "kvo_histogram": _klinger_histogram,
        "accumulation_dist": lambda d: _against_mean(_money_flow(d).cumsum()),
        "buying_pressure_ratio": lambda d: (d.close - d.low) / (d.high - d.low),
        "volume_trend_5d": lambda d: zv(d).diff(5),
        "consecutive_volume_increase": lambda d: _run(d.volume > d.volume.shift()),
        "volume_price_confluence": lambda d: zv(d) * zr(d),
        "high_volume_direction_bias": _heavy_day_return,
        "price_obv_divergence": lambda d: (
            _windows(d.close, 20, _up_to) - _windows(_obv(d), 20, _up_to)
        ),
        "volume_trend_3d": trend3,
        "volume_ma_ratio_5_20": lambda d: d.volume.rolling(5).mean() / d.volume.rolling(20).mean(),
        "consecutive_decreasing_vol": lambda d: _run(d.volume < d.volume.shift()),
        "volume_acceleration": lambda d: trend3(d).diff(3),
        "pct_from_vwap_20": lambda d: 100 * (d.close / _vwap(d) - 1),
        "vwap_slope_5d": lambda d: _vwap(d).diff(5),
        "vwap_pct_change_1d": lambda d: 100 * _vwap(d).pct_change(),
        "vwap_price_divergence": _divergence,
        "price_vwap_cross_recency": lambda d: _age(d.close, _vwap(d)),
        "cmf_20": lambda d: _money_flow(d).rolling(20).sum() / d.volume.rolling(20).sum(),
        "emv_14": lambda d: _ewm(ease(d), 14),
        "nvi_signal": lambda d: _index_signal(d, lambda now, before: now < before),
        "pvi_signal": lambda d: _index_signal(d, lambda now, before: now > before),
        "vpt_slope": lambda d: vpt(d).diff(5),
        "volume_spike_price_flat": lambda d: (zv(d) > 2) & (zr(d).abs() < 0.5),
        "volume_price_spike_both": lambda d: (zv(d) > 2) & (zr(d).abs() > 2),
        "sequential_vol_buildup_3d": lambda d: (
            sum((d.volume.shift(k) > d.volume.shift(k + 1)).astype(float) for k in range(3)) / 3
        ),
        "vol_breakout_confirmation": lambda d: (
            (d.close > d.close.shift().rolling(20).max()) & heavy(d)
        ),
        "volume_percentile_20d": lambda d: _windows(d.volume, 20, _below),
        "volume_zscore_20d": zv,
        "avg_vol_up_vs_down_days": _up_down,
        "volume_trend_strength": lambda d: d.volume.rolling(20).corr(_r(d).abs()),
    }


# --- references: range -------------------------------------------------------------------------


def _place(d, n):
    low, high = d.low.rolling(n).min(), d.high.rolling(n).max()
    return (d.close - low) / (high - low)


def _from_pct(d, level):
    return 100 * (d.close - level) / level


def _rows_since(x, n, latest, largest):
    def rule(w):
        best = max(w) if largest else min(w)
        places = [n - 1 - i for i, v in enumerate(w) if v == best]
        return min(places) if latest else max(places)

    return _windows(x, n, rule)


def _to_breakout(d):
    high, low = d.high.rolling(20).max(), d.low.rolling(20).min()
    up, down = 100 * (high - d.close) / d.close, -100 * (d.close - low) / d.close
    return up.where(d.close >= (high + low) / 2, down)


def _support_tests(d):
    near = [
        NAN if math.isnan(low) else float(abs(c - low) / low <= 0.005)
        for c, low in zip(d.close, d.low.rolling(20).min(), strict=True)
    ]
    return _windows(near, 20, sum)


def _retracement(d):
    levels = (0, 0.236, 0.382, 0.5, 0.618, 0.786, 1)
    return [
        NAN if math.isnan(v) else min(levels, key=lambda level: abs(v - level))
        for v in _place(d, 20)
    ]


def _height(d, n):
    return d.high.rolling(n).max() - d.low.rolling(n).min()


def _support():
    before = lambda d: d.high.rolling(20).max().shift()  # noqa: E731
    table = {
        "fib_range_position": lambda d: _place(d, 44),
        "percentile_in_52wk_range": lambda d: (
            (d.close - d.close.rolling(252).min())
            / (d.close.rolling(252).max() - d.close.rolling(252).min())
        ),
        "distance_from_52wk_high_pct": lambda d: _from_pct(d, d.close.rolling(252).max()),
        "days_since_52wk_high": lambda d: _rows_since(d.close, 252, latest=False, largest=True),
        "days_since_52wk_low": lambda d: _rows_since(d.close, 252, latest=False, largest=False),
        "donchian_upper_20": lambda d: d.high.rolling(20).max(),
        "donchian_lower_20": lambda d: d.low.rolling(20).min(),
        "pct_to_donchian_breakout": _to_breakout,
        "pct_from_52w_high": lambda d: _from_pct(d, d.high.rolling(252).max()),
        "pct_from_52w_low": lambda d: _from_pct(d, d.low.rolling(252).min()),
        "breakout_20d": lambda d: d.close > before(d),
        "breakdown_20d": lambda d: d.close < d.low.rolling(20).min().shift(),
        "breakout_strength_20d": lambda d: ((d.close - before(d)) / _atr(d)).where(
            d.close > before(d), 0.0
        ),
        "consecutive_new_highs_20d": lambda d: _run(d.close > before(d)),
        "range_expansion_10d": lambda d: _height(d, 10) / _height(d, 10).shift(10),
        "range_contraction_score": lambda d: _run(_height(d, 10) < _height(d, 10).shift()),
        "high_low_range_ratio": lambda d: _height(d, 20) / _height(d, 50),
        "support_test_count_20d": _support_tests,
        "fib_retracement_level": _retracement,
        "distance_to_fib_50": lambda d: _place(d, 20) - 0.5,
    }
    for name in ("donchian_position", "range_position_20d"):
        table[name] = lambda d: _place(d, 20)
    for name in ("donchian_width_pct", "range_width_20d_pct"):
        table[name] = lambda d: 100 * _height(d, 20) / d.close
    for name in ("prior_high_20d_dist", "pct_from_20d_high"):
        table[name] = lambda d: _from_pct(d, d.high.rolling(20).max())
    for name in ("prior_low_20d_dist", "pct_from_20d_low"):
        table[name] = lambda d: _from_pct(d, d.low.rolling(20).min())
    for n in (50, 252):
        table[f"range_position_{n}d"] = lambda d, n=n: _place(d, n)
    for n in (20, 50):
        table |= {
            f"days_since_{n}d_high": lambda d, n=n: _rows_since(d.high, n, True, True),
            f"days_since_{n}d_low": lambda d, n=n: _rows_since(d.low, n, True, False),
        }
    return table


# --- references: candles, one day at a time ----------------------------------------------------


class Day:
    """One bar with the parts the candle formulas are written in."""

    def __init__(self, o, h, low, c):
        self.o, self.h, self.l, self.c = o, h, low, c
        self.ab, self.rng = abs(c - o), h - low
        self.uw, self.lw = h - max(o, c), min(o, c) - low
        self.br = self.ab / (self.rng + 1e-11 * c)
        self.way = (c > o) - (c < o)
        self.mid = (o + c) / 2


def _days(d):
    return [Day(*row) for row in d[["open", "high", "low", "close"]].to_numpy().tolist()]


def _rule(rule, back=0):
    """Reference that applies ``rule(today, yesterday, the day before, ...)`` to each row."""

    def reference(d):
        days = _days(d)
        known = range(back, len(days))
        return [NAN] * back + [float(rule(*days[t - back : t + 1][::-1])) for t in known]

    return reference


def _clip(x, low, high):
    return min(max(x, low), high)


def _engulfing(way):
    def rule(a, b):
        contains = min(a.o, a.c) <= min(b.o, b.c) and max(a.o, a.c) >= max(b.o, b.c)
        return contains and a.way == way and b.way == -way

    return rule


def _rejection(a):
    hammer, star = (
        _clip(a.lw / (a.ab + 1e-11 * a.c), 0, 10),
        _clip(a.uw / (a.ab + 1e-11 * a.c), 0, 10),
    )
    return hammer if hammer > star else (-star if star > hammer else 0)


def _gap_pct(a, b):
    return 100 * (a.o - b.c) / (b.c + 1e-11 * b.c)


def _gap_fill(a, b):
    gap = a.o - b.c
    if gap == 0:
        return 0
    way = min(a.o - a.l, gap) if gap > 0 else min(a.h - a.o, -gap)
    return _clip(100 * way / (abs(gap) + 1e-11 * a.c), 0, 100)


def _trend_day(a):
    return a.br > 0.7 and 100 * a.ab / a.o > 0.5


def _spinning(a):
    return a.br < 0.3 and a.uw > a.ab and a.lw > a.ab


def _doji_type(a):
    if a.br >= 0.1:
        return 0
    return 1 if a.lw > 2 * a.uw else (-1 if a.uw > 2 * a.lw else 0)


def _doji_after_trend(a, b, c, e, g):
    up, down = b.c > c.c > e.c > g.c, b.c < c.c < e.c < g.c
    return a.br < 0.1 and (up or down)


def _morning(a, b, c):
    return c.c < c.o and b.br < 0.3 and a.c > a.o and a.c > c.mid


def _evening(a, b, c):
    return c.c > c.o and b.br < 0.3 and a.c < a.o and a.c < c.mid


def _soldiers(*three):
    return all(x.c > x.o and x.uw / (x.rng + 1e-11 * x.c) < 0.3 for x in three)


def _crows(*three):
    return all(x.c < x.o and x.lw / (x.rng + 1e-11 * x.c) < 0.3 for x in three)


def _harami(a, b):
    inside = max(a.o, a.c) <= max(b.o, b.c) and min(a.o, a.c) >= min(b.o, b.c)
    if not inside:
        return 0
    return 1 if b.way < 0 < a.way else (-1 if a.way < 0 < b.way else 0)


def _counts(days):
    """Bullish and bearish patterns of the row whose last days are given, latest first."""
    a, b, c = days[:3]
    harami = _harami(a, b)
    bullish = _morning(a, b, c) + _soldiers(a, b, c) + (harami == 1)
    bearish = _evening(a, b, c) + _crows(a, b, c) + (harami == -1)
    return bullish, bearish


def _patterns(rows, combine):
    def rule(*days):
        pairs = [_counts(days[k:]) for k in range(rows)]
        return combine(sum(b for b, _ in pairs), sum(b for _, b in pairs))

    return _rule(rule, rows + 1)


def _streak(rule, back=0):
    """Run of rows on which the rule holds; the run starts on the first row where it can be asked."""

    def reference(d):
        return _run(v == 1 for v in _rule(rule, back)(d))

    return reference


def _one_way(rule):
    def reference(d):
        out, count, way = [], 0, 0
        for day in _days(d):
            now = day.way if rule(day) else 0
            count = 0 if now == 0 else (count + 1 if now == way else 1)
            way = now
            out.append(count)
        return out

    return reference


def _against_range(rows, rule):
    return _rule(lambda a, *rest: rule(a, sum(x.rng for x in (a, *rest)) / rows), rows - 1)


def _extreme(*days):
    a, high, low = days[0], max(x.h for x in days), min(x.l for x in days)
    return _spinning(a) and (a.h >= 0.98 * high or a.l <= 1.02 * low)


def _candles():
    bull, bear = _engulfing(1), _engulfing(-1)
    narrow = lambda a, mean: a.rng < 0.5 * mean  # noqa: E731
    inside = lambda a, b: a.h <= b.h and a.l >= b.l  # noqa: E731
    outside = lambda a, b: a.h > b.h and a.l < b.l  # noqa: E731
    return {
        "candle_body_pct": _rule(lambda a: 100 * a.ab / a.o),
        "body_to_range_ratio": _rule(lambda a: _clip(a.ab / a.rng, 0, 1)),
        "upper_wick_pct": _rule(lambda a: _clip(a.uw / a.rng, 0, 1)),
        "lower_wick_pct": _rule(lambda a: _clip(a.lw / a.rng, 0, 1)),
        "doji_indicator": _rule(lambda a: a.ab / a.rng < 0.1),
        "range_vs_avg_range": _against_range(20, lambda a, mean: a.rng / mean),
        "bullish_engulfing": _rule(bull, 1),
        "bearish_engulfing": _rule(bear, 1),
        "engulfing_score": _rule(lambda a, b: _clip(a.ab / (b.ab + 1e-11 * a.c), 0, 5), 1),
        "consecutive_engulfing_count": _streak(lambda a, b: bull(a, b) or bear(a, b), 1),
        "hammer_indicator": _rule(lambda a: a.lw >= 2 * a.ab and a.uw <= 0.3 * a.ab),
        "shooting_star_indicator": _rule(lambda a: a.uw >= 2 * a.ab and a.lw <= 0.3 * a.ab),
        "hammer_score": _rule(lambda a: _clip(a.lw / (a.ab + 1e-11 * a.c), 0, 10)),
        "shooting_star_score": _rule(lambda a: _clip(a.uw / (a.ab + 1e-11 * a.c), 0, 10)),
        "wick_rejection_score": _rule(_rejection),
        "gap_size_pct": _rule(_gap_pct, 1),
        "gap_direction": _rule(lambda a, b: (_gap_pct(a, b) > 0.1) - (_gap_pct(a, b) < -0.1), 1),
        "gap_filled_today": _rule(
            lambda a, b: (a.o > b.c and a.l <= b.c) or (a.o < b.c and a.h >= b.c), 1
        ),
        "gap_fill_pct": _rule(_gap_fill, 1),
        "significant_gap": _rule(lambda a, b: abs(_gap_pct(a, b)) > 0.5, 1),
        "inside_day": _rule(inside, 1),
        "outside_day": _rule(outside, 1),
        "consecutive_inside_days": _streak(inside, 1),
        "consecutive_outside_days": _streak(outside, 1),
        "narrow_range_day": _against_range(10, narrow),
        "wide_range_day": _against_range(10, lambda a, mean: a.rng > 2 * mean),
        "narrow_range_score": _against_range(
            10, lambda a, mean: _clip(mean / (a.rng + 1e-11 * a.c), 0, 10)
        ),
        "consecutive_narrow_days": lambda d: _run(v == 1 for v in _against_range(10, narrow)(d)),
        "trend_day_indicator": _rule(_trend_day),
        "trend_day_direction": _rule(lambda a: a.way if _trend_day(a) else 0),
        "consecutive_trend_days": _one_way(_trend_day),
        "doji_strict_indicator": _rule(lambda a: a.br < 0.1),
        "doji_score": _rule(lambda a: _clip(1 - a.br, 0, 1)),
        "doji_type": _rule(_doji_type),
        "consecutive_doji_count": _streak(lambda a: a.br < 0.1),
        "doji_after_trend": _rule(_doji_after_trend, 4),
        "marubozu_indicator": _rule(lambda a: (a.uw + a.lw) / (a.rng + 1e-11 * a.c) < 0.1),
        "marubozu_direction": _rule(
            lambda a: a.way if (a.uw + a.lw) / (a.rng + 1e-11 * a.c) < 0.1 else 0
        ),
        "marubozu_strength": _rule(lambda a: _clip(a.br, 0, 1)),
        "consecutive_strong_candles": _one_way(lambda a: a.br > 0.7),
        "spinning_top_indicator": _rule(_spinning),
        "spinning_top_score": _rule(lambda a: _clip((a.uw + a.lw) / (a.ab + 1e-11 * a.c), 0, 10)),
        "indecision_streak": _streak(lambda a: _spinning(a) or a.br < 0.1),
        "indecision_at_extreme": _rule(_extreme, 19),
        "morning_star_indicator": _rule(_morning, 2),
        "evening_star_indicator": _rule(_evening, 2),
        "three_white_soldiers": _rule(_soldiers, 2),
        "three_black_crows": _rule(_crows, 2),
        "harami_indicator": _rule(_harami, 1),
        "piercing_line": _rule(lambda a, b: b.c < b.o and a.c > a.o and a.c > b.mid, 1),
        "dark_cloud_cover": _rule(lambda a, b: b.c > b.o and a.c < a.o and a.c < b.mid, 1),
        "tweezer_bottom": _rule(
            lambda a, b, c, e: abs(a.l - b.l) / b.l < 0.001 and e.c > c.c > b.c, 3
        ),
        "tweezer_top": _rule(
            lambda a, b, c, e: abs(a.h - b.h) / b.h < 0.001 and e.c < c.c < b.c, 3
        ),
        "reversal_pattern_count_5d": _patterns(5, lambda bullish, bearish: bullish + bearish),
        "pattern_alignment_score": _patterns(
            5, lambda bullish, bearish: (bullish > bearish) - (bullish < bearish)
        ),
        "pattern_cluster_indicator": _patterns(3, lambda bullish, bearish: bullish + bearish >= 2),
    }


# --- references: calendar ----------------------------------------------------------------------


def _by_date(rule):
    return lambda d: [float(rule(day.date())) for day in d.index]


def _weekdays_left(day):
    last = calendar.monthrange(day.year, day.month)[1]
    later = (datetime.date(day.year, day.month, k) for k in range(day.day + 1, last + 1))
    return sum(x.weekday() < 5 for x in later)


def _calendar():
    return {
        "trading_day_of_week": _by_date(lambda x: x.weekday()),
        "is_monday": _by_date(lambda x: x.strftime("%a") == "Mon"),
        "is_friday": _by_date(lambda x: x.strftime("%a") == "Fri"),
        "days_to_month_end": _by_date(_weekdays_left),
        "month_of_year": _by_date(lambda x: x.month),
        "is_quarter_end_month": _by_date(lambda x: x.month in (3, 6, 9, 12)),
    }


ORACLES = _volatility() | _risk() | _volume() | _support() | _candles() | _calendar()


# --- contracts ---------------------------------------------------------------------------------


def test_every_row_has_an_oracle():
    assert len(ORACLES) == 178
    assert set(ORACLES) == set(ROWS)


@pytest.mark.parametrize("name", list(ROWS))
def test_equals_an_independent_formula(name, data, columns):
    expected = np.asarray(ORACLES[name](data), dtype=float)
    actual = columns[name]
    known = ~np.isnan(actual)
    assert not np.isnan(expected[known]).any()
    tolerance = 1e-8 * np.nanstd(expected) + 1e-9
    np.testing.assert_allclose(actual[known], expected[known], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", list(ROWS))
def test_first_value_comes_when_declared_and_no_gap_follows(name, columns):
    known = ~np.isnan(columns[name])
    first, row = int(np.argmax(known)), ROWS[name]
    waits = "start_depends_on_first_event" in row.flags
    assert first >= row.warmup if waits else first == row.warmup
    assert known[first:].all()
    assert np.isfinite(columns[name][first:]).all()
    assert row.warmup <= 297


# Rows whose formula puts a stated value, or "the condition does not hold", where its inputs are not
# yet known: their look-back, counted by hand. All other rows are NaN by themselves until then.
FILLED = {
    1: (
        "consecutive_volume_increase consecutive_decreasing_vol bullish_engulfing bearish_engulfing "
        "consecutive_engulfing_count gap_filled_today significant_gap inside_day outside_day "
        "consecutive_inside_days consecutive_outside_days harami_indicator piercing_line "
        "dark_cloud_cover"
    ),
    2: "morning_star_indicator evening_star_indicator three_white_soldiers three_black_crows",
    3: "sequential_vol_buildup_3d tweezer_bottom tweezer_top",
    4: "doji_after_trend pattern_cluster_indicator",
    9: "narrow_range_day wide_range_day consecutive_narrow_days",
    10: "range_contraction_score",
    19: (
        "days_above_upper_band days_below_lower_band accumulation_dist price_vwap_cross_recency "
        "donchian_position range_expansion_10d fib_retracement_level range_vs_avg_range "
        "indecision_at_extreme"
    ),
    20: (
        "expectancy_20d win_rate_20d bb_squeeze_indicator bb_squeeze_duration "
        "consecutive_high_vol_days volume_price_trend kvo_histogram volume_spike_price_flat "
        "volume_price_spike_both vol_breakout_confirmation avg_vol_up_vs_down_days "
        "volume_trend_strength breakout_20d breakdown_20d breakout_strength_20d "
        "consecutive_new_highs_20d"
    ),
    21: "sortino_slope_20d squeeze_fire_recency",
    24: "obv_slope vwap_price_divergence",
    38: "high_volume_direction_bias support_test_count_20d",
    43: "fib_range_position",
    49: "range_position_50d high_low_range_ratio",
    251: "range_position_252d",
    252: "sharpe_252d sortino_252d",
    254: "nvi_signal pvi_signal",
}


def test_warm_ups_are_true_look_backs(bars, vix):
    """Unmasked formulas begin exactly where declared; those that fill have a count by hand."""
    by_hand = {name: rows for rows, names in FILLED.items() for name in names.split()}
    frame = Frame(bars.head(400), vix[:400], CATALOGUE)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name, row in ROWS.items():
            raw = np.asarray(row.compute(frame), dtype=float)
            expected = by_hand.get(name, int(np.argmax(~np.isnan(raw))))
            assert row.warmup == expected, name


@pytest.mark.parametrize("name", list(ROWS))
def test_no_column_is_constant(name, columns):
    assert np.nanstd(columns[name]) > 0


def test_no_column_looks_ahead(bars, vix, columns):
    for cut in TRUNCATIONS:
        for name, again in _columns(bars.head(cut), vix[:cut]).items():
            np.testing.assert_allclose(
                again, columns[name][:cut], rtol=1e-9, atol=1e-9, err_msg=name
            )


POWERS = {  # of price and of volume
    "free": (0, 0),
    "price": (1, 0),
    "volume": (0, 1),
    "price_per_volume": (2, -1),  # emv_14: a price move times a price range over volume
}
# These add 1e-11 of the close to a denominator, which a body of a few hundredths can feel.
NEARLY_FREE = {
    "engulfing_score",
    "hammer_score",
    "shooting_star_score",
    "wick_rejection_score",
    "spinning_top_score",
    "gap_fill_pct",
    "doji_score",
}


def test_scale_laws(bars, vix, columns):
    """Prices times 4 and volume times 8: each column follows its declared powers."""
    prices = {n: getattr(bars, n) * 4.0 for n in ("open", "high", "low", "close")}
    for which, factor, change in ((0, 4.0, prices), (1, 8.0, {"volume": bars.volume * 8.0})):
        scaled = _columns(dataclasses.replace(bars, **change), vix)
        for name, before in columns.items():
            expected = before * factor ** POWERS[ROWS[name].scale][which]
            np.testing.assert_allclose(
                scaled[name],
                expected,
                rtol=1e-5 if name in NEARLY_FREE else 1e-7,
                atol=(1e-8 if name in NEARLY_FREE else 1e-9) * np.nanmax(np.abs(expected)),
                err_msg=name,
            )


def test_rows_declare_the_inputs_they_use(bars, vix):
    """Without volume or volatility, exactly the rows that declare the need fail."""
    for need, frame in (
        ("volume", Frame(dataclasses.replace(bars.head(400), volume=None), vix[:400], CATALOGUE)),
        ("volatility", Frame(bars.head(400), None, CATALOGUE)),
    ):
        for name, row in ROWS.items():
            with np.errstate(invalid="ignore", divide="ignore"):
                if need in row.needs:
                    with pytest.raises(KeyError, match=need):
                        frame[name]
                else:
                    assert len(frame[name]) == 400


@pytest.mark.parametrize("name", [n for n, row in ROWS.items() if "same_as" in str(row.flags)])
def test_copies_equal_their_original(name, bars, vix, columns):
    (original,) = (f.split(":")[1] for f in ROWS[name].flags if f.startswith("same_as"))
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = Frame(bars, vix, CATALOGUE)[original]
    np.testing.assert_allclose(columns[name], expected, rtol=1e-9)


# --- golden values -----------------------------------------------------------------------------


def _bars(open_, high, low, close, volume=None, start="2024-01-01"):
    values = [np.array(x, dtype=float) for x in (open_, high, low, close)]
    rows = len(values[0])
    traded = np.full(rows, 1e6) if volume is None else np.array(volume, dtype=float)
    dates = np.datetime64(start) + np.arange(rows)
    return Bars("golden", dates, *values, traded, np.ones(rows))


def _raw(name, bars):
    """The formula itself, without the warm-up mask."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(ROWS[name].compute(Frame(bars, None, CATALOGUE)), dtype=float)


# White, white, black, black: trends of two days each way, then a flat bar.
STEPS = _bars(
    [10, 11, 12, 11, 10],
    [11, 12, 12, 11, 10],
    [10, 11, 11, 10, 10],
    [11, 12, 11, 10, 10],
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trend_day_direction", [1, 1, -1, -1, 0]),
        ("consecutive_trend_days", [1, 2, 1, 2, 0]),
        ("consecutive_strong_candles", [1, 2, 1, 2, 0]),
        ("marubozu_direction", [1, 1, -1, -1, 0]),
        ("body_to_range_ratio", [1, 1, 1, 1, 0.5]),
        ("upper_wick_pct", [0, 0, 0, 0, 0]),
        ("buying_pressure_ratio", [1, 1, 0, 0, 0.5]),
        ("doji_indicator", [0, 0, 0, 0, 0]),  # a flat bar has 0.5 here ...
        ("doji_strict_indicator", [0, 0, 0, 0, 1]),  # ... and 0 here
        ("bearish_engulfing", [0, 0, 1, 0, 0]),
        ("harami_indicator", [0, 0, -1, 0, 0]),
        ("gap_fill_pct", [0, 0, 0, 0, 0]),
    ],
)
def test_hand_computed_candles(name, expected):
    values = _raw(name, STEPS)
    known = ~np.isnan(values)
    assert known[1:].all()
    np.testing.assert_allclose(values[known], np.array(expected)[known], atol=1e-6)


def test_hand_computed_gaps():
    """Up a half-filled gap of 2, down a gap of 2 filled and overshot, up a gap left open."""
    bars = _bars([10, 12, 10, 13], [10, 13, 13, 14], [10, 11, 9, 13], [10, 12, 12, 14])
    np.testing.assert_allclose(_raw("gap_fill_pct", bars)[1:], [50, 100, 0], atol=1e-5)
    np.testing.assert_array_equal(_raw("gap_filled_today", bars)[1:], [0, 1, 0])
    np.testing.assert_array_equal(_raw("gap_direction", bars)[1:], [1, -1, 1])


def test_a_doji_today_does_not_need_to_continue_the_trend():
    """Three rising closes, then a doji that closes lower."""
    close = [10, 11, 12, 13, 12.5]
    bars = _bars([9, 10, 11, 12, 12.5], [11, 12, 13, 14, 13], [9, 10, 11, 12, 12], close)
    np.testing.assert_array_equal(_raw("doji_after_trend", bars), [0, 0, 0, 0, 1])


def test_ties_of_extremes_take_the_stated_row():
    """Earliest for the 52-week closes, latest for the 20- and 50-day highs and lows."""
    one = np.full(260, 100.0)
    flat = _bars(one, one, one, one)
    np.testing.assert_array_equal(_raw("days_since_52wk_high", flat)[251:], 251)
    np.testing.assert_array_equal(_raw("days_since_52wk_low", flat)[251:], 251)
    for name in ("days_since_20d_high", "days_since_20d_low", "days_since_50d_high"):
        np.testing.assert_array_equal(_raw(name, flat)[49:], 0)


def test_squeeze_recency_counts_from_the_day_it_went_off():
    """Rows since the event, signed by the 14-day move on that day; missing before the first."""
    state = np.zeros(40)
    state[[20, 21, 22, 30]] = 1  # off on row 23 and on row 31
    close = np.concatenate([np.arange(30.0), np.full(10, 5.0)]) + 10  # up at row 23, down at 31
    frame = Frame(_bars(close, close, close, close), None, CATALOGUE)
    frame._done["bb_squeeze_indicator"] = np.where(np.arange(40) < 20, np.nan, state)
    values = frame["squeeze_fire_recency"]
    assert np.isnan(values[:23]).all()
    np.testing.assert_array_equal(values[23:31], np.arange(8))
    np.testing.assert_array_equal(values[31:], -np.arange(9))


def test_ease_of_movement_skips_flat_bars():
    """Moves of 1 over a box of 1/2; the flat bar on row 2 keeps the mean of the day before."""
    bars = _bars([10, 11, 12, 14], [11, 12, 12, 15], [9, 10, 12, 13], [10, 11, 12, 14])
    values = _raw("emv_14", bars)
    first = 1 / (1 / 2)
    third = first + 2 / 15 * (2 / (1 / 2) - first)
    np.testing.assert_allclose(values, [np.nan, first, first, third])


def test_volume_indices_move_on_their_days_only():
    """Volume falls on row 2 (return +10 %) and rises on row 1 (-10 %)."""
    close = [100, 90, 99, 99]
    bars = _bars(close, close, close, close, [2, 3, 1, 1])
    np.testing.assert_array_equal(_raw("nvi_signal", bars), [0, 0, 1, 1])
    np.testing.assert_array_equal(_raw("pvi_signal", bars), [0, 0, 0, 0])


def test_calendar_on_known_days():
    """Thursday 2024-02-29 has no weekday left; Friday 2024-03-01 has 20, Good Friday included."""
    one = np.ones(2)
    bars = _bars(one, one, one, one, start="2024-02-29")
    np.testing.assert_array_equal(_raw("days_to_month_end", bars), [0, 20])
    np.testing.assert_array_equal(_raw("trading_day_of_week", bars), [3, 4])
    np.testing.assert_array_equal(_raw("month_of_year", bars), [2, 3])
    np.testing.assert_array_equal(_raw("is_quarter_end_month", bars), [0, 1])


STATED = {
    0.0: (
        "sharpe_252d sharpe_slope_20d sortino_252d sortino_slope_20d obv_slope volume_price_trend "
        "kvo_histogram accumulation_dist volume_trend_5d volume_price_confluence "
        "high_volume_direction_bias vwap_price_divergence cmf_20 volume_trend_strength "
        "breakout_strength_20d distance_to_fib_50 expectancy_20d win_rate_20d gap_fill_pct"
    ),
    0.5: (
        "buying_pressure_ratio fib_range_position donchian_position range_position_50d "
        "range_position_252d body_to_range_ratio fib_retracement_level"
    ),
    1.0: ("avg_vol_up_vs_down_days range_expansion_10d high_low_range_ratio range_vs_avg_range"),
}


@pytest.mark.parametrize("value", list(STATED))
def test_undefined_values_take_the_stated_fill_on_constant_bars(value):
    one = np.full(300, 100.0)
    flat = _columns(_bars(one, one, one, one), np.full(300, 20.0))
    for name in STATED[value].split():
        np.testing.assert_array_equal(flat[name][ROWS[name].warmup :], value, err_msg=name)


def test_constant_and_untraded_bars_give_no_infinity():
    one = np.full(300, 100.0)
    for traded in (one, 0 * one):
        flat = _columns(_bars(one, one, one, one, traded), np.full(300, 20.0))
        for name, values in flat.items():
            assert not np.isinf(values).any(), name


def test_volatility_index_joins_by_date(bars):
    """Days whose last value is older than four days are missing; in the slope also the next."""
    known = np.delete(bars.dates, np.arange(1000, 1010))
    index = Volatility("gap", known, np.full(len(known), 20.0))
    columns = _columns(bars, index.on(bars.dates))
    age = [(day - known[known <= day][-1]).astype(int) for day in bars.dates[1000:1010]]
    lost = [1000 + i for i, days in enumerate(age) if days > 4]
    assert 4 <= len(lost) < 10
    assert np.flatnonzero(np.isnan(columns["vrp_5d"][5:])).tolist() == [i - 5 for i in lost]
    assert np.flatnonzero(np.isnan(columns["vrp_slope"][6:])).tolist() == [
        i - 6 for i in [*lost, lost[-1] + 1]
    ]
