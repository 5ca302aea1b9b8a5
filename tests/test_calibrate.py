"""The verb calibrate, on stores whose predictions are made up."""

import json
import re
from typing import get_args

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, roc_auc_score

from tests.test_cli import call
from tests.test_store import HISTORY, RECORD
from trueness.cli.calibrating import Methods
from trueness.evaluation import out_of_fold_calibration
from trueness.evaluation.calibrators import METHODS
from trueness.judge.calibration import compare_calibrations
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
        table = pl.DataFrame({
            "split": "validation",
            "when": np.datetime64("2023-01-01") + np.arange(n),
            "y": np.asarray(y).astype(np.uint8),
            "logit": score.astype(np.float32),
        })  # fmt: skip
        unseen = table.with_columns(split=pl.lit("train"), logit=pl.lit(9.0, pl.Float32))
        spec = make_spec(seed=seed, **sections)
        shuffled = pl.concat([unseen, table]).sample(fraction=1, shuffle=True, seed=1)
        store.write(spec, {**RECORD, "label": "made up"}, shuffled, HISTORY)
        store.write_campaign("c", {f"C-{seed:02}": spec.key})
        return spec.key, score.astype(np.float32).astype(float), np.asarray(y).astype(int)

    make.store = store
    return make


def calibrate(capsys, store, *arguments):
    return call(capsys, "calibrate", *arguments, "--store", store.root)


def test_every_method_is_measured_on_days_that_did_not_fit_it(stored, capsys):
    key, score, y = stored(task={"horizon_days": 5})
    code, out, _ = calibrate(capsys, stored.store, key[:6], "--json")
    assert code == 0
    content = json.loads(out)
    assert [one["method"] for one in content["methods"]] == ["as is", *METHODS]
    assert (content["gap_days"], content["n"], content["positives"]) == (5, 800, y.sum())
    block = np.arange(800) // 160
    for one in content["methods"]:
        p = expit(score)
        if one["method"] != "as is":
            p = out_of_fold_calibration(score, y, block, one["method"], gap_days=5)
        brier, minus = one["estimates"]["brier"], one["brier_minus_as_is"]
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
    assert content["methods"][0]["brier_minus_as_is"] is None


def test_the_verdict_finds_what_helps(stored, capsys):
    stored()
    code, out, _ = calibrate(capsys, stored.store, "C-00")
    assert code == 0
    assert re.search(r"has the smallest Brier score; difference .* -0\.0\d+ \[-.*, -.*\]", out)
    assert (
        "Beyond the interval, corrected for their number, 5 of 5 methods lower it and 0 raise it"
        in out
    )
    assert "made up: 800 validation days" in out
    assert "the pooled AUC falls where the base rate changes" in out
    asis, platt = (
        next(line for line in out.splitlines() if line.startswith(name)) for name in ("as is", "pl")
    )
    assert asis.split()[-1] == platt.split()[-1]  # the AUC inside blocks stays


def test_true_probabilities_are_left_alone(stored):
    stored(slope=1, shift=0, n=2000)
    found = compare_calibrations(stored.store.all_runs()[0][0])
    assert found.best.method in ("as is", "temperature")
    assert "0 of 5 methods lower it" in found.verdict


def test_only_the_methods_asked_for(stored, capsys):
    stored()
    arguments = ("C-00", "--method", "venn_abers", "--method", "platt", "--method", "platt")
    code, out, _ = calibrate(capsys, stored.store, *arguments, "--json")
    assert code == 0
    names = [one["method"] for one in json.loads(out)["methods"]]
    assert names == ["as is", "venn_abers", "platt"]


def test_too_few_days_leave_the_intervals_open(stored, capsys):
    stored(n=80)
    code, out, _ = calibrate(capsys, stored.store, "C-00")
    assert code == 0
    assert "The days are too few for intervals: nothing can be told apart." in out


def test_the_page_holds_table_verdict_and_pictures(stored, capsys, tmp_path):
    stored()
    page = tmp_path / "page.html"
    code, out, err = calibrate(capsys, stored.store, "C-00", "--report", page)
    assert code == 0
    assert f"report: {page}" in err
    html = page.read_text()
    assert html.count('class="plotly-graph-div"') == 6
    verdict = next(line for line in out.splitlines() if "has the smallest" in line)
    assert verdict in html
    assert "venn_abers" in html


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        ({}, ["C-77"], "no run has the id or key 'C-77'"),
        ({}, ["C-00", "--method", "magic"], "magic"),
        ({}, ["C-00", "--report", "nowhere/x.html"], "existing folder"),
        ({"y": np.zeros(800)}, ["C-00"], "0 positives and 800 negatives"),
        ({"y": np.arange(800) < 100}, ["C-00"], "outside block 0: 0 positives"),
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
