"""How far probabilities can be taken at their word."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import at_least
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import Residuals
from trueness.evaluation.inputs import (
    SMALLEST_PROBABILITY,
    InputError,
    between,
    choice,
    labels_and_probabilities,
)
from trueness.evaluation.resampling import check_size

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Strategy = Literal["uniform", "quantile"]

BINS = 10
"""Bins unless said otherwise."""
GRID = 4096
"""Cells on [0, 1] in which the smooth calibration error is computed."""


def _some(y_true: object, y_prob: object) -> tuple[Array, Array]:
    """`labels_and_probabilities`, at least one."""
    labels, values = labels_and_probabilities(y_true, y_prob)
    if not len(values):
        raise InputError("no examples; at least one is needed", "empty")
    return labels, values


# ------------------------------------------------------------------------------------------ in bins


def bins_of(prob: Array, n_bins: int, strategy: str) -> tuple[Array, Index]:
    """Edges and the bin of each probability."""
    n_bins = at_least("n_bins", n_bins, 1)
    choice("strategy", strategy, get_args(Strategy))
    if strategy == "uniform":
        edges = np.arange(n_bins + 1) / n_bins  # 0.3 is the double that people write
    else:
        edges = (
            np.quantile(prob, np.linspace(0, 1, n_bins + 1)) if len(prob) else np.linspace(0, 1, 2)
        )
        edges = np.unique(edges)
        edges = np.append(edges, edges[-1]) if len(edges) == 1 else edges
    return edges, np.searchsorted(edges[1:-1], prob, side="right")


def reliability_diagram_data(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    n_bins: int = BINS,
    strategy: Strategy = "uniform",
    *,
    bands: float | None = None,
    blocks: Blocks | None = None,
    draws: int = 1000,
    rng: np.random.Generator | int = 0,
) -> dict[str, Array]:
    """Mean prediction and share of positives per bin.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    y_prob : (n,)
        Probabilities in [0, 1].
    n_bins : int
    strategy : {"uniform", "quantile"}
        Bins of equal width on [0, 1], or of equal mass; tied quantiles merge.
    bands : float, optional
        Confidence in (0, 1) of consistency bands: where the share of positives of each bin, taken
        alone, would fall if every probability were true.
    blocks : Blocks, optional
        Units whose labels depend on each other: bands are wider by the root of the design effect.
    draws : int
        Labels drawn per example for the bands.
    rng : numpy Generator or int
        Source of those labels, or its seed.

    Returns
    -------
    dict
        ``edges`` (b + 1,), ``mean_probability``, ``positive_share`` (b,; NaN for empty bins),
        ``count`` (b,); with `bands` also ``band_low``, ``band_high`` (b,).

    Notes
    -----
    Bröcker and Smith, "Increasing the Reliability of Reliability Diagrams" (2007).
    NOTE[DIFF]: they resample the forecasts as well; here the bins keep theirs.

    Examples
    --------
    >>> p, y = np.array([0.1, 0.3, 0.3, 0.9]), np.array([0, 0, 1, 1])
    >>> reliability_diagram_data(y, p, 2)["positive_share"]
    array([0.33333333, 1.        ])
    """
    y, prob = labels_and_probabilities(y_true, y_prob)
    edges, index = bins_of(prob, n_bins, strategy)
    b = len(edges) - 1
    count, mean, share = _bin_means(index, b, prob, y)
    diagram = {"edges": edges, "mean_probability": mean, "positive_share": share, "count": count}
    if bands is not None:
        ends, wider = _consistency(prob, index, b, bands, draws, rng), np.ones(b)
        if blocks is not None:
            wider = np.sqrt(_effects(y, prob, index, b, blocks))
        diagram["band_low"], diagram["band_high"] = (
            np.clip(mean + wider * (end - mean), 0, 1) for end in ends
        )
    return diagram


def _effects(y: Array, prob: Array, index: Index, b: int, blocks: Blocks | None) -> Array:
    """Design effect of the labels of each bin, (b,), around the probabilities."""
    if blocks is None or blocks.alone or not len(y):
        return np.ones(b)
    check_size(blocks, len(y))
    rest = Residuals.around(y - prob, blocks)
    return np.array([rest.effect(index == i) for i in range(b)])


def _bin_means(index: Index, b: int, *values: Array) -> tuple[Array, ...]:
    """Count of each bin, and its mean of each of `values` (n,); NaN for empty bins."""
    count = np.bincount(index, minlength=b).astype(float)
    with np.errstate(invalid="ignore"):
        return count, *(np.bincount(index, v, b) / count for v in values)


def _consistency(
    prob: Array, index: Index, b: int, confidence: float, draws: int, rng: np.random.Generator | int
) -> tuple[Array, Array]:
    """Central range of the shares of labels drawn from the probabilities, (b,) each."""
    between("bands", confidence)
    if not isinstance(rng, np.random.Generator):
        rng = at_least("rng", rng, 0)
    source, shares = np.random.default_rng(rng), np.empty((at_least("draws", draws, 1), b))
    for row in shares:
        label = (source.random(len(prob)) < prob).astype(float)
        row[:] = _bin_means(index, b, label)[1]
    tail = (1 - confidence) / 2
    low, high = (
        np.quantile(shares, q, axis=0, method=how)
        for q, how in ((tail, "lower"), (1 - tail, "higher"))
    )
    return low, high


def expected_calibration_error(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    n_bins: int = BINS,
    strategy: Strategy = "uniform",
    debiased: bool = False,
    blocks: Blocks | None = None,
) -> float:
    """Mean distance between predicted probability and share of positives, in [0, 1].

    Bins are weighted by their counts; without any example it is 0. Naeini, Cooper and Hauskrecht,
    "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    y_prob : (n,)
        Probabilities in [0, 1].
    n_bins : int
    strategy : {"uniform", "quantile"}
        Bins of equal width on [0, 1], or of equal mass.
    debiased : bool
        Chance alone keeps shares away from probabilities. Take the variance of the share,
        ``s (1 - s) / (m - 1)`` in a bin of m, off each squared distance, and return the root of
        their mean, 0 at least: Kumar, Liang and Ma, "Verified Uncertainty Calibration" (2019). It
        is a root mean square, which is at least the mean distance, so a true error may come out
        larger than the plain number; about 0 says that chance explains all of it. A bin of one
        example stays as it is.
    blocks : Blocks, optional
        Units whose labels depend on each other: what is taken off is larger by the design effect.

    Examples
    --------
    >>> p, y = np.array([0.2, 0.2, 0.9, 0.9]), np.array([0, 0, 1, 1])
    >>> expected_calibration_error(y, p)
    0.15
    >>> p, y = np.full(4, 0.375), np.array([0, 1, 0, 1])  # 2 of 4 are as likely as 1.5 of 4
    >>> expected_calibration_error(y, p), expected_calibration_error(y, p, debiased=True)
    (0.125, 0.0)
    """
    y, prob = labels_and_probabilities(y_true, y_prob)
    edges, index = bins_of(prob, n_bins, strategy)
    count, mean, share = _bin_means(index, len(edges) - 1, prob, y)
    gap, n = np.abs(share - mean), max(1, len(prob))
    if debiased:
        effects = _effects(y, prob, index, len(count), blocks)
        variance = effects * share * (1 - share) / np.maximum(count - 1, 1)
        return float(np.sqrt(max(0.0, np.nansum((gap**2 - variance) * count) / n)))
    return float(np.nansum(gap * count) / n)


# ------------------------------------------------------------------------------------- without bins


def smooth_calibration_error(y_true: ArrayLike, y_prob: ArrayLike) -> float:
    """Calibration error of smoothed residuals, in [0, 1]; no bins, and continuous in `prob`.

    Residuals y - p are spread by a Gaussian of width w that is reflected at 0 and 1; their
    absolute mean ``E(w)`` falls with w, and the error is the width with ``E(w) = w``. Błasiok and
    Nakkiran, "Smooth ECE: Principled Reliability Diagrams via Kernel Smoothing" (2023).

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    y_prob : (n,)
        Probabilities in [0, 1].

    Notes
    -----
    The reflected Gaussian damps the cosine of order m by ``exp(-(pi m w)^2 / 2)``, on a grid of
    4,096 cells. Errors below 1/2048 are not resolved: the width stays there.

    Examples
    --------
    >>> round(smooth_calibration_error([0, 1], [0.5, 0.5]), 3)
    0.0
    >>> round(smooth_calibration_error(np.ones(4), np.full(4, 0.3)), 3)  # one-sided: nearly p - y
    0.7
    """
    from scipy.fft import dct, idct

    y, prob = _some(y_true, y_prob)
    waves = dct(_on_grid(prob, (y - prob) / len(prob)))
    order = np.pi * np.arange(GRID)

    def error(width: float) -> float:
        return float(np.abs(idct(waves * np.exp(-((order * width) ** 2) / 2))).sum())

    low, high = 2 / GRID, 1.0
    if error(low) <= low:
        return error(low)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > middle else (low, middle)
    return high


def _on_grid(place: Array, mass: Array) -> Array:
    """Masses at places in [0, 1], shared by the two nearest cell centres; (GRID,)."""
    position = np.clip(place * GRID - 0.5, 0, GRID - 1)
    left = np.minimum(position.astype(np.int64), GRID - 2)
    share = position - left
    lower, upper = (
        np.bincount(left, mass * (1 - share), GRID),
        np.bincount(left, mass * share, GRID),
    )
    return np.asarray(lower + np.roll(upper, 1), np.float64)


def log_losses(y_true: ArrayLike, y_prob: ArrayLike) -> Array:
    """-ln of the probability of what happened, (n,), each clipped to 1e-7 and 1 - 1e-7.

    Examples
    --------
    >>> log_losses([0, 1], [0.5, 0.5]).round(4)
    array([0.6931, 0.6931])
    """
    y, prob = labels_and_probabilities(y_true, y_prob)
    safe = np.clip(prob, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -np.where(y == 1, np.log(safe), np.log1p(-safe))


def brier_decomposition(
    y_true: ArrayLike, y_prob: ArrayLike, n_bins: int | None = None, strategy: Strategy = "uniform"
) -> dict[str, float]:
    """Brier score as reliability - resolution + uncertainty, exactly.

    Murphy, "A New Vector Partition of the Probability Score" (1973). In bins, whose predictions
    differ, two more terms make the sum exact: Stephenson, Coelho and Jolliffe, "Two Extra
    Components in the Brier Score Decomposition" (2008).

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    y_prob : (n,)
        Probabilities in [0, 1].
    n_bins : int, optional
        Without it, examples with equal predictions form a group; with hundreds of distinct
        predictions, reliability and resolution are then mostly noise, and bins say more.
    strategy : {"uniform", "quantile"}

    Returns
    -------
    dict
        ``brier = reliability - resolution + uncertainty + within_variance - within_covariance``;
        the last two are 0 without bins.

    Examples
    --------
    >>> parts = brier_decomposition([0, 0, 0, 1], [0.2, 0.2, 0.8, 0.8])
    >>> {name: round(value, 4) for name, value in parts.items()}
    ... # doctest: +NORMALIZE_WHITESPACE
    {'brier': 0.19, 'reliability': 0.065, 'resolution': 0.0625, 'uncertainty': 0.1875,
     'within_variance': 0.0, 'within_covariance': 0.0}
    """
    y, prob = _some(y_true, y_prob)
    if n_bins is None:
        mean, index = np.unique(prob, return_inverse=True)
        _, share = _bin_means(index, len(mean), y)
    else:
        edges, index = bins_of(prob, n_bins, strategy)
        _, mean, share = _bin_means(index, len(edges) - 1, prob, y)
    f, o, rate = mean[index], share[index], y.mean()
    return {
        "brier": float(np.mean((prob - y) ** 2)),
        "reliability": float(np.mean((f - o) ** 2)),
        "resolution": float(np.mean((o - rate) ** 2)),
        "uncertainty": float(rate * (1 - rate)),
        "within_variance": float(np.mean((prob - f) ** 2)),
        "within_covariance": float(2 * np.mean((prob - f) * (y - o))),
    }
