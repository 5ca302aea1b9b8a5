"""Bars as vendors write them: read, noted, or refused with the cause; the right value is kept here."""

import dataclasses
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from tests.test_cli import call
from trueness.errors import DataError
from trueness.market import load_bars, load_volatility
from trueness.market.bars import Bars, Volatility, bars_from_table
from trueness.market.data import MarketData
from trueness.market.indicators import feature_table
from trueness.market.inputs import build_inputs
from trueness.market.labels import labels_of
from trueness.market.panel import load_panel
from trueness.shares import percent_of
from trueness.spec.target import CloseReturn, FirstTouch, Touch
from trueness.spec.task import MarketTask

HEAD = "Date,Open,High,Low,Close"
BAR = "10,11,9,10"


def written(tmp_path, lines, name="bars.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def of_days(tmp_path, *days):
    return written(tmp_path, [HEAD, *(f"{day},{BAR}" for day in days)])


def days_of(bars):
    return [str(day) for day in bars.dates]


def refused(code, path):
    with pytest.raises(DataError) as error:
        load_bars(path)
    assert error.value.code == code
    return str(error.value)


# ------------------------------------------------------------------------------------------- dates


@pytest.mark.parametrize(("step", "words"), [(7, "one bar per week, 52 a year"), (30, "month, 12")])
def test_the_spacing_is_told(tmp_path, step, words):
    days = [date(2020, 1, 6) + timedelta(step * i) for i in range(3)]
    assert words in load_bars(of_days(tmp_path, *days)).spacing.in_words()


def test_dates_that_may_be_read_in_two_ways_are_asked_back(tmp_path):
    monthly = [f"01/{month:02}/2020" for month in range(1, 13)]
    refused("date_order", of_days(tmp_path, *monthly))
    refused("date_order", of_days(tmp_path, "13/01/2020", "01/14/2020"))


@pytest.mark.parametrize(
    ("days", "words"),
    [(("12/01/2020", "13/01/2020"), "day first"), (("01/12/2020", "1/13/2020"), "month first")],
)
def test_dates_with_slashes_are_noted(tmp_path, days, words):
    bars = load_bars(of_days(tmp_path, *days))
    assert days_of(bars) == ["2020-01-12", "2020-01-13"]
    assert words in bars.notes[0]


@pytest.mark.parametrize("clock", ["23:00:00+00:00", "22:00:00Z", "23:00"])
@pytest.mark.parametrize("stored", [False, True])
def test_local_midnight_in_utc_is_the_next_day(tmp_path, clock, stored):
    sundays_to_thursdays = [date(2020, 1, 5) + timedelta(i + 2 * (i // 5)) for i in range(10)]
    path = of_days(tmp_path, *(f"{day} {clock}" for day in sundays_to_thursdays))
    if stored:
        frame = pl.read_csv(path, try_parse_dates=True)
        path = tmp_path / "bars.parquet"
        frame.write_parquet(path)
    bars = load_bars(path)
    assert np.is_busday(bars.dates).all()
    assert days_of(bars)[:2] == ["2020-01-06", "2020-01-07"]
    assert "midnight of the next day" in bars.notes[0]


@pytest.mark.parametrize("clock", ["21:00:00+00:00", "05:00:00+00:00", "00:00:00"])
def test_times_of_weekdays_keep_their_day(tmp_path, clock):
    weekdays = [date(2020, 1, 6) + timedelta(i + 2 * (i // 5)) for i in range(10)]
    bars = load_bars(of_days(tmp_path, *(f"{day} {clock}" for day in weekdays)))
    assert days_of(bars) == [str(day) for day in weekdays]


def test_bars_on_a_weekend_are_noted(tmp_path):
    days = [date(2020, 1, 6) + timedelta(i) for i in range(13) if i not in (5, 6, 12)]
    bars = load_bars(of_days(tmp_path, *days, "2020-01-19"))
    assert any("1 bars lie on a weekend" in note for note in bars.notes)


def test_the_newest_row_may_come_first(tmp_path):
    path = written(tmp_path, [HEAD, "2020-01-07,20,21,19,20", f"2020-01-06,{BAR}"])
    bars = load_bars(path)
    assert (days_of(bars), bars.close.tolist()) == (["2020-01-06", "2020-01-07"], [10, 20])
    assert "newest row comes first" in bars.notes[0]


# ------------------------------------------------------------------------------------------- files


def test_header_rows_of_yfinance(tmp_path):
    lines = ["Price,Close,High,Low,Open,Volume", "Ticker,SPY,SPY,SPY,SPY,SPY", "Date,,,,,",
             "2020-01-02,10,11,9,10,100", "2020-01-03,10,11,9,10,100"]  # fmt: skip
    assert len(load_panel(written(tmp_path, lines)).series[0]) == len(load_bars(
        tmp_path / "bars.csv")) == 2  # fmt: skip
    lines[1] = "Ticker,SPY,QQQ,SPY,SPY,SPY"
    refused("panel", written(tmp_path, lines))


def test_encodings_archives_separators_and_blank_lines(tmp_path):
    lines = [HEAD, f"2020-01-06,{BAR}", f"2020-01-07,{BAR}"]
    plain = load_bars(written(tmp_path, lines))
    assert load_bars(written(tmp_path, lines, "b.csv", "utf-16")).digest == plain.digest
    semicolons = load_bars(written(tmp_path, [line.replace(",", ";") for line in lines], "c.csv"))
    assert semicolons.digest == plain.digest
    assert "semicolons" in semicolons.notes[0]
    blank = load_bars(written(tmp_path, [*lines, ""], "d.csv"))
    assert blank.digest == plain.digest
    assert "1 skipped: blank line" in blank.notes[0]


def test_a_timestamp_beside_the_date(tmp_path):
    lines = ["timestamp,Date,Open,High,Low,Close", f"1578268800,2020-01-06,{BAR}",
             f"1578355200,2020-01-07,{BAR}"]  # fmt: skip
    bars = load_bars(written(tmp_path, lines))
    assert days_of(bars) == ["2020-01-06", "2020-01-07"]
    assert "not used: timestamp" in bars.notes[0]


def test_holiday_rows_are_named_and_can_be_left_out(tmp_path, capsys):
    lines = [f"{HEAD},Volume", f"2020-01-17,{BAR},100", "2020-01-20,10,10,10,10,0",
             f"2020-01-21,{BAR},100"]  # fmt: skip
    path = written(tmp_path, lines)
    bars = load_bars(path)
    assert any("1 bars have no volume and one price, first on 2020-01-20" in n for n in bars.notes)
    assert days_of(bars.traded()) == ["2020-01-17", "2020-01-21"]
    out = tmp_path / "traded.csv"
    code, said, _ = call(capsys, "data", "check", str(path), "--drop-idle", "--out", str(out))
    assert (code, "1 of 3 bars without a trade are left out" in " ".join(said.split())) == (0, True)
    assert load_bars(out).digest == bars.traded().digest
    assert not load_bars(out).idle.any()


# ------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(("closes", "pct"), [([100, 110], 10), ([12, 12.12], 1), ([50, 45], -10)])
@pytest.mark.parametrize("rounding", [1.0, 1 - 9e-8, 1 + 9e-8])
def test_an_exact_touch_counts(closes, pct, rounding):
    close = np.array(closes, float) * [1, rounding]
    for target in (Touch(kind="touch", threshold_pct=pct),
                   CloseReturn(kind="close_return", threshold_pct=pct)):  # fmt: skip
        assert labels_of(target, close, close, close, 1)[0] == 1


def test_every_touch_in_cents_counts():
    close = np.arange(1, 20_000) / 100
    for pct in (1, 2, 5, 10, 20):
        touched = np.round(close * (1 + pct / 100), 10)
        prices = np.stack([close, touched], 1)
        missed = [p for p in prices[:: 50] if labels_of(
            Touch(kind="touch", threshold_pct=pct), p, p, p, 1)[0] != 1]  # fmt: skip
        assert missed == []


def test_a_first_touch_that_is_exact_counts():
    close, high, low = np.array([100.0, 100]), np.array([100, 110.0]), np.array([100, 99.0])
    target = FirstTouch(kind="first_touch", up_pct=10, down_pct=10)
    assert labels_of(target, high, low, close, 1)[0] == 1


def test_alarm_budgets_are_exact():
    assert percent_of(750, 9.2) == 69
    for tenths in range(1, 1001):
        assert all(percent_of(n, tenths / 10) == n * tenths // 1000 for n in (10, 422, 750, 1000))


# ------------------------------------------------------------------------------- volatility indices


def _coin(n=400):
    days = np.arange("2015-01-01", np.datetime64("2015-01-01") + n, dtype="datetime64[D]")
    i = np.arange(n)
    one = np.ones(n)
    return Bars("coin", days, 100.0 + i % 7, 110.0 + i % 7, 90.0 + i % 7, 101.0 + i % 5,
                1000.0 + i % 11, one)  # fmt: skip


def test_a_weekday_index_under_a_seven_day_coin():
    coin = _coin()
    kept = np.is_busday(coin.dates)
    index = Volatility("vix", coin.dates[kept], 15.0 + np.arange(kept.sum()) % 9)
    inputs = build_inputs(
        MarketTask(kind="market", tier="a20+c", bars="x"), coin, MarketData.of(coin, index)
    )
    assert not np.isnan(inputs.values).any()
    assert any(f"lacks {(~kept).sum()} of the 400 bars" in note for note in inputs.notes)


def test_some_missing_index_days_lose_no_window():
    coin = _coin(600)
    stock = coin._part(np.is_busday(coin.dates))
    kept = np.random.default_rng(0).random(len(stock)) > 0.07
    kept[:5] = True
    index = Volatility("vix", stock.dates[kept], 15.0 + np.arange(kept.sum()) % 9)
    task = MarketTask(kind="market", tier="a20+c", bars="x")
    inputs = build_inputs(task, stock, MarketData.of(stock, index))
    assert not np.isnan(inputs.values).any()
    assert any(f"lacks {(~kept).sum()} of" in note for note in inputs.notes)


def test_an_index_may_be_newest_first(tmp_path):
    path = written(tmp_path, ["Date;Close", "2020-01-07;20", "2020-01-06;10"])
    assert load_volatility(path).close.tolist() == [10, 20]


# --------------------------------------------------------------------------------------- indicators


def test_suspended_days_have_neutral_values(sp500):
    bars = sp500.head(120)
    still = {n: getattr(bars, n).copy() for n in ("open", "high", "low", "close")}
    for values in still.values():
        values[60:83] = bars.close[59]
    volume = bars.volume.copy()
    volume[60:83] = 0
    suspended = dataclasses.replace(bars, **still, volume=volume)
    names = ["stoch_k_14", "williams_r_14", "mfi_14", "demarker_value"]
    table = feature_table(suspended, names)
    assert dict(zip(table.names, table.values[82], strict=True)) == {
        "stoch_k_14": 50, "williams_r_14": -50, "mfi_14": 50, "demarker_value": 0.5,
    }  # fmt: skip


def test_long_table_of_bars_from_mapping():
    table = pl.DataFrame({"Date": ["2020-01-06", "2020-01-07"], "Open": [1, 1], "High": [1, 1],
                          "Low": [1, 1], "Close": [1, 1], "Volume": ["0", "5"]})  # fmt: skip
    assert bars_from_table(table, "x").idle.tolist() == [True, False]
