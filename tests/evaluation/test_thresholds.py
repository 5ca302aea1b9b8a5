import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_curve as sklearn_curve

from tests.checks.test_binary import answer, bare
from tests.evaluation.cases import dependent_days, refused, scored
from trueness.checks import Finding
from trueness.evaluation import Blocks, Residuals, exact_bounds, of_share
from trueness.evaluation.operating_points import best_precision, best_recall
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.thresholds import (
    ALARM_RATES_PCT,
    rate_thresholds,
    threshold_sweep,
)

PUBLISHED = Path(__file__).resolve().parents[3] / "shared/spec/published/threshold_sweep"


def _usable(case):
    """With at least two positives."""
    y, score = case
    y[:2] = 1
    return y, score


CASES = scored(min_size=3).map(_usable)


def swept(y, score, **options):
    return threshold_sweep(y, score, input="score", **options)


# ------------------------------------------------------------------------------------------- sweeps


@given(CASES)
def test_sweep_equals_scikit_learn(case):
    y, score = case
    sweep = swept(y, score)
    precision, recall, thresholds = sklearn_curve(y, score)
    np.testing.assert_array_equal(sweep.cut[::-1], thresholds)
    np.testing.assert_allclose(sweep.precision[::-1], precision[:-1], atol=1e-15)
    np.testing.assert_allclose(sweep.recall[::-1], recall[:-1], atol=1e-15)


@given(CASES, st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_a_grid_counts_what_lies_above_each_probability(case, grid):
    y, score = case
    sweep = swept(y, score, grid=grid)
    np.testing.assert_array_equal(sweep.cut, logit(np.unique(grid)[::-1]))
    for cut, alarms, hits in zip(sweep.cut, sweep.alarms, sweep.hits, strict=True):
        assert (alarms, hits) == ((score >= cut).sum(), y[score >= cut].sum())


@given(CASES, st.lists(st.floats(0.5, 100), min_size=1, max_size=8))
def test_a_rate_is_never_exceeded_and_no_larger_cut_would_do(case, rates):
    y, score = case
    thresholds = rate_thresholds(score, rates)
    allowed = {int(len(score) * rate / 100 + 1e-9) for rate in rates}
    every = np.unique(score)
    expected = set()
    for n in allowed:
        fitting = [c for c in every if (score >= c).sum() <= n]
        expected |= {min(fitting)} if fitting else set()
    assert set(thresholds) == expected
    assert (np.diff(thresholds) < 0).all()
    sweep = swept(y, score, rates_pct=rates)
    np.testing.assert_array_equal(sweep.alarms, [(score >= c).sum() for c in thresholds])


@settings(max_examples=20)
@given(CASES)
def test_intervals_of_a_sweep_are_exact(case):
    y, score = case
    sweep = swept(y, score, confidence=0.9)
    for row in sweep:
        for what, n in (("precision", row.alarms), ("recall", sweep.positives)):
            expected = binomtest(row.hits, n).proportion_ci(0.9, method="exact")
            actual = getattr(row, what)
            assert (actual.low, actual.high) == pytest.approx(
                (expected.low, expected.high), abs=1e-9
            )
            assert (actual.k, actual.n) == (row.hits, n)
    low, high = sweep.bounds("precision")
    assert low == pytest.approx([row.precision.low for row in sweep], abs=1e-12)
    assert high == pytest.approx([row.precision.high for row in sweep], abs=1e-12)


def test_intervals_of_dependent_days_are_those_of_effective_numbers():
    rng = np.random.default_rng(4)
    y, score = dependent_days(rng, 2000, 1.0)
    blocks = Blocks.of(2000, time=np.arange(2000), length=20)
    alone, sweep = swept(y, score), swept(y, score, blocks=blocks)
    residuals = Residuals.of(SortedScores.of(y, score), blocks)
    for row in (5, 30, 200, 999):
        one, n = sweep.threshold(row), int(sweep.alarms[row])
        depends = residuals.of_alarms(SortedScores.of(y, score), n, by_rank=False)
        exact = depends.estimate(one.hits, n)
        assert one.precision.low == pytest.approx(exact.low, abs=0.02)
        assert one.precision.high == pytest.approx(exact.high, abs=0.02)
        raised = np.zeros(2000, bool)
        raised[np.argsort(-score)[:n]] = True
        actual = of_share(raised, y, blocks).estimate(one.hits, int(y.sum()))
        assert one.recall.low == pytest.approx(actual.low, abs=0.02)
    assert (sweep.effective_size["precision"] <= alone.effective_size["precision"] + 1e-9).all()
    assert sweep.effective_size["precision"][999] < 0.9 * 1000
    with refused("length"):
        swept(y, score, blocks=Blocks.of(5))


def test_alarms_per_year_are_by_calendar_time():
    when = np.datetime64("2001-01-01") + np.arange(0, 1461, 2)
    y = np.arange(len(when)) % 5 == 0
    sweep = threshold_sweep(y, np.arange(len(when)) / 100, when)
    assert sweep.years == pytest.approx(4, rel=0.001)
    assert sweep.threshold(99).alarms_per_year == pytest.approx(25, rel=0.001)
    assert sweep.columns()["alarms_per_year"][99] == sweep.threshold(99).alarms_per_year
    assert threshold_sweep(y, np.arange(len(when))).threshold(0).alarms_per_year is None


def test_a_threshold_that_nothing_reaches_has_no_precision_and_survives_json():
    sweep = threshold_sweep([1, 1, 0], [0.0, 1.0, -1.0], grid=[0.99, 1.0])
    assert [row.precision.value for row in sweep] == [None, None]
    assert np.isnan(sweep.precision).all()
    assert json.loads(json.dumps(sweep.threshold(0).to_dict()))["cut"] is None


# ------------------------------------------------------------------------------------- best of them


@given(CASES, st.sampled_from([0.1, 0.5, 0.6, 0.9]), st.booleans(), st.integers(1, 6))
def test_best_recall_equals_trying_all(case, wanted, conservative, fewest):
    y, score = case
    actual = best_recall(swept(y, score), wanted, conservative=conservative, fewest_alarms=fewest)
    tried = _tried(y, score, fewest)
    value = "low" if conservative else "precision"
    allowed = [t for t in tried if t[value] >= wanted]
    if not allowed:
        assert actual is None
        return
    best = max(allowed, key=lambda t: (t["hits"], -t["alarms"]))
    assert (actual.hits, actual.alarms, actual.cut) == (best["hits"], best["alarms"], best["cut"])


@given(CASES, st.one_of(st.floats(0.05, 1), st.integers(1, 40)), st.booleans(), st.integers(1, 6))
def test_best_precision_equals_trying_all(case, demand, conservative, fewest):
    y, score = case
    budget = demand if isinstance(demand, int) else None
    recall = None if budget else demand
    actual = best_precision(
        swept(y, score), recall=recall, alarms=budget, conservative=conservative,
        fewest_alarms=fewest,
    )  # fmt: skip
    reached = "recall_low" if conservative else "recall"
    allowed = [
        t for t in _tried(y, score, fewest)
        if (t["alarms"] <= budget if budget else t[reached] >= recall)
    ]  # fmt: skip
    if not allowed:
        assert actual is None
        return
    value = "low" if conservative else "precision"
    best = max(t[value] for t in allowed)
    most = max(t["hits"] for t in allowed if t[value] == best)
    assert actual.hits == most
    assert (actual.precision.low if conservative else actual.precision.value) == pytest.approx(best)


def _tried(y, score, fewest):
    """Every threshold with enough alarms, counted one by one."""
    tried = []
    for cut in np.unique(score):
        hits, alarms = int(y[score >= cut].sum()), int((score >= cut).sum())
        low = exact_bounds([hits, hits], [alarms, y.sum()])[0]
        tried += [
            {
                "cut": cut, "hits": hits, "alarms": alarms, "precision": hits / alarms,
                "recall": hits / y.sum(), "low": low[0], "recall_low": low[1],
            }
        ] * (alarms >= fewest)  # fmt: skip
    return tried


# ------------------------------------------------------------------------------------- double sigmoid


@pytest.fixture(scope="module")
def published():
    """Label and published probability of every day, made from the counts of each published sweep."""
    if not (PUBLISHED / "a50.json").exists():
        pytest.skip("the published sweep is not here")
    content = json.loads((PUBLISHED / "a50.json").read_text())
    return {name: _days(model) for name, model in content.items()}


def _days(model):
    """Days that give the same counts: between two thresholds they may lie anywhere."""
    low, high = model["prob_stats"]["min"], model["prob_stats"]["max"]
    y, prob, rows = [], [], model["sweep"]
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        tp, fp = ((row[n] - (following[n] if following else 0)) for n in ("tp", "fp"))
        upper = following["threshold"] if following else high
        place = (max(row["threshold"], low) + min(upper, high)) / 2
        y += [1] * tp + [0] * fp
        prob += [place] * (tp + fp)
    y, prob = np.array(y), np.array(prob)
    prob[prob.argmin()], prob[prob.argmax()] = low, high
    return y, prob, model


def test_the_published_sweep_went_through_a_sigmoid_twice(published):
    assert len(published) == 6
    for y, prob, model in published.values():
        assert (len(y), y.sum()) == (422, 76)
        score = logit(prob)
        assert isinstance(answer("TRU006", bare(score, y.astype(np.uint8))), Finding)
        as_published = swept(y, score, grid=[row["threshold"] for row in model["sweep"]])
        np.testing.assert_array_equal(
            as_published.alarms[::-1], [row["n_predictions"] for row in model["sweep"]]
        )


def test_the_corrected_sweep_agrees_with_the_published_correction(published):
    with (PUBLISHED / "a50_corrected.csv").open() as file:
        expected = list(csv.DictReader(file))
    assert {row["model"] for row in expected} == set(published)
    for name, (y, prob, _) in published.items():
        own = logit(prob)
        score = logit(own)
        assert not isinstance(answer("TRU006", bare(score, y.astype(np.uint8))), Finding)
        for row in (row for row in expected if row["model"] == name):
            assert own.min() == pytest.approx(float(row["pred_min_on_model_output"]), abs=2e-6)
            assert own.max() == pytest.approx(float(row["pred_max_on_model_output"]), abs=2e-6)
            at = float(row["threshold_on_model_output"])
            assert at == pytest.approx(logit(float(row["threshold_as_published"])), abs=1e-6)
            (actual,) = swept(y, score, grid=[min(max(at, 0.0), 1.0)])
            assert (actual.hits, actual.alarms) == (int(row["tp"]), int(row["n_predictions"]))
            assert actual.recall.value == pytest.approx(float(row["recall"]))
            assert (actual.precision.value or 0.0) == pytest.approx(float(row["precision"]))


# ------------------------------------------------------------------------------------------ refusals

Y, S = [1, 0, 1, 0], [4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: threshold_sweep(Y, [1.0, 2.0]), "length"),
        (lambda: threshold_sweep(Y, [1.0, 2.0, np.nan, 0.0]), "not_finite"),
        (lambda: threshold_sweep([0, 1, 2, 1], S), "labels"),
        (lambda: threshold_sweep([0, 0, 0, 1], S), "few_positives"),
        (lambda: threshold_sweep(Y, S, grid=[0.5], rates_pct=[5]), "choice"),
        (lambda: threshold_sweep(Y, S, grid=[1.5]), "range"),
        (lambda: threshold_sweep(Y, S, grid=[]), "range"),
        (lambda: threshold_sweep(Y, S, rates_pct=[0]), "range"),
        (lambda: threshold_sweep(Y, S, confidence=95), "range"),
        (lambda: threshold_sweep(Y, S, ["2001-01-01"]), "length"),
        (lambda: threshold_sweep(Y, S, ["2001-01-01", "NaT"] * 2), "missing"),
        (lambda: best_recall(threshold_sweep(Y, S), 0.0), "range"),
        (lambda: best_recall(threshold_sweep(Y, S), 1.0), "range"),
        (lambda: best_recall(threshold_sweep(Y, S), 0.5, fewest_alarms=0), "number"),
        (lambda: best_precision(threshold_sweep(Y, S)), "choice"),
        (lambda: best_precision(threshold_sweep(Y, S), recall=0.5, alarms=3), "choice"),
        (lambda: best_precision(threshold_sweep(Y, S), recall=1.2), "range"),
        (lambda: best_precision(threshold_sweep(Y, S), alarms=0), "number"),
    ],
)
def test_bad_input_is_refused(call, code):
    with refused(code):
        call()


def test_the_rates_of_a_sweep_go_from_1_to_50_percent():
    assert (ALARM_RATES_PCT[0], ALARM_RATES_PCT[-1]) == (1, 50)
