"""Probability of backtest overfitting: a double loop, chance, skill, refusals."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from tests.evaluation.cases import refused
from trueness.evaluation import (
    Blocks,
    auc_counts,
    class_counts,
    overfitting_of_aucs,
    roc_auc,
)
from trueness.evaluation.kernels import ranks_of_best


def _days(n, pieces, chosen):
    return np.isin(np.arange(n) * pieces // n, chosen)


def overfitting(y, scores, pieces=16, blocks=None):
    piece = (blocks or Blocks.of(len(y))).pieces(pieces)
    won = np.array([auc_counts(y, score, piece) for score in scores])
    return overfitting_of_aucs(won, *class_counts(y, piece))


def _loop(y, scores, blocks):
    """Logits by the definition, one split after the other."""
    logits = []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = _days(len(y), blocks, chosen)
        parts = [[roc_auc(y[p], s[p]) for s in scores] for p in (inside, ~inside)]
        here, there = (np.nan_to_num(np.array(p), nan=-1) for p in parts)
        if all(np.isfinite(p).any() for p in np.array(parts)):
            best = np.isclose(here, here.max(), atol=1e-12)
            rank = rankdata(there.round(12))[best].mean()
            logits.append(np.log(rank / (len(scores) + 1 - rank)))
    return np.array(logits)


@given(st.integers(0, 2**32 - 1), st.sampled_from([4, 6]), st.integers(2, 5), st.booleans())
def test_splits_equal_a_double_loop(seed, blocks, m, tied):
    rng = np.random.default_rng(seed)
    y = (rng.random(41) < 0.4).astype(np.uint8)
    scores = rng.integers(0, 5, (m, 41)) if tied else rng.standard_normal((m, 41))
    actual = overfitting(y, scores, blocks)
    expected = _loop(y, scores.astype(float), blocks)
    assert np.sort(actual.logits) == pytest.approx(np.sort(expected), abs=1e-9)
    if len(expected):
        assert actual.probability.value == pytest.approx((expected <= 1e-9).mean())


def test_counts_of_blocks_give_the_auc_of_any_union():
    rng = np.random.default_rng(0)
    y, score = (rng.random(103) < 0.3).astype(np.uint8), rng.integers(0, 9, 103).astype(float)
    piece = Blocks.of(103).pieces(8)
    won, (positives, negatives) = auc_counts(y, score, piece), class_counts(y, piece)
    assert (positives.sum(), negatives.sum()) == (y.sum(), 103 - y.sum())
    for chosen in ([0, 3], [1, 2, 6], list(range(8))):
        part = _days(103, 8, chosen)
        auc = won[np.ix_(chosen, chosen)].sum() / positives[chosen].sum() / negatives[chosen].sum()
        assert auc == pytest.approx(roc_auc(y[part], score[part]))


def test_without_skill_it_is_one_half_on_average():
    rng, actual = np.random.default_rng(1), []
    for _ in range(60):
        y = (rng.random(320) < 0.25).astype(np.uint8)
        scores = rng.standard_normal((12, 320)) + 0.5 * y
        actual.append(overfitting(y, scores, 8).probability.value)
    assert np.mean(actual) == pytest.approx(0.5, abs=0.08)
    assert 0.1 < np.std(actual) < 0.3


def test_a_better_candidate_is_chosen_and_stays_ahead():
    rng = np.random.default_rng(2)
    y = (rng.random(1600) < 0.25).astype(np.uint8)
    scores = rng.standard_normal((20, 1600)) + 0.5 * y
    scores[7] += 0.6 * y
    actual = overfitting(y, scores)
    assert actual.probability.value < 0.02
    assert (actual.probability.n, actual.candidates, actual.pieces) == (12_870, 20, 16)
    content = actual.to_dict()
    assert content["logit_quantiles"]["0.5"] > 2
    assert content["splits"] == 12_870


def test_means_over_seeds_serve_as_candidates():
    rng = np.random.default_rng(3)
    y = (rng.random(200) < 0.4).astype(np.uint8)
    scores = rng.standard_normal((4, 200))
    piece = Blocks.of(200).pieces(6)
    won = np.array([auc_counts(y, s, piece) for s in scores])
    same = overfitting_of_aucs(won, *class_counts(y, piece))
    assert same.logits == pytest.approx(overfitting(y, scores, 6).logits)
    mean = overfitting_of_aucs(won.reshape(2, 2, 6, 6).mean(axis=1), *class_counts(y, piece))
    assert mean.candidates == 2


def test_which_of_identical_candidates_is_best_is_no_question():
    y = np.tile([0, 1, 1, 0], 20)
    actual = overfitting(y, [np.arange(80.0)] * 3, 4)
    assert (actual.probability.value, actual.probability.n) == (None, 0)
    assert not len(actual.logits)
    pair = overfitting(y, [np.arange(80.0), np.arange(80.0), -np.arange(80.0)], 4)
    assert pair.probability.value is not None


def test_a_class_that_is_missing_leaves_nothing():
    actual = overfitting(np.zeros(40), np.random.default_rng(0).random((3, 40)), 4)
    assert (actual.probability.value, actual.probability.n) == (None, 0)
    assert actual.to_dict()["logit_quantiles"] == {}


def test_series_of_a_panel_stay_in_one_piece():
    """A time that is cut in two would show the same day to both halves."""
    rng = np.random.default_rng(4)
    time = np.repeat(np.arange(40), 3)
    y, scores = (rng.random(120) < 0.4).astype(np.uint8), rng.standard_normal((4, 120))
    order = rng.permutation(120)
    blocks = Blocks.of(120, time=time[order], length=5)
    actual = overfitting(y[order], scores[:, order], 8, blocks)
    whole = _loop(y, scores, 8)  # 15 rows each, so five times
    assert np.sort(actual.logits) == pytest.approx(np.sort(whole))


@given(st.integers(0, 2**32 - 1), st.integers(1, 60))
def test_the_rank_of_the_best_is_that_of_scipy(seed, m):
    rng = np.random.default_rng(seed)
    inside, outside = (rng.integers(0, 4, (7, m)).astype(float) for _ in range(2))
    ranks = rankdata(outside, axis=1)
    expected = [r[row == row.max()].mean() for r, row in zip(ranks, inside, strict=True)]
    assert ranks_of_best(inside, outside) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("candidates", "pieces", "code"),
    [(1, 4, "few"), (2, 5, "range"), (2, 2, "range"), (2, 22, "range")],
)
def test_one_candidate_and_pieces_that_cannot_be_halved_are_refused(candidates, pieces, code):
    with refused(code):
        overfitting([0, 1] * 15, [np.arange(30.0)] * candidates, pieces)


def test_pieces_of_other_units_are_refused():
    piece = Blocks.of(8).pieces(4)
    for call in (lambda: class_counts([0, 1], piece), lambda: auc_counts([0, 1], [1, 2], piece)):
        with refused("length"):
            call()


def test_half_a_piece_is_refused():
    with refused("number"):
        Blocks.of(8).pieces(4.5)
