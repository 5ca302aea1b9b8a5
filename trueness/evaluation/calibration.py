"""How far probabilities can be taken at their word."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueness.errors import TruenessError

Array = NDArray[np.float64]


def _bins(prob: Array, n_bins: int, strategy: str) -> tuple[Array, NDArray[np.int64]]:
    """Edges and the bin of each probability."""
    if n_bins < 1:
        raise TruenessError(f"n_bins is {n_bins}; at least 1 bin is needed")
    if len(prob) and not (np.isfinite(prob).all() and prob.min() >= 0 and prob.max() <= 1):
        raise TruenessError("probabilities must lie in [0, 1]; apply a sigmoid to logits first")
    if strategy == "uniform":
        edges = np.linspace(0, 1, n_bins + 1)
    elif strategy == "quantile":
        edges = (
            np.quantile(prob, np.linspace(0, 1, n_bins + 1)) if len(prob) else np.linspace(0, 1, 2)
        )
        edges = np.unique(edges)
        edges = np.append(edges, edges[-1]) if len(edges) == 1 else edges
    else:
        raise TruenessError(f"unknown strategy {strategy!r}; choose from uniform, quantile")
    return edges, np.searchsorted(edges[1:-1], prob, side="right")


def reliability_diagram_data(
    prob: Array,
    y: NDArray[np.uint8],
    n_bins: int = 10,
    strategy: Literal["uniform", "quantile"] = "uniform",
) -> dict[str, Array]:
    """Mean prediction and share of positives per bin.

    Parameters
    ----------
    prob : (n,) float64
        Probabilities in [0, 1].
    y : (n,)
        Labels 0 and 1.
    n_bins : int
    strategy : {"uniform", "quantile"}
        Bins of equal width on [0, 1], or of equal mass; tied quantiles merge.

    Returns
    -------
    dict
        ``edges`` (b + 1,), ``mean_probability``, ``positive_share`` (b,; NaN for empty bins),
        ``count`` (b,).
    """
    prob, y = np.asarray(prob, np.float64), np.asarray(y)
    if not np.isin(y, (0, 1)).all():
        raise TruenessError("labels must be 0 or 1")
    if len(prob) != len(y):
        raise TruenessError(f"{len(prob)} probabilities for {len(y)} labels")
    edges, index = _bins(prob, n_bins, strategy)
    b = len(edges) - 1
    count = np.bincount(index, minlength=b).astype(float)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, prob, b) / count
        share = np.bincount(index, y, b) / count
    return {"edges": edges, "mean_probability": mean, "positive_share": share, "count": count}


def expected_calibration_error(
    prob: Array,
    y: NDArray[np.uint8],
    n_bins: int = 10,
    strategy: Literal["uniform", "quantile"] = "uniform",
) -> float:
    """Mean distance between predicted probability and share of positives, in [0, 1].

    Bins are weighted by their counts. Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated
    Probabilities Using Bayesian Binning" (2015).

    Examples
    --------
    >>> expected_calibration_error(np.array([0.2, 0.2, 0.9, 0.9]), np.array([0, 0, 1, 1]))
    0.15
    """
    bins = reliability_diagram_data(prob, y, n_bins, strategy)
    gap = np.abs(bins["positive_share"] - bins["mean_probability"])
    return float(np.nansum(gap * bins["count"]) / max(1, len(prob)))


def weighted_calibration_error(
    prob: Array, y: NDArray[np.uint8], weights: NDArray[np.float32], n_bins: int = 10
) -> Array:
    """Equal-width calibration error under each row of `weights` (draws, n); (draws,)."""
    _, index = _bins(prob, n_bins, "uniform")
    member = (index[:, None] == np.arange(n_bins)).astype(np.float32)
    gap = np.abs(weights @ (member * (y - prob)[:, None].astype(np.float32)))
    return (gap.sum(axis=1) / weights.sum(axis=1)).astype(np.float64)
