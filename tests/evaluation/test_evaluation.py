import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import binom, binomtest
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from trueness.errors import TruenessError
from trueness.evaluation import (
    Estimate,
    Evidence,
    average_precision,
    block_weights,
    clopper_pearson,
    expected_calibration_error,
    measure,
    precision_recall_curve,
    reliability_diagram_data,
    roc_auc,
    run_checks,
    score_facts,
)
from trueness.evaluation.calibration import weighted_calibration_error
from trueness.evaluation.metrics import _weighted_ap, _weighted_auc, alarm_cut

SETTINGS = {"alarms": (3, 7), "alarm_rate_pct": 10.0, "confidence": 0.95, "block": 5}


@st.composite
def scored(draw, min_size=2, tied=True):
    """Labels and scores, often with ties."""
    n = draw(st.integers(min_size, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    score = (
        rng.integers(-4, 5, n).astype(float)
        if tied and draw(st.booleans())
        else rng.standard_normal(n)
    )
    return (rng.random(n) < draw(st.floats(0.1, 0.9))).astype(np.uint8), score


@given(scored())
def test_ranking_equals_scikit_learn(case):
    y, score = case
    if 0 < y.sum() < len(y):
        assert roc_auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    else:
        assert np.isnan(roc_auc(y, score))
    if y.sum():
        assert average_precision(y, score) == pytest.approx(
            average_precision_score(y, score), abs=1e-12
        )


@given(scored(), st.integers(0, 1000))
def test_weighted_ranking_equals_repeating_the_days(case, seed):
    y, score = case
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(y), np.full(len(y), 1 / len(y)), size=4).astype(np.float32)
    aucs, aps = _weighted_auc(y, score, weights), _weighted_ap(y, score, weights)
    for w, auc, ap in zip(weights.astype(int), aucs, aps, strict=True):
        many_y, many_score = np.repeat(y, w), np.repeat(score, w)
        if 0 < many_y.sum() < len(many_y):
            assert auc == pytest.approx(roc_auc_score(many_y, many_score), abs=1e-9)
            assert ap == pytest.approx(average_precision_score(many_y, many_score), abs=1e-9)
        else:
            assert np.isnan(auc)


@given(scored())
def test_shares_at_one_half_equal_scikit_learn(case):
    y, score = case
    result, alarm = measure(y, score, **SETTINGS), score >= 0
    precision, recall = result["precision@0.5"], result["recall@0.5"]
    assert (precision.k, precision.n) == (int(y[alarm].sum()), int(alarm.sum()))
    if alarm.any():
        assert precision.value == pytest.approx(precision_score(y, alarm))
    else:
        assert precision.value is None
    if y.sum():
        assert recall.value == pytest.approx(recall_score(y, alarm))


@given(scored(min_size=10), st.integers(1, 70))
def test_a_budget_is_never_exceeded_and_ties_at_its_edge_stay_out(case, budget):
    _y, score = case
    raised = score > alarm_cut(score, budget)
    assert raised.sum() <= budget
    left = np.sort(score[~raised])
    if len(left):  # one more distinct score would break the budget
        assert raised.sum() + (left == left[-1]).sum() > budget
        assert score[raised].min(initial=np.inf) > left[-1]


def test_budgets_by_hand():
    y = np.array([1, 0, 1, 1, 0, 0, 0, 0, 0, 0], np.uint8)
    score = np.array([9, 8, 7, 6, 5, 5, 5, 1, 0, -1], float)
    result = measure(y, score, **SETTINGS)
    assert (result["precision@3"].k, result["precision@3"].n) == (2, 3)
    assert (result["precision@7"].k, result["precision@7"].n) == (3, 7)
    assert (result["recall@3"].k, result["recall@3"].n) == (2, 3)
    assert (result["precision@5%"].k, result["precision@5%"].n) == (1, 1)
    constant = measure(y, np.zeros(10), **SETTINGS)
    assert constant["precision@7"].n == 0
    assert constant["precision@7"].value is None


@given(scored(min_size=5))
def test_curve_equals_counting_at_every_cut(case):
    y, score = case
    curve = precision_recall_curve(y, score)
    np.testing.assert_array_equal(curve["cut"], np.unique(score)[::-1])
    for cut, alarms, hits in zip(curve["cut"], curve["alarms"], curve["hits"], strict=True):
        assert (alarms, hits) == ((score >= cut).sum(), y[score >= cut].sum())


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0.8, 0.95, 0.99]))
def test_exact_interval_equals_scipy(k, extra, confidence):
    n = k + extra
    low, high = clopper_pearson(k, n, confidence)
    if n == 0:
        assert (low, high) == (0.0, 1.0)
        return
    expected = binomtest(k, n).proportion_ci(confidence, method="exact")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("n", "p"), [(7, 0.18), (30, 0.5), (76, 0.3)])
def test_exact_interval_covers(n, p):
    intervals = [clopper_pearson(k, n) for k in range(n + 1)]
    coverage = sum(
        binom.pmf(k, n, p) for k, (low, high) in enumerate(intervals) if low <= p <= high
    )
    assert coverage >= 0.95


def _dependent_days(rng, n, signal):
    """Scores and labels with week-long regimes."""
    regime = np.repeat(rng.standard_normal(n // 10 + 1), 10)[:n]
    score = regime + rng.standard_normal(n)
    y = rng.random(n) < expit(-1.2 + signal * score)
    return y.astype(np.uint8), score


def test_block_bootstrap_interval_of_the_auc_covers():
    rng = np.random.default_rng(1)
    y, score = _dependent_days(rng, 200_000, 0.7)
    truth = roc_auc(y, score)
    inside = 0
    for _ in range(120):
        y, score = _dependent_days(rng, 600, 0.7)
        auc = measure(y, score, **{**SETTINGS, "block": 20})["auc"]
        inside += auc.low <= truth <= auc.high
    assert inside / 120 > 0.88  # 95 % nominal, four standard errors below


@given(st.integers(1, 60), st.integers(1, 80))
def test_block_weights_resample_whole_blocks_or_say_nothing(n, block):
    weights = block_weights(n, block, draws=20)
    assert weights.shape == (20, n)
    np.testing.assert_array_equal(weights, block_weights(n, block, draws=20))
    if n < 5 * block:  # rotations of the same days would look certain
        assert np.isnan(weights).all()
    else:
        assert (weights.sum(axis=1) == n).all()


def test_too_few_blocks_leave_the_interval_undefined():
    y, score = np.tile([0, 1], 20).astype(np.uint8), np.arange(40.0)
    auc = measure(y, score, **{**SETTINGS, "block": 20})["auc"]
    assert auc.value is not None
    assert auc.low is auc.high is None
    assert "TRU003" in [
        f.code
        for f in run_checks(Evidence(y, score, {**measure(y, score, **SETTINGS), "auc": auc}))
    ]


def test_small_integers_do_not_wrap():
    assert roc_auc([0, 1, 1], np.array([0, 5, 9], np.uint8)) == 1.0
    assert roc_auc([0, 1, 1], np.array([-128, 5, 9], np.int8)) == 1.0


@given(scored(min_size=1), st.integers(1, 12), st.sampled_from(["uniform", "quantile"]))
def test_calibration_error_equals_a_loop_over_bins(case, n_bins, strategy):
    y, score = case
    prob = expit(score)
    bins = reliability_diagram_data(prob, y, n_bins, strategy)
    assert bins["count"].sum() == len(prob)
    total = 0.0
    edges = bins["edges"]
    for i in range(len(edges) - 1):
        last = i == len(edges) - 2
        inside = (prob >= edges[i]) & ((prob <= edges[i + 1]) if last else (prob < edges[i + 1]))
        if inside.any():
            total += abs(y[inside].mean() - prob[inside].mean()) * inside.sum() / len(prob)
    assert expected_calibration_error(prob, y, n_bins, strategy) == pytest.approx(total, abs=1e-12)


def test_weighted_calibration_error_with_unit_weights_is_the_plain_one():
    rng = np.random.default_rng(0)
    prob, y = rng.random(500), rng.integers(0, 2, 500).astype(np.uint8)
    weighted = weighted_calibration_error(prob, y, np.ones((1, 500), np.float32))[0]
    assert weighted == pytest.approx(expected_calibration_error(prob, y), abs=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: roc_auc(np.array([0, 1]), np.array([0.1])), "1 scores for 2 labels"),
        (lambda: roc_auc(np.array([0, 1]), np.array([0.1, np.nan])), "1 scores are not finite"),
        (lambda: roc_auc(np.array([0, 2]), np.array([0.1, 0.2])), "must be 0 or 1"),
        (lambda: expected_calibration_error(np.array([1.2]), np.array([1])), "must lie in"),
        (
            lambda: expected_calibration_error(np.array([0.2]), np.array([1]), 0),
            "n_bins 0: a whole number of at least 1",
        ),
        (
            lambda: reliability_diagram_data(np.array([0.2]), np.array([1, 0])),
            "1 probabilities for 2",
        ),
        (
            lambda: reliability_diagram_data(np.array([0.2]), np.array([1]), 3, "log"),
            "choose from uniform",
        ),
        (lambda: clopper_pearson(3, 2), "3 hits of 2"),
        (lambda: clopper_pearson(1.5, 2), "1.5 hits of 2"),
        (lambda: clopper_pearson(1, 2, 95), "confidence 95"),
        (lambda: roc_auc(np.array([]), np.array([])), "no examples"),
        (lambda: roc_auc(np.array([[0, 1]]), np.array([[0, 1]])), "one dimension"),
        (lambda: roc_auc([0, 1], ["a", "b"]), "real numbers"),
        (lambda: expected_calibration_error(np.array([0.1]), np.array([5])), "must be 0 or 1"),
        (
            lambda: measure(np.array([0, 1]), np.array([0.0, 1.0]), **{**SETTINGS, "alarms": (0,)}),
            "alarm budgets",
        ),
        (
            lambda: measure(
                np.array([0, 1]), np.array([0.0, 1.0]), **{**SETTINGS, "confidence": 95}
            ),
            "confidence",
        ),
        (lambda: block_weights(5, 0), "block 0: a whole number of at least 1"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(TruenessError, match=words):
        call()


def test_estimate_survives_json_and_says_what_it_is():
    one = Estimate.proportion(6, 7, chosen_on="validation", measured_on="validation").among(183)
    assert Estimate.from_dict(one.to_dict()) == one
    assert str(one) == "6/7 = 85.7 % [42.1, 99.6]"
    assert str(Estimate.proportion(0, 0)) == "–"


def test_score_facts_name_the_state():
    assert score_facts(np.linspace(-0.2, 0.2, 50))["state"] == "collapsed"
    assert score_facts(np.linspace(-0.8, 0.8, 50))["state"] == "narrow"
    assert score_facts(np.linspace(-3, 3, 50))["state"] == "healthy"


def _codes(y, score, difference=None, fold=None):
    estimates = measure(y, score, **SETTINGS)
    return [f.code for f in run_checks(Evidence(y, score, estimates, fold, difference))]


def test_checks_fire_on_what_they_are_for_and_not_otherwise():
    rng = np.random.default_rng(0)
    y = (rng.random(800) < 0.3).astype(np.uint8)
    good = 3.0 * y - 1.5 + rng.standard_normal(800)
    better = Estimate(0.05, 0.01, 0.09, 800)
    assert _codes(y, good, better) == []
    assert "TRU001" in _codes(y, good / 50)
    assert "TRU002" in _codes(y, good - 20)
    folds = np.repeat([0, 1, 2, 3], 200)
    assert _codes(y, np.where(folds == 1, good + 20, good), fold=folds) == ["TRU002"]
    assert "TRU003" in _codes(y, rng.standard_normal(800))
    assert _codes(y, good, Estimate(0.01, -0.02, 0.04, 800)) == ["TRU004"]
    assert "TRU005" in _codes(y[:100], good[:100])
    twice = expit(good)  # a probability taken for a logit
    assert {"TRU002", "TRU006"} <= set(_codes(y, twice))


def test_auc_inside_folds_is_their_mean_and_ignores_shifts_between_fits():
    rng = np.random.default_rng(4)
    y, score = _dependent_days(rng, 900, 1.0)
    fold = np.repeat([0, 1, 2], 300)
    shifted = score + 5.0 * fold
    found = measure(y, shifted, fold=fold, **SETTINGS)
    inside = np.mean([roc_auc_score(y[fold == f], score[fold == f]) for f in range(3)])
    assert found["auc_in_fold"].value == pytest.approx(inside)
    assert found["auc_in_fold"].low < inside < found["auc_in_fold"].high
    assert found["auc"].value < inside - 0.05
    one = measure(y, score, **SETTINGS)
    assert one["auc_in_fold"].value == one["auc"].value


def test_every_public_name_is_there():
    import trueness.evaluation

    for name in trueness.evaluation.__all__:
        assert getattr(trueness.evaluation, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'f1'"):
        _ = trueness.evaluation.f1
