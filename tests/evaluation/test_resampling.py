"""Statistics of resamples against scikit-learn on repeated units, on any number of threads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.evaluation.cases import refused, scored
from trueness.evaluation import (
    Blocks,
    Resampled,
    mean_difference,
    mean_of,
    measure_many,
    resampled_aucs,
    resampled_precisions,
    roc_auc,
)
from trueness.evaluation import resampling as module
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import Resamples, SortedScores, auc_in_folds, ranking
from trueness.evaluation.threads import in_threads, threads


def multinomial(rng, n, draws, dtype=np.uint8):
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=draws).T
    return np.ascontiguousarray(drawn.astype(dtype))


@given(scored(), st.integers(0, 1000), st.sampled_from([np.uint8, np.uint16]))
def test_weights_equal_repeating_the_units(case, seed, dtype):
    y, score = case
    weights = multinomial(np.random.default_rng(seed), len(y), 4, dtype)
    aucs, areas = ranking(SortedScores.of(y, score), Resamples.of(weights))
    for w, auc, area in zip(weights.T, aucs, areas, strict=True):
        ys, scores = np.repeat(y, w), np.repeat(score, w)
        if 0 < ys.sum() < len(ys):
            assert auc == pytest.approx(roc_auc_score(ys, scores), abs=1e-12)
        else:
            assert np.isnan(auc)
        if ys.any():
            assert area == pytest.approx(average_precision_score(ys, scores), abs=1e-12)
        else:
            assert np.isnan(area)


@given(scored(min_size=8), st.integers(0, 1000))
def test_the_auc_inside_folds_is_the_mean_of_their_aucs(case, seed):
    y, score = case
    rng = np.random.default_rng(seed)
    fold, weights = rng.integers(3, 6, len(y)), multinomial(rng, len(y), 3)
    found = auc_in_folds(SortedScores.of(y, score), Resamples.of(weights), fold)
    parts = [fold == f for f in range(3, 6)]
    parts = [p for p in parts if len(set(y[p])) == 2]
    for w, value in zip(weights.T, found, strict=True):
        pieces = [(np.repeat(y[p], w[p]), np.repeat(score[p], w[p])) for p in parts]
        if pieces and all(len(set(ys)) == 2 for ys, _ in pieces):
            assert value == pytest.approx(np.mean([roc_auc_score(*piece) for piece in pieces]))
        else:
            assert np.isnan(value)


def test_draws_equal_a_loop_over_repeated_units_of_a_panel():
    rng = np.random.default_rng(6)
    y, score = (rng.random(120) < 0.4).astype(np.uint8), rng.integers(-3, 4, 120).astype(float)
    blocks = Blocks.of(120, time=np.arange(120) // 3, length=4)
    (found,) = resampled_aucs(y, [score], blocks=blocks, draws=50)
    for weights, draw in zip(blocks.weights(50).T[1:], found.draws, strict=True):
        units = np.repeat(np.arange(120), weights)
        assert draw == pytest.approx(roc_auc(y[units], score[units]), abs=1e-12)
    assert (found.value, found.n, found.blocks) == (roc_auc(y, score), 120, 10)


@given(scored(min_size=10, tied=False), st.integers(1, 70))
def test_precision_of_a_resample_equals_repeating_the_units(case, alarms):
    y, score = case
    blocks = Blocks.of(len(y), length=2)
    (found,) = resampled_precisions(y, [score], alarms=alarms, blocks=blocks, draws=5)
    budget = min(alarms, len(y))
    assert found.n == budget
    assert found.value == pytest.approx(y[np.argsort(-score)][:budget].mean())
    for weights, draw in zip(blocks.weights(5).T[1:], found.draws, strict=True):
        units = np.repeat(np.arange(len(y)), weights)
        top = units[np.argsort(-score[units], kind="stable")][:budget]
        assert draw == pytest.approx(y[top].mean())


def test_units_tied_at_the_edge_share_what_is_left():
    y = np.array([1, 1, 0, 0, 0, 1] + [0] * 94)
    score = np.array([9.0, 5, 5, 5, 5, 5] + [0] * 94)
    blocks = Blocks.of(100, length=5)
    (found,) = resampled_precisions(y, [score], alarms=3, blocks=blocks)
    assert found.value == pytest.approx((1 + 2 * 2 / 5) / 3)
    (level,) = resampled_precisions(y, [np.zeros(100)], alarms=7, blocks=blocks)
    assert level.value == pytest.approx(0.03)


def test_a_resample_with_fewer_units_than_alarms_takes_them_all():
    y = np.r_[np.ones(90, int), np.tile([0, 1], 5)]  # one time has ninety units
    time = np.r_[np.zeros(90, int), np.arange(1, 11)]
    (found,) = resampled_precisions(
        y, [np.arange(100.0)], alarms=95, blocks=Blocks.of(100, time=time)
    )
    weights = Blocks.of(100, time=time).weights()[:, 1:]
    small = weights.sum(axis=0) < 95
    shares = (y @ weights) / weights.sum(axis=0)
    assert found.draws[small] == pytest.approx(shares[small])


def test_the_cut_of_each_resample_gives_the_spread_of_the_precision():
    """Held fixed, the cut hides part of it."""
    rng, values, new, fixed = np.random.default_rng(2), [], [], []
    blocks = Blocks.of(1000, length=20)
    for _ in range(150):
        y = (rng.random(1000) < 0.2).astype(np.uint8)
        score = 0.8 * y + rng.standard_normal(1000)
        (one,) = resampled_precisions(y, [score], alarms=50, blocks=blocks, draws=200)
        values.append(one.value)
        new.append(one.draws.std())
        raised = score > alarm_cut(score, 50)
        weights = blocks.weights(200)[raised, 1:].astype(float)
        fixed.append((y[raised] @ weights / weights.sum(axis=0)).std())
    assert np.mean(new) == pytest.approx(np.std(values), rel=0.12)
    assert np.mean(fixed) < np.mean(new)


def test_too_few_blocks_leave_draws_undefined():
    (one,) = resampled_aucs([0, 1] * 20, [np.arange(40.0)], blocks=Blocks.of(40, length=20))
    assert one.value == pytest.approx(0.525)
    assert np.isnan(one.draws).all()
    assert len(one.draws) == 1000
    (none,) = resampled_aucs(np.zeros(40), [np.arange(40.0)], blocks=Blocks.of(40))
    assert np.isnan(none.value)


def test_many_units_are_summed_exactly(monkeypatch):
    rng = np.random.default_rng(1)
    y, score = (rng.random(500) < 0.3).astype(np.uint8), rng.standard_normal(500)
    blocks = Blocks.of(500, length=3)
    (small,) = resampled_aucs(y, [score], blocks=blocks)
    monkeypatch.setattr(module, "MANY_UNITS", 10)
    (large,) = resampled_aucs(y, [score], blocks=blocks)
    np.testing.assert_array_equal(small.draws, large.draws)


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
        aucs = resampled_aucs(y, scores, blocks=rule["blocks"], draws=60)
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
        resampled_aucs([0, 1, 1], [np.ones(3), np.ones(2)], blocks=Blocks.of(3))


def test_means_and_differences_are_taken_draw_by_draw():
    one, other = (Resampled(v, np.array([v, v + 1.0]), 9, 3) for v in (1.0, 3.0))
    assert mean_of([one, other]).draws.tolist() == [2, 3]
    assert mean_difference([one], [other]).draws.tolist() == [-2, -2]
    assert one.estimate(0.9).low == pytest.approx(1.05)
    with refused("empty"):
        mean_of([])


def test_blocks_of_other_units_are_refused():
    with refused("length"):
        resampled_aucs([0, 1], [[1.0, 2.0]], blocks=Blocks.of(3))
    with refused("number"):
        resampled_precisions([0, 1], [[1.0, 2.0]], alarms=0, blocks=Blocks.of(2))
