"""Long-run variances against sums over pairs, and against what simulated series vary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from trueness.evaluation import Blocks
from trueness.evaluation.long_run import Window


def _window(items, length):
    return Window.of(Blocks.of(items, length=length))


@given(st.integers(2, 400), st.integers(1, 40))
def test_the_kernel_is_flat_then_falls_to_zero(items, length):
    window = _window(items, length)
    assert 0 <= window.flat < window.width
    assert window.lags[0] == 1
    assert window.lags[-1] == 0
    assert (np.diff(window.lags) <= 0).all()
    assert window.width == 1 if length == 1 else window.width <= max(1, items // 5)
    assert 0 < window.freedom <= items * (1 + 1e-9)
    assert (window.spectrum >= 0).all()


def test_a_variance_is_a_weighted_sum_over_pairs_of_items():
    """By the kernel whose spectrum is clipped and corrected for the mean."""
    rng, window = np.random.default_rng(0), _window(300, 6)
    series = rng.standard_normal((3, 300))
    kernel = np.fft.irfft(window.spectrum, window.size)
    lag = np.abs(np.arange(300)[:, None] - np.arange(300))
    for one, found in zip(series, window.variance(series), strict=True):
        assert found == pytest.approx(one @ kernel[lag] @ one, rel=1e-9)
    assert window.variance(np.zeros(300)) == 0


def test_independent_items_have_the_sum_of_their_squares():
    rng = np.random.default_rng(1)
    series = rng.standard_normal((200, 500))
    series -= series.mean(axis=1, keepdims=True)
    alone = _window(500, 1)
    np.testing.assert_allclose(
        alone.variance(series), np.square(series).sum(axis=1) * 500 / 499, rtol=1e-9
    )
    assert alone.freedom == pytest.approx(500)
    assert 500 < _window(500, 20).variance(series).mean() < 1.25 * 500


def test_the_variance_of_sums_of_an_autoregression_is_found():
    rng = np.random.default_rng(2)
    series = lfilter([1], [1, -0.9], rng.standard_normal((400, 3500)), axis=1)[:, 500:]
    true = series.sum(axis=1).var()
    found = _window(3000, 20).variance(series - series.mean(axis=1, keepdims=True))
    assert found.mean() == pytest.approx(true, rel=0.2)
    naive = _window(3000, 1).variance(series - series.mean(axis=1, keepdims=True))
    assert naive.mean() < 0.15 * true


def test_multipliers_have_the_kernel_as_their_covariance():
    window = _window(400, 5)
    drawn = window.multipliers(4000)
    assert drawn.shape == (400, 4000)
    covariance = np.cov(drawn.astype(float))
    kernel = np.fft.irfft(window.spectrum, window.size)
    for lag in (0, 5, 12, 20, 60):
        assert np.diagonal(covariance, lag).mean() == pytest.approx(kernel[lag], abs=0.02)
    np.testing.assert_array_equal(drawn, window.multipliers(4000))
    assert (drawn != window.multipliers(4000, seed=1)).any()
    with pytest.raises(ValueError, match="read-only"):
        drawn[0, 0] = 1.0
