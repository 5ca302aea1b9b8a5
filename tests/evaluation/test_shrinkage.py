"""Shrunken precisions: maximum likelihood against scipy, limits, coverage, refusals."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import beta, betabinom, binom

from tests.evaluation.cases import refused
from trueness.evaluation import shrink
from trueness.evaluation.shrinkage import _Likelihood

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "spec" / "published"


def _drawn(rng, m, rate, deviation, most=40):
    """Hits, alarms and true precisions of runs that scatter so much."""
    n = rng.integers(5, most, m)
    if deviation == 0:
        return rng.binomial(n, rate), n, np.full(m, rate)
    scatter = 1 / (rate * (1 - rate) / deviation**2 - 1)
    p = rng.beta(rate / scatter, (1 - rate) / scatter, m)
    return rng.binomial(n, p), n, p


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95), st.floats(0.01, 5))
def test_the_likelihood_is_the_beta_binomial_one(seed, rate, scatter):
    rng = np.random.default_rng(seed)
    n = rng.integers(0, 30, 6)
    k = rng.binomial(n, 0.4)
    if not n.any():
        return
    likelihood = _Likelihood.of(k.astype(float), n.astype(float))
    choices = np.log([float(c) for c in map(_choose, n, k)]).sum()
    a, b = rate / scatter, (1 - rate) / scatter
    assert likelihood(rate, scatter) + choices == pytest.approx(betabinom.logpmf(k, n, a, b).sum())
    assert likelihood(rate, 0.0) + choices == pytest.approx(binom.logpmf(k, n, rate).sum())


def _choose(n, k):
    from math import comb

    return comb(int(n), int(k))


@pytest.mark.parametrize("seed", range(4))
def test_rate_and_variance_are_those_of_maximum_likelihood(seed):
    k, n, _ = _drawn(np.random.default_rng(seed), 60, 0.35, 0.12)

    def against(x):
        rate, share = 1 / (1 + np.exp(-x[0])), 1 / (1 + np.exp(-x[1]))
        scatter = share / (1 - share)
        return -betabinom.logpmf(k, n, rate / scatter, (1 - rate) / scatter).sum()

    best = minimize(against, [-0.6, -2.5], method="Nelder-Mead", options={"xatol": 1e-8})
    rate, share = 1 / (1 + np.exp(-best.x))
    actual = shrink(k, n)
    assert actual.pooled.value == pytest.approx(rate, abs=1e-4)
    assert actual.deviation == pytest.approx(np.sqrt(rate * (1 - rate) * share), rel=1e-2)
    scatter = share / (1 - share)
    a, b = rate / scatter, (1 - rate) / scatter
    for e, hits, alarms in zip(actual.estimates, k, n, strict=True):  # mean of the beta posterior
        assert e.value == pytest.approx((a + hits) / (a + b + alarms), abs=1e-3)


def test_equal_runs_are_drawn_onto_the_pool():
    actual = shrink([4] * 20, [10] * 20)
    assert actual.variance == 0
    assert {e.value for e in actual.estimates} == {0.4}
    assert actual.pooled.low < 0.4 < actual.pooled.high
    assert all(e.low < 0.4 < e.high for e in actual.estimates)
    zeros = [
        shrink(*_drawn(np.random.default_rng(s), 40, 0.4, 0.0)[:2]).variance for s in range(20)
    ]
    assert 8 <= sum(v == 0 for v in zeros) <= 18  # half of them, in the long run
    assert max(zeros) < 0.06**2


def test_runs_that_differ_wholly_keep_their_own():
    actual = shrink([0, 30, 0, 30, 0, 30], [30] * 6)
    assert actual.deviation == pytest.approx(0.5, abs=0.01)
    assert [round(e.value) for e in actual.estimates] == [0, 1] * 3


def test_a_single_run_is_its_own_pool_and_no_alarms_take_it():
    one = shrink([3], [9])
    assert (one.estimates[0].value, one.variance) == (pytest.approx(1 / 3), 0)
    assert one.estimates[0].low < 0.2 < 0.5 < one.estimates[0].high
    silent = shrink([3, 4, 0], [9, 10, 0])
    assert silent.estimates[2].value == silent.pooled.value
    assert silent.estimates[2].n == 0
    nothing = shrink([0, 0], [0, 0])
    assert (nothing.pooled.value, nothing.estimates[0].value) == (None, None)
    assert nothing.to_dict()["variance"] == 0
    ones = shrink([1, 0, 1, 1], [1, 1, 1, 1])  # single alarms cannot show a variance
    assert (ones.variance, ones.pooled.value) == (0, 0.75)


@pytest.mark.parametrize("hit", [0, 1])
def test_without_any_hit_or_miss_the_interval_remains(hit):
    actual = shrink([hit * n for n in (5, 9, 30)], [5, 9, 30])
    assert actual.variance == 0
    assert [e.value for e in actual.estimates] == [hit] * 3
    assert all(e.high - e.low > 0.01 for e in actual.estimates)


def test_means_over_seeds_need_not_be_whole():
    lower, upper = shrink([6, 4, 9], [10, 10, 10]), shrink([7, 4, 9], [10, 10, 10])
    between = shrink([6.5, 4, 9], [10, 10, 10])
    assert lower.pooled.value < between.pooled.value < upper.pooled.value
    assert lower.estimates[0].value < between.estimates[0].value < upper.estimates[0].value


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12))
def test_shrunken_values_lie_between_the_own_and_the_pooled(counts):
    k, n = [min(c) for c in counts], [max(c) for c in counts]
    actual = shrink(k, n)
    for e, hits, alarms in zip(actual.estimates, k, n, strict=True):
        if e.value is None:
            assert not any(n)
            continue
        assert 0 <= e.low <= e.value <= e.high <= 1
        ends = sorted([actual.pooled.value, hits / alarms if alarms else actual.pooled.value])
        assert ends[0] - 1e-9 <= e.value <= ends[1] + 1e-9


@pytest.mark.parametrize("deviation", [0.0, 0.05, 0.15])
def test_intervals_cover_and_the_best_is_no_longer_too_high(deviation):
    rng, inside, raw, drawn_in = np.random.default_rng(5), [], [], []
    for _ in range(25):
        k, n, p = _drawn(rng, 40, 0.4, deviation)
        actual = shrink(k, n)
        inside += [e.low <= true <= e.high for e, true in zip(actual.estimates, p, strict=True)]
        best = int(np.argmax(k / n))
        raw.append(k[best] / n[best] - p[best])
        drawn_in.append(actual.estimates[best].value - p[best])
    assert np.mean(inside) >= 0.93
    assert np.mean(raw) > 0.1
    assert abs(np.mean(drawn_in)) < 0.04


def test_the_best_published_precision_is_drawn_in():
    if not PUBLISHED.exists():
        pytest.skip("the published results are not here")
    with (PUBLISHED / "campaign" / "results.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["tp"] and r["n_pred_pos"]]
    actual = shrink([float(r["tp"]) for r in rows], [float(r["n_pred_pos"]) for r in rows])
    (best,) = [e for e, r in zip(actual.estimates, rows, strict=True) if r["exp_id"] == "LF-40"]
    assert actual.pooled.value == pytest.approx(0.394, abs=0.001)
    assert actual.deviation == pytest.approx(0.033, abs=0.001)
    assert best.value == pytest.approx(0.409, abs=0.001)
    assert beta(7, 2).cdf(best.high) < 0.1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (([3], [2]), "counts"),
        (([-1], [2]), "counts"),
        (([1], [np.inf]), "counts"),
        (([1, 2], [3]), "length"),
        (([], []), "length"),
        (([1], [2], 95), "range"),
        ((["a", "b"], [3, 4]), "type"),
        (([1, 2], ["3", "4"]), "type"),
        (([[1], [1, 2]], [3, 4]), "dimensions"),
    ],
)
def test_bad_input_is_refused(arguments, code):
    with refused(code):
        shrink(*arguments)
