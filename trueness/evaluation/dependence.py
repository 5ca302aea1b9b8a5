"""Effective sample sizes: how many independent units those that depend on each other are worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from trueness.evaluation.intervals import Estimate, exact_tails

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Dependence:
    """How much less than so many independent units dependent ones say.

    Attributes
    ----------
    effect : float
        Design effect: variance over that of independent units, at least 1.
    blocks : float
        Blocks of units that do not depend on each other; infinite for independent units.
    """

    effect: float
    blocks: float

    def effective(self, n: float, level: float) -> float:
        """Independent units that say as much at an error level, for few blocks corrected.

        The correction is that of Korn and Graubard, "Confidence intervals for proportions with
        small expected number of positive counts estimated from survey data" (1998).
        """
        return float(effective_sizes(n, self.effect, self.blocks, level))

    def bounds(self, k: float, n: float, tail: float) -> tuple[float, float]:
        """Interval of a proportion of k of n: exact, of the effective number of units.

        Each end is missed with about the probability `tail`.

        Examples
        --------
        >>> low, high = Dependence(2.0, 50.0).bounds(18, 30, 0.025)
        >>> round(low, 2), round(high, 2)
        (0.32, 0.84)
        """
        low, high = effective_bounds(k, n, self.effect, self.blocks, tail)
        return float(low), float(high)

    def estimate(
        self,
        k: int,
        n: int,
        confidence: float = 0.95,
        *,
        chosen_on: str = "",
        measured_on: str = "",
    ) -> Estimate:
        """K of n units as a proportion, with the interval of the effective number of units.

        Examples
        --------
        >>> print(Dependence(2.0, 50.0).estimate(18, 30))
        60 % (32–84) · 18/30
        """
        low, high = self.bounds(k, n, (1 - confidence) / 2)
        return Estimate(k / n if n else None, low, high, n, k, chosen_on, measured_on)

    def further(self, n: int, independent: int, level: float) -> int:
        """Units beyond those there are, until they are worth so many independent ones.

        Further units are taken to depend on each other as these do, in as many more blocks.
        """

        def effective_size(total: int) -> float:
            return replace(self, blocks=self.blocks * total / n).effective(total, level)

        low = high = n
        while effective_size(high) < independent:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if effective_size(middle) < independent else (low, middle)
        return max(1, high - n)


INDEPENDENT = Dependence(1.0, np.inf)


def effective_sizes(n: ArrayLike, effect: ArrayLike, blocks: ArrayLike, level: ArrayLike) -> Array:
    """`Dependence.effective` of many, all of shapes that fit together."""
    freedom = np.maximum(np.asarray(blocks) - 1, 1.0)
    few = np.where(np.isfinite(freedom), ndtri(level) / stdtrit(freedom, level), 1.0)
    return np.divide(n, effect) * few**2


def effective_bounds(
    k: ArrayLike, n: ArrayLike, effect: ArrayLike, blocks: ArrayLike, tail: Array | float
) -> tuple[Array, Array]:
    """`Dependence.bounds` of many, all of shapes that fit together; (0, 1) where n is 0."""
    trials = np.asarray(n, np.float64)
    size = effective_sizes(trials, effect, blocks, tail)
    unknown = np.full(np.broadcast(k, trials).shape, np.nan)
    share = np.divide(k, trials, out=unknown, where=trials > 0)
    return exact_tails(share * size, size, tail)
