"""Whether recent values of columns still follow the distribution of training, with dependent data.

Values become ranks u in training, from 0 to 1. A column drifts by the mean of its normal scores (a
shift, in standard deviations) or by the mean of abs(2u - 1) (its spread): two statistics that lie
symmetrically about their means. How much such a mean varies over a stretch of n times is measured
on all stretches of n times of training, so that slow columns, whose recent values say little, are
not taken for drifting ones. Meketon and Schmeiser, "Overlapping batch means: something for
nothing?" (1984). Of columns that are slow beside training the stretches vary too little; the
variance is at least that of an autoregression with the correlation of neighbours, corrected for its
bias (Kendall, "Note on bias in the estimation of autocorrelation", 1954). The ratio to the standard
error is compared with Student's t, whose degrees of freedom are the stretches, or the memories of
the column, that training holds, and in the longer tail of a skewed mean with a gamma distribution.
Columns are corrected for their number by Holm, "A simple sequentially rejective multiple test
procedure" (1979), which holds whatever their dependence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy  # loads a part on its first use
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
KNOTS = 33
"""Quantiles of training that are kept."""
MOST_LENGTH = 0.1
"""Longest stretch, of the times of training; longer ones follow from it."""
LEAST_SKEW = 0.05
MEMORIES = 16
"""Times that a column needs to forget, after which means of stretches are independent."""
LEAST_TIMES = 100
"""Times of training below which nothing is said."""


@dataclass(frozen=True)
class Wander:
    """How far means over stretches of a column stray in training.

    Attributes
    ----------
    mean : float
        Over all of training.
    squares, skews : tuple of float
        Mean square of the means of stretches about it, one per length, and their skewness.
    """

    mean: float
    squares: tuple[float, ...]
    skews: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"mean": self.mean, "squares": list(self.squares), "skews": list(self.skews)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain types."""
        return cls(content["mean"], tuple(content["squares"]), tuple(content["skews"]))


@dataclass(frozen=True)
class Reference:
    """What is kept of a column of training.

    Attributes
    ----------
    knots : (KNOTS,)
        Quantiles, from the smallest value to the largest.
    times : int
        Times of training.
    shift, spread : Wander
        Of the normal scores, and of the distances of ranks from the middle, from 0 to 1.
    """

    knots: tuple[float, ...]
    times: int
    shift: Wander
    spread: Wander

    @classmethod
    def of(cls, values: ArrayLike, time: NDArray[np.int64] | None = None) -> Self | None:
        """Of a column of training, (N,).

        Parameters
        ----------
        values : (N,)
        time : (N,) whole numbers, optional
            Number of the time of each row, from 0; the rows of one time are averaged. Without it,
            rows do not depend on each other.

        Returns
        -------
        Reference or None
            None for fewer than `LEAST_TIMES` times.
        """
        x = np.asarray(values, float)
        times = len(x) if time is None else int(time.max(initial=-1)) + 1
        if times < LEAST_TIMES:
            return None
        knots = np.quantile(x, np.linspace(0, 1, KNOTS), method="inverted_cdf")
        lengths = lengths_of(times) if time is not None else (1,)
        shift, spread = (_wander(_by_time(s, time), lengths) for s in _scores(x, knots))
        return cls(tuple(knots.tolist()), times, shift, spread)

    @property
    def timed(self) -> bool:
        """Whether rows depend on each other in time."""
        return len(self.shift.squares) > 1

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "knots": list(self.knots), "times": self.times,
            "shift": self.shift.to_dict(), "spread": self.spread.to_dict(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain types."""
        one, two = (Wander.from_dict(content[name]) for name in ("shift", "spread"))
        return cls(tuple(content["knots"]), content["times"], one, two)


@dataclass(frozen=True)
class Drift:
    """How recent values of a column differ from training.

    Attributes
    ----------
    name : str
    n : int
        Recent times.
    shift : float
        Mean normal score of recent values, less that of training: standard deviations.
    error, freedom : float
        Its standard error under no drift, and the degrees of freedom of that.
    spread : float
        Standard deviation over that of training, of normal values as far from the middle: 1
        without drift.
    p : float
        Of the more striking of both, twice; between 0 and 1.
    adjusted : float
        The same, corrected for the number of columns.
    """

    name: str
    n: int
    shift: float
    error: float
    freedom: float
    spread: float
    p: float
    adjusted: float = 1.0

    def visible(self, columns: int, level: float = 0.05) -> float:
        """Smallest shift that would be found by itself among so many columns."""
        return float(-scipy.special.stdtrit(self.freedom, level / (4 * columns)) * self.error)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return vars(self).copy()


def drift_of(
    name: str, reference: Reference, values: ArrayLike, time: NDArray[np.int64] | None = None
) -> Drift:
    """Recent values of a column against training.

    Parameters
    ----------
    name : str
    reference : Reference
    values : (n,)
        At least one.
    time : (n,) whole numbers, optional
        As of `Reference.of`; with it if the reference has it.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> reference = Reference.of(rng.normal(size=2000), np.arange(2000))
    >>> drift_of("a", reference, rng.normal(1.0, size=50), np.arange(50)).p < 0.001
    True
    >>> drift_of("a", reference, rng.normal(size=50), np.arange(50)).p > 0.1
    True
    """
    result = []
    every = _scores(np.asarray(values, float), np.array(reference.knots))
    for wander, each in zip((reference.shift, reference.spread), every, strict=True):
        series = _by_time(each, time)
        apart = float(series.mean()) - wander.mean
        error, freedom, skew = _error(wander, len(series), reference.times)
        result.append((apart, error, freedom, _p(apart, error, freedom, skew)))
    (shift, error, freedom, one), (wider, *_, two) = result
    base = reference.spread.mean
    ratio = _width(base + wider) / _width(base) if base > 0 else 1.0
    n = len(every[0]) if time is None else int(time.max()) + 1
    return Drift(name, n, shift, error, freedom, ratio, min(1.0, 2 * min(one, two)))


def corrected(drifts: Sequence[Drift]) -> list[Drift]:
    """The same with p-values that hold for all columns at once, by Holm.

    Examples
    --------
    >>> some = [Drift("a", 9, 0.0, 1.0, 30.0, 1.0, p) for p in (0.01, 0.04, 0.02)]
    >>> [round(one.adjusted, 2) for one in corrected(some)]
    [0.03, 0.04, 0.04]
    """
    order = np.argsort([one.p for one in drifts], kind="stable")
    p = np.array([drifts[i].p for i in order]) * np.arange(len(order), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(p), 1.0)
    result = list(drifts)
    for i, value in zip(order, adjusted.tolist(), strict=True):
        result[i] = Drift(**{**vars(drifts[i]), "adjusted": value})
    return result


# ------------------------------------------------------------------------------------------ inside


def _scores(x: Array, knots: Array) -> tuple[Array, Array]:
    """Normal scores by the rank among the knots, and its distance from the middle, (n,) each.

    Ties get the middle of their ranks; ranks end half a step from 0 and 1.
    """
    left, right = np.searchsorted(knots, x, "left"), np.searchsorted(knots, x, "right")
    below, above = np.clip(left - 1, 0, KNOTS - 1), np.clip(left, 0, KNOTS - 1)
    gap = knots[above] - knots[below]
    part = np.divide(x - knots[below], gap, out=np.zeros(len(x)), where=gap > 0)
    rank = np.where(right > left, (left + right - 1) / 2, below + np.clip(part, 0, 1))
    half = 0.5 / (KNOTS - 1)
    u = np.clip(np.where(x < knots[0], 0, rank) / (KNOTS - 1), half, 1 - half)
    return scipy.special.ndtri(u), np.abs(2 * u - 1)


def _width(distance: float) -> float:
    """Standard deviation s of a normal X for which abs(2 F(X) - 1) has such a mean, F standard."""
    return float(np.tan(np.pi / 2 * min(max(distance, 0.0), 0.99)))


def _by_time(values: Array, time: NDArray[np.int64] | None) -> Array:
    """Means of the rows of each time."""
    if time is None:
        return values
    return np.bincount(time, values) / np.bincount(time)


def lengths_of(times: int) -> tuple[int, ...]:
    """Lengths of stretches, each about half as long again as the one before."""
    result, most = [1], max(1, int(MOST_LENGTH * times))
    while result[-1] < most:
        result.append(min(most, max(result[-1] + 1, round(1.5 * result[-1]))))
    return tuple(result)


def _wander(series: Array, lengths: Sequence[int]) -> Wander:
    mean = float(series.mean())
    total = np.append(0.0, np.cumsum(series - mean))
    squares, skews = [], []
    for n in lengths:
        means = (total[n:] - total[:-n]) / n
        square = means * means
        squares.append(float(square.mean()))
        cube = float(square @ means) / len(means)
        skews.append(cube / squares[-1] ** 1.5 if squares[-1] > 0 else 0.0)
    return Wander(mean, tuple(squares), tuple(skews))


def _error(wander: Wander, n: int, times: int) -> tuple[float, float, float]:
    """Standard error of a mean over n times less that of training, its freedom, its skewness.

    Stretches stray about the mean of their own training, which itself strays: its variance comes
    from the correlation of neighbours, and counts twice, once for each.
    """
    squares = np.array(wander.squares)
    if not squares[0] > 0:
        return 0.0, float(times), 0.0
    if len(squares) == 1:  # independent rows
        error = float(np.sqrt(squares[0] * (1 / n + 1 / times)))
        return error, float(times - 1), wander.skews[0] / n**0.5
    lengths, longest = np.log(lengths_of(times)), lengths_of(times)[-1]
    next_ = 2 * squares[1] / squares[0] - 1  # correlation of neighbours
    next_ = min(max(next_ + (1 + 3 * next_) / times, 0.0), 1 - 1 / times)
    memory = max((1 + next_) / (1 - next_), longest * squares[-1] / squares[0], 1.0)
    of_all = squares[0] * _of_means(next_, times) / max(1 - memory / times, 0.5)
    stretch = min(n, longest, math.ceil(MEMORIES * memory))
    own = float(np.exp(np.interp(np.log(stretch), lengths, np.log(squares))))
    own = (own + of_all) * stretch / n
    own = max(own, (squares[0] + of_all) * _of_means(next_, n))
    skew = float(np.interp(np.log(stretch), lengths, wander.skews)) * (stretch / n) ** 0.5
    return float(np.sqrt(own + of_all)), max(1.0, times / max(stretch, memory) - 1), skew


def _of_means(next_: float, n: int) -> float:
    """Variance of a mean of n items of an autoregression of variance 1."""
    if n == 1:
        return 1.0
    rest = 2 * next_ * (1 - next_**n) / (n * (1 - next_) ** 2)
    return ((1 + next_) / (1 - next_) - rest) / n


def _p(apart: float, error: float, freedom: float, skew: float) -> float:
    """Two-sided p-value; 1 where nothing varies and nothing moved, 0 where it moved.

    In the longer tail of a skewed mean it is that of a gamma distribution with the same skewness.
    """
    if error == 0:
        return float(abs(apart) < 1e-12)
    p = float(scipy.special.stdtr(freedom, -abs(apart) / error))
    if apart * skew > 0 and abs(skew) > LEAST_SKEW:
        shape = 4 / skew**2
        from_mean = float(scipy.special.ndtri(max(p, 1e-300))) * shape**0.5
        p = max(p, float(scipy.special.gammaincc(shape, shape - from_mean)))
    return min(1.0, 2 * p)
