"""Estimate, the only form in which a number travels, and the intervals it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from trueness.document import numbers
from trueness.errors import TruenessError, at_least

FEWEST_BLOCKS = 5
Bootstrap: TypeAlias = Literal["circular", "stationary"]


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

    def chosen_among(self, n_candidates: int) -> Self:
        """The same number, known to be picked from so many candidates."""
        return replace(self, n_candidates=n_candidates)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(**{f.name: content[f.name] for f in fields(cls) if f.name in content})

    def __str__(self) -> str:
        return numbers.estimate(self) if self.k is None else numbers.share(self)


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact interval of a binomial share.

    It covers the true share with at least the stated confidence. Clopper and Pearson, "The use of
    confidence or fiducial limits illustrated in the case of the binomial" (1934).

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
    if not 0 <= k <= n or k != int(k) or n != int(n):
        raise TruenessError(f"{k} hits of {n} is not a share; 0 <= hits <= trials is needed")
    if not 0 < confidence < 1:
        raise TruenessError(f"confidence {confidence} must lie between 0 and 1")
    return _exact(k, n, confidence)


def _exact(k: float, n: float, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return low, high


def replicated_proportion(shares: Sequence[Estimate], confidence: float = 0.95) -> Estimate:
    """Proportions of several replicates on the same days as one: counts summed, interval as for one.

    Another seed brings no new days, so the interval is the exact one of the mean counts.

    Examples
    --------
    >>> print(replicated_proportion([Estimate.proportion(5, 7), Estimate.proportion(7, 7)]))
    86 % (42–100) · 12/14
    """
    if not shares:
        raise TruenessError("no shares; at least one is needed")
    hits, trials, first = sum(s.k or 0 for s in shares), sum(s.n for s in shares), shares[0]
    low, high = _exact(hits / len(shares), trials / len(shares), confidence)
    value = hits / trials if trials else None
    return Estimate(value, low, high, trials, hits, first.chosen_on, first.measured_on)


DRAWS = 1000
"""Bootstrap draws unless said otherwise."""


def block_weights(
    n: int, block: int, draws: int = DRAWS, seed: int = 0, bootstrap: Bootstrap = "circular"
) -> NDArray[np.float32]:
    """How often each of n consecutive days occurs in each draw of a block bootstrap.

    Circular: blocks of equal length, wrapping around at the end. Politis and Romano, "A circular
    block-resampling procedure for stationary data" (1992). Stationary: lengths are geometric with
    mean `block`. Politis and Romano, "The Stationary Bootstrap" (1994). The same arguments give the
    same draws, so statistics of several models on the same days are paired.

    With fewer than five blocks the draws say nothing about chance: all weights are then NaN.

    Parameters
    ----------
    n : int
        Days in time order.
    block : int
        Days per block, or their mean.
    draws, seed : int
    bootstrap : "circular" or "stationary"

    Returns
    -------
    (draws, n) float32
        Rows sum to n; NaN if there are fewer than five blocks.

    Examples
    --------
    >>> block_weights(10, 2, draws=3).sum(axis=1)
    array([10., 10., 10.], dtype=float32)
    """
    n, block = at_least("days", n, 1), at_least("block", block, 1)
    draws, seed = at_least("draws", draws, 1), at_least("seed", seed, 0)
    if bootstrap not in get_args(Bootstrap):
        raise TruenessError(
            f"unknown bootstrap {bootstrap!r}; choose from {', '.join(get_args(Bootstrap))}"
        )
    if n < FEWEST_BLOCKS * block:
        return np.full((draws, n), np.nan, np.float32)
    rng, drawn = np.random.default_rng(seed), _circular if bootstrap == "circular" else _stationary
    flat = drawn(rng, n, block, draws) + n * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float32)


def _circular(rng: np.random.Generator, n: int, block: int, draws: int) -> NDArray[np.int64]:
    starts = rng.integers(0, n, (draws, -(-n // block)))
    return (starts[..., None] + np.arange(block)).reshape(draws, -1)[:, :n] % n


def _stationary(rng: np.random.Generator, n: int, block: int, draws: int) -> NDArray[np.int64]:
    """Each day follows the one before it, or is drawn anew with probability 1 / block."""
    anew = rng.random((draws, n)) < 1 / block
    anew[:, 0] = True
    since = np.maximum.accumulate(np.where(anew, np.arange(n), 0), axis=1)  # last fresh position
    starts = rng.integers(0, n, (draws, n))
    return (np.take_along_axis(starts, since, axis=1) + np.arange(n) - since) % n


def percentile_interval(
    draws: NDArray[np.float64], confidence: float
) -> tuple[float | None, float | None]:
    """Central interval of bootstrap draws, undefined ones left out; None if none is defined."""
    defined = draws[np.isfinite(draws)]
    if not len(defined):
        return None, None
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
