"""Bars of Yahoo: through yfinance, sockets, TLS and cookies, from a server that answers like it."""

import json
import os
import socket
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from tests.market.yahoo import CRUMB, Series, Yahoo, served
from tests.test_cli import call
from trueness.errors import DataError
from trueness.market import load_bars, synthetic_bars
from trueness.market.fetching import day_of, fetch
from trueness.market.panel import load_panel

pytest.importorskip("yfinance")
FIRST, LAST = date(2021, 3, 1), date(2021, 6, 30)


def _days(first, n):
    every = (first + timedelta(i) for i in range(3 * n))
    return [day for day in every if day.weekday() < 5][:n]


def _series(seed, first=date(2021, 1, 4), n=180):
    """Synthetic bars as Yahoo keeps them, with a dividend that lowers the earlier adjusted closes."""
    bars, days = synthetic_bars(n, seed=seed), _days(first, n)
    paid = days[n // 2]
    factor = [0.97 if day < paid else 1.0 for day in days]
    columns = (bars.open, bars.high, bars.low, bars.close, bars.close * factor, bars.volume)
    rows = [(day, *map(float, row)) for day, *row in zip(days, *columns, strict=True)]
    return Series([(*row[:6], int(row[6])) for row in rows], {paid: 1.5}, {days[n // 3]: (4, 1)})


@pytest.fixture(scope="module")
def yahoo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("yahoo")
    yahoo = Yahoo({"SPY": _series(1), "QQQ": _series(2), "^GSPC": _series(3)})
    with served(yahoo, folder) as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yahoo.variables = variables
        yield yahoo


@pytest.fixture(autouse=True)
def _fresh(yahoo):
    """yfinance keeps answers about the past as long as the process lives."""
    from yfinance.data import YfData

    YfData.cache_get.cache_clear()
    yahoo.mood, yahoo.crumbs = "fine", True
    yahoo.asked.clear()


def _of(yahoo, ticker, first=FIRST, last=LAST):
    return [row for row in yahoo.series[ticker].rows if first <= row[0] <= last]


def _refused(capsys, tmp_path, *words):
    """A refusal is one line, and nothing is written."""
    before = sorted(tmp_path.iterdir())
    code, out, err = call(capsys, "data", "fetch", *words, "--out", tmp_path / "new.csv")
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1, err
    assert sorted(tmp_path.iterdir()) == before
    return err


# ------------------------------------------------------------------------------------ what is there


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_file_holds_the_bars_that_yahoo_gave(yahoo, capsys, tmp_path, ending):
    path = tmp_path / f"spy.{ending}"
    code, out, err = call(capsys, "data", "fetch", "spy", "--start", FIRST, "--end", LAST,
                          "--out", path, "--json")  # fmt: skip
    assert code == 0, err
    note, rows, bars = json.loads(out), _of(yahoo, "SPY"), load_bars(path)
    assert [str(day) for day in bars.dates] == [str(row[0]) for row in rows]
    for i, name in enumerate(("open", "high", "low", "close"), 1):
        np.testing.assert_allclose(getattr(bars, name), [row[i] for row in rows], rtol=1e-12)
    np.testing.assert_array_equal(bars.volume, [row[6] for row in rows])
    np.testing.assert_allclose(bars.adjusted().close, [row[5] for row in rows], rtol=1e-12)
    assert set(np.round(bars.factor, 9)) == {0.97, 1.0}
    table = pl.read_csv(path) if ending == "csv" else pl.read_parquet(path)
    assert set(table["Ticker"]) == {"SPY"}
    assert set(table["As Of"]) == {note["as_of"]}
    assert (note["rows"], note["last"], note["digest"]) == (
        len(rows),
        str(rows[-1][0]),
        bars.digest,
    )
    events = table.filter(pl.col("Dividends") > 0)
    assert events["Dividends"].to_list() == list(yahoo.series["SPY"].dividends.values())
    assert table.filter(pl.col("Stock Splits") > 0)["Stock Splits"].to_list() == [4.0]


def test_yahoo_is_asked_with_its_cookie_and_crumb(yahoo):
    fetch(["^GSPC"], FIRST, LAST)
    charts = [one for one in yahoo.asked if one[1].startswith("/v8/finance/chart/")]
    assert len(charts) >= 1
    for _, _, query, cookie in charts:
        assert query["crumb"] == CRUMB
        assert "A3=" in cookie


def test_without_a_crumb_bars_still_come(yahoo):
    yahoo.crumbs = False
    assert len(fetch(["QQQ"], FIRST, LAST).table) == len(_of(yahoo, "QQQ"))


def test_several_tickers_are_a_panel(yahoo, capsys, tmp_path):
    path = tmp_path / "panel.parquet"
    code, _, err = call(capsys, "data", "fetch", "SPY", "QQQ", "--start", FIRST, "--out", path)
    assert code == 0, err
    panel = load_panel(path)
    assert [one.name for one in panel] == ["QQQ", "SPY"]
    for bars in panel:
        rows = _of(yahoo, bars.name, last=date.max)
        np.testing.assert_allclose(bars.adjusted().close, [row[5] for row in rows], rtol=1e-12)


def test_a_program_says_nothing_else(yahoo, tmp_path):
    """Neither pandas nor yfinance is heard on a stream."""
    command = [sys.executable, "-m", "trueness", "data", "fetch", "SPY", "NOBODY", "--start",
               "2021-03-01", "--out", str(tmp_path / "a.csv")]  # fmt: skip
    for words, status in ((command, 2), ([one for one in command if one != "NOBODY"], 0)):
        ran = subprocess.run(
            words,
            env={**os.environ, **yahoo.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == status, ran.stderr
        assert len(ran.stderr.splitlines()) == (status == 2)
        assert (tmp_path / "a.csv").exists() == (status == 0)


# ----------------------------------------------------------------------------------- what is not


@pytest.mark.parametrize(
    ("mood", "code"),
    [("limited", "rate_limited"), ("html", "answer"), ("broken", "answer"), ("empty", "empty"),
     ("null", "empty"), ("cut", "network")],
)  # fmt: skip
def test_other_answers_are_refused_in_one_line(yahoo, capsys, tmp_path, mood, code):
    kept = tmp_path / "new.csv"
    kept.write_text("as before")
    yahoo.mood = mood
    _refused(capsys, tmp_path, "SPY", "--start", FIRST)
    assert kept.read_text() == "as before"
    with pytest.raises(DataError) as error:
        fetch(["SPY"], FIRST, LAST)
    assert error.value.code == code


def test_one_unknown_ticker_refuses_all(capsys, tmp_path):
    assert "NOBODY" in _refused(capsys, tmp_path, "SPY", "NOBODY", "--start", FIRST)
    with pytest.raises(DataError) as error:
        fetch(["SPY", "NOBODY"], FIRST)
    assert error.value.code == "unknown_ticker"


def test_a_period_before_the_first_bar_is_empty():
    with pytest.raises(DataError) as error:
        fetch(["SPY"], date(1990, 1, 1), date(1990, 2, 1))
    assert error.value.code == "empty"


def test_nobody_at_the_other_end_is_a_network_failure(capsys, tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        _refused(capsys, tmp_path, "SPY", "--start", FIRST)
        with pytest.raises(DataError) as error:
            fetch(["SPY"], FIRST, LAST)
    assert error.value.code == "network"


def test_days_without_a_price_are_left_out_and_told(yahoo):
    full = yahoo.series["SPY"].rows
    holiday = next(i for i, row in enumerate(full) if row[0] >= FIRST) + 3
    row = full[holiday]
    yahoo.series["HOLE"] = Series([*full[:holiday], (row[0], *[None] * 6), *full[holiday + 1 :]])
    actual = fetch(["HOLE"], FIRST, LAST)
    assert row[0] not in actual.table["Date"].to_list()
    assert len(actual.table) == len(_of(yahoo, "SPY")) - 1
    assert len(actual.notes) == 1
    assert str(row[0]) in actual.notes[0]


@pytest.mark.parametrize("column", [1, 4, 5])
def test_a_price_that_is_missing_beside_others_is_refused(yahoo, column):
    rows = [list(row) for row in yahoo.series["SPY"].rows]
    rows[60][column] = None
    yahoo.series["NAN"] = Series(rows)
    with pytest.raises(DataError) as error:
        fetch(["NAN"], FIRST, LAST)
    assert error.value.code == "data"
    assert str(rows[60][0]) in str(error.value)


@pytest.mark.parametrize(
    ("tickers", "code"),
    [([], "ticker"), (["A B"], "ticker"), ([""], "ticker"), (["../x"], "ticker"),
     (["SPY", "spy"], "ticker"), (["US0378331005"], "ticker"), (["A" * 30], "ticker")],
)  # fmt: skip
def test_what_is_no_ticker_is_never_asked_for(yahoo, tickers, code):
    with pytest.raises(DataError) as error:
        fetch(tickers, FIRST)
    assert error.value.code == code
    assert not yahoo.asked


@pytest.mark.parametrize(
    ("first", "last"),
    [(LAST, FIRST), (date(2999, 1, 1), None), (date(1700, 1, 1), None)],
)  # fmt: skip
def test_a_period_that_cannot_be_is_never_asked_for(yahoo, first, last):
    with pytest.raises(DataError) as error:
        fetch(["SPY"], first, last)
    assert error.value.code == "period"
    assert not yahoo.asked


@pytest.mark.parametrize("text", ["soon", "2021-13-01", "20210301", "2021-3-1", ""])
def test_a_day_is_written_as_a_day(capsys, tmp_path, text):
    with pytest.raises(DataError) as error:
        day_of(text, "--start")
    assert error.value.code == "period"
    _refused(capsys, tmp_path, "SPY", "--start", text)


def test_a_file_that_cannot_be_written_is_refused_before_anybody_is_asked(yahoo, capsys, tmp_path):
    for out in (tmp_path / "no" / "a.csv", tmp_path / "a.xlsx", tmp_path):
        code, _, err = call(capsys, "data", "fetch", "SPY", "--start", FIRST, "--out", out)
        assert code == 2
        assert len(err.splitlines()) == 1
    assert not yahoo.asked
    assert not list(tmp_path.iterdir())
