"""Figures about alarms, slices and the best models: every number is that of the predictions."""

import json
import math

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit, ndtri
from sklearn.metrics import confusion_matrix

from tests.golden import named
from tests.test_cli import call
from trueness.document import Table
from trueness.errors import TruenessError
from trueness.evaluation import Blocks, auc_draws, contrasts_with_leader
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.intervals import clopper_pearson
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.simulated_models import (
    PERSISTENCE,
    Planned,
    simulated_resolution,
    simulated_scores,
)
from trueness.judge.curves import (
    alarm_curve,
    axis_end,
    calibration_curve,
    histogram,
    reliability,
)
from trueness.judge.external import judge_table
from trueness.judge.finding import find_run, find_runs
from trueness.judge.power import Question, plan_power, power_of_labels, power_sentences
from trueness.judge.slices import MOST_GROUPS, slice_sections, slices
from trueness.judge.tables import Columns, Reading, score_table
from trueness.judge.top import top_models
from trueness.report import to_html
from trueness.store import MemoryStore, Store


@pytest.fixture(scope="module")
def runs(golden_market):
    return {name: golden_market.run(key) for key, name in named(golden_market).items()}


def _part(run):
    return run.predictions().part("oof")


def _panel(groups=3, n=40, scale="probability"):
    """A table of scores of a panel: as many groups, so many days."""
    rng = np.random.default_rng(1)
    signal = rng.standard_normal(groups * n)
    score = expit(signal) if scale == "probability" else 100 * signal
    table = pl.DataFrame({
        "y": (signal + rng.standard_normal(groups * n) > 1).astype(int),
        "day": pl.Series(np.datetime64("2023-12-20") + np.repeat(np.arange(n), groups)),
        "name": [f"g{i:02}" for i in range(groups)] * n,
        "m": score, "other": np.roll(score, 1),
    })  # fmt: skip
    columns = Columns("y", score=("m", "other"), time="day", group="name")
    return score_table(table, columns, Reading(scale=scale)), table


# ---------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("what", ["precision", "recall"])
def test_alarm_curves_hold_the_band_of_the_effective_sample_size(runs, what):
    part = _part(runs["deep16"])
    figure = alarm_curve([("leader", runs["deep16"]), ("forest", runs["forest"])], what)
    band, line, other, chance = figure.data
    order = np.argsort(-part.score)
    at = int(np.argmin(np.abs(np.array(line["x"]) - 100 * 30 / len(part))))
    alarms = round(line["x"][at] * len(part) / 100)
    hits = int(part.y[order[:alarms]].sum())
    of = alarms if what == "precision" else int(part.y.sum())
    assert line["y"][at] == pytest.approx(hits / of)
    ranked, blocks = SortedScores.of(part.y, part.score), part.blocks(20)
    raised = np.isin(np.arange(len(part)), order[:alarms])
    depends = (
        Residuals.of(ranked, blocks).of_alarms(ranked, alarms, by_rank=False)
        if what == "precision" else of_share(raised, part.y == 1, blocks)
    )  # fmt: skip
    low, high = depends.bounds(hits, of, 0.025)
    assert low <= clopper_pearson(hits, of)[0] < high
    n = len(line["x"])
    assert (band["y"][at], band["y"][2 * n - 1 - at]) == pytest.approx((high, low))
    assert (line["line"]["dash"], other["line"]["dash"]) == ("solid", "dash")  # a baseline
    assert chance["y"][-1] == pytest.approx(part.y.mean() if what == "precision" else 1)
    json.dumps(figure.data, allow_nan=False)


def test_calibration_curves_of_several_panels_can_share_their_axes(runs):
    y, score = _part(runs["linear16"]).y, _part(runs["linear16"]).score
    blocks = _part(runs["linear16"]).blocks(20)
    narrow = calibration_curve(y, expit(score / 9 - 1), 0.95, blocks)
    end = max(axis_end(y, p, 0.95, blocks) for p in (expit(score), expit(score / 9 - 1)))
    wide = calibration_curve(y, expit(score / 9 - 1), 0.95, blocks, end=end)
    assert narrow.layout["xaxis"]["range"][1] < wide.layout["xaxis"]["range"][1] == end
    assert wide.layout["xaxis"]["range"] == wide.layout["yaxis"]["range"]
    observed = wide.data[-1]
    edges = np.quantile(score, np.arange(1, 10) / 10)
    shares = [y[np.digitize(score, edges) == b].mean() for b in range(10)]
    assert observed["y"] == pytest.approx(shares, abs=0.05)


def test_reliability_has_intervals_of_the_effective_sample_size(runs):
    part = _part(runs["linear16"])
    alone, dependent = (reliability(part, block, 0.9).data[-1] for block in (1, 20))
    text = alone["text"][3]
    k, n = (int(word) for word in text.replace(" units", "").split(" of "))
    low, high = clopper_pearson(k, n, 0.9)
    assert alone["y"][3] + alone["error_y"]["array"][3] == pytest.approx(high)
    assert alone["y"][3] - alone["error_y"]["arrayminus"][3] == pytest.approx(low)
    wide, narrow = (np.array(one["error_y"]["array"]) for one in (dependent, alone))
    assert (wide >= narrow - 1e-12).all()
    assert wide.sum() > narrow.sum()


def test_histograms_hold_every_unit_once(runs):
    part = _part(runs["deep16"])
    negative, positive = histogram(part).data
    assert sum(negative["y"]) == pytest.approx(1)
    assert sum(positive["y"]) == pytest.approx(1)
    assert f"({int(part.y.sum())})" in positive["name"]


def test_scores_that_only_rank_are_drawn_as_they_are():
    table, frame = _panel(scale="rank")
    figure = histogram(table.models["m"].part("evaluation"))
    assert max(figure.data[0]["x"]) > 100
    assert figure.layout["xaxis"]["title"]["text"] == "score"
    assert sum(sum(bars["y"]) for bars in figure.data) == pytest.approx(2)
    assert len(frame) == 120


# ----------------------------------------------------------------------------------------- slices


def test_alarms_of_slices_are_those_of_the_predictions(runs):
    run = runs["deep16"]
    rows = run.table().filter(pl.col("split") == "oof")
    best = rows.sort("score", descending=True).head(30)
    actual = slices(run, runs["forest"])
    assert (actual.estimate, actual.alarms, actual.n) == ("precision@30", 30, 500)
    for title, column in (("year", pl.col("time").dt.year().cast(pl.String)),
                          ("regime", pl.col("regime"))):  # fmt: skip
        for one in actual.by[title]:
            some, alarms = (
                t if one.name == "all days" else t.filter(column == one.name) for t in (rows, best)
            )
            assert (one.n, one.base_rate.k) == (len(some), some["y"].sum())
            assert (one.alarms.k, one.alarms.n) == (alarms["y"].sum(), len(alarms))
        assert sum(one.alarms.n for one in actual.by[title][:-1]) == 30


def test_sections_of_slices_name_run_and_baseline(runs):
    sections = slice_sections([("deep16", runs["deep16"]), ("forest", runs["forest"])])
    assert [section.title for section in sections] == ["By year", "By regime"]
    (table,) = [part for part in sections[0].parts if isinstance(part, Table)]
    assert [column.title for column in table.columns] == [
        "year", "days", "base rate", "AUC", "deep16", "forest",
    ]  # fmt: skip
    (alone, *_) = slice_sections([("deep16", runs["deep16"])])
    assert len(alone.parts[-1].columns) == 5


def test_a_panel_has_years_and_groups(tmp_path):
    table, frame = _panel(groups=MOST_GROUPS + 5)
    store = Store(tmp_path / "store")
    judge_table(table, name="mine", store=store)
    actual = slices(find_run(store, "m")[0])
    assert list(actual.by) == ["year", "group"]
    assert actual.estimate == "precision@5%"  # 70 of 1,400 units are more than 30
    groups = actual.by["group"]
    assert len(groups) == MOST_GROUPS + 1
    top = frame.sort("m", descending=True).head(actual.alarms)
    for one in groups[:-1]:
        assert one.alarms.n == len(top.filter(pl.col("name") == one.name))
    assert groups[-1].n == len(frame)
    (_, by_group) = slice_sections([("m", find_run(store, "m")[0])])
    assert by_group.parts[0].note == f"The {MOST_GROUPS} largest groups."


# -------------------------------------------------------------------------------------------- top


def test_top_counts_from_the_stored_predictions(golden_market, runs, capsys):
    code, out, _ = call(capsys, "top", "-n", 2, "--store", golden_market.root, "--json")
    content = json.loads(out)
    assert (code, content["schema"], content["kind"]) == (0, 1, "top")
    ((group),) = content["groups"]
    assert len(group["models"]) == 2
    for one in group["models"]:
        part = _part(golden_market.run(one["key"]))
        for cut in one["thresholds"]:
            if cut["rule"].startswith("probability"):
                assert cut["probability"] == pytest.approx(float(cut["rule"].split()[-1]))
                alarm = part.score >= logit(cut["probability"]) - 1e-12
            else:
                alarm = part.score >= cut["cut"]
                assert cut["tp"] + cut["fp"] <= int(cut["rule"].split()[1])
            counts = confusion_matrix(part.y, alarm, labels=[0, 1]).ravel().tolist()
            assert [cut[name] for name in ("tn", "fp", "fn", "tp")] == counts


def test_top_of_each_size_tier_or_loss(golden_market):
    names = named(golden_market)
    for per, files in (("budget", {"750k"}), ("tier", {"a20"}),
                       ("loss", {"bce", "focal", "labelsmoothing"})):  # fmt: skip
        ((_, top),) = top_models(golden_market, n=1, per=per).groups
        assert {one.filed for one in top} == files
        assert len({names[one.model.key] for one in top}) == len(top)
    ((group, top),) = top_models(golden_market, n=99).groups
    assert len(top) == group.n_candidates  # seeds of a candidate stand there once


def test_top_of_scores_from_elsewhere(tmp_path):
    table, _ = _panel(scale="rank")
    store = Store(tmp_path / "store")
    judge_table(table, name="mine", store=store)
    ((_, top),) = top_models(store, access=("top", "")).groups
    assert [cut.rule for cut in top[0].thresholds] == ["top 7", "top 15", "top 30"]
    assert all(cut["probability"] is None for cut in top[0].to_dict()["thresholds"])
    assert "weights" not in to_html(top_models(store).document()).partition("<script")[0]
    for options, code in (
        ({"per": "loss"}, "per"), ({"per": "budget"}, "per"), ({"tiers": ["a20"]}, "no_candidates"),
        ({"n": 0}, "top_options"), ({"probabilities": [1.5]}, "top_options"),
    ):  # fmt: skip
        with pytest.raises(TruenessError) as error:
            top_models(store, **options)
        assert error.value.code == code


def test_tied_scores_raise_no_alarm_within_a_budget():
    _, frame = _panel()
    coarse = frame.with_columns(m=(pl.col("m") > 0.5).cast(pl.Float64) / 2)
    columns = Columns("y", score=("m", "other"), time="day", group="name")
    store = MemoryStore()
    board = judge_table(score_table(coarse, columns, Reading()), name="mine")
    (run,) = [m.run for m in board.groups[0].models if m.name == "m"]
    store.add([run], {"m": run.key})
    ((_, (top,)),) = top_models(store).groups
    cut = next(one for one in top.thresholds if one.rule == "top 7")
    assert (cut.tp + cut.fp, math.isfinite(cut.cut), cut.precision.value) == (0, False, None)
    json.dumps(top_models(store).to_dict(), allow_nan=False)
    assert find_runs(store, ["m"])["m"].key == run.key


# ------------------------------------------------------------------------------------------ power


def _labels(n, positives, seed=0):
    y = np.zeros(n, np.uint8)
    y[:positives] = 1
    return np.random.default_rng(seed).permutation(y)


def test_power_is_told_in_the_words_of_the_field():
    blocks = Blocks.of(1500, time=np.arange(1500), length=20)
    actual = power_of_labels(_labels(1500, 320), blocks, 6, 30, 0.95)
    first, second, third, last = power_sentences(actual, "day")
    assert first == (
        "Minimum detectable with 80 % power, on 1,500 days with 320 positives, for one of 6 models:"
    )
    assert second.startswith("against chance: precision@30 ")
    assert third.startswith("against the best of 5 baselines: AUC difference 0.")
    assert "all other candidates" in third
    assert last.startswith("By chance alone, the best of 6 models reaches ")
    alone = power_sentences(power_of_labels(_labels(1500, 320), blocks, 1, 30, 0.95))
    assert not any("models" in line or "candidates" in line for line in alone)


def test_more_models_and_labels_that_hang_together_need_larger_differences():
    y = _labels(1500, 320)
    blocks = Blocks.of(1500, time=np.arange(1500), length=20)
    months = np.repeat(y[:75], 20)
    one, many, dependent = (
        power_of_labels(labels, blocks, m, 30, 0.95)["minimum_detectable"]
        for labels, m in ((y, 2), (y, 40), (months, 2))
    )
    for name in ("precision", "auc", "baseline", "siblings"):
        assert one[name] < many[name], name
        assert one[name] < dependent[name] or dependent[name] is None, name
    assert one["median_hits"] < one["upper_hits"] < many["upper_hits"] + 3


@pytest.mark.slow
def test_the_detectable_difference_to_all_siblings_is_found_in_four_of_five_samples():
    y = _labels(1500, 320)
    blocks, planned = Blocks.of(1500, time=np.arange(1500), length=20), Planned(8, 5)
    actual = simulated_resolution(y, blocks, planned)
    target, yes = 0.7 + actual.siblings, []
    for seed in range(1, 121):
        scores = simulated_scores(y, 8, planned, persistence=PERSISTENCE, seed=seed)
        lead = np.sqrt(2) * (ndtri(target) - ndtri(0.7))
        aucs = auc_draws(y, [scores[0] + lead * y, *scores[1:]], blocks=blocks)
        yes.append({c.verdict for c in contrasts_with_leader(aucs, 0)} == {"better"})
    assert np.mean(yes) == pytest.approx(0.8, abs=0.12)


def test_where_nothing_can_be_compared_there_is_no_power():
    for positives, blocks in ((9, Blocks.of(500)), (491, Blocks.of(500)),
                              (50, Blocks.of(500, length=200))):  # fmt: skip
        assert power_of_labels(_labels(500, positives), blocks, 3, 30, 0.95) is None


def test_a_plan_has_a_row_per_true_precision():
    plan = plan_power(Question(76, 422, 183))
    assert plan.to_frame().rows()[1] == (0.7, 143, 425)
    assert 0.05 < plan.numbers["minimum_detectable"]["baseline"] < 0.25
    (table,) = plan.document().tables()
    assert [cells[2] for cells in table.rows] == [1742, 425, 186, 100, 39]
    far = plan_power(Question(76, 422, 183, precision=0.97))
    assert far.document().tables() == []
    assert len(far.to_frame()) == 0
    assert "none" in " ".join(
        power_sentences(plan_power(Question(50, 100, 1000, alarms=2)).numbers)
    )
