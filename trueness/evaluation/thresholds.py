"""From which score on to raise an alarm: sweeps over thresholds.

Scores are logits and an alarm is raised where ``score >= cut``. Precision and recall are two
questions: each has its own counts and its own interval, exact for the effective number of alarms or
of positives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.inputs import (
    SMALLEST_PROBABILITY,
    Input,
    InputError,
    Labels,
    as_logits,
    check_confidence,
    labels_and_scores,
    probabilities,
)
from trueness.evaluation.intervals import Estimate, exact_bounds
from trueness.evaluation.metrics import precision_recall_curve
from trueness.evaluation.resampling import SortedScores, check_size
from trueness.shares import percent_of

Array = NDArray[np.float64]

ALARM_RATES_PCT = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
"""Shares of units with an alarm that a sweep over rates asks for, percent."""
PROBABILITIES = tuple(round(0.05 * i, 2) for i in range(1, 20))
"""Thresholds of a sweep over a grid: 0.05 to 0.95."""
DAYS_PER_YEAR = 365.25
KNOTS = 60
"""Numbers of alarms for which design effects are computed; between them they are interpolated."""
Kind: TypeAlias = Literal["precision", "recall"]
KINDS: tuple[Kind, ...] = get_args(Kind)


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
        Units with an alarm, and those of them with label 1.
    n, positives : int
        Units, and those with label 1.
    years : float or None
        Calendar time between the first and the last day; None without dates.
    confidence : float
        Of the intervals.
    effective_size : dict of {"precision", "recall"} to (m,) float64
        Independent units that as many alarms, and the positives, are worth.
    chosen_on, measured_on : str
        Parts that picked the model's weights, and that the units are of.
    """

    cut: Array
    alarms: NDArray[np.int64]
    hits: NDArray[np.int64]
    n: int
    positives: int
    years: float | None
    confidence: float
    effective_size: dict[Kind, Array]
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

    def bounds(self, what: Kind) -> tuple[Array, Array]:
        """Lower and upper ends of the intervals, (m,) each."""
        effective_size = self.effective_size[what]
        share = np.nan_to_num(self.precision if what == "precision" else self.recall)
        return exact_bounds(share * effective_size, effective_size, self.confidence)

    def threshold(self, row: int) -> Threshold:
        """One row, its numbers as estimates."""
        cut, alarms, hits = float(self.cut[row]), int(self.alarms[row]), int(self.hits[row])
        precision, recall = (
            Estimate(hits / n if n else None, *self._ends(what, row), n, hits, *self._parts)
            for what, n in (("precision", alarms), ("recall", self.positives))
        )
        return Threshold(
            cut, float(expit(cut)), alarms, hits, precision, recall,
            None if self.years is None else alarms / self.years,
        )  # fmt: skip

    @property
    def _parts(self) -> tuple[str, str]:
        return self.chosen_on, self.measured_on

    def _ends(self, what: Kind, row: int) -> tuple[float, float]:
        low, high = self._bounds[what]
        return float(low[row]), float(high[row])

    @cached_property
    def _bounds(self) -> dict[Kind, tuple[Array, Array]]:
        return {what: self.bounds(what) for what in KINDS}

    def __iter__(self) -> Iterator[Threshold]:
        return (self.threshold(row) for row in range(len(self)))

    def columns(self) -> dict[str, NDArray[Any]]:
        """Table with one row per threshold, every column (m,)."""
        table: dict[str, NDArray[Any]] = {
            "cut": self.cut, "probability": expit(self.cut), "alarms": self.alarms,
            "hits": self.hits,
        }  # fmt: skip
        for what in KINDS:
            low, high = self.bounds(what)
            table |= {what: getattr(self, what), f"{what}_low": low, f"{what}_high": high}
        if self.years is not None:
            table["alarms_per_year"] = self.alarms / self.years
        return table


def _ratio(hits: NDArray[np.int64], alarms: NDArray[np.int64]) -> Array:
    return np.where(alarms > 0, hits / np.maximum(alarms, 1), np.nan)


# ------------------------------------------------------------------------------------------ sweeps


def _years(time: ArrayLike | None, n: int) -> float | None:
    if time is None:
        return None
    days = np.asarray(time, "datetime64[D]")
    if len(days) != n:
        raise InputError(f"{len(days)} times for {n} labels", "length")
    if np.isnat(days).any():
        raise InputError("some times are missing", "missing")
    return (int((days.max() - days.min()).astype(np.int64)) + 1) / DAYS_PER_YEAR


def rate_thresholds(y_score: ArrayLike, rates_pct: Sequence[float] = ALARM_RATES_PCT) -> Array:
    """Thresholds that alarm on at most the stated shares of units, falling, without repetition.

    Units tied at a boundary stay out. They depend on the scores only, never on the labels.

    Parameters
    ----------
    y_score : (n,)
        On any scale.
    rates_pct : sequence of float
        In (0, 100], percent.

    Returns
    -------
    (m,) float64
        Scores that occur; m may be less than the number of rates, and 0.

    Examples
    --------
    >>> rate_thresholds([3.0, 2.0, 2.0, 1.0], [25, 50, 75])
    array([3., 2.])
    """
    rates = np.asarray(rates_pct, np.float64)
    if not ((rates > 0) & (rates <= 100)).all():
        raise InputError("alarm rates must lie in (0, 100] percent", "range")
    scores, times = np.unique(np.asarray(y_score, np.float64), return_counts=True)
    alarms = np.cumsum(times[::-1])
    allowed = [percent_of(int(times.sum()), rate) for rate in rates.tolist()]
    rows = np.searchsorted(alarms, allowed, side="right") - 1
    return scores[::-1][np.unique(rows[rows >= 0])]


def threshold_logits(thresholds: Array, input: Input) -> Array:
    """Thresholds on the scale of the scores as logits, (m,) -> (m,).

    Raises
    ------
    InputError
        With the code ``scale`` for one that is no probability where it should be.
    """
    if input != "probability":
        return thresholds
    least = SMALLEST_PROBABILITY
    return logit(np.clip(probabilities(thresholds), least, 1 - least))


def threshold_sweep(
    y_true: ArrayLike, y_score: ArrayLike, time: ArrayLike | None = None, *,
    blocks: Blocks | None = None, grid: Sequence[float] | None = None,
    rates_pct: Sequence[float] | None = None,
    confidence: float = 0.95, input: Input = "logit", chosen_on: str = "", measured_on: str = "",
) -> Sweep:  # fmt: skip
    """Alarms and hits at every distinct score, or on a grid.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1, at least two of them 1. The scores of a walk-forward run are pooled over
        its folds.
    y_score : (n,)
    time : (n,) datetime64, optional
        For alarms per year.
    blocks : Blocks, optional
        Which units depend on each other; none without it.
    grid : sequence of float, optional
        Probabilities in [0, 1] in place of all distinct scores; thresholds that nothing reaches
        stay in.
    rates_pct : sequence of float, optional
        Alarm rates in (0, 100] in place of all distinct scores; a rate that ties make impossible
        falls on the next lower one that is possible.
    confidence : float
        Of the intervals, in (0, 1).
    input : {"logit", "probability", "score"}
        What the scores are; see `as_logits` for what is refused.
    chosen_on, measured_on : str
        See Estimate.

    Returns
    -------
    Sweep

    Raises
    ------
    InputError
        With the codes of `labels_and_scores` and `as_logits`, and ``few_positives, choice, range,
        length, missing``.

    Examples
    --------
    >>> sweep = threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0])
    >>> sweep.alarms, sweep.hits
    (array([1, 3, 4, 5]), array([1, 2, 2, 2]))
    >>> threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0], grid=[0.5, 0.95]).alarms
    array([0, 4])
    """
    if grid is not None and rates_pct is not None:
        raise InputError("give a grid of probabilities or alarm rates, not both", "choice")
    check_confidence(confidence)
    labels, scores = labels_and_scores(y_true, y_score)
    logits = as_logits(scores, input)
    curve = precision_recall_curve(labels, logits)
    positives, n = int(curve["hits"][-1]), len(labels)
    if positives < 2:
        raise InputError(
            f"{positives} positives among {n} units; at least 2 are needed", "few_positives"
        )
    thresholds = curve["cut"]
    if grid is not None:
        thresholds = _grid_thresholds(grid)
    elif rates_pct is not None:
        thresholds = rate_thresholds(logits, rates_pct)
    last = np.searchsorted(-curve["cut"], -thresholds, side="right")
    alarms, hits = (np.append(0, curve[c])[last].astype(np.int64) for c in ("alarms", "hits"))
    sizes = _effective_sizes(labels, logits, alarms, blocks or Blocks.of(n), (1 - confidence) / 2)
    return Sweep(
        thresholds,
        alarms,
        hits,
        n,
        positives,
        _years(time, n),
        confidence,
        sizes,
        chosen_on,
        measured_on,
    )


def _effective_sizes(
    y: Labels, logits: Array, alarms: NDArray[np.int64], blocks: Blocks, tail: float
) -> dict[Kind, Array]:
    """Independent units that the alarms of each threshold, and the positives, are worth."""
    check_size(blocks, len(y))
    positives = int(y.sum())
    if blocks.alone or not alarms.any():
        return {
            "precision": alarms.astype(np.float64),
            "recall": np.full(len(alarms), positives, np.float64),
        }
    ranked, counts = SortedScores.of_checked(y, logits), np.unique(alarms[alarms > 0])
    knots = counts[np.unique(np.geomspace(1, max(1, len(counts)), KNOTS).astype(int)) - 1]
    residuals, raised, each = Residuals.of(ranked, blocks), np.zeros(len(y), bool), []
    for n in knots.tolist():
        raised[ranked.order[:n]] = True
        precision = residuals.of_alarms(ranked, n, by_rank=False)
        recall = of_share(raised, y, blocks)
        each.append((precision.effective(1, tail), recall.effective(1, tail)))
    of_one = np.array(each).reshape(-1, 2).T
    at = np.log(np.maximum(alarms, 1))
    precision, recall = (np.interp(at, np.log(knots), one) for one in of_one)
    return {"precision": alarms * precision, "recall": positives * recall}


def _grid_thresholds(grid: Sequence[float]) -> Array:
    prob = np.unique(np.asarray(grid, np.float64))[::-1]
    if not len(prob) or not ((prob >= 0) & (prob <= 1)).all():
        raise InputError("a grid holds probabilities in [0, 1]", "range")
    return logit(prob)
