"""Bundles as ONNX graphs: a runtime answers as the bundle does, on rows that nobody trained on."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

import trueness
from tests.test_cli import call
from trueness import own
from trueness.api import run as run_api
from trueness.baselines import arrays
from trueness.baselines.catboost_trees import CatBoost
from trueness.baselines.fitted import LightGBM, XGBoost
from trueness.bundle import agreement, converters
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.graph import Graph, file_of
from trueness.bundle.predicting import load
from trueness.bundle.trees import of_arrays, of_histograms, of_lightgbm, of_xgboost, summed
from trueness.errors import TruenessError
from trueness.files import read_json, write_json
from trueness.market import synthetic_bars
from trueness.market.windows import unseen_examples
from trueness.store import Store

ROOT = Path(__file__).resolve().parents[1]
CUT, ALL = 1300, 1400
BARS = synthetic_bars(ALL)
NET = "{kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}"
CAMPAIGN = f"""\
campaign: use
data: bars.csv
defaults:
  task: {{context: 20, horizon: 2}}
  evaluation: {{protocol: walk_forward}}
  model: {NET}
  recipe: {{epochs: 2, batch_size: 64, learning_rate: 1e-3, precision: float32}}
experiments:
  - {{id: net}}
  - {{id: columns, model: {{kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5, embedding: {{kind: attention, width: 8}}}}}}
  - {{id: tabm, model: {{kind: tabm, k: 4, d_block: 16}}}}
  - {{id: half, recipe: {{precision: bf16}}}}
  - {{id: gru, model: {{kind: module, of: "nets.py:Gru"}}}}
  - {{id: lightgbm, model: lightgbm}}
  - {{id: xgboost, model: xgboost}}
  - {{id: catboost, model: catboost}}
  - {{id: last, model: {{kind: lightgbm, inputs: last}}}}
  - {{id: wide, model: {{kind: logit, inputs: window}}}}
  - {{id: bayes, model: {{kind: estimator, of: sklearn.naive_bayes.GaussianNB, inputs: last}}}}
  - {{id: votes, model: {{kind: estimator, of: sklearn.neighbors.KNeighborsClassifier}}}}
  - {{id: margin, model: {{kind: estimator, of: sklearn.svm.SVC}}}}
  - {{id: histograms, model: {{kind: estimator, of: sklearn.ensemble.HistGradientBoostingClassifier, params: {{max_iter: 20}}}}}}
  - {{id: unknown, model: {{kind: estimator, of: sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis, inputs: last, params: {{reg_param: 0.5}}}}}}
  - {{id: both, ensemble: {{of: net, seeds: 2}}}}
  - {{id: more, task: {{columns: [sma_200, rsi_daily, return_1d]}}, model: xgboost}}
  - {{id: mixed, ensemble: {{of: [net, lightgbm, last]}}}}
  - {{id: tiers, ensemble: {{of: [last, net, more]}}}}
"""
NETS = """\
import torch


class Gru(torch.nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.gru = torch.nn.GRU(n_features, 8, batch_first=True)
        self.head = torch.nn.Linear(8, 1)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])
"""
NETWORKS = ("net", "columns", "tabm", "half", "gru", "both", "mixed", "tiers")
FITTED = ("lightgbm", "xgboost", "catboost", "last", "wide", "bayes", "votes", "margin", "histograms",
          "a20/one_feature", "a20/logit", "a20/forest", "a20/boosting")  # fmt: skip


LONG = ("columns", "gru", "half", "mixed", "wide", "margin", "a20/one_feature")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    BARS.head(CUT).frame().write_csv(folder / "bars.csv")
    BARS.frame().write_csv(folder / "longer.csv")
    (folder / "use.yaml").write_text(CAMPAIGN)
    (folder / "nets.py").write_text(NETS)
    run_api(folder / "use.yaml", store=folder / "store", workers=0, device="cpu", progress=False)
    return folder


@pytest.fixture(scope="module")
def bundle_of(folder):
    """A bundle of a kind of model, made when it is first asked for."""

    def made(kind):
        out = folder / "bundles" / kind.rpartition("/")[2]
        if not out.exists():
            finalize_named(Store(folder / "store"), kind, {}, out, device="cpu", base_folder=folder)
        return out

    return made


def _session(file):
    """A runtime that knows nothing of trueness."""
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def _asked(file, inputs):
    session = _session(file)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def _about(file):
    return json.loads(_session(file).get_modelmeta().custom_metadata_map["trueness"])


def _inputs(file):
    """Inputs that the rows of a `--rows` file hold, by name, and their ids."""
    held = np.load(file)
    return {n: held[n] for n in held.files if n.startswith(("columns", "windows"))}, held["id"]


# ------------------------------------------------------------------------------------- round trips


@pytest.mark.long
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow] * (kind in LONG))
        for kind in (*NETWORKS, *FITTED)
    ],
)
def test_a_runtime_answers_as_the_bundle_for_days_nobody_trained_on(
    folder, bundle_of, tmp_path, monkeypatch, kind
):
    monkeypatch.chdir(folder)  # own networks lie there
    bundle = trueness.load(bundle_of(kind))
    actual = bundle.export(tmp_path / "m.onnx", "longer.csv", rows=tmp_path / "r.npz").to_dict()
    predictor, said = bundle.predictor, bundle.predict("longer.csv").to_frame()
    assert actual["compared"]["n"] > len(said) == ALL - CUT + 2
    inputs, ids = _inputs(tmp_path / "r.npz")
    at = [ids.tolist().index(i) for i in said["id"]]
    theirs = _asked(tmp_path / "m.onnx", {name: rows[at] for name, rows in inputs.items()})
    exact = kind not in NETWORKS
    bound = 1e-6 if exact else actual["compared"]["bound"] + 0.01 * (kind == "half")
    assert actual["compared"]["bound"] < 1e-3
    for name, mine in (("probability", "probability"), ("calibrated", "calibrated")):
        if name == "calibrated" and predictor.promise.slope is None:
            assert name not in theirs
            continue
        np.testing.assert_allclose(theirs[name], said[mine], rtol=0, atol=bound)
    if exact:
        np.testing.assert_allclose(theirs["logit"], said["score"], rtol=2e-6, atol=2e-6)
        raised = theirs["logit"] >= _about(tmp_path / "m.onnx")["alarm"]["at_least"]
        assert raised.tolist() == (said["score"] >= predictor.promise.threshold.score).to_list()
        assert actual["compared"]["alarms_differ"] == 0
        cut, held = predictor.promise.threshold.score, np.load(tmp_path / "r.npz")["logit"]
        equal = np.isclose(held, cut, rtol=0, atol=1e-6)
        assert (held[equal] >= cut).all()  # out of fold, a vote that is as high counted as an alarm
        assert equal.any() or kind != "votes"
    assert any("bf16" in note for note in actual["notes"]) == (kind == "half")


@pytest.mark.long
def test_windows_are_those_of_the_bars(folder, bundle_of, tmp_path):
    """What the file of rows holds is what the task makes of the bars: oldest row first, by name."""
    bundle = trueness.load(bundle_of("lightgbm"))
    bundle.export(tmp_path / "m.onnx", folder / "longer.csv", rows=tmp_path / "r.npz")
    data = bundle.predictor.load({"data": folder / "longer.csv"})
    examples = unseen_examples(bundle.predictor.bundle.members[0].spec.task, data)
    inputs, ids = _inputs(tmp_path / "r.npz")
    assert ids.tolist() == examples.columns()["id"].tolist()
    (input_,) = _about(tmp_path / "m.onnx")["inputs"]
    assert input_["columns"] == list(examples.features)
    assert inputs["windows"].shape[1:] == tuple(input_["shape"][1:]) == (20, 20)
    np.testing.assert_array_equal(inputs["windows"], examples.x[examples.start])
    last = trueness.load(bundle_of("last"))
    last.export(tmp_path / "l.onnx", folder / "longer.csv", rows=tmp_path / "l.npz")
    (columns,) = _inputs(tmp_path / "l.npz")[0].values()
    np.testing.assert_array_equal(columns, inputs["windows"][:, -1])


@pytest.mark.slow
def test_members_are_averaged_in_the_graph(folder, bundle_of, tmp_path):
    """Seeds share an input, tiers have one each; the logit is the mean of graphs of single ones."""
    both = trueness.load(bundle_of("both"))
    both.export(tmp_path / "both.onnx", folder / "longer.csv", rows=tmp_path / "r.npz")
    inputs, _ = _inputs(tmp_path / "r.npz")
    each = []
    for i, member in enumerate(both.predictor.bundle.description["members"]):
        shutil.copytree(bundle_of("both"), tmp_path / f"{i}")
        description = read_json(tmp_path / f"{i}" / "bundle.json")
        write_json(tmp_path / f"{i}" / "bundle.json", {**description, "members": [member]})
        trueness.load(tmp_path / f"{i}").export(tmp_path / f"{i}.onnx")
        each.append(_asked(tmp_path / f"{i}.onnx", inputs)["logit"])
    assert len(each) == 2
    assert not np.allclose(*each, atol=1e-3)
    np.testing.assert_allclose(
        _asked(tmp_path / "both.onnx", inputs)["logit"], np.mean(each, axis=0), atol=1e-5
    )
    actual = trueness.load(bundle_of("tiers")).export(tmp_path / "t.onnx", folder / "longer.csv")
    shapes = {tuple(one["shape"]) for one in actual.to_dict()["inputs"]}
    assert {shape[:2] for shape in shapes} == {(None, 20)}
    assert len({shape[2] for shape in shapes}) == 2
    assert {one["name"] for one in actual.to_dict()["inputs"]} == {"windows_1", "windows_2"}


# ------------------------------------------------------------------------------------------- tables


def _rows(n=900, seed=0):
    """Numbers with gaps, categories, texts, days, a date that is a column, and a label."""
    rng = np.random.default_rng(seed)
    day = np.datetime64("2020-01-01") + np.arange(n)
    frame = pl.DataFrame({
        "amount": rng.lognormal(size=n), "kind": rng.choice(["a", "b", "c"], n),
        "gap": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        "whole": rng.integers(0, 9, n), "flag": rng.random(n) < 0.4,
        "title": [f"{rng.choice(['red', 'blue'])} box {i % 97}" for i in range(n)],
        "since": pl.Series(day - rng.integers(0, 900, n)), "day": pl.Series(day),
    })  # fmt: skip
    lost = pl.Series(rng.random(n) < 0.1)
    frame = frame.with_columns(kind=pl.when(lost).then(None).otherwise("kind"))
    logit = frame["amount"].to_numpy() + (frame["kind"] == "b").fill_null(False).to_numpy() - 2.5
    return frame.with_columns(y=(rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int))


TABLE = """\
campaign: t
data: rows.parquet
defaults:
  task: {kind: table, label: y, time: day, context: 1}
  recipe: {epochs: 2, precision: float32}
experiments:
  - {id: net, model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 1, stride: 1, revin: false}}
  - {id: tabm, model: {kind: tabm, k: 4, d_block: 16}}
  - {id: lightgbm, model: lightgbm}
  - {id: xgboost, model: xgboost}
  - {id: catboost, model: catboost}
  - {id: mixed, ensemble: {of: [tabm, lightgbm]}}
"""
OF_TABLES = ("net", "tabm", "lightgbm", "xgboost", "catboost", "mixed",
             "table/logit", "table/forest", "table/boosting", "table/one_feature")  # fmt: skip


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    _rows().write_parquet(folder / "rows.parquet")
    (folder / "t.yaml").write_text(TABLE)
    run_api(folder / "t.yaml", store=folder / "store", workers=0, device="cpu", progress=False)
    return folder


@pytest.mark.parametrize("kind", OF_TABLES)
def test_rows_of_a_table_are_answered_as_by_the_bundle(table, tmp_path, kind):
    """Rows of another draw, with gaps and a category that training never saw."""
    out = table / "bundles" / kind.rpartition("/")[2]
    bundle = trueness.finalize(kind, out, store=table / "store", device="cpu")
    new = _rows(300, seed=5).drop("y")
    new = new.with_columns(kind=pl.when(pl.col("whole") > 6).then(pl.lit("new")).otherwise("kind"))
    actual = bundle.export(tmp_path / "m.onnx", new, rows=tmp_path / "r.npz").to_dict()
    inputs, ids = _inputs(tmp_path / "r.npz")
    assert set(inputs) == {"columns"}
    assert np.isfinite(inputs["columns"]).all()
    said = bundle.predict(new).to_frame()
    at = [ids.tolist().index(i) for i in said["id"]]
    theirs = _asked(tmp_path / "m.onnx", {"columns": inputs["columns"][at]})
    np.testing.assert_allclose(theirs["logit"], said["score"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(theirs["probability"], said["probability"], atol=2e-6)
    raised = theirs["logit"] >= _about(tmp_path / "m.onnx")["alarm"]["at_least"]
    assert raised.tolist() == (said["score"] >= bundle.predictor.promise.threshold.score).to_list()
    assert (actual["compared"]["n"], actual["compared"]["alarms_differ"]) == (300, 0)


# -------------------------------------------------------------------------------- trees, exactly


@st.composite
def _close_columns(draw):
    """Columns of few distinct numbers of 32 bits, neighbours among them, and labels of two kinds."""
    size = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e5, 3e9]))
    first = np.float32(size * draw(st.floats(-1, 1)))
    steps = [first]
    for _ in range(6):
        steps.append(np.nextafter(steps[-1], np.float32(np.inf), dtype=np.float32))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.choice(np.array(steps, np.float32), (80, 2)).astype(np.float64)
    y = (x[:, 0] > x[:, 0].mean()).astype(int) ^ (rng.random(80) < 0.2)
    y[:2] = 0, 1
    return x, y


def _logits(part, x):
    graph = Graph()
    columns = graph.input("x", (None, x.shape[1]))
    graph.output("logit", part(graph, columns))
    session = onnxruntime.InferenceSession(file_of(graph.model(), {}))
    return session.run(None, {"x": x.astype(np.float32)})[0]


@settings(max_examples=25, deadline=None)
@given(_close_columns())
def test_neighbouring_numbers_take_the_branch_that_they_take_in_the_package(data):
    """Splits of 64 bits lie between two neighbours of 32 bits; rounded, they would move rows."""
    import lightgbm
    import xgboost

    x, y = data
    model = HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=2, early_stopping=False)
    model.fit(x, y)
    nodes, base = of_histograms(model)
    got = _logits(lambda g, c: summed(g, g.cast(c, "float64"), nodes, base, "float64"), x)
    np.testing.assert_allclose(got, model.decision_function(x), rtol=1e-6, atol=1e-6)

    forest = RandomForestClassifier(4, random_state=0).fit(x, y)
    nodes = of_arrays(arrays.of_forest(forest))
    got = _logits(lambda g, c: summed(g, g.cast(c, "float64"), nodes, 0.0, "float64"), x)
    np.testing.assert_allclose(got / 4, forest.predict_proba(x)[:, 1], rtol=1e-6, atol=1e-6)

    how = {"objective": "binary", "min_data_in_leaf": 1, "min_data_in_bin": 1, "verbosity": -1,
           "num_threads": 1}  # fmt: skip
    grown = lightgbm.train(how, lightgbm.Dataset(x, y, params=how), 4)
    light = LightGBM(grown.model_to_string(), 3)
    got = _logits(
        lambda g, c: summed(g, g.cast(c, "float64"), of_lightgbm(light.model, 3), 0.0, "float64"), x
    )
    np.testing.assert_allclose(got, light.logits(x), rtol=1e-6, atol=1e-6)

    how = {"objective": "binary:logistic", "nthread": 1, "min_child_weight": 0}
    booster = xgboost.train(how, xgboost.DMatrix(x, y, nthread=1), 4)
    nodes, base = of_xgboost(booster)
    got = _logits(lambda g, c: summed(g, c, nodes, base, "float32"), x)
    np.testing.assert_allclose(
        got, XGBoost(bytes(booster.save_raw("ubj")), 4).logits(x), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("params", [{}, {"boost_from_average": True}, {"grow_policy": "Depthwise"}])
def test_catboost_with_a_first_number_or_other_trees(params):
    """Answers as the package does, or is refused where its own export is."""
    import catboost

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype(np.float32).astype(np.float64)
    y = (x[:, 0] + rng.normal(size=300) > 1.2).astype(int)
    model = catboost.CatBoost({"loss_function": "Logloss", "iterations": 9, "thread_count": 1,
                               "allow_writing_files": False, "logging_level": "Silent", **params})  # fmt: skip
    kept = CatBoost.of(model.fit(x, y), 6)
    if "grow_policy" in params:
        with pytest.raises(TruenessError) as caught:
            _logits(lambda g, c: converters.catboost_logits(g, c, kept), x)
        assert caught.value.code == "no_converter"
        return
    got = _logits(lambda g, c: converters.catboost_logits(g, c, kept), x)
    np.testing.assert_allclose(got, kept.logits(x), rtol=1e-5, atol=1e-5)


def test_models_of_trees_that_no_node_can_hold_are_refused():
    import lightgbm
    import xgboost

    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (200, 2)).astype(float)
    y = (x[:, 0] % 2).astype(int) ^ (rng.random(200) < 0.1)
    for how in (
        {"linear_tree": True},
        {"cat_smooth": 1, "min_data_per_group": 1},
        {"zero_as_missing": True},
    ):
        how = {
            "objective": "binary",
            "verbosity": -1,
            "num_threads": 1,
            "min_data_in_leaf": 2,
            **how,
        }
        named = [0] if "cat_smooth" in how else []
        data = lightgbm.Dataset(x, y, params=how, categorical_feature=named)
        model = lightgbm.train(how, data, 3)
        with pytest.raises(TruenessError) as caught:
            of_lightgbm(model, 3)
        assert caught.value.code == "no_converter"
    data = xgboost.DMatrix(x, y, feature_types=["c", "q"], enable_categorical=True)
    with pytest.raises(TruenessError) as caught:
        of_xgboost(xgboost.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, data, 3))
    assert caught.value.code == "no_converter"
    with pytest.raises(TruenessError) as caught:
        of_histograms(HistGradientBoostingClassifier(categorical_features=[0]).fit(x, y))
    assert caught.value.code == "no_converter"


# ----------------------------------------------------------------------------------- what is kept


@pytest.mark.long
def test_metadata_hold_threshold_promise_and_columns_and_nothing_of_this_machine(
    folder, bundle_of, tmp_path
):
    bundle = trueness.load(bundle_of("net"))
    bundle.export(tmp_path / "m.onnx")
    about, description = _about(tmp_path / "m.onnx"), bundle.predictor.bundle.description
    assert (about["schema"], about["kind"]) == (1, "onnx")
    assert about["promise"] == description["promise"]
    assert about["threshold"] == description["promise"]["threshold"]
    assert about["abstention"]["ranges"] == description["ranges"]
    (one,) = about["inputs"]
    assert one["columns"] == description["members"][0]["features"]
    assert one["task"] == description["members"][0]["spec"]["task"]
    assert set(about["outputs"]) == {"logit", "probability", "calibrated"}
    content = (tmp_path / "m.onnx").read_bytes()
    for place in (str(ROOT), str(folder), sys.prefix, "site-packages", "trueness/models"):
        assert place.encode() not in content
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)


@pytest.mark.long
def test_without_data_random_rows_are_compared_and_said_to_be(folder, bundle_of, tmp_path, capsys):
    code, out, err = call(capsys, "export", bundle_of("xgboost"), tmp_path / "m.onnx")
    assert code == 0, err
    assert "256 rows of random numbers" in " ".join(out.split())
    assert (tmp_path / "m.onnx").exists()


@pytest.mark.long
def test_the_command_tells_what_it_compared(folder, bundle_of, tmp_path, capsys):
    (tmp_path / "m.onnx").write_text("an older one")
    code, out, err = call(
        capsys, "export", bundle_of("a20/forest"), tmp_path / "m.onnx", "--data",
        folder / "longer.csv", "--rows", tmp_path / "r.npz", "--csv", tmp_path / "c.csv", "--json",
    )  # fmt: skip
    assert code == 0, err
    actual, frame = json.loads(out), pl.read_csv(tmp_path / "c.csv")
    assert (actual["kind"], actual["file"]) == ("export", str(tmp_path / "m.onnx"))
    assert actual["bytes"] == (tmp_path / "m.onnx").stat().st_size
    assert actual["compared"]["n"] == len(frame) == len(_inputs(tmp_path / "r.npz")[1])
    for name, value in actual["compared"]["largest_difference"].items():
        apart = (frame[name] - frame[f"onnx_{name}"]).abs().max()
        assert apart == pytest.approx(value, abs=1e-12)
        assert value < 1e-5
    assert actual["outputs"] == list(actual["compared"]["largest_difference"])


@pytest.mark.long
def test_a_graph_that_answers_otherwise_is_not_kept(bundle_of, tmp_path, monkeypatch, capsys):
    right = converters.CONVERTERS["lightgbm"]

    def wrong(graph, one, rows, base_folder):
        return graph.scaled(right(graph, one, rows, base_folder), 1.0, 0.01)

    monkeypatch.setitem(converters.CONVERTERS, "lightgbm", wrong)
    (tmp_path / "m.onnx").write_text("an older one")
    code, out, err = call(capsys, "export", bundle_of("lightgbm"), tmp_path / "m.onnx", "--rows",
                          tmp_path / "r.npz")  # fmt: skip
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1), err
    assert "0.0001 is allowed" in err
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"]
    assert (tmp_path / "m.onnx").read_text() == "an older one"
    monkeypatch.setitem(
        converters.CONVERTERS, "lightgbm",
        lambda *args: args[0].node("Log", right(*args)),  # of negative numbers: none
    )  # fmt: skip
    with pytest.raises(TruenessError) as caught:
        trueness.load(bundle_of("lightgbm")).export(tmp_path / "m.onnx")
    assert caught.value.code == "differs"


@pytest.mark.long
def test_rounding_of_the_network_itself_is_no_fault_of_the_graph(
    folder, bundle_of, tmp_path, monkeypatch
):
    """With a bound below what 32 bits hold, what is allowed follows what the network itself loses."""
    monkeypatch.setattr(agreement, "BOUND", 1e-9)
    actual = trueness.load(bundle_of("net")).export(tmp_path / "m.onnx", folder / "longer.csv")
    compared = actual.to_dict()["compared"]
    assert 1e-9 < max(list(compared["largest_difference"].values())[1:]) <= compared["bound"] < 1e-3
    assert any("rounding to 32 bits" in note for note in actual.to_dict()["notes"])
    with pytest.raises(TruenessError) as caught:  # trees round nothing
        trueness.load(bundle_of("a20/forest")).export(tmp_path / "f.onnx", folder / "longer.csv")
    assert caught.value.code == "differs"


# ---------------------------------------------------------------------------------------- bad input


@pytest.mark.long
def test_places_that_take_no_graph_are_refused(folder, bundle_of, tmp_path, capsys):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_text("x")
    places = {
        "m.txt": "output_suffix", "m": "output_suffix", "folder.onnx": "output_path",
        "nowhere/m.onnx": "output_path", "file/m.onnx": "output_path",
    }  # fmt: skip
    bundle = trueness.load(bundle_of("a20/logit"))
    for place, code in places.items():
        with pytest.raises(TruenessError) as caught:
            bundle.export(tmp_path / place)
        assert caught.value.code == code
        status, out, err = call(capsys, "export", bundle_of("a20/logit"), tmp_path / place)
        assert (status, out, len(err.strip().splitlines())) == (2, "", 1)
    for rows, code in (("r.csv", "output_suffix"), ("nowhere/r.npz", "output_path")):
        with pytest.raises(TruenessError) as caught:
            bundle.export(tmp_path / "m.onnx", rows=tmp_path / rows)
        assert caught.value.code == code
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.long
def test_other_data_than_the_model_knows_are_refused(folder, bundle_of, tmp_path):
    bundle = trueness.load(bundle_of("a20/logit"))
    synthetic_bars(ALL, seed=3).frame().write_csv(tmp_path / "other.csv")
    for given_, code in (
        ({"data": tmp_path / "other.csv"}, "other_series"), ({"vix": "x.csv"}, "no_data"),
        ({"data": tmp_path / "none.csv"}, "no_file"),
    ):  # fmt: skip
        with pytest.raises(TruenessError) as caught:
            bundle.export(tmp_path / "m.onnx", **given_)
        assert caught.value.code == code or code == "no_file"
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.long
def test_a_model_without_a_converter_is_refused_in_one_line(bundle_of, tmp_path, capsys):
    code, out, err = call(capsys, "export", bundle_of("unknown"), tmp_path / "m.onnx")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1), err
    with pytest.raises(TruenessError) as caught:
        trueness.load(bundle_of("unknown")).export(tmp_path / "m.onnx")
    assert caught.value.code == "no_converter"
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "package"),
    [("bayes", "skl2onnx"), ("net", "onnxscript"), ("lightgbm", "onnxruntime"),
     ("lightgbm", "onnx")],
)  # fmt: skip
def test_a_package_that_is_not_there_is_named_with_its_extra(
    bundle_of, tmp_path, monkeypatch, capsys, kind, package
):
    real = own.importlib.util.find_spec
    monkeypatch.setattr(
        own.importlib.util, "find_spec", lambda name: None if name == package else real(name)
    )
    code, out, err = call(capsys, "export", bundle_of(kind), tmp_path / "m.onnx")
    assert (code, out) == (2, "")
    assert err.strip() == f"trueness: {package} is not installed; pip install 'trueness[onnx]'"


@pytest.mark.long
@pytest.mark.parametrize(
    ("place", "value"),
    [(None, None), (("members", 0, "form"), "x"), (("members", 0, "form"), "network"),
     (("members", 0, "settings"), {}), (("members", 0, "settings", "base"), "x"),
     (("members", 0, "features"), ["a"]), (("ranges",), {"rsi_daily": [-1e308, 1e308]}),
     (("label",), None)],
)  # fmt: skip
def test_a_damaged_bundle_makes_no_graph(bundle_of, tmp_path, capsys, place, value):
    shutil.copytree(bundle_of("a20/boosting"), tmp_path / "b")
    if place is None:
        file = tmp_path / "b" / "members" / "0" / "arrays.safetensors"
        file.write_bytes(file.read_bytes() + b"x")
    else:
        description = read_json(tmp_path / "b" / "bundle.json")
        part = description
        for name in place[:-1]:
            part = part[name]
        part[place[-1]] = value
        write_json(tmp_path / "b" / "bundle.json", description)
    code, out, err = call(capsys, "export", tmp_path / "b", tmp_path / "m.onnx")
    if place == ("label",):  # what only describes needs no digest of its own
        assert code == 0
        return
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1), err
    assert not (tmp_path / "m.onnx").exists()


# --------------------------------------------------------------------------------------------- docs


@pytest.mark.long
def test_the_lines_of_the_page_answer_without_trueness(folder, bundle_of, tmp_path, monkeypatch):
    """Executed as they stand, where importing trueness would fail."""
    page = (ROOT / "docs" / "how-to" / "export-onnx.md").read_text()
    (block,) = [b for b in re.findall(r"```py\n(.*?)```", page, re.DOTALL) if "rows.npz" in b]
    assert "trueness" not in re.sub(r"[\"'#].*", "", block)
    bundle = trueness.load(bundle_of("xgboost"))
    bundle.export(tmp_path / "model.onnx", folder / "longer.csv", rows=tmp_path / "rows.npz")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "trueness", None)
    names: dict = {}
    exec(compile(block, "guide", "exec"), names)
    monkeypatch.undo()
    said = load(bundle_of("xgboost"))
    cut = said.promise.threshold.score
    np.testing.assert_array_equal(names["alarm"], np.load(tmp_path / "rows.npz")["logit"] >= cut)
