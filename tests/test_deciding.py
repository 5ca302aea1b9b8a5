"""Thresholds, certificates, the planner and the ledger, as a user meets them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.test_cli import call
from trueness.baselines import MAX_TREES, PENALTIES
from trueness.errors import StoreError, TruenessError
from trueness.examples import PARTS, Examples
from trueness.store.ledger import Ledger, ledger_lines
from trueness.record import HISTORY, make_record, predictions_table
from trueness.judge.certificates import CHOICES, certify_runs
from trueness.judge.parts import part_of
from trueness.judge.thresholds import Demand, thresholds_of
from trueness.spec import Spec
from trueness.store import Store

ROOT = Path(__file__).resolve().parents[1]
DATA = {"bars": "made up", "digest": "0123456789ab", "as_of": "2005-01-01"}


def _examples(folds, n=1500, seed=0):
    """Days whose labels a column predicts well; `folds` holds (train, validation, last) bounds."""
    rng = np.random.default_rng(seed)
    last = rng.standard_normal(n)
    parts = np.zeros((len(folds), n), np.int8)
    for fold, (train, stop, end, name) in enumerate(folds):
        parts[fold, :train] = PARTS.index("train")
        parts[fold, train:stop] = PARTS.index("validation")
        parts[fold, stop:end] = PARTS.index(name)
    return Examples(
        series=np.append(np.zeros(19), last)[:, None].astype(np.float32),
        start=np.arange(n),
        context=20,
        y=(last + 0.5 * rng.standard_normal(n) > 1.0).astype(np.uint8),
        when=np.datetime64("2001-01-01") + np.arange(n),
        group=np.full(n, "calm"),
        parts=parts,
        features=("a",),
    )


MISSION = _examples([(500, 1000, 1500, "test")])
WALK = _examples([(300, 500, 1000, "oof"), (700, 1000, 1500, "oof")])


def _store_run(store, spec, examples, noise, epochs=3, scale=3.0):
    rng = np.random.default_rng(spec.seed)
    signal = scale * (examples.series[19:, 0] - 1) + noise * rng.standard_normal(len(examples.y))
    logits = [signal.astype(np.float32)] * examples.n_folds
    record = make_record(spec, examples, logits) | {
        "data": DATA, "seconds": 1.0, "device": "cpu", "precision": "float32",
        "last_epochs": [epochs] * examples.n_folds, "best_epochs": [1] * examples.n_folds,
        "findings": [],
    }  # fmt: skip
    frame = predictions_table(examples, logits, logits)
    assert store.write(spec, record, frame, pl.DataFrame(schema=HISTORY))
    return store.run(spec.key)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store with three seeds of a good model under a campaign, and a poor baseline."""
    store = Store(tmp_path_factory.mktemp("original") / "store")
    store.prepare()
    common = {
        "task": {"kind": "market", "bars": "0123456789ab"},
        "evaluation": {"protocol": "mission"},
    }
    specs = [Spec.model_validate({**common, "seed": seed}) for seed in (1, 2, 3)]
    keys = [_store_run(store, spec, MISSION, 0.5).key for spec in specs]
    _store_run(store, Spec.model_validate({**common, "model": "forest"}), MISSION, 6.0)
    store.write_campaign("trial", {f"S-{i + 1}": key for i, key in enumerate(keys)})
    return store.root, keys


@pytest.fixture
def mission(original, tmp_path):
    """A copy of it, and its runs."""
    store = Store(shutil.copytree(original[0], tmp_path / "store"))
    return store, [store.run(key) for key in original[1]]


@pytest.fixture
def walk(tmp_path, make_spec):
    store = Store(tmp_path / "store")
    store.prepare()
    spec = make_spec(evaluation={"protocol": "walk_forward", "start": "2002-05-16"})
    return store, _store_run(store, spec, WALK, 0.5)


# --------------------------------------------------------------------------------------- thresholds


def test_thresholds_prints_choices_with_counts_and_writes_tables_and_a_page(
    mission, tmp_path, capsys
):
    store, runs = mission
    csv, page = tmp_path / "t.csv", tmp_path / "t.html"
    code, out, _ = call(
        capsys, "thresholds", "S-1", "--precision", "0.6", "--csv", csv, "--report", page,
        "--store", store.root,
    )  # fmt: skip
    assert code == 0
    assert "same days, lower end" in out
    assert "best baseline" in out
    assert "ledger: validation part of data 0123456789ab looked at once for 2 runs" in out
    table, part = pl.read_csv(csv), part_of(runs[0], "validation")
    assert table["key"].n_unique() == 2
    table = table.filter(pl.col("key") == runs[0].key)
    assert table.height == len(np.unique(part.score))
    for row in table.sample(20, seed=0).iter_rows(named=True):
        raised = part.score >= row["cut"]
        assert (row["alarms"], row["hits"]) == (raised.sum(), part.y[raised].sum())
        assert row["precision_low"] <= row["precision"] <= row["precision_high"]
    assert "<h2>trial/S-1" in page.read_text()


def test_thresholds_of_a_campaign_is_one_line_a_run(mission, capsys):
    store, _ = mission
    code, out, _ = call(
        capsys, "thresholds", "--campaign", "trial", "--precision", "0.6", "--store", store.root
    )
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line.startswith("S-")] == [
        "S-1", "S-2", "S-3",
    ]  # fmt: skip
    code, out, _ = call(
        capsys, "thresholds", "--campaign", "trial", "--json", "--store", store.root
    )
    content = json.loads(out)
    assert [len(run["choices"]) for run in content["runs"]] == [6, 6, 6, 6]
    assert [run["baseline"] for run in content["runs"]] == [False, False, False, True]
    some = [c["precision"] for run in content["runs"] for c in run["choices"] if c["feasible"]]
    assert len(some) > 12
    assert all(precision["n"] >= 5 for precision in some)


def test_a_demand_that_nothing_meets_is_infeasible(mission, capsys):
    store, _ = mission
    _, out, _ = call(
        capsys, "thresholds", "S-1", "--precision", "0.999", "--json", "--store", store.root
    )
    lower = json.loads(out)["runs"][0]["choices"][1]
    assert lower["rule"] == "same days, lower end"
    assert (lower["feasible"], lower["precision"]) == (False, None)


def test_walk_forward_thresholds_are_carried_over_from_inside_each_fold(walk):
    _, run = walk
    found = thresholds_of(run, "oof", [Demand("precision", 0.7)])
    carried = next(c for c in found.choices if c.rule == "earlier days")
    inner, oof = part_of(run, "validation"), part_of(run, "oof")
    alarms = hits = 0
    for fold in (0, 1):
        y, score = inner.y[inner.fold == fold], inner.score[inner.fold == fold]
        cuts = [
            c for c in np.unique(score) if (score >= c).sum() >= 5 and y[score >= c].mean() >= 0.7
        ]
        cut = min(cuts, key=lambda c: (-int(y[score >= c].sum()), (score >= c).sum()))
        raised = (oof.fold == fold) & (oof.score >= cut)
        alarms, hits = alarms + raised.sum(), hits + oof.y[raised].sum()
    assert (carried.precision.k, carried.precision.n) == (hits, alarms)
    assert (carried.precision.chosen_on, carried.precision.measured_on) == (
        "inner validation",
        "oof",
    )
    assert len(carried.probabilities) == 2
    assert found.choices[0].precision.n_candidates == len(found.sweep)


# ------------------------------------------------------------------------------------- test is sealed


def test_the_test_part_is_sealed_until_opened_and_that_is_shown_for_ever_after(mission, capsys):
    store, _ = mission
    for verb in (["thresholds", "S-1"], ["certify", "S-1", "--precision", "0.6"]):
        code, out, err = call(capsys, *verb, "--on", "test", "--store", store.root)
        assert (code, out) == (2, "")
        assert "--open-test" in err
    assert ledger_lines(store) == []
    code, out, _ = call(
        capsys, "thresholds", "S-1", "--on", "test", "--open-test", "--store", store.root
    )
    assert code == 0
    assert "earlier days" in out
    code, out, _ = call(capsys, "thresholds", "S-2", "--store", store.root)
    assert "ledger: test part of data 0123456789ab opened once for 1 run since" in out


def test_a_mistake_opens_nothing(mission, capsys):
    store, _ = mission
    for wrong in (["--precision", "60"], ["--precision", "0.6", "--confidence", "95"]):
        code, *_ = call(
            capsys, "certify", "S-1", *wrong, "--on", "test", "--open-test", "--store", store.root
        )
        assert code == 2
    call(
        capsys,
        "thresholds",
        "S-1",
        "--alarms",
        "1",
        "--open-test",
        "--on",
        "test",
        "--store",
        store.root,
    )
    assert Ledger(store).looks() == []


def test_a_sealed_part_stays_sealed_if_the_ledger_cannot_be_written(mission, capsys):
    store, _ = mission
    (store.root / "ledger.jsonl").mkdir()
    code, out, err = call(
        capsys, "thresholds", "S-1", "--on", "test", "--open-test", "--store", store.root
    )
    assert (code, out) == (2, "")
    assert "ledger.jsonl" in err


# -------------------------------------------------------------------------------------- certificates


def test_certify_on_the_opened_test_part_counts_what_was_looked_at(mission, capsys):
    store, runs = mission
    arguments = ["--precision", "0.6", "--on", "test", "--open-test", "--store", store.root]
    code, out, _ = call(capsys, "certify", "S-1", *arguments, "--json")
    first = json.loads(out)
    (one,) = first["runs"].values()
    assert code == 0
    assert (one["hypotheses"], one["method"], one["block"]) == (1, "fixed_sequence", 20)
    assert one["threshold"]["p_value"] <= 0.05
    part = part_of(runs[0], "test")
    raised = part.score >= one["threshold"]["cut"]
    assert (one["threshold"]["hits"], one["threshold"]["alarms"]) == (
        part.y[raised].sum(),
        raised.sum(),
    )
    call(capsys, "thresholds", "--campaign", "trial", *arguments[2:])
    code, out, _ = call(capsys, "certify", "S-1", *arguments, "--json")
    (again,) = json.loads(out)["runs"].values()
    assert again["hypotheses"] == 4  # three sweeps, and one certificate asked twice
    shown = again["threshold"] or again["closest"]
    assert shown["level"] == pytest.approx(0.05 * 6 / np.pi**2 / 4)  # still the first call
    code, out, _ = call(capsys, "certify", "S-1", *arguments, "--method", "holm", "--json")
    (other,) = json.loads(out)["runs"].values()
    shown = other["threshold"] or other["closest"]
    assert shown["level"] <= 0.05 * 6 / np.pi**2 / 4 / 5  # another method is another call


def test_certify_where_the_model_was_chosen_counts_every_epoch_of_every_sibling(mission, capsys):
    store, _ = mission
    code, out, _ = call(
        capsys, "certify", "S-1", "--precision", "0.4", "--json", "--store", store.root
    )
    (one,) = json.loads(out)["runs"].values()
    thresholds = len(one["tested"])
    assert one["method"] == "holm"
    assert one["hypotheses"] == (3 * 3 + 1) * thresholds  # three seeds of three epochs, a forest
    assert code == (0 if one["threshold"] else 1)
    code, out, err = call(
        capsys, "certify", "S-1", "--precision", "0.4", "--method", "fixed_sequence",
        "--store", store.root,
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert "chose the model" in err


def test_certify_says_no_with_status_1_and_what_is_missing(mission, capsys):
    store, _ = mission
    code, out, _ = call(
        capsys, "certify", "S-1", "S-2", "--precision", "0.93", "--on", "test", "--open-test",
        "--store", store.root,
    )  # fmt: skip
    assert code == 1
    assert out.count("not certified") == 2
    assert "more alarms" in out or "no number of further alarms" in out


def test_walk_forward_counts_siblings_but_no_epochs_and_refuses_an_order(walk):
    store, run = walk
    found = certify_runs(store, [run], 0.6)
    one = found.certificates[run.key]
    assert (found.part, one.method, one.hypotheses) == ("oof", "holm", len(one.tested))
    with pytest.raises(TruenessError, match="inner validation days"):
        certify_runs(store, [run], 0.6, method="fixed_sequence")
    with pytest.raises(TruenessError, match="judged on oof"):
        certify_runs(store, [run], 0.6, on="test", opened=True)


def test_a_part_that_is_too_short_is_not_opened(tmp_path, make_spec):
    store = Store(tmp_path / "store")
    store.prepare()
    spec = make_spec(evaluation={"block_days": 120})
    run = _store_run(store, spec, MISSION, 0.5)
    with pytest.raises(TruenessError, match="5 blocks of 120 days"):
        certify_runs(store, [run], 0.6, on="test", opened=True)
    assert Ledger(store).looks() == []


def test_constant_scores_are_one_threshold(mission):
    store, runs = mission
    flat = Spec.model_validate({**runs[0].spec.model_dump(), "model": "base_rate"})
    run = _store_run(store, flat, MISSION, 0.0, scale=0.0)
    found = certify_runs(store, [run], 0.6).certificates[run.key]
    assert [row.alarms for row in found.tested] == [500]


def test_runs_of_different_questions_are_not_certified_together(mission, make_spec):
    store, runs = mission
    other = _store_run(store, make_spec(task={"mirror": True}), MISSION, 0.5)
    with pytest.raises(TruenessError, match="same question"):
        certify_runs(store, [runs[0], other], 0.6)


def test_choices_of_baselines_are_those_that_they_make():
    assert {"logit": len(PENALTIES), "boosting": MAX_TREES} == CHOICES


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["thresholds"], "give keys or ids"),
        (["thresholds", "S-1", "--campaign", "trial"], "give keys or ids"),
        (["thresholds", "--campaign", "trail"], "choose from trial"),
        (["thresholds", "S-9"], "no run has"),
        (["thresholds", "S-1", "--precision", "1.5"], "--precision 1.5"),
        (["thresholds", "S-1", "--alarms", "2"], "--alarms 2"),
        (["thresholds", "S-1", "--on", "oof"], "judged on validation or test"),
        (["certify", "S-1"], "precision"),
        (["certify", "S-1", "--precision", "60"], "precision 60"),
        (["certify", "S-1", "--precision", "0.6", "--confidence", "95"], "confidence 95"),
        (["plan", "--positives", "500", "--samples", "422"], "500 positives among 422"),
        (["plan", "--positives", "1", "--samples", "422"], "--positives 1"),
        (["plan", "--positives", "9", "--samples", "99", "--auc", "1.2"], "--auc 1.2"),
    ],
)
def test_bad_input_is_one_line_and_status_2(mission, capsys, arguments, words):
    store, _ = mission
    where = [] if arguments[0] == "plan" else ["--store", store.root]
    code, out, err = call(capsys, *arguments, *where)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_plan_prints_what_422_days_can_tell(capsys):
    code, out, _ = call(
        capsys, "plan", "--positives", "76", "--samples", "422", "--candidates", "183"
    )
    assert code == 0
    for words in ("76/422 = 18.0 %", "0.160 among 183 candidates", "25/30", "1,742"):
        assert words in out
    _, out, _ = call(capsys, "plan", "--positives", "76", "--samples", "422", "--json")
    assert json.loads(out)["alarms_to_certify"][1] == {"truth": 0.7, "one": 143, "all": 143}


# --------------------------------------------------------------------------------------------- ledger

WRITER = """
import sys
from trueness.store.ledger import Ledger
from trueness.spec import Spec
from trueness.store import Store
store = Store(sys.argv[1])
run, ledger = store.run(sys.argv[2]), Ledger(store)
for _ in range(60):
    ledger.look([run], "validation", "thresholds", sys.argv[3])
"""


def test_two_processes_writing_the_ledger_lose_nothing(mission):
    store, runs = mission
    command = [sys.executable, "-c", WRITER, str(store.root), runs[0].key]
    both = [subprocess.Popen([*command, name], cwd=ROOT) for name in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    looks = Ledger(store).looks("0123456789ab", "validation")
    assert len(looks) == 120
    assert Ledger(store).damaged() == 0
    assert Ledger(store).seen("0123456789ab", "validation") == {(runs[0].key, n) for n in "ab"}


def test_a_torn_last_line_is_counted_and_does_not_spoil_the_next(mission):
    store, runs = mission
    ledger = Ledger(store)
    ledger.look(runs, "validation", "thresholds")
    path = store.root / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes()[:40])
    assert (len(ledger.looks()), ledger.damaged()) == (1, 1)
    ledger.look(runs[:1], "test", "certify", "precision 0.6", opened=True)
    assert [look.what for look in ledger.looks()] == ["validation", "test"]
    assert ledger.damaged() == 1
    assert ledger_lines(store)[-1] == "ledger: 1 more looks cannot be read any more"


@pytest.mark.parametrize(
    "wrong",
    [
        {"when": 5}, {"when": None}, {"what": ["test"]}, {"question": ["a"]}, {"keys": "abc"},
        {"keys": [1]}, {"data": 7}, {"verb": None}, {"opened": "yes"},
    ],
)  # fmt: skip
def test_lines_of_wrong_types_cannot_be_read_and_harm_nobody(mission, capsys, wrong):
    store, runs = mission
    (look,) = Ledger(store).look(runs, "validation", "thresholds")
    path = store.root / "ledger.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}) + "\n")
    assert (Ledger(store).looks(), Ledger(store).damaged()) == ([], 1)
    assert call(capsys, "thresholds", "S-1", "--store", store.root)[0] == 0
    assert [one.data for one in Ledger(store).looks()] == [look.data]


def test_thresholds_goes_on_without_a_ledger_that_can_be_read(mission, capsys):
    store, _ = mission
    (store.root / "ledger.jsonl").mkdir()
    code, out, err = call(capsys, "thresholds", "S-1", "--store", store.root)
    assert code == 0
    assert "note: " in err
    assert "ledger.jsonl: cannot be read" in out


def test_tied_scores_have_no_alarm_rates(mission, make_spec, tmp_path, capsys):
    store, runs = mission
    spec = runs[0].spec.model_copy(update={"seed": 9})
    flat = _store_run(store, spec, MISSION, 0.0, scale=0.0)
    csv, page = tmp_path / "t.csv", tmp_path / "t.html"
    rates = ["--grid", "rates", "--csv", csv, "--report", page, "--store", store.root]
    code, out, err = call(capsys, "thresholds", flat.key, *rates)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "all scores are tied" in err
    assert not csv.exists()
    assert not page.exists()
    code, _, err = call(capsys, "thresholds", flat.key, "S-1", *rates)
    assert code == 0
    assert f"note: {flat.key}: all scores are tied" in err
    assert page.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["thresholds", "S-1", "--csv", "a.x", "--report", "./a.x"], "both name a.x"),
        (["thresholds", "S-1", "--alarms", "7.5"], '"7.5" is not a whole number'),
        (["plan", "--positives", "76", "--samples", "7.5"], '"7.5" is not a whole number'),
        (["plan", "--positives", "76", "--samples", "9" * 5000], "is not a whole number"),
        (["plan", "--positives", "76", "--samples", "422", "--power", "0.01"], "power 0.01"),
        (["plan", "--positives", "7", "--samples", "42", "--candidates", "1" + "0" * 30], "1 to"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    mission, tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.chdir(tmp_path)
    at = ["--store", mission[0].root] if arguments[0] == "thresholds" else []
    code, out, err = call(capsys, *arguments, *at)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_reading_a_ledger_creates_nothing(tmp_path):
    store = Store(tmp_path / "nowhere")
    assert Ledger(store).looks() == []
    assert ledger_lines(store) == []
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(TruenessError, match="sealed"):
        Ledger(store).look([], "test", "certify")


def test_open_parts_of_a_store_that_cannot_be_written_are_shown(mission, monkeypatch, capsys):
    store, _ = mission

    def refuse(self, looks):
        raise StoreError("read only")

    monkeypatch.setattr(Ledger, "_append", refuse)
    code, out, err = call(capsys, "thresholds", "S-1", "--store", store.root)
    assert code == 0
    assert "same days" in out
    assert "read only" in err
