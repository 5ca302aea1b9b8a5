"""Influences against numerical derivatives, joint draws against their variances, threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.evaluation.cases import dependent_days, refused, scored
from trueness.evaluation import (
    Blocks,
    Resampled,
    auc_draws,
    mean_difference,
    mean_of,
    measure_many,
    precision_draws,
    roc_auc,
)
from trueness.evaluation.design_effects import Residuals
from trueness.evaluation.influence import (
    auc_in_fold_influence,
    auc_influence,
    average_precision_influence,
    linear_draws,
    perfect_bound,
)
from trueness.evaluation.long_run import Window
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.threads import in_threads, threads

STEP = 1e-5


def _derivatives(statistic, y, score):
    """What one more of each unit adds to a weighted statistic of scikit-learn."""
    value, actual = statistic(y, score), []
    for i in range(len(y)):
        weights = np.ones(len(y))
        weights[i] += STEP
        actual.append((statistic(y, score, sample_weight=weights) - value) / STEP)
    return np.array(actual)


@given(scored(min_size=4))
def test_influences_are_derivatives_to_the_weights(case):
    y, score = case
    ranked = SortedScores.of(y, score)
    auc, of_auc = auc_influence(ranked)
    area, of_area = average_precision_influence(ranked)
    if 0 < y.sum() < len(y):
        assert auc == pytest.approx(roc_auc_score(y, score), abs=1e-12)
        np.testing.assert_allclose(of_auc, _derivatives(roc_auc_score, y, score), atol=1e-4)
    else:
        assert np.isnan(auc)
        assert not of_auc.any()
    if y.any():
        assert area == pytest.approx(average_precision_score(y, score), abs=1e-12)
        np.testing.assert_allclose(
            of_area, _derivatives(average_precision_score, y, score), atol=1e-3
        )
    else:
        assert np.isnan(area)
    assert of_auc.sum() == pytest.approx(0, abs=1e-9)
    assert of_area.sum() == pytest.approx(0, abs=1e-9)


@given(scored(min_size=8), st.integers(0, 1000))
def test_the_auc_inside_folds_is_the_mean_of_their_aucs(case, seed):
    y, score = case
    fold = np.random.default_rng(seed).integers(3, 6, len(y))
    value, influence = auc_in_fold_influence(SortedScores.of(y, score), fold)
    parts = [p for f in range(3, 6) if len(set(y[p := fold == f])) == 2]
    if not parts:
        assert np.isnan(value)
        return
    assert value == pytest.approx(np.mean([roc_auc_score(y[p], score[p]) for p in parts]))
    for p in parts:
        own = auc_influence(SortedScores.of(y[p], score[p]))[1]
        np.testing.assert_allclose(influence[p], own / len(parts))


def test_the_spread_of_draws_is_the_long_run_variance():
    rng = np.random.default_rng(6)
    y, score = dependent_days(rng, 900, 1.0)
    for blocks in (
        Blocks.of(900, length=20), Blocks.of(900), Blocks.of(900, time=np.arange(900) // 3, length=4)
    ):  # fmt: skip
        (actual,) = auc_draws(y, [score], blocks=blocks)
        window, influence = Window.of(blocks), auc_influence(SortedScores.of(y, score))[1]
        exact = window.variance(blocks.totals(influence)) ** 0.5
        assert actual.error == pytest.approx(exact, rel=0.1)
        assert actual.draws.mean() == pytest.approx(actual.value, abs=4 * exact / 1000**0.5)
        assert (actual.n, actual.freedom) == (900, window.freedom)


def test_models_share_their_draws():
    rng = np.random.default_rng(7)
    y, score = dependent_days(rng, 600, 1.0)
    blocks = Blocks.of(600, length=10)
    one, same, shifted = auc_draws(y, [score, score.copy(), 2 * score + 1], blocks=blocks)
    np.testing.assert_array_equal(one.draws, same.draws)
    np.testing.assert_array_equal(one.draws, shifted.draws)
    near, far = auc_draws(y, [score + 0.1 * rng.standard_normal(600), rng.standard_normal(600)],
                          blocks=blocks)  # fmt: skip
    assert mean_difference([one], [near]).error < 0.3 * mean_difference([one], [far]).error


def test_the_spread_of_a_precision_is_at_least_that_of_its_effective_alarms():
    """Alarms that all hit, or all miss, do not move; what is known of them is no more certain."""
    y = np.tile([0, 1, 0, 0, 1], 80)
    blocks = Blocks.of(400, length=20)
    edges = np.arange(400) / 1e3
    perfect, hopeless = precision_draws(y, [y + edges, edges - y], alarms=30, blocks=blocks)
    for one, value in ((perfect, 1.0), (hopeless, 0.0)):
        assert (one.value, one.n) == (value, 30)
        actual = one.proportion(0.95)
        assert actual.low < 0.9 if value else actual.high > 0.1
    (none,) = precision_draws(y, [np.zeros(400)], alarms=30, blocks=blocks)
    assert (none.n, np.isnan(none.value)) == (0, True)
    assert none.proportion(0.95).value is None


def _alarms(score, count):
    """Which units the highest scores raise, (n,), as numbers."""
    raised = np.zeros(len(score))
    raised[np.argsort(-score)[:count]] = 1
    return raised


def test_two_precisions_differ_by_what_the_labels_of_their_own_alarms_vary():
    """Shared alarms cancel; the others vary as the residuals of all days depend on each other."""
    rng = np.random.default_rng(11)
    y, score = dependent_days(rng, 3000, 0.0)
    score = rng.standard_normal(3000)  # knows nothing: the cut moves no precision
    other = score.copy()
    top = np.argsort(-score)
    other[top[20:30]], other[top[30:40]] = score[top[30:40]], score[top[20:30]]
    blocks = Blocks.of(3000, time=np.arange(3000), length=20)
    one, two = precision_draws(y, [score, other], alarms=30, blocks=blocks)
    residuals = Residuals.of(SortedScores.of(y, score), blocks)
    apart = _alarms(score, 30) - _alarms(other, 30)
    window = residuals.window
    kernel = np.maximum(window.spectrum_of(np.append(1.0, residuals.correlation[1:])), 0)
    variance = window.of_products(window.transform(apart), kernel)
    hit = (one.value * 30 + 1) / 32
    wider = one.error / residuals.noisy(SortedScores.of(y, score), 30).error
    expected = (hit * (1 - hit) * variance) ** 0.5 * wider
    assert mean_difference([one], [two]).error == pytest.approx(expected, rel=0.15)
    assert one.draws.std() == pytest.approx(one.error, rel=0.1)
    same, again = precision_draws(y, [score, 2 * score], alarms=30, blocks=blocks)
    np.testing.assert_array_equal(same.draws, again.draws)


def test_independent_units_of_one_day_are_no_more_alike_than_those_of_two():
    """Thirty alarms on ten days of a panel of three hundred independent series."""
    rng = np.random.default_rng(12)
    y = (rng.random(30_000) < 0.3).astype(np.uint8)
    days = np.repeat(np.arange(100), 300)
    scores = rng.standard_normal((2, 30_000)) + 9 * (days < 10)
    blocks = Blocks.of(30_000, time=days)
    one, two = precision_draws(y, scores, alarms=30, blocks=blocks)
    alone = (one.value * (1 - one.value) / 30) ** 0.5
    assert alone < one.error < 2 * alone
    difference = mean_difference([one], [two]).error  # other units of the same days
    assert difference == pytest.approx((2 * 0.21 / 30) ** 0.5, rel=0.3)


def test_a_perfect_ranking_has_the_bound_of_its_independent_pairs():
    y = np.repeat([0, 1, 0, 1], 50).astype(np.uint8)
    assert perfect_bound(y, Blocks.of(200), 0.95) == pytest.approx(0.05 ** (1 / 100))
    assert perfect_bound(y, Blocks.of(200, length=25), 0.9) == pytest.approx(0.1 ** (1 / 4))
    clusters = Blocks.of(200, cluster=np.arange(200) // 50)
    assert perfect_bound(y, clusters, 0.95) == pytest.approx(0.05 ** (1 / 2))


@pytest.mark.parametrize(
    ("y", "blocks"),
    [
        ([0, 1] * 20, Blocks.of(40, length=20)), ([1] * 9 + [0] * 91, Blocks.of(100)),
        ([0] * 9 + [1] * 91, Blocks.of(100)), ([0] * 100, Blocks.of(100)),
    ],
)  # fmt: skip
def test_too_few_units_have_no_draws(y, blocks):
    score = np.arange(float(len(y)))
    for one in (*auc_draws(y, [score], blocks=blocks),
                *precision_draws(y, [score], alarms=5, blocks=blocks)):  # fmt: skip
        assert np.isnan(one.draws).all()
        assert len(one.draws) == 1000
        assert np.isnan(one.error)
        assert one.estimate(0.95).low is None


def test_intervals_of_students_and_on_the_scale_of_log_odds():
    draws = np.random.default_rng(1).normal(0.9, 0.05, 100_000)
    one = Resampled(0.9, draws, 100, 5)
    plain, inside = one.estimate(0.95), one.proportion(0.95)
    assert plain.high - plain.value == pytest.approx(2.571 * 0.05, rel=0.01)
    assert plain.high > 1 > inside.high
    assert inside.value - inside.low > inside.high - inside.value
    assert Resampled(1.0, draws, 100, 5).proportion(0.95).low is None


def test_threads_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    y = (rng.random(400) < 0.3).astype(np.uint8)
    scores = list(rng.standard_normal((7, 400)) + y)
    rule = {"alarms": (20,), "alarm_rate_pct": 5.0, "confidence": 0.9,
            "blocks": Blocks.of(400, length=4), "fold": np.repeat([0, 1], 200)}  # fmt: skip
    answers = []
    for number in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", number)
        assert threads() == int(number)
        aucs = auc_draws(y, scores, blocks=rule["blocks"])
        answers.append((measure_many(y, scores, **rule), [one.draws.tolist() for one in aucs]))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("value", ["", "0", "two"])
def test_without_a_number_every_core_is_a_thread(monkeypatch, value):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads() >= 1


def test_what_fails_in_a_thread_fails(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert in_threads(str, range(50)) == [str(i) for i in range(50)]
    with refused("length"):
        auc_draws([0, 1, 1], [np.ones(3), np.ones(2)], blocks=Blocks.of(3))


def test_means_and_differences_are_taken_draw_by_draw():
    one, other = (Resampled(v, np.array([v, v + 1.0]), 9, 3) for v in (1.0, 3.0))
    assert mean_of([one, other]).draws.tolist() == [2, 3]
    assert mean_difference([one], [other]).draws.tolist() == [-2, -2]
    with refused("empty"):
        mean_of([])


def test_blocks_of_other_units_are_refused():
    with refused("length"):
        auc_draws([0, 1], [[1.0, 2.0]], blocks=Blocks.of(3))
    with refused("number"):
        precision_draws([0, 1], [[1.0, 2.0]], alarms=0, blocks=Blocks.of(2))


def test_linear_draws_add_up():
    rng = np.random.default_rng(9)
    blocks, influence = Blocks.of(300, length=5), rng.standard_normal((2, 300)) / 300
    one, other, both = (
        linear_draws(0.0, values, blocks) for values in (*influence, influence.sum(0))
    )
    np.testing.assert_allclose(one.draws + other.draws, both.draws, atol=1e-5)
    assert roc_auc([0, 1], [0.0, 1.0]) == 1.0
