"""Importance of inputs: planted columns, every kind of model, runs and bundles, refusals."""

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.special import expit

import trueness
from tests.test_cli import call
from trueness.api import judge
from trueness.api import run as run_api
from trueness.attribution.asking import importance
from trueness.attribution.groups import alike, chosen_groups, family_of, groups_of
from trueness.attribution.importance import Asked, Units, donors_of, partial_dependence
from trueness.attribution.models import FoldModel
from trueness.attribution.runs import models_of_run
from trueness.baselines.inputs import RULES, columns_of
from trueness.bundle.finalizing import data_of_run, finalize_named
from trueness.errors import TruenessError
from trueness.examples import Examples
from trueness.fit import choose_device
from trueness.judge.comparison import measured_part
from trueness.judge.finding import find_run
from trueness.market import synthetic_bars
from trueness.market.indicators import CATALOGUE, FAMILIES
from trueness.store import Store

ROWS, CUT = 900, 1300
TABLE = """\
campaign: planted
data: rows.csv
defaults:
  task: {kind: table, label: y, categories: [word]}
  evaluation: {protocol: kfold, n_folds: 3, alarms: [60]}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 1, stride: 1, revin: false}
  recipe: {epochs: 3, batch_size: 64, learning_rate: 3e-3, precision: float32}
experiments:
  - {id: logit, model: {kind: logit}}
  - {id: net}
"""
MARKET = """\
campaign: bars
data: bars.csv
defaults:
  task: {context: 20, horizon: 2}
  evaluation: {protocol: walk_forward}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}
  recipe: {epochs: 2, batch_size: 64, learning_rate: 1e-3, precision: float32}
experiments:
  - {id: net}
  - {id: last, model: {kind: forest, n_estimators: 10, inputs: last}}
  - {id: summary, model: {kind: logit, inputs: summary}}
  - {id: window, model: {kind: forest, n_estimators: 10, inputs: window}}
  - {id: lightgbm, model: {kind: lightgbm, max_trees: 15, inputs: summary}}
  - {id: xgboost, model: {kind: xgboost, max_trees: 15}}
  - {id: catboost, model: {kind: catboost, max_trees: 15}}
  - {id: bayes, model: {kind: estimator, of: sklearn.naive_bayes.GaussianNB}}
  - {id: both, ensemble: {of: net, seeds: 2}}
  - {id: cpcv, model: {kind: logit}, evaluation: {protocol: combinatorial, n_groups: 4}}
"""
TREES = ("lightgbm", "xgboost", "catboost")
KINDS = ("net", "last", "summary", "window", *TREES, "bayes", "both", "cpcv", "a20/one_feature")


def rows(n=ROWS, seed=0):
    """Label that follows one column, and a second one that stands there twice; the rest is noise."""
    rng = np.random.default_rng(seed)
    tell, double = rng.standard_normal((2, n))
    y = (rng.random(n) < expit(2.5 * tell + 1.2 * double - 1)).astype(int)
    noise = rng.standard_normal((3, n))
    return pl.DataFrame({
        "noise_1": noise[0], "tell": tell, "double": double, "copy": double * 3 + 1,
        "noise_2": noise[1], "word": rng.choice(["a", "b", "c"], n), "noise_3": noise[2], "y": y,
    })  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Folder of a campaign on a table, and its store."""
    folder = tmp_path_factory.mktemp("planted")
    rows().write_csv(folder / "rows.csv")
    (folder / "planted.yaml").write_text(TABLE)
    run_api(
        folder / "planted.yaml", store=folder / "store", workers=0, device="cpu", progress=False
    )
    return folder


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """Folder of a campaign on bars, its store, and longer bars."""
    folder, every = tmp_path_factory.mktemp("bars"), synthetic_bars(1700)
    every.head(CUT).frame().write_csv(folder / "bars.csv")
    every.frame().write_csv(folder / "longer.csv")
    (folder / "bars.yaml").write_text(MARKET)
    run_api(folder / "bars.yaml", store=folder / "store", workers=0, device="cpu", progress=False)
    return folder


def asked(folder, name, *, data=None, **how):
    sources = {"data": None if data is None else str(data)}
    return importance(Store(folder / "store"), name, sources, Asked(**how), device="cpu")


def opened(folder, name, data=None):
    """Models of a run, and its measured units."""
    store = Store(folder / "store")
    run, _ = find_run(store, name)
    part, data = measured_part(run), data_of_run(run, name, {"data": data})
    models, notes = models_of_run(store, run, name, data, part, choose_device("cpu"), print)
    return models, part, notes


def refused(code, call, *arguments, **how):
    with pytest.raises(TruenessError) as error:
        call(*arguments, **how)
    assert error.value.code == code, error.value
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------- the answer


@pytest.mark.parametrize("name", ["logit", "net"])
def test_a_planted_column_stands_out_and_noise_does_not(planted, name):
    actual = asked(planted, name)
    by_name = {one.name: one for one in actual.groups}
    assert actual.by == "column"
    assert actual.groups[0].name == "tell"
    assert {"precision", "auc", "average_precision"} == set(actual.measures)
    assert all(by_name["tell"].matters(measure) for measure in actual.measures)
    for noise in ("noise_1", "noise_2", "noise_3", "word"):
        assert not any(by_name[noise].matters(measure) for measure in actual.measures)
        drop = by_name[noise].drops["auc"].simultaneous
        assert drop.low <= 0 <= drop.high
    assert actual.block == 1


def test_what_is_made_of_a_column_stays_together(planted):
    actual = asked(planted, "logit", repeats=1)
    columns = {one.name: one.columns for one in actual.groups}
    assert set(columns) == {"noise_1", "noise_2", "noise_3", "tell", "double", "copy", "word"}
    assert len(columns["word"]) == 3


def test_copies_are_told_of(planted):
    """A column that stands there twice loses less than it holds, and a note says why."""
    actual = asked(planted, "logit")
    models, part, _ = opened(planted, "logit")
    groups = groups_of(models.features, "column", ["double", "copy"])
    both = [one for one in groups if one.name in ("double", "copy")]
    each = {one.name: one.drops["auc"].pointwise.value for one in actual.groups}
    donor = np.random.default_rng(0).permutation(10**6)

    def without(one):
        mask = both[0].mask(one.features) | both[1].mask(one.features)
        order = np.argsort(donor[: len(one.rows)])
        return one.permuted(mask, order)

    together = actual.measures["auc"].value - trueness.evaluation.roc_auc(
        part.y, models.scores(without)
    )
    assert together > 1.5 * max(each["double"], each["copy"])
    assert any("double and copy" in note for note in actual.notes)
    assert not any("noise_1" in note for note in actual.notes)


def test_answers_do_not_depend_on_what_else_is_asked(planted):
    whole, again = asked(planted, "logit", seed=3), asked(planted, "logit", seed=3)
    assert whole.to_dict() == again.to_dict()
    other, alone = (
        asked(planted, "logit", seed=4),
        asked(planted, "logit", seed=3, groups=("tell",)),
    )
    tell = [next(g for g in one.groups if g.name == "tell") for one in (whole, other, alone)]
    drops = [one.drops["auc"].pointwise.value for one in tell]
    assert drops[0] == drops[2] != drops[1]
    widths = [one.drops["auc"].simultaneous for one in (tell[0], tell[2])]
    assert widths[0].high - widths[0].low > widths[1].high - widths[1].low


# -------------------------------------------------------------------------------- models of folds


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_models_give_the_stored_scores(bars, name):
    models, part, _ = opened(bars, name)
    np.testing.assert_allclose(models.scores(FoldModel.logits), part.score, atol=1e-5, rtol=1e-5)
    places = np.concatenate([rows for rows in models.units_of_folds().values()])
    assert set(places.tolist()) == set(range(len(part)))


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_a_unit_with_all_inputs_of_another_has_its_score(bars, name):
    models, _, _ = opened(bars, name)
    rng = np.random.default_rng(0)
    for one in models.fold_models():
        donor = rng.permutation(len(one.rows))
        every, none = np.ones(len(one.features), bool), np.zeros(len(one.features), bool)
        np.testing.assert_allclose(one.permuted(every, donor), one.logits()[donor], atol=1e-5)
        np.testing.assert_array_equal(one.permuted(none, donor), one.logits())


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_column_is_made_of_the_input_that_its_place_says(rule):
    rng, c = np.random.default_rng(0), 3
    series = rng.standard_normal((12, c)).astype(np.float32)
    examples = Examples(series, np.arange(8), 5, np.zeros(8, np.uint8), np.arange(8).astype(
        "datetime64[D]"), None, np.ones((1, 8), np.int8), ("a", "b", "c"))  # fmt: skip
    before, names = columns_of(examples, rule, examples.start)
    for i, feature in enumerate(examples.features):
        moved = series.copy()
        moved[:, i] += 1
        after, _ = columns_of(replace(examples, series=moved), rule, examples.start)
        changed = np.flatnonzero((after != before).any(axis=0))
        assert changed.tolist() == [j for j in range(len(names)) if j % c == i]
        assert all(feature in names[j] for j in changed)


@pytest.mark.long
def test_units_keep_their_own_other_inputs(bars):
    """Permuting one input of a network is the same as asking about windows built by hand."""
    models, _, _ = opened(bars, "net")
    one = models.fold_models()[0]
    donor = np.roll(np.arange(len(one.rows)), 37)
    mask = np.arange(len(one.features)) == 2
    windows = np.array(one.values(np.arange(len(one.rows))))
    windows[:, :, 2] = windows[donor][:, :, 2]
    np.testing.assert_allclose(one.permuted(mask, donor), one.read(windows), atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("name", TREES)
def test_contributions_sum_to_the_logits(bars, name):
    pytest.importorskip(name)
    models, _, _ = opened(bars, name)
    for one in models.fold_models():
        rest = one.logits() - one.contributions().sum(axis=1)
        np.testing.assert_allclose(rest, rest[0], atol=1e-4)
    actual = asked(bars, name, repeats=1)
    assert all(group.contribution >= 0 for group in actual.groups)
    assert max(group.contribution for group in actual.groups) > 0


@pytest.mark.long
def test_only_trees_have_contributions(bars):
    assert {g.contribution for g in asked(bars, "summary", repeats=1).groups} == {None}


def test_partial_dependence_is_a_mean_over_the_units(planted):
    models, _, _ = opened(planted, "logit")
    actual = partial_dependence(models, "tell", "tell")
    first = []
    for one in models.fold_models():
        at = one.features.index("tell")
        x = np.array(one.values(np.arange(len(one.rows))))
        x[:, :, at] = np.quantile(x[:, 0, at], actual.levels[0])
        first.append(one.read(x))
    assert actual.probability[0] == pytest.approx(expit(np.concatenate(first)).mean(), abs=1e-6)
    assert list(actual.probability) == sorted(actual.probability)
    noise = partial_dependence(models, "noise_1", "noise_1")
    assert actual.range > 5 * noise.range
    answer = asked(planted, "logit", partial=2)
    assert [one.group for one in answer.partial] == [one.name for one in answer.groups[:2]]


# ----------------------------------------------------------------------------------------- groups


@pytest.mark.long
def test_families_are_those_of_the_catalogue(bars):
    assert {family_of(name) for name in CATALOGUE} == set(FAMILIES)
    actual = asked(bars, "last", repeats=1)
    assert actual.by == "family"
    assert actual.block == 20
    assert {g.name for g in actual.groups} <= set(FAMILIES)
    columns = [name for group in actual.groups for name in group.columns]
    assert sorted(columns) == sorted(asked(bars, "last", by="column", repeats=1).to_frame()[
        "group"].unique().to_list())  # fmt: skip


def test_groups_that_correlate_are_paired():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4))
    x[:, 3] = -x[:, 1]
    groups = groups_of(list("abcd"), "column")
    assert [(a, b) for a, b, _ in alike(groups, list("abcd"), x)] == [("b", "d")]
    assert alike(groups, list("abcd"), np.ones((200, 4))) == []


# ------------------------------------------------------------------------------- panels and times


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    """Folder of a campaign on two series, and one of a campaign on a table with times and groups."""
    folder = tmp_path_factory.mktemp("panel")
    (folder / "series").mkdir()
    for i, name in enumerate(("AAA", "BBB")):
        synthetic_bars(900, seed=i).frame().write_csv(folder / "series" / f"{name}.csv")
    head = MARKET.split("experiments:")[0].replace("bars.csv", "series")
    (folder / "p.yaml").write_text(
        head.replace("campaign: bars", "campaign: p")
        + "experiments:\n  - {id: P, model: {kind: logit}}\n"
    )
    n, rng = 800, np.random.default_rng(0)
    day = np.datetime64("2020-01-01") + np.arange(n) // 2
    rows(n).with_columns(day=day, shop=rng.choice(["s", "t"], n)).write_csv(folder / "rows.csv")
    (folder / "t.yaml").write_text("""\
campaign: t
data: rows.csv
defaults:
  task: {kind: table, label: y, time: day, group: shop, context: 2}
  evaluation: {protocol: walk_forward, alarms: [40], n_blocks: 3}
experiments:
  - {id: T, model: {kind: logit, inputs: window}}
""")
    for name in ("p", "t"):
        run_api(folder / f"{name}.yaml", store=folder / "store", workers=0, device="cpu",
                progress=False)  # fmt: skip
    return folder


@pytest.mark.long
def test_series_of_a_panel_keep_their_own_inputs(panel):
    models, part, _ = opened(panel, "P", str(panel / "series"))
    units = Units(part, 20, 30, 0.95, within=True)
    assert len(set(part.group.tolist())) == 2
    for each in donors_of(models, units, Asked(repeats=2)):
        for fold, places in models.units_of_folds().items():
            names = part.group[places]
            assert (names[each[fold]] == names).all()
            assert (each[fold] != np.arange(len(places))).mean() > 0.5
    assert asked(panel, "P", repeats=2, data=panel / "series").groups


@pytest.mark.long
def test_rows_with_times_are_permuted_in_blocks(panel):
    actual = asked(panel, "T", repeats=3)
    assert actual.block > 1
    assert actual.groups[0].name == "tell"
    assert actual.groups[0].matters("auc")
    columns = {one.name: one.columns for one in actual.groups}
    assert len(columns["word"]) == 3
    assert any("inside each of the" in note for note in actual.notes)


# -------------------------------------------------------------------------------------- refusals


def test_a_run_whose_data_changed_is_refused(planted, tmp_path):
    changed = rows().with_columns(tell=pl.when(pl.int_range(ROWS) == 7).then(0.0).otherwise("tell"))
    changed.write_csv(tmp_path / "rows.csv")
    refused("other_data", asked, planted, "logit", data=tmp_path / "rows.csv")
    named = planted / "rows.csv"
    named.rename(planted / "elsewhere.csv")
    try:
        refused("no_data", asked, planted, "logit")
        actual = asked(planted, "logit", data=planted / "elsewhere.csv", repeats=1)
    finally:
        (planted / "elsewhere.csv").rename(named)
    assert actual.groups[0].name == "tell"


@pytest.mark.long
def test_scores_that_are_not_given_again_are_refused(bars):
    store = Store(bars / "store")
    run, _ = find_run(store, "last")
    part = measured_part(run)
    other = replace(part, frame=part.frame.with_columns(score=pl.col("score") + 0.5))
    data = data_of_run(run, "last", {})
    refused("not_reproduced", models_of_run, store, run, "last", data, other, choose_device("cpu"),
            print)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "code"),
    [({"groups": ("nobody",)}, "unknown_group"), ({"repeats": 0}, "number"),
     ({"repeats": 10**6}, "number"), ({"partial": -1}, "number"), ({"seed": -1}, "number")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(bars, how, code):
    refused(code, asked, bars, "last", **how)
    assert "repeats" in Asked.__dataclass_fields__
    refused("unknown_group", chosen_groups, groups_of(["a"], "column"), ["b"])


def test_models_that_are_not_here_are_refused(tmp_path):
    y = np.arange(200) % 4 == 0
    judge(y.astype(int), {"mine": np.linspace(0, 1, 200)}, store=tmp_path / "store", name="m")
    refused("no_model", importance, Store(tmp_path / "store"), "mine", {})


# --------------------------------------------------------------------------------------- bundles


@pytest.mark.long
@pytest.mark.parametrize("name", ["net", "summary", "both", "lightgbm"])
def test_a_bundle_is_asked_about_what_came_after(bars, tmp_path, name):
    finalize_named(Store(bars / "store"), name, {}, tmp_path / "b", device="cpu")
    place = str(tmp_path / "b")
    refused("no_data", importance, Store(tmp_path / "none"), place, {})
    refused("training_rows", importance, Store(tmp_path / "none"), place,
            {"data": str(bars / "bars.csv")})  # fmt: skip
    actual = importance(Store(tmp_path / "none"), place, {"data": str(bars / "longer.csv")},
                       Asked(repeats=2))  # fmt: skip
    until = json.loads((tmp_path / "b" / "bundle.json").read_text())["refit"]["until"]
    assert 300 < actual.n <= 1700 - CUT + 20
    assert until < actual.part.split(", ")[1].split(" to ")[0]
    assert actual.alarms == 0 or "precision" in actual.measures
    assert not (tmp_path / "none").exists()


def test_a_bundle_of_a_table_without_times_says_what_it_cannot_know(planted, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(planted, copy)
    rows().write_csv(copy / "rows.csv")
    finalize_named(Store(copy / "store"), "logit", {"data": str(copy / "rows.csv")}, tmp_path / "b")
    rows(500, seed=9).write_csv(tmp_path / "new.csv")
    actual = trueness.importance(tmp_path / "b", data=str(tmp_path / "new.csv")).judgement
    assert actual.groups[0].name == "tell"
    assert actual.groups[0].matters("auc")
    assert any("cannot be told" in note for note in actual.notes)
    rows(500, seed=9).drop("y").write_csv(tmp_path / "blind.csv")
    refused("unknown_column", trueness.importance, tmp_path / "b", data=str(tmp_path / "blind.csv"))


@pytest.mark.long
def test_a_bundle_of_a_table_with_times_leaves_out_the_rows_it_was_fitted_on(panel, tmp_path):
    finalize_named(Store(panel / "store"), "T", {}, tmp_path / "b")
    n, rng = 1100, np.random.default_rng(0)
    day = np.datetime64("2020-01-01") + np.arange(n) // 2
    longer = rows(n, seed=4).with_columns(day=day, shop=rng.choice(["s", "t"], n))
    longer.write_csv(tmp_path / "longer.csv")
    actual = trueness.importance(tmp_path / "b", data=str(tmp_path / "longer.csv")).judgement
    assert actual.n == 300
    assert f"{day[800]} to {day[-1]}" in actual.part
    assert actual.groups[0].name == "tell"
    longer.head(700).write_csv(tmp_path / "known.csv")
    refused("old_data", trueness.importance, tmp_path / "b", data=str(tmp_path / "known.csv"))


# -------------------------------------------------------------------------------------- the verb


@pytest.mark.long
def test_the_verb_answers_and_is_recorded_once(bars, capsys, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(bars / "store", store)
    lines = (store / "ledger.jsonl").read_text().splitlines() if (
        store / "ledger.jsonl").exists() else []  # fmt: skip
    code, out, err = call(capsys, "importance", "summary", "--store", store, "--repeats", 2,
                          "--partial", 1, "--json", "--csv", tmp_path / "i.csv",
                          "--report", tmp_path / "i.html")  # fmt: skip
    assert code == 0, err
    actual = json.loads(out)
    assert (actual["kind"], actual["repeats"]) == ("importance", 2)
    table = pl.read_csv(tmp_path / "i.csv")
    assert len(table) == 3 * len(actual["groups"])
    assert table["low"].is_not_null().all()
    page = (tmp_path / "i.html").read_text()
    assert all(group["name"] in page for group in actual["groups"])
    assert len((store / "ledger.jsonl").read_text().splitlines()) == len(lines) + 1
    answer = trueness.importance("summary", repeats=2, store=bars / "store")
    assert [g.name for g in answer.judgement.groups] == [g["name"] for g in actual["groups"]]
    assert len(answer.figures) == 2


@pytest.mark.long
@pytest.mark.parametrize(
    "words",
    [("--group", "nobody"), ("--by", "sideways"), ("--repeats", "0"), ("--text", "a b"),
     ("--open-test",), ("--data", "missing.csv"), ("--vix", "missing.csv")],
)  # fmt: skip
def test_mistakes_are_one_line(bars, capsys, words):
    status, out, err = call(capsys, "importance", "last", "--store", bars / "store", *words)
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert (status, out, len(lines)) == (2, "", 1), err
