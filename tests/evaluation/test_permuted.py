"""Permuted inputs: what is permuted, and what a score loses, against oracles and simulations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.permuted import block_permutation, score_drops

# ------------------------------------------------------------------------------------ permutations


@given(
    n=st.integers(1, 60), length=st.integers(1, 12), seed=st.integers(0, 99),
    series=st.integers(1, 4), within=st.booleans(), timed=st.booleans(),
)  # fmt: skip
def test_every_unit_lends_its_inputs_once(n, length, seed, series, within, timed):
    names = np.random.default_rng(seed).integers(0, series, n)
    actual = block_permutation(
        np.random.default_rng(seed), n, time=np.arange(n) // 2 if timed else None,
        series=names, length=length, within=within,
    )  # fmt: skip
    assert sorted(actual.tolist()) == list(range(n))
    if within and timed:
        assert (names[actual] == names).all()


@given(blocks=st.integers(1, 12), length=st.integers(1, 15), seed=st.integers(0, 99))
def test_neighbours_in_time_stay_neighbours_inside_a_block(blocks, length, seed):
    """Of n times in blocks of one length, at most one step per block is broken, and the turn."""
    n = blocks * length
    actual = block_permutation(np.random.default_rng(seed), n, time=np.arange(n), length=length)
    steps = np.diff(actual) % n
    assert (steps != 1).sum() <= blocks - 1


def test_units_of_one_time_move_together():
    time = np.repeat(np.arange(10), 3)
    actual = block_permutation(np.random.default_rng(1), 30, time=time, length=2)
    assert all(len(set(time[actual[3 * i : 3 * i + 3]])) == 1 for i in range(10))


def test_blocks_do_leave_their_places():
    n, stays = 400, []
    for seed in range(50):
        actual = block_permutation(np.random.default_rng(seed), n, time=np.arange(n), length=20)
        stays.append((actual == np.arange(n)).mean())
    assert np.mean(stays) < 0.02


def test_series_of_a_panel_trade_inputs_only_if_they_may():
    series, time = np.tile([0, 1], 50), np.repeat(np.arange(50), 2)
    mixed = block_permutation(
        np.random.default_rng(0), 100, time=time, series=series, length=5, within=False
    )
    assert 0.2 < (series[mixed] != series).mean() < 0.8


# ------------------------------------------------------------------------------------------- drops


def table(rng, n, informative=1.5):
    """A column that tells, a copy of another one that does, and noise."""
    x = rng.standard_normal((n, 4))
    x[:, 2] = x[:, 1]
    odds = informative * x[:, 0] + x[:, 1] - 1
    return x, (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.uint8)


def dropped(model, x, y, groups, repeats=5, length=1, time=None, alarms=30, seed=0):
    score = model.decision_function(x)
    donors = [block_permutation(np.random.default_rng([seed, r]), len(y), time=time, length=length)
              for r in range(repeats)]  # fmt: skip

    def permuted(group):
        actual = []
        for donor in donors:
            mixed = x.copy()
            mixed[:, group] = x[donor][:, group]
            actual.append(model.decision_function(mixed))
        return np.array(actual)

    blocks = Blocks.of(len(y), time=time, length=length)
    return score_drops(y, score, map(permuted, groups), blocks=blocks, alarms=alarms)


@pytest.mark.parametrize(
    ("measure", "scoring"), [("auc", "roc_auc"), ("average_precision", "average_precision")]
)
def test_drops_are_those_of_scikit_learn_for_independent_rows(measure, scoring):
    rng = np.random.default_rng(5)
    x, y = table(rng, 3000)
    model = LogisticRegression().fit(x[:1000], y[:1000])
    repeats, held = 30, slice(1000, None)
    theirs = permutation_importance(
        model, x[held], y[held], scoring=scoring, n_repeats=repeats, random_state=1
    )
    ours = dropped(model, x[held], y[held], [[i] for i in range(4)], repeats)
    for i, one in enumerate(ours):
        error = np.hypot(theirs.importances_std[i], one.spread[measure]) / repeats**0.5
        apart = abs(one.drops[measure].pointwise.value - theirs.importances_mean[i])
        assert apart < 4 * error + 1e-12, i


def test_values_are_means_over_the_repeats():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 200).astype(np.uint8)
    score, permuted = y + rng.standard_normal(200), rng.standard_normal((3, 200))
    (actual,) = score_drops(y, score, [permuted], blocks=Blocks.of(200), alarms=20)
    for name, measure in {
        "auc": roc_auc_score, "average_precision": average_precision_score,
        "precision": lambda y, s: y[np.argsort(-s)[:20]].mean(),
    }.items():  # fmt: skip
        mean = np.mean([measure(y, one) for one in permuted])
        assert actual.drops[name].pointwise.value == pytest.approx(measure(y, score) - mean)


def test_scores_that_do_not_change_lose_exactly_nothing():
    rng = np.random.default_rng(3)
    y, score = rng.integers(0, 2, 300).astype(np.uint8), rng.standard_normal(300)
    (actual,) = score_drops(y, score, [np.array([score, score])], blocks=Blocks.of(300), alarms=30)
    for drop in actual.drops.values():
        ends = drop.simultaneous.low, drop.simultaneous.value, drop.simultaneous.high
        assert ends == pytest.approx((0, 0, 0), abs=1e-12)
        assert drop.verdict == "tied"


def test_few_units_have_no_intervals():
    y = np.array([0, 1] * 6, np.uint8)
    score = np.arange(12.0)
    (actual,) = score_drops(y, score, [score[None, ::-1]], blocks=Blocks.of(12), alarms=3)
    assert {drop.verdict for drop in actual.drops.values()} == {"unknown"}


def test_scores_that_tie_after_the_permutation_have_no_precision():
    rng = np.random.default_rng(3)
    y, score = rng.integers(0, 2, 300).astype(np.uint8), rng.standard_normal(300)
    (actual,) = score_drops(y, score, [np.zeros((2, 300))], blocks=Blocks.of(300), alarms=30)
    assert actual.drops["precision"].pointwise.value is None
    assert actual.drops["auc"].pointwise.low is not None


def ar(rng, n, phi, k):
    noise = rng.standard_normal((n + 300, k))
    return (lfilter([1], [1, -phi], noise, axis=0) * np.sqrt(1 - phi**2))[300:]


def simulated(seed, informative, n=1400, groups=5, alarms=30):
    """Drops of a model fitted to AR columns, where labels follow a volatility-like latent state."""
    rng = np.random.default_rng(seed)
    x, state = ar(rng, n, 0.95, 2 * groups), ar(rng, n, 0.97, 1)[:, 0]
    latent = state + 0.7 * rng.standard_normal(n) + informative * x[:, 0]
    y = (latent > np.quantile(latent, 0.8)).astype(np.uint8)
    known, held = slice(0, n * 3 // 5), slice(n * 3 // 5, n)
    if min(y[known].sum(), y[held].sum()) < 12:
        return None
    model, pairs = (
        LogisticRegression().fit(x[known], y[known]),
        np.arange(2 * groups).reshape(-1, 2),
    )
    time = np.arange(n - n * 3 // 5)
    return dropped(model, x[held], y[held], pairs.tolist(), 5, 20, time, alarms, seed)


def tallied(informative, repetitions, first=0):
    """Measure and group kind -> (intervals over 0, groups shown to matter, groups)."""
    actual = {}
    for seed in range(first, first + repetitions):
        for i, one in enumerate(simulated(seed, informative) or []):
            for measure, drop in one.drops.items():
                covers = drop.pointwise.low <= 0 <= drop.pointwise.high
                kind = "informative" if informative and i == 0 else "noise"
                a, b, c = actual.get((measure, kind), (0, 0, 0))
                actual[measure, kind] = a + covers, b + (drop.verdict == "better"), c + 1
    return actual


@pytest.mark.slow
@pytest.mark.parametrize("informative", [0.0, 1.0])
def test_noise_is_covered_and_seldom_shown_to_matter(informative):
    actual = tallied(informative, 120)
    for measure in ("precision", "auc", "average_precision"):
        covered, shown, n = actual[measure, "noise"]
        assert covered / n >= 0.92, measure
        assert shown / n <= 0.06, measure
    if informative:
        covered, shown, n = actual["auc", "informative"]
        assert shown / n > 0.5


def test_a_small_simulation_tells_planted_columns_from_noise():
    actual = tallied(1.0, 25, first=500)
    covered, shown, n = actual["auc", "noise"]
    assert covered / n >= 0.88
    assert shown / n <= 0.06
    assert actual["auc", "informative"][1] / actual["auc", "informative"][2] > 0.4
    assert actual["precision", "noise"][1] <= 2


def test_naive_blocks_would_fail_the_same_simulation():
    """Permuting single days instead of blocks, with intervals for independent days, is too sure."""
    too_sure = 0
    for seed in range(25):
        rng = np.random.default_rng(seed)
        x, state = ar(rng, 800, 0.98, 2), ar(rng, 800, 0.98, 1)[:, 0]
        y = (state > np.quantile(state, 0.75)).astype(np.uint8)
        if min(y[:400].sum(), y[400:].sum()) < 12:
            continue
        model = LogisticRegression().fit(x[:400], y[:400])
        for one in dropped(model, x[400:], y[400:], [[0], [1]], 5):
            drop = one.drops["auc"].pointwise
            too_sure += not drop.low <= 0 <= drop.high
    assert too_sure > 5
