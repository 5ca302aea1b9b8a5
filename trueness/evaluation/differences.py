"""How far differences of a family reach at any critical value: those of precisions, and others.

An error that is plugged in at the estimate is far too small for few alarms near 0 and 1. So a
difference of two precisions takes its ends from the bounds that each precision has by itself, and
from the correlation of their draws, which says how much of both cancels (MOVER): Zou and Donner,
"Construction of confidence limits about effect measures: a general approach" (2008). Every other
difference is ``d ± c s``, with c as Student's quantile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from trueness.evaluation.dependence import effective_bounds

if TYPE_CHECKING:
    from trueness.evaluation.resampling import Resampled

Array = NDArray[np.float64]
SMALLEST_ERROR = 1e-7
"""Standard errors below it are rounding of draws, which are sums of float32: the two are alike."""
SMALLEST_CRITICAL = 1e-6
"""Bounds of a single precision are asked for at less than an error of a half."""


class Differences(Protocol):
    """Differences of any shape that were resampled together."""

    @property
    def value(self) -> Array:
        """The differences."""

    def ends(self, critical: Array | float) -> tuple[Array, Array]:
        """Both ends at a critical value of a standard normal; no width where no draw moves."""

    def outside(self, critical: Array) -> Array:
        """Share of some critical values at which 0 lies outside; negative where it lies above."""


@dataclass(frozen=True)
class Studentised:
    """Differences with their standard errors.

    Attributes
    ----------
    value, error : (...) float64
    freedom : (...) float64
        Degrees of freedom of the error.
    """

    value: Array
    error: Array
    freedom: Array

    def ends(self, critical: Array | float) -> tuple[Array, Array]:
        """See `Differences`."""
        half = small_sample_critical(critical, self.freedom) * self.error
        half = np.where(self.error <= SMALLEST_ERROR, 0, half)
        return self.value - half, self.value + half

    def outside(self, critical: Array) -> Array:
        """See `Differences`."""
        moving = self.error > SMALLEST_ERROR
        t = np.divide(self.value, self.error, out=np.zeros_like(self.value), where=moving)
        below = np.searchsorted(np.sort(critical), large_sample(np.abs(t), self.freedom))
        return np.sign(t) * below / max(1, len(critical))


@dataclass(frozen=True)
class Precisions:
    """Precisions of any shape, with what their bounds rest on: see `Dependence`."""

    value: Array
    n: Array
    effect: Array
    blocks: Array

    @classmethod
    def of(cls, models: Sequence[Resampled]) -> Precisions:
        """Of models (m,)."""
        every = [(one.value, one.n, one.dependence.effect, one.dependence.blocks) for one in models]
        return cls(*np.array(every, np.float64).reshape(-1, 4).T)

    def beyond(self, tail: Array | float) -> tuple[Array, Array]:
        """How far the bounds lie below and above that are missed with this probability each."""
        hits = self.value * self.n
        low, high = effective_bounds(hits, self.n, self.effect, self.blocks, tail)
        return self.value - low, high - self.value


@dataclass(frozen=True)
class Apart:
    """Differences of two precisions.

    Attributes
    ----------
    one, other : Precisions
        Whose shapes fit together.
    error, correlation : (...) float64
        Standard deviation of the draws of the difference, and correlation of those of both.
    """

    one: Precisions
    other: Precisions
    error: Array
    correlation: Array

    @classmethod
    def of(cls, one: Sequence[Resampled], other: Sequence[Resampled], error: Array) -> Apart:
        """Of models (m,) and others, (m,) or (k,), by the shape of the error, (m,) or (m, k)."""
        first, second = (np.array([model.draws.std(ddof=1) for model in side])
                         for side in (one, other))  # fmt: skip
        left, right = Precisions.of(one), Precisions.of(other)
        if error.ndim == 2:
            first, left = first[:, None], Precisions(*(x[:, None] for x in vars(left).values()))
        correlation = (first**2 + second**2 - error**2) / (2 * first * second)
        return cls(left, right, error, np.clip(correlation, -1, 1))

    @property
    def value(self) -> Array:
        """The differences."""
        return self.one.value - self.other.value

    def ends(self, critical: Array | float) -> tuple[Array, Array]:
        """See `Differences`."""
        tail = ndtr(-np.maximum(critical, SMALLEST_CRITICAL))
        (below, above), (others_below, others_above) = (
            side.beyond(tail) for side in (self.one, self.other)
        )
        low = self.value - self._joined(below, others_above)
        high = self.value + self._joined(above, others_below)
        return low, high

    def _joined(self, one: Array, other: Array) -> Array:
        square = one**2 + other**2 - 2 * self.correlation * one * other
        return np.where(self.error <= SMALLEST_ERROR, 0, np.sqrt(np.maximum(square, 0)))

    def outside(self, critical: Array) -> Array:
        """By bisection; see `Differences`."""
        ordered, sign = np.sort(critical), np.sign(self.value) * (self.error > SMALLEST_ERROR)
        least, most = (np.full(self.value.shape, at) for at in (0, len(ordered)))
        for _ in range(len(ordered).bit_length()):
            middle = (least + most) // 2
            low, high = self.ends(ordered[np.minimum(middle, len(ordered) - 1)])
            beyond = (middle < most) & np.where(sign > 0, low > 0, high < 0)
            least, most = np.where(beyond, middle + 1, least), np.where(beyond, most, middle)
        return sign * least / max(1, len(ordered))


def spread_of(differences: Sequence[Resampled], error: Array) -> Differences:
    """How far differences reach, by their standard errors, (m,)."""
    sides = [one.sides for one in differences if one.sides is not None]
    if len(sides) == len(differences):
        return Apart.of([one for one, _ in sides], [other for _, other in sides], error)
    values, freedom = (np.array([getattr(one, of) for one in differences], np.float64)
                       for of in ("value", "freedom"))  # fmt: skip
    return Studentised(values, error, freedom)


def spread_between(
    models: Sequence[Resampled], baselines: Sequence[Resampled], error: Array
) -> Differences:
    """How far m models minus k baselines reach, by their standard errors, (m, k)."""
    every = [*models, *baselines]
    if all(one.depends is not None for one in every):
        return Apart.of(models, baselines, error)
    values, others = (np.array([one.value for one in side]) for side in (models, baselines))
    freedom = np.array(min(one.freedom for one in every))
    return Studentised(values[:, None] - others, error, freedom)


def small_sample_critical(critical: Array | float, freedom: Array | float) -> Array:
    """Student's critical value at the level of a normal one, where the spread is estimated.

    Examples
    --------
    >>> round(float(small_sample_critical(1.96, 19)), 2)
    2.09
    """
    return -stdtrit(freedom, ndtr(-np.asarray(critical)))


def large_sample(critical: Array | float, freedom: Array | float) -> Array:
    """The normal value behind a critical value of Student's; undoes `small_sample_critical`.

    Examples
    --------
    >>> round(float(large_sample(small_sample_critical(1.96, 19), 19)), 2)
    1.96
    """
    return -ndtri(stdtr(freedom, -np.asarray(critical)))
