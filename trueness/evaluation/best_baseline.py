"""Whether models are better than the best of several baselines, without its winner's curse.

The baseline that is best on the same units is best there by luck as well, and models of equal skill
look worse than it. So each model is compared with every baseline at once. It is better than the
best one where it is better than each of them: an intersection-union test, which pays nothing for
their number. Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling" (1982). It is
worse where a simultaneous interval says so, which does pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from trueness.evaluation.inputs import check_confidence
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled, number
from trueness.evaluation.selection import (
    SMALLEST_ERROR,
    Contrast,
    max_t_critical,
    p_of_largest,
)

Array = NDArray[np.float64]


def against_best(
    models: Sequence[Resampled], baselines: Sequence[Resampled], confidence: float = 0.95
) -> list[Contrast]:
    """Each model minus the best of the baselines, in a measure between 0 and 1.

    Parameters
    ----------
    models : sequence of m Resampled
        Joint draws on the same units.
    baselines : sequence of Resampled
        At least one; those without draws are left out if others have some.
    confidence : float
        In (0, 1).

    Returns
    -------
    list of m Contrast
        The value is the difference to the baseline that is best on these units. Intervals are about
        the difference to the truly best one: pointwise for one model, simultaneous for all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def model(auc):
    ...     return Resampled(auc, auc + rng.normal(0, 0.01, 1000), 3000, 30)
    >>> found = against_best([model(0.70), model(0.80)], [model(0.70), model(0.71), model(0.69)])
    >>> [one.verdict for one in found]
    ['tied', 'better']
    """
    check_confidence(confidence)
    baselines = [one for one in baselines if np.isfinite(one.draws).all()] or baselines
    pairs = _Pairs.of(models, baselines)
    freedom = min(one.freedom for one in (*models, *baselines))
    critical = max_t_critical(pairs.largest, freedom, confidence)
    lower = float(stdtrit(freedom, (1 + confidence) / 2))
    found = []
    for i, model in enumerate(models):
        difference, error = pairs.difference[i], pairs.error[i]
        upper = max_t_critical(pairs.below[i], freedom, (1 + confidence) / 2)
        moving = error > SMALLEST_ERROR
        t = np.divide(difference, error, out=np.zeros_like(error), where=moving)
        defined = bool(np.isfinite(error).all())
        found.append(Contrast(
            _estimate(difference, error * lower, error * upper, model.n, 1),
            _estimate(difference, error * critical, error * critical, model.n, len(models)),
            p_of_largest(pairs.largest, float(t.min()), freedom) if defined else None,
        ))  # fmt: skip
    return found


def _estimate(difference: Array, low: Array, high: Array, n: int, candidates: int) -> Estimate:
    """Smallest difference to a baseline, with the smallest of each end."""
    value = number(difference.min())
    if value is None or not (np.isfinite(low).all() and np.isfinite(high).all()):
        return Estimate(value, None, None, n, n_candidates=candidates)
    ends = (difference - low).min(), (difference + high).min()
    lower, upper = np.clip(ends, -1, 1).tolist()  # both measures lie in [0, 1]
    return Estimate(value, lower, upper, n, n_candidates=candidates)


@dataclass(frozen=True)
class _Pairs:
    """Differences of m models to k baselines.

    Attributes
    ----------
    difference, error : (m, k) float64
        And their standard errors; NaN without draws.
    below : (m, draws) float64
        How far the lowest of a model's differences lies below its value, in standard errors.
    largest : (draws,) float64
        Largest studentised deviation of any difference.
    """

    difference: Array
    error: Array
    below: Array
    largest: Array

    @classmethod
    def of(cls, models: Sequence[Resampled], baselines: Sequence[Resampled]) -> _Pairs:
        values, draws = np.array([m.value for m in models]), np.array([m.draws for m in models])
        deviation = draws - values[:, None]
        below, largest = np.zeros(draws.shape), np.zeros(draws.shape[1])
        differences, errors = [], []
        for one in baselines:
            moved = deviation - (one.draws - one.value)
            error = moved.std(axis=1, ddof=1)
            moving = error > SMALLEST_ERROR
            t = np.divide(moved, error[:, None], out=np.zeros_like(moved),
                          where=moving[:, None])  # fmt: skip
            below, largest = np.maximum(below, -t), np.maximum(largest, np.abs(t).max(axis=0))
            differences.append(values - one.value)
            errors.append(error)
        return cls(np.array(differences).T, np.array(errors).T, below, largest)
