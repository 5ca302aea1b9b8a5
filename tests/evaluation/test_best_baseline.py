"""Against the best of several baselines: error rates, power, identities."""

import numpy as np
import pytest
from scipy.stats import t

from tests.evaluation.cases import dependent_days, refused
from trueness.evaluation import Blocks, Resampled, against_best, auc_draws, simultaneous_contrasts


def _aucs(y, scores, length=20):
    return auc_draws(y, scores, blocks=Blocks.of(len(y), length=length))


def _equals(rng, n, m):
    y, base = dependent_days(rng, n, 1.0)
    return y, [base + rng.standard_normal(n) for _ in range(m)]


def test_among_equals_no_model_is_worse_than_the_best_of_ten_baselines():
    """Compared with the winner alone, a fifth of them is."""
    rng, verdicts, naive = np.random.default_rng(0), [], []
    for _ in range(150):
        y, scores = _equals(rng, 800, 11)
        model, *baselines = _aucs(y, scores)
        verdicts.append(against_best([model], baselines)[0].verdict)
        winner = max(baselines, key=lambda one: one.value)
        lead = Resampled(model.value - winner.value, model.draws - winner.draws, 800, model.freedom)
        naive.append(simultaneous_contrasts([lead])[0].verdict)
    assert np.mean([v != "tied" for v in verdicts]) <= 0.05 + 2 * 0.018
    assert np.mean([v == "worse" for v in naive]) > 0.1


def test_a_better_and_a_worse_model_are_told():
    rng = np.random.default_rng(1)
    y, scores = _equals(rng, 3000, 8)
    better, worse = scores[0] + 1.2 * y, scores[1] - 1.2 * y
    actual = against_best(_aucs(y, [better, scores[2], worse]), _aucs(y, scores[3:]))
    assert [one.verdict for one in actual] == ["better", "tied", "worse"]
    assert actual[0].p <= 0.05 >= actual[2].p
    assert actual[1].p > 0.05


def test_with_one_baseline_it_is_the_plain_difference():
    rng = np.random.default_rng(2)
    y, scores = _equals(rng, 600, 4)
    *models, base = _aucs(y, scores)
    differences = [Resampled(m.value - base.value, m.draws - base.draws, 600, m.freedom)
                   for m in models]  # fmt: skip
    for one, plain in zip(
        against_best(models, [base]), simultaneous_contrasts(differences), strict=True
    ):
        assert one.pointwise.value == pytest.approx(plain.pointwise.value)
        assert one.pointwise.low == pytest.approx(plain.pointwise.low, abs=1e-9)
        assert one.simultaneous.low == pytest.approx(plain.simultaneous.low, abs=1e-9)
        assert one.simultaneous.high == pytest.approx(plain.simultaneous.high, abs=1e-9)
        assert one.p == pytest.approx(plain.p, abs=1e-9)


def test_the_value_is_the_difference_to_the_winner_and_more_baselines_pay_above_only():
    rng = np.random.default_rng(3)
    y, scores = _equals(rng, 900, 6)
    model, *baselines = _aucs(y, scores)
    (one,), (all_,) = against_best([model], baselines[:1]), against_best([model], baselines)
    assert all_.pointwise.value == pytest.approx(model.value - max(b.value for b in baselines))
    lows = []
    for base in baselines:
        error = (model.draws - base.draws).std(ddof=1)
        lows.append(model.value - base.value - t.isf(0.025, model.freedom) * error)
    assert all_.pointwise.low == pytest.approx(min(lows))
    assert all_.pointwise.high >= all_.pointwise.value
    assert one.pointwise.low >= all_.pointwise.low


def test_the_same_model_is_no_better_than_itself():
    rng = np.random.default_rng(4)
    y, scores = _equals(rng, 500, 2)
    one, other = _aucs(y, scores)
    (actual,) = against_best([one], [one, other])
    assert actual.verdict == "tied"
    assert actual.simultaneous.high >= 0 >= actual.simultaneous.low


def test_one_undefined_model_or_baseline_does_not_blind_the_others():
    rng = np.random.default_rng(5)
    y, scores = _equals(rng, 1500, 4)
    better, same, *baselines = _aucs(y, [scores[0] + 1.5 * y, *scores[1:]])
    blind = Resampled(float("nan"), np.full(1000, np.nan), 1500, better.freedom)
    actual = against_best([better, blind, same], [*baselines, blind])
    assert [one.verdict for one in actual[:2]] == ["better", "unknown"]
    assert actual[2].verdict != "unknown"


def test_too_few_units_are_unknown():
    few = _aucs([0, 1] * 20, [np.arange(40.0), np.arange(40.0)[::-1]])
    (actual,) = against_best(few[:1], few[1:])
    assert (actual.verdict, actual.p) == ("unknown", None)
    with refused("range"):
        against_best(few[:1], few[1:], 95)
