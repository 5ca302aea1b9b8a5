"""Compiled empirical mode decomposition over sliding windows.

Huang et al., "The empirical mode decomposition and the Hilbert spectrum for nonlinear and
non-stationary time series analysis" (1998); edges mirrored as in Rilling, Flandrin and Goncalves,
"On empirical mode decomposition and its algorithms" (2003). It follows the package EMD-signal 1.10
with its default settings step by step: two mirrored extrema per edge, not-a-knot cubic envelopes,
its three stopping tests. Three thresholds are in units of the data, so that a change of the price
level can, rarely, change the number of components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import compiled
from trueness.market.kernels import Array, total, variance

Places = NDArray[np.int64]

MOST_COMPONENTS, MOST_SIFTINGS = 24, 1000


@compiled
def _plateaus(step: Array, peak: NDArray[np.bool_], dip: NDArray[np.bool_]) -> None:
    """Mark the middle of flat stretches between a rise and a fall, (N - 1,) steps -> (N,) marks.

    As in the package, a stretch that begins at row 1 or reaches the end is passed over, and one
    that begins at row 0 looks at the last step instead of the one before.
    """
    t, size = 0, len(step)
    while t < size:
        end = t
        while end < size and step[end] == 0:
            end += 1
        if t != 1 and t < end < size:
            middle = (t + end) // 2
            middle += (t + end) % 2 and middle % 2  # a half goes to the even row
            peak[middle] |= step[t - 1] > 0 and step[end] < 0
            dip[middle] |= step[t - 1] < 0 and step[end] > 0
        t = max(end, t + 1)


@compiled
def _extrema(s: Array) -> tuple[Places, Places, int]:
    """Rows of the maxima and of the minima of (N,) values, and the number of zero crossings."""
    size = len(s)
    step, crossings = s[1:] - s[:-1], 0
    peak, dip = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    for t in range(size - 1):
        crossings += s[t] * s[t + 1] < 0
        crossings += s[t] == 0 and s[t + 1] != 0
        if t > 0 and step[t - 1] * step[t] < 0:
            peak[t], dip[t] = step[t - 1] > 0, step[t - 1] < 0
    crossings += s[size - 1] == 0
    if np.abs(step).min() == 0:
        _plateaus(step, peak, dip)
    return np.flatnonzero(peak), np.flatnonzero(dip), crossings


@compiled
def _mirrored(s: Array, first: Places, second: Places, sign: float) -> tuple[int, Places, Places]:
    """Rows to mirror at the left edge and the row to mirror them at.

    `first` is the kind of extremum that comes first, `second` the other; sign is +1 if `first` are
    the maxima. If the edge lies beyond the first extremum of the other kind, the edge itself counts
    as one.
    """
    if sign * (s[0] - s[second[0]]) <= 0:
        return 0, first[:2], np.array([0, second[0]])
    centre, near, far = first[0], first[1:3], second[:2]
    if len(near) == 0 or 2 * centre > near[-1] or 2 * centre > far[-1]:
        return 0, first[:2], far
    return centre, near, far


@compiled
def _edge(s: Array, peaks: Places, dips: Places) -> tuple[int, Places, Places]:
    """Centre of the mirror at the left edge, and the maxima and minima to mirror."""
    if peaks[0] < dips[0]:
        return _mirrored(s, peaks, dips, 1.0)
    centre, low, high = _mirrored(s, dips, peaks, -1.0)
    return centre, high, low


@compiled
def _knots(
    s: Array, own: Places, left: Places, left_centre: int, right: Places, right_centre: int
) -> tuple[Array, Array]:
    """Times and values an envelope passes through; a time that occurs twice is kept once."""
    last, mirrored, inner, count = len(s) - 1, len(left), len(left) + len(own), 0
    times, values = np.empty(inner + len(right)), np.empty(inner + len(right))
    for i in range(inner + len(right)):
        if i < mirrored:
            row = left[mirrored - 1 - i]
            time = 2 * left_centre - row
        elif i < inner:
            row = time = own[i - mirrored]
        else:
            row = last - right[i - inner]
            time = 2 * (last - right_centre) - row
        count -= count > 0 and times[count - 1] == time
        times[count], values[count] = time, s[row]
        count += 1
    return times[:count], values[:count]


@compiled
def _derivatives(gap: Array, slope: Array) -> Array:
    """Derivatives of a cubic spline at its k knots: not-a-knot; natural ends if there are only 3.

    Tridiagonal system, eliminated downwards.
    """
    k = len(gap) + 1
    below, diagonal, above = np.zeros(k), np.zeros(k), np.zeros(k)
    right = np.zeros(k)
    for i in range(1, k - 1):
        below[i], diagonal[i], above[i] = gap[i], 2 * (gap[i - 1] + gap[i]), gap[i - 1]
        right[i] = 3 * (gap[i] * slope[i - 1] + gap[i - 1] * slope[i])
    if k == 3:
        diagonal[0], above[0], right[0] = 2.0, 1.0, 3 * slope[0]
        diagonal[2], below[2], right[2] = 2.0, 1.0, 3 * slope[1]
    else:
        a, b = gap[0], gap[1]
        diagonal[0], above[0] = b, a + b
        right[0] = ((a + 2 * (a + b)) * b * slope[0] + a * a * slope[1]) / (a + b)
        a, b = gap[-1], gap[-2]
        diagonal[-1], below[-1] = b, a + b
        right[-1] = (a * a * slope[-2] + (2 * (a + b) + a) * b * slope[-1]) / (a + b)
    for i in range(1, k):
        factor = below[i] / diagonal[i - 1]
        diagonal[i] -= factor * above[i - 1]
        right[i] -= factor * right[i - 1]
    right[-1] /= diagonal[-1]
    for i in range(k - 2, -1, -1):
        right[i] = (right[i] - above[i] * right[i + 1]) / diagonal[i]
    return right


@compiled
def _spline(times: Array, values: Array, size: int) -> Array:
    """Cubic spline through the knots at 0 .. size - 1; empty if the knots do not cover that."""
    gap = times[1:] - times[:-1]
    if len(gap) < 2 or gap.min() <= 0 or times[0] > 0 or times[-1] < size - 1:
        return np.empty(0)
    slope = (values[1:] - values[:-1]) / gap
    derivative = _derivatives(gap, slope)
    out, i = np.empty(size), 0
    for t in range(size):
        while i < len(gap) - 1 and t >= times[i + 1]:
            i += 1
        bend = (derivative[i] + derivative[i + 1] - 2 * slope[i]) / gap[i]
        cubic, square = bend / gap[i], (slope[i] - derivative[i]) / gap[i] - bend
        z = t - times[i]
        out[t] = ((cubic * z + square) * z + derivative[i]) * z + values[i]
    return out


@compiled
def _settled(new: Array, old: Array, unit: float) -> bool:
    """Whether a sifting changed so little that the result is a component: any of three tests."""
    if total(new * new) < 1e-10 * unit * unit:
        return False
    change = new - old
    energy = total(change * change)
    if energy / (old.max() - old.min()) < 0.001 * unit:
        return True
    ratio = change / new
    return total(ratio * ratio) < 0.2 or energy / total(old * old) < 0.2


@compiled
def _sift(rest: Array, unit: float) -> tuple[Array, int, bool]:
    """One component of (N,) values, its number of extrema, and whether it is the trend.

    The number is -1 where an envelope does not exist.
    """
    mode, extrema, size = rest.copy(), 0, len(rest)
    for _ in range(1, MOST_SIFTINGS):
        peaks, dips, _ = _extrema(mode)
        extrema = len(peaks) + len(dips)
        if extrema <= 2:
            return mode, extrema, True
        if len(peaks) == 0 or len(dips) == 0:
            return mode, -1, True
        left, left_high, left_low = _edge(mode, peaks, dips)
        last = size - 1
        right, right_high, right_low = _edge(
            mode[::-1].copy(), last - peaks[::-1], last - dips[::-1]
        )
        high_at, high = _knots(mode, peaks, left_high, left, right_high, right)
        low_at, low = _knots(mode, dips, left_low, left, right_low, right)
        upper, lower = _spline(high_at, high, size), _spline(low_at, low, size)
        if len(upper) == 0 or len(lower) == 0:
            return mode, -1, True
        old, mode = mode, mode - 0.5 * (upper + lower)
        peaks, dips, crossings = _extrema(mode)
        extrema = len(peaks) + len(dips)
        balanced = high.min() >= 0 and low.max() <= 0
        if balanced and _settled(mode, old, unit) and abs(extrema - crossings) < 2:
            break
    return mode, extrema, False


@compiled
def decompose(window: Array) -> Array:
    """Components of (N,) values, fastest first, the trend last; they sum to the window.

    Returns
    -------
    (K, N) float64
        No rows where an envelope does not exist.
    """
    modes = np.zeros((MOST_COMPONENTS + 1, len(window)))
    rest, count = window.copy(), 0
    unit = (
        total(np.abs(window)) / len(window) / 1000
    )  # the thresholds are those of prices of about 1,000
    while count < MOST_COMPONENTS:
        mode, extrema, trend = _sift(rest, unit)
        if extrema < 0:
            return modes[:0]
        modes[count] = mode
        count += 1
        rest = window - modes[:count].sum(axis=0)
        if trend or rest.max() - rest.min() < 0.001 * unit or total(np.abs(rest)) < 0.005 * unit:
            break
    count -= extrema <= 2
    rest = window - modes[:count].sum(axis=0)
    if np.abs(rest).max() > 1e-8 * unit:
        modes[count] = rest
        count += 1
    return modes[:count]


@compiled
def mode_measures(x: Array, n: int) -> Array:
    """Count, strength and period of the components of the last n values.

    Parameters
    ----------
    x : (L,) float64
    n : int
        Window.

    Returns
    -------
    (L, 4) float64
        Number of components; variance of the last and of the first component over that of the
        window, each at most 1; twice n over the zero crossings of the strongest component between
        them, n if it crosses at most once or does not exist. NaN where an envelope does not exist
        or the window is constant.
    """
    out = np.full((len(x), 4), np.nan)
    for t in range(n - 1, len(x)):
        window = x[t - n + 1 : t + 1].copy()
        modes = decompose(window)
        spread = variance(window)
        if len(modes) == 0 or window.max() == window.min():
            continue
        strongest, period = 0.0, float(n)
        for mode in modes[1:-1]:
            if variance(mode) > strongest:
                strongest = variance(mode)
                crossings = (np.sign(mode[1:]) != np.sign(mode[:-1])).sum()
                period = 2 * n / crossings if crossings > 1 else float(n)
        out[t, 0] = len(modes)
        out[t, 1] = min(1.0, variance(modes[-1]) / spread)
        out[t, 2] = min(1.0, variance(modes[0]) / spread)
        out[t, 3] = period
    return out
