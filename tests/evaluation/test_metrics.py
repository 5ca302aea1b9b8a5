import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from tests.evaluation.cases import dependent_days, refused, scored
from trueness.evaluation import (
    Blocks,
    auc_draws,
    clopper_pearson,
    expected_calibration_error,
    measure,
    measure_many,
    precision_recall_curve,
    roc_auc,
    score_facts,
)
from trueness.evaluation.metrics import alarm_cut
from trueness.shares import percent_of


def measured(y, score, length=5, **options):
    rule = {"alarms": (3, 7), "alarm_rate_pct": 10.0, "confidence": 0.95, "input": "score",
            "blocks": Blocks.of(len(y), length=length)}  # fmt: skip
    return measure(y, score, **rule | options)


@given(scored())
def test_ranking_equals_scikit_learn(case):
    y, score = case
    if 0 < y.sum() < len(y):
        assert roc_auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=1e-12)
    else:
        assert np.isnan(roc_auc(y, score))
    area = measured(y, score)["average_precision"].value
    expected = average_precision_score(y, score) if y.any() else None
    assert area == pytest.approx(expected, abs=1e-12)


@given(scored())
def test_shares_at_one_half_equal_scikit_learn(case):
    y, score = case
    result, alarm = measured(y, score), score >= 0
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
    y, score = case
    raised = score > alarm_cut(score, budget)
    assert raised.sum() <= budget
    left = np.sort(score[~raised])
    if len(left):  # one more distinct score would break the budget
        assert raised.sum() + (left == left[-1]).sum() > budget
        assert score[raised].min(initial=np.inf) > left[-1]
    actual = measured(y, score, alarms=(budget,))
    precision, recall = actual[f"precision@{budget}"], actual[f"recall@{budget}"]
    assert (precision.k, precision.n) == (y[raised].sum(), raised.sum())
    assert (recall.k, recall.n) == (y[raised].sum(), y.sum())


def test_budgets_by_hand():
    y = np.array([1, 0, 1, 1, 0, 0, 0, 0, 0, 0], np.uint8)
    score = np.array([9, 8, 7, 6, 5, 5, 5, 1, 0, -1], float)
    result = measured(y, score)
    assert (result["precision@3"].k, result["precision@3"].n) == (2, 3)
    assert (result["precision@7"].k, result["precision@7"].n) == (3, 7)
    assert (result["recall@3"].k, result["recall@3"].n) == (2, 3)
    assert (result["precision@10%"].k, result["precision@10%"].n) == (1, 1)
    constant = measured(y, np.zeros(10))
    assert constant["precision@7"].n == 0
    assert constant["precision@7"].value is None


@given(scored(min_size=5))
def test_curve_equals_counting_at_every_cut(case):
    y, score = case
    curve = precision_recall_curve(y, score)
    np.testing.assert_array_equal(curve["cut"], np.unique(score)[::-1])
    for cut, alarms, hits in zip(curve["cut"], curve["alarms"], curve["hits"], strict=True):
        assert (alarms, hits) == ((score >= cut).sum(), y[score >= cut].sum())


@given(scored(min_size=10), st.integers(0, 99))
def test_estimates_are_those_of_their_functions(case, seed):
    y, score = case
    probability = np.round(expit(score), np.random.default_rng(seed).integers(1, 4))
    clipped = expit(logit(np.clip(probability, 1e-7, 1 - 1e-7)))
    error = measured(y, probability, length=2, input="probability")["calibration_error"]
    assert error.value == pytest.approx(expected_calibration_error(y, clipped), abs=1e-12)
    if min(y.sum(), len(y) - y.sum()) < 10:
        assert error.low is error.high is None
    else:
        assert 0 <= error.low <= error.value <= error.high <= 1
    (auc,) = auc_draws(y, [score], blocks=Blocks.of(len(y), length=2))
    same, drawn = measured(y, score, length=2)["auc"], auc.proportion(0.95)
    if drawn.value is not None and 0 < drawn.value < 1:
        assert (same.low, same.high) == (drawn.low, drawn.high)


def test_the_interval_of_the_calibration_error_covers_true_and_wrong_probabilities():
    """A percentile interval of resamples never held 0 for true ones."""
    rng, true, wrong, zero = np.random.default_rng(0), [], [], []
    y, score = dependent_days(rng, 300_000, 0.7)
    truth = expected_calibration_error(y, expit(0.7 * score - 0.4))
    for _ in range(120):
        y, score = dependent_days(rng, 800, 0.7)
        actual = measured(y, 0.7 * score - 0.4, length=20)["calibration_error"]
        wrong.append(actual.low <= truth <= actual.high)
        actual = measured(y, 0.7 * score - 1.2, length=20)["calibration_error"]
        zero.append(actual.low == 0)
        true.append(actual.value)
    assert np.mean(wrong) >= 0.9
    assert np.mean(zero) >= 0.9
    assert np.mean(true) > 0.01


def test_the_interval_of_the_auc_covers():
    rng = np.random.default_rng(1)
    y, score = dependent_days(rng, 200_000, 0.7)
    truth = roc_auc(y, score)
    inside = 0
    for _ in range(120):
        y, score = dependent_days(rng, 600, 0.7)
        auc = measured(y, score, length=20)["auc"]
        inside += auc.low <= truth <= auc.high
    assert inside / 120 > 0.9  # 95 % nominal, 2.5 standard errors below


def test_series_of_a_panel_widen_the_interval_where_they_move_together():
    rng, ratio = np.random.default_rng(2), []
    for _ in range(20):
        common = np.repeat(rng.standard_normal(150), 8)
        score = common + 0.3 * rng.standard_normal(1200)
        y = (np.repeat(rng.random(150), 8) < expit(common)).astype(np.uint8)
        widths = []
        for blocks in (Blocks.of(1200), Blocks.of(1200, time=np.repeat(np.arange(150), 8))):
            auc = measured(y, score, blocks=blocks)["auc"]
            widths.append(auc.high - auc.low)
        ratio.append(widths[1] / widths[0])
    assert np.mean(ratio) > 2  # eight series that move together say as much as one


def test_too_few_blocks_leave_the_interval_undefined():
    y, score = np.tile([0, 1], 20).astype(np.uint8), np.arange(40.0)
    actual = measured(y, score, length=20)
    for name in ("auc", "auc_in_fold", "average_precision", "calibration_error"):
        assert actual[name].value is not None
        assert actual[name].low is actual[name].high is None
    assert actual["precision@3"].low is not None


def test_fewer_than_ten_of_a_class_have_no_interval():
    """One positive among 422 once was "better, 0.568 (0.501–0.634)"."""
    y, score = np.zeros(422, np.uint8), np.random.default_rng(3).standard_normal(422)
    y[200] = 1
    actual = measured(y, score)
    for name in ("auc", "average_precision", "calibration_error"):
        assert actual[name].value is not None
        assert actual[name].low is actual[name].high is None


def test_a_perfect_ranking_has_a_one_sided_bound():
    y = np.r_[np.zeros(80, np.uint8), np.ones(40, np.uint8)]
    for score, low, high in ((np.arange(120.0), 0.05 ** (1 / 40), 1.0),
                             (-np.arange(120.0), 0.0, 1 - 0.05 ** (1 / 40))):  # fmt: skip
        auc = measured(y, score, length=1)["auc"]
        assert (auc.low, auc.high) == pytest.approx((low, high))


def test_intervals_of_alarms_know_that_their_hits_hang_together():
    """Exact ones of 30 independent alarms cover a month of turbulence in three of four samples."""
    rng, inside, exact = np.random.default_rng(6), 0, 0
    truth, samples = None, []
    for _ in range(200):
        level = np.repeat(rng.standard_normal(100), 20)
        score = level + 0.3 * rng.standard_normal(2000)
        y = rng.random(2000) < expit(np.repeat(rng.standard_normal(100), 20) * 2 - 1 + 0.5 * score)
        samples.append(measured(y.astype(np.uint8), score, length=20, alarms=(60,)))
    truth = np.mean([one["precision@60"].value for one in samples])
    for one in samples:
        actual = one["precision@60"]
        low, high = clopper_pearson(actual.k, actual.n)
        inside += actual.low <= truth <= actual.high
        exact += low <= truth <= high
    assert inside / 200 > 0.9
    assert exact / 200 < 0.8


def test_auc_inside_folds_is_their_mean_and_ignores_shifts_between_fits():
    rng = np.random.default_rng(4)
    y, score = dependent_days(rng, 900, 1.0)
    fold = np.repeat([0, 1, 2], 300)
    actual = measured(y, score + 5.0 * fold, fold=fold)
    inside = np.mean([roc_auc_score(y[fold == f], score[fold == f]) for f in range(3)])
    assert actual["auc_in_fold"].value == pytest.approx(inside)
    assert actual["auc_in_fold"].low < inside < actual["auc_in_fold"].high
    assert actual["auc"].value < inside - 0.05
    for one in (None, np.full(900, 7)):
        alone = measured(y, score, fold=one)
        assert alone["auc_in_fold"] == alone["auc"]


def test_many_are_measured_as_each_alone():
    rng = np.random.default_rng(5)
    y = (rng.random(200) < 0.3).astype(np.uint8)
    scores = list(rng.standard_normal((4, 200)))
    rule = {"alarms": (5,), "alarm_rate_pct": 5.0, "confidence": 0.9, "measured_on": "test",
            "chosen_on": "validation", "blocks": Blocks.of(200, length=3)}  # fmt: skip
    actual = measure_many(y, scores, **rule)
    assert actual == [measure(y, score, **rule) for score in scores]
    assert {(e.chosen_on, e.measured_on) for e in actual[0].values()} == {("validation", "test")}
    assert list(actual[0])[:5] == [
        "base_rate", "auc", "auc_in_fold", "average_precision", "calibration_error",
    ]  # fmt: skip


def test_scores_that_only_rank_have_no_probability():
    y, score = np.tile([0, 1, 0], 40), np.arange(120.0)
    plain = measured(y, score - 60)
    ranks = measured(y, score, probabilities=False)
    missing = {"calibration_error", "precision@0.5", "recall@0.5"}
    assert set(plain) - set(ranks) == missing
    assert ranks == {name: e for name, e in plain.items() if name not in missing}


def test_whole_numbers_that_a_double_does_not_tell_apart_are_refused():
    large = np.array([2**53, 2**53 + 1, 5], np.int64)
    with refused("large"):
        roc_auc([0, 1, 1], large)
    assert roc_auc([0, 1, 1], large - 2**53) == 0.5
    assert roc_auc([1, 0, 0], np.array([2**60, 5, 9], float)) == 1.0


def test_a_fold_for_each_unit_is_needed():
    with refused("length"):
        measured(np.tile([0, 1], 50), np.arange(100.0), fold=np.zeros(99, int))


def test_a_probability_on_an_edge_is_in_the_bin_above_it():
    """0.3 once fell below its edge, and the error came out as 0.036 in place of 0.061."""
    y, p = np.r_[np.ones(40), np.zeros(60)], np.full(100, 0.3)
    p[:10] = 0.25
    expected = (10 * 0.75 + 90 * abs(0.3 - 30 / 90)) / 100
    assert expected_calibration_error(y, p) == pytest.approx(expected)
    actual = measured(y.astype(np.uint8), p, input="probability")["calibration_error"]
    assert actual.value == pytest.approx(expected)


def test_small_integers_do_not_wrap():
    assert roc_auc([0, 1, 1], np.array([0, 5, 9], np.uint8)) == 1.0
    assert roc_auc([0, 1, 1], np.array([-128, 5, 9], np.int8)) == 1.0


def test_score_facts_name_the_state():
    assert score_facts(np.linspace(-0.2, 0.2, 50))["state"] == "collapsed"
    assert score_facts(np.linspace(-0.8, 0.8, 50))["state"] == "narrow"
    facts = score_facts(np.linspace(-3, 3, 50))
    assert facts["state"] == "healthy"
    assert facts["width"] == pytest.approx(expit(3) - expit(-3))
    ranks = score_facts(np.arange(101.0), probabilities=False)
    assert ranks == {"min": 0.0, "max": 100.0, "q05": 5.0, "q95": 95.0, "width": None,
                     "std": None, "state": "ranks"}  # fmt: skip


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"alarms": (0,)}, "range"), ({"alarm_rate_pct": 0}, "range"),
        ({"alarm_rate_pct": 101}, "range"), ({"confidence": 95}, "range"),
        ({"blocks": Blocks.of(3)}, "length"),
    ],
)  # fmt: skip
def test_bad_rules_are_refused(options, code):
    with refused(code):
        measured(np.array([0, 1]), np.array([0.0, 2.0]), **options)


def test_every_public_name_is_there():
    import trueness.evaluation

    for name in trueness.evaluation.__all__:
        assert getattr(trueness.evaluation, name) is not None
        assert name in dir(trueness.evaluation)
    with pytest.raises(AttributeError, match="no attribute 'f1'"):
        _ = trueness.evaluation.f1


@given(st.integers(1, 1000), st.integers(1, 10**6))
def test_a_rate_allows_what_whole_numbers_say(tenths, n):
    """68 alarms of 750 at 9.2 % would be one too few."""
    assert percent_of(n, tenths / 10) == tenths * n // 1000
