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
    for one, actual in zip(series, window.variance(series), strict=True):
        assert actual == pytest.approx(one @ kernel[lag] @ one, rel=1e-9)
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
    actual = _window(3000, 20).variance(series - series.mean(axis=1, keepdims=True))
    assert actual.mean() == pytest.approx(true, rel=0.2)
    naive = _window(3000, 1).variance(series - series.mean(axis=1, keepdims=True))
    assert naive.mean() < 0.15 * true


def test_draws_have_the_covariances_that_the_kernel_gives():
    rng, window = np.random.default_rng(3), _window(400, 5)
    series = rng.standard_normal((3, 400))
    series[2] = series[0] + 0.1 * series[1]
    drawn = window.draws(window.coloured(window.transform(series)), 40_000)
    kernel = np.fft.irfft(window.spectrum, window.size)
    lag = np.abs(np.arange(400)[:, None] - np.arange(400))
    np.testing.assert_allclose(np.cov(drawn), series @ kernel[lag] @ series.T, rtol=0.05, atol=8)
    again = window.draws(window.coloured(window.transform(series)), 40_000)
    np.testing.assert_array_equal(drawn, again)
    assert (drawn != window.draws(window.coloured(window.transform(series)), 40_000, seed=1)).any()
    np.testing.assert_allclose(drawn[2], drawn[0] + 0.1 * drawn[1], rtol=1e-3, atol=1e-3)


def test_another_kernel_gives_other_products():
    window, one = _window(300, 6), np.zeros(300)
    one[[10, 12]] = 1.0
    kernel = np.zeros(window.width + 1)
    kernel[:3] = 1.0, 0.0, 0.4
    spectrum = window.spectrum_of(kernel)
    assert window.of_products(window.transform(one), spectrum) == pytest.approx(2 * 1.4)


@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_a_series_has_the_same_draws_whatever_stands_beside_it(m, seed):
    rng = np.random.default_rng(seed)
    window = Window.of(Blocks.of(200, length=5))
    coloured = window.coloured(window.transform(rng.normal(size=(m, 200))))
    together, order = window.draws(coloured, 50), rng.permutation(m)
    np.testing.assert_allclose(window.draws(coloured[order], 50), together[order], rtol=1e-5)
    np.testing.assert_allclose(window.draws(coloured[:1], 50), together[:1], rtol=1e-5)
    assert window.draws(coloured[:0], 50).shape == (0, 50)
