"""Estimate, the only form in which a number travels, and the intervals it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy  # loads a part on its first use
from numpy.typing import ArrayLike, NDArray

from trueness.document import numbers
from trueness.evaluation.inputs import InputError, check_confidence

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, its counts, and where it was chosen and measured.

    Attributes
    ----------
    value : float or None
        None if it is undefined, such as the precision of no alarms.
    low, high : float or None
        Ends of the confidence interval.
    n : int
        Examples it rests on; alarms for a precision, positives for a recall.
    k : int or None
        Hits among the n, where the value is k / n.
    chosen_on, measured_on : str
        Parts of the data that picked the model's weights, and that gave the value.
    n_candidates : int
        Candidates it was picked from.

    Examples
    --------
    >>> print(Estimate.proportion(6, 7, chosen_on="validation", measured_on="validation"))
    86 % (42–100) · 6/7
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    k: int | None = None
    chosen_on: str = ""
    measured_on: str = ""
    n_candidates: int = 1

    @classmethod
    def proportion(
        cls, k: int, n: int, *, confidence: float = 0.95, chosen_on: str = "", measured_on: str = ""
    ) -> Self:
        """K hits of n with the exact interval; undefined for n = 0."""
        low, high = clopper_pearson(k, n, confidence)
        return cls(k / n if n else None, low, high, n, k, chosen_on, measured_on)

    def with_candidates(self, n_candidates: int) -> Self:
        """The same number, known to be picked from so many candidates."""
        content: dict[str, Any] = {**vars(self), "n_candidates": n_candidates}
        return type(self)(**content)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return vars(self).copy()

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        names = cls.__dataclass_fields__
        return cls(**{name: content[name] for name in names if name in content})

    def __str__(self) -> str:
        return numbers.estimate(self) if self.k is None else numbers.share(self)


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a binomial proportion; see `exact_bounds`.

    Parameters
    ----------
    k, n : int
        Hits and trials, 0 <= k <= n.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : float
        (0, 1) for n = 0.

    Examples
    --------
    >>> low, high = clopper_pearson(6, 7)
    >>> round(low, 3), round(high, 3)
    (0.421, 0.996)
    """
    if k != int(k) or n != int(n):
        raise InputError(f"{k} hits of {n}: whole numbers are needed", "counts")
    low, high = exact_bounds(k, n, confidence)
    return float(low), float(high)


def exact_bounds(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Array, Array]:
    """Exact intervals of binomial proportions; (0, 1) where n is 0.

    They cover the true proportion with at least the stated confidence. Clopper and Pearson, "The
    use of confidence or fiducial limits illustrated in the case of the binomial" (1934).

    Parameters
    ----------
    k, n : array_like
        Hits and trials, 0 <= k <= n; means over replicates and effective sizes need not be whole.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : float64
        Of the shape of k and n.

    Examples
    --------
    >>> low, high = exact_bounds([0, 6], [0, 7])
    >>> low.round(3), high.round(3)
    (array([0.   , 0.421]), array([1.   , 0.996]))
    """
    check_confidence(confidence)
    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    if not ((k >= 0) & (k <= n)).all():
        raise InputError(
            f"{k} hits of {n} is no proportion; 0 <= hits <= trials is needed"
            if k.ndim == 0
            else "hits must lie between 0 and the number of trials",
            "counts",
        )
    return exact_tails(k, n, (1 - confidence) / 2)


def exact_tails(k: Array, n: Array, tail: Array | float) -> tuple[Array, Array]:
    """Ends that are missed with at most the probability `tail` each; NaN counts give (0, 1)."""
    quantile = scipy.special.betaincinv
    low = np.where(k > 0, quantile(np.where(k > 0, k, 1.0), n - k + 1, tail), 0.0)
    high = np.where(k < n, quantile(k + 1, np.where(k < n, n - k, 1.0), 1 - tail), 1.0)
    return low, high


def replicated_proportion(shares: Sequence[Estimate], confidence: float = 0.95) -> Estimate:
    """Proportions of several replicates on the same units as one: counts summed, interval of one.

    Another seed brings no new units, so the interval is the exact one of the mean counts.

    Examples
    --------
    >>> print(replicated_proportion([Estimate.proportion(5, 7), Estimate.proportion(7, 7)]))
    86 % (42–100) · 12/14
    """
    if not shares:
        raise InputError("no proportions; at least one is needed", "empty")
    hits, trials, first = sum(s.k or 0 for s in shares), sum(s.n for s in shares), shares[0]
    ends = exact_bounds(hits / len(shares), trials / len(shares), confidence)
    value, (low, high) = hits / trials if trials else None, map(float, ends)
    return Estimate(value, low, high, trials, hits, first.chosen_on, first.measured_on)


def percentile_interval(draws: Array, confidence: float) -> tuple[float | None, float | None]:
    """Central interval of bootstrap draws, undefined ones left out; None if none is defined."""
    defined = draws[np.isfinite(draws)]
    if not len(defined):
        return None, None
    tail, ordered = 100 * (1 - confidence) / 2, np.sort(defined)
    return _between_draws(ordered, tail / 100), _between_draws(ordered, (100 - tail) / 100)


def _between_draws(ordered: Array, share: float) -> float:
    """Linear quantile of sorted draws as `numpy.quantile` rounds it, without its overhead."""
    place = (len(ordered) - 1) * share
    below = min(int(place), len(ordered) - 1)
    left, right = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    beyond = place - below
    if beyond >= 0.5:
        return right - (right - left) * (1 - beyond)
    return left + (right - left) * beyond
