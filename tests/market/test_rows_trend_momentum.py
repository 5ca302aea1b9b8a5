"""Trend, oscillator, momentum and weekly rows against pandas and loops written from their wording."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import talib

from trueness.market import load_bars
from trueness.market.indicators import CATALOGUE, momentum, trend
from trueness.market.indicators.frame import Frame

TRUNCATIONS = (300, 301, 555, 1000, 1234, 1777, 2500, 3003, 3600, 4321, 4800, 5030)
NAMES = [row.name for row in trend.ROWS + momentum.ROWS if row.position > 50]


def _values(bars):
    frame = Frame(bars, None, CATALOGUE)
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {name: frame[name] for name in NAMES}
    assert not any(np.isinf(column).any() for column in columns.values())
    return columns


@pytest.fixture(scope="module")
def bars():
    return load_bars("sp500")


@pytest.fixture(scope="module")
def columns(bars):
    return _values(bars)


@pytest.fixture(scope="module")
def daily(bars):
    values = {n: getattr(bars, n) for n in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(values, index=pd.DatetimeIndex(bars.dates))


# ---- building blocks, row by row or with pandas


def _rows(*columns):
    return zip(*(np.asarray(c, dtype=float) for c in columns), strict=True)


def _series(values, like):
    return pd.Series(np.asarray(values, dtype=float), index=like.index)


def _windows(x, n, formula):
    """A loop over the windows of n rows."""
    x = x.to_numpy()
    out = np.full(len(x), np.nan)
    for t in range(n - 1, len(x)):
        out[t] = formula(x[t - n + 1 : t + 1])
    return out


def _seeded(x, n, **decay):
    """Recursive mean of the defined values, seeded by the plain mean of the first n."""
    known = x.dropna()
    tail = known.iloc[n - 1 :].copy()
    tail.iloc[0] = known.iloc[:n].mean()
    return tail.ewm(**decay, adjust=False).mean().reindex(x.index)


def _ema(x, n):
    return _seeded(x, n, span=n)


def _wilder(x, n):
    return _seeded(x, n, alpha=1 / n)


def _ewm(x, n):
    return x.ewm(span=n, adjust=False, ignore_na=True).mean()


def _tema(x, n):
    first = _ema(x, n)
    second = _ema(first, n)
    return 3 * first - 3 * second + _ema(second, n)


def _wma(x, n):
    weights = np.arange(1, n + 1) / (n * (n + 1) / 2)
    known = x.dropna()
    values = np.convolve(known.to_numpy(), weights[::-1], mode="valid")
    return pd.Series(values, index=known.index[n - 1 :]).reindex(x.index)


def _hma(x, n, half, root):
    return _wma(2 * _wma(x, half) - _wma(x, n), root)


def _kama(x, n):
    c = x.to_numpy()
    out, value = np.full(len(c), np.nan), c[n - 1]
    path = np.abs(np.diff(c, prepend=c[0]))
    for t in range(n, len(c)):
        efficiency = abs(c[t] - c[t - n]) / path[t - n + 1 : t + 1].sum()
        value += (efficiency * (2 / 3 - 2 / 31) + 2 / 31) ** 2 * (c[t] - value)
        out[t] = value
    return _series(out, x)


def _line(d, name):
    """Any average by its name."""
    kind, n = name.split("_")
    n, c = int(n), d.close
    roots = {9: (4, 3), 21: (10, 4), 50: (25, 7)}
    kinds = {
        "sma": lambda: c.rolling(n).mean(),
        "ema": lambda: _ema(c, n),
        "tema": lambda: _tema(c, n),
        "wma": lambda: _wma(c, n),
        "kama": lambda: _kama(c, n),
        "hma": lambda: _hma(c, n, *roots[n]),
        "vwma": lambda: (c * d.volume).rolling(n).sum() / d.volume.rolling(n).sum(),
    }
    return kinds[kind]()


def _true_range(d):
    before = d.close.shift(1)
    parts = [d.high - d.low, (d.high - before).abs(), (d.low - before).abs()]
    return pd.concat(parts, axis=1).max(axis=1).where(before.notna())


def _atr(d, n=14):
    return _wilder(_true_range(d), n)


def _rsi(x, n=14):
    gain, loss = (_wilder((s * x.diff()).clip(lower=0), n) for s in (1, -1))
    return 100 * gain / (gain + loss)


def _directional(d):
    """+DI and -DI over 14 rows: sums started over 13 rows, then Wilder's recursion."""
    up, down = d.high.diff(), -d.low.diff()
    moves = (
        up.where((up > 0) & (up > down), 0.0),
        down.where((down > 0) & (down > up), 0.0),
        _true_range(d),
    )
    sums = []
    for x in (m.to_numpy() for m in moves):
        value, out = x[1:14].sum(), np.full(len(d), np.nan)
        for t in range(14, len(d)):
            value = out[t] = value - value / 14 + x[t]
        sums.append(_series(out, d))
    return 100 * sums[0] / sums[2], 100 * sums[1] / sums[2]


def _adx(d):
    plus, minus = _directional(d)
    return _wilder(100 * (plus - minus).abs() / (plus + minus), 14)


def _aroon(d, n):
    """Up and down; of equal extremes the latest counts."""

    def since(w):
        return n - np.flatnonzero(w == w.max())[-1]

    up, down = (_windows(x, n + 1, since) for x in (d.high, -d.low))
    return _series(100 * (n - up) / n, d), _series(100 * (n - down) / n, d)


def _macd(d):
    """The slow average starts at row 25, the fast one is moved there; all three begin at row 33."""
    c = d.close
    fast = _ema(c.iloc[14:], 12).reindex(c.index)
    line = fast - _ema(c, 26)
    signal = _ema(line, 9)
    return line.where(signal.notna()), signal, line - signal


def _schaff(c):
    fast = _ema(c.iloc[27:], 23).reindex(c.index)
    line = fast - _ema(c, 50)
    line = line.where(_ema(line, 10).notna())

    def stochastic(x):
        low, high = x.rolling(10).min(), x.rolling(10).max()
        return (100 * (x - low) / (high - low).where(high > low)).fillna(50)

    return _ewm(stochastic(_ewm(stochastic(line), 3)), 3).clip(0, 100)


def _stochastic(d, n):
    low, high = d.low.rolling(n).min(), d.high.rolling(n).max()
    return 100 * (d.close - low) / (high - low)


def _run(condition):
    out, length = [], 0
    for holds in np.asarray(condition):
        length = length + 1 if holds else 0
        out.append(length)
    return out


def _age(x, y):
    out, count = [], 0
    for a, b in _rows(x, y):
        if np.isnan(a) or np.isnan(b):
            count = 0
        else:
            sign = 1 if a >= b else -1
            count = count + sign if count * sign > 0 else sign
        out.append(count)
    return out


def _since_flip(x):
    """Unsigned rows since the sign of x changed."""
    out, before, count = [], np.nan, 0
    for sign in np.sign(np.asarray(x)):
        count = count + 1 if sign == before else 0
        before = sign
        out.append(count)
    return out


def _since_cross(x):
    out, before, count, sign = [], np.nan, np.nan, 0
    for now in np.asarray(x):
        crossed = (now > 0 and before <= 0) or (now < 0 and before >= 0)
        sign = (1 if now > 0 else -1) if crossed else sign
        count = 0 if crossed else count + 1
        before = now
        out.append(sign * count)
    return out


def _supertrend(d):
    line, state, out = None, None, []
    for high, low, c, atr in _rows(d.high, d.low, d.close, _atr(d, 10)):
        up, lo = (high + low) / 2 + 3 * atr, (high + low) / 2 - 3 * atr
        if np.isnan(atr):
            out.append((np.nan, np.nan))
            continue
        if line is None:
            line, state = up, -1
        elif state == 1:
            line = max(lo, line)
            line, state = (line, 1) if c >= line else (up, -1)
        else:
            line = min(up, line)
            line, state = (line, -1) if c <= line else (lo, 1)
        out.append((line, state))
    return np.array(out).T


def _ratchet(d, n):
    line, out = None, []
    for high, low, c, atr in _rows(d.high, d.low, d.close, _atr(d, n)):
        up, lo = (high + low) / 2 + 3 * atr, (high + low) / 2 - 3 * atr
        if np.isnan(atr):
            out.append((np.nan, np.nan))
            continue
        if line is None:
            line, state = lo, 1
        elif c > line:
            line, state = max(lo, line), 1
        else:
            line, state = min(up, line), -1
        out.append((line, state))
    return np.array(out).T


def _since_ratchet_flip(d):
    out, before, count = [], np.nan, np.nan
    for state in _ratchet(d, 14)[1]:
        flipped = not np.isnan(before) and state != before
        count = 0 if flipped else count + 1
        before = state
        out.append(state * count)
    return out


def _middle(d, n):
    return (d.high.rolling(n).max() + d.low.rolling(n).min()) / 2


def _cloud(d):
    return (_middle(d, 9) + _middle(d, 26)) / 2, _middle(d, 52)


def _returns(d):
    return 100 * d.close.pct_change()


def _sided_mean(d, sign):
    def mean(w):
        hits = w[sign * w > 0]
        return np.nan if np.isnan(w).any() else np.abs(hits).mean() if len(hits) else 0.0

    return _series(_windows(_returns(d), 20, mean), d)


def _sided_sum(d, sign):
    return (sign * _returns(d)).clip(lower=0).rolling(20).sum()


def _longest_streak(d):
    r = _returns(d)
    streaks = np.maximum(_run(r > 0), _run(r < 0)).astype(float)
    return _series(streaks, d).where(r.notna()).rolling(20).max()


def _direction(d):
    mean = d.close.rolling(50).mean()
    pace = 100 * mean.diff(5) / mean
    return np.select([pace > 0.5, pace < -0.5], [1, -1], 0)


def _fit(d):
    """Slope, R squared, last residual and residual deviation of a straight line over 20 rows."""
    windows = np.lib.stride_tricks.sliding_window_view(d.close.to_numpy(), 20).T
    time = np.arange(20.0)
    slope, start = np.polyfit(time, windows, 1)
    residuals = windows - (start + slope * time[:, None])
    squared = 1 - (residuals**2).sum(axis=0) / ((windows - windows.mean(axis=0)) ** 2).sum(axis=0)
    pad = np.full(19, np.nan)
    each = (slope, squared, residuals[-1], residuals.std(axis=0))
    return [_series(np.append(pad, x), d) for x in each]


def _rank_le(x, n):
    return _windows(x, n, lambda w: np.nan if np.isnan(w).any() else (w <= w[-1]).mean())


def _rsi_rank(d, n):
    """Of TA-Lib's RSI: an unchanged close leaves RSI as it was but for rounding, which `<=` sees."""
    return _rank_le(_series(talib.RSI(d.close.to_numpy(), 14), d), n)


def _price_rsi(d):
    return _rank_le(d.close, 20) - _rsi_rank(d, 20)


def _price_obv(d):
    balance = (d.volume * np.sign(d.close.diff())).fillna(0).cumsum()
    return _rank_le(d.close, 20) - _rank_le(balance, 20)


def _divergence(d):
    return np.maximum(np.abs(_price_rsi(d)), np.abs(_price_obv(d)))


def _range_place(x, n):
    low, high = x.rolling(n).min(), x.rolling(n).max()
    return ((x - low) / (high - low).where(high > low)).mask(high == low, 0.5)


def _weekly(d, formula):
    """Weeks as Monday bins, one bar late, as of each day; `formula` of the weekly bars."""
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    weeks = d.resample("W-MON", label="left", closed="left").agg(rules).dropna()
    return formula(weeks).shift(1).reindex(d.index, method="ffill")


def _weekly_mean(w):
    return w.close.rolling(20).mean()


def _weekly_pace(w):
    return _weekly_mean(w) / _weekly_mean(w).shift(5) - 1


def _weekly_width(w):
    return 4 * w.close.rolling(20).std(ddof=0) / _weekly_mean(w)


def _weekly_place(w):
    half = 2 * w.close.rolling(20).std(ddof=0)
    return (w.close - _weekly_mean(w) + half) / (2 * half)


def _agreement(d):
    day = d.close.rolling(20).mean().diff(5)
    week = _weekly(d, lambda w: w.close.rolling(4).mean().diff())
    return np.select([(day > 0) & (week > 0), (day < 0) & (week < 0)], [1, -1], 0)


def _volatility_agreement(d):
    week = _weekly(d, lambda w: _range_place(_atr(w, 4) / w.close, 12))
    return _range_place(_atr(d) / d.close, 60) - week


# ---- one oracle per row

LENGTHS = {
    "sma": (5, 14, 21, 63),
    "ema": (5, 9, 12, 26, 50, 100, 200),
    "tema": (9, 20, 50, 100),
    "wma": (10, 20, 50, 200),
    "kama": (10, 20, 50),
    "hma": (9, 21, 50),
    "vwma": (10, 20, 50),
}
AVERAGES = [f"{kind}_{n}" for kind, lengths in LENGTHS.items() for n in lengths]
SLOPES = ("sma_50", "sma_200", "tema_20", "sma_5", "sma_21", "sma_63", "ema_9", "ema_50", "ema_100")
DISTANCES = ("tema_50", "kama_20", "sma_5", "sma_21", "ema_9", "ema_50", "ema_100")
RUNS = (
    "sma_9",
    "sma_50",
    "sma_200",
    "tema_20",
    "kama_20",
    "vwma_20",
    "ema_9",
    "ema_50",
    "sma_21",
    "sma_63",
)
PROXIMITIES = {
    "sma_9_50": ("sma_9", "sma_50"),
    "tema_20_sma_50": ("tema_20", "sma_50"),
    "kama_20_sma_50": ("kama_20", "sma_50"),
    "sma_9_200": ("sma_9", "sma_200"),
    "sma_5_21": ("sma_5", "sma_21"),
    "sma_21_50": ("sma_21", "sma_50"),
    "sma_63_200": ("sma_63", "sma_200"),
    "ema_9_50": ("ema_9", "ema_50"),
}
CROSSINGS = {
    "sma_9_50": ("sma_9", "sma_50"),
    "sma_50_200": ("sma_50", "sma_200"),
    "tema_sma_50": ("tema_20", "sma_50"),
    "kama_sma_50": ("kama_20", "sma_50"),
    "sma_9_200": ("sma_9", "sma_200"),
    "ema_9_50": ("ema_9", "ema_50"),
    "ema_50_200": ("ema_50", "ema_200"),
    "sma_5_21": ("sma_5", "sma_21"),
    "sma_21_63": ("sma_21", "sma_63"),
    "ema_9_sma_50": ("ema_9", "sma_50"),
}


def _average_oracles():
    out = {name: (lambda d, name=name: _line(d, name)) for name in AVERAGES}
    out |= {f"{x}_slope": (lambda d, x=x: _line(d, x).diff(5)) for x in SLOPES}
    out |= {
        f"price_pct_from_{x}": (lambda d, x=x: 100 * (d.close / _line(d, x) - 1)) for x in DISTANCES
    }
    out |= {f"days_above_{x}": (lambda d, x=x: _run(d.close >= _line(d, x))) for x in RUNS}
    out |= {f"days_below_{x}": (lambda d, x=x: _run(d.close < _line(d, x))) for x in RUNS}
    for x in ("ema_9", "ema_50", "sma_21", "sma_63"):
        out[f"{x}_acceleration"] = lambda d, x=x: _line(d, x).diff(5).diff(5)
    for name, (a, b) in PROXIMITIES.items():
        out[f"{name}_proximity"] = lambda d, a=a, b=b: 100 * (_line(d, a) / _line(d, b) - 1)
    for name, (a, b) in CROSSINGS.items():
        out[f"days_since_{name}_cross"] = lambda d, a=a, b=b: _age(_line(d, a), _line(d, b))
    for n in (50, 200):
        out[f"days_since_sma_{n}_cross"] = lambda d, n=n: _since_flip(
            d.close - d.close.rolling(n).mean()
        )
    return out


def _trend_oracles():
    out = {}
    for n in (14, 25):
        out[f"aroon_up_{n}"] = lambda d, n=n: _aroon(d, n)[0]
        out[f"aroon_down_{n}"] = lambda d, n=n: _aroon(d, n)[1]
    return out | {
        "adx_slope": lambda d: _adx(d).diff(5),
        "adx_14_slope": lambda d: _adx(d).diff(5),
        "adx_acceleration": lambda d: _adx(d).diff(5).diff(5),
        "plus_di_14": lambda d: _directional(d)[0],
        "minus_di_14": lambda d: _directional(d)[1],
        "di_spread": lambda d: np.subtract(*_directional(d)),
        "di_cross_recency": lambda d: _age(*_directional(d)),
        "aroon_oscillator": lambda d: np.subtract(*_aroon(d, 25)),
        "aroon_oscillator_14": lambda d: np.subtract(*_aroon(d, 14)),
        "aroon_trend_strength": lambda d: np.subtract(*_aroon(d, 25)).abs() / 100,
        "aroon_consolidation": lambda d: np.minimum(*(x.between(30, 70) for x in _aroon(d, 14))),
        "aroon_crossover_recency": lambda d: _since_cross(np.subtract(*_aroon(d, 14))),
        "price_pct_from_supertrend": lambda d: 100 * (d.close / _supertrend(d)[0] - 1),
        "supertrend_direction": lambda d: _supertrend(d)[1],
        "supertrend_flip_recency_14": _since_ratchet_flip,
        "pct_from_supertrend_20": lambda d: 100 * (d.close / _ratchet(d, 20)[0] - 1),
        "supertrend_slope": lambda d: _series(_ratchet(d, 20)[0], d).diff(5),
        "tenkan_sen": lambda d: _middle(d, 9),
        "kijun_sen": lambda d: _middle(d, 26),
        "senkou_span_a": lambda d: _cloud(d)[0],
        "senkou_span_b": lambda d: _cloud(d)[1],
        "price_vs_cloud": lambda d: np.select(
            [d.close > np.maximum(*_cloud(d)), d.close < np.minimum(*_cloud(d))], [1, -1], 0
        ),
        "cloud_thickness_pct": lambda d: 100 * np.subtract(*_cloud(d)) / d.close,
        "avg_up_day_magnitude": lambda d: _sided_mean(d, 1),
        "avg_down_day_magnitude": lambda d: _sided_mean(d, -1),
        "up_down_magnitude_ratio": lambda d: _sided_mean(d, 1) / _sided_mean(d, -1),
        "up_vs_down_momentum": lambda d: _sided_sum(d, 1) / _sided_sum(d, -1),
        "trend_persistence_20d": _longest_streak,
        "directional_bias_strength": lambda d: (
            2 * (_windows(_returns(d), 20, lambda w: (w > 0).mean()) - 0.5).__abs__()
        ),
        "price_trend_direction": _direction,
        "trend_alignment_score": lambda d: np.sign(np.subtract(*_directional(d))) == _direction(d),
        "trend_strength_vs_vol": lambda d: _adx(d) / (10 * 100 * _atr(d) / d.close),
        "linreg_slope_20d": lambda d: 100 * 252 * _fit(d)[0] / d.close,
        "linreg_r_squared_20d": lambda d: _fit(d)[1],
        "price_linreg_deviation": lambda d: 100 * _fit(d)[2] / d.close,
        "channel_width_linreg_20d": lambda d: 200 * _fit(d)[3] / d.close,
    }


def _momentum_oracles():
    def demarker(d):
        up, down = d.high.diff().clip(lower=0), (-d.low.diff()).clip(lower=0)
        up, down = (x.where(d.high.shift(1).notna()).rolling(14).mean() for x in (up, down))
        return up / (up + down)

    def qqe(d):
        return _ewm(_rsi(d.close), 5)

    def slow_k(d):
        return _stochastic(d, 14).rolling(3).mean()

    def cci(d):
        typical = (d.high + d.low + d.close) / 3
        spread = _windows(typical, 14, lambda w: np.abs(w - w.mean()).mean())
        return (typical - typical.rolling(14).mean()) / (0.015 * spread)

    def macd_proximity(d):
        line, signal, _ = _macd(d)
        return (
            100
            * (line - signal)
            / signal.abs().where(signal.abs() > 1e-7 * d.close, d.close / 1000)
        )

    def nearest(x, low, high):
        return np.minimum((x - low).abs(), (x - high).abs())

    def score(c, n):
        return (c - c.rolling(n).mean()) / c.rolling(n).std()

    return {
        "return_1d_acceleration": lambda d: _returns(d).diff(),
        "return_5d_acceleration": lambda d: (100 * d.close.pct_change(5)).diff(),
        "qqe_slope": lambda d: qqe(d).diff(5),
        "qqe_extreme_dist": lambda d: nearest(qqe(d), 20, 80),
        "stc_slope": lambda d: _schaff(d.close).diff(5),
        "stc_extreme_dist": lambda d: nearest(_schaff(d.close), 25, 75),
        "demarker_value": demarker,
        "demarker_from_half": lambda d: demarker(d) - 0.5,
        "stoch_k_14": slow_k,
        "stoch_d_14": lambda d: slow_k(d).rolling(3).mean(),
        "stoch_extreme_dist": lambda d: nearest(slow_k(d), 20, 80),
        "stoch_k_5": lambda d: _stochastic(d, 5),
        "stoch_d_5": lambda d: _stochastic(d, 5).rolling(3).mean(),
        "stoch_k_5_slope": lambda d: _stochastic(d, 5).diff(5),
        "cci_14": cci,
        "williams_r_14": lambda d: _stochastic(d, 14) - 100,
        "rsi_distance_from_50": lambda d: _rsi(d.close) - 50,
        "days_rsi_overbought": lambda d: _run(_rsi(d.close) > 70),
        "days_rsi_oversold": lambda d: _run(_rsi(d.close) < 30),
        "rsi_percentile_60d": lambda d: _rsi_rank(d, 60),
        "rsi_5": lambda d: _rsi(d.close, 5),
        "rsi_21": lambda d: _rsi(d.close, 21),
        "rsi_5_slope": lambda d: _rsi(d.close, 5).diff(5),
        "rsi_21_slope": lambda d: _rsi(d.close, 21).diff(5),
        "rsi_5_21_spread": lambda d: _rsi(d.close, 5) - _rsi(d.close, 21),
        "zscore_from_20d_mean": lambda d: score(d.close, 20),
        "zscore_from_50d_mean": lambda d: score(d.close, 50),
        "consecutive_up_days": lambda d: _run(d.close > d.close.shift(1)),
        "consecutive_down_days": lambda d: _run(d.close < d.close.shift(1)),
        "up_days_ratio_20d": lambda d: (d.close > d.close.shift(1)).rolling(20).mean(),
        "macd_signal": lambda d: _macd(d)[1],
        "macd_histogram_slope": lambda d: _macd(d)[2].diff(5),
        "days_since_macd_cross_signal": lambda d: _age(*_macd(d)[:2]),
        "macd_signal_proximity": macd_proximity,
        "price_rsi_divergence": _price_rsi,
        "price_obv_divergence": _price_obv,
        "divergence_streak": lambda d: _run(_divergence(d) > 0.2),
        "divergence_magnitude": _divergence,
    }


def _weekly_oracles():
    return {
        "weekly_ma_slope": lambda d: _weekly(d, _weekly_pace),
        "weekly_ma_slope_acceleration": lambda d: _weekly(d, lambda w: _weekly_pace(w).diff()),
        "price_pct_from_weekly_ma": lambda d: d.close / _weekly(d, _weekly_mean) - 1,
        "weekly_rsi_slope": lambda d: _weekly(d, lambda w: _rsi(w.close).diff(5)),
        "weekly_rsi_slope_acceleration": lambda d: _weekly(
            d, lambda w: _rsi(w.close).diff(5).diff()
        ),
        "weekly_bb_position": lambda d: _weekly(d, _weekly_place),
        "weekly_bb_width": lambda d: _weekly(d, _weekly_width),
        "weekly_bb_width_slope": lambda d: _weekly(d, lambda w: _weekly_width(w).diff(5)),
        "trend_alignment_daily_weekly": _agreement,
        "rsi_alignment_daily_weekly": lambda d: _rsi(d.close) - _weekly(d, lambda w: _rsi(w.close)),
        "vol_alignment_daily_weekly": _volatility_agreement,
    }


ORACLES = _average_oracles() | _trend_oracles() | _momentum_oracles() | _weekly_oracles()


# ---- contracts


def test_every_row_has_an_oracle():
    """price_obv_divergence has one here too, though it is a volume row."""
    assert set(NAMES) - {"price_obv_divergence"} == set(ORACLES) - {"price_obv_divergence"}


@pytest.mark.parametrize("name", NAMES)
def test_equals_an_independent_formula(name, daily, columns):
    expected = np.asarray(ORACLES[name](daily), dtype=float)
    known = ~np.isnan(columns[name])
    assert not np.isnan(expected[known]).any()
    tolerance = 1e-8 * np.nanstd(expected) + 1e-9
    np.testing.assert_allclose(columns[name][known], expected[known], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_first_value_comes_when_declared_and_no_gap_follows(name, columns):
    known, row = ~np.isnan(columns[name]), CATALOGUE[name]
    first = int(np.argmax(known))
    if "start_depends_on_first_event" in row.flags:
        assert row.warmup <= first < 300
    else:
        assert first == row.warmup
    assert known[first:].all()


def test_weekly_warmups_cover_a_first_week_of_any_length(bars):
    """Wherever in a week the series starts, the value is there when the warm-up is over."""
    for skip in range(5):
        values = _values(_tail(bars, skip))
        for name in _weekly_oracles():
            assert np.argmax(~np.isnan(values[name])) == CATALOGUE[name].warmup


def _tail(bars, skip):
    names = ("dates", "open", "high", "low", "close", "volume", "factor")
    return dataclasses.replace(bars, **{n: getattr(bars, n)[skip:800] for n in names})


def test_no_column_looks_ahead(bars, columns):
    for cut in TRUNCATIONS:
        again = _values(bars.head(cut))
        for name in NAMES:
            expected = columns[name][:cut]
            np.testing.assert_allclose(again[name], expected, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("factor", "scale"), [(4.0, "price"), (8.0, "volume")])
def test_scale_laws(bars, columns, factor, scale):
    prices = ("open", "high", "low", "close")
    scaled = prices if scale == "price" else ("volume",)
    changed = dataclasses.replace(bars, **{n: getattr(bars, n) * factor for n in scaled})
    for name, actual in _values(changed).items():
        expected = columns[name] * (factor if CATALOGUE[name].scale == scale else 1.0)
        size = np.nanmax(np.abs(expected))
        np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-9 * size, err_msg=name)


def test_no_warmup_exceeds_the_longest():
    assert max(CATALOGUE[name].warmup for name in NAMES) == 297


def test_copies_and_linear_maps_are_what_they_say(bars):
    frame = Frame(bars, None, CATALOGUE)
    for name in NAMES:
        for flag in CATALOGUE[name].flags:
            kind, _, other = flag.partition(":")
            if not other or other not in CATALOGUE:
                continue
            known = ~np.isnan(frame[name])
            ours, theirs = frame[name][known], frame[other][known]
            if kind == "affine_of":
                theirs = np.polyval(np.polyfit(theirs, ours, 1), theirs)
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=name)


# ---- small frames computed by hand


def _small(bars, close, spread=1.0):
    """Bars around the closes: high and low `spread` away."""
    close = np.asarray(close, dtype=float)
    parts = {"open": close, "high": close + spread, "low": close - spread, "close": close}
    head = bars.head(len(close))
    small = dataclasses.replace(head, volume=np.ones(len(close)), **parts)
    return Frame(small, None, CATALOGUE)


def test_supertrend_by_hand(bars):
    frame = _small(bars, [100] * 11 + [110, 112, 100])
    # ATR(10) = 2, 2.9, 2.91, 3.919; row 10 starts at the upper band
    lines = np.array([106, 110 - 8.7, 112 - 8.73, 100 + 11.757])
    np.testing.assert_array_equal(frame["supertrend_direction"][9:], [np.nan, -1, 1, 1, -1])
    expected = 100 * (np.array([100, 110, 112, 100]) / lines - 1)
    np.testing.assert_allclose(frame["price_pct_from_supertrend"][10:], expected)


def test_ratchet_by_hand(bars):
    frame = _small(bars, [100] * 21 + [110, 100, 104, 104, 104])
    # ATR(20) = 2, 2.45, 2.8775 ...; the level 102.65 of row 21 survives both flips
    lines = np.array([94, 102.65, 102.65, 102.65])
    expected = 100 * (np.array([100, 110, 100, 104]) / lines - 1)
    np.testing.assert_allclose(frame["pct_from_supertrend_20"][20:24], expected)
    np.testing.assert_allclose(frame["supertrend_slope"][25], 102.65 - 94)
    # with ATR(14) the level of row 21 is 110 - 3 * 37/14
    flips = frame["supertrend_flip_recency_14"]
    np.testing.assert_array_equal(flips[20:], [np.nan, np.nan, 0, 0, 1, 2])


def test_aroon_crossing_by_hand(bars):
    frame = _small(bars, [*range(100, 116), 90, 89, 88])
    np.testing.assert_allclose(frame["aroon_oscillator_14"][14:17], [100, 100, 100 * 13 / 14 - 100])
    np.testing.assert_array_equal(
        frame["aroon_crossover_recency"][14:], [np.nan, np.nan, 0, -1, -2]
    )


def test_zero_crossing_counts_a_touch_only_when_left():
    osc = np.array([np.nan, 5.0, 0.0, 0.0, 3.0, -1.0, 0.0, -2.0])
    np.testing.assert_array_equal(trend._zero_crossing(osc), [0, 0, 0, 0, 1, -1, 0, -1])


def test_counters_by_hand(bars):
    frame = _small(bars, [100] * 49 + [101, 102, 50, 60])
    np.testing.assert_array_equal(frame["days_since_sma_50_cross"][48:], [np.nan, 0, 1, 0, 1])
    np.testing.assert_array_equal(frame["days_above_sma_50"][48:], [np.nan, 1, 2, 0, 0])
    np.testing.assert_array_equal(frame["days_below_sma_50"][48:], [np.nan, 0, 0, 1, 2])
    np.testing.assert_array_equal(frame["consecutive_up_days"][47:], [0, 0, 1, 2, 0, 1])
    np.testing.assert_array_equal(frame["consecutive_down_days"][:3], [np.nan, 0, 0])
    np.testing.assert_array_equal(frame["consecutive_down_days"][49:], [0, 0, 1, 0])
    np.testing.assert_array_equal(frame["trend_persistence_20d"][18:21], [np.nan, np.nan, 0])
    np.testing.assert_array_equal(frame["trend_persistence_20d"][49:], [1, 2, 2, 2])
    # the mean of 9 rows passes that of 50 on row 49 (equal counts as above) and falls on row 51
    np.testing.assert_array_equal(frame["days_since_sma_9_50_cross"][48:], [np.nan, 1, 2, -1, -2])


def test_flat_prices_take_the_stated_fill_values(bars):
    frame = _small(bars, [100.1] * 320, spread=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        last = {name: frame[name][-1] for name in NAMES}
    stated = {
        "demarker_value": 0.5,
        "linreg_r_squared_20d": 1,
        "up_down_magnitude_ratio": 1,
        "up_vs_down_momentum": 1,
        "avg_up_day_magnitude": 0,
        "avg_down_day_magnitude": 0,
        "trend_strength_vs_vol": 0,
        "vol_alignment_daily_weekly": 0,
        "consecutive_up_days": 0,
        "directional_bias_strength": 1,
    }
    assert {name: last[name] for name in stated} == stated
    assert not np.isinf(list(last.values())).any()
