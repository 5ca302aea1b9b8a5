"""Bars of any regular length: what they are called, what is left out, what is known when."""

import dataclasses
import json
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market.cases import examples_of, respaced
from tests.test_cli import call
from trueness.errors import DataError
from trueness.market import load_bars, load_volatility
from trueness.market.bars import bars_from_table
from trueness.market.check import compare_sessions
from trueness.market.indicators import OF_DAYS
from trueness.market.spacing import DAILY, Spacing
from trueness.spec.evaluation import Holdout
from trueness.spec.task import MarketTask

HOUR, DAY = np.timedelta64(1, "h"), np.timedelta64(1, "D")


def weekdays(n):
    return np.datetime64("2015-01-05") + np.arange(n) // 5 * 7 + np.arange(n) % 5


def within_days(n, per_day, minutes):
    """So many bars of so many minutes on each weekday from 14:30 on, in UTC."""
    days = np.repeat(weekdays(-(-n // per_day)).astype("datetime64[s]"), per_day)
    opened = 14 * 60 + 30 + minutes * np.tile(np.arange(per_day), len(days) // per_day)
    return (days + (60 * opened).astype("timedelta64[s]"))[:n]


def months(n, day=1):
    return (np.datetime64("1890-01", "M") + np.arange(n)).astype("datetime64[D]") + day - 1


TIMES = {
    "day": weekdays(1500),
    "crypto": np.datetime64("2015-01-01") + np.arange(1500),
    "week": np.datetime64("1990-01-05") + 7 * np.arange(1500),
    "hour": within_days(1505, 7, 60),
    "30 min bar": within_days(1508, 13, 30),
    "month": months(1500),
    "quarter": months(1800)[::3],
}
YEARS = {
    "day": 252, "crypto": 365.25, "week": 365.25 / 7, "hour": 7 * 261, "30 min bar": 13 * 261,
    "month": 12, "quarter": 4,
}  # fmt: skip


# ----------------------------------------------------------------------------------- what a bar is


@pytest.mark.parametrize("name", TIMES)
def test_spacing_is_detected(name):
    actual = Spacing.of(TIMES[name], name)
    assert actual.bar == ("day" if name == "crypto" else name)
    assert actual.per_year == pytest.approx(YEARS[name], rel=0.01)
    assert actual.daily == (actual.bar == "day")
    assert actual.bar.removesuffix(" bar") in actual.in_words()


@given(st.sampled_from([n for n in TIMES if n != "crypto"]), st.integers(0, 10**6))
def test_missing_bars_change_no_name(name, seed):
    times = TIMES[name]
    kept = np.random.default_rng(seed).random(len(times)) < 0.9
    assert Spacing.of(times[kept], name).bar == name


@given(st.integers(0, 10**6), st.integers(50, 400))
def test_irregular_bars_are_refused(seed, n):
    steps = np.random.default_rng(seed).choice([1, 2, 3, 11, 17, 40], n)
    steps[:24] = np.repeat([1, 2, 3, 11, 17, 40], 4)
    times = np.datetime64("2015-01-01T00:00:00") + np.cumsum(steps) * np.timedelta64(37, "m")
    counts = np.unique(steps, return_counts=True)[1]
    if counts.max() >= 0.4 * (n - 1):
        return
    with pytest.raises(DataError) as caught:
        Spacing.of(times, "x")
    assert caught.value.code == "irregular"


def test_few_bars_are_taken_as_daily():
    assert Spacing.of(weekdays(2), "x") == DAILY


# --------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("name", ["hour", "30 min bar"])
def test_times_of_day_survive_every_file(tmp_path, name):
    bars = respaced(TIMES[name])
    frame = bars.frame()
    text = frame["Date"].dt.strftime("%Y-%m-%d %H:%M:%S")
    frame.write_csv(tmp_path / "plain.csv")
    frame.with_columns(Date=text).write_csv(tmp_path / "text.csv")
    frame.with_columns(Date=text.str.slice(0, 16)).write_csv(tmp_path / "minutes.csv")
    frame.with_columns(Date=text.str.replace(" ", "T") + "Z").write_csv(tmp_path / "zulu.csv")
    frame.write_parquet(tmp_path / "plain.parquet")
    in_new_york = frame["Date"].dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    frame.with_columns(in_new_york).write_parquet(tmp_path / "zone.parquet")
    zoned = in_new_york.dt.strftime("%Y-%m-%d %H:%M:%S%:z")
    assert "-05:00" in zoned[0]
    frame.with_columns(Date=zoned).write_csv(tmp_path / "zone.csv")
    actual = [load_bars(path) for path in sorted(tmp_path.iterdir())]
    assert len(actual) == 7
    for one in actual:
        np.testing.assert_array_equal(one.dates, bars.dates)
        assert one.digest == actual[0].digest


def test_a_frame_of_bars_gives_the_same_bars():
    for times in TIMES.values():
        bars = respaced(times)
        np.testing.assert_array_equal(bars_from_table(bars.frame(), "x").dates, bars.dates)


# ---------------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize("name", [n for n in TIMES if n not in ("day", "crypto")])
def test_columns_of_weekdays_are_left_out_and_named(name):
    bars = respaced(TIMES[name])
    task = MarketTask(kind="market", bars=bars.digest, tier="a50", context=20)
    examples = examples_of(task, _holdout_of(bars), bars)
    assert not [f for f in examples.features if "weekly" in f or f in OF_DAYS]
    (note,) = [n for n in examples.notes if "daily bars" in n]
    assert "rsi_weekly" in note
    daily = respaced(TIMES["crypto"])
    whole = examples_of(task, _holdout_of(daily), daily)
    assert {*whole.features} - {*examples.features} <= set(re.findall(r"\w+", note))


def _holdout_of(bars):
    boundaries = [bars.dates[int(len(bars) * at)].astype("datetime64[D]") for at in (0.6, 0.8)]
    return Holdout(protocol="holdout", val_start=str(boundaries[0]), test_start=str(boundaries[1]))


@pytest.mark.parametrize("name", TIMES)
def test_horizon_and_context_count_bars(name):
    bars = respaced(TIMES[name])
    task = MarketTask(kind="market", bars=bars.digest, context=15, horizon=4)
    examples = examples_of(task, _holdout_of(bars), bars)
    p = bars.adjusted()
    for i in range(0, len(examples.y), 97):
        t = int(np.searchsorted(bars.dates, examples.when[i]))
        assert examples.y[i] == (p.high[t + 1 : t + 5].max() >= p.close[t] * 1.01)
    assert len(examples.y) == len(examples.series) - 14 - 4  # no window bridges a hole


def test_holes_are_measured_in_usual_steps():
    """Nights and weekends are no holes within a day; a missing fortnight is one."""
    times = TIMES["hour"]
    holed = np.delete(times, np.s_[700:770])
    bars = respaced(holed)
    task = MarketTask(kind="market", bars=bars.digest, context=15)
    examples = examples_of(task, _holdout_of(bars), bars)
    assert any("windows refused" in note for note in examples.notes)
    weekly = np.delete(TIMES["week"], np.s_[700:710])
    bars = respaced(weekly)
    assert any("windows refused" in n for n in examples_of(task, _holdout_of(bars), bars).notes)
    near = respaced(np.delete(TIMES["week"], np.s_[700:703]))
    assert not any("refused" in n for n in examples_of(task, _holdout_of(near), near).notes)


# ------------------------------------------------------------------------------ the volatility index


@pytest.fixture
def index(tmp_path):
    """Volatility index on weekdays whose value is the number of the day."""
    days = weekdays(1300)
    pl.DataFrame({"Date": days, "Close": np.arange(1.0, 1301.0)}).write_csv(tmp_path / "vix.csv")
    return load_volatility(tmp_path / "vix.csv")


def test_a_weekday_index_is_carried_over_the_weekend(index):
    days = index.dates[0] + np.arange(1000)
    actual = index.on(days)
    for day, value in zip(days, actual, strict=True):
        known = index.dates[index.dates <= day][-1]
        assert value == np.flatnonzero(index.dates == known)[0] + 1
    lost = np.arange(10, 15)  # five weekdays
    gap = dataclasses.replace(
        index, dates=np.delete(index.dates, lost), close=np.delete(index.close, lost)
    )
    ages = (index.dates[lost] - index.dates[9]).astype(int)
    actual = gap.on(index.dates[lost])
    assert np.isnan(actual).tolist() == (ages > 4).tolist()
    assert (actual[ages <= 4] == 10).all()


def test_within_a_day_only_the_day_before_is_known(index):
    times = within_days(1400, 7, 60)
    actual = index.on(times)
    assert np.isnan(actual[:7]).all()
    for t in range(7, len(times)):
        known = index.dates[index.dates < times[t].astype("datetime64[D]")][-1]
        assert actual[t] == np.flatnonzero(index.dates == known)[0] + 1
    # what the index says later changes nothing
    later = dataclasses.replace(
        index, close=np.where(index.dates >= times[700].astype("datetime64[D]"), 99.0, index.close)
    )
    np.testing.assert_array_equal(later.on(times)[:701], actual[:701])


def test_an_index_has_one_value_a_day(tmp_path):
    times = within_days(100, 7, 60)
    table = pl.DataFrame({"Date": times.astype("datetime64[ms]"), "Close": np.arange(1.0, 101)})
    table.write_csv(tmp_path / "vix.csv")
    with pytest.raises(DataError) as caught:
        load_volatility(tmp_path / "vix.csv")
    assert caught.value.code == "volatility"


# ---------------------------------------------------------------------------------------- end to end

CAMPAIGN = """\
campaign: spaced
title: Two models
data: bars.csv
defaults:
  task: {context: 10, horizon: 2}
  evaluation: {protocol: holdout, val_start: START, test_start: STOP}
experiments:
  - {id: S-1, model: {kind: logit, C: 0.1}}
  - {id: S-2, model: {kind: logit, C: 1.0}}
"""
VERBS = (
    ("leaderboard",), ("show", "S-1"), ("compare", "S-1", "S-2"), ("thresholds", "S-1"),
    ("calibrate", "S-1"), ("certify", "S-1", "--precision", "0.2", "--yes"),
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", ["week", "hour", "30 min bar", "month"])
def test_nobody_calls_them_days(tmp_path, capsys, name):
    bars = respaced(TIMES[name])
    bars.frame().write_csv(tmp_path / "bars.csv")
    rule = _holdout_of(bars)
    text = CAMPAIGN.replace("START", str(rule.val_start)).replace("STOP", str(rule.test_start))
    (tmp_path / "c.yaml").write_text(text)
    store = ("--store", tmp_path / "store")
    code, out, err = call(capsys, "run", tmp_path / "c.yaml", "--workers", 0, *store)
    assert code == 0, err
    assert f"the next 2 {name}s" in out
    said = {"run": out + err}
    for words in VERBS:
        code, out, err = call(capsys, *words, *store, "--markdown", tmp_path / "page.md")
        assert code in (0, 1), err
        said[words[0]] = out + (tmp_path / "page.md").read_text()
    code, out, err = call(
        capsys, "run", tmp_path / "c.yaml", "--dry-run", "--set", "seed=9", *store
    )
    said["dry run"] = out + err
    for verb, text in said.items():
        wrong = re.findall(r".{0,60}\bdays?\b.{0,40}", text)
        wrong = [line for line in wrong if "need daily bars" not in line]
        assert not wrong, (verb, wrong[:3])
    code, out, _ = call(capsys, "show", "S-1", *store, "--json")
    assert "TRU017" not in {one["code"] for one in json.loads(out)["findings"]}
    code, out, err = call(capsys, "data", "check", tmp_path / "bars.csv", "--json")
    assert code == 0, err
    assert name.removesuffix(" bar") in json.loads(out)["spacing"]


def test_irregular_bars_are_refused_in_one_line(tmp_path, capsys):
    steps = np.random.default_rng(0).choice([1, 2, 4, 11, 17, 40], 1000)
    respaced(np.datetime64("1950-01-02") + np.cumsum(steps)).frame().write_csv(
        tmp_path / "bars.csv"
    )
    (tmp_path / "c.yaml").write_text(
        CAMPAIGN.replace("START", "1990-01-01").replace("STOP", "2000-01-01")
    )
    for words in (("run", tmp_path / "c.yaml", "--store", tmp_path / "store"),
                  ("data", "check", tmp_path / "bars.csv")):  # fmt: skip
        code, out, err = call(capsys, *words)
        assert (code, out) == (2, "")
        assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "store").exists()


def test_a_calendar_is_about_days(tmp_path, capsys):
    hours = respaced(TIMES["hour"])
    actual = compare_sessions(hours, "XNYS")
    assert actual["sessions"] > 200
    assert actual["missing"] == 0
    with pytest.raises(DataError) as caught:
        compare_sessions(respaced(TIMES["week"]), "XNYS")
    assert caught.value.code == "calendar"
