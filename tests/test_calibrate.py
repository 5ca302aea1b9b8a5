"""The verb calibrate, on stores whose predictions are made up."""

import json
import re
import shutil
from typing import get_args

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, roc_auc_score

from tests.test_cli import call
from trueness.cli.calibrating import Methods
from trueness.document import Figure, HConcat
from trueness.engines.recorded import HISTORY
from trueness.errors import TruenessError
from trueness.evaluation.calibrators import METHODS
from trueness.evaluation.out_of_fold import out_of_fold_calibration
from trueness.judge.calibration import UNCALIBRATED, calibration_section, compare_calibrations
from trueness.judge.external import judge_table
from trueness.judge.finding import find_run
from trueness.judge.measured import measured
from trueness.judge.tables import Columns, Reading, score_table
from trueness.predictions import Predictions
from trueness.store import Store


@pytest.fixture
def stored(tmp_path, make_spec):
    """Write a run whose days come from a world with the given true slope; return its key."""
    store = Store(tmp_path / "store")
    store.prepare()

    def make(n=800, slope=0.4, shift=-1.0, seed=0, y=None, **sections):
        rng = np.random.default_rng(seed)
        score = rng.normal(0, 2, n)
        y = (rng.random(n) < expit(slope * score + shift)) if y is None else y
        days = np.datetime64("2023-01-01") + np.arange(n)
        table = pl.DataFrame({
            "split": "validation",
            "fold": 0,
            "id": days.astype(str),
            "time": days,
            "y": np.asarray(y).astype(np.uint8),
            "score": score.astype(np.float32),
        })  # fmt: skip
        unseen = table.with_columns(split=pl.lit("train"), score=pl.lit(9.0, pl.Float32))
        spec = make_spec(seed=seed, **sections)
        shuffled = pl.concat([unseen, table]).sample(fraction=1, shuffle=True, seed=1)
        record = measured(spec, Predictions(shuffled)) | {
            "label": "made up", "parameters": 1, "features": [], "notes": [], "findings": [],
            "seconds": 0.1, "device": "cpu", "precision": "float32", "data": {"digest": "d"},
        }  # fmt: skip
        store.write(spec, record, shuffled, pl.DataFrame(schema=HISTORY))
        store.write_campaign("c", {f"C-{seed:02}": spec.key})
        return spec.key, score.astype(np.float32).astype(float), np.asarray(y).astype(int)

    make.store = store
    return make


@pytest.fixture
def external(tmp_path):
    """Judge a table of overconfident scores with the given columns; return its run."""

    def make(scale="logit", **columns):
        rng = np.random.default_rng(0)
        score = rng.normal(0, 2, 900)
        table = pl.DataFrame({
            "y": (rng.random(900) < expit(0.4 * score)).astype(int),
            "day": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 10, 26), eager=True).gather(
                np.repeat(np.arange(300), 3)),
            "series": ["a", "b", "c"] * 300,
            "product": np.repeat(np.arange(300), 3),
            "m": score, "other": score + rng.normal(0, 1, 900),
        })  # fmt: skip
        read = score_table(
            table, Columns("y", score=("m", "other"), **columns), Reading(scale=scale)
        )
        store = Store(tmp_path / "external")
        judge_table(read, rule={"horizon": 4}, name="mine", store=store)
        return find_run(store, "m")[0]

    return make


def calibrate(capsys, store, *arguments):
    return call(capsys, "calibrate", *arguments, "--store", store.root)


def test_every_method_is_measured_on_days_that_did_not_fit_it(stored, capsys):
    key, score, y = stored(task={"horizon": 5})
    code, out, _ = calibrate(capsys, stored.store, key[:6], "--json")
    assert code == 0
    content = json.loads(out)
    assert [one["method"] for one in content["methods"]] == [UNCALIBRATED, *METHODS]
    assert (content["gap"], content["n"], content["positives"]) == (5, 800, y.sum())
    block = np.arange(800) // 160
    for one in content["methods"]:
        p = expit(score)
        if one["method"] != UNCALIBRATED:
            p = out_of_fold_calibration(y, score, block, one["method"], gap=5)
        brier, minus = one["estimates"]["brier"], one["brier_minus_uncalibrated"]
        assert brier["value"] == pytest.approx(brier_score_loss(y, p))
        assert brier["low"] < brier["value"] < brier["high"]
        assert brier["measured_on"] == brier["chosen_on"] == "validation"
        if minus is not None:
            alone, joint = minus["pointwise"], minus["simultaneous"]
            expected = brier_score_loss(y, p) - brier_score_loss(y, expit(score))
            assert alone["value"] == joint["value"] == pytest.approx(expected)
            assert joint["low"] < alone["low"] < expected < alone["high"] < joint["high"]
            assert joint["n_candidates"] == 5
        inside = [roc_auc_score(y[block == b], p[block == b]) for b in range(5)]
        assert one["estimates"]["auc_in_block"]["value"] == pytest.approx(np.mean(inside))
    assert content["methods"][0]["brier_minus_uncalibrated"] is None


def test_the_verdict_finds_what_helps(stored, capsys):
    stored()
    code, out, _ = calibrate(capsys, stored.store, "C-00")
    assert code == 0
    text = " ".join(out.split())
    assert re.search(
        r"has the smallest Brier score; difference .* −0\.0\d+ \(−[\d.]+ to −[\d.]+\)", text
    )
    assert "Adjusted for the number of methods, 5 of 5 lower it and 0 raise it" in text
    assert "Calibration of c/C-00 · made up" in text
    assert "800 validation days" in text
    assert "it cannot improve discrimination" in text
    before, platt = (
        next(line for line in out.splitlines() if line.startswith(name))
        for name in (f"{UNCALIBRATED}  ", "platt  ")
    )
    assert before.split()[-1] == platt.split()[-1]  # the AUC inside blocks stays


def test_true_probabilities_are_left_alone(stored):
    stored(slope=1, shift=0, n=2000)
    actual = compare_calibrations(stored.store.all_runs()[0][0])
    assert actual.best.method in (UNCALIBRATED, "temperature")
    assert "0 of 5 lower it" in actual.verdict


def test_only_the_methods_asked_for(stored, capsys):
    stored()
    arguments = ("C-00", "--method", "venn_abers", "--method", "platt", "--method", "platt")
    code, out, _ = calibrate(capsys, stored.store, *arguments, "--json")
    assert code == 0
    names = [one["method"] for one in json.loads(out)["methods"]]
    assert names == [UNCALIBRATED, "venn_abers", "platt"]


def test_too_few_days_leave_the_intervals_open(stored, capsys):
    stored(n=80)
    code, out, _ = calibrate(capsys, stored.store, "C-00")
    assert code == 0
    assert "Too few days for intervals." in out


def test_the_page_holds_table_verdict_and_pictures_with_the_same_axes(stored, capsys, tmp_path):
    stored()
    page = tmp_path / "page.html"
    code, _, _ = calibrate(capsys, stored.store, "C-00", "--report", page)
    assert code == 0
    html = page.read_text()
    assert "ten bins of equal mass; grey bars" in html
    assert html.count("<figure") == 6
    assert "has the smallest Brier score" in html
    assert "venn_abers" in html
    document = compare_calibrations(stored.store.all_runs()[0][0]).document()
    ends = {
        (name, *figure.layout[name]["range"])
        for figure in document.figures()
        for name in ("xaxis", "yaxis")
    }
    assert len(ends) == 2
    assert len({end[2] for end in ends}) == 1


def test_the_frame_has_a_row_per_method(stored):
    stored()
    actual = compare_calibrations(stored.store.all_runs()[0][0], ["platt"])
    frame = actual.to_frame()
    assert frame["method"].to_list() == [UNCALIBRATED, "platt"]
    for row, one in zip(frame.iter_rows(named=True), actual.methods, strict=True):
        brier = one.estimates["brier"]
        assert (row["brier"], row["brier_low"], row["auc"]) == (
            brier.value, brier.low, one.estimates["auc"].value,
        )  # fmt: skip


def test_the_leaderboard_shows_a_run_before_and_after_platt_scaling(stored):
    stored()
    ((section,),) = [calibration_section("C-00", stored.store.all_runs()[0][0])]
    (drawn,) = [part for part in section.parts if isinstance(part, HConcat)]
    assert [type(figure) for figure in drawn.parts] == [Figure, Figure]


# ----------------------------------------------------------------------------------------- elsewhere


def test_a_panel_is_cut_at_times_and_leaves_out_the_horizon(external):
    run = external(time="day", group="series")
    actual = compare_calibrations(run, ["platt"])
    y, score, day = actual.part.y, actual.part.score, np.repeat(np.arange(300), 3)
    expected = out_of_fold_calibration(y, score, day // 60, "platt", gap=4, time=day)
    np.testing.assert_allclose(actual.methods[1].probability, expected, rtol=1e-12)
    assert actual.gap == 4
    brier = actual.methods[0].estimates["brier"]
    assert brier.value == pytest.approx(brier_score_loss(y, expit(score)))
    assert brier.low < brier.value < brier.high


@pytest.mark.parametrize("columns", [{}, {"cluster": "product"}])
def test_units_without_times_are_calibrated_in_random_folds_that_keep_clusters_whole(
    external, columns
):
    run = external(**columns)
    actual = compare_calibrations(run, ["platt"])
    p = actual.methods[1].probability
    assert actual.gap == 0
    assert "random folds" in actual.facts()[1]
    # five maps: the same score has one of five probabilities
    part = actual.part
    odds = np.log(p / (1 - p))
    for cluster in np.unique(part.cluster)[:50] if columns else ():
        inside = part.cluster == cluster
        slopes = np.diff(odds[inside]) / np.diff(part.score[inside])
        assert np.ptp(slopes) < 1e-9  # one map for a cluster


def test_scores_that_only_rank_cannot_be_calibrated(external):
    run = external("rank")
    with pytest.raises(TruenessError) as error:
        compare_calibrations(run)
    assert error.value.code == "scores_only_rank"
    (section,) = calibration_section("m", run)
    assert "only rank" in section.parts[0].text


def test_runs_of_k_classes_cannot_be_calibrated(golden_titles):
    with pytest.raises(TruenessError) as error:
        compare_calibrations(find_run(golden_titles, "plain")[0])
    assert error.value.code == "not_binary"


def test_an_access_that_cannot_be_recorded_is_told(stored, capsys):
    stored()
    (stored.store.root / "ledger.jsonl").mkdir()
    code, out, _ = calibrate(capsys, stored.store, "C-00", "--method", "platt")
    assert code == 0
    assert "this access is not recorded" in out
    shutil.rmtree(stored.store.root / "ledger.jsonl")
    calibrate(capsys, stored.store, "C-00", "--method", "platt")
    (line,) = (stored.store.root / "ledger.jsonl").read_text().splitlines()
    assert json.loads(line)["verb"] == "calibrate"


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        ({}, ["C-77"], "no run has the id or key 'C-77'"),
        ({}, ["C-00", "--method", "magic"], "magic"),
        ({}, ["C-00", "--report", "nowhere/x.html"], "existing folder"),
        ({"y": np.zeros(800)}, ["C-00"], "0 positives"),
        ({"y": np.arange(800) < 100}, ["C-00"], "0 positives"),
    ],
)
def test_mistakes_are_one_line(stored, capsys, make, arguments, words):
    stored(**make)
    code, out, err = calibrate(capsys, stored.store, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err


def test_help_names_every_method_and_an_example(capsys):
    code, out, _ = call(capsys, "calibrate", "--help")
    assert code == 0
    assert "Example: trueness calibrate D-01" in " ".join(out.split())
    assert "--json" in out
    listed = get_args(get_args(get_args(get_args(Methods)[0])[0])[0])
    assert listed == tuple(METHODS)
