"""Whether models are better than the best of several baselines, without its winner's curse.

The baseline that is best on the same units is best there by chance as well, and models of equal
skill look worse than it. So each model is compared with every baseline at once. It is better than
the best one where it is better than each of them: an intersection-union test, which pays nothing
for their number. Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling" (1982). It is
worse where a simultaneous interval says so, which does pay for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from trueness.evaluation.differences import SMALLEST_ERROR, Differences, spread_between
from trueness.evaluation.inputs import check_confidence
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled, number
from trueness.evaluation.selection import Contrast, quantile_of_largest

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
    >>> result = against_best([model(0.70), model(0.80)], [model(0.70), model(0.71), model(0.69)])
    >>> [one.verdict for one in result]
    ['tied', 'better']
    """
    check_confidence(confidence)
    baselines = [one for one in baselines if np.isfinite(one.draws).all()] or baselines
    pairs = _Pairs.of(models, baselines)
    lower = float(ndtri((1 + confidence) / 2))
    upper = [quantile_of_largest(below, (1 + confidence) / 2) for below in pairs.below]
    low, high = pairs.spread.ends(lower)[0], pairs.spread.ends(np.array(upper)[:, None])[1]
    together = pairs.spread.ends(quantile_of_largest(pairs.largest, confidence))
    p = (1 - np.abs(pairs.spread.outside(pairs.largest).min(axis=1))).tolist()
    result = []
    for i, model in enumerate(models):
        alone = _estimate(pairs.spread.value[i], low[i], high[i], model.n, 1)
        adjusted = _estimate(pairs.spread.value[i], *(x[i] for x in together), model.n, len(models))
        result.append(Contrast(alone, adjusted, p[i] if adjusted.low is not None else None))
    return result


def _estimate(difference: Array, low: Array, high: Array, n: int, candidates: int) -> Estimate:
    """Smallest difference to a baseline, with the smallest of each end."""
    value = number(difference.min())
    if value is None or not (np.isfinite(low).all() and np.isfinite(high).all()):
        return Estimate(value, None, None, n, n_candidates=candidates)
    lower, upper = np.clip([low.min(), high.min()], -1, 1).tolist()  # both lie in [0, 1]
    return Estimate(value, lower, upper, n, n_candidates=candidates)


@dataclass(frozen=True)
class _Pairs:
    """Differences of m models to k baselines.

    Attributes
    ----------
    spread : Differences
        Of shape (m, k).
    below : (m, draws) float64
        How far the lowest of a model's differences lies below its value, in standard errors.
    largest : (draws,) float64
        Largest studentised deviation of any difference.
    """

    spread: Differences
    below: Array
    largest: Array

    @classmethod
    def of(cls, models: Sequence[Resampled], baselines: Sequence[Resampled]) -> _Pairs:
        values, draws = np.array([m.value for m in models]), np.array([m.draws for m in models])
        deviation = draws - values[:, None]
        below, largest = np.zeros(draws.shape), np.zeros(draws.shape[1])
        errors = []
        for one in baselines:
            moved = deviation - (one.draws - one.value)
            error = moved.std(axis=1, ddof=1)
            moving = error > SMALLEST_ERROR
            t = np.divide(moved, error[:, None], out=np.zeros_like(moved),
                          where=moving[:, None])  # fmt: skip
            below, largest = np.maximum(below, -t), np.maximum(largest, np.abs(t).max(axis=0))
            errors.append(error)
        return cls(spread_between(models, baselines, np.array(errors).T), below, largest)
