"""Macro-F1: the jackknife against leaving out by hand, and its promises on made-up titles."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.evaluation.cases import compare_many, refused
from tests.simulations.titles import alike, falling
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.by_group import group_units
from trueness.evaluation.class_draws import macro_f1_draws, sizes_of
from trueness.evaluation.clusters import numbered
from trueness.evaluation.long_run import Window
from trueness.evaluation.macro_f1 import Cells, macro_f1_jackknife
from trueness.evaluation.simultaneous_groups import lower_bounds, simultaneous_band
from trueness.evaluation.slices import measure_slices

K = 5


def _world(length=1, times=False, n=240):
    rng = np.random.default_rng(0)
    y = rng.choice(K, n, p=falling(K))
    predicted = np.where(rng.random(n) < 0.7, y, rng.integers(0, K, n))
    item, group = rng.integers(0, n // 3, n), rng.choice(["en", "de", "fr"], n, p=[0.6, 0.3, 0.1])
    named = {"time" if times else "cluster": item}
    blocks = Blocks.of(n, length=length, **named)
    groups = group_units(group, n, 40)
    return y, predicted, groups, blocks, Cells.of(y, groups, blocks, K)


def _by_hand(y, predicted, groups, cells, keep):
    """Macro-F1 over the classes that count of the units that are kept, slice by slice."""
    actual = []
    for place, counted in enumerate(cells.counted):
        inside = keep & ((groups.index == place) | (place == len(cells.counted) - 1))
        actual.append(f1_score(
            y[inside], predicted[inside], labels=np.flatnonzero(counted), average="macro",
            zero_division=0,
        ))  # fmt: skip
    return np.array(actual)


@pytest.mark.parametrize("times", [False, True])
def test_deviations_are_those_of_leaving_out_by_hand(times):
    y, predicted, groups, blocks, cells = _world(times=times)
    actual = macro_f1_jackknife(y, predicted, groups, blocks, cells)
    every = np.ones(len(y), bool)
    whole = _by_hand(y, predicted, groups, cells, every)
    np.testing.assert_allclose(actual.value, whole, atol=1e-12)
    share = 1 - 1 / cells.items
    for item in range(0, blocks.items, 7):
        without = _by_hand(y, predicted, groups, cells, blocks.item != item)
        expected = (whole - without) * np.sqrt(share * share[-1])
        np.testing.assert_allclose(actual.deviation.toarray()[:, item], expected, atol=1e-6)


def test_paired_deviations_are_nearly_the_derivative_to_the_weight_of_an_item():
    """With many items; by a numerical derivative of F1 in the weight of one."""
    y, predicted, groups, blocks, cells = _world(n=6000)
    actual = macro_f1_jackknife(y, predicted, groups, blocks, cells, paired=True)

    def value(item, weight):
        weights = np.where(blocks.item == item, weight, 1.0)
        counted = np.flatnonzero(cells.counted[-1])
        return f1_score(y, predicted, labels=counted, average="macro", sample_weight=weights)

    deviation = actual.deviation.toarray()[-1]
    for item in range(20):
        slope = (value(item, 1 + 1e-5) - value(item, 1 - 1e-5)) / 2e-5
        assert deviation[item] == pytest.approx(slope, rel=0.02, abs=1e-6)


def test_paired_deviations_of_a_mean_have_the_unbiased_variance():
    """Recall of one class, all predictions right for the others: hits of n units."""
    y, groups, blocks = np.repeat([0, 1], [12, 500]), group_units(None, 512, 1), Blocks.of(512)
    cells = Cells.of(y, groups, blocks, 2)
    moved = {}
    for paired in (False, True):
        predicted = np.where(np.arange(512) < 3, 1, y)
        actual = macro_f1_jackknife(y, predicted, groups, blocks, cells, paired=paired)
        moved[paired] = np.square(actual.deviation.toarray()[-1, :12])
    ratio = moved[True] / moved[False]
    np.testing.assert_allclose(ratio[3:], 1 - 2 / (12 + 9), rtol=1e-5)
    assert (ratio < 1).all()


@pytest.mark.parametrize(("times", "length"), [(False, 1), (True, 3)])
def test_draws_have_the_variance_of_the_window(times, length):
    y, predicted, groups, blocks, cells = _world(length, times, n=900)
    actual = macro_f1_jackknife(y, predicted, groups, blocks, cells)
    drawn = actual.draws(blocks, 4000)
    expected = np.sqrt(Window.of(blocks).variance(actual.deviation.toarray()))
    np.testing.assert_allclose(drawn.std(axis=1), expected, rtol=0.05)


def test_cells_count_with_five_units_of_two_clusters():
    y = np.repeat([0, 1, 2, 3], [5, 4, 6, 20])
    cluster = np.arange(35)
    cluster[9:15] = 9  # class 2 is one cluster
    groups, blocks = group_units(["en"] * 35, 35, 1), Blocks.of(35, cluster=cluster)
    cells = Cells.of(y, groups, blocks, 5)
    assert cells.counted.tolist() == [[True, False, False, True, False]] * 2
    assert (cells.enough.all(), cells.items.tolist()) == (True, [30, 30])
    alone = Cells.of(y[:9], group_units(["en"] * 9, 9, 1), Blocks.of(9), 5)
    assert alone.counted[0].tolist() == [True, True, False, False, False]
    assert not alone.enough.any()
    # classes 0 and 3 with variances of 1/5 and 1/20, known to 4 and 19 degrees of freedom
    satterthwaite = (1 / 5 + 1 / 20) ** 2 / ((1 / 5) ** 2 / 4 + (1 / 20) ** 2 / 19)
    assert sizes_of(groups, blocks, cells).freedom == pytest.approx((satterthwaite,) * 2)


def test_models_share_their_draws_and_slices_without_enough_have_none():
    y, predicted, groups, blocks, cells = _world()
    actual = macro_f1_draws(y, {"a": predicted, "b": predicted}, groups, blocks, cells, draws=50)
    np.testing.assert_array_equal(actual["a"], actual["b"])
    assert np.isfinite(actual["a"][:, 0]).all()
    assert np.isfinite(actual["a"][:, 1:]).all(axis=1).tolist() == cells.enough.tolist()


@pytest.mark.parametrize("missing", [
    [1.0, np.nan, np.nan], [None, "a", None], np.array(["NaT", "NaT", "2020-01-01"], "M8[D]"),
])  # fmt: skip
def test_missing_clusters_are_refused_and_never_merged(missing):
    with refused("missing"):
        numbered(missing)
    with refused("missing"):
        Blocks.of(3, cluster=missing)


def test_bands_hold_together_and_bounds_have_one_side():
    rng = np.random.default_rng(0)
    scores = np.hstack([np.full((8, 1), 0.8), 0.8 + rng.normal(0, 0.01, (8, 20_000))])
    low, high = simultaneous_band(scores, np.full(8, 1e6), 0.95)
    assert (low < 0.8 - 2.7 * 0.01).all()
    assert (high > 0.8 + 2.5 * 0.01).all()
    still = np.full((2, 11), 1.0)
    assert simultaneous_band(still, np.full(2, 9.0), 0.95)[0].tolist() == [1.0, 1.0]
    assert lower_bounds([], 0.95) == []


# ------------------------------------------------------------------------------------------- promises


def _coverage(world, runs, seed, min_rows=80):
    """Shares of samples in which intervals hold what is true: languages, mean, worst, all texts."""
    rng, held = np.random.default_rng(seed), {}
    truth = world.f1()
    for _ in range(runs):
        y, (predicted,), language, blocks = world.draw(rng)
        k = truth.shape[1]
        actual = measure_slices(
            y, np.eye(k)[predicted], language, blocks, classes=[str(c) for c in range(k)],
            min_rows=min_rows, probabilities=False, draws=400,
        )  # fmt: skip
        groups = group_units(language, len(y), min_rows)
        cells = Cells.of(y, groups, blocks, k)
        true = {
            name: truth[world.names.index(name)][cells.counted[place]].mean()
            for place, name in enumerate(groups.names) if cells.enough[place]
        }  # fmt: skip
        for name, value in true.items():
            _hold(held, "language", actual.groups[name].macro_f1, value)
        _hold(held, "mean", actual.scores["mean_group"], np.mean(list(true.values())))
        _hold(held, "worst", actual.scores["worst_group"], min(true.values()))
    return {name: np.mean(some) for name, some in held.items()}


def _hold(held, name, estimate, truth):
    held.setdefault(name, []).append(estimate.low <= truth <= estimate.high)


def test_intervals_hold_in_a_few_samples():
    held = _coverage(alike([400, 200, 150], 3, k=8), 40, 1)
    assert held["language"] >= 0.9
    assert min(held["mean"], held["worst"]) >= 0.85


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts", "cluster", "k"),
    [([1500, 600, 400, 300, 200, 150], 3, 24), ([150] * 6, 3, 24), ([120] * 6, 1, 24),
     ([300, 300, 300], 6, 24), ([900, 300, 200, 100], 2, 6)],
)  # fmt: skip
def test_intervals_hold_what_they_promise(texts, cluster, k):
    """Basic bootstrap over all classes: 82, 64, 44 % with 300, 150, 100 texts in threes."""
    for name, share in _coverage(alike(texts, cluster, k), 200, 2).items():
        assert share >= 0.92, name


def _false_differences(world, runs, seed):
    """Shares of samples of equal methods in which any differs: mean, worst, a language."""
    rng, wrong = np.random.default_rng(seed), np.zeros(3)
    for _ in range(runs):
        y, predicted, language, blocks = world.draw(rng)
        actual = compare_many(
            y, dict(enumerate(predicted)), language, blocks, reference=0, n_classes=len(world.prior),
            draws=1000,
        )  # fmt: skip
        others = [one for name, one in actual.methods.items() if name]
        contrasts = [
            [one.against["mean_group"] for one in others],
            [one.against["worst_group"] for one in others],
            [contrast for one in others for contrast in one.groups_against.values()],
        ]
        wrong += [any(one.verdict != "tied" for one in some) for some in contrasts]
    return wrong / runs


def test_equal_methods_seldom_differ():
    assert (_false_differences(alike([400, 200, 150], 3, k=8, methods=3), 40, 3) <= 0.15).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts", "cluster", "k"),
    [([1500, 600, 400, 300, 200, 150], 3, 24), ([150] * 6, 3, 24), ([600, 300, 200, 100], 1, 6)],
)
def test_equal_methods_differ_in_five_of_a_hundred_samples(texts, cluster, k):
    """Percentile bootstrap: 9 to 11 %."""
    assert (_false_differences(alike(texts, cluster, k, methods=5), 300, 4) <= 0.085).all()


def _answers(english, lost, lift, runs, seed, target="worst_group"):
    """Shares of samples in which a method is an answer, and lifts; with what they say they need."""
    rng, actual = np.random.default_rng(seed), []
    world = alike([english, *[600] * 5], 2, k=7, methods=2, right=0.85, prior=falling(7, 0.5))
    world.right[:, 1:] -= 0.15
    world.right[1, 1:] += lift
    world.right[1, 0] -= lost
    for _ in range(runs):
        y, predicted, language, blocks = world.draw(rng)
        one = compare_many(
            y, dict(enumerate(predicted)), language, blocks, reference=0, target=target,
            n_classes=7, draws=400,
        )  # fmt: skip
        method = one.methods[1]
        actual.append((
            bool(one.answer), bool(one.lifting), method.majority_degraded == "no",
            one.planned["majority"], one.planned["target"],
        ))  # fmt: skip
    return np.mean(actual, axis=0), world


def test_an_answer_is_reached_with_the_texts_that_the_plan_asks_for():
    (_, _, _, majority, target), _ = _answers(3000, 0.0, 0.0, 3, 5)
    assert 8_000 < majority < 25_000
    assert 300 < target < 3_000
    (answer, lifting, _, again, _), _ = _answers(int(2 * majority), 0.0, 0.1, 10, 6)
    assert again == pytest.approx(majority, rel=0.4)
    assert (answer, lifting) >= (0.7, 0.9)


@pytest.mark.slow
def test_answers_have_the_size_and_the_power_that_they_promise():
    """With a margin of 0.003 on both sides, answers came in 2 % of samples."""
    (_, _, _, majority, _), _ = _answers(3000, 0.0, 0.0, 20, 7)
    (answer, lifting, *_), _ = _answers(int(majority), 0.0, 0.1, 100, 8)
    assert lifting >= 0.95
    assert 0.68 <= answer <= 0.92
    (answer, lifting, *_), world = _answers(20_000, 0.01, 0.1, 150, 9)
    assert (world.f1(0) - world.f1(1))[0].mean() >= 0.0095  # English loses the margin
    assert lifting >= 0.95
    assert answer <= 0.09
