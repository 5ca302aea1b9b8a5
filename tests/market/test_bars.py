import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueness.errors import DataError
from trueness.evaluation import roc_auc
from trueness.market import load_bars, load_volatility, synthetic_bars
from trueness.market.bars import (
    bars_from_table,
)
from trueness.market.check import compare_sessions
from trueness.market.labels import UNDEFINED, labels_of
from trueness.market.synthetic import synthetic_probability
from trueness.spec.target import Touch

GOOD = pl.DataFrame({
    "Date": ["2020-01-02", "2020-01-03", "2020-01-06"],
    "Open": [10.0, 11.0, 12.0], "High": [11.0, 12.0, 13.0], "Low": [9.0, 10.0, 11.0],
    "Close": [10.5, 11.5, 12.5], "Adj Close": [5.25, 5.75, 12.5], "Volume": [100, 200, 300],
})  # fmt: skip


def test_bundled_sp500_equals_the_exchange_calendar(sp500):
    assert (len(sp500), str(sp500.dates[0]), str(sp500.dates[-1])) == (
        5031,
        "1999-01-04",
        "2018-12-31",
    )
    facts = compare_sessions(sp500, "XNYS")
    assert (facts["missing"], facts["closed_days"]) == (0, 0)
    assert sp500.notes == ()


def test_prices_are_kept_raw_with_their_factor():
    bars = bars_from_table(GOOD, "good")
    assert bars.close.tolist() == [10.5, 11.5, 12.5]
    assert bars.factor.tolist() == [0.5, 0.5, 1.0]
    assert bars.adjusted().high.tolist() == [5.5, 6.0, 13.0]


@pytest.mark.parametrize(
    "style", [str.upper, str.lower, lambda n: n.replace(" ", "_"), lambda n: f" {n} "]
)
def test_column_names_in_any_case(style):
    renamed = GOOD.rename({name: style(name) for name in GOOD.columns})
    assert bars_from_table(renamed, "x").digest == bars_from_table(GOOD, "y").digest


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_file_formats_give_the_same_digest(tmp_path, suffix):
    path = tmp_path / f"bars.{suffix}"
    getattr(GOOD, f"write_{suffix}")(path)
    assert load_bars(path).digest == bars_from_table(GOOD, "x").digest


def test_digest_sees_every_column():
    digests = {bars_from_table(GOOD, "x").digest}
    for name in ("Open", "High", "Low", "Close", "Volume"):
        nudged = GOOD.with_columns(
            pl.when(pl.col("Date") == "2020-01-03")
            .then(pl.col(name) * 1.001)
            .otherwise(pl.col(name))
            .alias(name)
        )
        digests.add(bars_from_table(nudged, "x").digest)
    digests.add(bars_from_table(GOOD.drop("Adj Close"), "x").digest)
    assert len(digests) == 7


def _with(column, values):
    return GOOD.with_columns(pl.Series(column, values))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (GOOD.drop("High", "Low"), "no column high, low; found Date, Open"),
        (_with("Date", ["2020-01-02", "2020-01-02", "2020-01-03"]), "2020-01-02 stands twice"),
        (
            _with("Date", ["2020-01-03", "2020-01-02", "2020-01-06"]),
            "2020-01-02 follows 2020-01-03",
        ),
        (_with("Date", ["2020-01-02", "yesterday", "2020-01-06"]), "row 2: date 'yesterday'"),
        (_with("Close", [10.5, None, 12.5]), "close on 2020-01-03 is None"),
        (_with("Close", ["10.5", "n/a", "12.5"]), "close on 2020-01-03 is 'n/a'"),
        (_with("High", [11.0, 11.2, 13.0]), "high 11.2 on 2020-01-03 is below open or close"),
        (_with("Low", [9.0, 11.2, 11.0]), "low 11.2 on 2020-01-03 is above open or close"),
        (_with("Low", [9.0, 0.0, 11.0]), "low on 2020-01-03 is not positive"),
        (_with("Adj Close", [5.25, -1.0, 12.5]), "adj close on 2020-01-03 is not positive"),
        (_with("Volume", [100, -5, 300]), "volume on 2020-01-03 is negative"),
        (GOOD.with_columns(pl.col("Open").alias("OPEN ")), "two columns open"),
        (GOOD.clear(), "no rows"),
    ],
)
def test_refuses_with_date_and_value(table, words):
    with pytest.raises(DataError, match=words):
        bars_from_table(table, "file.csv")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.csv", None, "no such file"),
        ("empty.csv", b"", "is empty"),
        ("noise.parquet", b"not a parquet file", "cannot be read"),
        ("noise.csv", bytes(range(256)), "zero byte|no UTF-8"),
    ],
)
def test_unreadable_files(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        load_bars(path)


def test_partial_last_bar_and_missing_volume_are_noted(sp500, without):
    from trueness.market.bars import _warnings

    volume = sp500.volume.copy()
    volume[-1] *= 0.1
    assert "may be partial" in _warnings(without(sp500, volume=volume))[0]
    assert "no volume" in _warnings(without(sp500, volume=None))[0]
    assert bars_from_table(_with("Volume", [0, 0, 0]), "index").volume is None


def test_a_bar_of_today_is_noted():
    today = np.datetime64("today")
    dates = [str(today - 2), str(today - 1), str(today)]
    assert "may not be over" in bars_from_table(_with("Date", dates), "x").notes[0]


def test_volatility_is_joined_by_date(tmp_path, sp500):
    path = tmp_path / "vix.csv"
    path.write_text("Date,Close\n1999-01-04,26.2\n1999-01-06,24.0\n")
    values = load_volatility(path).on(sp500.dates)
    assert values[0] == 26.2
    assert values[1] == 26.2  # of the day before
    assert values[2] == 24.0
    assert np.isnan(values[10])
    path.write_text("Date,Close\n1950-01-04,26.2\n")
    with pytest.raises(DataError, match="shares no date"):
        load_volatility(path).on(sp500.dates)


def test_unknown_calendar(sp500):
    with pytest.raises(DataError, match="unknown calendar 'XNYC'; did you mean XNYS"):
        compare_sessions(sp500, "XNYC")


@given(st.integers(0, 2**32 - 1), st.floats(0, 3))
def test_synthetic_bars_pass_every_check_and_repeat(seed, strength):
    bars = synthetic_bars(300, strength, seed)
    checked = bars_from_table(bars.frame(), "synthetic")
    assert checked.digest == synthetic_bars(300, strength, seed).digest


def test_planted_signal_has_its_known_strength():
    """The best attainable AUC, from the true probabilities, is what the labels show; strength 0 shows chance."""
    for strength in (0.0, 1.0, 2.0):
        bars = synthetic_bars(20_000, strength, seed=1)
        y = labels_of(Touch(kind="touch"), bars.high, bars.low, bars.close, 1)
        known = y != UNDEFINED
        z = (np.log(bars.volume[known]) - 18.0) / 0.5
        p = synthetic_probability(z, strength)
        draws = np.random.default_rng(0).random((40, len(p))) < p
        expected = [roc_auc(draw.astype(np.uint8), z) for draw in draws]
        assert abs(roc_auc(y[known], z) - np.mean(expected)) < 4 * np.std(expected)
        assert abs(y[known].mean() - p.mean()) < 0.02


def test_gross_errors_and_long_holes_are_noted(spy, without):
    from trueness.market.bars import _warnings

    assert _warnings(spy) == ()
    high = spy.high.copy()
    high[1000] *= 10
    (note,) = _warnings(without(spy, high=high))
    assert "1 bars move by more than 50%" in note
    assert str(spy.dates[1000]) in note
    keep = np.ones(len(spy), bool)
    keep[3000:3060] = False
    cut = {
        n: getattr(spy, n)[keep]
        for n in ("dates", "open", "high", "low", "close", "volume", "factor")
    }
    assert "1 holes of more than 10 days" in _warnings(without(spy, **cut))[0]


def test_file_names_are_names_not_patterns(tmp_path):
    GOOD.write_csv(tmp_path / "spy1.csv")
    GOOD.head(2).write_csv(tmp_path / "spy[1].csv")
    assert len(load_bars(tmp_path / "spy[1].csv")) == 2
    with pytest.raises(DataError, match="no such file"):
        load_bars(tmp_path / "s*.csv")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Auckland", "America/New_York", "UTC"])
def test_dates_with_a_time_zone_keep_their_local_day(tmp_path, zone):
    dates = GOOD["Date"].str.to_datetime("%Y-%m-%d").dt.replace_time_zone(zone)
    GOOD.with_columns(dates.alias("Date")).write_parquet(tmp_path / "tz.parquet")
    assert str(load_bars(tmp_path / "tz.parquet").dates[0]) == "2020-01-02"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (_with("Date", ["01/31/90", "02/01/90", "02/02/90"]), "is not of the form"),
        (_with("Date", ["2020-01-02x", "2020-01-03x", "2020-01-06x"]), "is not of the form"),
        (_with("Date", [f"2020-01-0{d} 02:30 PM" for d in (2, 3, 6)]), "is not of the form"),
        (_with("Date", [f"2020-01-0{d} 16:00:00 EST" for d in (2, 3, 6)]), "is not of the form"),
        (_with("Date", [f"2020-01-0{d} later" for d in (2, 3, 6)]), "is not of the form"),
        (
            _with("Date", ["2020-01-02 09:30Z", "2020-01-02 10:30Z", "2020-01-02 12:00"]),
            "time zone",
        ),
        (_with("Close", GOOD["Date"].str.to_date()), "close holds Date"),
        (_with("Close", [True, True, True]), "close holds Boolean"),
        (_with("Close", [[1.0], [2.0], [3.0]]), "close holds List"),
        (_with("Date", [[1], [2], [3]]), "date holds List"),
        (_with("Adj Close", [1e300, 1e300, 1e300]), "adj close lies outside"),
        (GOOD.with_columns(pl.col("Open", "High", "Low", "Close") * 1e298), "lies outside"),
    ],
)
def test_refuses_odd_types_and_sizes(table, words):
    with pytest.raises(DataError, match=words):
        bars_from_table(table, "file")


@pytest.mark.parametrize("zone", ["+05", " +05", "+0500", "+05:00"])
def test_every_spelling_of_an_offset_counts(zone):
    times = [f"2020-01-02T{hour}:30:00.5{zone}" for hour in ("09", "10", "11")]
    assert str(bars_from_table(_with("Date", times), "x").dates[0]) == "2020-01-02T04:30:00"


def test_prices_may_be_categories():
    words = GOOD.with_columns(pl.col("Close").cast(pl.String).cast(pl.Categorical))
    assert bars_from_table(words, "x").digest == bars_from_table(GOOD, "y").digest


def test_unused_columns_may_be_anything():
    extra = GOOD.with_columns(pl.lit(1).alias("x"), pl.lit(2).alias("X"))
    assert bars_from_table(extra, "x").digest == bars_from_table(GOOD, "y").digest


def test_no_line_of_a_volatility_index_is_lost(tmp_path):
    lines = '{"Date": "2020-01-02", "Close": 15}\n{"Date": "2020-01-03", "Clo\n'
    (tmp_path / "vix.jsonl").write_text(lines)
    with pytest.raises(DataError, match="broken JSON"):
        load_volatility(tmp_path / "vix.jsonl")
