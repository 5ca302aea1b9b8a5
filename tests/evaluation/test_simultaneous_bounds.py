"""Lower bounds of many precisions at once: error rates by simulation, oracles, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv
from scipy.stats import norm

from tests.evaluation.cases import refused
from trueness.evaluation import (
    Blocks,
    Dependence,
    Resampled,
    precision_bounds,
    precision_draws,
)
from trueness.evaluation.simultaneous_bounds import joint_level


def _world(rng, n, m, kind):
    """Labels and m equally good scores; on calm days alone, or in turbulent months."""
    if kind == "independent":
        y = rng.random(n) < 0.2
        return y.astype(np.uint8), 0.8 * y + rng.standard_normal((m, n))
    noise = rng.standard_normal(n)
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.97 * level[t - 1] + 0.243 * noise[t]
    y = level + 1.5 * rng.standard_normal(n) > 1.5
    return y.astype(np.uint8), level + 0.5 * rng.standard_normal((m, n))


TRUTH = {("independent", 422, 7): 0.628, ("independent", 422, 30): 0.510,
         ("turbulent", 422, 30): 0.552, ("turbulent", 2000, 30): 0.690,
         ("turbulent", 2000, 100): 0.581}  # fmt: skip
"""Precision of the alarm rate in two million days."""


def bounds_of(y, scores, length=20, **options):
    blocks = Blocks.of(len(y), length=length)
    actual = precision_draws(y, scores, blocks=blocks, **options)
    return precision_bounds(actual, [one.depends for one in actual])


def _wrong(case, m, draws, seed):
    """Share of tables with a bound above the truth."""
    (kind, n, alarms), rng, wrong = case, np.random.default_rng(seed), 0
    for _ in range(draws):
        y, scores = _world(rng, n, m, kind)
        bounds = bounds_of(y, scores, alarms=alarms)
        wrong += any(b.low > TRUTH[case] for b in bounds)
    return wrong / draws


@pytest.mark.parametrize("case", [("independent", 422, 7), ("turbulent", 2000, 30)])
def test_no_bound_of_many_lies_above_the_truth(case):
    """``p - c s`` would fail in half of the tables of the first kind."""
    assert _wrong(case, 25, 60, 0) <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize("case", TRUTH)
def test_family_wise_error_of_the_bounds(case):
    assert _wrong(case, 60, 300, 1) <= 0.06


def test_alone_and_independent_it_is_the_exact_one_sided_bound():
    rng = np.random.default_rng(3)
    y, scores = _world(rng, 6000, 1, "independent")
    (bound,) = bounds_of(y, scores, alarms=300)
    k, n = bound.k, bound.n
    exact = betaincinv(k, n - k + 1, 0.05)
    assert exact - 0.03 < bound.low <= exact
    assert (bound.high, bound.n_candidates) == (1.0, 1)
    assert bound.value - 2.2 * norm.isf(0.05) * np.sqrt(0.25 / n) < bound.low


def test_hits_without_exception_are_no_certainty_and_copies_cost_little():
    y = np.tile([0, 1, 0, 0, 1], 80)
    perfect = y + np.arange(400) / 1e3
    (one,) = bounds_of(y, [perfect], alarms=7)
    assert (one.k, one.n) == (7, 7)
    assert 0.6 < one.low < 0.05 ** (1 / 7)
    rng = np.random.default_rng(4)
    y, (score,) = _world(rng, 1500, 1, "turbulent")
    near = score + 0.05 * rng.standard_normal((50, 1500))
    far = _world(np.random.default_rng(4), 1500, 50, "turbulent")[1]
    alone, copies, others = (
        bounds_of(y, x, alarms=100)[0].low for x in ([near[0]], near, [near[0], *far[1:]])
    )
    assert others < copies < alone


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 40))
def test_bounds_stay_below_their_precision(seed, m, alarms):
    rng = np.random.default_rng(seed)
    y, scores = _world(rng, 80, m, "independent")
    for bound in bounds_of(y, scores, 5, alarms=alarms):
        if bound.low is None:
            assert min(y.sum(), 80 - y.sum()) < 10
            continue
        assert 0 <= bound.low <= bound.value <= bound.high == 1
        assert (bound.low == 0) == (bound.k == 0)
        assert bound.k / bound.n == pytest.approx(bound.value)


def test_too_few_days_have_no_bound():
    (bound,) = bounds_of([0, 1] * 20, [np.arange(40.0)], alarms=4)
    assert (bound.value, bound.low, bound.high) == (0.5, None, None)
    assert precision_bounds([], []) == []


def test_a_precision_that_is_no_whole_number_of_hits_has_a_bound():
    """The mean over seeds."""
    draws = np.random.default_rng(0).normal(0.5, 0.1, 1000)
    (bound,) = precision_bounds([Resampled(0.516, draws, 30, 40)], [Dependence(1.5, 60)])
    assert bound.k is None
    assert 0 < bound.low < bound.value


def test_the_level_lies_between_bonferroni_and_the_whole():
    rng = np.random.default_rng(1)
    apart, alike = rng.standard_normal((8, 4000)), np.repeat(rng.standard_normal((1, 4000)), 8, 0)
    assert joint_level(apart, 0.05) == pytest.approx(1 - 0.95 ** (1 / 8), rel=0.35)
    assert joint_level(alike, 0.05) == pytest.approx(0.05, rel=0.15)
    assert joint_level(alike, 0.05, further=92) == pytest.approx(0.05 / 93, rel=0.3)
    still = np.zeros((3, 4000))
    assert joint_level(still, 0.05) == pytest.approx(0.05 / 3)
    assert joint_level([np.full(10, np.nan)], 0.05) is None


def test_a_confidence_of_one_is_refused():
    with refused("range"):
        precision_bounds([Resampled(1.0, np.ones(9), 9, 9)], [Dependence(1.0, 9)], 1.0)
