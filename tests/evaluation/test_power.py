import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from tests.evaluation.cases import refused
from trueness.errors import at_least
from trueness.evaluation import roc_auc
from trueness.evaluation.power import (
    alarms_needed,
    auc_standard_error,
    best_hits_by_chance,
    binomial_tail,
    chance_of_best,
    critical_hits,
    detectable_precision,
)
from trueness.judge.power import Question, plan_power

PUBLISHED = Path(__file__).resolve().parents[3] / "shared/spec/published/campaign/results.csv"


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0.001, 0.999))
def test_binomial_tail_equals_scipy(k, extra, p):
    n = k + extra
    assert binomial_tail(k, n, p) == pytest.approx(binom.sf(k - 1, n, p), abs=1e-12)
    if n:
        assert binomial_tail(k, n, p) == pytest.approx(
            binomtest(k, n, p, alternative="greater").pvalue, abs=1e-9
        )


@given(st.floats(0.02, 0.97), st.floats(1e-5, 0.4))
def test_critical_hits_are_the_fewest_that_reject(p, level):
    n = np.arange(1, 400)
    k = critical_hits(n, p, level)
    assert (binom.sf(k - 1, n, p)[k <= n] <= level).all()
    assert (binom.sf(k - 2, n, p) > level).all()


@given(st.floats(0.05, 0.9), st.floats(0.2, 1.0), st.floats(1e-4, 0.2), st.floats(0.5, 0.95))
def test_alarms_needed_equals_counting_up(p, way, level, power):
    truth = p + (1 - p) * way
    n = np.arange(1, 3000)
    k = critical_hits(n, p, level)
    reached = np.flatnonzero((k <= n) & (binom.sf(k - 1, n, truth) >= power))
    if len(reached):
        assert alarms_needed(p, truth, level=level, power=power) == n[reached[0]]
    actual = detectable_precision(200, p, level=level, power=power)
    if actual is not None:
        assert binom.sf(critical_hits(200, p, level) - 1, 200, actual) == pytest.approx(power)


def test_the_planned_alarms_have_the_planned_power_in_a_simulation():
    rng, n = np.random.default_rng(0), alarms_needed(0.6, 0.75)
    hits = rng.binomial(n, [[0.75], [0.6]], (2, 20_000))
    rejected = (binomial_tail(hits, n, 0.6) <= 0.05).mean(axis=1)
    assert rejected[0] >= 0.79
    assert rejected[1] <= 0.05


def test_standard_error_of_the_auc_is_that_of_exponential_scores():
    """The formula of Hanley and McNeil is exact for exponential scores."""
    rng, auc = np.random.default_rng(1), 0.7
    y = np.r_[np.ones(76, np.uint8), np.zeros(346, np.uint8)]
    scale = np.where(y == 1, auc / (1 - auc), 1.0)
    actual = [roc_auc(y, rng.exponential(scale)) for _ in range(3000)]
    assert np.mean(actual) == pytest.approx(auc, abs=0.003)
    assert np.std(actual) == pytest.approx(auc_standard_error(auc, 76, 346), rel=0.04)


def test_luck_of_the_best_equals_a_simulation():
    rng = np.random.default_rng(3)
    shown = (rng.binomial(30, 0.4, (20_000, 20)) >= 19).any(axis=1).mean()
    assert chance_of_best(19, 30, 0.4, models=20) == pytest.approx(shown, abs=0.01)
    alarms = rng.integers(1, 40, 20)
    hits = rng.binomial(alarms, 0.4, (20_000, 20))
    shown = (hits * 7 >= 6 * alarms).any(axis=1).mean()
    assert chance_of_best(6, 7, 0.4, alarms=alarms) == pytest.approx(shown, abs=0.01)
    assert chance_of_best(0, 7, 0.4) == 1.0


def test_six_of_seven_is_what_the_best_of_the_published_campaign_may_show_by_luck():
    if not PUBLISHED.exists():
        pytest.skip("the published campaign is not here")
    with PUBLISHED.open() as file:
        alarms = [int(float(row["n_pred_pos"] or 0)) for row in csv.DictReader(file)]
    some = [n for n in alarms if n >= 5]
    assert chance_of_best(6, 7, 0.40, alarms=some) == pytest.approx(0.15, abs=0.01)
    assert chance_of_best(6, 7, 0.45, alarms=some) == pytest.approx(0.30, abs=0.02)


@given(st.integers(1, 60), st.floats(0.05, 0.9), st.integers(1, 200), st.floats(0.05, 0.95))
def test_lucky_hits_are_reached_with_the_probability_and_one_more_is_not(n, p, models, chance):
    k = best_hits_by_chance(n, p, models=models, probability=chance)
    assert chance_of_best(k, n, p, models=models) >= chance
    if k < n:
        assert chance_of_best(k + 1, n, p, models=models) < chance


def test_a_billion_candidates_cost_no_more_than_one():
    assert chance_of_best(30, 30, 0.4, models=10**9) == pytest.approx(1.153e-3, rel=1e-3)
    assert (
        best_hits_by_chance(10**9, 0.5, models=10**9) > best_hits_by_chance(10**9, 0.5) == 5 * 10**8
    )
    same = chance_of_best(19, 30, 0.4, alarms=[30] * 20)
    assert chance_of_best(19, 30, 0.4, models=20) == pytest.approx(same, rel=1e-12)
    assert plan_power(Question(76, 10**9, 10**9, alarms=10**9)).numbers["candidates"] == 10**9


def test_a_plan_says_never_where_no_number_is_enough():
    actual = plan_power(Question(50, 100, 1000, alarms=5)).numbers
    assert actual["minimum_detectable"]["precision"] is None


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: auc_standard_error(1.1, 76, 346), "range"),
        (lambda: auc_standard_error(-0.1, 76, 346), "range"),
        (lambda: auc_standard_error(float("nan"), 3, 346), "range"),
        (lambda: auc_standard_error(0.7, 0, 346), "number"),
        (lambda: auc_standard_error(0.7, 3.5, 346), "number"),
        (lambda: detectable_precision(0, 0.5), "number"),
        (lambda: detectable_precision(30, 0.18, power=0.05), "range"),
        (lambda: alarms_needed(1.0, 1.0), "range"),
        (lambda: alarms_needed(0.6, 0.7, power=1.0), "range"),
        (lambda: binomial_tail(3, 2, 0.5), "counts"),
        (lambda: binomial_tail(1, 2, 1.0), "range"),
        (lambda: chance_of_best(8, 7, 0.5), "counts"),
        (lambda: chance_of_best(6, 7, 0.5, alarms=[3, 0]), "range"),
        (lambda: chance_of_best(6, 7, 0.5, alarms=[3, float("nan")]), "range"),
        (lambda: chance_of_best(6, 7, 0.5, alarms=["a"]), "type"),
        (lambda: chance_of_best(6, 7, 0.5, models=10**30), "number"),
        (lambda: at_least("alarms", float("nan"), 1), "number"),
        (lambda: at_least("alarms", float("inf"), 1), "number"),
        (lambda: at_least("alarms", "8", 1), "number"),
        (lambda: at_least("alarms", -(10**5000), 1), "number"),
        (lambda: at_least("alarms", 10**5000, 1), "number"),
        (lambda: Question(5, 10**5000), "number"),
        (lambda: Question(5, 50, 10**10), "number"),
        (lambda: plan_power(Question(76, 422, power=0.01)), "range"),
    ],
)
def test_bad_input_is_refused(call, code):
    with refused(code):
        call()


def test_a_certain_auc_has_no_error():
    assert auc_standard_error(1.0, 5, 5) == auc_standard_error(0.0, 5, 5) == 0.0
