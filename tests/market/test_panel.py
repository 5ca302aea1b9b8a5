"""Panels: several series with one history each, judged together by their times."""

import dataclasses
import itertools
import json
import pickle

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.market.cases import TICKERS, examples_of, variants
from tests.test_cli import call
from trueness.api import run as run_api
from trueness.errors import CampaignError, DataError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import Residuals
from trueness.evaluation.joint_draws import auc_draws
from trueness.evaluation.metrics import measure
from trueness.evaluation.rearranged import Chance, alarm_values, rank_values
from trueness.evaluation.rearranged_labels import labels_of
from trueness.evaluation.resampling import SortedScores
from trueness.judge.comparison import measured_part
from trueness.market import MarketData, Panel, load_panel, synthetic_bars, windows
from trueness.market.bars import bars_from_table
from trueness.market.inputs import build_inputs
from trueness.spec.evaluation import Combinatorial, Holdout, PurgedKFold, WalkForward
from trueness.spec.task import MarketTask
from trueness.store import Store

RULES = (
    Holdout(protocol="holdout", val_start="2015-01-01", test_start="2017-06-01"),
    WalkForward(protocol="walk_forward", start="2015-01-01", embargo=3),
    WalkForward(protocol="walk_forward", start="2015-01-01", train_years=3),
)


@pytest.fixture(scope="module")
def frames(sp500):
    return variants(sp500)


@pytest.fixture(scope="module")
def panel(frames):
    return Panel.of([bars_from_table(frame, name) for name, frame in frames.items()])


@pytest.fixture(scope="module")
def folder(frames, tmp_path_factory):
    folder = tmp_path_factory.mktemp("panel")
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
    return folder


def _long(frames):
    return pl.concat([f.with_columns(pl.lit(n).alias("Ticker")) for n, f in frames.items()])


def _task(panel, **changes):
    return MarketTask(kind="market", bars=panel.digest, **{"context": 20, "tier": "a50", **changes})


# ----------------------------------------------------------------------------------------- reading


def test_files_folder_and_long_table_are_one_panel(frames, panel, folder, tmp_path):
    _long(frames).write_csv(tmp_path / "long.csv")
    _long(frames).write_parquet(tmp_path / "long.parquet")
    files = [folder / f"{name}.csv" for name in TICKERS]
    sources = [folder, str(folder), tmp_path / "long.csv", tmp_path / "long.parquet", _long(frames)]
    sources += [list(some) for some in itertools.permutations(files)]
    sources += [_long(frames).sample(fraction=1, shuffle=True, seed=2).sort("Date")]
    for source in sources:
        actual = load_panel(source)
        assert [bars.name for bars in actual] == list(TICKERS)
        assert actual.digest == panel.digest
        for bars, other in zip(actual, panel, strict=True):
            np.testing.assert_array_equal(bars.dates, other.dates)
            np.testing.assert_array_equal(bars.close, other.close)
    assert panel.notes
    assert panel.rows == sum(len(frame) for frame in frames.values())


def test_equal_series_and_lacking_volumes_are_told(frames):
    first = next(iter(frames.items()))
    same = Panel.of([bars_from_table(f, n) for n, f in (*frames.items(), ("ZZZ", first[1]))])
    assert any(f"{first[0]}, ZZZ hold the same bars" in note for note in same.notes)
    without = Panel.of([bars_from_table(f.drop("Volume") if n == first[0] else f, n)
                        for n, f in frames.items()])  # fmt: skip
    assert any(note.startswith(f"no volume of {first[0]}: ") for note in without.notes)
    assert not any("volume" in note for note in Panel.of(
        [bars_from_table(f, n) for n, f in frames.items()]).notes)  # fmt: skip


def test_blanks_around_a_ticker_are_no_other_series(frames):
    name, frame = next(iter(frames.items()))
    half = len(frame) // 2
    table = pl.concat([
        frame[:half].with_columns(pl.lit(f" {name}").alias("Ticker")),
        frame[half:].with_columns(pl.lit(name).alias("Ticker")),
    ])  # fmt: skip
    assert [one.name for one in load_panel(table)] == [name]


def test_the_digest_holds_names_and_values(frames, panel):
    renamed = Panel.of([dataclasses.replace(bars, name=f"x{bars.name}") for bars in panel])
    fewer = Panel.of(panel.series[:2])
    other = dataclasses.replace(panel.series[0], close=panel.series[0].close * 1.0001)
    changed = Panel.of([other, *panel.series[1:]])
    assert len({one.digest for one in (panel, renamed, fewer, changed)}) == 4
    assert Panel.of(panel.series[:1]).digest == panel.series[0].digest


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda f: [f["AAA"], f["AAA"]], "panel"),
        (lambda f: [f["AAA"], f["BBB"].filter(pl.col("Date").dt.weekday() == 5)], "panel"),
        (lambda f: [f["AAA"].head(900), f["BBB"].tail(900)], "overlap"),
    ],
    ids=["two of one name", "bars of other lengths", "no time in common"],
)
def test_series_that_do_not_fit_together(frames, make, code):
    some = make(frames)
    names = ["AAA", "AAA"] if some[0] is some[1] else ["AAA", "BBB"]
    with pytest.raises(DataError) as caught:
        Panel.of([bars_from_table(f, n) for f, n in zip(some, names, strict=True)])
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_tables_and_folders_that_are_no_panel(frames, tmp_path):
    holes = _long(frames).with_columns(
        pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise(pl.col("Ticker")).alias("Ticker")
    )
    (tmp_path / "empty").mkdir()
    lists = _long(frames).with_columns(pl.concat_list("Ticker").alias("Ticker"))
    for source in (holes, lists, tmp_path / "empty", []):
        with pytest.raises(DataError) as caught:
            load_panel(source)
        assert caught.value.code == "panel"


# ------------------------------------------------------------- the same as single series one by one


@pytest.mark.parametrize("rule", RULES, ids=["holdout", "walk_forward", "rolling"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_a_panel_holds_what_single_series_hold(panel, rule, horizon):
    task = _task(panel, horizon=horizon)
    together = examples_of(task, rule, panel)
    ids = together.columns()["id"]
    assert len(set(ids.tolist())) == len(ids) == len(together.y)
    for bars in panel:
        alone = examples_of(_task(Panel((bars,)), horizon=horizon), rule, bars)
        mine = together.group == bars.name
        np.testing.assert_array_equal(together.when[mine], alone.when)
        np.testing.assert_array_equal(together.y[mine], alone.y)
        np.testing.assert_array_equal(together.extra["y_mirror"][mine], alone.extra["y_mirror"])
        np.testing.assert_array_equal(together.extra["regime"][mine], alone.extra["regime"])
        np.testing.assert_array_equal(
            together.x[together.start[mine]], alone.x[alone.start]
        )  # windows, indicator by indicator
        assert together.features == alone.features
        np.testing.assert_array_equal(
            build_inputs(task, bars, MarketData.of(panel)).values,
            build_inputs(task, bars, MarketData.of(bars)).values,
        )
        if isinstance(rule, Holdout):  # parts by date are those of the single series
            np.testing.assert_array_equal(together.parts[:, mine], alone.parts)
        np.testing.assert_array_equal(
            together.parts[:, mine] == 4, alone.parts == 4
        )  # out of fold at the same times


def test_windows_never_reach_into_the_next_series(panel):
    examples = examples_of(_task(panel), RULES[0], panel)
    ends = np.cumsum(np.unique(examples.group, return_counts=True)[1])
    jump = np.flatnonzero(np.diff(examples.start) > 1)
    assert {int(e) - 1 for e in ends[:-1]} <= set(jump.tolist())
    for i in (0, *(ends[:-1]), len(examples.y) - 1):
        bars = next(b for b in panel if b.name == examples.group[i])
        t = int(np.searchsorted(bars.dates, examples.when[i]))
        p = bars.adjusted()
        assert examples.y[i] == (p.high[t + 1] >= p.close[t] * 1.01)


def test_the_order_of_files_changes_nothing(folder):
    files = [folder / f"{name}.csv" for name in TICKERS]
    first, other = (load_panel(some) for some in (files, files[::-1]))
    for rule in (
        *RULES,
        PurgedKFold(protocol="purged_kfold"),
        Combinatorial(protocol="combinatorial"),
    ):
        one, two = (examples_of(_task(p), rule, p) for p in (first, other))
        for name in ("series", "start", "y", "when", "group", "parts"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        assert one.notes == two.notes


def test_a_large_series_is_mapped_and_goes_to_workers_by_name(panel, monkeypatch, tmp_path):
    plain = examples_of(_task(panel), RULES[0], panel)
    monkeypatch.setattr(windows, "MAPPED_FROM", 1000)
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path))
    actual = [examples_of(_task(panel), RULES[0], panel) for _ in range(2)]
    for one in actual:
        np.testing.assert_array_equal(one.series, plain.series)
        content = pickle.dumps(one.series)
        assert len(content) < 500
        np.testing.assert_array_equal(pickle.loads(content), plain.series)
        whole = pickle.dumps(one)
        assert len(whole) < 0.5 * len(pickle.dumps(plain))
        np.testing.assert_array_equal(pickle.loads(whole).series, plain.series)
    assert len(list(tmp_path.glob("*.npy"))) == 1
    part = pickle.loads(pickle.dumps(actual[0].series[5:9]))  # what is cut from it goes over whole
    np.testing.assert_array_equal(part, plain.series[5:9])
    for cut in (actual[0].series[[3, 1]], actual[0].series.copy(), actual[0].series[:, 1]):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(cut)), cut)
    actual[0].series[0, 0] = 1e9  # pages are private
    np.testing.assert_array_equal(examples_of(_task(panel), RULES[0], panel).series, plain.series)
    monkeypatch.setenv("TRUENESS_CACHE", "/proc/nowhere")
    np.testing.assert_array_equal(examples_of(_task(panel), RULES[0], panel).series, plain.series)


@given(st.integers(0, 10**6), st.integers(2, 4))
@settings(max_examples=10)
def test_panels_of_any_calendars_hold_what_single_series_hold(seed, count):
    rng = np.random.default_rng(seed)
    series = []
    for i in range(count):
        bars = synthetic_bars(500, seed=seed + i)
        rows = np.flatnonzero(rng.random(500) < rng.choice([0.8, 0.97, 1.0]))
        names = ("dates", "open", "high", "low", "close", "volume", "factor")
        cut = {name: getattr(bars, name)[rows] for name in names}
        series.append(dataclasses.replace(bars, name=f"s{i}", **cut))
    panel = Panel.of(series)
    rule = Holdout(protocol="holdout", val_start="1991-03-01", test_start="1991-08-01")
    task = _task(panel, horizon=3, columns=("rsi_daily", "return_1d"))
    together = examples_of(task, rule, panel)
    for bars in panel:
        alone = examples_of(task, rule, bars)
        mine = together.group == bars.name
        np.testing.assert_array_equal(together.parts[:, mine], alone.parts)
        np.testing.assert_array_equal(together.y[mine], alone.y)
        np.testing.assert_array_equal(together.x[together.start[mine]], alone.x[alone.start])


# ------------------------------------------------------------------------- dependence between series


def _market(rng, n, series):
    """Labels and scores (n, series) that follow a state each, which remembers."""
    shocks, state = rng.standard_normal((n, series)), np.empty((n, series))
    state[0] = shocks[0]
    for t in range(1, n):
        state[t] = 0.9 * state[t - 1] + 0.19**0.5 * shocks[t]
    y = (rng.random((n, series)) < 1 / (1 + np.exp(1.6 - 0.8 * state))).astype(np.uint8)
    return y, state + 0.7 * rng.standard_normal((n, series))


def _scores(y, score, alarms):
    """Widths of the intervals of AUC and precision, and p-values of both, of a panel (n, series)."""
    n, series = y.shape
    blocks = Blocks.of(n * series, time=np.repeat(np.arange(n), series), length=20)
    actual = measure(
        y.ravel(),
        score.ravel(),
        alarms=(alarms,),
        alarm_rate_pct=5.0,
        confidence=0.95,
        blocks=blocks,
    )
    ranked, labels = SortedScores.of(y.ravel(), score.ravel()), labels_of(y.ravel(), blocks)
    values = (rank_values(ranked), alarm_values(ranked, alarms))
    widths = [e.high - e.low for e in (actual["auc"], actual[f"precision@{alarms}"])]
    return np.array([*widths, *(Chance.of(labels, [v]).p_value(0) for v in values)])


@pytest.mark.parametrize("copies", [2, 3])
def test_equal_series_say_as_much_as_one_of_them(copies):
    for seed in range(6):
        y, score = _market(np.random.default_rng(seed), 1500, 1)
        one = _scores(y, score, 30)
        many = _scores(np.repeat(y, copies, 1), np.repeat(score, copies, 1), 30 * copies)
        np.testing.assert_allclose(many[:2] / one[:2], 1.0, atol=0.1)
        assert (many[2:] >= 0.8 * one[2:] - 0.002).all()  # chances are not smaller


@pytest.mark.long
def test_independent_series_say_more():
    ratios = []
    for seed in range(12):
        y, score = _market(np.random.default_rng(seed), 1500, 3)
        alone = np.mean([_scores(y[:, [i]], score[:, [i]], 30)[:2] for i in range(3)], axis=0)
        ratios.append(_scores(y, score, 90)[:2] / alone)
    np.testing.assert_allclose(np.median(ratios, axis=0), 3**-0.5, rtol=0.15)


def test_noise_of_labels_that_move_together_is_not_more_than_there_is():
    """Residuals of equal series correlate by a little more than 1, by a correction for their mean."""
    y, score = _market(np.random.default_rng(0), 400, 1)
    blocks = Blocks.of(1200, time=np.repeat(np.arange(400), 3), length=5)
    ranked = SortedScores.of(np.repeat(y, 3), np.repeat(score, 3))
    residuals = Residuals.of(ranked, blocks)
    assert residuals.correlation[0] > 1
    noisy = residuals.noisy(ranked, 30, draws=50)
    assert np.isfinite(noisy.error)
    assert np.isfinite(noisy.labels).all()
    assert not noisy.own.any()


# --------------------------------------------------------------------------------------- end to end

CAMPAIGN = """\
campaign: tickers
title: Two tiny transformers on a panel
data: [CCC.csv, AAA.csv, BBB.csv]
defaults:
  task: {context: 20}
  evaluation: {protocol: holdout, val_start: 2015-01-01, test_start: 2017-06-01}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}
  recipe: {epochs: 2, batch_size: 64, learning_rate: 1e-3, precision: float32}
experiments:
  - {id: P-1..P-2, grid: {model.dropout: [0.0, 0.2]}}
"""


@pytest.fixture(scope="module")
def trained(folder):
    """Store of a campaign on the panel; its file names bars beside it."""
    (folder / "c.yaml").write_text(CAMPAIGN)
    run_api(folder / "c.yaml", store=folder / "store", workers=0, device="cpu", progress=False)
    return folder


@pytest.mark.long
def test_a_campaign_on_a_panel_is_judged_by_every_verb(trained, panel, capsys, tmp_path):
    store = ("--store", trained / "store")
    code, out, err = call(capsys, "leaderboard", *store, "--json")
    assert code == 0, err
    (group,) = json.loads(out)["groups"]
    assert group["models"][0]["estimates"]["auc"]["n"] == 1743
    for words in (
        ("show", "P-1"), ("compare", "P-1", "P-2"), ("thresholds", "P-1"), ("calibrate", "P-1"),
        ("certify", "P-1", "--precision", "0.2", "--yes"), ("leaderboard", "--by", "dropout"),
    ):  # fmt: skip
        code, out, err = call(capsys, *words, *store)
        assert code in (0, 1), (words, err)
        assert err == "" or "trueness:" not in err
        if words[0] in ("show", "compare"):
            assert all(name in out for name in ("group", *TICKERS)), words
    code, out, _ = call(capsys, "show", "P-1", *store, "--json")
    shown = json.loads(out)
    on_each = {one["name"]: one for one in shown["by_series"]["by"]["group"]}
    assert set(on_each) == {*TICKERS, "all series-days"}
    assert on_each["all series-days"]["auc"]["value"] == shown["estimates"]["auc"]["value"]
    assert shown["data"]["series"] == {bars.name: bars.digest for bars in panel}
    assert any(note.startswith("calendars differ") for note in shown["notes"])
    assert "TRU017" not in {one["code"] for one in shown["findings"]}


def test_each_series_by_itself_is_what_its_predictions_say(trained, capsys, tmp_path):
    """AUC of every run on every series against scikit-learn; a series alone is its own interval."""
    store = Store(trained / "store")
    code, out, err = call(capsys, "leaderboard", "--by", "data", "--store", store.root, "--json")
    assert code == 0, err
    content = json.loads(out)
    assert content["kind"] == "by_series"
    (group,) = content["groups"]
    assert [one["name"] for one in group["series"]] == sorted(TICKERS)
    leader, best = group["compared"]
    for one in group["series"]:
        aucs = {}
        for model in one["models"]:
            part = measured_part(store.run(model["key"]))
            some = part.only(part.group == one["name"])
            assert model["auc"]["value"] == pytest.approx(roc_auc_score(some.y, some.score))
            (alone,) = auc_draws(some.y, [some.score], blocks=some.blocks(20))
            assert model["auc"]["low"] == pytest.approx(alone.proportion(0.95).low, abs=0.01)
            cut = np.sort(part.score)[-31]
            raised = some.score > cut
            assert (model["alarms"]["n"], model["alarms"]["k"]) == (
                raised.sum(),
                some.y[raised].sum(),
            )
            aucs[model["key"]] = model["auc"]["value"]
        assert one["base_rate"]["n"] == len(some)
        pointwise, adjusted = one["lead"]["pointwise"], one["lead"]["simultaneous"]
        assert pointwise["value"] == pytest.approx(aucs[leader] - aucs[best])
        assert adjusted["low"] <= pointwise["low"] < pointwise["high"] <= adjusted["high"]


def test_by_data_needs_a_panel_and_nothing_else(trained, golden_market, capsys):
    store = ("--store", trained / "store")
    for words, error in (
        ((*store, "--each"), "by_data"), ((*store, "--reference", "x"), "by_data"),
        (("--store", golden_market.root), "no_series"),
    ):  # fmt: skip
        assert call(capsys, "leaderboard", "--by", "data", *words)[0] == 2, error


def test_a_panel_given_in_other_ways_is_the_same_runs(trained, frames, capsys, tmp_path):
    _long(frames).write_parquet(tmp_path / "long.parquet")
    text = CAMPAIGN.replace("data: [CCC.csv, AAA.csv, BBB.csv]\n", "")
    (tmp_path / "c.yaml").write_text(text)
    bars = tmp_path / "bars"
    bars.mkdir()
    for name in TICKERS:
        frames[name].write_csv(bars / f"{name}.csv")
    for source in (bars, tmp_path / "long.parquet"):
        code, out, err = call(
            capsys, "run", tmp_path / "c.yaml", "--data", source, "--store", trained / "store",
            "--workers", 0, "--json",
        )  # fmt: skip
        assert code == 0, err
        assert json.loads(out)["trained"] == []


def test_predictions_of_a_panel_are_judged_like_those_of_others(trained, capsys, tmp_path):
    """The same scores through `judge`, with their times and groups, have the same intervals."""
    from trueness.judge.finding import find_run
    from trueness.store import Store

    run, _ = find_run(Store(trained / "store"), "P-1")
    part = run.predictions().part("validation").frame
    score = 1 / (1 + np.exp(-part["score"].to_numpy().astype(float)))
    table = part.select("time", "group", "y").with_columns(pl.Series("p", score))
    table.write_parquet(tmp_path / "scores.parquet")
    code, out, err = call(
        capsys, "judge", tmp_path / "scores.parquet", "--y", "y", "--time", "time", "--group",
        "group", "--score", "p", "--horizon", 1, "--no-store", "--json",
    )  # fmt: skip
    assert code == 0, err
    actual = json.loads(out)["groups"][0]["models"][0]["estimates"]
    _, shown, _ = call(capsys, "show", "P-1", "--store", trained / "store", "--json")
    own = json.loads(shown)["estimates"]
    for name in ("auc", "precision@30", "base_rate"):
        for end in ("value", "low", "high"):
            assert actual[name][end] == pytest.approx(own[name][end], abs=1e-6)


def test_check_says_what_a_panel_holds(folder, tmp_path, capsys):
    code, out, err = call(capsys, "data", "check", folder, "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert (facts["series"], facts["series BBB"]["source"]) == (3, "BBB")
    assert facts["spacing"] == "one bar per day, 252 a year"


BAD = {
    "overlap": ("[early.csv, late.csv]", ""),
    "panel": ("[early.csv, weekly.csv]", ""),
    "panel.twice": ("[early.csv, again/early.csv]", ""),
    "panel.ticker": ("holes.csv", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_panels_are_refused_in_one_line(frames, tmp_path, capsys, name):
    frame = frames["AAA"]
    (tmp_path / "again").mkdir()
    frame.head(1000).write_csv(tmp_path / "early.csv")
    frame.head(999).write_csv(tmp_path / "again" / "early.csv")
    frame.tail(1000).write_csv(tmp_path / "late.csv")
    frame.filter(pl.col("Date").dt.weekday() == 3).write_csv(tmp_path / "weekly.csv")
    tickers = pl.Series("ticker", ["A"] * (len(frame) - 1) + [None])
    frame.with_columns(tickers).write_csv(tmp_path / "holes.csv")
    data, _ = BAD[name]
    (tmp_path / "c.yaml").write_text(CAMPAIGN.replace("[CCC.csv, AAA.csv, BBB.csv]", data))
    code, out, err = call(capsys, "run", tmp_path / "c.yaml", "--store", tmp_path / "store")
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert "c.yaml:3: data: " in err
    assert not (tmp_path / "store").exists()
    with pytest.raises(CampaignError) as caught:
        run_api(tmp_path / "c.yaml", store=tmp_path / "store", progress=False)
    assert caught.value.code == name.partition(".")[0]
    assert not (tmp_path / "store").exists()
