"""Bundles: what was judged is what is used, with its promise, and watched."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import trueness
from tests.test_cli import call
from trueness.api import run as run_api
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.format import open_bundle
from trueness.bundle.log import OUTCOME, PREDICTION, append, read_log
from trueness.bundle.opened import Opened
from trueness.bundle.predicting import load
from trueness.errors import StoreError, TruenessError
from trueness.files import read_json, write_json
from trueness.fit import choose_device
from trueness.fit.scoring import network_logits
from trueness.market import synthetic_bars
from trueness.market.windows import unseen_examples
from trueness.store import Store
from trueness.tasks import task_of

CUT, ALL = 1300, 1400
BARS = synthetic_bars(ALL)
CAMPAIGN = """\
campaign: use
data: bars.csv
defaults:
  task: {context: 20, horizon: 2}
  evaluation: {protocol: walk_forward}
  model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5, stride: 5}
  recipe: {epochs: 2, batch_size: 64, learning_rate: 1e-3, precision: float32}
experiments:
  - {id: net}
  - {id: lightgbm, model: lightgbm}
  - {id: xgboost, model: xgboost}
  - {id: catboost, model: catboost}
  - {id: bayes, model: {kind: estimator, of: sklearn.naive_bayes.GaussianNB}}
  - {id: own, model: {kind: estimator, of: "mine.py:Mine"}}
  - {id: both, ensemble: {of: net, seeds: 2}}
"""
MINE = """\
from sklearn.naive_bayes import GaussianNB


class Mine(GaussianNB):
    pass
"""
KINDS = ("net", "lightgbm", "xgboost", "catboost", "bayes", "both",
         "a20/one_feature", "a20/logit", "a20/forest", "a20/boosting")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    BARS.head(CUT).frame().write_csv(folder / "bars.csv")
    BARS.frame().write_csv(folder / "longer.csv")
    (folder / "use.yaml").write_text(CAMPAIGN)
    (folder / "mine.py").write_text(MINE)
    run_api(folder / "use.yaml", store=folder / "store", workers=0, device="cpu", progress=False)
    return folder


@pytest.fixture(scope="module")
def bundles(folder):
    """A bundle of every kind of model."""
    store, actual = Store(folder / "store"), {}
    for kind in KINDS:
        out = folder / "bundles" / kind.rpartition("/")[2]
        finalize_named(store, kind, {}, out, device="cpu", base_folder=folder)
        actual[kind] = out
    return actual


@pytest.fixture
def copied(bundles, tmp_path):
    """A bundle of its own for tests that change it."""

    def made(kind="a20/logit"):
        shutil.copytree(bundles[kind], tmp_path / "bundle")
        return tmp_path / "bundle"

    return made


def _predicted(bundle, folder):
    predictor = load(bundle)
    return predictor.predict(_longer(predictor, folder))


def _longer(predictor, folder):
    return predictor.load({"data": folder / "longer.csv"})


# --------------------------------------------------------------------------------- what was fitted


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_answers_as_the_model_that_was_fitted(bundles, folder, kind):
    """Opened again, it gives the scores of a refit in this process, for days nobody trained on."""
    predictor = load(bundles[kind], folder)
    actual = predictor.predict(_longer(predictor, folder))
    frame = actual.frame
    assert (
        frame["time"].min()
        > pl.Series([predictor.bundle.description["refit"]["until"]]).str.to_date()[0]
    )
    assert len(frame) == ALL - CUT + 2  # the last two bars of the shorter data have labels now
    again = Store(folder / "store")
    out = folder / "again" / kind.rpartition("/")[2]
    finalize_named(again, kind, {}, out, device="cpu", base_folder=folder)
    second = load(out, folder)
    other = second.predict(_longer(second, folder)).frame
    np.testing.assert_allclose(frame["score"], other["score"], rtol=0, atol=1e-6)
    cut = actual.promise.threshold.score
    alarms = frame.filter(pl.col("answer") == "alarm")
    assert (alarms["score"] >= cut).all()
    assert set(frame["answer"]) <= {"alarm", "no alarm", "abstains"}


@pytest.mark.long
def test_one_new_bar_loads_no_package_that_fits(bundles, folder):
    """Models of ours are arrays, and boosters are asked by the C interface of their packages."""
    kinds = ("one_feature", "logit", "forest", "boosting")
    every = [
        bundles[kind] for kind in ("lightgbm", "xgboost", "catboost", *(f"a20/{k}" for k in kinds))
    ]
    program = (
        "import sys\n"
        "from trueness.__main__ import main\n"
        f"for bundle in {[str(one) for one in every]}:\n"
        f"    words = ['predict', bundle, '--data', {str(folder / 'longer.csv')!r}, '--no-log']\n"
        "    sys.argv[1:] = words\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as ended:\n"
        "        assert not ended.code, ended.code\n"
        "heavy = {'sklearn', 'skops', 'skrub', 'pandas', 'torch', 'xgboost', 'lightgbm', 'catboost'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("no alarm") + ended.stdout.count(": alarm") >= len(every)


@pytest.mark.long
def test_a_refit_knows_what_comes_later_than_any_fold(bundles, folder):
    """All labelled windows train or stop; between the two lie windows whose labels would overlap."""
    run = Store(folder / "store").run(open_bundle(bundles["net"]).description["key"])
    refit = open_bundle(bundles["net"]).description["refit"]
    last = {name: counts for name, counts in run.record["folds"][-1].items()}
    whole = sum(n for n, _ in last.values())
    assert refit["train"][0] + refit["validation"][0] > last["train"][0] + last["validation"][0]
    assert abs(refit["train"][0] + refit["validation"][0] - whole) <= 6
    assert refit["until"] == str(BARS.dates[CUT - 3])


@pytest.mark.long
@pytest.mark.parametrize("kind", ["net"])
def test_weights_of_a_fold_give_its_out_of_fold_scores(folder, kind):
    """What predicts is what was judged: windows without labels, stored weights, the same scores."""
    store = Store(folder / "store")
    (key,) = store.campaigns()["use"][kind]
    run = store.run(key)
    data = task_of("market").load({"data": folder / "longer.csv"})
    examples = unseen_examples(run.spec.task, data)
    fold = len(run.record["folds"]) - 1
    weights = {name.removeprefix(f"fold{fold}."): a for name, a in run.parameters().items()
               if name.startswith(f"fold{fold}.")}  # fmt: skip
    scores = network_logits(run.spec, weights, examples, choose_device("cpu"), "float32")
    table = run.table().filter((pl.col("fold") == fold) & (pl.col("split") == "oof"))
    mine = dict(zip(examples.columns()["id"].tolist(), scores.tolist(), strict=True))
    assert len(table) > 100
    np.testing.assert_allclose([mine[i] for i in table["id"]], table["score"], atol=1e-5)


@pytest.mark.long
def test_seeds_and_members_are_averaged(folder, bundles, tmp_path):
    store = Store(folder / "store")
    three = finalize_named(store, "net", {}, tmp_path / "three", seeds=3, device="cpu").bundle
    assert [m.spec.seed for m in three.members] == [42, 43, 44]
    whole = load(tmp_path / "three")
    data = _longer(whole, folder)
    one = load(bundles["net"], folder)
    examples = unseen_examples(three.members[0].spec.task, data)
    each = [Opened.of(three, m).logits(examples) for m in three.members]
    asked = whole.predict(data).frame
    np.testing.assert_allclose(np.mean(each, axis=0)[-len(asked) :], asked["score"], atol=1e-6)
    np.testing.assert_allclose(each[0][-len(asked) :], one.predict(data).frame["score"], atol=1e-6)
    assert len(open_bundle(bundles["both"]).members) == 2
    fixed = finalize_named(store, "a20/logit", {}, tmp_path / "logit", seeds=3, device="cpu")
    assert len(fixed.bundle.members) == 1  # a model that reads no seed is one


@pytest.mark.long
def test_the_promise_is_what_was_measured_out_of_fold(folder, bundles):
    store = Store(folder / "store")
    for kind in ("net", "lightgbm", "a20/forest"):
        predictor = load(bundles[kind], folder)
        run, promise = store.run(predictor.bundle.description["key"]), predictor.promise
        part = run.predictions().part("oof")
        raised = part.score >= promise.threshold.score
        precision, recall = promise.threshold.precision, promise.threshold.recall
        recorded = run.record["estimates"]["precision@30"]
        assert (precision.n, precision.k) == (raised.sum(), part.y[raised].sum())
        assert (precision.n, precision.k) == (recorded["n"], recorded["k"])
        assert recall.k == precision.k
        assert recall.n == part.y.sum()
        assert promise.threshold.promised == precision.low
        calibrated = promise.calibrated(part.score)
        if calibrated is None:  # scores that rank worse than chance have no map
            assert roc_auc_score(part.y, part.score) < 0.5
            continue
        assert calibrated.mean() == pytest.approx(part.y.mean(), abs=0.02)
        assert roc_auc_score(part.y, calibrated) == pytest.approx(roc_auc_score(part.y, part.score))


@pytest.mark.long
def test_a_threshold_without_certificate_says_so_and_one_with_is_taken(folder, capsys, tmp_path):
    store = ("--store", folder / "store")
    code, out, _ = call(capsys, "finalize", "a20/forest", "--out", tmp_path / "a", "--precision",
                        0.1, *store)  # fmt: skip
    assert code == 0
    assert "not certified" in out
    assert load(tmp_path / "a").promise.threshold.certified is None
    shutil.copytree(folder / "store", tmp_path / "store")
    store = ("--store", tmp_path / "store")
    code, out, _ = call(
        capsys, "certify", "a20/forest", "--precision", 0.1, "--yes", "--json", *store
    )
    assert code == 0, out
    row = json.loads(out)["runs"][0]["threshold"]
    code, _, _ = call(capsys, "finalize", "a20/forest", "--out", tmp_path / "b", "--precision", 0.1,
                      *store)  # fmt: skip
    threshold = load(tmp_path / "b").promise.threshold
    assert (code, threshold.certified, threshold.promised) == (0, 0.1, 0.1)
    assert threshold.score == row["cut"]


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.long
def test_a_model_that_never_alarms_promises_nothing(folder, tmp_path):
    with pytest.raises(StoreError) as caught:
        finalize_named(Store(folder / "store"), "a20/base_rate", {}, tmp_path / "b")
    assert caught.value.code == "no_alarms"


@pytest.mark.long
def test_estimators_of_own_files_cannot_be_kept(folder, tmp_path, capsys):
    code, out, err = call(capsys, "finalize", "own", "--out", tmp_path / "b", "--store",
                          folder / "store")  # fmt: skip
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "b").exists()
    with pytest.raises(StoreError) as caught:
        finalize_named(Store(folder / "store"), "own", {}, tmp_path / "b", base_folder=folder)
    assert caught.value.code == "untrusted"


@pytest.mark.long
def test_other_bars_are_refused(folder, tmp_path, bundles):
    store, other = Store(folder / "store"), synthetic_bars(ALL, seed=3)
    other.frame().write_csv(tmp_path / "other.csv")
    BARS.head(CUT - 5).frame().write_csv(tmp_path / "shorter.csv")
    for name in ("other", "shorter"):
        with pytest.raises(TruenessError) as caught:
            finalize_named(store, "net", {"data": tmp_path / f"{name}.csv"}, tmp_path / "b")
        assert caught.value.code == "other_data"
    predictor = load(bundles["a20/logit"])
    with pytest.raises(TruenessError) as caught:
        predictor.predict(predictor.load({"data": tmp_path / "other.csv"}))
    assert caught.value.code == "other_series"
    with pytest.raises(TruenessError) as caught:
        predictor.predict(predictor.load({"data": tmp_path / "shorter.csv"}))
    assert caught.value.code == "old_data"
    weekly = BARS.frame()[::5]
    weekly.write_csv(tmp_path / "weekly.csv")
    with pytest.raises(TruenessError) as caught:
        predictor.predict(predictor.load({"data": tmp_path / "weekly.csv"}))
    assert caught.value.code == "other_spacing"
    longer = finalize_named(
        store, "a20/logit", {"data": folder / "longer.csv"}, tmp_path / "longer"
    )
    assert longer.bundle.description["refit"]["until"] == str(BARS.dates[-3])
    assert any("judged on data up to" in note for note in longer.bundle.description["notes"])


@pytest.mark.long
@pytest.mark.parametrize(
    ("place", "value"),
    [(("name",), None), (("task",), "x"), (("data",), "x"), (("data", "lengths"), None),
     (("data", "lineages"), {}), (("promise",), []), (("promise", "threshold", "score"), "x"),
     (("promise", "threshold", "recall"), {}), (("promise", "slope"), "x"), (("ranges",), [1]),
     (("refit", "until"), "x"), (("horizon",), -3), (("block",), 0), (("files",), [1]),
     (("members",), []), (("members", 0, "form"), "x"), (("members", 0, "settings"), {}),
     (("members", 0, "settings", "intercept"), "x"), (("members", 0, "settings", "columns"), "x"),
     (("members", 0, "settings", "columns"), [999])],
)  # fmt: skip
def test_content_of_the_wrong_kind_is_refused_even_with_its_digest(
    copied, folder, capsys, place, value
):
    bundle = copied("a20/one_feature")
    description = read_json(bundle / "bundle.json")
    part = description
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    write_json(bundle / "bundle.json", description)
    code, out, err = call(capsys, "predict", bundle, "--data", folder / "longer.csv")
    assert (code, out) == (2, "")
    assert err.startswith("trueness: ")
    assert len(err.strip().splitlines()) == 1, err
    assert not (bundle / "log.jsonl").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    "harm", ["weights", "description", "missing", "newer", "older", "field", "types"]
)
def test_a_bundle_that_was_changed_is_refused(copied, folder, capsys, harm):
    bundle = copied("a20/forest")
    description = read_json(bundle / "bundle.json")
    file = bundle / "members" / "0" / "arrays.safetensors"
    if harm == "weights":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "description":
        text = (bundle / "bundle.json").read_text()
        (bundle / "bundle.json").write_text(text.replace('"certified"', '"certifies"', 1))
    elif harm == "missing":
        file.unlink()
    elif harm in ("newer", "older"):
        write_json(bundle / "bundle.json", {**description, "format": 99 * (harm == "newer")})
    elif harm == "field":
        write_json(bundle / "bundle.json", {k: v for k, v in description.items() if k != "promise"})
    else:
        write_json(bundle / "bundle.json", {**description, "members": [{"spec": 3}]})
    code, out, err = call(capsys, "predict", bundle, "--data", folder / "longer.csv")
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1, err
    with pytest.raises(StoreError) as caught:
        _predicted(bundle, folder)
    assert caught.value.code == (harm if harm in ("newer", "older") else "damaged")


@pytest.mark.parametrize(
    "name", ["measures/../../x", "measures//tmp/x", "/tmp/x", "../x", "measures/./x", "a/", "a\0b"]
)
def test_names_that_lead_out_of_a_bundle_are_refused(copied, folder, capsys, name):
    bundle = copied()
    description = read_json(bundle / "bundle.json")
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    description["files"][name] = {"sha256": nothing}
    write_json(bundle / "bundle.json", description)
    with pytest.raises(StoreError) as caught:
        open_bundle(bundle)
    assert caught.value.code == "damaged"
    code, _, err = call(capsys, "predict", bundle, "--data", folder / "longer.csv")
    assert (code, len(err.strip().splitlines())) == (2, 1)


def test_a_pipe_in_place_of_a_file_is_refused_instead_of_waited_for(copied, folder):
    bundle = copied()
    file = next(one for one in (bundle / "members").rglob("*") if one.is_file())
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(StoreError) as caught:
        _predicted(bundle, folder)
    assert caught.value.code == "damaged"


@pytest.mark.long
def test_a_pickle_is_never_opened(copied, folder):
    """A file of skops that names a foreign type, with a digest that fits, builds nothing."""
    import hashlib
    import zipfile

    bundle = copied("bayes")
    file = bundle / "members" / "0" / "model.skops"
    content = {}
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(content["schema.json"])
    schema["__module__"], schema["__class__"] = "subprocess", "Popen"
    with zipfile.ZipFile(file, "w") as archive:
        for name, one in {**content, "schema.json": json.dumps(schema).encode()}.items():
            archive.writestr(name, one)
    description = read_json(bundle / "bundle.json")
    description["files"]["members/0/model.skops"]["sha256"] = hashlib.sha256(
        file.read_bytes()).hexdigest()  # fmt: skip
    write_json(bundle / "bundle.json", description)
    with pytest.raises(StoreError) as caught:
        load(bundle).predict(_longer(load(bundle), folder))
    assert caught.value.code == "untrusted"


@pytest.mark.long
def test_a_bundle_never_replaces_what_is_no_bundle_nor_a_log(folder, copied, tmp_path):
    store, bundle = Store(folder / "store"), copied()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for out in ("mine", "file"):
        with pytest.raises(StoreError) as caught:
            finalize_named(store, "a20/logit", {}, tmp_path / out)
        assert caught.value.code == "out"
    before = read_json(bundle / "bundle.json")["made"]
    finalize_named(store, "a20/logit", {}, bundle)
    assert read_json(bundle / "bundle.json")["made"] >= before
    predictor = load(bundle)
    assert predictor.predict(_longer(predictor, folder)).written_down() > 0
    with pytest.raises(StoreError) as caught:
        finalize_named(store, "a20/logit", {}, bundle)
    assert caught.value.code == "logged"


# --------------------------------------------------------------------------------------- odd input


@pytest.mark.long
def test_odd_bars_are_told(bundles, folder, without):
    predictor = load(bundles["a20/logit"])
    last = BARS.head(CUT + 5)
    fields = {n: getattr(last, n).copy() for n in ("open", "high", "low", "close")}
    for values in fields.values():
        values[-1] = values[-2]
    stale = without(last, **fields)
    data = task_of("market").load({"data": stale.frame()})
    notes = predictor.predict(replace(data)).notes
    assert any("repeats the one before" in note for note in notes)
    assert predictor.predict(_longer(predictor, folder)).notes == ()


@pytest.mark.long
def test_values_outside_the_training_range_are_named_and_many_of_them_get_no_answer(copied, folder):
    bundle = copied("a20/logit")
    description = read_json(bundle / "bundle.json")
    names = list(description["ranges"])
    for name in names[:1]:
        description["ranges"][name] = [0.0, 1e-9]
    write_json(bundle / "bundle.json", description)
    frame = load(bundle).predict(_longer(load(bundle), folder)).frame
    assert all(names[0] in odd for odd in frame["odd"].to_list()[-5:])
    for name in names:
        description["ranges"][name] = [0.0, 1e-9]
    write_json(bundle / "bundle.json", description)
    frame = load(bundle).predict(_longer(load(bundle), folder)).frame
    assert set(frame["answer"]) == {"abstains"}


# ----------------------------------------------------------------------------------- log, monitor


@pytest.mark.long
def test_the_log_cannot_be_rewritten(copied, folder):
    predictor = load(copied())
    actual = predictor.predict(_longer(predictor, folder))
    assert actual.written_down() == len(actual.frame)
    assert actual.written_down() == 0  # the same again
    log = predictor.bundle.log
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    changed = [
        whole.replace(b'"no alarm"', b'"alarm"', 1), b"".join(lines[1:]),
        b"".join(lines[:3] + lines[4:]), b"".join([lines[1], lines[0], *lines[2:]]), whole[:-7],
        b"[" * 10_000 + whole, whole[:-1],
    ]  # fmt: skip
    for content in changed:
        log.write_bytes(content)
        with pytest.raises(StoreError) as caught:
            read_log(predictor.bundle)
        assert caught.value.code == "damaged"
    log.write_bytes(whole)
    assert len(read_log(predictor.bundle).predictions) == len(actual.frame)
    first = actual.frame["id"][0]
    assert append(predictor.bundle, OUTCOME, [{"id": first, "y": 1}]) == 1
    assert append(predictor.bundle, OUTCOME, [{"id": first, "y": 1}]) == 0
    with pytest.raises(StoreError) as caught:
        append(predictor.bundle, OUTCOME, [{"id": first, "y": 0}])
    assert caught.value.code == "contradiction"
    assert append(predictor.bundle, PREDICTION, [{"id": "new", "score": 1.0}]) == 1


@pytest.mark.long
def test_a_line_that_says_nothing_is_refused_even_with_its_digest(copied):
    bundle = load(copied()).bundle
    whole = {"id": "a", "score": 1.0, "answer": "alarm"}
    for odd in ({"id": 3}, {"score": "x"}, {"answer": None}, {"time": 5}, {"calibrated": "x"}):
        append(bundle, PREDICTION, [{**whole, **odd}])
        with pytest.raises(StoreError) as caught:
            read_log(bundle)
        assert caught.value.code == "damaged"
        bundle.log.unlink()


@pytest.mark.long
def test_only_bars_of_the_series_say_what_came(copied, folder, tmp_path):
    """Labels of other bars would be believed: their days are the same."""
    predictor = load(copied())
    predictor.predict(_longer(predictor, folder)).written_down()
    synthetic_bars(ALL, seed=3).frame().write_csv(tmp_path / "other.csv")
    BARS.frame()[::5].write_csv(tmp_path / "weekly.csv")
    bundle = trueness.load(predictor.bundle.folder)
    for name, error in (("other", "other_series"), ("weekly", "other_spacing")):
        with pytest.raises(TruenessError) as caught:
            bundle.monitor(tmp_path / f"{name}.csv")
        assert caught.value.code == error
    assert not read_log(predictor.bundle).outcomes


@pytest.mark.long
def test_revised_bars_are_answered_anew_and_the_log_keeps_the_first_answer(copied, folder, without):
    predictor = load(copied())
    first = predictor.predict(_longer(predictor, folder)).logged()
    assert first.notes == ()
    close = BARS.close.copy()
    close[-3] = BARS.low[-3]
    revised = task_of("market").load({"data": without(BARS, close=close).frame()})
    second = predictor.predict(revised).logged()
    assert any("answered otherwise before" in note for note in second.notes)
    logged = read_log(predictor.bundle).predictions
    assert logged[first.frame["id"][-1]]["score"] == first.frame["score"][-1]


@pytest.mark.long
@pytest.mark.parametrize("since", ["20240131", "1994", "now", "NaT", "", "-5", "1994-13-01", 5])
def test_since_is_a_date_and_nothing_else(bundles, folder, since):
    bundle = trueness.load(bundles["a20/logit"])
    with pytest.raises(TruenessError) as caught:
        bundle.predict(folder / "longer.csv", since=since)
    assert caught.value.code == "since"
    with pytest.raises(TruenessError):  # rather than a log that is silently not written
        bundle.predict(folder / "longer.csv", since="1994-12-01", log=True)
    zoned = bundle.predict(folder / "longer.csv", since="1995-01-02T00:30+02:00").to_frame()
    assert str(zoned["time"].min()) == "1995-01-02"


@pytest.mark.long
def test_the_whole_way_by_command(folder, tmp_path, capsys):
    store = ("--store", folder / "store")
    code, out, err = call(capsys, "finalize", "lightgbm", "--out", tmp_path / "b", *store)
    assert code == 0, err
    assert "Promise that is watched" in out
    code, _, err = call(capsys, "monitor", tmp_path / "b", "--data", folder / "longer.csv")
    assert code == 2
    assert "nothing was predicted" in err
    BARS.head(CUT + 60).frame().write_csv(tmp_path / "middle.csv")
    code, out, err = call(capsys, "predict", tmp_path / "b", "--data", tmp_path / "middle.csv",
                          "--csv", tmp_path / "p.csv", "--json")  # fmt: skip
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert pl.read_csv(tmp_path / "p.csv")["score"].to_list() == pytest.approx(
        [row["score"] for row in rows])  # fmt: skip
    assert len(rows) == 62
    code, out, err = call(
        capsys, "monitor", tmp_path / "b", "--data", folder / "longer.csv", "--json"
    )
    actual = json.loads(out)
    assert (code, actual["predicted"], actual["known"]) == (0, 62, 62)
    y = {row["id"]: row["y"] for row in actual["rows"]}
    alarms = [row for row in rows if row["answer"] == "alarm"]
    assert actual["precision"]["n"] == len(alarms)
    assert actual["precision"]["k"] == sum(y[row["id"]] for row in alarms)
    code, out, _ = call(capsys, "monitor", tmp_path / "b", "--data", folder / "longer.csv")
    assert code == 0
    assert "Monitoring of lightgbm" in out
    assert "refuted since" not in out
    code, _, err = call(capsys, "predict", tmp_path / "b", "--data", tmp_path / "middle.csv",
                        "--since", "1900-01-01", "--no-log")  # fmt: skip
    assert code == 0, err
    for words in (("--since", "soon"), ("--vix", "x.csv")):
        assert (
            call(capsys, "predict", tmp_path / "b", "--data", folder / "bars.csv", *words)[0] == 2
        )


@pytest.mark.long
def test_a_broken_promise_is_refuted_on_a_day(copied, folder, capsys, tmp_path):
    """Labels that say the opposite of what was promised, through the log and by --labels."""
    predictor = load(copied("lightgbm"))
    days = pl.date_range(pl.date(2030, 1, 1), pl.date(2032, 6, 30), eager=True)
    ids = days.cast(pl.String).to_list()
    append(predictor.bundle, PREDICTION, [
        {"id": i, "time": i, "score": 9.0, "calibrated": 0.9, "answer": "alarm"} for i in ids
    ])  # fmt: skip
    pl.DataFrame({"id": ids, "y": [0] * len(ids)}).write_csv(tmp_path / "labels.csv")
    code, out, err = call(capsys, "monitor", predictor.bundle.folder, "--labels",
                          tmp_path / "labels.csv")  # fmt: skip
    assert code == 1, err
    assert "is refuted since 203" in out
    actual = predictor_monitor(predictor)
    assert actual.precision.k == 0
    assert actual.precision.high < predictor.promise.threshold.promised
    for rows, error in (
        ({"id": ids[:1], "y": [1]}, "contradiction"), ({"id": ["x"], "y": [1]}, "unknown_ids"),
        ({"id": ids[:1], "y": [2]}, "labels"), ({"id": ids[:1]}, "missing_column"),
        ({"id": [ids[0]] * 2, "y": [0, 1]}, "contradiction"),
        ({"id": [ids[0], None], "y": [0, 0]}, "labels"),
    ):  # fmt: skip
        with pytest.raises(TruenessError) as caught:
            predictor_monitor(predictor, pl.DataFrame(rows))
        assert caught.value.code == error


@pytest.mark.long
def test_labels_of_other_rows_are_told_and_ids_are_texts(copied, tmp_path, capsys):
    bundle = load(copied()).bundle
    append(bundle, PREDICTION, [{"id": i, "score": 1.0, "answer": "alarm"} for i in ("007", "08")])
    (tmp_path / "labels.csv").write_text("id,y\n007,true\n08,0\n9,1\n")
    code, out, err = call(capsys, "monitor", bundle.folder, "--labels", tmp_path / "labels.csv",
                          "--json")  # fmt: skip
    assert code == 0, err
    actual = json.loads(out)
    assert {row["id"]: row["y"] for row in actual["rows"]} == {"007": 1, "08": 0}
    assert actual["notes"] == ["1 label of rows that were never predicted by this bundle"]


def predictor_monitor(predictor, labels=None):
    from trueness.bundle.monitoring import monitor

    return monitor(predictor, labels=labels)


# ------------------------------------------------------------------------------------ API, tables


@pytest.mark.long
def test_a_table_is_used_like_bars(tmp_path):
    """Text columns, gaps and categories are prepared as in training, from the bundle alone."""
    rng = np.random.default_rng(0)
    n = 900
    frame = pl.DataFrame({
        "amount": rng.lognormal(size=n), "kind": rng.choice(["a", "b", "c"], n),
        "gap": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
        "whole": rng.integers(0, 9, n), "day": pl.date_range(
            pl.date(2020, 1, 1), pl.date(2020, 1, 1) + pl.duration(days=n - 1), eager=True),
    })  # fmt: skip
    logit = frame["amount"].to_numpy() + (frame["kind"] == "b").to_numpy() - 2.5
    frame = frame.with_columns(y=(rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int))
    frame.write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "t.yaml").write_text(
        "campaign: t\ndata: rows.parquet\ndefaults:\n  task: {kind: table, label: y, time: day, context: 1}\n"
        "  recipe: {epochs: 2, precision: float32}\nexperiments:\n"
        "  - {id: net, model: {kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 1, stride: 1, revin: false}}\n"
    )
    run_api(tmp_path / "t.yaml", store=tmp_path / "store", workers=0, device="cpu", progress=False)
    new = frame.tail(50).drop("y")
    for kind in ("net", "table/forest", "table/logit"):
        out = tmp_path / kind.rpartition("/")[2]
        bundle = trueness.finalize(kind, out, store=tmp_path / "store", device="cpu")
        answer = bundle.predict(new)
        assert len(answer.to_frame()) == 50
        again = trueness.load(out)
        classifier = again.as_estimator()
        np.testing.assert_allclose(classifier.decision_function(new), answer.to_frame()["score"])
        p = classifier.predict_proba(new)
        assert p.shape == (50, 2)
        np.testing.assert_allclose(p.sum(axis=1), 1)
        unknown = new.with_columns(kind=pl.lit("never seen"))
        assert again.predict(unknown).to_frame()["score"].is_finite().all()
        shuffled = new.select(new.columns[::-1])
        np.testing.assert_allclose(again.predict(shuffled).to_frame()["score"],
                                   answer.to_frame()["score"])  # fmt: skip
        for rows, error in (
            (new.drop("amount"), "missing_column"),
            (new.with_columns(amount=pl.lit("x")), "other_kind"),
        ):
            with pytest.raises(TruenessError) as caught:
                again.predict(rows)
            assert caught.value.code == error
        with pytest.raises(TruenessError) as caught:
            again.predict(new, vix=new)
        assert caught.value.code == "no_source"
        with pytest.raises(TruenessError) as caught:
            classifier.fit(new, [0])
        assert caught.value.code == "fitted"
    labels = pl.DataFrame({"id": answer.to_frame()["id"], "y": frame.tail(50)["y"]})
    again.predict(new, log=True)
    watched = again.monitor(labels=labels).judgement
    assert len(watched.frame) == 50


def _rows(n=400):
    rng = np.random.default_rng(1)
    x = rng.normal(size=n)
    return pl.DataFrame({
        "name": [f"order {i}" for i in range(n)], "x": x, "whole": rng.integers(0, 9, n),
        "code": rng.integers(100, 104, n), "flag": rng.random(n) < 0.5,
        "shop": rng.choice(["a", "b"], n),
        "day": pl.Series(np.datetime64("2020-01-01") + rng.integers(0, 90, n)),
        "y": (x + rng.normal(size=n) > 0.8).astype(int),
    })  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Bundles of a table with days, many rows a day: of single rows, and of windows."""
    folder = tmp_path_factory.mktemp("shop")
    _rows().write_csv(folder / "rows.csv")
    for name, more in (("one", "context: 1"), ("three", "context: 3, group: shop")):
        (folder / f"{name}.yaml").write_text(
            f"campaign: {name}\ndata: {folder}/rows.csv\ndefaults:\n  task: {{kind: table, "
            f"label: y, time: day, drop: [name], categories: [code], {more}}}\n"
            f"experiments: [{{id: {name}, model: logit}}]\n"
        )
        run_api(folder / f"{name}.yaml", store=folder / "store", workers=0, progress=False)
        trueness.finalize(name, folder / name, store=folder / "store")
    return folder


def test_rows_say_what_they_said_in_training_or_are_refused(shop):
    """Categories that are numbers, numbers that lost their kind in a file, columns without values."""
    bundle, new = trueness.load(shop / "one"), _rows().tail(30).drop("y")
    scores = bundle.predict(new).to_frame()["score"]
    nothing = pl.lit(None, dtype=pl.String)
    for same in (
        new.with_columns(pl.col("whole", "code").cast(pl.Float64)),
        new.with_columns(pl.col("flag").cast(pl.Int64)),
        new.to_pandas(),
    ):
        np.testing.assert_allclose(bundle.predict(same).to_frame()["score"], scores)
    for column in ("x", "whole", "code", "flag"):
        assert len(bundle.predict(new.with_columns(nothing.alias(column))).to_frame()) == 30
    for odd in (
        new.with_columns(pl.col("whole") + 0.5), new.with_columns(whole=pl.col("day")),
        new.with_columns(x=pl.col("flag")), new.with_columns(flag=pl.lit(7)),
        new.with_columns(code=pl.lit("x")),
    ):  # fmt: skip
        with pytest.raises(TruenessError) as caught:
            bundle.predict(odd)
        assert caught.value.code == "other_kind"


def test_a_classifier_scores_a_table_in_its_own_order(shop):
    """Answers come the oldest first; what scikit-learn calls expects a score per row in order."""
    bundle, new = trueness.load(shop / "one"), _rows().tail(30)
    classifier = bundle.as_estimator()
    scores = classifier.decision_function(new)
    single = [classifier.decision_function(new[i : i + 1])[0] for i in range(len(new))]
    np.testing.assert_allclose(scores, single, atol=1e-6)
    answered = bundle.predict(new).to_frame()
    assert answered["time"].is_sorted()
    by_id = dict(zip(answered["id"], answered["score"], strict=True))
    np.testing.assert_allclose([by_id[str(i + 1)] for i in range(30)], scores)
    with pytest.raises(TruenessError) as caught:
        trueness.load(shop / "three").as_estimator().decision_function(new)
    assert caught.value.code == "short_groups"


def test_rows_without_an_answer_are_told(shop):
    actual = trueness.load(shop / "three").predict(_rows().tail(30)).judgement
    (note,) = actual.notes
    assert note.startswith(f"{30 - len(actual.frame)} rows with fewer than 2 before them")
    with_ties = _rows().tail(30).with_columns(day=pl.lit("2021-01-01"))
    assert "2021-01-01" in trueness.load(shop / "one").predict(with_ties).judgement._headline()


def test_rows_of_another_file_are_never_taken_for_those_that_were_logged(shop, tmp_path, capsys):
    shutil.copytree(shop / "one", tmp_path / "b")
    bundle, rows = trueness.load(tmp_path / "b"), _rows()
    bundle.predict(rows.tail(30), log=True)
    bundle.predict(rows.tail(30), log=True)  # the same rows once more
    with pytest.raises(StoreError) as caught:
        bundle.predict(rows.head(30), log=True)
    assert caught.value.code == "contradiction"
    assert len(read_log(bundle.predictor.bundle).predictions) == 30
    rows.head(30).write_csv(tmp_path / "new.csv")
    for _ in range(2):
        code, _, err = call(capsys, "predict", tmp_path / "b", "--data", tmp_path / "new.csv",
                            "--id-column", "name")  # fmt: skip
        assert code == 0, err
    assert "order 7" in read_log(bundle.predictor.bundle).predictions
    assert len(read_log(bundle.predictor.bundle).predictions) == 60
    labels = rows.head(30).select(pl.col("name").alias("id"), "y").reverse()
    watched = bundle.monitor(labels=labels).to_frame()
    assert dict(watched.select("id", "y").iter_rows()) == dict(labels.iter_rows())
    for column, error in (("shop", "doubled_id"), ("nix", "unknown_column")):
        with pytest.raises(TruenessError) as caught:
            bundle.predict(rows, id_column=column)
        assert caught.value.code == error


# ------------------------------------------------------------------------- panels, index, features


def _written(folder, name, task, data):
    (folder / f"{name}.yaml").write_text(
        f"campaign: {name}\n{data}\ndefaults:\n  task: {{context: 20, horizon: 2, {task}}}\n"
        f"  evaluation: {{protocol: walk_forward}}\nexperiments: [{{id: {name}, model: logit}}]\n"
    )
    run_api(folder / f"{name}.yaml", store=folder / "store", workers=0, progress=False)
    return Store(folder / "store")


@pytest.mark.long
def test_series_of_a_panel_are_known_by_name_and_bars(tmp_path):
    every = {name: synthetic_bars(ALL, seed=i).frame() for i, name in enumerate("CAB")}

    def long(of, rows=ALL):
        return pl.concat(f.head(rows).with_columns(ticker=pl.lit(n)) for n, f in of.items())

    (tmp_path / "panel").mkdir()
    for name, frame in every.items():
        frame.head(CUT).write_csv(tmp_path / "panel" / f"{name}.csv")
    store = _written(tmp_path, "panel", "tier: a20", f"data: {tmp_path}/panel")
    finalize_named(store, "panel", {}, tmp_path / "b")
    bundle = trueness.load(tmp_path / "b")
    actual = bundle.predict(long(every)).judgement
    assert actual.notes == ()
    assert actual.frame["time"].is_sorted()
    assert str(actual.frame["time"].max()) in actual._headline()
    other = {**every, "B": synthetic_bars(ALL, seed=9).frame()}
    assert any("the bars of B" in note for note in bundle.predict(long(other)).judgement.notes)
    less = {name: every[name] for name in "AC"}
    assert any("without B" in note for note in bundle.predict(long(less)).judgement.notes)
    with pytest.raises(TruenessError) as caught:
        bundle.predict(long({**every, "D": every["A"]}))
    assert caught.value.code == "other_series"


@pytest.mark.long
@pytest.mark.parametrize("kind", ["vix", "features", "function"])
def test_what_else_columns_are_made_of_belongs_to_the_run(tmp_path, kind):
    """Another index or other features beside the same bars: told, and nothing is fitted on them."""
    rng = np.random.default_rng(0)
    dates, values = BARS.frame()["Date"], rng.normal(size=ALL).cumsum() / 9 + 20
    table = pl.DataFrame({"Date": dates, "Close" if kind == "vix" else "mine": values})
    BARS.head(CUT).frame().write_csv(tmp_path / "bars.csv")
    option = "vix" if kind == "vix" else "features"
    data = f"data: {tmp_path}/bars.csv\n{option}: {tmp_path}/first.csv"
    source = "def mine(bars):\n    return bars.select('Date', mine=bars['Close'] / bars['Open'])\n"
    now = {option: table}
    if kind == "function":
        (tmp_path / "my.py").write_text(source)
        data, now = f"data: {tmp_path}/bars.csv\nfeatures: my.py:mine", {option: "my.py:mine"}
    table.head(CUT).write_csv(tmp_path / "first.csv")
    task = "columns: [rsi_daily, vrp_10d]" if kind == "vix" else "tier: own"
    store, out = _written(tmp_path, "else", task, data), tmp_path / "b"
    finalize_named(store, "else", {}, out, base_folder=tmp_path)
    predictor = load(out, tmp_path)
    assert predictor.predict(predictor.load({"data": BARS.frame(), **now})).notes == ()
    with pytest.raises(TruenessError) as caught:
        predictor.predict(predictor.load({"data": BARS.frame()}))
    assert caught.value.code == "no_source"
    with pytest.raises(TruenessError) as caught:
        predictor.load_if_given({"data": None, **now})
    assert caught.value.code == "no_data"
    if kind == "function":
        (tmp_path / "my.py").write_text(source.replace(" / ", " - "))
        other = now
    else:
        other = {option: table.with_columns(pl.exclude("Date") * 2)}
    notes = predictor.predict(predictor.load({"data": BARS.frame(), **other})).notes
    assert any("differ" in note for note in notes)
    with pytest.raises(TruenessError) as caught:
        finalize_named(store, "else", other, tmp_path / "c", base_folder=tmp_path)
    assert caught.value.code == "other_data"
    assert not (tmp_path / "c").exists()


@pytest.mark.long
def test_a_place_that_takes_no_bundle_is_refused_before_a_fit(folder, bundles, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    shutil.copytree(bundles["a20/logit"], tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").write_text("what I thought of it")
    for out in (tmp_path / "file" / "b", tmp_path / "mine", ""):
        code, _, err = call(capsys, "finalize", "a20/logit", "--out", out, "--store",
                            folder / "store")  # fmt: skip
        assert code == 2
        assert len(err.strip().splitlines()) == 1, err
    assert (tmp_path / "mine" / "notes.txt").exists()


@pytest.mark.long
def test_labels_without_rows_are_refused(copied):
    bundle = load(copied())
    append(bundle.bundle, PREDICTION, [{"id": "a", "score": 1.0, "answer": "alarm"}])
    with pytest.raises(TruenessError) as caught:
        predictor_monitor(bundle, pl.DataFrame({"id": [], "y": []}))
    assert caught.value.code == "labels"
