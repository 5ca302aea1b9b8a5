"""Statistics of many models on the same units and on the same resamples of them.

The units are resampled once for all models, so that every comparison sees the same resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import at_least
from trueness.evaluation.blocks import DRAWS, Blocks, Bootstrap, Weights
from trueness.evaluation.inputs import InputError, Labels, labels_and_scores
from trueness.evaluation.intervals import Estimate, percentile_interval
from trueness.evaluation.threads import in_threads

Array = NDArray[np.float64]
Index = NDArray[np.int64]
MANY_UNITS = 60_000
"""Beyond, sums of pairs of units leave 32 bits."""


@dataclass(frozen=True)
class Resampled:
    """A statistic of n units and its values on resamples, (draws,); NaN where undefined.

    The units were resampled in so many `blocks`.
    """

    value: float
    draws: Array
    n: int
    blocks: int

    def estimate(self, confidence: float) -> Estimate:
        """Value with the percentile interval."""
        low, high = percentile_interval(self.draws, confidence)
        return Estimate(number(self.value), low, high, self.n)


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


@dataclass(frozen=True)
class Resamples:
    """How often each of n units counts in each draw, and what is the same for all models.

    Attributes
    ----------
    weights : (n, draws) uint8 or uint16
    total : (draws,)
        Units of each draw.
    zeros : (draws,)
        Of the type that sums pairs of units exactly.
    """

    weights: Weights
    total: NDArray[np.integer]
    zeros: NDArray[Any]

    @classmethod
    def of(cls, weights: Weights) -> Resamples:
        """Of weights (n, draws)."""
        total = weights.sum(axis=0)
        exact = np.int32 if total.max() <= MANY_UNITS else np.float64
        return cls(weights, total, np.zeros(weights.shape[1], exact))


def ranking(
    ranked: SortedScores, resamples: Resamples, *, precision_too: bool = True
) -> tuple[Array, Array]:
    """AUC and average precision of each draw, (draws,) each; the second only if asked for."""
    from trueness.evaluation.kernels import ranking_of_draws

    return ranking_of_draws(
        resamples.weights, ranked.positive, ranked.order, ranked.ends, resamples.zeros,
        precision_too,
    )  # fmt: skip


def auc_in_folds(ranked: SortedScores, resamples: Resamples, fold: Index) -> Array:
    """Mean of the AUCs inside each fold (n,) that has both classes, (draws,)."""
    from trueness.evaluation.kernels import ranking_of_draws

    weights, positive, zeros = resamples.weights, ranked.positive, resamples.zeros
    aucs = [
        ranking_of_draws(weights, positive, order, ends, zeros, False)[0]
        for order, ends in ranked.in_folds(fold)
    ]
    return np.mean(aucs, axis=0) if aucs else np.full(len(zeros), np.nan)


def resampled_aucs(
    y_true: object, scores: Iterable[object], *, blocks: Blocks, draws: int = DRAWS,
    bootstrap: Bootstrap = "circular",
) -> list[Resampled]:  # fmt: skip
    """AUC of several models on the same units, each on the same resamples.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    scores : iterable of (n,)
    blocks : Blocks
        Of the n units.
    draws : int
    bootstrap : {"circular", "stationary"}
        See `Blocks.weights`.

    Returns
    -------
    list of Resampled
        Draws are NaN where a resample lacks a class, all of them with fewer than five blocks.

    Examples
    --------
    >>> y = np.tile([0, 0, 1, 0], 50)
    >>> (auc,) = resampled_aucs(y, [y + np.arange(200) / 100], blocks=Blocks.of(200, length=5))
    >>> print(auc.estimate(0.95))
    0.877 (0.828–0.929)
    """

    def auc(ranked: SortedScores, resamples: Resamples) -> tuple[Array, int]:
        return ranking(ranked, resamples, precision_too=False)[0], len(ranked.y)

    return _on_resamples(y_true, scores, auc, blocks, draws, bootstrap)


def resampled_precisions(
    y_true: object, scores: Iterable[object], *, alarms: int, blocks: Blocks, draws: int = DRAWS,
    bootstrap: Bootstrap = "circular",
) -> list[Resampled]:  # fmt: skip
    """Precision of several models at the same number of alarms, on the same resamples.

    The cut is found anew in every resample, so that each raises exactly `alarms` alarms there: a
    fixed cut would raise as many as the resample happens to hold, none where the alarms of one
    turbulent month are left out, and would hide that the cut itself is uncertain.

    NOTE[DIFF]: scores tied at the edge share what is left of the budget, as if the order among them
    were random; `measure` leaves them out.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    scores : iterable of (n,)
    alarms : int
        Budget, at least 1; all units if it is larger.
    blocks, draws, bootstrap
        As for `resampled_aucs`.

    Returns
    -------
    list of Resampled
        Its `n` is the number of alarms.
    """
    alarms = at_least("alarms", alarms, 1)

    def precision(ranked: SortedScores, resamples: Resamples) -> tuple[Array, int]:
        from trueness.evaluation.kernels import precision_of_draws

        n = min(alarms, len(ranked.y))
        values = precision_of_draws(
            resamples.weights, ranked.positive, ranked.order, ranked.ends, n
        )
        return values, n

    return _on_resamples(y_true, scores, precision, blocks, draws, bootstrap)


def _on_resamples(
    y_true: object, scores: Iterable[object],
    statistic: Callable[[SortedScores, Resamples], tuple[Array, int]], blocks: Blocks, draws: int,
    bootstrap: Bootstrap,
) -> list[Resampled]:  # fmt: skip
    """A statistic of the units as they are and of each resample, with what it is a share of."""
    resamples = Resamples.of(blocks.weights(draws, bootstrap=bootstrap))

    def one(score: object) -> Resampled:
        ranked = SortedScores.of(y_true, score)
        check_size(blocks, len(ranked.y))
        values, n = statistic(ranked, resamples)
        return resampled(values, n, blocks.count, draws)

    return in_threads(one, scores)


def resampled(values: Array, n: int, blocks: int, draws: int = DRAWS) -> Resampled:
    """Statistic of n units from its value and those of its draws; NaN where there are none."""
    missing = np.full(1 + draws - len(values), np.nan)
    return Resampled(float(values[0]), np.append(values[1:], missing), n, blocks)


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
    """Mean of several, draw by draw."""
    if not replicates:
        raise InputError("nothing to average; at least one model is needed on each side", "empty")
    first = replicates[0]
    if len(replicates) == 1:
        return first
    draws = np.mean([r.draws for r in replicates], axis=0)
    return Resampled(float(np.mean([r.value for r in replicates])), draws, first.n, first.blocks)


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
    return Resampled(one.value - other.value, one.draws - other.draws, one.n, one.blocks)
