"""What remains of a difference when it was one of many: simultaneous intervals and p-values.

The units are resampled once for all models, so that every comparison sees the same resamples. The
simultaneous intervals are those of the studentised maximum: White, "A Reality Check for Data
Snooping" (2000); Romano and Wolf, "Stepwise Multiple Testing as Formalized Data Snooping" (2005),
its first step, so that the verdict is what the interval shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.differences import (
    SMALLEST_ERROR,
    small_sample_critical,
    spread_of,
)
from trueness.evaluation.inputs import InputError, check_confidence
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import Resampled, mean_difference, number
from trueness.evaluation.threads import in_threads

Array = NDArray[np.float64]
Verdict: TypeAlias = Literal["better", "worse", "tied", "unknown"]
DRAWS_AT_ONCE = 128
"""Draws of all pairs that stay in the cache."""


@dataclass(frozen=True)
class Contrast:
    """A difference with the interval it has alone, and the one it has among its companions.

    Attributes
    ----------
    pointwise, simultaneous : Estimate
    p : float or None
        Adjusted for the companions: the share of draws whose largest studentised deviation is a
        critical value at which the interval holds 0. It is at most 1 minus the confidence where the
        simultaneous interval leaves out 0 (up to the interpolation of its quantile); 0 says that no
        draw went so far. None where there is no interval.
    """

    pointwise: Estimate
    simultaneous: Estimate
    p: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Better or worse if the simultaneous interval leaves 0 out; unknown if there is none."""
        low, high = self.simultaneous.low, self.simultaneous.high
        if low is None or high is None:
            return "unknown"
        return "better" if low > 0 else "worse" if high < 0 else "tied"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**asdict(self), "verdict": self.verdict}


def _contrasts(
    differences: Sequence[Resampled], error: Array, largest: Array, size: int, confidence: float
) -> list[Contrast]:
    """Contrasts of differences with their standard errors, (m,).

    Parameters
    ----------
    differences : sequence of m Resampled
    error : (m,)
    largest : (draws,)
        Largest deviation of the family in each draw, in standard errors; NaN where one of them is
        undefined.
    size : int
        Members of the family.
    confidence : float
    """
    spread = spread_of(differences, error)
    ends = (x.tolist() for x in spread.ends(quantile_of_largest(largest, confidence)))
    result = []
    p = (1 - np.abs(spread.outside(largest[np.isfinite(largest)]))).tolist()
    unknown = ((error <= SMALLEST_ERROR) & (np.abs(spread.value) > SMALLEST_ERROR)).tolist()
    for one, low, high, share, nothing in zip(differences, *ends, p, unknown, strict=True):
        interval = (None, None) if nothing else (number(low), number(high))
        together = Estimate(number(one.value), *interval, one.n, n_candidates=size)
        alone, p_value = one.estimate(confidence), None if interval[0] is None else share
        result.append(Contrast(alone, together, p_value))
    return result


def simultaneous_contrasts(
    differences: Sequence[Resampled], confidence: float = 0.95
) -> list[Contrast]:
    """Pointwise and simultaneous intervals of differences that were resampled together.

    All simultaneous intervals cover their differences at once with about the stated confidence:
    ``d ± c s`` with s the standard error over the draws and c the quantile of the largest
    ``|d* - d| / s`` of a draw. A difference that no resample moves from 0 is exactly [0, 0].

    The spread of the draws is estimated, so c goes from the normal to Student's quantile of as many
    degrees of freedom as each difference has, see `small_sample_critical`. Where all are
    differences of precisions, c is the level at which each precision has its bounds, see `Apart`.

    Examples
    --------
    >>> same = Resampled(0.0, np.zeros(100), 500, 25)
    >>> simultaneous_contrasts([same])[0].verdict
    'tied'
    """
    check_confidence(confidence)
    if not differences:
        return []
    values, draws = _together(differences)
    error = _errors(draws)
    moving = error > SMALLEST_ERROR  # not where it is undefined
    t = np.abs(draws[moving] - values[moving, None]) / error[moving, None]
    largest = t.max(axis=0, initial=0.0)
    return _contrasts(differences, error, largest, len(differences), confidence)


def contrasts_with_leader(
    candidates: Sequence[Resampled], leader: int, confidence: float = 0.95,
    largest: Array | None = None,
) -> list[Contrast]:  # fmt: skip
    """Leader minus each other candidate, corrected for the leader being the best of the same units.

    Who leads is chance too, so the critical value is that of all pairs of candidates, not only of
    those with this leader: no candidate of equal worth is told from whichever one leads, with about
    the stated confidence. Tukey, "The problem of multiple comparisons" (1953); the range statistic
    of Hansen, Lunde and Nason, "The Model Confidence Set" (2011), its first step.

    Parameters
    ----------
    candidates : sequence of Resampled
        On the same resampled units.
    leader : int
        Position of the leader among them.
    confidence : float
        In (0, 1).
    largest : (draws,) float64, optional
        `largest_of_pairs` of the same candidates, if it is known.

    Returns
    -------
    list of Contrast
        In the order of the other candidates; ``n_candidates`` is the number of candidates.
    """
    check_confidence(confidence)
    if not 0 <= leader < len(candidates):
        raise InputError(
            f"no candidate {leader} among {len(candidates)} to be the leader", "leader"
        )
    others = [one for i, one in enumerate(candidates) if i != leader]
    differences = [mean_difference([candidates[leader]], [other]) for other in others]
    draws = _together(candidates)[1]
    error = np.delete(_errors(draws[leader] - draws), leader)
    known = largest_of_pairs(candidates) if largest is None else largest
    return _contrasts(differences, error, known, len(candidates), confidence)


def largest_of_pairs(candidates: Sequence[Resampled]) -> Array:
    """Largest studentised deviation of a difference of two candidates, in each draw.

    It does not depend on who leads, so it can be kept.

    Returns
    -------
    (draws,) float64
        NaN in draws in which one of them is undefined, and all NaN with fewer than two candidates;
        0 where no difference moves. A candidate that is undefined in all draws has no part in it.
    """
    from trueness.evaluation.kernels import largest_deviations

    there = [c for c in candidates if np.isfinite(c.draws).any()]
    largest = np.full(len(candidates[0].draws), np.nan)
    if len(there) < 2:
        return largest
    every = np.array([c.draws for c in there])
    defined = np.isfinite(every).all(axis=0)
    if defined.sum() < 2:
        return largest
    draws = every[:, defined]
    deviation = draws - np.array([c.value for c in there])[:, None]
    spread = np.cov(draws)
    square = spread.diagonal() + spread.diagonal()[:, None] - 2 * spread
    moving = square > SMALLEST_ERROR**2
    scale = np.divide(1.0, np.sqrt(np.abs(square)), out=np.zeros_like(square), where=moving)

    def part(start: int) -> Array:
        some = np.ascontiguousarray(deviation[:, start : start + DRAWS_AT_ONCE])
        return largest_deviations(some, scale)

    largest[defined] = np.concatenate(in_threads(part, range(0, draws.shape[1], DRAWS_AT_ONCE)))
    return largest


def max_t_critical(largest: Array, freedom: float, confidence: float = 0.95) -> float:
    """Student's critical value of the largest deviation, from its values in the draws.

    Examples
    --------
    >>> round(max_t_critical(np.linspace(0, 4, 101), freedom=39), 2)
    4.21
    """
    return float(small_sample_critical(quantile_of_largest(largest, confidence), freedom))


def quantile_of_largest(largest: Array, confidence: float = 0.95) -> float:
    """Quantile of the largest deviation over the draws; 0 if it is defined in none."""
    check_confidence(confidence)
    defined = largest[np.isfinite(largest)]
    return float(np.quantile(defined, confidence)) if len(defined) else 0.0


def _together(statistics: Sequence[Resampled]) -> tuple[Array, Array]:
    """Values (m,) and the draws (m, draws) in which all are defined that are defined at all."""
    draws = np.array([s.draws for s in statistics])
    defined = np.isfinite(draws)
    there = defined.any(axis=1)
    return np.array([s.value for s in statistics]), draws[:, defined[there].all(axis=0)]


def _errors(draws: Array) -> Array:
    """Standard deviation over the draws (m, draws), (m,); NaN with fewer than two."""
    return draws.std(axis=1, ddof=1) if draws.shape[1] > 1 else np.full(len(draws), np.nan)
