"""Features and labels that a researcher brings: read, computed, aligned, audited, refused."""

import json

import numpy as np
import polars as pl
import pytest

from tests.market.cases import TICKERS, examples_of, variants
from tests.test_cli import call
from trueness.api import run as run_api
from trueness.campaign import load_campaign
from trueness.errors import CampaignError, DataError, TruenessError
from trueness.market import Panel, synthetic_bars
from trueness.market.bars import bars_from_table
from trueness.market.own_features import load_own, recomputed
from trueness.spec.evaluation import Holdout
from trueness.spec.task import MarketTask

CODE = """\
import polars as pl


def build(bars):
    close = bars["Close"]
    return {"mom": close / close.shift(5) - 1, "range": bars["High"] / bars["Low"] - 1}


def ahead(bars):
    close = bars["Close"]
    return {"mom": close / close.shift(5) - 1, "next": close.shift(-2) / close}


def standardised(bars):
    close = bars["Close"]
    return {"z": (close - close.mean()) / close.std()}


def label(bars):
    up = (bars["Close"].shift(-3) > bars["Close"]).cast(pl.Int8)
    return {"mom": bars["Close"].pct_change(), "up3": up}


def raises(bars):
    table = bars
    return {"a": table["nothing"]}


def short(bars):
    return {"a": bars["Close"][1:]}


def ragged(bars):
    return {"a": bars["Close"], "b": bars["Close"][1:]}


def words(bars):
    return {"a": ["x"] * len(bars)}


def nothing(bars):
    return None


def taken(bars):
    return {"rsi_daily": bars["Close"]}


def dated(bars):
    return bars.select("Date", mom=pl.col("Close").pct_change())


def newest_first(bars):
    return dated(bars).reverse()


def other_dates(bars):
    return dated(bars).with_columns(pl.col("Date").dt.offset_by("1d"))


def infinite(bars):
    mom = bars["Close"].pct_change()
    rows = [row for row in (40, 90) if row < len(bars)]
    return {"mom": mom.scatter(rows, [float("inf")] * len(rows))}


def filled(bars):
    return {"a": (bars["Close"] / bars["Close"].shift(100) - 1).fill_null(strategy="backward")}


def outlier(bars):
    high = bars["High"].shift(-1) / bars["Close"]
    return {"a": high.scatter(10, 1e12)}


def of_the_whole(bars):
    return {"a": bars["Close"]} if len(bars) > 1000 else {"b": bars["Close"]}


number = 3
"""

HOLDOUT = Holdout(protocol="holdout", val_start="1993-03-01", test_start="1994-03-01")
BARS = synthetic_bars(1200)


@pytest.fixture
def code(tmp_path):
    (tmp_path / "mine.py").write_text(CODE)
    return tmp_path


@pytest.fixture(scope="module")
def panel(sp500):
    frames = variants(sp500)
    return Panel.of([bars_from_table(frame, name) for name, frame in frames.items()])


def _alone(bars=BARS):
    return Panel((bars,))


def _momentum(bars):
    close = pl.Series(bars.adjusted().close)
    return (close / close.shift(5) - 1).to_numpy()


def _table(bars=BARS, **columns):
    some = columns or {"mom": _momentum(bars)}
    return pl.DataFrame({"Date": bars.dates, **some})


def _task(**changes):
    return MarketTask(kind="market", bars=BARS.digest, **{"context": 20, **changes})


# ------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("form", ["csv", "parquet", "frame", "pandas", "function"])
def test_a_file_a_frame_and_a_function_give_the_same_columns(code, form):
    table = _table()
    if form == "csv":
        table.write_csv(code / "f.csv")
    elif form == "parquet":
        table.write_parquet(code / "f.parquet")
    source = {
        "csv": code / "f.csv", "parquet": str(code / "f.parquet"), "frame": table,
        "pandas": table.to_pandas(), "function": "mine.py:build",
    }[form]  # fmt: skip
    own = load_own(source, _alone(), code)
    assert own.names[0] == "mom"
    np.testing.assert_allclose(own.column(BARS.name, "mom"), _momentum(BARS), rtol=1e-12)
    assert not own.looks_ahead
    assert own.computed == (form == "function")
    assert len(own.digest) == 12


def test_each_series_of_a_panel_has_its_own_columns(panel, code):
    tables = [_table(bars).with_columns(pl.lit(bars.name).alias("Symbol")) for bars in panel]
    long = pl.concat(tables)
    shuffled = long.sample(fraction=1, shuffle=True, seed=3).sort("Date")
    for source in (long, shuffled, "mine.py:build"):
        own = load_own(source, panel, code)
        for bars in panel:
            np.testing.assert_allclose(own.column(bars.name, "mom"), _momentum(bars), rtol=1e-12)
    every = load_own(_table(panel.series[0]), panel)  # no ticker: the same for all
    first, other = panel.series[:2]
    places = np.searchsorted(first.dates, other.dates).clip(max=len(first) - 1)
    shared = first.dates[places] == other.dates
    np.testing.assert_array_equal(
        every.column(other.name, "mom")[shared], _momentum(first)[places[shared]]
    )
    assert np.isnan(every.column(other.name, "mom")[~shared]).all()
    assert any("have no features" in note for note in every.notes)


def test_a_function_of_a_frame_with_dates_is_the_same(code):
    own = load_own("mine.py:dated", _alone(), code)
    assert own.names == ("mom",)
    turned = load_own("mine.py:newest_first", _alone(), code)
    np.testing.assert_array_equal(turned.column(BARS.name, "mom"), own.column(BARS.name, "mom"))


def test_infinite_values_are_counted_as_missing(code):
    mom = _momentum(BARS)
    mom[[40, 90]] = np.inf, -np.inf
    for source in (_table(mom=mom), "mine.py:infinite"):
        own = load_own(source, _alone(), code)
        assert np.isnan(own.column(BARS.name, "mom")[[40, 90]]).all()
        (note,) = own.notes
        assert "2 infinite values" in note


def test_the_digest_is_of_values_or_of_the_source(code):
    one = load_own(_table(), _alone()).digest
    assert load_own(_table(), _alone()).digest == one
    changed = _momentum(BARS)
    changed[700] += 1e-6
    assert load_own(_table(mom=changed), _alone()).digest != one
    first = load_own("mine.py:build", _alone(), code).digest
    (code / "mine.py").write_text(CODE + "# more\n")
    assert load_own("mine.py:build", _alone(), code).digest != first


def test_gaps_are_filled_from_the_past_alone(code):
    mom = _momentum(BARS)
    mom[600:610] = np.nan  # filled
    mom[800:840] = np.nan  # older than 20 bars: windows are lost
    mom[900] = np.inf
    examples = examples_of(
        _task(tier="own"), HOLDOUT, BARS, own=load_own(_table(mom=mom), _alone())
    )
    assert examples.features == ("mom",)
    offset = len(BARS) - len(examples.series)
    assert offset == 5
    np.testing.assert_allclose(examples.series[600 - 5 : 610 - 5, 0], mom[599], rtol=1e-6)
    np.testing.assert_allclose(examples.series[900 - 5, 0], mom[899], rtol=1e-6)
    last = examples.start + 19 + offset
    assert not ({*range(820, 840 + 19)} & set(last.tolist()))
    assert {819, 859} <= set(last.tolist())
    assert any("mom" in note and "older than 20 bars" in note for note in examples.notes)


# ----------------------------------------------------------------------------------- choice of columns


def test_columns_mix_own_features_and_the_catalogue(code):
    own = load_own("mine.py:build", _alone(), code)
    plain = examples_of(_task(columns=("rsi_daily",)), HOLDOUT, BARS)
    mixed = examples_of(_task(columns=("range", "rsi_daily")), HOLDOUT, BARS, own=own)
    assert mixed.features == ("rsi_daily", "range")
    np.testing.assert_array_equal(mixed.series[:, :1], plain.series[-len(mixed.series) :])
    alone = examples_of(_task(tier="own"), HOLDOUT, BARS, own=own)
    assert alone.features == ("mom", "range")
    joined = examples_of(_task(tier="a20"), HOLDOUT, BARS, own=own)
    assert joined.features[-2:] == ("mom", "range")
    assert len(joined.features) == 22


def test_the_label_is_no_input(code):
    own = load_own("mine.py:label", _alone(), code)
    task = _task(tier="own", target={"column": "up3"}, horizon=3)
    examples = examples_of(task, HOLDOUT, BARS, own=own)
    assert examples.features == ("mom",)
    close = BARS.adjusted().close
    t = np.searchsorted(BARS.dates, examples.when)
    known = t < len(close) - 3
    np.testing.assert_array_equal(examples.y[known], close[t[known] + 3] > close[t[known]])
    assert "y_mirror" not in examples.extra


# --------------------------------------------------------------------------------------- look-ahead


def test_functions_that_look_ahead_are_found(code, panel):
    assert load_own("mine.py:ahead", _alone(), code).looks_ahead == {"next": 2}
    whole = load_own("mine.py:standardised", panel, code)
    assert whole.looks_ahead["z"] > 100
    assert not load_own("mine.py:build", panel, code).looks_ahead


def test_the_audit_of_own_features_exits_1_when_one_looks_ahead(code, capsys, monkeypatch):
    synthetic_bars(2600).frame().write_csv(code / "bars.csv")
    monkeypatch.chdir(code)
    options = ("--data", "bars.csv", "--json")
    status, out, err = call(capsys, "features", "audit", "--features", "mine.py:ahead", *options)
    assert status == 1, err
    assert json.loads(out)["found"]["look-ahead"] == ["next"]
    status, out, err = call(capsys, "features", "audit", "--features", "mine.py:build", *options)
    assert status == 0, err
    actual = json.loads(out)
    assert actual["found"]["look-ahead"] == []
    assert actual["found"]["first value later than declared"] == []
    assert [c["name"] for c in actual["features"]] == ["mom", "range"]
    _table(synthetic_bars(2600)).write_csv("f.csv")
    status, out, err = call(capsys, "features", "audit", "--features", "f.csv", *options)
    assert status == 0, err
    assert any("cannot be told" in note for note in json.loads(out)["notes"])
    status, out, err = call(
        capsys, "features", "audit", "--features", "mine.py:build", "--tier", "a20", *options
    )
    assert (status, out) == (2, "")


def test_a_function_is_computed_anew_on_fewer_bars(code):
    own = load_own("mine.py:ahead", _alone(), code)
    again = recomputed(own, BARS.head(700), code)
    assert np.isnan(again[-2:, 1]).all()
    assert not np.isnan(own.values[BARS.name][698:700, 1]).any()


# -------------------------------------------------------------------------------------- end to end

CAMPAIGN = """\
campaign: brought
title: What I brought
data: bars.csv
features: FEATURES
defaults:
  task: {context: 20, TASK}
  evaluation: {protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}
experiments:
  - {id: O-1, model.kind: logit}
"""


@pytest.fixture
def campaign(code):
    """Writes a campaign with some features and further fields of its task."""
    BARS.frame().write_csv(code / "bars.csv")

    def written(features="mine.py:build", task="tier: own"):
        text = CAMPAIGN.replace("FEATURES", features).replace("TASK", task)
        (code / "c.yaml").write_text(text)
        return code / "c.yaml"

    return written


@pytest.mark.long
def test_a_campaign_with_own_features_runs(campaign, code, capsys):
    store = ("--store", code / "store")
    for task, names in (
        ("tier: own", ["mom", "range"]),
        ("columns: [rsi_daily, mom]", ["rsi_daily", "mom"]),
    ):
        path = campaign(task=task)
        status, out, err = call(capsys, "run", path, *store, "--workers", 0, "--json")
        assert status == 0, err
        key = json.loads(out)["groups"][0]["models"][0]["key"]
        _, out, _ = call(capsys, "show", key, *store, "--json")
        shown = json.loads(out)
        assert shown["features"] == names
        assert shown["data"]["features"].endswith("mine.py:build")
        assert shown["spec"]["task"]["features"]


def test_frames_go_through_the_api(campaign, code):
    path, keys = campaign("f.parquet"), set()
    _table().write_parquet(code / "f.parquet")
    for sources in ({}, {"features": _table()}, {"features": code / "f.parquet"}):
        loaded = load_campaign(path, **sources)
        (one,) = loaded.experiments
        keys.add(one.spec.key)
    assert len(keys) == 1
    board = run_api(
        load_campaign(path, data=BARS.frame(), features=_table()), store=code / "store", workers=0,
        progress=False,
    )  # fmt: skip
    assert board.to_dict()["groups"][0]["models"]


def test_look_ahead_is_refused_unless_it_is_said_everywhere(campaign, code, capsys):
    store = ("--store", code / "store")
    path = campaign("mine.py:ahead")
    status, out, err = call(capsys, "run", path, *store)
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert "c.yaml" in err
    assert not (code / "store").exists()
    with pytest.raises(TruenessError) as caught:
        load_campaign(path)
    assert caught.value.code == "look_ahead"
    only = campaign("mine.py:ahead", "columns: [mom]")  # the column that looks ahead is not read
    assert load_campaign(only).experiments
    path = campaign("mine.py:ahead", "tier: own, allow_lookahead: true")
    status, out, err = call(capsys, "run", path, *store, "--workers", 0)
    assert status == 0, err
    assert "look ahead" in out
    for words in (("leaderboard",), ("show", "O-1"), ("thresholds", "O-1"), ("calibrate", "O-1")):
        _, out, _ = call(capsys, *words, *store)
        assert "own features may look ahead" in " ".join(out.split()), words
    (one,) = load_campaign(path).experiments
    assert "look ahead" in one.spec.question()


BAD = {
    "features.raises": "mine.py:raises",
    "features.short": "mine.py:short",
    "features.ragged": "mine.py:ragged",
    "features.words": "mine.py:words",
    "features.nothing": "mine.py:nothing",
    "features.taken": "mine.py:taken",
    "features.dates": "mine.py:other_dates",
    "features.names": "mine.py:of_the_whole",
    "own_name": "mine.py:number",
    "own_name.other": "mine.py:other",
    "own_missing": "missing.py:build",
    "features.early": "early.csv",
    "features.empty": "empty.csv",
    "features.undated": "undated.csv",
    "features.alone": "alone.csv",
    "features.text": "text.csv",
    "features.ticker": "ticker.csv",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_features_are_refused_in_one_line(campaign, code, capsys, name):
    table = _table()
    table.head(300).write_csv(code / "early.csv")
    table.head(0).write_csv(code / "empty.csv")
    table.drop("Date").write_csv(code / "undated.csv")
    table.select("Date").write_csv(code / "alone.csv")
    table.with_columns(pl.lit("x").alias("mom")).write_csv(code / "text.csv")
    table.with_columns(pl.lit("OTHER").alias("ticker")).write_csv(code / "ticker.csv")
    path = campaign(BAD[name])
    status, out, err = call(capsys, "run", path, "--store", code / "store")
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1, err
    assert "c.yaml:4: features: " in err
    if name == "features.raises":
        assert "mine.py, line 26" in err
    assert not (code / "store").exists()
    with pytest.raises(TruenessError) as caught:
        load_campaign(path)
    assert caught.value.code == name.partition(".")[0]


def test_tickers_of_a_feature_file_cover_the_panel(panel, tmp_path):
    tables = [_table(bars).with_columns(pl.lit(bars.name).alias("ticker")) for bars in panel]
    with pytest.raises(DataError) as caught:
        load_own(pl.concat(tables[:2]), panel)
    assert caught.value.code == "features"
    assert TICKERS[2] in str(caught.value)
    short = [tables[0], tables[1], tables[2].head(100)]
    with pytest.raises(DataError) as caught:
        load_own(pl.concat(short), panel)
    assert caught.value.code == "features"


TASKS = {
    "no_features": ("tier: own", None),
    "no_volatility": ("tier: a20+c", None),
    "frequent_event": ("target: {kind: touch, threshold_pct: 0.01}", None),
    "labels": ("target: {column: mom}, tier: own", "mine.py:build"),
    "labels.missing": ("target: {column: nothing}, tier: own", "mine.py:build"),
    "labels.none": ("target: {column: up}", None),
}


@pytest.mark.parametrize("name", TASKS)
def test_tasks_that_the_data_do_not_carry(campaign, code, capsys, name):
    task, features = TASKS[name]
    path = campaign(features or "x", task)
    if features is None:
        path.write_text(path.read_text().replace("features: x\n", ""))
    status, out, err = call(capsys, "run", path, "--store", code / "store")
    assert (status, out) == (2, "")
    assert len(err.strip().splitlines()) == 1, err
    assert not (code / "store").exists()
    with pytest.raises(TruenessError) as caught:
        run_api(path, store=code / "store", progress=False)
    assert caught.value.code == name.partition(".")[0]


def test_a_threshold_below_zero_says_what_it_means(campaign, code, capsys):
    path = campaign("mine.py:build", "target: {threshold_pct: -2}")
    (one,) = load_campaign(path).experiments
    assert one.spec.question() == "Low of next day reaches −2 %"


@pytest.mark.parametrize("name", ["filled", "outlier"])
def test_look_ahead_at_the_start_or_beside_an_outlier_is_found(code, name):
    assert load_own(f"mine.py:{name}", _alone(), code).looks_ahead["a"] > 0


def _declared(code, experiments, **top):
    head = {"campaign": "own", "data": "synthetic", "features": "mine.py:label"} | top
    lines = [f"{name}: {value}" for name, value in head.items()]
    (code / "own.yaml").write_text("\n".join([*lines, "experiments:", *experiments]) + "\n")
    return load_campaign(code / "own.yaml")


LABEL = "  - {id: L, task: {tier: own, horizon: 3, target: {column: up3}}, model: logit}"


def test_what_one_experiment_predicts_is_an_input_of_none(code):
    """It is part of the key: another campaign with the same spec trains on the same columns."""
    both = _declared(code, [LABEL, "  - {id: T, task: {tier: a20}, model: logit}"])
    inputs = {entry.id: entry.spec.task.own for entry in both.experiments}
    assert inputs == {"L": ("mom",), "T": ("mom",)}
    examples = examples_of(
        both.experiments[1].spec.task, HOLDOUT, both.data.panel, own=both.data.own
    )
    assert "up3" not in examples.features
    assert "mom" in examples.features


@pytest.mark.parametrize(
    ("experiment", "code_of_error"),
    [
        ("{id: A, task: {columns: [mom, up3], horizon: 3, target: {column: up3}}}", "label_input"),
        ("{id: A, task: {tier: own, horizon: 2, target: {column: up3}}}", "horizon"),
        ("{id: A, task: {own: [gone]}}", "no_features"),
        ("{id: A, task: {columns: [atr_pct, vix_close]}}", "no_volatility"),
    ],
)
def test_labels_among_inputs_short_horizons_and_missing_columns_are_refused(
    code, experiment, code_of_error
):
    with pytest.raises(CampaignError) as error:
        _declared(code, [f"  - {experiment}"])
    assert error.value.code == code_of_error


def test_own_features_stay_with_other_bars_and_a_dropped_index_is_told(code, tmp_path):
    BARS.frame().write_csv(tmp_path / "other.csv")
    _declared(code, [LABEL])
    campaign = load_campaign(code / "own.yaml", data=str(tmp_path / "other.csv"))
    assert campaign.data.own is not None


def test_values_beyond_single_precision_are_refused(code):
    with pytest.raises(DataError) as error:
        load_own(_table(a=np.full(len(BARS), 1e39)), _alone())
    assert error.value.code == "features"
