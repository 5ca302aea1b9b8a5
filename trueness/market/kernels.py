"""Compiled sliding-window measures of complexity, (L,) -> (L,).

Row t is computed from ``x[t - n + 1 .. t]`` alone; the first n - 1 rows are NaN, and so is a row
whose measure does not exist. Give C-contiguous float64 without gaps. `trueness.compiling` says
how kernels are compiled. Compiled and interpreted they give the same bits: sums go from the first
value to the last, logarithms and powers are taken of one number at a time, squares are products.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import compiled

Array = NDArray[np.float64]

MFDFA_SCALES = np.array([4, 5, 7, 10, 15])  # 5 log-spaced points 4..15, truncated to integers
MFDFA_POWERS = np.array([-5.0, -3.0, -1.0, 1.0, 3.0, 5.0])
DFA_SCALES = np.array([4, 5, 6, 7, 8, 9])  # nolds' choice for 11 to 70 values


@compiled
def total(x: Array) -> float:
    """Sum of (k,) values, from the first to the last."""
    out = 0.0
    for value in x:
        out += value
    return out


@compiled
def variance(x: Array) -> float:
    """Population variance of (k,) values, k >= 1."""
    level, out = total(x) / len(x), 0.0
    for value in x:
        out += (value - level) * (value - level)
    return out / len(x)


@compiled
def _log(x: float) -> float:
    """Natural logarithm of x >= 0; -inf of 0."""
    return -np.inf if x == 0 else math.log(x)


@compiled
def _logs(x: Array) -> Array:
    """Natural logarithms of (k,) values >= 0."""
    out = np.empty(len(x))
    for i in range(len(x)):
        out[i] = _log(x[i])
    return out


@compiled
def _slope(x: Array, y: Array) -> float:
    """Slope of the least-squares line through (x, y), both (k,); NaN below two points."""
    if len(x) < 2:
        return np.nan
    middle, level, top, bottom = total(x) / len(x), total(y) / len(y), 0.0, 0.0
    for i in range(len(x)):
        top += (x[i] - middle) * (y[i] - level)
        bottom += (x[i] - middle) * (x[i] - middle)
    return top / bottom


@compiled
def _detrended_variance(y: Array) -> float:
    """Mean squared residual of the least-squares line through (s,) equally spaced values."""
    size = len(y)
    middle, level, slope, square, rest = (size - 1) / 2, total(y) / size, 0.0, 0.0, 0.0
    for i in range(size):
        slope += (i - middle) * (y[i] - level)
        square += (i - middle) * (i - middle)
    slope /= square
    for i in range(size):
        off = y[i] - level - slope * (i - middle)
        rest += off * off
    return rest / size


@compiled
def _orbit_distances(window: Array, length: int) -> Array:
    """Euclidean distances between all runs of `length` values, lag 1: (n,) -> (m, m)."""
    m = len(window) - length + 1
    out = np.zeros((m, m))
    for i in range(m):
        for j in range(i + 1, m):
            square = 0.0
            for k in range(length):
                step = window[i + k] - window[j + k]
                square += step * step
            out[i, j] = out[j, i] = math.sqrt(square)
    return out


# ------------------------------------------------------------------------------------------ entropy


@compiled
def permutation_entropy(x: Array, n: int, order: int) -> Array:
    """Entropy of the ordinal patterns of `order` consecutive values, over ln(order!), in [0, 1].

    Ties rank by position. Equal pattern counts give bit-equal values. Bandt and Pompe, "Permutation
    entropy: a natural complexity measure for time series" (2002).

    Parameters
    ----------
    x : (L,) float64
    n, order : int
        Window, n >= order >= 2.

    Returns
    -------
    (L,) float64
    """
    patterns, size = n - order + 1, math.gamma(order + 1.0)
    code = np.zeros(len(x), np.int64)  # of the pattern that starts here: its Lehmer number
    for t in range(len(x) - order + 1):
        for j in range(order):
            smaller = 0
            for i in range(j + 1, order):
                smaller += x[t + i] < x[t + j]
            code[t] = code[t] * (order - j) + smaller
    share = np.arange(patterns + 1) / patterns
    term = -share * _logs(np.where(share > 0, share, 1.0))
    out = np.full(len(x), np.nan)
    for t in range(n - 1, len(x)):
        count, alike = np.zeros(round(size), np.int64), np.zeros(patterns + 1)
        for i in range(t - n + 1, t - order + 2):
            count[code[i]] += 1
        for c in count:
            alike[c] += 1
        out[t] = total(alike * term) / math.log(size)
    return out


@compiled
def sample_entropy(x: Array, n: int) -> Array:
    """Sample entropy of order 2: ``-ln(A / B)`` over the first n - 2 templates of length 3 and 2.

    Chebyshev distance strictly below 0.2 population standard deviations, no self-match; NaN where A
    or B is 0. Richman and Moorman, "Physiological time-series analysis using approximate entropy
    and sample entropy" (2000).

    Parameters
    ----------
    x : (L,) float64
    n : int
        Window, n >= 4.

    Returns
    -------
    (L,) float64
    """
    out = np.full(len(x), np.nan)
    for t in range(n - 1, len(x)):
        w = x[t - n + 1 : t + 1]
        tolerance, short, long = 0.2 * math.sqrt(variance(w)), 0, 0
        for i in range(n - 2):
            for j in range(i + 1, n - 2):
                if abs(w[i] - w[j]) < tolerance and abs(w[i + 1] - w[j + 1]) < tolerance:
                    short += 1
                    long += abs(w[i + 2] - w[j + 2]) < tolerance
        if long > 0:
            out[t] = -math.log(long / short)
    return out


@compiled
def approximate_entropy(x: Array, n: int) -> Array:
    """Approximate entropy of order 2, ``phi(2) - phi(3)``; slightly negative values exist.

    Chebyshev distance up to 0.2 population standard deviations, self-matches counted. Pincus,
    "Approximate entropy as a measure of system complexity" (1991).

    Parameters
    ----------
    x : (L,) float64
    n : int
        Window, n >= 4.

    Returns
    -------
    (L,) float64
    """
    out = np.full(len(x), np.nan)
    for t in range(n - 1, len(x)):
        w = x[t - n + 1 : t + 1]
        tolerance = 0.2 * math.sqrt(variance(w))
        short, long = np.zeros(n - 1), np.zeros(n - 2)
        for i in range(n - 1):
            for j in range(n - 1):
                if abs(w[i] - w[j]) <= tolerance and abs(w[i + 1] - w[j + 1]) <= tolerance:
                    short[i] += 1
                    if i < n - 2 and j < n - 2 and abs(w[i + 2] - w[j + 2]) <= tolerance:
                        long[i] += 1
        out[t] = total(_logs(short / (n - 1))) / (n - 1) - total(_logs(long / (n - 2))) / (n - 2)
    return out


# ------------------------------------------------------------------------------ fractals and chaos


@compiled
def higuchi_dimension(x: Array, n: int, k_max: int) -> Array:
    """Slope of the log curve length over steps k = 1..k_max against ln(1/k); about 1 to 2.

    Higuchi, "Approach to an irregular time series on the basis of the fractal theory" (1988).

    Parameters
    ----------
    x : (L,) float64
    n, k_max : int
        Window and largest step, n >= 2 * k_max.

    Returns
    -------
    (L,) float64
        NaN where every length is 0.
    """
    out = np.full(len(x), np.nan)
    steps = -_logs(np.arange(1.0, k_max + 1))
    for t in range(n - 1, len(x)):
        w, logs = x[t - n + 1 : t + 1], np.empty(k_max)
        for k in range(1, k_max + 1):
            length = 0.0
            for start in range(k):
                moves, path = (n - start - 1) // k, 0.0
                for j in range(1, moves + 1):
                    path += abs(w[start + j * k] - w[start + (j - 1) * k])
                length += path / k * (n - 1) / (k * moves)
            logs[k - 1] = _log(length / k)
        out[t] = _slope(steps, logs)
    return out


@compiled
def lyapunov_exponent(x: Array, n: int, length: int, steps: int) -> Array:
    """Largest Lyapunov exponent per row: slope of the mean log distance of nearest neighbours.

    Orbit of `length` values, lag 1; neighbours lie at least 2 rows apart and are followed over
    `steps` rows. Rosenstein, Collins and De Luca, "A practical method for calculating largest
    Lyapunov exponents from small data sets" (1993).
    NOTE[DIFF] the last line is fitted by least squares; nolds draws a random consensus, unseeded.

    Parameters
    ----------
    x : (L,) float64
    n, length, steps : int
        Window, n >= length + steps + 3.

    Returns
    -------
    (L,) float64
        NaN below two steps with a distance above 0.
    """
    out = np.full(len(x), np.nan)
    starts = n - length + 1 - steps + 1
    for t in range(n - 1, len(x)):
        distance = _orbit_distances(x[t - n + 1 : t + 1], length)
        nearest = np.zeros(starts, np.int64)
        for i in range(starts):
            best = np.inf
            for j in range(starts):
                if abs(i - j) > 1 and distance[i, j] < best:
                    best, nearest[i] = distance[i, j], j
        k, logs, known = np.empty(steps), np.empty(steps), 0
        for step in range(steps):
            level, count = 0.0, 0
            for i in range(starts):
                apart = distance[i + step, nearest[i] + step]
                if apart > 0:
                    level += math.log(apart)
                    count += 1
            if count > 0:
                k[known], logs[known] = step, level / count
                known += 1
        out[t] = _slope(k[:known], logs[:known])
    return out


@compiled
def correlation_dimension(x: Array, n: int, length: int) -> Array:
    """Slope of ln C(r) on ln r, C the share of orbit pairs within r; above 0, else NaN.

    Orbit of `length` values, lag 1; 55 radii from 0.1 sample standard deviations, each 3% wider;
    every point counts as its own neighbour, as in nolds. Grassberger and Procaccia, "Measuring the
    strangeness of strange attractors" (1983).
    NOTE[DIFF] the line is fitted by least squares; nolds draws a random consensus, unseeded. A
    sum that is the same for all radii has slope 0 here, where a fit returns rounding noise.

    Parameters
    ----------
    x : (L,) float64
    n, length : int
        Window, n >= length + 1.

    Returns
    -------
    (L,) float64
    """
    out = np.full(len(x), np.nan)
    growth = np.empty(55)
    for i in range(55):
        growth[i] = 1.03 ** float(i)
    for t in range(n - 1, len(x)):
        w = x[t - n + 1 : t + 1]
        radius = 0.1 * (math.sqrt(variance(w)) * math.sqrt(n / (n - 1))) * growth
        distance, sums = _orbit_distances(w, length).ravel(), np.zeros(len(radius))
        for i in range(len(radius)):
            sums[i] = (distance <= radius[i]).sum()
        if sums[-1] > sums[0]:
            slope = _slope(_logs(radius), _logs(sums))
            if slope > 0:
                out[t] = slope
    return out


# --------------------------------------------------------------------------- detrended fluctuations


@compiled
def fluctuation_exponent(x: Array, n: int, scales: NDArray[np.int64]) -> Array:
    """Slope of ln F(s) on ln s over half-overlapping segments with a line removed; 0.5 for noise.

    Peng et al., "Mosaic organization of DNA nucleotides" (1994).
    NOTE[DIFF] the line is fitted by least squares; nolds draws a random consensus, unseeded.

    Parameters
    ----------
    x : (L,) float64
    n : int
        Window.
    scales : (k,) int64
        Segment lengths, 3 <= s < n.

    Returns
    -------
    (L,) float64
        NaN below two scales with a fluctuation above 0.
    """
    out = np.full(len(x), np.nan)
    for t in range(n - 1, len(x)):
        w = x[t - n + 1 : t + 1]
        walk = np.cumsum(w - total(w) / n)
        size, logs, known = np.empty(len(scales)), np.empty(len(scales)), 0
        for s in scales:
            spread, segments = 0.0, 0
            for start in range(0, n - s, s // 2):
                spread += _detrended_variance(walk[start : start + s])
                segments += 1
            if spread > 0:
                size[known], logs[known] = math.log(s), 0.5 * math.log(spread / segments)
                known += 1
        out[t] = _slope(size[:known], logs[:known])
    return out


@compiled
def multifractal_exponents(x: Array, n: int, scales: NDArray[np.int64], powers: Array) -> Array:
    """Generalised Hurst exponents h(q): slopes of ln F_q(s) on ln s, a line removed per segment.

    Segments from both ends. Kantelhardt et al., "Multifractal detrended fluctuation analysis of
    nonstationary time series" (2002).
    NOTE[DIFF] a segment that is a line up to rounding (three equal closes) leaves the exponents of
    negative order undefined; the package MFDFA returns rounding noise there.

    Parameters
    ----------
    x : (L,) float64
    n : int
        Window.
    scales : (k,) int64
        Segment lengths, 3 <= s <= n.
    powers : (p,) float64
        Orders q, none of them 0.

    Returns
    -------
    (L, p) float64
        NaN for negative q where a segment is a line.
    """
    out = np.full((len(x), len(powers)), np.nan)
    sizes, logs = _logs(scales.astype(np.float64)), np.empty((len(powers), len(scales)))
    for t in range(n - 1, len(x)):
        w = x[t - n + 1 : t + 1]
        walk = np.cumsum(w - total(w) / n)
        for i, s in enumerate(scales):
            half = n // s
            spread, least = np.empty(2 * half), 1e-12 * np.abs(walk).max()
            for j in range(half):
                spread[j] = _detrended_variance(walk[j * s : (j + 1) * s])
                late = n % s + j * s
                spread[half + j] = _detrended_variance(walk[late : late + s])
            spread[spread <= least * least] = 0
            for k, q in enumerate(powers):
                level = 0.0
                for value in spread:
                    level += value ** (q / 2)
                logs[k, i] = _log(level / len(spread)) / q
        for k in range(len(powers)):
            out[t, k] = _slope(sizes, logs[k])
    return out
