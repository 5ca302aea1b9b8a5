"""From which score on to raise an alarm: sweeps over thresholds, and the best ones under a demand.

Scores are logits and an alarm is raised where ``score >= cut``. Precision and recall are two
questions: each has its own counts and its own exact interval, which takes days as independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, expit, logit

from trueness.errors import TruenessError, at_least
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import precision_recall_curve
from trueness.evaluation.power import between

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]

ALARM_RATES_PCT = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
"""Shares of days with an alarm that a sweep over rates asks for, percent."""
PROBABILITIES = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Thresholds of a sweep over a grid: 0.05 to 0.95."""
DAYS_PER_YEAR = 365.25
TWICE = (float(expit(0.0)), float(expit(1.0)))
"""Where probabilities come to lie that pass through a sigmoid a second time."""


@dataclass(frozen=True)
class Threshold:
    """One row of a sweep.

    Attributes
    ----------
    cut : float
        Lowest score, a logit, that raises an alarm.
    probability : float
        The same as a probability, in [0, 1].
    alarms, hits : int
    precision, recall : Estimate
    alarms_per_year : float or None
        None without dates.
    """

    cut: float
    probability: float
    alarms: int
    hits: int
    precision: Estimate
    recall: Estimate
    alarms_per_year: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; an infinite cut, which never alarms, is None."""
        content = asdict(self)
        return {**content, "cut": self.cut if np.isfinite(self.cut) else None}


@dataclass(frozen=True)
class Sweep:
    """Alarms and hits over m thresholds, from the highest down.

    Attributes
    ----------
    cut : (m,) float64
        Lowest alarming score, a logit; infinite where no alarm is possible.
    alarms, hits : (m,) int64
        Days with an alarm, and those of them with label 1.
    n, positives : int
        Days, and days with label 1.
    years : float or None
        Calendar time between the first and the last day; None without dates.
    confidence : float
        Of the exact intervals.
    chosen_on, measured_on : str
        Parts that picked the model's weights, and that the days are of.
    """

    cut: Array
    alarms: NDArray[np.int64]
    hits: NDArray[np.int64]
    n: int
    positives: int
    years: float | None
    confidence: float
    chosen_on: str = ""
    measured_on: str = ""

    def __len__(self) -> int:
        return len(self.cut)

    @property
    def precision(self) -> Array:
        """Hits per alarm (m,), NaN where there is none."""
        return _ratio(self.hits, self.alarms)

    @property
    def recall(self) -> Array:
        """Hits per positive day (m,)."""
        return self.hits / self.positives

    def bounds(self, what: Literal["precision", "recall"]) -> tuple[Array, Array]:
        """Lower and upper ends of the exact intervals, (m,) each."""
        trials = self.alarms if what == "precision" else np.full(len(self), self.positives)
        return exact_bounds(self.hits, trials, self.confidence)

    def threshold(self, row: int) -> Threshold:
        """One row, its numbers as estimates."""
        cut, alarms, hits = float(self.cut[row]), int(self.alarms[row]), int(self.hits[row])
        share = {
            "confidence": self.confidence,
            "chosen_on": self.chosen_on,
            "measured_on": self.measured_on,
        }
        return Threshold(
            cut, float(expit(cut)), alarms, hits, Estimate.proportion(hits, alarms, **share),
            Estimate.proportion(hits, self.positives, **share),
            None if self.years is None else alarms / self.years,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Threshold]:
        return (self.threshold(row) for row in range(len(self)))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Table with one row per threshold, every column (m,)."""
        found: dict[str, NDArray[Any]] = {
            "cut": self.cut, "probability": expit(self.cut), "alarms": self.alarms,
            "hits": self.hits,
        }  # fmt: skip
        for what in ("precision", "recall"):
            low, high = self.bounds(what)
            found |= {what: getattr(self, what), f"{what}_low": low, f"{what}_high": high}
        if self.years is not None:
            found["alarms_per_year"] = self.alarms / self.years
        return found


def _ratio(hits: NDArray[np.int64], alarms: NDArray[np.int64]) -> Array:
    return np.where(alarms > 0, hits / np.maximum(alarms, 1), np.nan)


def exact_bounds(k: ArrayLike, n: ArrayLike, confidence: float = 0.95) -> tuple[Array, Array]:
    """Exact intervals of many shares at once; (0, 1) where n is 0.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial" (1934).

    Examples
    --------
    >>> low, high = exact_bounds([0, 6], [0, 7])
    >>> low.round(3), high.round(3)
    (array([0.   , 0.421]), array([1.   , 0.996]))
    """
    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    if not ((k >= 0) & (k <= n)).all():
        raise TruenessError("hits must lie between 0 and the number of trials")
    tail = (1 - between("confidence", confidence)) / 2
    low = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    return low, high


# ------------------------------------------------------------------------------------------ sweeps


def _years(when: ArrayLike | None, n: int) -> float | None:
    if when is None:
        return None
    days = np.asarray(when, "datetime64[D]")
    if len(days) != n:
        raise TruenessError(f"{len(days)} dates for {n} labels")
    if np.isnat(days).any():
        raise TruenessError("some dates are missing")
    return (int((days.max() - days.min()).astype(np.int64)) + 1) / DAYS_PER_YEAR


def rate_cuts(score: ArrayLike, rates_pct: Sequence[float] = ALARM_RATES_PCT) -> Array:
    """Thresholds that alarm on at most the stated shares of days, falling, without repetition.

    Days tied at a boundary stay out. They depend on the scores only, never on the labels.

    Parameters
    ----------
    score : (n,)
        Logits.
    rates_pct : sequence of float
        In (0, 100], percent.

    Returns
    -------
    (m,) float64
        Scores that occur; m may be less than the number of rates, and 0.

    Examples
    --------
    >>> rate_cuts([3.0, 2.0, 2.0, 1.0], [25, 50, 75])
    array([3., 2.])
    """
    rates = np.asarray(rates_pct, np.float64)
    if not ((rates > 0) & (rates <= 100)).all():
        raise TruenessError("alarm rates must lie in (0, 100] percent")
    found, times = np.unique(np.asarray(score, np.float64), return_counts=True)
    alarms = np.cumsum(times[::-1])
    allowed = np.floor(rates * len(np.asarray(score)) / 100 + 1e-9)
    rows = np.searchsorted(alarms, allowed, side="right") - 1
    return found[::-1][np.unique(rows[rows >= 0])]


def threshold_sweep(
    y: ArrayLike, score: ArrayLike, when: ArrayLike | None = None, *,
    grid: Sequence[float] | None = None, rates_pct: Sequence[float] | None = None,
    confidence: float = 0.95, chosen_on: str = "", measured_on: str = "",
) -> Sweep:  # fmt: skip
    """Alarms and hits at every distinct score, or on a grid.

    Parameters
    ----------
    y : (n,)
        Labels 0 and 1, at least two of them 1. The scores of a walk-forward run are pooled over
        its folds.
    score : (n,)
        Logits.
    when : (n,) datetime64, optional
        Days, for alarms per year.
    grid : sequence of float, optional
        Probabilities in [0, 1] in place of all distinct scores; thresholds that nothing reaches
        stay in.
    rates_pct : sequence of float, optional
        Alarm rates in (0, 100] in place of all distinct scores; a rate that ties make impossible
        falls on the next lower one that is possible.
    confidence : float
        Of the exact intervals, in (0, 1).
    chosen_on, measured_on : str
        See Estimate.

    Returns
    -------
    Sweep

    Examples
    --------
    >>> sweep = threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0])
    >>> sweep.alarms, sweep.hits
    (array([1, 3, 4, 5]), array([1, 2, 2, 2]))
    >>> threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0], grid=[0.5, 0.95]).alarms
    array([0, 4])
    """
    if grid is not None and rates_pct is not None:
        raise TruenessError("give a grid of probabilities or alarm rates, not both")
    curve = precision_recall_curve(np.asarray(y), np.asarray(score))
    positives, n = int(curve["hits"][-1]), int(curve["alarms"][-1])
    if positives < 2:
        raise TruenessError(f"{positives} positives among {n} days; at least 2 are needed")
    cuts = curve["cut"]
    if grid is not None:
        cuts = _grid_cuts(grid)
    elif rates_pct is not None:
        cuts = rate_cuts(score, rates_pct)
    last = np.searchsorted(-curve["cut"], -cuts, side="right")
    alarms, hits = (np.append(0, curve[c])[last].astype(np.int64) for c in ("alarms", "hits"))
    between("confidence", confidence)
    return Sweep(
        cuts, alarms, hits, n, positives, _years(when, n), confidence, chosen_on, measured_on
    )


def _grid_cuts(grid: Sequence[float]) -> Array:
    prob = np.unique(np.asarray(grid, np.float64))[::-1]
    if not len(prob) or not ((prob >= 0) & (prob <= 1)).all():
        raise TruenessError("a grid holds probabilities in [0, 1]")
    return logit(prob)


# ------------------------------------------------------------------------------------- best of them


def best_recall(
    sweep: Sweep, precision: float, *, conservative: bool = False, fewest_alarms: int = 1
) -> Threshold | None:
    """Threshold with the most hits among those with enough precision; None if infeasible.

    Parameters
    ----------
    sweep : Sweep
    precision : float
        In (0, 1).
    conservative : bool
        Ask it of the lower end of the exact interval.
    fewest_alarms : int
        Thresholds with fewer do not count.

    Examples
    --------
    >>> sweep = threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0])
    >>> print(best_recall(sweep, 0.6).precision)
    2/3 = 66.7 % [9.4, 99.2]
    >>> best_recall(sweep, 0.6, conservative=True) is None
    True
    """
    between("precision", precision)
    value = sweep.bounds("precision")[0] if conservative else sweep.precision
    allowed = (sweep.alarms >= at_least("fewest alarms", fewest_alarms, 1)) & (value >= precision)
    return _best(sweep, allowed, (sweep.hits, -sweep.alarms))


def best_precision(
    sweep: Sweep, *, recall: float | None = None, alarms: int | None = None,
    conservative: bool = False, fewest_alarms: int = 1,
) -> Threshold | None:  # fmt: skip
    """Threshold with the best precision among those with enough recall, or within a budget.

    Parameters
    ----------
    sweep : Sweep
    recall : float, optional
        At least this, in (0, 1].
    alarms : int, optional
        At most so many.
    conservative : bool
        Compare the lower ends of the exact intervals, and ask the recall of its lower end.
    fewest_alarms : int
        Thresholds with fewer do not count.

    Returns
    -------
    Threshold or None
        The one with more hits among equals; None if infeasible.

    Examples
    --------
    >>> sweep = threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0])
    >>> best_precision(sweep, recall=0.9).alarms, best_precision(sweep, alarms=2).alarms
    (3, 1)
    """
    if (recall is None) == (alarms is None):
        raise TruenessError("give a recall or a budget of alarms, one of them")
    allowed = sweep.alarms >= at_least("fewest alarms", fewest_alarms, 1)
    if recall is not None:
        if not 0 < recall <= 1:
            raise TruenessError(f"recall {recall} must lie in (0, 1]")
        allowed &= (sweep.bounds("recall")[0] if conservative else sweep.recall) >= recall
    if alarms is not None:
        allowed &= sweep.alarms <= at_least("alarms", alarms, 1)
    value = sweep.bounds("precision")[0] if conservative else sweep.precision
    return _best(sweep, allowed, (value, sweep.hits))


def _best(sweep: Sweep, allowed: NDArray[np.bool_], by: tuple[ArrayLike, ...]) -> Threshold | None:
    """Allowed row that is greatest by the first key, then by the second; the first of equals."""
    rows = np.flatnonzero(allowed)
    if not len(rows):
        return None
    keys = [np.asarray(key, np.float64)[rows] for key in by]
    return sweep.threshold(int(rows[np.lexsort([-key for key in reversed(keys)])[0]]))


def precision_at_alarms(
    y: ArrayLike, score: ArrayLike, alarms: int,
    ties: Literal["worst", "expected", "best"] = "worst", *, confidence: float = 0.95,
) -> Estimate:  # fmt: skip
    """Precision of exactly so many alarms, the highest scores first.

    Parameters
    ----------
    y : (n,)
        Labels 0 and 1, at least two of them 1.
    score : (n,)
    alarms : int
        At most n.
    ties : {"worst", "expected", "best"}
        Which days count where equal scores lie on either side of the boundary: those without a
        hit, a random draw, those with one.
    confidence : float

    Returns
    -------
    Estimate
        For a random draw that can turn out either way: the mean, without hits, its interval
        reaching from the low end of the worst case to the high end of the best.

    Examples
    --------
    >>> y, score = [1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0]
    >>> [precision_at_alarms(y, score, 2, ties).value for ties in ("worst", "expected", "best")]
    [0.5, 0.75, 1.0]
    """
    sweep = threshold_sweep(y, score, confidence=confidence)
    if at_least("alarms", alarms, 1) > sweep.n:
        raise TruenessError(f"{alarms} alarms on {sweep.n} days; at most one a day is possible")
    if ties not in ("worst", "expected", "best"):
        raise TruenessError(f"unknown ties {ties!r}; choose from worst, expected, best")
    row = int(np.searchsorted(sweep.alarms, alarms, side="left"))
    before = (int(sweep.alarms[row - 1]), int(sweep.hits[row - 1])) if row else (0, 0)
    size, hits = int(sweep.alarms[row]) - before[0], int(sweep.hits[row]) - before[1]
    wanted = alarms - before[0]
    fewest, most = before[1] + max(0, wanted - (size - hits)), before[1] + min(wanted, hits)
    worst, best = (Estimate.proportion(k, alarms, confidence=confidence) for k in (fewest, most))
    if ties != "expected" or fewest == most:
        return best if ties == "best" else worst
    mean = (before[1] + wanted * hits / size) / alarms
    return Estimate(mean, worst.low, best.high, alarms)


# ---------------------------------------------------------------------------------- double sigmoid


def undo_sigmoid(prob: ArrayLike) -> Array:
    """Probabilities that went through a sigmoid twice, brought back to what the model said.

    A probability p taken for a logit comes out as ``1 / (1 + exp(-p))``, between sigmoid(0) = 0.5
    and sigmoid(1) = 0.731; check TRU006 recognises it.

    Parameters
    ----------
    prob : (n,)
        In [0.5, 0.731].

    Returns
    -------
    (n,) float64
        In [0, 1].

    Raises
    ------
    TruenessError
        If any lies outside: then they did not pass twice, and there is nothing to undo.

    Examples
    --------
    >>> undo_sigmoid([0.5, 0.6, 0.7]).round(3)
    array([0.   , 0.405, 0.847])
    """
    twice = np.asarray(prob, np.float64)
    low, high = TWICE
    outside = ~((twice >= low) & (twice <= high))
    if outside.any():
        raise TruenessError(
            f"{int(outside.sum())} of {twice.size} probabilities lie outside sigmoid([0, 1]) = "
            f"[{low:.3f}, {high:.3f}]; they did not pass through a sigmoid twice"
        )
    return logit(twice)
