"""Confident learning: against its definition, on planted noise, and what its intervals promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from trueness.evaluation.inputs import InputError
from trueness.evaluation.label_noise import LabelNoise, noise_in_clusters


def by_hand(y, p):
    """Confident class of each row as Northcutt, Jiang and Chuang (2021) define it."""
    k = p.shape[1]
    thresholds = [p[y == j, j].mean() if (y == j).any() else np.inf for j in range(k)]
    actual = []
    for row in p:
        reached = [j for j in range(k) if row[j] >= thresholds[j] - 1e-12]
        actual.append(max(reached, key=lambda j: (row[j], -j)) if reached else -1)
    return np.array(actual)


labels = st.integers(2, 5).flatmap(lambda k: st.tuples(
    st.just(k), hn.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, k - 1)),
    st.integers(0, 2**31)))  # fmt: skip


@given(labels)
def test_it_is_what_the_definition_says(drawn):
    k, y, seed = drawn
    p = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), len(y))
    actual = LabelNoise.of(y, p)
    confident = by_hand(y, p)
    np.testing.assert_array_equal(actual.confident, confident)
    np.testing.assert_array_equal(actual.suspect, (confident >= 0) & (confident != y))
    assert actual.joint.sum() == (confident >= 0).sum()
    ranked = actual.ranked()
    assert set(ranked) == set(np.flatnonzero(actual.suspect))
    assert (np.diff(actual.margin[ranked]) <= 0).all()
    assert (actual.suggested != y).all()
    assert 0 <= actual.number <= len(y)


def sure(y, k, seed, right=0.95):
    """Probabilities of a model that knows the true class of nearly every row."""
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(len(y)) < right, y, rng.integers(0, k, len(y)))
    return 0.1 * rng.dirichlet(np.ones(k), len(y)) + 0.9 * np.eye(k)[said]


def test_planted_labels_are_found():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 6, 4000)
    wrong = rng.random(4000) < 0.05
    y = np.where(wrong, (true + rng.integers(1, 6, 4000)) % 6, true)
    actual = LabelNoise.of(y, sure(true, 6, 1, 1.0))
    np.testing.assert_array_equal(actual.suspect, wrong)
    np.testing.assert_array_equal(actual.suggested[wrong], true[wrong])
    assert actual.number == pytest.approx(wrong.sum(), abs=3)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
def test_intervals_cover_the_noise_where_the_model_is_right(noise):
    """The promise: of further rows like these, of which the model knows the class."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cluster = np.arange(600) // 2  # labels of a cluster are wrong together
        true, wrong = rng.integers(0, 4, 300)[cluster], (rng.random(300) < noise)[cluster]
        y = np.where(wrong, (true + 1) % 4, true)
        (one,) = LabelNoise.of(y, sure(true, 4, seed, 1.0)).shares(np.zeros(600, int), cluster, 1)
        covered += one.low <= noise <= one.high
    assert covered / 200 >= 0.93


def test_what_the_model_is_wrong_about_is_counted_as_noise():
    """The limit of the promise: without any noise, errors of the model are the estimate."""
    true = np.random.default_rng(0).integers(0, 4, 4000)
    (one,) = LabelNoise.of(true, sure(true, 4, 1, 0.9)).shares(
        np.zeros(4000, int), np.arange(4000), 1)  # fmt: skip
    assert one.low > 0.05


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.1])
def test_clusters_tell_the_noise_of_single_rows(noise):
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        cluster = np.repeat(np.arange(400), rng.choice(4, 400, p=[0.5, 0.3, 0.1, 0.1]) + 1)
        true = rng.integers(0, 8, 400)[cluster]
        wrong = rng.random(len(true)) < noise
        y = np.where(wrong, (true + rng.integers(1, 8, len(true))) % 8, true)
        one = noise_in_clusters(y, cluster).noise
        covered += one.low <= noise <= one.high
    assert covered / 300 >= 0.93


def test_labels_that_are_wrong_for_a_whole_cluster_are_not_seen():
    cluster = np.arange(900) // 3
    wrong = (np.random.default_rng(0).random(300) < 0.1)[cluster]
    actual = noise_in_clusters(np.where(wrong, 1, 0), cluster)
    assert (actual.pairs, actual.disagreeing, actual.noise.value) == (600, 0, 0.0)
    assert noise_in_clusters([0, 1], [5, 6]).noise.value is None


def test_shares_are_those_of_each_slice():
    y = np.array([0, 0, 0, 1, 1, 1])
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.2, 0.8], [0.4, 0.6]])
    one, other, none = LabelNoise.of(y, p).shares([0, 0, 0, 1, 1, 1], np.arange(6), 3)
    assert (one.k, one.n) == (1, 3)
    assert (other.k, other.n) == (0, 2)
    assert (none.k, none.n, none.value) == (0, 0, None)


@pytest.mark.parametrize(("y", "p", "code"), [
    ([0, 1], [[1, 0]], "shape"), ([0], [1, 0], "shape"), ([2], [[0.5, 0.5]], "range"),
    ([-1], [[0.5, 0.5]], "range"), ([0], [[np.nan, 1]], "range"), ([0], [[2, -1]], "range"),
])  # fmt: skip
def test_what_is_no_probability_is_refused(y, p, code):
    with pytest.raises(InputError) as error:
        LabelNoise.of(y, p)
    assert error.value.code == code
