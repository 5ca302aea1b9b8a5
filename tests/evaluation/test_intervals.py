import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from tests.evaluation.cases import refused
from trueness.evaluation import Estimate, clopper_pearson, exact_bounds, replicated_proportion
from trueness.evaluation.intervals import exact_tails, percentile_interval


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0.8, 0.95, 0.99]))
def test_exact_interval_equals_scipy(k, extra, confidence):
    n = k + extra
    low, high = clopper_pearson(k, n, confidence)
    if n == 0:
        assert (low, high) == (0.0, 1.0)
        return
    expected = binomtest(k, n).proportion_ci(confidence, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    lows, highs = exact_bounds([k, n - k, 0], [n, n, 0], confidence)
    assert (lows[0], highs[0]) == (low, high)
    assert (lows[1], highs[1]) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    assert (lows[2], highs[2]) == (0, 1)


@pytest.mark.parametrize(("n", "p"), [(7, 0.18), (30, 0.5), (76, 0.3)])
def test_exact_interval_covers(n, p):
    intervals = [clopper_pearson(k, n) for k in range(n + 1)]
    coverage = sum(
        binom.pmf(k, n, p) for k, (low, high) in enumerate(intervals) if low <= p <= high
    )
    assert coverage >= 0.95


@given(st.floats(0, 30), st.floats(0, 30), st.floats(0.001, 0.4))
def test_tails_of_counts_that_are_not_whole_hold_the_share(k, more, tail):
    low, high = exact_tails(np.array(k), np.array(k + more), tail)
    assert 0 <= low <= 1
    assert low <= high + 1e-12
    if more and k:
        assert low <= k / (k + more) <= high
    assert (float(low) == 0) >= (k == 0)
    assert (float(high) == 1) >= (more == 0)


def test_missing_counts_have_no_bounds():
    low, high = exact_tails(np.array([np.nan, 3.0]), np.array([np.nan, 5.0]), 0.05)
    assert (low[0], high[0]) == (0, 1)
    assert 0 < low[1] < high[1] < 1


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=5))
def test_replicated_proportions_sum_counts_and_stay_as_wide_as_one(counts):
    shares = [Estimate.proportion(min(k, n), n) for k, n in counts]
    actual = replicated_proportion(shares)
    assert (actual.k, actual.n) == (sum(s.k for s in shares), sum(s.n for s in shares))
    assert 0 <= actual.low <= actual.high <= 1
    if actual.n:
        assert actual.low <= actual.value <= actual.high
    assert replicated_proportion(shares[:1] * 3).low == clopper_pearson(shares[0].k, shares[0].n)[0]


def test_percentiles_leave_out_what_is_undefined():
    assert percentile_interval(np.array([np.nan, np.nan]), 0.9) == (None, None)
    draws = np.r_[np.arange(101.0), np.nan]
    assert percentile_interval(draws, 0.9) == pytest.approx((5, 95))


def test_estimate_survives_json_and_says_what_it_is():
    one = Estimate.proportion(6, 7, chosen_on="validation", measured_on="validation")
    assert Estimate.from_dict(one.with_candidates(183).to_dict()) == one.with_candidates(183)
    assert str(one) == "86 % (42–100) · 6/7"
    assert str(Estimate.proportion(0, 0)) == "– · 0/0"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: clopper_pearson(3, 2), "counts"),
        (lambda: clopper_pearson(1.5, 2), "counts"),
        (lambda: clopper_pearson(1, 2, 95), "range"),
        (lambda: exact_bounds([3], [2]), "counts"),
        (lambda: exact_bounds([3], [9], 0.0), "range"),
        (lambda: replicated_proportion([]), "empty"),
    ],
)
def test_bad_input_is_refused(call, code):
    with refused(code):
        call()
