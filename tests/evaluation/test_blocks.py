"""Resamples of blocks: sums, equal weights of what belongs together, and a loop that draws them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.cases import refused
from trueness.evaluation import blocks as module
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.clusters import cluster_weights


def drawn_one_by_one(n, length, draws, seed, bootstrap):
    """How often each of n days occurs in each draw of a block bootstrap, by its definition."""
    rng, actual = np.random.default_rng(seed), np.zeros((draws, n), int)
    if bootstrap == "circular":
        for row, starts in zip(actual, rng.integers(0, n, (draws, -(-n // length))), strict=True):
            days = [(start + step) % n for start in starts for step in range(length)]
            np.add.at(row, days[:n], 1)
        return actual
    anew, starts = rng.random((draws, n)) < 1 / length, rng.integers(0, n, (draws, n))
    for row, fresh, start in zip(actual, anew, starts, strict=True):
        day = start[0]
        for t in range(n):
            day = start[t] if fresh[t] or t == 0 else (day + 1) % n
            row[day] += 1
    return actual


@given(
    st.integers(1, 70), st.integers(1, 30), st.sampled_from(["circular", "stationary"]),
    st.integers(0, 99),
)  # fmt: skip
def test_units_with_times_of_their_own_are_drawn_in_whole_blocks(n, length, bootstrap, seed):
    plain = Blocks.of(n, length=length)
    weights = plain.weights(7, seed, bootstrap)
    assert (weights[:, 0] == 1).all()
    assert plain.few == (n < 5 * length) == (weights.shape == (n, 1))
    if not plain.few:  # rotations of the same days would look certain
        expected = drawn_one_by_one(n, length, 7, seed, bootstrap)
        np.testing.assert_array_equal(weights[:, 1:].T, expected)
        assert (weights.sum(axis=0) == n).all()


@given(st.integers(5, 60), st.integers(1, 6), st.integers(0, 9))
def test_times_may_come_in_any_order(n, length, seed):
    order = np.random.default_rng(seed).permutation(n)
    times = np.datetime64("2001-01-01") + np.arange(n)
    mixed = Blocks.of(n, time=times[order], length=length)
    plain = Blocks.of(n, length=length)
    np.testing.assert_array_equal(mixed.weights(5), plain.weights(5)[order])
    assert (mixed.items, mixed.count, mixed.few) == (plain.items, plain.count, plain.few)


def panel(seed, n=120, times=30):
    """Times of units, every one of them used."""
    rng = np.random.default_rng(seed)
    return rng, rng.permutation(np.r_[np.arange(times), rng.integers(0, times, n - times)])


@given(st.integers(0, 999), st.integers(1, 6))
def test_rows_of_one_time_are_drawn_together(seed, length):
    _, time = panel(seed)
    actual = Blocks.of(120, time=time, length=length)
    weights = actual.weights(11)
    by_time = Blocks.of(30, length=length).weights(11)
    np.testing.assert_array_equal(weights, by_time[time])
    assert (actual.items, actual.n) == (30, 120)


@given(st.integers(0, 2**31), st.integers(5, 40))
def test_clusters_are_drawn_one_by_one(seed, clusters):
    _, cluster = panel(seed, 100, clusters)
    names = np.array([f"c{i:02d}" for i in cluster])
    actual = Blocks.of(100, cluster=names, length=20)  # without times there is no next one
    weights = actual.weights(9, seed=3)
    expected = np.hstack(list(cluster_weights(clusters, 9, 3)))
    np.testing.assert_array_equal(weights[:, 1:], expected[cluster])
    assert (actual.length, actual.items, actual.few) == (1, clusters, False)


@given(st.integers(0, 2**31), st.integers(1, 5))
def test_clusters_inside_times_keep_the_total_of_each_time(seed, length):
    rng, time = panel(seed)
    cluster = rng.integers(0, 4, 120)
    actual = Blocks.of(120, time=time, cluster=cluster, length=length)
    weights, by_time = actual.weights(13), Blocks.of(30, length=length).weights(13)
    inside = set()
    for t in range(30):
        names = np.unique(cluster[time == t])
        rows = [np.flatnonzero((time == t) & (cluster == c)) for c in names]
        for row in rows:  # units of a cluster stay together
            assert (weights[row] == weights[row[:1]]).all()
        of_clusters = sum(weights[row[0]].astype(int) for row in rows)
        np.testing.assert_array_equal(of_clusters, len(names) * by_time[t].astype(int))
        inside |= {tuple(weights[row[0]]) for row in rows}
    assert len(inside) > 30  # they are drawn anew, not all with their time


def test_clusters_inside_times_are_drawn_as_often_as_each_other():
    time, cluster = np.repeat(np.arange(40), 6), np.tile(np.repeat([0, 1, 2], 2), 40)
    weights = Blocks.of(240, time=time, cluster=cluster).weights(4000)[:, 1:]
    assert weights.mean(axis=1) == pytest.approx(np.ones(240), abs=0.15)


def test_the_same_blocks_draw_the_same_weights_once():
    times = np.datetime64("2001-01-01") + np.arange(50)
    one, other = (Blocks.of(50, time=times, length=2) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one.weights(30) is other.weights(30)
    assert not one.weights(30).flags.writeable
    assert one != Blocks.of(50, time=times, length=3)
    assert one != Blocks.of(50, time=np.arange(50) // 2, length=2)
    assert one != "blocks"


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch):
    panel_ = {"time": np.arange(90) // 3, "cluster": np.arange(90) // 2}
    whole = [Blocks.of(90, length=2, **panel_).weights(40, bootstrap=b)
             for b in ("circular", "stationary")]  # fmt: skip
    monkeypatch.setattr(module, "AT_ONCE", 100)
    module._weights.cache_clear()
    for bootstrap, expected in zip(("circular", "stationary"), whole, strict=True):
        again = Blocks.of(90, length=2, **panel_).weights(40, bootstrap=bootstrap)
        np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("length", [1, 7, 25])
def test_the_stationary_bootstrap_has_geometric_blocks(length):
    kinds = {
        kind: Blocks.of(400, length=length).weights(600, bootstrap=kind)[:, 1:].astype(float)
        for kind in ("circular", "stationary")
    }
    assert kinds["stationary"].mean(axis=1).std() < 0.06  # every day as often as any other
    walk = np.convolve(np.random.default_rng(0).standard_normal(400), np.ones(10), "same")
    spread = {kind: (walk @ weights).std() for kind, weights in kinds.items()}
    assert spread["stationary"] == pytest.approx(spread["circular"], rel=0.25)


def test_a_unit_that_occurs_often_takes_larger_numbers():
    """Three hundred copies of one draw in a row of places."""
    small = module._counts(iter([np.zeros((2, 5), int)]), 5, 2)
    assert (small.dtype, small[:, 1].tolist()) == (np.uint8, [5, 0, 0, 0, 0])
    wide = module._counts(iter([np.ones((1, 3), int), np.zeros((1, 300), int)]), 3, 2)
    assert wide.dtype == np.uint16
    assert wide.tolist() == [[1, 0, 300], [1, 3, 0], [1, 0, 0]]
    both = module._times(wide, np.array([[1, 2, 200]], np.uint8), np.zeros(3, int))
    assert both.tolist() == [[1, 0, 60_000], [1, 6, 0], [1, 0, 0]]
    with refused("large"):
        module._times(wide, np.array([[1, 2, 250]], np.uint8), np.zeros(3, int))


@given(st.integers(4, 90), st.integers(1, 4), st.sampled_from([4, 6, 8]))
def test_pieces_are_consecutive_and_alike(times, per_time, pieces):
    blocks = Blocks.of(times * per_time, time=np.repeat(np.arange(times), per_time))
    if times < pieces:
        with refused("few"):
            blocks.pieces(pieces)
        return
    piece = blocks.pieces(pieces)
    assert (np.diff(piece) >= 0).all()
    assert all(len(set(piece[blocks.time == t])) == 1 for t in range(times))
    sizes = np.bincount(piece[::per_time])
    assert (len(sizes), sizes.max() - sizes.min() <= 1) == (pieces, True)


def test_totals_are_sums_by_time_or_cluster():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    assert Blocks.of(4).totals(values).tolist() == [1, 2, 4, 8]
    assert Blocks.of(4, time=[2, 1, 2, 1]).totals(values).tolist() == [10, 5]
    assert Blocks.of(4, cluster=list("aabb")).totals(values).tolist() == [3, 12]
    assert [Blocks.of(4).alone, Blocks.of(4, time=[1, 1, 2, 3]).alone] == [True, False]
    assert not Blocks.of(4, length=2).alone


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: Blocks.of(0), "number"),
        (lambda: Blocks.of(5, length=0), "number"),
        (lambda: Blocks.of(5, length=1.5), "number"),
        (lambda: Blocks.of(5, time=[1, 2]), "length"),
        (lambda: Blocks.of(2, cluster=[[1], [2]]), "length"),
        (lambda: Blocks.of(2, time=[1.0, np.nan]), "missing"),
        (lambda: Blocks.of(2, time=np.array(["2001-01-01", "NaT"], "M8[D]")), "missing"),
        (lambda: Blocks.of(2, cluster=["a", None]), "missing"),
        (lambda: Blocks.of(9).weights(0), "number"),
        (lambda: Blocks.of(9).weights(9, seed=-1), "number"),
        (lambda: Blocks.of(9).weights(bootstrap="moving"), "choice"),
    ],
)
def test_bad_input_is_refused(call, code):
    with refused(code):
        call()
