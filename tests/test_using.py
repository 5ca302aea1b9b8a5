"""What the verbs about use say of options, files and folders that do not fit."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

import trueness
from tests.test_cli import call
from trueness.bundle.class_promise import ClassPromise
from trueness.bundle.finalizing import finalize_named
from trueness.bundle.format import DESCRIPTION, open_bundle
from trueness.bundle.payoff import payoff
from trueness.bundle.predicting import load
from trueness.bundle.promise import Promise, Threshold
from trueness.errors import TruenessError
from trueness.evaluation.group_calibration import GroupTemperatures
from trueness.evaluation.intervals import Estimate
from trueness.files import read_json, write_json
from trueness.market import panel, synthetic_bars
from trueness.store import Store
from trueness.text.corpus import DESCRIPTION as CORPUS

CUT = 1000
BARS = synthetic_bars(1100)
CAMPAIGN = """\
campaign: use
data: bars.csv
defaults:
  task: {columns: [return_1d, atr_pct]}
  evaluation: {protocol: walk_forward, block_years: 2}
experiments:
  - {id: F, model: {kind: forest, n_estimators: 10}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bars, longer bars, an index, a run and its bundle; read only."""
    folder = tmp_path_factory.mktemp("use")
    BARS.head(CUT).frame().write_csv(folder / "bars.csv")
    BARS.frame().write_csv(folder / "longer.csv")
    index = pl.DataFrame({"Date": BARS.dates, "Close": np.full(len(BARS), 20.0)})
    index.write_csv(folder / "vix.csv")
    (folder / "use.yaml").write_text(CAMPAIGN)
    trueness.run(folder / "use.yaml", store=folder / "store", workers=0, device="cpu",
                 progress=False)  # fmt: skip
    finalize_named(Store(folder / "store"), "F", {}, folder / "b", device="cpu")
    return folder


@pytest.fixture
def bundle(folder, tmp_path):
    """A copy that has predicted."""
    shutil.copytree(folder / "b", tmp_path / "b")
    trueness.load(tmp_path / "b").predict(folder / "longer.csv", log=True)
    return tmp_path / "b"


@pytest.mark.parametrize(
    "words", [("payoff", "F"), ("importance", "F", "--repeats", 1), ("predict", "B", "--data", "LONGER"),
              ("monitor", "B", "--data", "LONGER")],
)  # fmt: skip
def test_an_index_that_nothing_reads_is_told(folder, bundle, capsys, words):
    names = {"B": bundle, "LONGER": folder / "longer.csv"}
    store = () if "B" in words else ("--store", folder / "store")
    arguments = [names.get(word, word) for word in words]
    notes = []
    for more in ((), ("--vix", folder / "vix.csv")):
        code, out, err = call(capsys, *arguments, *store, *more, "--json")
        assert code == 0, err
        notes.append(sum("--vix" in note for note in json.loads(out)["notes"]))
    assert notes == [0, 1]


def test_a_refit_tells_of_an_index_that_it_does_not_read(folder, tmp_path, capsys):
    _, _, err = call(capsys, "finalize", "F", "--store", folder / "store", "--out", tmp_path / "b",
                     "--vix", folder / "vix.csv")  # fmt: skip
    assert err.count("--vix is not read") == 1


def test_a_bundle_that_cannot_be_written_is_monitored_as_long_as_nothing_is_new(folder, bundle):
    labels = pl.DataFrame({"id": [str(day) for day in BARS.dates[CUT + 1 :][:50]], "y": [0] * 50})
    first = trueness.load(bundle).monitor(labels=labels).to_dict()
    lock = bundle / "log.jsonl.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()  # what nobody, not even root, can open for writing
    assert trueness.load(bundle).monitor(labels=labels).to_dict() == first
    assert trueness.load(bundle).monitor().to_dict()["known"] == 50
    with pytest.raises(TruenessError) as caught:
        trueness.load(bundle).monitor(folder / "longer.csv")
    assert caught.value.code in ("log", "contradiction")


def test_bars_that_end_before_the_first_answer_say_nothing(bundle):
    with pytest.raises(TruenessError) as caught:
        trueness.load(bundle).monitor(BARS.head(400).frame())
    assert caught.value.code == "old_data"


def test_options_are_called_as_they_are_typed(bundle, capsys):
    code, out, err = call(capsys, "predict", bundle, "--data", "synthetic", "--text-column", "x")
    assert (code, out) == (2, "")
    assert "--text-column" in err


@pytest.mark.parametrize(
    "content", ["id\n1\n", "id,y\n", "id,y\n1995-01-02,2\n", "id,y\nnone,1\n",
                "id,y\n1995-01-02,1\n1995-01-02,0\n", "id,y\n,1\n"],
)  # fmt: skip
def test_refusals_of_labels_name_their_file(bundle, tmp_path, capsys, content):
    (tmp_path / "what_came.csv").write_text(content)
    code, out, err = call(capsys, "monitor", bundle, "--labels", tmp_path / "what_came.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "what_came.csv" in err


def test_what_stands_in_the_way_of_a_bundle_is_named(folder, tmp_path):
    shutil.copytree(folder / "b", tmp_path / "b")
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(TruenessError, match=r"notes\.txt") as caught:
        finalize_named(Store(folder / "store"), "F", {}, tmp_path / "b", device="cpu")
    assert caught.value.code == "out"


@pytest.mark.parametrize("name", panel.OTHERS)
def test_folders_of_other_kinds_are_no_bars(folder, tmp_path, name, capsys):
    (tmp_path / name).write_text("{}")
    BARS.frame().write_parquet(tmp_path / "train.parquet")
    with pytest.raises(TruenessError) as caught:
        panel.load_panel(tmp_path)
    assert caught.value.code == "no_bars"
    code, out, err = call(capsys, "finalize", "F", "--store", folder / "store", "--data", tmp_path,
                          "--out", tmp_path / "b")  # fmt: skip
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_the_names_by_which_folders_are_known_are_theirs(folder):
    assert {DESCRIPTION, CORPUS} < set(panel.OTHERS)
    assert [name for name in panel.OTHERS if (folder / "store" / name).is_file()] == ["store.json"]


def test_a_promise_without_an_alarm_is_a_sentence(bundle):
    note = read_json(bundle / DESCRIPTION)
    none = Estimate(None, None, None, 0, 0).to_dict()
    note["promise"]["threshold"] |= {"precision": none, "score": 1e9}
    write_json(bundle / DESCRIPTION, note)
    promise = load(bundle).promise
    empty = ClassPromise("validation", 9, ("a", "b"), 0.9, Estimate.proportion(5, 9),
                         GroupTemperatures(1.0, {}, 1.0), {}, {})  # fmt: skip
    for one in (promise, empty):
        assert "0/0" not in " ".join([one.expectation, *one.summary()])
    shown = trueness.load(bundle).predict(BARS.frame())
    assert "0/0" not in str(shown)
    assert open_bundle(bundle).name == "F"


def _first_lines(capsys, *words):
    """First sentence of what a command prints below its heading, also of a refuted promise."""
    code, out, err = call(capsys, *words)
    assert code in (0, 1), err
    return " ".join(out.split("\n\n")[1].split())


@pytest.mark.parametrize(
    ("low", "certified", "cautions"),
    [(0.01, None, ("not certified", "below the base rate")), (0.99, None, ("not certified",)),
     (0.01, 0.02, ("below the base rate",)), (0.01, 0.99, ())],
)  # fmt: skip
def test_a_weak_promise_is_told_with_every_answer(folder, bundle, capsys, low, certified, cautions):
    note = read_json(bundle / DESCRIPTION)
    note["promise"]["threshold"]["precision"]["low"] = low
    note["promise"]["threshold"]["certified"] = certified
    write_json(bundle / DESCRIPTION, note)
    for verb in ("predict", "monitor"):
        said = _first_lines(capsys, verb, bundle, "--data", folder / "longer.csv")
        actual = tuple(c for c in ("not certified", "below the base rate") if c in said)
        assert actual == cautions, said


def test_a_refused_certificate_is_the_first_word_of_a_bundle(folder, tmp_path, capsys):
    words = ("finalize", "F", "--store", folder / "store", "--out", tmp_path / "b")
    said = _first_lines(capsys, *words, "--precision", 0.97)
    promise = load(tmp_path / "b").promise
    assert promise.asked == 0.97
    assert said.startswith("NOT certified at 97 %")
    assert ("below the base rate" in said) == (promise.promised < promise.base_rate.value)
    assert not _first_lines(capsys, *words).startswith("NOT certified")


def test_a_refit_says_what_stopped_it_and_up_to_when(folder, tmp_path, capsys):
    store = ("--store", folder / "store")
    said = _first_lines(capsys, "finalize", "columns/logit", *store, "--out", tmp_path / "a")
    refit = open_bundle(tmp_path / "a").description["refit"]
    stopped = f"stopped on the {refit['validation'][0]} latest, up to {BARS.dates[CUT - 2]}"
    assert f"fitted on {refit['train'][0]} examples, {stopped}" in said
    assert "stopped on" not in _first_lines(
        capsys, "finalize", "F", *store, "--out", tmp_path / "b"
    )


def test_columns_that_are_empty_in_all_rows_are_left_out(folder, bundle):
    note = read_json(bundle / DESCRIPTION)
    note["promise"] |= {"slope": None, "intercept": None}
    data = load(bundle).load({"data": folder / "longer.csv"})
    for ranges, odd in (({}, set()), ({"atr_pct": [0.0, 1e-9]}, {"odd"})):
        write_json(bundle / DESCRIPTION, note | {"ranges": ranges})
        (table,) = load(bundle).predict(data).document().tables()
        assert {c.title for c in table.columns} == {"time", "answer", "score", "probability"} | odd
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_bars_of_the_fit_that_are_answered_are_told(folder, bundle, capsys):
    _, out, _ = call(capsys, "predict", bundle, "--data", folder / "longer.csv")
    assert "1 row is of bars that the fit could not use" in out
    assert "could not use" not in call(capsys, "predict", bundle, "--data", folder / "longer.csv",
                                       "--since", BARS.dates[CUT])[1]  # fmt: skip


def test_returns_without_an_interval_speak_of_none(folder):
    actual = payoff(Store(folder / "store"), "F", {})
    assert "Intervals" in actual._how()
    names = ("mean", "every_day", "difference", "of_baseline", "lead")
    bare = {name: Estimate(0.1, None, None, 3) for name in names}
    assert "Intervals" not in type(actual)(**{**vars(actual), **bare})._how()


def test_an_interrupted_refit_says_how_it_goes_on(folder, tmp_path, capsys, monkeypatch):
    def interrupted(*args, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr("trueness.bundle.finalizing._fitted", interrupted)
    code, out, err = call(
        capsys, "finalize", "F", "--store", folder / "store", "--out", tmp_path / "b"
    )
    assert code not in (0, 2)
    assert (out, "same command" in err, (tmp_path / "b").exists()) == ("", True, False)


@pytest.mark.parametrize(
    ("rows", "highest", "silent"), [(199, 0.4, False), (200, 0.4, True), (200, 0.5, False)]
)
def test_alarms_that_do_not_come_are_said(rows, highest, silent):
    """Of 1,200 units out of fold 30 raised an alarm: five are to be expected of 200."""
    some = Estimate.proportion(12, 30)
    threshold = Threshold(0.5, some, Estimate.proportion(12, 200), None, None)
    promise = Promise("oof", 1200, 200, threshold, Estimate.proportion(200, 1200), None, None)
    scores = np.append(np.full(rows - 1, -2.0), highest)
    assert bool(promise.silence(scores)) == silent
