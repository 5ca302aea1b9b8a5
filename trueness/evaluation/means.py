"""Mean of a quantity over some of many units that depend on each other, such as days with alarms.

Thirty alarms in three runs cannot tell how much the runs differ, but all days can: how far the
values of neighbouring days correlate, and how close to each other the alarms lie, gives their
effective sample size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import Residuals
from trueness.evaluation.influence import linear
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled

Array = NDArray[np.float64]
LEAST = 3.0
"""Smallest effective sample size of a mean that has an interval."""


@dataclass(frozen=True)
class Mean:
    """Mean of a quantity over some units, or a difference of two.

    Attributes
    ----------
    residuals : Residuals
        Of the quantity over all units.
    value : float
    weights : (n,) float64
        Of each unit in it.
    influence : (n,) float64
        What it owes to each unit.
    variance : float
        Of the quantity in one unit.
    effective : float
        Effective sample size; of a difference the smaller one.
    count : int
        Units averaged, of the first side.
    """

    residuals: Residuals
    value: float
    weights: Array
    influence: Array
    variance: float
    effective: float
    count: int

    @property
    def few(self) -> bool:
        """Whether the effective sample size is too small for an interval."""
        return self.effective < LEAST or self.residuals.blocks.few

    def minus(self, other: Mean) -> Mean:
        """The difference of two means over the same units."""
        return Mean(
            self.residuals, self.value - other.value, self.weights - other.weights,
            self.influence - other.influence, max(self.variance, other.variance),
            min(self.effective, other.effective), self.count,
        )  # fmt: skip

    def estimate(self, confidence: float) -> Estimate:
        """Value with Student's interval.

        The variance is the larger of two: that which all units give to these, known better where
        they are few, and the long-run variance of the influences, where they are many. Units whose
        values have in common what all units do not show have a smaller one than is said here: with
        means of their own in every run of alarms, one daily deviation apart, 91 to 94 % are
        covered.
        """
        if self.few:
            result = Resampled(self.value, np.empty(0), self.count, 1.0, float("nan"))
            return result.estimate(confidence)
        own = linear(self.value, self.influence, self.residuals.blocks).error ** 2
        own *= self.effective / (self.effective - 1)
        of_all = self.variance * self.residuals.of_weights(self.weights)
        size = self.effective if own <= of_all else max(2.0, self.effective * of_all / own)
        error = max(own, of_all) ** 0.5
        return Resampled(self.value, np.empty(0), self.count, size - 1, error).estimate(confidence)


def masked_mean(values: Array, mask: NDArray[np.bool_], blocks: Blocks) -> Mean:
    """Mean of some units.

    Parameters
    ----------
    values : (n,)
        Finite.
    mask : (n,) bool
        At least one unit.
    blocks : Blocks
        Of all units.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> returns, alarms = rng.normal(1, 2, 1000), rng.random(1000) < 0.06
    >>> result = masked_mean(returns, alarms, Blocks.of(1000, length=10))
    >>> print(f"{result.value:.2f}, {int(alarms.sum())} alarms, effective {result.effective:.0f}")
    0.90, 74 alarms, effective 73
    """
    residuals = Residuals.around(values - values.mean(), blocks)
    value, n = float(values[mask].mean()), int(mask.sum())
    weights = mask / n
    own = float(values[mask].var(ddof=1)) if n > 1 else 0.0
    return Mean(
        residuals, value, weights, weights * (values - value), max(own, float(values.var())),
        1 / residuals.of_weights(weights), n,
    )  # fmt: skip
