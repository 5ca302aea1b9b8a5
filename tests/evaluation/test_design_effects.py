"""Effective sample sizes against sums over pairs, and against exact intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from tests.evaluation.cases import dependent_days
from trueness.evaluation import Blocks, Dependence, Residuals, clopper_pearson, of_share
from trueness.evaluation.dependence import INDEPENDENT
from trueness.evaluation.design_effects import GROUPS
from trueness.evaluation.metrics import measure
from trueness.evaluation.resampling import SortedScores


def _by_pairs(y, score, count, blocks):
    """Design effect of alarms, summed over all pairs of units, or that of their own hits."""
    order = np.argsort(-score, kind="stable")
    group = np.empty(len(y), int)
    group[order] = np.arange(len(y)) * GROUPS // len(y)
    rest = y - np.array([y[group == g].mean() for g in range(GROUPS)])[group]
    residuals = Residuals.of(SortedScores.of(y, score), blocks)
    lags = residuals.window.lags
    lag = np.abs(blocks.item[:, None] - blocks.item)
    alarm, total = np.zeros(len(y), bool), 0.0
    alarm[order[:count]] = True
    apart = ~np.eye(len(y), dtype=bool)
    for k in range(len(lags)):
        pairs = (lag == k) & apart
        if pairs.any():
            together = (rest[:, None] * rest)[pairs].mean() / np.square(rest).mean()
            total += lags[k] * (together + 1 / len(y)) * (pairs & np.outer(alarm, alarm)).sum()
    hits = y * alarm
    each = hits - hits.sum() / count * alarm
    smoothed = (hits.sum() + 1) / (count + 2)
    own = residuals.window.variance(blocks.totals(each)) / (count * smoothed * (1 - smoothed))
    return max(1.0, 1 + total / count, own)


@pytest.mark.parametrize("kind", ["days", "panel", "clusters"])
def test_the_effect_is_a_sum_over_pairs_of_alarms(kind):
    rng = np.random.default_rng(3)
    y, score = dependent_days(rng, 240, 1.5)
    blocks = {
        "days": Blocks.of(240, length=6),
        "panel": Blocks.of(240, time=np.arange(240) // 3, length=4),
        "clusters": Blocks.of(240, cluster=rng.integers(0, 60, 240)),
    }[kind]
    residuals = Residuals.of(SortedScores.of(y, score), blocks)
    for count in (5, 40):
        actual = residuals.of_alarms(SortedScores.of(y, score), count, by_rank=False)
        assert actual.effect == pytest.approx(_by_pairs(y, score, count, blocks), rel=1e-6)
        assert actual.blocks == blocks.items / blocks.length


def test_a_cut_by_rank_is_less_certain_than_a_given_one():
    rng = np.random.default_rng(4)
    y, score = dependent_days(rng, 600, 1.5)
    ranked, blocks = SortedScores.of(y, score), Blocks.of(600, length=20)
    residuals = Residuals.of(ranked, blocks)
    given_, ranks = (residuals.of_alarms(ranked, 30, by_rank=b) for b in (False, True))
    assert ranks.effect >= given_.effect >= 1
    alone = Residuals.of(ranked, Blocks.of(600))
    assert alone.of_alarms(ranked, 30, by_rank=False) == INDEPENDENT
    assert alone.of_alarms(ranked, 0, by_rank=True) == INDEPENDENT


def test_independent_units_have_the_exact_interval():
    assert INDEPENDENT.bounds(6, 7, 0.025) == pytest.approx(clopper_pearson(6, 7))
    assert INDEPENDENT.bounds(0, 0, 0.025) == (0.0, 1.0)
    assert INDEPENDENT.effective(30, 0.01) == 30


@given(st.integers(1, 60), st.data(), st.floats(1, 8), st.floats(2, 300))
def test_dependence_widens_intervals(n, data, effect, blocks):
    k = data.draw(st.integers(0, n))
    depends = Dependence(effect, blocks)
    low, high = depends.bounds(k, n, 0.025)
    exact = clopper_pearson(k, n)
    assert 0 <= low <= exact[0] + 1e-12
    assert exact[1] - 1e-12 <= high <= 1
    critical = t.isf(0.025, max(blocks - 1, 1)) / 1.959964
    assert depends.effective(n, 0.025) == pytest.approx(n / effect / critical**2, rel=1e-5)


def test_shares_of_many_units_take_their_own_variance():
    rng = np.random.default_rng(5)
    y = np.repeat(rng.random(200) < 0.3, 5)
    everything = np.ones(1000, bool)
    assert of_share(y, everything, Blocks.of(1000)) == INDEPENDENT
    clusters = of_share(y, everything, Blocks.of(1000, cluster=np.arange(1000) // 5))
    assert clusters.effect == pytest.approx(5, rel=0.05)
    assert of_share(y, ~everything, Blocks.of(1000, length=5)) == INDEPENDENT
    apart = of_share(rng.random(1000) < 0.3, everything, Blocks.of(1000, length=5))
    assert apart.effect < 1.6


def test_further_units_are_worth_as_much_as_those_there_are():
    depends = Dependence(2.0, 30.0)
    more = depends.further(40, 60, 0.05)
    grown = Dependence(2.0, 30.0 * (40 + more) / 40)
    assert grown.effective(40 + more, 0.05) >= 60
    less = Dependence(2.0, 30.0 * (39 + more) / 40)
    assert less.effective(39 + more, 0.05) < 60


@pytest.mark.parametrize(
    "blocks",
    [
        Blocks.of(40, cluster=np.zeros(40)),
        Blocks.of(40, time=np.zeros(40)),
        Blocks.of(40, length=9),
    ],
    ids=["cluster", "time", "blocks"],
)
@pytest.mark.filterwarnings("error")
def test_a_single_item_says_nothing(blocks):
    y, score = np.tile([0, 1], 20), np.random.default_rng(0).standard_normal(40)
    actual = measure(y, score, alarms=(5,), alarm_rate_pct=5.0, confidence=0.95, blocks=blocks)
    for name, one in actual.items():
        assert one.low is None or one.high - one.low > 0.85, name
