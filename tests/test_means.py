"""Means over some units: as textbooks say for independent ones, wider where units come in runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.means import LEAST, masked_mean


def runs(n, starts, length):
    mask = np.zeros(n, bool)
    for start in starts:
        mask[start : start + length] = True
    return mask


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(30, 300))
def test_independent_units_have_nearly_the_interval_of_the_textbook(seed, alarms):
    rng = np.random.default_rng(seed)
    values, mask = rng.normal(0.4, 2, 3000), np.zeros(3000, bool)
    mask[rng.choice(3000, alarms, replace=False)] = True
    actual = masked_mean(values, mask, Blocks.of(3000, time=np.arange(3000), length=20))
    got, oracle = actual.estimate(0.95), ttest_1samp(values[mask], 0).confidence_interval(0.95)
    assert got.value == pytest.approx(values[mask].mean())
    assert 0.85 < (got.high - got.low) / (oracle.high - oracle.low) < 2.2


def test_runs_have_a_small_effective_size_where_values_last_and_as_much_where_they_do_not():
    rng = np.random.default_rng(1)
    spread, packed = runs(3000, range(50, 3000, 100), 1), runs(3000, (100, 1100, 2100), 10)
    blocks = Blocks.of(3000, time=np.arange(3000), length=20)
    lasting, white = np.repeat(rng.normal(size=150), 20), rng.normal(size=3000)
    assert (
        masked_mean(lasting, packed, blocks).effective
        < 8
        < 25
        < masked_mean(lasting, spread, blocks).effective
    )
    assert masked_mean(white, packed, blocks).effective > 15


def test_one_run_of_lasting_values_has_no_interval():
    values = np.repeat(np.random.default_rng(2).normal(size=100), 20)
    actual = masked_mean(
        values, runs(2000, (500,), 15), Blocks.of(2000, time=np.arange(2000), length=20)
    )
    estimate = actual.estimate(0.95)
    assert actual.few
    assert actual.effective < LEAST
    assert (estimate.low, estimate.high) == (None, None)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 50), st.floats(-9, 9))
def test_scale_and_shift_and_difference(seed, scale, shift):
    rng = np.random.default_rng(seed)
    values, some, blocks = (
        rng.normal(size=800),
        rng.random(800) < 0.1,
        Blocks.of(800, time=np.arange(800), length=10),
    )
    every = np.ones(800, bool)
    one = masked_mean(values, some, blocks).estimate(0.9)
    moved = masked_mean(scale * values + shift, some, blocks).estimate(0.9)
    np.testing.assert_allclose(
        [moved.value, moved.low, moved.high],
        [scale * one.value + shift, scale * one.low + shift, scale * one.high + shift],
        rtol=1e-6,
        atol=1e-6,
    )
    lead = masked_mean(values, some, blocks).minus(masked_mean(values, every, blocks))
    assert lead.estimate(0.9).value == pytest.approx(values[some].mean() - values.mean())
    assert (
        masked_mean(values, some, blocks)
        .minus(masked_mean(values, some, blocks))
        .estimate(0.9)
        .high
        == 0
    )
