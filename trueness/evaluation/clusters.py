"""Rows that come in clusters: resamples of whole clusters, and exact shares that know of them.

Offers of one product, or translations of one description, say less than as many separate texts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import stdtrit

from trueness.errors import at_least
from trueness.evaluation.inputs import InputError, check_confidence
from trueness.evaluation.intervals import exact_tails

Array = NDArray[np.float64]
Index = NDArray[np.int64]
WEIGHTS_AT_ONCE, DRAWS_AT_ONCE = 4_000_000, 1000
"""Clusters times draws, and draws, that are held in memory."""


def numbered(values: object, name: str = "clusters") -> tuple[Index, int]:
    """Clusters (or times) renumbered from 0 by rising value, (n,), and how many there are.

    Missing ones are refused: units of which nobody knows the cluster are not of one cluster.

    Raises
    ------
    InputError
        With the code ``missing``.
    """
    every = np.asarray(values)
    try:
        nothing = every.dtype == object and any(v is None for v in every.tolist())
        if not nothing and not (every != every).any():
            distinct, index = np.unique(every, return_inverse=True)
            return index.astype(np.int64), len(distinct)
    except TypeError:
        pass
    raise InputError(f"{name} must be comparable, none of them missing", "missing")


def cluster_weights(clusters: int, draws: int, seed: int = 0) -> Iterator[Array]:
    """How often each cluster occurs in each draw of as many clusters with replacement.

    The same arguments give the same draws, so statistics of several models are paired.

    Parameters
    ----------
    clusters, draws, seed : int

    Yields
    ------
    (clusters, b) float64
        Some of the draws at a time; columns sum to `clusters`.

    Examples
    --------
    >>> next(cluster_weights(5, draws=3)).sum(axis=0)
    array([5., 5., 5.])
    """
    clusters, draws = at_least("clusters", clusters, 1), at_least("draws", draws, 1)
    rng, done = np.random.default_rng(at_least("seed", seed, 0)), 0
    while done < draws:
        b = min(draws - done, DRAWS_AT_ONCE, max(1, WEIGHTS_AT_ONCE // clusters))
        drawn = rng.integers(0, clusters, (b, clusters)) * b + np.arange(b)[:, None]
        yield np.bincount(drawn.ravel(), minlength=clusters * b).reshape(clusters, b).astype(float)
        done += b


def by_cluster(
    row: Index, column: Index, value: Array | float, cluster: Index, shape: tuple[int, int]
) -> csr_array:
    """Contributions of rows to columns, summed inside clusters.

    Parameters
    ----------
    row, column : (m,)
        Which row of the data contributes to which column.
    value : (m,) or float
    cluster : (n,)
        Cluster of each row, from 0.
    shape : (int, int)
        Columns and clusters.

    Returns
    -------
    (columns, clusters) sparse
        Times weights of clusters it gives the sums of the columns.
    """
    values = np.broadcast_to(np.asarray(value, np.float64), row.shape)
    return csr_array((values, (column, cluster[row])), shape=shape)


def basic_interval(
    value: float, draws: Array, confidence: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[float | None, float | None]:
    """Basic bootstrap interval, ``2 v - q``, around v, in the range that the statistic can have.

    Davison and Hinkley, "Bootstrap Methods and their Application" (1997). A class with a single
    row is missing from a third of the draws, so a macro-F1 of draws lies below that of the data by
    about as much as the latter lies below the truth; the percentile interval has that error twice,
    this one takes it off. Where it would leave out v itself, it is widened to v. None if the draws
    do not move, which says nothing about chance.

    Parameters
    ----------
    value : float
        Of the data.
    draws : (draws,)
    confidence : float
        In (0, 1).
    bounds : (float, float)
        Smallest and largest possible value.

    Examples
    --------
    >>> low, high = basic_interval(0.5, np.linspace(0.3, 0.6, 101), 0.9)
    >>> round(low, 3), round(high, 3)
    (0.415, 0.685)
    """
    check_confidence(confidence)
    if not np.isfinite(value) or not np.isfinite(draws).all() or np.ptp(draws) == 0:
        return None, None
    tail = (1 - confidence) / 2
    high, low = 2 * value - np.quantile(draws, [tail, 1 - tail])
    low, high = min(low, value), max(high, value)
    return float(max(bounds[0], low)), float(min(bounds[1], high))


def basic_length(
    value: float, draws: Array, confidence: float, most: float = 1.0
) -> tuple[float, float | None, float | None]:
    """Value and basic interval of a length, which noise makes larger: on the scale of its square.

    Noise of variance s² adds about s² to the square of a length, such as a calibration error, and
    about 2 s² to that of a draw, so ``2 v² - mean of squared draws`` is free of it. The interval is
    `basic_interval` of squares, which reaches the value of the data at least.

    Parameters
    ----------
    value : float
        Of the data, at least 0.
    draws : (draws,)
    confidence : float
        In (0, 1).
    most : float
        Largest possible value.

    Returns
    -------
    value, low, high : float
        The value less the bias that draws show; as it is where there is no interval.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 0.03, (9999, 2))
    >>> value, low, high = basic_length(0.05, np.hypot(0.05 + noise[:, 0], noise[:, 1]), 0.95)
    >>> round(value, 2), round(low, 2), round(high, 2)
    (0.03, 0.0, 0.07)
    """
    bounds = (0.0, most**2)
    low, high = basic_interval(value**2, draws**2, confidence, bounds)
    if low is None or high is None:
        return value, None, None
    less = float(np.clip(2 * value**2 - (draws**2).mean(), *bounds))
    return less**0.5, low**0.5, high**0.5


def effective_clusters(cluster: NDArray[np.int64]) -> float:
    """Clusters of equal size that say as much; Kish, "Survey Sampling" (1965). 0 without units.

    Examples
    --------
    >>> effective_clusters(np.array([0, 1, 2, 2])), effective_clusters(np.array([], int))
    (2.6666666666666665, 0.0)
    """
    sizes = np.unique(cluster, return_counts=True)[1]
    return float(sizes.sum() ** 2 / max((sizes**2).sum(), 1))


def clustered_shares(
    hit: NDArray[np.bool_], cell: Index, cluster: Index, cells: int, confidence: float = 0.95
) -> tuple[Index, Index, Array, Array]:
    """Hits, trials and exact intervals of many shares whose trials come in clusters.

    The interval is that of Clopper and Pearson (1934) for as many independent trials as the
    clustered ones are worth: their number over the design effect, corrected for few clusters. Korn
    and Graubard, "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data" (1998). Where each trial is its own cluster it is the exact
    interval. A bootstrap would give 5 hits of 5 no interval at all.

    NOTE[DIFF]: one more cluster, of typical size and with the rarer outcome, enters the design
    effect, so that shares of 0 and 1 have one too; clusters count by Kish's effective number.

    Parameters
    ----------
    hit : (n,) bool
    cell : (n,) int
        Which share each trial belongs to.
    cluster : (n,) int
    cells : int
        Number of shares.
    confidence : float
        In (0, 1).

    Returns
    -------
    hits, trials : (cells,) int64
    low, high : (cells,) float64
        0 and 1 for no trials.

    Examples
    --------
    >>> hit, cell = np.ones(8, bool), np.zeros(8, int)
    >>> [side.round(3).tolist() for side in clustered_shares(hit, cell, np.arange(8), 1)]
    [[8], [8], [0.631], [1.0]]
    >>> [side.round(3).tolist() for side in clustered_shares(hit, cell, np.arange(8) // 2, 1)]
    [[8], [8], [0.188], [1.0]]
    """
    check_confidence(confidence)
    index, count = numbered(cluster)
    pairs, pair = np.unique(cell * np.int64(count) + index, return_inverse=True)
    n, k = np.bincount(pair), np.bincount(pair, hit)
    of = pairs // count

    def total(values: Array | Index) -> Array:
        return np.bincount(of, values, cells).astype(np.float64)

    trials, hits = total(n), total(k)
    sizes = _effective_sizes(trials, hits, (total(k * k), total(k * n), total(n * n)), confidence)
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = exact_tails(hits / trials * sizes, sizes, (1 - confidence) / 2)
    return hits.astype(np.int64), trials.astype(np.int64), low, high


def _effective_sizes(
    trials: Array, hits: Array, squares: tuple[Array, Array, Array], confidence: float
) -> Array:
    """Independent trials that clustered ones are worth; `squares` sum kk, kn and nn of clusters."""
    kk, kn, nn = squares
    with np.errstate(invalid="ignore", divide="ignore"):
        size = nn / trials
        often = hits > trials / 2
        share = np.where(often, hits, hits + size) / (trials + size)
        added = size * np.where(often, share, 1 - share)
        spread = kk - 2 * share * kn + share**2 * nn + added**2
        effect = np.fmax(1.0, spread / ((trials + size) * share * (1 - share)))
        tail = (1 - confidence) / 2
        alone, few = (stdtrit(np.fmax(1.0, m - 1), tail) for m in (trials, trials / size))
        return trials / effect * (alone / few) ** 2
