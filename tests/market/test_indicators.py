"""Indicators against independent formulas written with pandas, TA-Lib and loops; contracts over the catalogue."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import talib

from trueness.errors import DataError
from trueness.market import feature_table, load_bars, primitives
from trueness.market.bars import Bars, Volatility
from trueness.market.indicators import CATALOGUE, TIERS, tier_rows

EVERYTHING = "a50+c"  # the rest of the catalogue has files of its own
TRUNCATIONS = (300, 301, 555, 1000, 1234, 1777, 2500, 3003, 3600, 4321, 4800, 5030)


@pytest.fixture(scope="module")
def bars():
    return load_bars("sp500")


@pytest.fixture(scope="module")
def index(bars):
    rng = np.random.default_rng(0)
    return Volatility("made", bars.dates, 15 + 5 * np.abs(rng.standard_normal(len(bars))))


@pytest.fixture(scope="module")
def table(bars, index):
    return feature_table(bars, EVERYTHING, index)


@pytest.fixture(scope="module")
def column(table):
    return lambda name: table.values[:, table.names.index(name)]


def _frame(bars):
    columns = {n: getattr(bars, n) for n in ("open", "high", "low", "close", "volume")}
    return pd.DataFrame(columns, index=pd.DatetimeIndex(bars.dates))


def _ewm(x, n):
    return x.ewm(span=n, adjust=False, ignore_na=True).mean()


def _weekly(c, formula):
    """Reference: a pandas resample, one bar late, as of each day."""
    bars = c.resample("W-MON", label="left", closed="left").last().dropna()
    known = pd.Series(formula(bars.to_numpy()), index=bars.index).shift(1)
    return known.reindex(c.index, method="ffill")


def _stc(c):
    line = pd.Series(talib.MACD(c.to_numpy(), 23, 50, 10)[0], index=c.index)

    def stochastic(x):
        low, high = x.rolling(10).min(), x.rolling(10).max()
        return (100 * (x - low) / (high - low).where(high > low)).fillna(50)

    return _ewm(stochastic(_ewm(stochastic(line), 3)), 3).clip(0, 100)


def _klinger(d):
    """Row by row, as the formula is worded."""
    typical = d.high + d.low + d.close
    force, s_before, cm_before, dm_before = [], None, None, None
    for t in range(len(d)):
        s = 1 if t and typical.iloc[t] > typical.iloc[t - 1] else -1
        dm = d.high.iloc[t] - d.low.iloc[t]
        cm = dm if t == 0 else (cm_before if s == s_before else dm_before) + dm
        force.append(100 * d.volume.iloc[t] * s * abs(2 * dm / (cm or 1) - 1))
        s_before, cm_before, dm_before = s, cm, dm
    f = pd.Series(force, index=d.index)
    return _ewm(_ewm(f, 34) - _ewm(f, 55), 13)


def _oracles():
    r = lambda d: d.close.pct_change()  # noqa: E731
    rsi = lambda d: pd.Series(talib.RSI(d.close.to_numpy(), 14), index=d.index)  # noqa: E731
    atr = lambda d: talib.ATR(d.high.to_numpy(), d.low.to_numpy(), d.close.to_numpy(), 14)  # noqa: E731
    down = lambda d: r(d).clip(upper=0)  # noqa: E731
    rv = lambda d, n: 100 * np.sqrt(252) * np.log(d.close).diff().rolling(n).std()  # noqa: E731
    half = lambda d: 2 * d.close.rolling(20).std(ddof=0)  # noqa: E731
    mean20 = lambda d: d.close.rolling(20).mean()  # noqa: E731
    both = {f"sma_{n}": (lambda d, n=n: d.close.rolling(n).mean()) for n in (12, 50, 100, 200)}
    both |= {
        f"dema_{n}": (lambda d, n=n: talib.DEMA(d.close.to_numpy(), n)) for n in (9, 10, 20, 25, 90)
    }
    both |= {
        f"return_{n}d": (lambda d, n=n: 100 * d.close.pct_change(n)) for n in (1, 5, 21, 63, 252)
    }
    both |= {
        f"price_pct_from_sma_{n}": (lambda d, n=n: 100 * (d.close / d.close.rolling(n).mean() - 1))
        for n in (50, 200)
    }
    both |= {
        f"sharpe_{n}d": (
            lambda d, n=n: np.sqrt(252) * r(d).rolling(n).mean() / r(d).rolling(n).std()
        )
        for n in (20, 60)
    }
    both |= {
        f"sortino_{n}d": (
            lambda d, n=n: np.sqrt(252) * r(d).rolling(n).mean() / down(d).rolling(n).std()
        )
        for n in (20, 60)
    }
    both |= {f"vrp_{n}d": (lambda d, n=n: d.vix - rv(d, n)) for n in (10, 21)}
    return both | {
        "rsi_daily": rsi,
        "rsi_weekly": lambda d: _weekly(d.close, lambda c: talib.RSI(c, 14)),
        "stochrsi_daily": lambda d: talib.STOCHRSI(d.close.to_numpy(), 14, 5, 3)[0],
        "stochrsi_weekly": lambda d: _weekly(d.close, lambda c: talib.STOCHRSI(c, 14, 5, 3)[0]),
        "macd_line": lambda d: talib.MACD(d.close.to_numpy())[0],
        "macd_histogram": lambda d: talib.MACD(d.close.to_numpy())[2],
        "obv": lambda d: (np.sign(d.close.diff()).fillna(1) * d.volume).cumsum(),
        "adosc": lambda d: talib.ADOSC(
            *(d[n].to_numpy() for n in ("high", "low", "close", "volume"))
        ),
        "atr_14": atr,
        "adx_14": lambda d: talib.ADX(d.high.to_numpy(), d.low.to_numpy(), d.close.to_numpy(), 14),
        "bb_percent_b": lambda d: (d.close - mean20(d) + half(d)) / (2 * half(d)),
        "vwap_20": lambda d: (d.close * d.volume).rolling(20).sum() / d.volume.rolling(20).sum(),
        "qqe_fast": lambda d: _ewm(rsi(d), 5),
        "qqe_slow": lambda d: _ewm(rsi(d), 14),
        "qqe_fast_slow_spread": lambda d: _ewm(rsi(d), 5) - _ewm(rsi(d), 14),
        "stc_value": lambda d: _stc(d.close),
        "stc_from_50": lambda d: _stc(d.close) - 50,
        "implied_vs_realized_ratio": lambda d: d.vix / rv(d, 21),
        "rsi_slope": lambda d: rsi(d).diff(5),
        "rsi_extreme_dist": lambda d: np.minimum((rsi(d) - 30).abs(), (rsi(d) - 70).abs()),
        "sma_50_200_proximity": lambda d: (
            100 * (d.close.rolling(50).mean() / d.close.rolling(200).mean() - 1)
        ),
        "atr_pct": lambda d: 100 * atr(d) / d.close,
        "atr_pct_slope": lambda d: (100 * atr(d) / d.close).diff(5),
        "bb_width": lambda d: 100 * 2 * half(d) / mean20(d),
        "overnight_gap": lambda d: 100 * (d.open / d.close.shift(1) - 1),
        "open_to_close_pct": lambda d: 100 * (d.close / d.open - 1),
        "volume_ratio_20d": lambda d: d.volume / d.volume.rolling(20).mean(),
        "kvo_signal": _klinger,
        "vix_close": lambda d: d.vix,
        "vix_sma_10": lambda d: d.vix.rolling(10).mean(),
        "vix_sma_20": lambda d: d.vix.rolling(20).mean(),
        "vix_percentile_60d": lambda d: d.vix.rolling(60).apply(
            lambda w: 100 * (w[:-1] < w[-1]).mean(), raw=True
        ),
        "vix_zscore_20d": lambda d: (d.vix - d.vix.rolling(20).mean()) / d.vix.rolling(20).std(),
        "vix_regime": lambda d: (d.vix >= 15).astype(float) + (d.vix >= 25),
        "vix_change_1d": lambda d: 100 * d.vix.pct_change(),
        "vix_change_5d": lambda d: 100 * d.vix.pct_change(5),
    }


ORACLES = _oracles()


def test_every_row_has_an_oracle():
    assert set(ORACLES) == {row.name for row in tier_rows(EVERYTHING)}


@pytest.mark.parametrize("name", [row.name for row in tier_rows(EVERYTHING)])
def test_equals_an_independent_formula(name, bars, index, column):
    frame = _frame(bars).assign(vix=index.close)
    expected = np.asarray(ORACLES[name](frame), dtype=float)
    actual = column(name)
    known = ~np.isnan(actual)
    assert not np.isnan(expected[known]).any()
    scale = np.nanstd(expected)
    np.testing.assert_allclose(actual[known], expected[known], rtol=0, atol=1e-8 * scale + 1e-9)


def test_no_column_looks_ahead(bars, index, table):
    """Truncate the series and compute again: what was known before the cut must not change."""
    for cut in TRUNCATIONS:
        known = Volatility("cut", index.dates[:cut], index.close[:cut])
        again = feature_table(bars.head(cut), EVERYTHING, known)
        assert again.names == table.names
        np.testing.assert_allclose(again.values, table.values[:cut], rtol=1e-9, atol=1e-9)


def test_the_look_ahead_test_can_fail(bars):
    """A five-row shift into the future is caught by the same comparison."""
    ahead = np.roll(bars.close, -5)
    again = np.roll(bars.head(1000).close, -5)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(again, ahead[:1000], rtol=1e-9)


@pytest.mark.parametrize("name", [row.name for row in tier_rows(EVERYTHING)])
def test_first_value_comes_when_declared(name, column):
    first = int(np.argmax(~np.isnan(column(name))))
    assert first == CATALOGUE[name].warmup


def test_scale_laws(bars, index, table):
    """Prices times c: price columns times c, free columns unchanged; likewise for volume."""
    import dataclasses

    for factor, scale in ((4.0, "price"), (8.0, "volume")):
        names = ("open", "high", "low", "close") if scale == "price" else ("volume",)
        scaled = dataclasses.replace(bars, **{n: getattr(bars, n) * factor for n in names})
        values = feature_table(scaled, EVERYTHING, index).values
        for i, name in enumerate(table.names):
            by = factor if CATALOGUE[name].scale == scale else 1.0
            size = np.nanmax(np.abs(table.values[:, i]))
            np.testing.assert_allclose(
                values[:, i],
                table.values[:, i] * by,
                rtol=1e-7,
                atol=1e-9 * size * by,
                err_msg=name,
            )


def test_tiers_are_nested_in_order_with_their_published_sizes():
    names = [[row.name for row in tier_rows(tier)] for tier in TIERS]
    sizes = [20, 50, 100, 206, 500][: len(TIERS)]
    assert [len(n) for n in names] == sizes
    for small, large in itertools.pairwise(names):
        assert large[: len(small)] == small
    assert [row.position for row in tier_rows(TIERS[-1])] == list(range(1, sizes[-1] + 1))


def test_columns_without_their_input_are_left_out_and_named(bars):
    import dataclasses

    bare = feature_table(dataclasses.replace(bars, volume=None), "a50")
    assert len(bare.names) == 50 - 3 - 5
    assert "volatility and volume" in bare.notes[0]
    assert "kvo_signal" in bare.notes[0]


def test_unknown_tier():
    with pytest.raises(DataError, match="unknown tier 'a21'"):
        tier_rows("a21")


def test_weekly_values_wait_for_the_week_to_end():
    """Monday to Friday of a week show the close of the week before, also when Monday is a holiday."""
    dates = np.array(
        [
            "2024-01-04",
            "2024-01-05",
            "2024-01-08",
            "2024-01-12",
            "2024-01-16",
            "2024-01-19",
            "2024-01-22",
        ],
        "datetime64[D]",
    )
    close = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])  # 2024-01-15 was a holiday
    values = primitives.weekly(dates, close, lambda c: c)
    np.testing.assert_array_equal(values, [np.nan, np.nan, 2, 2, 4, 4, 6])


def test_hand_computed_stateful_primitives():
    np.testing.assert_allclose(primitives.ewm(np.array([np.nan, 4.0, 1.0]), 3), [np.nan, 4.0, 2.5])
    flat = np.array([1.0, 1.0, 2.0, 1.5])
    np.testing.assert_allclose(primitives.stochastic(flat, 2), [50, 50, 100, 0])
    high, low = np.array([3.0, 4.0, 6.0, 5.0]), np.array([1.0, 2.0, 3.0, 1.0])
    close, volume = np.array([2.0, 3.0, 5.0, 2.0]), np.array([1.0, 1.0, 1.0, 2.0])
    # dm = 2 2 3 4; s = - + + -; cm = 2, 2+2, 4+3, 3+4
    expected = [
        -100 * abs(2 * 2 / 2 - 1),
        100 * abs(4 / 4 - 1),
        100 * abs(6 / 7 - 1),
        -200 * abs(8 / 7 - 1),
    ]
    np.testing.assert_allclose(primitives.klinger_force(high, low, close, volume), expected)
    np.testing.assert_array_equal(
        primitives.run_start(np.array([True, True, False, True])), [0, 0, 2, 3]
    )


def test_constant_prices_stay_finite_or_missing():
    import dataclasses

    bars = load_bars("sp500").head(400)
    one = np.full(400, 100.0)
    flat = dataclasses.replace(bars, open=one, high=one, low=one, close=one, volume=one)
    values = feature_table(flat, "a50").values
    assert not np.isinf(values).any()


def _thirty(close):
    """Thirty daily bars around given closes, Monday 2024-01-01 on."""
    days = np.datetime64("2024-01-01") + np.arange(30) // 5 * 7 + np.arange(30) % 5
    close = np.asarray(close, float)
    return Bars("hand", days, close, close + 1, close - 1, close, np.ones(30), np.ones(30))


def test_kama_by_hand():
    """Straight closes have efficiency 1 and constant (2/3)^2; a zigzag has 0 and (2/31)^2."""
    straight = feature_table(_thirty(np.arange(1, 31)), ["kama_10"]).values[:, 0]
    assert np.isnan(straight[:10]).all()
    level = 10.0  # the average starts from the close before its first value
    for t in range(10, 30):
        level += 4 / 9 * ((t + 1) - level)
        assert straight[t] == pytest.approx(level, abs=1e-9)
    assert straight[10] == pytest.approx(10 + 4 / 9)
    zigzag = feature_table(_thirty(100 + np.arange(30) % 2), ["kama_10"]).values[:, 0]
    level = 101.0
    for t in range(10, 30):
        level += (2 / 31) ** 2 * (100 + t % 2 - level)
        assert zigzag[t] == pytest.approx(level, abs=1e-9)


def test_weekly_average_by_hand_on_thirty_days():
    """Weeks close on days 4, 9, 14, ...; a day shows the mean of the two weeks completed before its own."""
    close = np.arange(30.0)
    values = primitives.weekly(_thirty(close).dates, close, lambda c: primitives.mean(c, 2))
    for t in range(30):
        week = t // 5
        if week < 2:
            assert np.isnan(values[t])
        else:
            assert values[t] == ((5 * week - 1) + (5 * (week - 1) - 1)) / 2


def test_ta_lib_knows_a_pandas_that_is_imported_later():
    """Columns are computed without pandas, which takes longer; other code in the process may use both."""
    program = (
        "import sys, trueness.market.indicators\n"
        "assert 'talib' in sys.modules and 'pandas' not in sys.modules\n"
        "import numpy as np, pandas as pd, talib, talib.abstract\n"
        "x = np.arange(30.0)\n"
        "one = talib.SMA(pd.Series(x, index=x + 7), 5)\n"
        "assert isinstance(one, pd.Series) and one.index[-1] == 36 and one.iloc[-1] == 27\n"
        "table = talib.abstract.BBANDS(pd.DataFrame({'close': x}))\n"
        "assert isinstance(table, pd.DataFrame) and len(table) == 30\n"
        "assert isinstance(talib.SMA(x, 5), np.ndarray)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
