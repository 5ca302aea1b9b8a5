"""Statistics of many models on the same units and on the same resamples of them.

The units are resampled once for all models, so that every comparison sees the same resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtri, stdtrit

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.dependence import INDEPENDENT, Dependence
from trueness.evaluation.differences import Apart
from trueness.evaluation.inputs import InputError, Labels, labels_and_scores
from trueness.evaluation.intervals import Estimate

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Resampled:
    """A statistic of n units and its joint draws with others.

    Attributes
    ----------
    value : float
    draws : (draws,) float64
        NaN where undefined.
    n : int
        Units, or the alarms that a precision is a share of.
    freedom : float
        Degrees of freedom of the standard error.
    known_error : float, optional
        Standard error where it is known exactly; else it is the spread of the draws.
    depends : Dependence, optional
        Of a precision: how much its hits depend on each other.
    sides : (Resampled, Resampled), optional
        Of a difference of two precisions: both.
    """

    value: float
    draws: Array
    n: int
    freedom: float
    known_error: float | None = None
    depends: Dependence | None = None
    sides: tuple[Resampled, Resampled] | None = None

    @property
    def dependence(self) -> Dependence:
        """How much hits depend on each other; not at all where nothing is said."""
        return INDEPENDENT if self.depends is None else self.depends

    @property
    def error(self) -> float:
        """Standard error; NaN where there is none."""
        if self.known_error is not None:
            return self.known_error
        defined = self.draws[np.isfinite(self.draws)]
        return float(defined.std(ddof=1)) if len(defined) > 1 else float("nan")

    def estimate(self, confidence: float) -> Estimate:
        """Value with Student's interval; a difference of two precisions has that of `Apart`."""
        value, error = self.value, self.error
        if self.sides is None:
            half = self._critical(confidence) * error
            low, high = value - half, value + half
        else:
            one, other = ([side] for side in self.sides)
            ends = Apart.of(one, other, np.array([error])).ends(ndtri((1 + confidence) / 2))
            low, high = np.concatenate(ends).tolist()
        return Estimate(number(value), number(low), number(high), self.n)

    def proportion(self, confidence: float) -> Estimate:
        """Value between 0 and 1 with Student's interval on the scale of log-odds.

        A precision has the exact interval of its effective number of alarms; others have none at 0
        and at 1, where log-odds have no end.
        """
        value, error = self.value, self.error
        if self.depends is not None:
            hits = value * self.n if self.n else 0.0
            low, high = self.depends.bounds(hits, self.n, (1 - confidence) / 2)
            return Estimate(number(value), low, high, self.n, round(hits))
        if not (0 < value < 1 and np.isfinite(error)):
            return Estimate(number(value), None, None, self.n)
        half = self._critical(confidence) * error / (value * (1 - value))
        low, high = expit(logit(value) + np.array([-half, half])).tolist()
        return Estimate(value, low, high, self.n)

    def _critical(self, confidence: float) -> float:
        return float(stdtrit(self.freedom, (1 + confidence) / 2))


def number(value: float) -> float | None:
    """The number, or None if it is not finite."""
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True)
class SortedScores:
    """Labels and scores (n,), with the units by falling score.

    Attributes
    ----------
    y : (n,) uint8
    score : (n,) float64
    order : (n,) int64
        Units by falling score, equal ones in the order given.
    ends : (groups,) int64
        Position after the last of each group of equal scores.
    """

    y: Labels
    score: Array
    order: Index
    ends: Index

    @classmethod
    def of(cls, y_true: object, y_score: object) -> SortedScores:
        """Of labels and scores (n,), which are checked.

        Raises
        ------
        InputError
        """
        return cls.of_checked(*labels_and_scores(y_true, y_score))

    @classmethod
    def of_checked(cls, y: Labels, score: Array) -> SortedScores:
        """Of labels and scores (n,) that `labels_and_scores` has let through."""
        order = np.argsort(-score, kind="stable")
        return cls(y, score, order, _ends(score[order]))

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Which labels are 1, (n,)."""
        return self.y.view(np.bool_)

    def in_folds(self, fold: Index) -> list[tuple[Index, Index]]:
        """Order and ends of the units of each fold (n,) that has both classes."""
        by_fold = self.order[np.argsort(fold[self.order], kind="stable")]
        parts = np.split(by_fold, np.flatnonzero(np.diff(fold[by_fold])) + 1)
        return [
            (part, _ends(self.score[part]))
            for part in parts
            if 0 < np.count_nonzero(self.y[part]) < len(part)
        ]

    def above(self, alarms: int) -> int:
        """Units that score above the one after so many alarms: ties at the edge stay out."""
        if alarms >= len(self.order):
            return len(self.order)
        return int(np.append(0, self.ends)[np.searchsorted(self.ends, alarms, "right")])


def _ends(falling: Array) -> Index:
    return np.append(np.flatnonzero(falling[1:] != falling[:-1]) + 1, len(falling))


def check_size(blocks: Blocks, n: int) -> None:
    """Refuse blocks of another number of units.

    Raises
    ------
    InputError
        With the code ``length``.
    """
    if blocks.n != n:
        raise InputError(f"blocks of {blocks.n} units for {n} labels", "length")


def mean_of(replicates: Sequence[Resampled]) -> Resampled:
    """Mean of several, draw by draw.

    A mean precision depends on as few units as that of them which depends most: another seed brings
    no new units.
    """
    if not replicates:
        raise InputError("nothing to average; at least one model is needed on each side", "empty")
    first = replicates[0]
    if len(replicates) == 1:
        return first
    draws = np.mean([r.draws for r in replicates], axis=0)
    known = [r.depends for r in replicates if r.depends is not None]
    depends = max(known, key=lambda one: one.effect, default=None)
    value = float(np.mean([r.value for r in replicates]))
    return Resampled(value, draws, first.n, first.freedom, depends=depends)


def mean_difference(candidate: Sequence[Resampled], reference: Sequence[Resampled]) -> Resampled:
    """Mean of the replicates of a candidate minus that of its reference, draw by draw.

    With as many of each, it is the mean of the paired differences.

    Examples
    --------
    >>> a = Resampled(0.7, np.array([0.6, 0.8]), 9, 9)
    >>> b = Resampled(0.6, np.array([0.6, 0.6]), 9, 9)
    >>> mean_difference([a], [b]).draws.round(3)
    array([0. , 0.2])
    """
    one, other = mean_of(candidate), mean_of(reference)
    sides = None if one.depends is None or other.depends is None else (one, other)
    draws = one.draws - other.draws
    return Resampled(one.value - other.value, draws, one.n, one.freedom, sides=sides)
