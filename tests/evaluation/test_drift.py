"""Drift of columns: what does not matter to it, its error against covariances, Holm's correction."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import toeplitz
from scipy.signal import lfilter
from scipy.stats import t as student_t
from statsmodels.stats.multitest import multipletests

from trueness.evaluation.drift import LEAST_TIMES, Drift, Reference, corrected, drift_of


def _series(seed, n, rho):
    noise = np.random.default_rng(seed).normal(size=n + 300) * np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise)[300:]


def _asked(train, recent, name="a"):
    reference = Reference.of(train, np.arange(len(train)))
    return drift_of(name, reference, recent, np.arange(len(recent)))


@given(seed=st.integers(0, 10**6), rho=st.sampled_from([0.0, 0.5, 0.95]), n=st.integers(1, 80))
@settings(max_examples=30)
def test_only_the_order_of_values_matters(seed, rho, n):
    """Whatever rises with a column drifts as it does; what falls, the other way round."""
    x = _series(seed, 400 + n, rho)
    one = _asked(x[:400], x[400:])
    knots = np.quantile(x[:400], np.linspace(0, 1, 33), method="inverted_cdf")
    y = np.interp(x, knots, knots**3 + knots)  # values between two knots stay where they are
    inside = (x >= knots[0]) & (x <= knots[-1])
    other = _asked(y[:400], np.where(inside, y, x * 1e6)[400:])
    assert other.p == pytest.approx(one.p, rel=1e-6)
    assert other.shift == pytest.approx(one.shift, abs=1e-9)
    assert 0 <= one.p <= 1
    assert one.error >= 0


@given(seed=st.integers(0, 10**6), rho=st.sampled_from([0.0, 0.9]))
@settings(max_examples=20)
def test_a_series_that_stands_twice_says_no_more_than_once(seed, rho):
    """Series of a panel with the same values at each time are one."""
    x, t = _series(seed, 460, rho), np.arange(460)
    once = _asked(x[:400], x[400:])
    reference = Reference.of(np.repeat(x[:400], 3), np.repeat(t[:400], 3))
    thrice = drift_of("a", reference, np.repeat(x[400:], 3), np.repeat(t[:60], 3))
    assert (thrice.n, thrice.error) == (once.n, pytest.approx(once.error, rel=0.02))
    assert thrice.shift == pytest.approx(once.shift, abs=0.02)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("n", [1, 5, 50, 400])
def test_the_error_is_that_of_the_covariances(rho, n):
    """Mean of n after the mean of 4,000: of the whole covariance matrix, less what scores cut off."""
    times = 4000
    weight = np.append(np.full(times, -1 / times), np.full(n, 1 / n))
    lags = rho ** np.arange(times + n, dtype=float) if rho else np.eye(1, times + n)[0]
    first = np.fft.rfft(weight, 4 * times)
    power = np.fft.irfft(np.abs(first) ** 2)[: times + n]
    true = np.sqrt(power[0] * lags[0] + 2 * (power[1:] * lags[1:]).sum())
    small = np.sqrt(weight[-n:] @ toeplitz(lags[:n]) @ weight[-n:])
    assert small <= true * 1.001  # the part of the recent mean alone
    actual = [_asked(_series(seed, times, rho), np.zeros(n)).error for seed in range(8)]
    assert np.mean(actual) == pytest.approx(true, rel=0.15)


@given(seed=st.integers(0, 10**6), moved=st.floats(1.5, 5.0), sign=st.sampled_from([-1, 1]))
@settings(max_examples=20)
def test_a_move_is_seen_in_its_direction(seed, moved, sign):
    x = _series(seed, 1100, 0.2)
    actual = _asked(x[:1000], x[1000:] + sign * moved)
    assert actual.p < 1e-4
    assert np.sign(actual.shift) == sign
    assert abs(actual.shift) > 0.8


@pytest.mark.parametrize(("factor", "least", "most"), [(3.0, 2.0, 4.0), (0.3, 0.2, 0.45)])
def test_a_spread_is_that_of_the_values(factor, least, most):
    x = _series(3, 3000, 0.2)
    actual = _asked(x[:2500], factor * x[2500:])
    assert actual.p < 1e-4
    assert least < actual.spread < most
    assert abs(actual.shift) < 0.3


@pytest.mark.parametrize(("recent", "p"), [(2.0, 1.0), (2.5, 0.0), (1.0, 0.0)])
def test_a_constant_column_drifts_if_it_moves(recent, p):
    assert _asked(np.full(300, 2.0), np.full(20, recent)).p == p


def test_a_flag_is_a_column_as_any_other():
    rng = np.random.default_rng(1)
    flags = (rng.random(1200) < 0.3).astype(float)
    assert _asked(flags[:1000], flags[1000:]).p > 0.01
    assert _asked(flags[:1000], (rng.random(200) < 0.7).astype(float)).p < 1e-4


def test_too_few_times_say_nothing():
    x = _series(0, LEAST_TIMES, 0.0)
    assert Reference.of(x[1:], np.arange(LEAST_TIMES - 1)) is None
    assert Reference.of(np.repeat(x, 9)[: 9 * 50], np.repeat(np.arange(50), 9)) is None
    assert Reference.of(x, np.arange(LEAST_TIMES)) is not None


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=10)
def test_what_is_kept_is_all_that_is_needed(seed, timed):
    x, t = _series(seed, 300, 0.7), np.arange(300)
    one = Reference.of(x[:250], t[:250] if timed else None)
    again = Reference.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one
    assert again.timed == timed
    late = t[:50] if timed else None
    assert drift_of("a", again, x[250:], late) == drift_of("a", one, x[250:], late)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_p_values_are_corrected_as_statsmodels_does(p):
    actual = corrected([Drift(str(i), 9, 0.0, 1.0, 9.0, 1.0, one) for i, one in enumerate(p)])
    assert [one.adjusted for one in actual] == pytest.approx(multipletests(p, method="holm")[1])
    assert [one.name for one in actual] == [str(i) for i in range(len(p))]


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_a_shift_that_is_called_visible_is_found(rho):
    x = _series(5, 2200, rho)
    actual = _asked(x[:2000], x[2000:])
    visible = actual.visible(10)
    tail = student_t.sf(visible / actual.error, actual.freedom)
    assert tail * 2 * 2 * 10 == pytest.approx(0.05)  # two ends, shift and spread, ten columns
