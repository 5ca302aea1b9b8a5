"""The correction for looking at many: error rates by simulation, power, identities, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from tests.evaluation.cases import dependent_days, refused
from tests.evaluation.test_metrics import measured
from trueness.evaluation import (
    Blocks,
    Contrast,
    Resampled,
    auc_draws,
    contrasts_with_leader,
    largest_of_pairs,
    max_t_critical,
    mean_difference,
    roc_auc,
    simultaneous_contrasts,
)
from trueness.evaluation.differences import SMALLEST_ERROR, large_sample, small_sample_critical


def _alike(rng, n, m, quality=0.8):
    """Labels, and m scores of equal quality whose errors are half shared."""
    y = (rng.random(n) < 0.25).astype(np.uint8)
    common = rng.standard_normal(n)
    return y, [quality * y + 0.7 * (common + rng.standard_normal(n)) for _ in range(m)]


def _compare(y, scores, reference, length=5, confidence=0.95):
    base, *aucs = _aucs(y, [reference, *scores], length)
    return simultaneous_contrasts([mean_difference([auc], [base]) for auc in aucs], confidence)


def _aucs(y, scores, length=20):
    return auc_draws(y, scores, blocks=Blocks.of(len(y), length=length))


@pytest.mark.parametrize(("n", "block", "draws"), [(200, 1, 300), (420, 20, 200)])
def test_among_equals_five_of_a_hundred_draws_find_a_difference(n, block, draws):
    """Family-wise: any of 8 wrong; alone, one of 8 is wrong in every fourth draw."""
    rng, wrong, alone = np.random.default_rng(0), 0, 0
    for _ in range(draws):
        y, (reference, *scores) = _alike(rng, n, 9)
        actual = _compare(y, scores, reference, length=block)
        wrong += any(c.verdict != "tied" for c in actual)
        alone += any(c.pointwise.low > 0 or c.pointwise.high < 0 for c in actual)
    assert wrong / draws <= 0.07
    assert alone / draws > 0.15


def test_dependent_days_keep_the_error_rate():
    rng, wrong, draws = np.random.default_rng(1), 0, 200
    for _ in range(draws):
        y, base = dependent_days(rng, 405, 1.0)
        walks = np.cumsum(rng.standard_normal((405, 6)), axis=0)
        errors = walks[5:] - walks[:-5]  # moving sums: five days hang together
        reference, *scores = (base[5:, None] + errors).T
        actual = _compare(y[5:], scores, reference, length=15)
        wrong += any(c.verdict != "tied" for c in actual)
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
    actual = [c.verdict for c in _compare(y, [*scores[1:], better, worse], scores[0])]
    assert actual[-2:] == ["better", "worse"]
    assert set(actual[:-2]) == {"tied"}


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
    y, score = dependent_days(rng, 1500, 1.0)
    worse = score + 2 * rng.standard_normal(1500)
    (better,) = _compare(y, [score], worse, length=20)
    assert 0 < better.pointwise.low < better.pointwise.value < better.pointwise.high
    near = score + 0.1 * rng.standard_normal(1500)
    (paired,) = _compare(y, [score], near, length=20)
    alone = measured(y, score, length=20)["auc"]
    assert paired.pointwise.high - paired.pointwise.low < 0.3 * (alone.high - alone.low)


def _all_tied(rng, n, m, block=20):
    y, scores = _alike(rng, n, m)
    actual = _aucs(y, scores, block)
    leader = int(np.argmax([one.value for one in actual]))
    return {c.verdict for c in contrasts_with_leader(actual, leader)} == {"tied"}


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
        actual = _aucs(*_planted(rng, 6000, m))
        verdicts = [c.verdict for c in contrasts_with_leader(actual, 0)]
        assert verdicts == ["better"] * (m - 1)
        assert contrasts_with_leader(actual, 1)[0].verdict == "worse"


def test_the_largest_deviation_among_pairs_equals_a_loop():
    rng = np.random.default_rng(10)
    y, scores = _alike(rng, 400, 5)
    actual = _aucs(y, [*scores, scores[1]], 10)
    largest = np.zeros(1000)
    for i in range(6):
        for j in range(i):
            one = mean_difference([actual[i]], [actual[j]])
            error = one.draws.std(ddof=1)
            if error > SMALLEST_ERROR:  # the copy is no pair
                largest = np.maximum(largest, abs(one.draws - one.value) / error)
    critical = small_sample_critical(np.quantile(largest, 0.9), actual[0].freedom)
    for other, c in zip([0, 1, 3, 4, 5], contrasts_with_leader(actual, 2, 0.9), strict=True):
        one = mean_difference([actual[2]], [actual[other]])
        half = critical * one.draws.std(ddof=1)
        assert c.simultaneous.high == pytest.approx(one.value + half, abs=1e-9)
        assert c.simultaneous.n_candidates == 6
    assert contrasts_with_leader(actual, 1)[-1].simultaneous.high == 0  # its copy


def test_a_leader_alone_has_nobody_to_be_compared_with():
    (one,) = _aucs([0, 1] * 30, [np.arange(60.0)], 5)
    assert contrasts_with_leader([one], 0) == []
    few = _aucs([0, 1] * 30, [np.arange(60.0), np.ones(60)])
    assert [c.verdict for c in contrasts_with_leader(few, 0)] == ["unknown"]


def test_seeds_are_averaged_and_narrow_the_interval():
    rng = np.random.default_rng(5)
    y, scores = _alike(rng, 800, 8)
    aucs = _aucs(y, scores, 5)
    ours, theirs = aucs[:4], aucs[4:]
    (mean,) = simultaneous_contrasts([mean_difference(ours, theirs)])
    pairs = zip(ours, theirs, strict=True)
    single = simultaneous_contrasts([mean_difference([a], [b]) for a, b in pairs])
    assert mean.pointwise.value == pytest.approx(np.mean([c.pointwise.value for c in single]))
    widths = [c.pointwise.high - c.pointwise.low for c in single]
    assert mean.pointwise.high - mean.pointwise.low < 0.8 * min(widths)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_simultaneous_intervals_grow_with_the_company(seed, m):
    rng = np.random.default_rng(seed)
    y, (reference, *scores) = _alike(rng, 80, m + 1)
    every = _compare(y, scores, reference)
    (first,) = _compare(y, scores[:1], reference)
    alone = first.pointwise
    assert every[0].pointwise.value == alone.value
    if alone.low is not None:
        assert every[0].pointwise.low == pytest.approx(alone.low, abs=SMALLEST_ERROR)
        assert every[0].simultaneous.low <= first.simultaneous.low + SMALLEST_ERROR
        assert every[0].simultaneous.high >= first.simultaneous.high - SMALLEST_ERROR


def test_too_few_days_and_single_classes_are_unknown_not_tied():
    y = np.tile([0, 1], 20).astype(np.uint8)
    (few,) = _compare(y, [np.arange(40.0)], np.arange(40.0)[::-1].copy(), length=20)
    assert few.verdict == "unknown"
    assert few.simultaneous.low is None
    (none,) = _compare(np.zeros(40), [np.arange(40.0)], np.ones(40))
    assert (none.verdict, none.simultaneous.value) == ("unknown", None)
    perfect = Resampled(1.0, np.ones(100), 40, 40)  # away from 0 without spread: no certainty
    assert simultaneous_contrasts([perfect])[0].verdict == "unknown"


# ---------------------------------------------------------------------------------------- p-values


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([0.8, 0.9, 0.95]))
def test_p_values_agree_with_the_verdicts(seed, m, confidence):
    """Up to the interpolation of the quantile, which is less than one draw."""
    rng = np.random.default_rng(seed)
    y, (reference, *scores) = _alike(rng, 90, m + 1)
    scores = [s + rng.choice([0, 0.8, -0.8]) * y for s in scores]
    aucs = _aucs(y, [reference, *scores], 4)
    families = (
        _compare(y, scores, reference, length=4, confidence=confidence),
        contrasts_with_leader(aucs, m, confidence),
    )
    for contrast in (c for family in families for c in family):
        if contrast.verdict in ("better", "worse"):
            assert contrast.p <= 1 - confidence + 1e-9
        elif contrast.verdict == "tied":
            assert contrast.p >= 1 - confidence - 1 / 150
        assert contrast.to_dict()["p"] == contrast.p


def test_a_p_value_is_a_share_of_draws():
    rng = np.random.default_rng(11)
    y, (reference, *scores) = _alike(rng, 600, 3)
    actual = _compare(y, [scores[0] + 0.3 * y, scores[1]], reference)
    aucs = _aucs(y, [reference, scores[0] + 0.3 * y, scores[1]], 5)
    differences = [mean_difference([a], [aucs[0]]) for a in aucs[1:]]
    errors = [d.draws.std(ddof=1) for d in differences]
    largest = np.max(
        [abs(d.draws - d.value) / e for d, e in zip(differences, errors, strict=True)], axis=0
    )
    for contrast, d, e in zip(actual, differences, errors, strict=True):
        reached = [small_sample_critical(one, d.freedom) >= abs(d.value) / e for one in largest]
        assert contrast.p == pytest.approx(np.mean(reached), abs=1e-9)


def test_p_values_of_equals_are_rarely_small():
    """Family-wise: the smallest of eight, and that of whoever leads."""
    rng, small, led, draws = np.random.default_rng(12), 0, 0, 150
    for _ in range(draws):
        y, (reference, *scores) = _alike(rng, 200, 9)
        small += min(c.p for c in _compare(y, scores, reference, length=1)) <= 0.1
        aucs = _aucs(y, scores, 1)
        leader = int(np.argmax([a.value for a in aucs]))
        led += min(c.p for c in contrasts_with_leader(aucs, leader)) <= 0.1
    assert small / draws <= 0.1 + 2 * (0.09 / draws) ** 0.5
    assert led / draws <= 0.1 + 3 * (0.09 / draws) ** 0.5


def test_one_undefined_candidate_does_not_blind_the_others():
    rng = np.random.default_rng(15)
    y, scores = _alike(rng, 600, 3)
    better = scores[0] + 1.5 * y
    aucs = _aucs(y, [better, *scores[1:]])
    blind = Resampled(float("nan"), np.full(1000, np.nan), 600, aucs[0].freedom)
    for place, leader in ((1, 0), (0, 1)):
        every = list(aucs)
        every.insert(place, blind)
        verdicts = [c.verdict for c in contrasts_with_leader(every, leader)]
        assert sorted(verdicts) == ["better", "better", "unknown"]
    differences = [Resampled(a.value - aucs[1].value, a.draws - aucs[1].draws, 600, a.freedom)
                   for a in (aucs[0], blind, aucs[2])]  # fmt: skip
    assert [c.verdict for c in simultaneous_contrasts(differences)] == ["better", "unknown", "tied"]


def test_without_an_interval_there_is_no_p_value():
    perfect, same = Resampled(1.0, np.ones(100), 40, 40), Resampled(0.0, np.zeros(100), 40, 40)
    actual = simultaneous_contrasts([perfect, same])
    assert [c.p for c in actual] == [None, 1.0]
    undefined = Resampled(0.1, np.full(100, np.nan), 40, 4)
    assert [c.p for c in simultaneous_contrasts([undefined])] == [None]
    assert Contrast(actual[0].pointwise, actual[0].simultaneous).p is None


def test_what_all_pairs_deviate_can_be_kept():
    rng = np.random.default_rng(13)
    y, scores = _alike(rng, 300, 6)
    aucs = _aucs(y, scores, 10)
    largest = largest_of_pairs(aucs)
    assert largest.shape == (1000,)
    for leader in range(6):
        assert contrasts_with_leader(aucs, leader, 0.9, largest) == contrasts_with_leader(
            aucs, leader, 0.9
        )
    assert max_t_critical(largest, 30, 0.9) == small_sample_critical(np.quantile(largest, 0.9), 30)


def test_draws_in_which_one_is_undefined_stay_out_of_all_pairs():
    rng = np.random.default_rng(14)
    y, scores = _alike(rng, 300, 4)
    aucs = _aucs(y, scores, 10)
    broken = aucs[1].draws.copy()
    broken[:5] = np.nan
    holed = [aucs[0], Resampled(aucs[1].value, broken, 300, aucs[1].freedom), *aucs[2:]]
    largest = largest_of_pairs(holed)
    assert np.isnan(largest).tolist() == [True] * 5 + [False] * 995
    short = [Resampled(a.value, a.draws[5:], 300, a.freedom) for a in aucs]
    np.testing.assert_allclose(largest[5:], largest_of_pairs(short))
    assert contrasts_with_leader(holed, 2)[0].p == contrasts_with_leader(short, 2)[0].p
    assert np.isnan(largest_of_pairs(aucs[:1])).all()
    assert max_t_critical(largest_of_pairs(aucs[:1]), 30) == 0.0
    assert largest_of_pairs([aucs[0], aucs[0]]).tolist() == [0.0] * 1000


@given(st.floats(0, 6), st.integers(2, 500))
def test_the_small_sample_value_can_be_undone(critical, blocks):
    wide = small_sample_critical(critical, blocks)
    assert wide >= critical - 1e-9
    assert large_sample(wide, blocks) == pytest.approx(critical, abs=1e-6)


def test_the_small_sample_value_is_students():
    assert small_sample_critical(norm.isf(0.025), 19) == pytest.approx(t.isf(0.025, 19))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: simultaneous_contrasts([], 95), "range"),
        (lambda: contrasts_with_leader([], 0), "leader"),
        (lambda: contrasts_with_leader([], 0, 95), "range"),
        (lambda: max_t_critical(np.ones(9), 9, 0.0), "range"),
    ],
)
def test_bad_input_is_refused(call, code):
    with refused(code):
        call()


def test_nothing_to_compare_is_an_empty_answer():
    assert simultaneous_contrasts([]) == []
