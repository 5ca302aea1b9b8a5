"""Thresholds, certificates, the planner and the ledger, as a user meets them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests import signed
from tests.test_cli import call
from trueness import certify
from trueness.checks import checked
from trueness.engines.recorded import HISTORY, facts_of, predictions_of
from trueness.errors import StoreError, TruenessError
from trueness.evaluation.thresholds import ALARM_RATES_PCT
from trueness.examples import PARTS, Examples
from trueness.judge.certificates import certification
from trueness.judge.demands import Demand, demands_of
from trueness.judge.external import judge_table
from trueness.judge.finding import find_runs
from trueness.judge.measured import measured
from trueness.judge.tables import Columns, Reading, score_table
from trueness.judge.thresholds import judge_thresholds, thresholds_of
from trueness.judge.top import top_models
from trueness.report import to_html
from trueness.spec import Spec
from trueness.store import Store
from trueness.store.ledger import Ledger, ledger_lines

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
        group=None,
        parts=parts,
        features=("a",),
        extra={"regime": np.full(n, "calm")},
    )


HOLDOUT = _examples([(500, 1000, 1500, "test")])
WALK = _examples([(300, 500, 1000, "oof"), (700, 1000, 1500, "oof")])


def _store_run(store, spec, examples, noise, epochs=3, scale=3.0, data=DATA):
    rng = np.random.default_rng(spec.seed)
    signal = scale * (examples.series[19:, 0] - 1) + noise * rng.standard_normal(len(examples.y))
    logits = [signal.astype(np.float32)] * examples.n_folds
    predictions = predictions_of(examples, logits, logits)
    record = facts_of(spec, examples) | measured(spec, predictions) | {
        "data": data, "seconds": 1.0, "device": "cpu", "precision": "float32",
        "last_epochs": [epochs] * examples.n_folds, "best_epochs": [1] * examples.n_folds,
    }  # fmt: skip
    record |= checked(spec, record, predictions)
    assert store.write(spec, record, predictions.frame, pl.DataFrame(schema=HISTORY))
    return store.run(spec.key)


def _part(run, name):
    return run.predictions().part(name)


def _refused(code, function, *arguments, **options):
    with pytest.raises(TruenessError) as error:
        function(*arguments, **options)
    assert error.value.code == code
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A store with three seeds of a good model under a campaign, and a poor baseline."""
    store = Store(tmp_path_factory.mktemp("original") / "store")
    store.prepare()
    common = {
        "task": {"kind": "market", "bars": "0123456789ab"},
        "evaluation": {"protocol": "holdout"},
    }
    specs = [Spec.model_validate({**common, "seed": seed}) for seed in (1, 2, 3)]
    keys = [_store_run(store, spec, HOLDOUT, 0.5).key for spec in specs]
    _store_run(store, Spec.model_validate({**common, "model": "forest"}), HOLDOUT, 6.0)
    store.write_campaign("trial", {f"S-{i + 1}": key for i, key in enumerate(keys)})
    return store.root, keys


@pytest.fixture
def held_out(original, tmp_path):
    """A copy of it, and its runs."""
    store = Store(shutil.copytree(original[0], tmp_path / "store"))
    return store, [store.run(key) for key in original[1]]


@pytest.fixture
def walk(tmp_path, make_spec):
    store = Store(tmp_path / "store")
    store.prepare()
    spec = make_spec(evaluation={"protocol": "walk_forward", "start": "2002-05-16"})
    return store, _store_run(store, spec, WALK, 0.5)


@pytest.fixture
def external(tmp_path):
    """A store of scores from elsewhere: three models and a baseline, validation and test."""
    rng = np.random.default_rng(5)
    n = 800
    signal = rng.standard_normal(n)
    table = pl.DataFrame({
        "y": (signal + rng.standard_normal(n) > 1).astype(int),
        "part": np.where(np.arange(n) < 400, "validation", "test"),
        **{f"m{i}": signal + 0.5 * rng.standard_normal(n) for i in range(3)},
        "base": signal + 4 * rng.standard_normal(n),
    })  # fmt: skip

    def make(scale="logit", baselines=("base",), frame=table, rule=None, **columns):
        store = Store(tmp_path / f"external-{scale}")
        roles = Columns("y", score=("m0", "m1", "m2", "base"), split="part", **columns)
        read = score_table(frame, roles, Reading(scale=scale, on="test"))
        judge_table(read, baselines=baselines, rule=rule or {}, name="mine", store=store)
        return store

    make.table = table
    return make


# --------------------------------------------------------------------------------------- thresholds


def test_thresholds_prints_choices_with_counts_and_writes_tables_and_a_page(
    held_out, tmp_path, capsys
):
    store, runs = held_out
    csv, page = tmp_path / "t.csv", tmp_path / "t.html"
    code, out, _ = call(
        capsys, "thresholds", "S-1", "--precision", "0.6", "--csv", csv, "--report", page,
        "--store", store.root,
    )  # fmt: skip
    assert code == 0
    assert "in-sample, lower bound" in out
    assert "best baseline" in out
    assert "ledger: validation part of data 0123456789ab evaluated once for 2 runs" in out
    table, part = pl.read_csv(csv), _part(runs[0], "validation")
    assert table["key"].n_unique() == 2
    table = table.filter(pl.col("key") == runs[0].key)
    assert table.height == len(np.unique(part.score))
    for row in table.sample(20, seed=0).iter_rows(named=True):
        raised = part.score >= row["cut"]
        assert (row["alarms"], row["hits"]) == (raised.sum(), part.y[raised].sum())
        assert row["precision_low"] <= row["precision"] <= row["precision_high"]
    assert "Thresholds of trial/S-1" in page.read_text()


def test_thresholds_of_a_campaign_is_one_line_a_run(held_out, capsys):
    store, _ = held_out
    code, out, _ = call(
        capsys, "thresholds", "--campaign", "trial", "--precision", "0.6", "--store", store.root
    )
    assert code == 0
    assert "Thresholds of campaign trial" in out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("S-")] == [
        "S-1", "S-2", "S-3",
    ]  # fmt: skip
    code, out, _ = call(
        capsys, "thresholds", "--campaign", "trial", "--json", "--store", store.root
    )
    content = json.loads(out)
    assert (content["schema"], content["kind"]) == (1, "thresholds")
    assert [len(run["choices"]) for run in content["runs"]] == [6, 6, 6, 6]
    assert [run["baseline"] for run in content["runs"]] == [False, False, False, True]
    some = [c["precision"] for run in content["runs"] for c in run["choices"] if c["feasible"]]
    assert len(some) > 12
    assert all(precision["n"] >= 5 for precision in some)


def test_a_demand_that_nothing_meets_is_infeasible(held_out, capsys):
    store, _ = held_out
    _, out, _ = call(
        capsys, "thresholds", "S-1", "--precision", "0.999", "--json", "--store", store.root
    )
    lower = json.loads(out)["runs"][0]["choices"][1]
    assert lower["rule"] == "in-sample, lower bound"
    assert (lower["feasible"], lower["precision"]) == (False, None)


def test_walk_forward_thresholds_are_carried_over_from_inside_each_fold(walk):
    _, run = walk
    actual = thresholds_of(run, [Demand("precision", 0.7)])
    carried = next(c for c in actual.choices if c.rule == "out-of-sample")
    inner, oof = _part(run, "validation"), _part(run, "oof")
    alarms = hits = 0
    for fold in (0, 1):
        y, score = inner.y[inner.fold == fold], inner.score[inner.fold == fold]
        thresholds = [
            c for c in np.unique(score) if (score >= c).sum() >= 5 and y[score >= c].mean() >= 0.7
        ]
        cut = min(thresholds, key=lambda c: (-int(y[score >= c].sum()), (score >= c).sum()))
        raised = (oof.fold == fold) & (oof.score >= cut)
        alarms, hits = alarms + raised.sum(), hits + oof.y[raised].sum()
    assert (carried.precision.k, carried.precision.n) == (hits, alarms)
    assert (carried.precision.chosen_on, carried.precision.measured_on) == (
        "inner validation",
        "oof",
    )
    assert len(carried.thresholds) == 2
    assert actual.choices[0].precision.n_candidates == len(actual.sweep)


def test_scores_from_elsewhere_have_thresholds_on_any_of_their_parts(external):
    store = external()
    for part, rules in (("test", 3), ("validation", 2)):
        actual = judge_thresholds(
            store, find_runs(store, ["m0"]), demands_of(0.5, None, None), on=part
        )
        (asked, baseline) = actual.runs
        assert (asked.measured_on, asked.sweep.n, baseline.name) == (
            part,
            400,
            "best baseline base",
        )
        assert len(asked.choices) == rules  # nothing comes before validation
        assert asked.choices[0].alarms_per_year is None
        assert "alarms a year" not in to_html(actual.document())
    _refused("no_part", thresholds_of, store.run(asked.run.key), [], "oof")


def test_scores_that_only_rank_have_thresholds_but_no_probabilities(external):
    store = external("rank")
    actual = judge_thresholds(store, find_runs(store, ["m0"]), demands_of(0.5, None, None))
    content = actual.to_dict()["runs"][0]
    assert content["choices"][0]["probabilities"] is None
    assert content["choices"][0]["cuts"][0] == actual.runs[0].choices[0].thresholds[0]
    assert all("probability" not in row for row in content["thresholds"])
    assert "probability" not in actual.to_frame().columns
    assert "probability" not in to_html(actual.document()).partition("<script")[0]
    some = find_runs(store, ["m0"])
    _refused("scores_only_rank", judge_thresholds, store, some, [], grid="probabilities")


def test_runs_of_k_classes_have_no_thresholds(golden_titles):
    runs = find_runs(golden_titles, ["plain"])
    _refused("not_binary", judge_thresholds, golden_titles, runs, [])
    _refused("not_binary", certification, golden_titles, runs, 0.6)
    _refused("not_binary", top_models, golden_titles)
    assert not (golden_titles.root / "ledger.jsonl").exists()


def test_tied_scores_have_no_threshold_at_a_rate(external):
    n = len(external.table)
    tied = external.table.with_columns(base=pl.lit(0.5), m2=pl.Series(np.arange(n) // 400))
    store = external("rank", baselines=("base", "m2"), frame=tied)
    runs = find_runs(store, ["base"])
    _refused("tied", judge_thresholds, store, runs, demands_of(None, None, None), grid="rates")
    both = find_runs(store, ["base", "m0"])
    actual = judge_thresholds(store, both, demands_of(None, None, None), grid="rates")
    assert [one.name for one in actual.asked] == ["mine/m0"]
    assert any("tied" in note for note in actual.notes)
    assert any("tied" in text for text in actual.document().sentences())


# ------------------------------------------------------------------------------------- test is sealed


def test_the_test_part_is_sealed_until_opened_and_that_is_shown_for_ever_after(held_out, capsys):
    store, _ = held_out
    for verb in (["thresholds", "S-1"], ["certify", "S-1", "--precision", "0.6"]):
        code, out, err = call(capsys, *verb, "--on", "test", "--store", store.root)
        assert (code, out) == (2, "")
        assert "--open-test" in err
    assert ledger_lines(store) == []
    code, out, _ = call(
        capsys, "thresholds", "S-1", "--on", "test", "--open-test", "--store", store.root
    )
    assert code == 0
    assert "out-of-sample" in out
    assert "best baseline" not in out
    code, out, _ = call(capsys, "thresholds", "S-2", "--store", store.root)
    assert "ledger: test part of data 0123456789ab opened once for 1 run since" in out


def test_a_mistake_opens_nothing(held_out, capsys):
    store, _ = held_out
    for wrong in (["--precision", "60"], ["--precision", "0.6", "--confidence", "95"]):
        code, *_ = call(
            capsys, "certify", "S-1", *wrong, "--on", "test", "--open-test", "--store", store.root
        )
        assert code == 2
    code, *_ = call(
        capsys, "thresholds", "S-1", "--alarms", "1", "--open-test", "--on", "test",
        "--store", store.root,
    )  # fmt: skip
    assert code == 2
    assert Ledger(store).accesses() == []


def test_a_sealed_part_stays_sealed_if_the_ledger_cannot_be_written(held_out, capsys):
    store, runs = held_out
    (store.root / "ledger.jsonl").mkdir()
    code, out, err = call(
        capsys, "thresholds", "S-1", "--on", "test", "--open-test", "--store", store.root
    )
    assert (code, out) == (2, "")
    assert "ledger.jsonl" in err
    code, out, _ = call(capsys, "thresholds", "S-1", "--store", store.root)
    assert code == 0  # an open part may be looked at, and it is told that nobody counts it
    assert "this access is not recorded" in out
    with pytest.raises(StoreError):
        certify_runs(store, {"S-1": runs[0]}, 0.6)  # a certificate has to be counted


# -------------------------------------------------------------------------------------- certificates


def certify_runs(store, runs, precision, confidence=0.95, **options):
    return certification(store, runs, precision, confidence, **options).issue()


def _certified(capsys, *arguments):
    code, out, _ = call(capsys, "certify", *arguments, "--yes", "--json")
    content = json.loads(out)
    assert (content["schema"], content["kind"]) == (1, "certificates")
    return code, content


def _calls(store):
    return [one.keys for one in Ledger(store).accesses() if one.verb == "certify"]


def _rows(actual):
    return [(row.cut, row.precision) for one in actual.runs for row in one.certificate.tested]


TEST = ("--on", "test", "--open-test")


def test_certify_on_the_opened_test_part_counts_the_runs_that_were_seen_there(held_out, capsys):
    store, runs = held_out
    arguments = ["--precision", "0.6", *TEST, "--store", store.root]
    code, content = _certified(capsys, "S-1", *arguments)
    (one,) = content["runs"]
    assert code == 0
    assert (one["hypotheses"], one["block"], one["batch"]) == (len(one["tested"]), 20, 1)
    assert (content["batch"], content["error_spent"]) == (1, pytest.approx(6 / np.pi**2))
    assert one["threshold"]["precision"]["low"] > 0.6
    part = _part(runs[0], "test")
    raised = part.score >= one["threshold"]["cut"]
    shown = one["threshold"]["precision"]
    assert (shown["k"], shown["n"]) == (part.y[raised].sum(), raised.sum())
    call(capsys, "thresholds", "--campaign", "trial", *TEST, "--store", store.root)
    _, again = _certified(capsys, "S-1", *arguments)
    assert (again["batch"], again["error_spent"]) == (None, 0)
    assert again["runs"] == content["runs"]  # what was opened since costs the first run nothing
    _, other = _certified(capsys, "S-2", *arguments)
    assert other["batch"] == 2
    assert [set(keys) for keys in _calls(store)] == [{runs[0].key}, {r.key for r in runs[1:]}]


def test_certify_where_the_model_was_chosen_counts_every_epoch_of_every_sibling(held_out, capsys):
    store, _ = held_out
    code, content = _certified(capsys, "S-1", "--precision", "0.4", "--store", store.root)
    (one,) = content["runs"]
    rates = len(ALARM_RATES_PCT)
    # three seeds of three epochs and a forest: four runs are here, six epochs are not
    here = one["hypotheses"] - 6 * rates
    assert 3 * len(one["tested"]) <= here <= 4 * rates
    assert code == (0 if one["threshold"] else 1)
    assert [len(keys) for keys in _calls(store)] == [4]


def test_asking_again_is_free_at_any_precision_and_gives_the_same_bounds(held_out):
    store, runs = held_out
    both = {"S-1": runs[0], "S-2": runs[1]}
    first = certify_runs(store, both, 0.3)
    before = (store.root / "ledger.jsonl").read_bytes()
    for precision, confidence in ((0.3, 0.95), (0.5, 0.95), (0.9, 0.95), (0.3, 0.8)):
        for one in ({"S-2": runs[1], "S-1": runs[0]}, {"S-3": runs[2]}, {"S-1": runs[0]}):
            asked = certification(store, one, precision, confidence)
            assert asked.spending.free
            again = asked.issue()
            assert again.spending.share == 0
            if confidence == 0.95 and "S-2" in one:
                assert sorted(_rows(again), key=str) == sorted(_rows(first), key=str)
    assert (store.root / "ledger.jsonl").read_bytes() == before


def test_a_lower_confidence_has_higher_bounds(held_out):
    store, runs = held_out
    strict, loose = (
        certify_runs(store, {"S-1": runs[0]}, 0.3, confidence).runs[0].certificate
        for confidence in (0.95, 0.8)
    )
    assert all(a.bound < b.bound for a, b in zip(strict.tested, loose.tested, strict=True))


def test_only_new_runs_spend_and_old_ones_keep_their_bounds(held_out, tmp_path):
    store, runs = held_out
    first = certify_runs(store, {"S-1": runs[0]}, 0.4)
    spec = runs[0].spec.model_copy(update={"seed": 9})
    new = _store_run(store, spec, HOLDOUT, 0.5)
    asked = certification(store, {"S-1": runs[0], "new": new}, 0.4)
    assert (asked.spending.batch, asked.spending.new) == (2, (new.key,))
    both = asked.issue()
    assert [one.batch for one in both.runs] == [1, 2]
    assert both.runs[0].certificate == first.runs[0].certificate
    assert both.spending.share == pytest.approx(6 / (2 * np.pi) ** 2)
    one, other = (run.certificate for run in both.runs)
    assert one.level != other.level
    assert len(_calls(store)) == 2


def test_the_order_of_asking_matters_no_more_than_batches_do(original, tmp_path):
    actual = []
    for order in ((0, 1, 2), (2, 0, 1)):
        store = Store(shutil.copytree(original[0], tmp_path / str(order[0])))
        runs = [store.run(key) for key in original[1]]
        answers = {i: certify_runs(store, {"x": runs[i]}, 0.5).runs[0].certificate for i in order}
        actual.append([answers[i] for i in range(3)])
        assert len(_calls(store)) == 1
    assert actual[0] == actual[1]


def test_runs_that_are_no_longer_stored_are_counted(held_out):
    store, runs = held_out
    first = certify_runs(store, {"S-1": runs[0]}, 0.4).runs[0].certificate
    store.remove(runs[2].key)
    again = certify_runs(store, {"S-1": runs[0]}, 0.4)
    less = again.runs[0].certificate
    assert again.spending.free
    assert less.hypotheses >= first.hypotheses
    assert less.level <= first.level
    assert all(a.bound <= b.bound for a, b in zip(less.tested, first.tested, strict=True))


def test_runs_deleted_before_the_first_certificate_are_counted(held_out):
    store, runs = held_out
    judge_thresholds(store, find_runs(store, ["S-3"]), demands_of(0.5, None, None))
    twin = Store(shutil.copytree(store.root, store.root.with_name("twin")))
    (twin.root / "ledger.jsonl").unlink()
    for one in (store, twin):
        one.remove(runs[2].key)
    seen, unseen = (
        certify_runs(one, {"S-1": one.run(runs[0].key)}, 0.4).runs[0].certificate
        for one in (store, twin)
    )
    assert seen.hypotheses == unseen.hypotheses + 3 * len(ALARM_RATES_PCT)  # its epochs
    assert seen.level < unseen.level


def test_lines_of_the_ledger_that_cannot_be_read_are_paid_for(held_out):
    store, runs = held_out
    first = certify_runs(store, {"S-1": runs[0]}, 0.4).runs[0]
    with (store.root / "ledger.jsonl").open("a") as file:
        file.write("{torn\n")
    again = certify_runs(store, {"S-1": runs[0]}, 0.4).runs[0]
    assert (first.batch, again.batch) == (1, 2)
    assert again.certificate.hypotheses > first.certificate.hypotheses
    assert again.certificate.level < first.certificate.level


def test_a_preview_says_what_is_spent_and_records_nothing(held_out):
    store, runs = held_out
    for _ in range(2):
        spending = certify("S-1", precision=0.4, preview=True, store=store)
        content = spending.to_dict()
        assert (content["batch"], content["family"]) == (1, 4)
        assert content["error_spent"] == pytest.approx(6 / np.pi**2)
        assert runs[0].key in content["new"]
        assert spending.to_frame().height == len(content["new"]) == 4
        assert "60.8 % of the 5 % error budget" in str(spending)
    assert Ledger(store).accesses() == []
    actual = certify("S-1", precision=0.4, store=store)
    assert actual.judgement.spending == spending.judgement
    free = certify("S-1", precision=0.9, preview=True, store=store).to_dict()
    assert (free["batch"], free["error_spent"], free["new"]) == (None, 0, [])


def test_a_bound_is_shown_as_one_and_not_as_an_interval(held_out):
    """Of a one-sided bound the other end is 100 %, which says nothing."""
    store, _ = held_out
    document = certify("S-1", precision=0.4, store=store).judgement.document()
    (table, tested) = document.tables()
    shown = [row[i] for one in (table, tested) for row in one.rows
             for i, column in enumerate(one.columns) if column.kind == "share"]  # fmt: skip
    assert shown
    assert all((e.low, e.high) == (None, None) and e.k is not None for e in shown)
    assert "–100)" not in " ".join(document.sentences())


def test_without_a_terminal_nothing_is_spent_unasked(held_out, capsys):
    store, _ = held_out
    arguments = ["certify", "S-1", "--precision", "0.4", "--store", store.root]
    code, out, err = call(capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--yes" in err
    assert "60.8 % of the 5 % error budget for 4 new runs" in err
    assert Ledger(store).accesses() == []
    assert call(capsys, *arguments, "--yes")[0] in (0, 1)
    assert call(capsys, *arguments)[0] in (0, 1)  # free
    assert len(Ledger(store).accesses()) == 1


@pytest.mark.parametrize(("typed", "spends"), [("y\n", True), ("\n", False), ("no\n", False)])
def test_a_terminal_is_asked(held_out, typed, spends):
    store, _ = held_out
    above, below = os.openpty()
    words = ["certify", "S-1", "--precision", "0.4", "--store", str(store.root)]
    code = "import sys; from trueness.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdin=below, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    os.write(above, typed.encode())
    out, err = process.communicate(timeout=120)
    os.close(above)
    os.close(below)
    assert "4 new runs" in err
    assert "[y/N]" in err
    assert process.returncode in ((0, 1) if spends else (2,))
    assert bool(out) == spends
    assert len(_calls(store)) == spends


def test_certify_says_no_with_status_1_and_what_is_missing(held_out, capsys):
    store, _ = held_out
    arguments = ["--precision", "0.93", *TEST, "--yes", "--store", store.root]
    code, out, _ = call(capsys, "certify", "S-1", "S-2", *arguments)
    assert code == 1
    assert "Certified for 0 of 2 runs." in out
    code, out, _ = call(capsys, "certify", "S-1", *arguments)
    text = " ".join(out.split())
    assert code == 1
    assert "Not certified: " in text
    assert "more alarms" in text or "no number of further alarms" in text
    assert "asking again is free" in text
    assert "valid only if future data resemble this sample" in text


def test_walk_forward_counts_siblings_but_no_epochs(walk):
    store, run = walk
    actual = certify_runs(store, {"one": run}, 0.6)
    one = actual.runs[0].certificate
    assert (actual.part, one.hypotheses) == ("oof", len(one.tested))
    _refused("no_part", certification, store, {"one": run}, 0.6, on="test", opened=True)


def test_a_part_that_is_too_short_is_not_opened(tmp_path, make_spec):
    store = Store(tmp_path / "store")
    store.prepare()
    spec = make_spec(evaluation={"block": 120})
    run = _store_run(store, spec, HOLDOUT, 0.5)
    _refused("too_short", certification, store, {"one": run}, 0.6, on="test", opened=True)
    assert Ledger(store).accesses() == []


def test_constant_scores_are_one_threshold(held_out):
    store, runs = held_out
    flat = Spec.model_validate({**runs[0].spec.model_dump(), "model": "base_rate"})
    run = _store_run(store, flat, HOLDOUT, 0.0, scale=0.0)
    actual = certify_runs(store, {"flat": run}, 0.6).runs[0].certificate
    assert [row.alarms for row in actual.tested] == [500]


def test_runs_of_different_questions_are_not_certified_together(held_out, make_spec):
    store, runs = held_out
    other = _store_run(
        store, make_spec(task={"target": {"kind": "touch", "threshold_pct": -1}}), _mirrored(), 0.5
    )
    both = {"one": runs[0], "other": other}
    _refused("other_question", certification, store, both, 0.6)
    certify_runs(store, {"one": runs[0]}, 0.6)
    assert certification(store, {"other": other}, 0.6).spending.batch == 2  # the same data


def _mirrored():
    from dataclasses import replace

    return replace(HOLDOUT, y=1 - HOLDOUT.y)


def test_scores_from_elsewhere_are_certified_with_all_their_siblings(external):
    store = external()
    actual = certify_runs(store, find_runs(store, ["m0"]), 0.4)
    one = actual.runs[0].certificate
    assert (actual.part, one.block) == ("test", 1)
    assert one.hypotheses == 4 * len(one.tested)  # three models and the baseline
    assert actual.runs[0].years_needed is None
    assert actual.certified
    assert certify_runs(store, find_runs(store, ["m1"]), 0.4).spending.free
    assert "serial" not in to_html(actual.document()).partition("<script")[0]


def test_runs_judged_later_on_the_same_units_are_another_batch(external):
    store = external()
    certify_runs(store, find_runs(store, ["m0"]), 0.4)
    table = external.table.with_columns(later=pl.col("m0") + pl.col("m1"))
    read = score_table(table, Columns("y", score=("later",), split="part"),
                       Reading(scale="logit", on="test"))  # fmt: skip
    judge_table(read, name="more", store=store)
    asked = certification(store, find_runs(store, ["later"]), 0.4)
    assert (asked.spending.batch, len(asked.spending.new)) == (2, 1)
    assert asked.issue().runs[0].batch == 2


def test_the_same_units_under_two_digests_share_one_error(held_out):
    store, runs = held_out
    spec, other = runs[0].spec.model_copy(update={"seed": 9}), {**DATA, "digest": "f" * 12}
    twin = _store_run(store, spec, HOLDOUT, 0.5, data=other)
    both = certify_runs(store, {"S-1": runs[0], "twin": twin}, 0.4)
    assert [one.batch for one in both.runs] == [1, 1]
    assert len(_calls(store)) == 2  # a line for each
    assert certification(store, {"S-2": runs[1]}, 0.4).spending.free
    late = _store_run(store, spec.model_copy(update={"seed": 10}), HOLDOUT, 0.5, data=other)
    assert certify_runs(store, {"late": late}, 0.4).runs[0].batch == 2
    last = _store_run(store, spec.model_copy(update={"seed": 11}), HOLDOUT, 0.5)
    assert certify_runs(store, {"last": last}, 0.4).runs[0].batch == 3  # in the same second


def test_rows_of_one_cluster_say_less(external):
    """Every row four times under one cluster: as many alarms, a quarter of the information."""
    table = external.table
    copies = pl.concat([table] * 4).with_columns(
        cluster=pl.Series(np.tile(np.arange(len(table)), 4))
    )
    plain = external("logit", frame=copies)
    one = certify_runs(plain, find_runs(plain, ["m0"]), 0.4).runs[0].certificate.tested[5]
    shutil.rmtree(plain.root)
    clustered = external("logit", frame=copies, cluster="cluster")
    other = certify_runs(clustered, find_runs(clustered, ["m0"]), 0.4).runs[0].certificate.tested[5]
    assert (one.alarms, one.hits) == (other.alarms, other.hits)
    assert one.effective == one.alarms
    assert other.effective < one.alarms / 3
    assert other.bound < one.bound
    text = " ".join(
        to_html(certify_runs(clustered, find_runs(clustered, ["m0"]), 0.4).document()).split()
    )
    assert "adjusted for clusters of units that depend on each other" in text


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
        (["plan", "--positives", "413", "--samples", "422"], "413 positives among 422"),
        (["plan", "--positives", "1", "--samples", "422"], "--positives 1"),
        (["plan", "--positives", "10", "--samples", "99", "--auc", "1.2"], "--auc 1.2"),
        (["plan", "--positives", "10", "--samples", "99", "--correlation", "1"], "--correlation 1"),
        (["top", "-n", "0"], "-n must be at least 1"),
        (["top", "--probability", "1.5"], "inside (0, 1)"),
        (["top", "--tier", "a500"], "no candidate of tier a500"),
        (["top", "--campaign", "trail"], "choose from trial"),
        (["calibrate", "S-1", "--report", "nowhere/x.html"], "existing folder"),
    ],
)
def test_bad_input_is_one_line_and_status_2(held_out, capsys, arguments, words):
    store, _ = held_out
    where = [] if arguments[0] == "plan" else ["--store", store.root]
    code, out, err = call(capsys, *arguments, *where)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1
    assert not (store.root / "ledger.jsonl").exists()


def test_plan_prints_what_422_units_can_show(capsys):
    code, out, _ = call(
        capsys, "plan", "--positives", "76", "--samples", "422", "--candidates", "183"
    )
    assert code == 0
    text = " ".join(out.split())
    for words in (
        "base rate 18 % · 76/422",
        "for one of 183 models",
        "12/30 in half of all cases",
        "1,742",
    ):
        assert words in text
    _, out, _ = call(capsys, "plan", "--positives", "76", "--samples", "422", "--json")
    content = json.loads(out)
    assert (content["schema"], content["kind"]) == (1, "plan")
    assert content["alarms_to_certify"][1] == {"truth": 0.7, "one": 143, "all": 143}


# --------------------------------------------------------------------------------------------- ledger

WRITER = """
import sys
from trueness.store.ledger import Ledger
from trueness.spec import Spec
from trueness.store import Store
store = Store(sys.argv[1])
run, ledger = store.run(sys.argv[2]), Ledger(store)
for _ in range(60):
    ledger.record([run], "validation", "thresholds", sys.argv[3])
"""


def test_two_processes_writing_the_ledger_lose_nothing(held_out):
    store, runs = held_out
    command = [sys.executable, "-c", WRITER, str(store.root), runs[0].key]
    both = [subprocess.Popen([*command, name], cwd=ROOT) for name in "ab"]
    assert [process.wait() for process in both] == [0, 0]
    accesses = Ledger(store).accesses("0123456789ab", "validation")
    assert len(accesses) == 120
    assert Ledger(store).damaged() == 0
    assert Ledger(store).asked("0123456789ab", "validation") == {(runs[0].key, n) for n in "ab"}


def test_a_torn_last_line_is_counted_and_does_not_spoil_the_next(held_out):
    store, runs = held_out
    ledger = Ledger(store)
    ledger.record(runs, "validation", "thresholds")
    path = store.root / "ledger.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes()[:40])
    assert (len(ledger.accesses()), ledger.damaged()) == (1, 1)
    ledger.record(runs[:1], "test", "certify", "precision 0.6", opened=True)
    assert [one.part for one in ledger.accesses()] == ["validation", "test"]
    assert ledger.damaged() == 1
    assert ledger_lines(store)[-1] == "ledger: 1 more accesses cannot be read any more"


@pytest.mark.parametrize(
    "wrong",
    [
        {"when": 5}, {"when": None}, {"part": ["test"]}, {"question": ["a"]}, {"keys": "abc"},
        {"keys": [1]}, {"data": 7}, {"verb": None}, {"opened": "yes"},
    ],
)  # fmt: skip
def test_lines_of_wrong_types_cannot_be_read_and_harm_nobody(held_out, capsys, wrong):
    store, runs = held_out
    (access,) = Ledger(store).record(runs, "validation", "thresholds")
    path = store.root / "ledger.jsonl"
    path.write_text(signed.ledger_line({**asdict(access), **wrong}))
    assert (Ledger(store).accesses(), Ledger(store).damaged()) == ([], 1)
    assert call(capsys, "thresholds", "S-1", "--store", store.root)[0] == 0
    assert [one.data for one in Ledger(store).accesses()] == [access.data]


def test_thresholds_goes_on_without_a_ledger_that_can_be_read(held_out, capsys):
    store, _ = held_out
    (store.root / "ledger.jsonl").mkdir()
    code, out, _ = call(capsys, "thresholds", "S-1", "--store", store.root)
    assert code == 0
    assert "Warning: this access is not recorded: " in out
    assert "ledger.jsonl: cannot be read" in out


def test_tied_scores_have_no_alarm_rates(held_out, make_spec, tmp_path, capsys):
    store, runs = held_out
    spec = runs[0].spec.model_copy(update={"seed": 9})
    flat = _store_run(store, spec, HOLDOUT, 0.0, scale=0.0)
    csv, page = tmp_path / "t.csv", tmp_path / "t.html"
    rates = ["--grid", "rates", "--csv", csv, "--report", page, "--store", store.root]
    code, out, err = call(capsys, "thresholds", flat.key, *rates)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "all scores are tied" in err
    assert not csv.exists()
    assert not page.exists()
    code, out, _ = call(capsys, "thresholds", flat.key, "S-1", *rates)
    assert code == 0
    assert f"Warning: {flat.key}: all scores are tied" in out
    assert page.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["thresholds", "S-1", "--alarms", "7.5"], '"7.5" is not a whole number'),
        (["plan", "--positives", "76", "--samples", "7.5"], '"7.5" is not a whole number'),
        (["plan", "--positives", "76", "--samples", "9" * 5000], "is not a whole number"),
        (["plan", "--positives", "76", "--samples", "422", "--power", "0.01"], "power 0.01"),
        (["plan", "--positives", "10", "--samples", "42", "--candidates", "1" + "0" * 30], "1 to"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    held_out, tmp_path, monkeypatch, capsys, arguments, words
):
    monkeypatch.chdir(tmp_path)
    at = ["--store", held_out[0].root] if arguments[0] == "thresholds" else []
    code, out, err = call(capsys, *arguments, *at)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_reading_a_ledger_creates_nothing(tmp_path):
    store = Store(tmp_path / "nowhere")
    assert Ledger(store).accesses() == []
    assert ledger_lines(store) == []
    assert not (tmp_path / "nowhere").exists()


def test_open_parts_of_a_store_that_cannot_be_written_are_shown(held_out, monkeypatch, capsys):
    store, _ = held_out

    def refuse(self, looks):
        raise StoreError("read only")

    monkeypatch.setattr(Ledger, "_append", refuse)
    code, out, _ = call(capsys, "thresholds", "S-1", "--store", store.root)
    assert code == 0
    assert "in-sample" in out
    assert "Warning: this access is not recorded: read only" in out


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("thresholds", ["S-1"]), ("certify", ["S-1", "--precision", "0.6", "--yes"]), ("calibrate", ["S-1"]),
        ("top", ["-n", "1"]), ("plan", ["--positives", "76", "--samples", "422"]),
    ],
)  # fmt: skip
def test_json_has_the_fields_that_are_documented(held_out, capsys, verb, arguments):
    store, _ = held_out
    where = [] if verb == "plan" else ["--store", store.root]
    _, out, _ = call(capsys, verb, *arguments, *where, "--json")
    documented = (ROOT / "docs" / "reference" / "json.md").read_text().partition("## Decisions")[2]
    start = documented.index(f"`trueness {verb} --json`")
    stop = documented.find("`trueness ", start + 1)
    section = documented[start : stop if stop > 0 else None]
    content = json.loads(out)
    rows = [content, *content.get("runs", [])[:1], *content.get("methods", [])[:1]]
    rows += [row for run in content.get("runs", [])[:1] for row in run.get("choices", [])[:1]]
    rows += [row for run in content.get("runs", [])[:1] for row in run.get("thresholds", [])[:1]]
    rows += [row for run in content.get("runs", [])[:1] for row in run.get("tested", [])[:1]]
    for group in content.get("groups", []):
        rows += [group, *group["models"][0]["thresholds"][:1]]
    missing = [name for row in rows for name in row if f"`{name}`" not in section]
    assert set(missing) <= {"schema", "kind"}


@pytest.mark.parametrize("suffix", ["md", "html", "csv", "tex"])
@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("thresholds", ["--campaign", "trial"]), ("certify", ["S-1", "--precision", "0.6", "--yes"]),
        ("calibrate", ["S-1", "--method", "platt"]), ("top", []),
        ("plan", ["--positives", "76", "--samples", "422", "--candidates", "3"]),
    ],
)  # fmt: skip
def test_every_decision_is_written_in_every_form(
    held_out, tmp_path, capsys, verb, arguments, suffix
):
    store, _ = held_out
    where = [] if verb == "plan" else ["--store", store.root]
    option = {"md": "markdown", "html": "report", "csv": "csv", "tex": "latex"}[suffix]
    path = tmp_path / f"out.{suffix}"
    code, out, _ = call(capsys, verb, *arguments, f"--{option}", path, *where)
    assert code in (0, 1)
    content = path.read_text()
    assert len(content) > 80
    assert "None" not in content.partition("<script")[0]
    assert all(line == line.rstrip() for line in out.splitlines())
