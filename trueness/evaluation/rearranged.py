"""Whether scores know anything of the labels: their sums against rearranged labels.

If scores and labels have nothing to do with each other, labels that are shifted along time by any
number of steps fit the scores as well as they did, whatever the dependence of either over time.
Where a time has several units the labels of whole times are shifted, and those of a time permuted
among its units. Texts and other units without an order are permuted, whole clusters at a time. All
models see the same rearrangements, so the largest of their standardised sums accounts for how many
there are and for how alike they are. Lancaster, Iatsenko, Pidde, Ticcinelli and Stefanovska,
"Surrogate data for hypothesis testing of physical systems" (2018); Westfall and Young,
"Resampling-Based Multiple Testing" (1993).

A trend that labels and scores share would read as skill, since no shift keeps it. So all is tested
twice, as it is and with a line over time taken off both, and the larger p-value counts: who knows
something of the labels passes both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.rearranged_labels import Labels
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.threads import in_threads

Array = NDArray[np.float64]
AT_ONCE = 32
"""Models whose sums are taken in one pass."""
ROUNDING = 1e-9
"""Standardised sums that differ by less are equal."""


@dataclass(frozen=True)
class Chance:
    """Standardised sums of some models, and the largest of all under each rearrangement.

    Attributes
    ----------
    observed : (tests, m) float64
        Standard deviations above the mean over all rearrangements, corrected for the seam; -inf of
        a model that does not tell units apart. The tests are those of `Labels`.
    single : (tests, m) float64
        P-value of each model by itself.
    spread : (tests, m) float64
        Standard deviation of its sums.
    largest : (tests, count) float64
        Largest standardised sum of any model, -inf without any.
    highest : (count,) float64
        Largest sum of any model as it is, the mean of the labels taken off.
    """

    observed: Array
    single: Array
    spread: Array
    largest: Array
    highest: Array

    @classmethod
    def of(cls, labels: Labels, values: Sequence[Array]) -> Chance:
        """Of values (n,) of each model: 1 for its alarms, or ranks.

        Examples
        --------
        >>> y = np.random.default_rng(0).random(500) < 0.3
        >>> from trueness.evaluation.blocks import Blocks
        >>> from trueness.evaluation.rearranged_labels import labels_of
        >>> labels = labels_of(y.astype(np.uint8), Blocks.of(500, time=np.arange(500), length=20))
        >>> Chance.of(labels, [y * 1.0]).p_value(0)
        0.002
        """
        chunks = [values[i : i + AT_ONCE] for i in range(0, len(values), AT_ONCE)]
        result = in_threads(lambda some: cls._of_some(labels, some), chunks)
        nobody, nothing = np.empty((labels.tests, 0)), np.full(labels.count, -np.inf)
        empty = cls(nobody, nobody, nobody, np.tile(nothing, (labels.tests, 1)), nothing)
        return reduce(cls.joined, result, empty)

    @classmethod
    def _of_some(cls, labels: Labels, values: Sequence[Array]) -> Chance:
        """Of so many values as are held at once."""
        each = np.array(values, np.float64)
        sums, seam = labels.rearranged(each)
        spread = sums.std(axis=2, keepdims=True)
        moves = spread > ROUNDING * (1 + np.abs(sums).max(axis=2, keepdims=True))
        z = (sums - sums.mean(axis=2, keepdims=True)) / np.where(moves, spread, 1)
        z[..., 0] *= np.sqrt(seam)
        z[~moves[..., 0]] = -np.inf
        single = (z >= z[..., :1] - ROUNDING).mean(axis=2)
        return cls(z[..., 0].copy(), single, spread[..., 0], z.max(axis=1), sums[0].max(axis=0))

    def joined(self, other: Chance) -> Chance:
        """Both families as one."""
        rows = (
            np.concatenate([getattr(self, name), getattr(other, name)], axis=1)
            for name in ("observed", "single", "spread")
        )
        return Chance(
            *rows, np.maximum(self.largest, other.largest), np.maximum(self.highest, other.highest)
        )

    def p_value(self, model: int, further: int = 0) -> float:
        """P-value of a model, adjusted for all of them and for so many that are not here.

        The share of rearrangements in which the largest of all reaches it; each model that is not
        here adds the p-value of this one by itself (Bonferroni). The larger of both tests.
        """
        joint = (self.largest >= self.observed[:, [model]] - ROUNDING).mean(axis=1)
        return min(1.0, float((joint + further * self.single[:, model]).max()))

    def needed(self, model: int, confidence: float) -> float:
        """Sum that chance rarely gives a model among all, in both tests; infinite without any."""
        if not np.isfinite(self.largest).all():
            return float("inf")
        critical = np.quantile(self.largest, confidence, axis=1)
        return float((critical * self.spread[:, model]).max())


def alarm_values(ranked: SortedScores, alarms: int) -> Array:
    """1 for the highest scores, at most so many, 0 for the others, (n,)."""
    values = np.zeros(len(ranked.y))
    values[ranked.order[: ranked.above(alarms)]] = 1.0
    return values


def rank_values(ranked: SortedScores) -> Array:
    """Rank of each score from 0 for the lowest, equal ones at their mean, (n,); sums are AUCs."""
    sizes = np.diff(ranked.ends, prepend=0)
    values = np.empty(len(ranked.y))
    values[ranked.order] = np.repeat(len(ranked.y) - ranked.ends + (sizes - 1) / 2, sizes)
    return values
