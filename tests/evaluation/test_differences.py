"""Differences of precisions against the method by hand; p-values against the intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, norm

from trueness.evaluation import (
    Blocks,
    Resampled,
    against_best,
    contrasts_with_leader,
    largest_of_pairs,
    mean_difference,
    mean_of,
    precision_draws,
    simultaneous_contrasts,
)
from trueness.evaluation.dependence import INDEPENDENT, Dependence

DRAWS = np.random.default_rng(0).standard_normal((6, 1000))


def _precision(hits, n, depends=INDEPENDENT, of=0, shared=0.0):
    """A precision whose draws have a correlation of `shared` with those of another one."""
    share = (hits + 1) / (n + 2)
    error = (depends.effect * share * (1 - share) / n) ** 0.5
    noise = shared**0.5 * DRAWS[-1] + (1 - shared) ** 0.5 * DRAWS[of]
    return Resampled(hits / n, hits / n + error * noise, n, 30, error, depends)


def _family(seed, n=1500, models=5, alarms=30):
    """Joint draws of models of unlike quality; the last is the first once more."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.25).astype(np.uint8)
    common = rng.standard_normal(n)
    scores = [(0.5 + 0.4 * i) * y + common + rng.standard_normal(n) for i in range(models)]
    return precision_draws(y, [*scores, scores[0]], alarms=alarms, blocks=Blocks.of(n, length=5))


def test_ends_are_those_of_the_method_by_hand():
    """Zou and Donner's example of two rates, with the exact bounds of each: independent alarms."""
    one, other = _precision(24, 30, of=0, shared=0.5), _precision(9, 20, of=1, shared=0.5)
    actual = mean_difference([one], [other]).estimate(0.9)
    low, high = (
        np.array([beta.ppf(0.05, k, n - k + 1), beta.ppf(0.95, k + 1, n - k)])
        for k, n in ((24, 30), (9, 20))
    )
    correlation = np.corrcoef(one.draws, other.draws)[0, 1]
    a, b = 0.8 - low[0], high[1] - 0.45
    assert actual.low == pytest.approx(0.35 - (a**2 + b**2 - 2 * correlation * a * b) ** 0.5)
    a, b = low[1] - 0.8, 0.45 - high[0]
    assert actual.high == pytest.approx(0.35 + (a**2 + b**2 - 2 * correlation * a * b) ** 0.5)


@given(
    st.integers(0, 30), st.integers(0, 30), st.floats(1, 20), st.floats(2, 200), st.floats(0, 0.99)
)
@settings(max_examples=60, deadline=None)
def test_ends_lie_on_both_sides_between_minus_1_and_1(k, hits, effect, blocks, shared):
    depends = Dependence(effect, blocks)
    one, other = _precision(k, 30, depends, 0, shared), _precision(hits, 30, depends, 1, shared)
    there, back = (mean_difference([a], [b]) for a, b in ((one, other), (other, one)))
    (contrast,), (mirrored,) = (simultaneous_contrasts([d]) for d in (there, back))
    for actual, turned in ((contrast.pointwise, mirrored.pointwise),
                          (contrast.simultaneous, mirrored.simultaneous)):  # fmt: skip
        assert -1 - 1e-9 <= actual.low <= actual.value <= actual.high <= 1 + 1e-9
        assert (actual.low, actual.high) == pytest.approx((-turned.high, -turned.low), abs=1e-9)
    assert contrast.p == mirrored.p


@pytest.mark.parametrize("seed", range(4))
def test_p_values_agree_with_intervals_at_every_level(seed):
    """Of a family to a reference, of a leader to all others, and of models to the best of some."""
    models = _family(seed)
    differences = [mean_difference([one], [models[1]]) for one in models[2:]]
    for confidence in (0.5, 0.8, 0.9, 0.95, 0.99):
        actual = [
            *simultaneous_contrasts(differences, confidence),
            *contrasts_with_leader(models, 4, confidence),
            *against_best(models[2:4], models[:2], confidence),
        ]
        for one in actual:
            if abs(one.p - (1 - confidence)) > 0.003:  # the quantile lies between two draws
                assert (one.verdict in ("better", "worse")) == (one.p < 1 - confidence)


def test_a_model_and_its_copy_differ_by_exactly_nothing():
    *models, copy = _family(0)
    for actual in (*simultaneous_contrasts([mean_difference([copy], models[:1])]),
                  contrasts_with_leader([*models, copy], 5)[0],
                  *against_best([copy], models[:1])):  # fmt: skip
        assert (actual.simultaneous.low, actual.simultaneous.high, actual.p) == (0, 0, 1)
        assert (actual.pointwise.low, actual.pointwise.high) == (0, 0)


def test_alarms_that_are_few_in_effect_show_no_difference_near_1():
    """30 of 30 against 25 of 30, both worth three alarms: plugged-in errors call them different."""
    depends = Dependence(8.0, 150.0)
    one, other = _precision(30, 30, depends), _precision(25, 30, Dependence(1.0, 150.0), 1)
    (actual,) = simultaneous_contrasts([mean_difference([one], [other])])
    assert actual.verdict == "tied"
    smallest = -norm.ppf(0.025) * other.error  # as if the hits of the first were certain
    assert actual.simultaneous.low < actual.simultaneous.value - 1.5 * smallest
    (known,) = simultaneous_contrasts([mean_difference([_precision(300, 300)], [other])])
    assert known.verdict == "better"


def test_what_two_models_share_narrows():
    widths = []
    for shared in (0.0, 0.5, 0.95):
        pair = [_precision(20, 30, of=i, shared=shared) for i in (0, 1)]
        actual = mean_difference(pair[:1], pair[1:]).estimate(0.95)
        widths.append(actual.high - actual.low)
    assert widths[0] > 1.2 * widths[1] > 2 * widths[2]


def test_one_baseline_is_the_best_of_one():
    one, other = _family(1)[:2]
    (alone,) = simultaneous_contrasts([mean_difference([one], [other])])
    (actual,) = against_best([one], [other])
    for name in ("low", "high"):
        expected = getattr(alone.simultaneous, name)
        assert getattr(actual.simultaneous, name) == pytest.approx(expected, abs=1e-9)
    assert actual.p == alone.p


def test_a_mean_of_seeds_keeps_the_bounds_of_the_seed_that_depends_most():
    seeds = [_precision(20, 30, Dependence(effect, 100.0), i) for i, effect in enumerate((2, 5))]
    mean = mean_of(seeds)
    assert mean.dependence == Dependence(5, 100.0)
    other = _precision(10, 30, of=3)
    actual = mean_difference(seeds, [other])
    assert actual.sides[0].draws.tolist() == mean.draws.tolist()
    assert actual.estimate(0.95).low < actual.value < actual.estimate(0.95).high


def test_without_draws_or_alarms_nothing_is_said():
    unknown = Resampled(np.nan, np.full(1000, np.nan), 0, 30, np.nan, Dependence(1.0, 1.0))
    few = Resampled(0.5, np.full(1000, np.nan), 30, 30, np.nan, Dependence(30.0, 1.0))
    known = _precision(20, 30)
    for one in (unknown, few):
        (actual,) = simultaneous_contrasts([mean_difference([one], [known])])
        assert (actual.verdict, actual.p, actual.pointwise.low) == ("unknown", None, None)
        assert against_best([one], [known])[0].verdict == "unknown"
    actual = contrasts_with_leader([known, few, _precision(21, 30, of=1)], 0)
    assert [one.verdict for one in actual] == ["unknown", "tied"]
    assert np.isfinite(largest_of_pairs([known, few, _precision(21, 30, of=1)])).all()
