"""The correction for looking at many: error rates by simulation, power, identities, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from tests.evaluation.test_evaluation import SETTINGS, _dependent_days
from trueness.errors import TruenessError
from trueness.evaluation import (
    Contrast,
    Estimate,
    Resampled,
    block_weights,
    chance_p,
    clopper_pearson,
    contrasts_with_leader,
    mean_difference,
    measure,
    replicated_proportion,
    resampled_aucs,
    roc_auc,
    simultaneous_contrasts,
    simultaneous_differences,
    two_nulls,
)
from trueness.evaluation.selection import stretched


def _alike(rng, n, m, quality=0.8):
    """Labels, and m scores of equal quality whose errors are half shared."""
    y = (rng.random(n) < 0.25).astype(np.uint8)
    common = rng.standard_normal(n)
    return y, [quality * y + 0.7 * (common + rng.standard_normal(n)) for _ in range(m)]


def _compare(y, scores, reference, **options):
    return simultaneous_differences(
        y, [[s] for s in scores], [[reference] for _ in scores], **{"block": 5, **options}
    )


@pytest.mark.parametrize(("n", "block", "draws"), [(200, 1, 300), (420, 20, 200)])
def test_among_equals_five_of_a_hundred_draws_find_a_difference(n, block, draws):
    """Family-wise: any of 8 wrong; alone, one of 8 is wrong in every fourth draw."""
    rng, wrong, alone = np.random.default_rng(0), 0, 0
    for _ in range(draws):
        y, (reference, *scores) = _alike(rng, n, 9)
        found = _compare(y, scores, reference, block=block)
        wrong += any(c.verdict != "tied" for c in found)
        alone += any(c.pointwise.low > 0 or c.pointwise.high < 0 for c in found)
    assert wrong / draws <= 0.07
    assert alone / draws > 0.15


def test_dependent_days_keep_the_error_rate():
    rng, wrong, draws = np.random.default_rng(1), 0, 200
    for _ in range(draws):
        y, base = _dependent_days(rng, 405, 1.0)
        walks = np.cumsum(rng.standard_normal((405, 6)), axis=0)
        errors = walks[5:] - walks[:-5]  # moving sums: five days hang together
        reference, *scores = (base[5:, None] + errors).T
        found = _compare(y[5:], scores, reference, block=15)
        wrong += any(c.verdict != "tied" for c in found)
    assert wrong / draws <= 0.07


def test_identical_candidates_are_tied_at_exactly_zero():
    rng = np.random.default_rng(2)
    y, (reference, other) = _alike(rng, 300, 2)
    same, scaled, different = _compare(y, [reference.copy(), 3 * reference - 1, other], reference)
    for one in (same, scaled):
        assert (one.simultaneous.value, one.simultaneous.low, one.simultaneous.high) == (0, 0, 0)
        assert (one.pointwise.low, one.pointwise.high) == (0, 0)
        assert one.verdict == "tied"
    assert different.simultaneous.low < different.simultaneous.value < different.simultaneous.high
    assert different.simultaneous.n_candidates == 3


def test_a_planted_better_candidate_is_found_among_many():
    rng = np.random.default_rng(3)
    y, scores = _alike(rng, 1500, 40)
    better = scores[0] + 0.5 * y
    worse = scores[0] - 0.5 * y
    found = [c.verdict for c in _compare(y, [*scores[1:], better, worse], scores[0])]
    assert found[-2:] == ["better", "worse"]
    assert set(found[:-2]) == {"tied"}


def test_alone_it_is_the_percentile_interval_up_to_simulation_error():
    rng = np.random.default_rng(4)
    y, (reference, score) = _alike(rng, 1500, 2)
    (one,) = _compare(y, [score], reference)
    width = one.pointwise.high - one.pointwise.low
    assert one.simultaneous.low == pytest.approx(one.pointwise.low, abs=0.08 * width)
    assert one.simultaneous.high == pytest.approx(one.pointwise.high, abs=0.08 * width)
    assert one.pointwise.value == pytest.approx(roc_auc(y, score) - roc_auc(y, reference))


def test_paired_difference_finds_the_better_and_pairing_narrows():
    rng = np.random.default_rng(2)
    y, score = _dependent_days(rng, 1500, 1.0)
    worse = score + 2 * rng.standard_normal(1500)
    (better,) = _compare(y, [score], worse, block=20)
    assert 0 < better.pointwise.low < better.pointwise.value < better.pointwise.high
    near = score + 0.1 * rng.standard_normal(1500)
    (paired,) = _compare(y, [score], near, block=20)
    alone = measure(y, score, **{**SETTINGS, "block": 20})["auc"]
    assert paired.pointwise.high - paired.pointwise.low < 0.3 * (alone.high - alone.low)


def _all_tied(rng, n, m, block=20):
    y, scores = _alike(rng, n, m)
    found = list(resampled_aucs(y, scores, block=block))
    leader = int(np.argmax([one.value for one in found]))
    return {c.verdict for c in contrasts_with_leader(found, leader)} == {"tied"}


def test_whoever_leads_among_equals_is_tied_with_all():
    """A critical value for a leader fixed beforehand would find a difference in most tables."""
    rng = np.random.default_rng(7)
    assert np.mean([_all_tied(rng, 800, 60) for _ in range(40)]) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("n", "draws"), [(422, 200), (1500, 300)])
def test_among_183_equals_the_leader_is_tied(n, draws):
    rng = np.random.default_rng(8)
    assert np.mean([_all_tied(rng, n, 183) for _ in range(draws)]) >= 0.95


def _planted(rng, n, m):
    """One candidate with an AUC of 0.78 among others with 0.70."""
    y, scores = _alike(rng, n, m, quality=0.734)
    return y, [scores[0] + 0.347 * y, *scores[1:]]


@pytest.mark.parametrize("m", [30, pytest.param(183, marks=pytest.mark.slow)])
def test_a_better_candidate_is_found_on_6000_days(m):
    rng = np.random.default_rng(9)
    for _ in range(2 if m == 30 else 10):
        found = list(resampled_aucs(*_planted(rng, 6000, m), block=20))
        verdicts = [c.verdict for c in contrasts_with_leader(found, 0)]
        assert verdicts == ["better"] * (m - 1)
        assert contrasts_with_leader(found, 1)[0].verdict == "worse"


def test_the_largest_deviation_among_pairs_equals_a_loop():
    rng = np.random.default_rng(10)
    y, scores = _alike(rng, 400, 5)
    found = list(resampled_aucs(y, [*scores, scores[1]], block=10, draws=300))
    largest = np.zeros(300)
    for i in range(6):
        for j in range(i):
            one = mean_difference([found[i]], [found[j]])
            if one.draws.any():  # the copy is no pair
                error = one.draws.std(ddof=1)
                largest = np.maximum(largest, abs(one.draws - one.value) / error)
    critical = stretched(np.quantile(largest, 0.9), 40)
    for other, c in zip([0, 1, 3, 4, 5], contrasts_with_leader(found, 2, 0.9), strict=True):
        one = mean_difference([found[2]], [found[other]])
        half = critical * one.draws.std(ddof=1)
        assert c.simultaneous.high == pytest.approx(one.value + half, abs=1e-9)
        assert c.simultaneous.n_candidates == 6
    assert contrasts_with_leader(found, 1)[-1].simultaneous.high == 0  # its copy


def test_a_leader_alone_has_nobody_to_be_compared_with():
    (one,) = resampled_aucs([0, 1] * 30, [np.arange(60.0)], block=5)
    assert contrasts_with_leader([one], 0) == []
    few = list(resampled_aucs([0, 1] * 30, [np.arange(60.0), np.ones(60)], block=20))
    assert [c.verdict for c in contrasts_with_leader(few, 0)] == ["unknown"]


@pytest.mark.parametrize("block", [1, 7, 25])
def test_the_stationary_bootstrap_has_geometric_blocks(block):
    weights = block_weights(400, block, 600, bootstrap="stationary")
    assert (weights.sum(axis=1) == 400).all()
    assert weights.mean(axis=0).std() < 0.06  # every day as often as any other
    noise = np.random.default_rng(0).standard_normal(400)
    walk = np.convolve(noise, np.ones(10), "same")
    spread = {kind: (block_weights(400, block, 600, bootstrap=kind) @ walk).std() for kind in
              ("circular", "stationary")}  # fmt: skip
    assert spread["stationary"] == pytest.approx(spread["circular"], rel=0.25)


def test_seeds_are_averaged_and_narrow_the_interval():
    rng = np.random.default_rng(5)
    y, scores = _alike(rng, 800, 8)
    ours, theirs = scores[:4], scores[4:]
    (mean,) = simultaneous_differences(y, [ours], [theirs], block=5)
    single = simultaneous_differences(y, [[s] for s in ours], [[s] for s in theirs], block=5)
    assert mean.pointwise.value == pytest.approx(np.mean([c.pointwise.value for c in single]))
    widths = [c.pointwise.high - c.pointwise.low for c in single]
    assert mean.pointwise.high - mean.pointwise.low < 0.8 * min(widths)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_simultaneous_intervals_grow_with_the_company(seed, m):
    rng = np.random.default_rng(seed)
    y, (reference, *scores) = _alike(rng, 80, m + 1)
    every = _compare(y, scores, reference)
    (first,) = _compare(y, scores[:1], reference)
    assert every[0].pointwise == first.pointwise
    if first.simultaneous.low is not None:
        assert every[0].simultaneous.low <= first.simultaneous.low
        assert every[0].simultaneous.high >= first.simultaneous.high


def test_too_few_days_and_single_classes_are_unknown_not_tied():
    y = np.tile([0, 1], 20).astype(np.uint8)
    (few,) = _compare(y, [np.arange(40.0)], np.arange(40.0)[::-1].copy(), block=20)
    assert few.verdict == "unknown"
    assert few.simultaneous.low is None
    (none,) = _compare(np.zeros(40), [np.arange(40.0)], np.ones(40))
    assert (none.verdict, none.simultaneous.value) == ("unknown", None)
    perfect = Resampled(1.0, np.ones(100), 40, 40)  # away from 0 without spread: no certainty
    assert simultaneous_contrasts([perfect])[0].verdict == "unknown"


def test_ranking_draws_equal_a_loop_over_repeated_days():
    rng = np.random.default_rng(6)
    y, score = (rng.random(60) < 0.4).astype(np.uint8), rng.integers(-3, 4, 60).astype(float)
    (found,) = resampled_aucs(y, [score], block=4, draws=50)
    for weights, draw in zip(block_weights(60, 4, 50), found.draws, strict=True):
        days = np.repeat(np.arange(60), weights.astype(int))
        assert draw == pytest.approx(roc_auc(y[days], score[days]), abs=1e-12)


@given(st.integers(1, 40), st.data(), st.floats(0.01, 0.99), st.integers(1, 200))
def test_chance_is_the_binomial_tail_after_sidak(alarms, data, rate, m):
    hits = data.draw(st.integers(0, alarms))
    tail = binom.sf(hits - 1, alarms, rate)
    assert chance_p(hits, alarms, rate) == pytest.approx(tail, rel=1e-9, abs=1e-15)
    assert chance_p(hits, alarms, rate, m) == pytest.approx(1 - (1 - tail) ** m, abs=1e-9)


def _contrast(low, high):
    estimate = Estimate((low + high) / 2, low, high, 100)
    return Contrast(estimate, estimate)


def test_two_nulls_counts_ties_and_names_chance():
    siblings = [_contrast(-0.1, 0.1), _contrast(0.01, 0.2), _contrast(-0.3, -0.1)]
    first = _contrast(0.02, 0.2)
    nulls = two_nulls(
        Estimate.proportion(21, 30), 0.2, 4, siblings, first, [first, _contrast(-0.1, 0.1)]
    )
    assert (nulls.siblings, nulls.tied, nulls.ahead, nulls.precision_tied) == (3, 1, 1, None)
    assert (nulls.beats_chance, nulls.beats_siblings) == (True, False)
    assert (nulls.beating, nulls.candidates) == (1, 2)
    assert nulls.chance_p == pytest.approx(chance_p(21, 30, 0.2, 4))
    alone = two_nulls(Estimate.proportion(0, 0), 0.2, 1, [], None, [])
    assert (alone.chance_p, alone.beats_chance, alone.beats_siblings) == (None, False, False)
    assert two_nulls(Estimate.proportion(9, 9), 0.2, 2, siblings[1:2], None, []).beats_siblings
    both = two_nulls(
        Estimate.proportion(9, 9), 0.2, 2, siblings[1:2], None, [], siblings_precision=siblings[:1]
    )
    assert (both.tied, both.precision_tied) == (0, 1)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=5))
def test_replicated_proportions_sum_counts_and_stay_as_wide_as_one(counts):
    shares = [Estimate.proportion(min(k, n), n) for k, n in counts]
    found = replicated_proportion(shares)
    assert (found.k, found.n) == (sum(s.k for s in shares), sum(s.n for s in shares))
    assert 0 <= found.low <= found.high <= 1
    if found.n:
        assert found.low <= found.value <= found.high
    assert replicated_proportion(shares[:1] * 3).low == clopper_pearson(shares[0].k, shares[0].n)[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: simultaneous_differences([0, 1], [[[1.0, 2.0]]], [], block=1),
            "0 references for 1",
        ),
        (lambda: simultaneous_differences([0, 1], [[]], [[]], block=1), "nothing to average"),
        (lambda: simultaneous_contrasts([], 95), "confidence 95"),
        (lambda: chance_p(3, 2, 0.1), "3 hits of 2"),
        (lambda: chance_p(1, 2, 1.5), "base rate of 1.5"),
        (lambda: chance_p(1, 2, 0.5, 0), "at least one run"),
        (lambda: replicated_proportion([]), "no shares"),
        (lambda: contrasts_with_leader([], 0), "no candidate 0 among 0"),
        (lambda: block_weights(9, 1, bootstrap="moving"), "unknown bootstrap 'moving'"),
        (lambda: block_weights(9, 1, 0), "draws 0: a whole number"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(TruenessError, match=words):
        call()


def test_nothing_to_compare_is_an_empty_answer():
    assert simultaneous_contrasts([]) == []


def test_the_chance_p_says_whether_days_depend():
    alarms = Estimate.proportion(21, 30)
    plain = two_nulls(alarms, 0.2, 4, [], None, [])
    blocks = two_nulls(alarms, 0.2, 4, [], None, [], single_p=0.03)
    assert not plain.in_blocks
    assert plain.chance_p == pytest.approx(chance_p(21, 30, 0.2, 4))
    assert blocks.in_blocks
    assert blocks.chance_p == pytest.approx(1 - 0.97**4)
