"""Calibration measures against hand-made and brute-force numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss

from tests.evaluation.cases import refused, scored
from trueness.evaluation import (
    Blocks,
    brier_decomposition,
    expected_calibration_error,
    reliability_diagram_data,
    smooth_calibration_error,
)
from trueness.evaluation.calibration import log_losses


@given(scored(min_size=1), st.integers(1, 12), st.sampled_from(["uniform", "quantile"]))
def test_calibration_error_equals_a_loop_over_bins(case, n_bins, strategy):
    y, score = case
    prob = expit(score)
    bins = reliability_diagram_data(y, prob, n_bins, strategy)
    assert bins["count"].sum() == len(prob)
    total = 0.0
    edges = bins["edges"]
    for i in range(len(edges) - 1):
        last = i == len(edges) - 2
        inside = (prob >= edges[i]) & ((prob <= edges[i + 1]) if last else (prob < edges[i + 1]))
        if inside.any():
            total += abs(y[inside].mean() - prob[inside].mean()) * inside.sum() / len(prob)
    assert expected_calibration_error(y, prob, n_bins, strategy) == pytest.approx(total, abs=1e-12)


def test_calibration_errors_by_hand():
    p = np.array([0.05, 0.15, 0.15, 0.35, 0.45, 0.95])
    y = np.array([0, 0, 1, 1, 0, 1])
    # two bins of width 1/2: the first holds five days, mean 0.23, share 2/5: distance 0.17;
    # the second one day, 0.95 and 1: 0.05. (5 * 0.17 + 1 * 0.05) / 6 = 0.15
    assert expected_calibration_error(y, p, 2) == pytest.approx(0.15)
    # two bins of equal mass, cut at the median 0.25: means 0.35/3 and 1.75/3, shares 1/3 and 2/3:
    # distances 0.65/3 and 0.25/3, their mean 0.15
    assert expected_calibration_error(y, p, 2, "quantile") == pytest.approx(0.15)
    # debiased: (0.65/3)^2 = 0.0469 and (0.25/3)^2 = 0.0069; the variance of a share 1/3 of three
    # is 1/3 * 2/3 / 2 = 0.1111, larger than both
    assert expected_calibration_error(y, p, 2, "quantile", debiased=True) == 0
    # shares 1/4 and 3/4 of four at 0.9 and 0.1: 0.65^2 - 1/4 * 3/4 / 3 = 0.36, so 0.6 and 0.6
    eight = np.array([1, 1, 1, 0, 0, 0, 0, 1]), np.repeat([0.1, 0.9], 4)
    assert expected_calibration_error(*eight, debiased=True) == pytest.approx(0.6)
    # twenty days at 0.5 of which 16 are positive: sqrt(0.3^2 - 0.8 * 0.2 / 19) = 0.28562
    ones = np.arange(20) < 16
    assert expected_calibration_error(ones, np.full(20, 0.5), debiased=True) == pytest.approx(
        0.285620, abs=1e-6
    )


def test_debiasing_takes_chance_off_and_leaves_the_rest():
    rng = np.random.default_rng(7)
    plain, fair, bent = [], [], []
    for _ in range(200):
        p = rng.random(500)
        y = rng.random(500) < p
        plain.append(expected_calibration_error(y, p))
        fair.append(expected_calibration_error(y, p, debiased=True))
        bent.append(expected_calibration_error(rng.random(500) < p**2, p, debiased=True))
    assert np.mean(fair) < 0.5 * np.mean(plain)
    # the root of the integral of (p - p^2)^2 is sqrt(1/30)
    assert np.mean(bent) == pytest.approx(30**-0.5, abs=0.004)


def naive_smooth_error(p, y):
    """The same by summing reflected Gaussians over a fine grid."""
    grid = (np.arange(2000) + 0.5) / 2000
    images = [p + 2 * k for k in range(-4, 5)] + [-p + 2 * k for k in range(-4, 5)]

    def error(width):
        kernel = sum(norm.pdf(grid[:, None], place, width) for place in images)
        return np.abs(kernel @ (y - p) / len(p)).mean()

    return brentq(lambda w: error(w) - w, 0.004, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_smooth_error_equals_summing_gaussians(seed):
    rng = np.random.default_rng(seed)
    p = np.r_[rng.beta(1 + seed, 3, 40), 0.0, 1.0]
    y = (rng.random(42) < p ** (seed + 1)).astype(int)
    assert smooth_calibration_error(y, p) == pytest.approx(naive_smooth_error(p, y), rel=2e-3)


def test_smooth_error_is_small_for_the_true_and_the_gap_for_the_shifted():
    rng = np.random.default_rng(9)
    p = rng.random(20_000) * 0.6
    y = rng.random(20_000)
    assert smooth_calibration_error(y < p, p) < 0.02
    assert smooth_calibration_error(y < p, p + 0.2) == pytest.approx(0.2, abs=0.015)
    assert smooth_calibration_error([0, 1], [0.0, 1.0]) == 0
    assert smooth_calibration_error([1, 0], [0.0, 1.0]) <= 1
    # continuous: no bin edge to cross
    q = np.full(100, 0.5)
    label = np.arange(100) % 3 == 0
    near = smooth_calibration_error(label, q - 1e-9)
    assert near == pytest.approx(smooth_calibration_error(label, q + 1e-9), abs=1e-6)


@st.composite
def forecasts(draw):
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p = draw(st.sampled_from([rng.random(n), rng.integers(0, 5, n) / 4, np.full(n, 0.3)]))
    return p, rng.integers(0, 2, n)


@given(forecasts(), st.sampled_from([None, 1, 4, 10]), st.sampled_from(["uniform", "quantile"]))
def test_the_parts_of_the_brier_score_add_up(case, n_bins, strategy):
    p, y = case
    parts = brier_decomposition(y, p, n_bins, strategy)
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
    total += parts["within_variance"] - parts["within_covariance"]
    assert parts["brier"] == pytest.approx(brier_score_loss(y, p, pos_label=1), abs=1e-12)
    assert total == pytest.approx(parts["brier"], abs=1e-12)
    if n_bins is None:
        assert parts["within_variance"] == parts["within_covariance"] == 0


@given(forecasts())
def test_measures_lie_in_range_and_log_loss_is_scikit_learns(case):
    p, y = case
    for strategy in ("uniform", "quantile"):
        assert 0 <= expected_calibration_error(y, p, 7, strategy) <= 1
        assert 0 <= expected_calibration_error(y, p, 7, strategy, debiased=True) <= 1
    assert 0 <= smooth_calibration_error(y, p) <= 1
    inside = np.clip(p, 1e-7, 1 - 1e-7)
    expected = log_loss(y, inside, labels=[0, 1])
    assert log_losses(y, p).mean() == pytest.approx(expected, abs=1e-9)


def test_bands_hold_what_they_promise():
    rng = np.random.default_rng(10)
    p = rng.beta(1, 3, 1500)
    inside, bins = 0, 0
    for _ in range(60):
        y = (rng.random(1500) < p).astype(int)
        actual = reliability_diagram_data(y, p, 8, "quantile", bands=0.9, draws=300, rng=rng)
        share = actual["positive_share"]
        inside += ((share >= actual["band_low"]) & (share <= actual["band_high"])).sum()
        bins += len(share)
    assert 0.86 < inside / bins < 0.97  # shares are discrete, so bands are a little wide
    far = reliability_diagram_data(np.ones(1500, int), p, 8, "quantile", bands=0.9)
    assert (far["positive_share"] > far["band_high"]).all()


def test_bands_are_seeded_and_undefined_where_bins_are_empty():
    p, y = np.array([0.1, 0.15, 0.9]), np.array([0, 1, 1])
    assert set(reliability_diagram_data(y, p)) == {
        "edges", "mean_probability", "positive_share", "count",
    }  # fmt: skip
    one, two = (reliability_diagram_data(y, p, 5, bands=0.95, rng=3) for _ in range(2))
    np.testing.assert_array_equal(one["band_high"], two["band_high"])
    assert np.isnan(one["band_low"]).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: brier_decomposition([], []), "empty"),
        (lambda: brier_decomposition([1], [1.5]), "scale"),
        (lambda: brier_decomposition([1], [np.nan]), "scale"),
        (lambda: brier_decomposition([1], ["a"]), "type"),
        (lambda: brier_decomposition([0.3, 0.4], [0, 1]), "labels"),  # the wrong way round
        (lambda: brier_decomposition([1, 0], [0.5]), "length"),
        (lambda: brier_decomposition([1], [0.5], 0), "number"),
        (lambda: smooth_calibration_error([3], [0.5]), "labels"),
        (lambda: log_losses([[1]], [[0.5]]), "dimensions"),
        (lambda: log_losses([1], np.ma.array([0.5], mask=[True])), "dimensions"),
        (lambda: log_losses([2], [0.5]), "labels"),
        (lambda: expected_calibration_error([1], [1.2]), "scale"),
        (lambda: expected_calibration_error([5], [0.1]), "labels"),
        (lambda: expected_calibration_error([1], [0.2], 0), "number"),
        (lambda: expected_calibration_error([1], [0.2], 1.5), "number"),
        (lambda: expected_calibration_error([1], [0.2], float("nan")), "number"),
        (lambda: expected_calibration_error([1], [0.2], "10"), "number"),
        (lambda: reliability_diagram_data([1], [0.5], 3, "log"), "choice"),
        (lambda: reliability_diagram_data([1, 0], [0.5]), "length"),
        (lambda: reliability_diagram_data([1], [0.5], bands=95), "range"),
        (lambda: reliability_diagram_data([1], [0.5], bands=0.9, draws=0), "number"),
        (lambda: reliability_diagram_data([1], [0.5], bands=0.9, draws=1.5), "number"),
        (lambda: reliability_diagram_data([1], [0.5], bands=0.9, rng=-1), "number"),
    ],
)
def test_measures_refuse(call, code):
    with refused(code):
        call()


def test_whole_numbers_may_be_written_as_floats():
    y, p = [0, 1, 1], [0.1, 0.4, 0.8]
    assert expected_calibration_error(y, p, 10.0) == expected_calibration_error(y, p, 10)
    assert expected_calibration_error(np.array([]), np.array([])) == 0.0


def _true_probabilities(rng, n):
    """Labels of any of five days in turbulent months, and the probabilities that they have."""
    level = np.repeat(rng.standard_normal(n // 20 + 1), 20)[: n + 4]
    each = expit(-3 + level)
    p = 1 - np.prod([1 - each[k : k + n] for k in range(5)], axis=0)
    hit = rng.random(n + 4) < each
    return np.any([hit[k : k + n] for k in range(5)], axis=0).astype(np.uint8), p


def test_bands_and_debiased_errors_know_that_labels_overlap():
    rng, outside, plain, errors, naive = np.random.default_rng(7), [], [], [], []
    for _ in range(60):
        y, p = _true_probabilities(rng, 1500)
        blocks = Blocks.of(1500, time=np.arange(1500), length=20)
        for actual, given_blocks in ((outside, blocks), (plain, None)):
            bins = reliability_diagram_data(y, p, 10, "quantile", bands=0.95, draws=200,
                                            blocks=given_blocks)  # fmt: skip
            share = bins["positive_share"]
            actual.append(np.mean((share < bins["band_low"]) | (share > bins["band_high"])))
        for actual, given_blocks in ((errors, blocks), (naive, None)):
            actual.append(expected_calibration_error(
                y, p, 10, "quantile", debiased=True, blocks=given_blocks
            ))  # fmt: skip
    assert np.mean(outside) <= 0.09 < np.mean(plain)
    assert np.mean(np.array(errors) > 0) < 0.6 < np.mean(np.array(naive) > 0)
