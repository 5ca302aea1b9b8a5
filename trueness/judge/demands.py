"""What a threshold must keep, and the threshold that was chosen for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy.special import expit

from trueness.errors import TruenessError
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.operating_points import best_precision, best_recall
from trueness.evaluation.thresholds import Sweep, Threshold

Rule: TypeAlias = Literal["in-sample", "in-sample, lower bound", "out-of-sample"]
FEWEST_ALARMS = 5
"""Thresholds with fewer alarms are not chosen: their precision says next to nothing."""
MOST_ALARMS = 1_000_000_000


@dataclass(frozen=True)
class Demand:
    """What a threshold must keep; what is left is made as good as possible.

    `value` is a share for "precision" and "recall", a number for "alarms".
    """

    of: Literal["precision", "recall", "alarms"]
    value: float

    def __str__(self) -> str:
        if self.of == "alarms":
            return f"at most {self.value:g} alarms"
        return f"{self.of} at least {100 * self.value:g} %"

    @property
    def short(self) -> str:
        """The same with signs, for a narrow column."""
        if self.of == "alarms":
            return f"≤ {self.value:g} alarms"
        return f"{self.of} ≥ {100 * self.value:g} %"

    @property
    def maximised(self) -> str:
        """What is made as good as possible."""
        return "recall" if self.of == "precision" else "precision"

    def best(self, sweep: Sweep, conservative: bool = False) -> Threshold | None:
        """Threshold that meets the demand best; None if none does."""
        options = {"conservative": conservative, "fewest_alarms": FEWEST_ALARMS}
        if self.of == "precision":
            return best_recall(sweep, self.value, **options)
        if self.of == "recall":
            return best_precision(sweep, recall=self.value, **options)
        return best_precision(sweep, alarms=int(self.value), **options)

    def scaled(self, share: float) -> Demand:
        """For that share of the units: a budget shrinks with them, the rest stays."""
        if self.of != "alarms":
            return self
        return Demand("alarms", max(FEWEST_ALARMS, round(self.value * share)))


@dataclass(frozen=True)
class Choice:
    """A threshold for a demand, or that there is none.

    Attributes
    ----------
    demand : Demand
    rule : str
        In-sample: chosen on the units that measure it, by the value or by the lower end of its
        interval. Out-of-sample: chosen on other ones.
    thresholds : tuple of float
        Lowest scores that raise an alarm, one per fold where folds have their own; empty if
        infeasible.
    precision, recall : Estimate or None
        None if infeasible.
    alarms_per_year : float or None
        None without times.
    """

    demand: Demand
    rule: Rule
    thresholds: tuple[float, ...] = ()
    precision: Estimate | None = None
    recall: Estimate | None = None
    alarms_per_year: float | None = None

    @property
    def feasible(self) -> bool:
        """Whether any threshold meets the demand."""
        return self.precision is not None

    def to_dict(self, probabilities: bool) -> dict[str, Any]:
        """Plain types for JSON; without probabilities where scores only rank."""
        shown = [float(p) for p in expit(np.array(self.thresholds))]
        return {
            "demand": str(self.demand),
            "maximised": self.demand.maximised,
            "rule": self.rule,
            "feasible": self.feasible,
            "cuts": list(self.thresholds),
            "probabilities": shown if probabilities else None,
            "precision": self.precision.to_dict() if self.precision else None,
            "recall": self.recall.to_dict() if self.recall else None,
            "alarms_per_year": self.alarms_per_year,
        }


def demands_of(
    precision: float | None, recall: float | None, alarms: int | None
) -> tuple[Demand, ...]:
    """Demands from the command line; all three with usual values if none is given.

    Raises
    ------
    TruenessError
        With code ``demand``.

    Examples
    --------
    >>> [str(demand) for demand in demands_of(0.6, None, 30)]
    ['precision at least 60 %', 'at most 30 alarms']
    """
    if precision is None and recall is None and alarms is None:
        precision, recall, alarms = 0.6, 0.2, 30
    for name, value in (("precision", precision), ("recall", recall)):
        if value is not None and not 0 < value < 1:
            raise TruenessError(f"--{name} {value} must lie between 0 and 1", "demand")
    if alarms is not None and not FEWEST_ALARMS <= alarms <= MOST_ALARMS:
        raise TruenessError(
            f"--alarms {alarms}: {FEWEST_ALARMS} to {MOST_ALARMS:,} can be", "demand"
        )
    wanted = (("precision", precision), ("recall", recall), ("alarms", alarms))
    return tuple(Demand(of, value) for of, value in wanted if value is not None)
