"""Thresholds of stored runs: sweeps, and the best ones under a demand, chosen here or earlier.

A threshold chosen on the days that measure it looks better than it is. Beside it stands the same
demand met on earlier days: the validation part for the test part, and the days inside each fold
that were held back from training for the days predicted out of fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from trueness.errors import StoreError, TruenessError
from trueness.evaluation import Estimate
from trueness.evaluation.thresholds import (
    ALARM_RATES_PCT,
    PROBABILITIES,
    Sweep,
    Threshold,
    best_precision,
    best_recall,
    threshold_sweep,
)
from trueness.judge.parts import Part, check_part, chosen_on, earlier_part, part_of
from trueness.store import Run

Grid = Literal["scores", "rates", "probabilities"]
Rule = Literal["same days", "same days, lower end", "earlier days"]
FEWEST_ALARMS = 5
"""Thresholds with fewer alarms are not chosen: their precision says next to nothing."""


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
    def sought(self) -> str:
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
        """For that share of the days: a budget shrinks with them, the rest stays."""
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
        Where it was chosen: on the days that measure it, by the value or by the lower end of the
        interval, or on earlier days.
    probabilities : tuple of float
        Of the threshold, one per fold where folds have their own; empty if infeasible.
    precision, recall : Estimate or None
        None if infeasible.
    alarms_per_year : float or None
    """

    demand: Demand
    rule: Rule
    probabilities: tuple[float, ...] = ()
    precision: Estimate | None = None
    recall: Estimate | None = None
    alarms_per_year: float | None = None

    @property
    def feasible(self) -> bool:
        """Whether any threshold meets the demand."""
        return self.precision is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "demand": str(self.demand),
            "best": self.demand.sought,
            "rule": self.rule,
            "feasible": self.feasible,
            "probabilities": list(self.probabilities),
            "precision": self.precision.to_dict() if self.precision else None,
            "recall": self.recall.to_dict() if self.recall else None,
            "alarms_per_year": self.alarms_per_year,
        }


@dataclass(frozen=True)
class RunThresholds:
    """The sweep of one run on one part, and its choices; `name` are its ids, or its key."""

    run: Run
    name: str
    part: Part
    sweep: Sweep
    choices: tuple[Choice, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "key": self.run.key,
            "name": self.name,
            "label": self.run.record["label"],
            "baseline": self.run.spec.is_baseline,
            "measured_on": self.part.name,
            "days": self.sweep.n,
            "positives": self.sweep.positives,
            "choices": [choice.to_dict() for choice in self.choices],
            "thresholds": [threshold.to_dict() for threshold in self.sweep],
        }


def thresholds_of(
    run: Run, part: str, demands: Sequence[Demand], grid: Grid = "scores", name: str = ""
) -> RunThresholds:
    """Sweep one part of a stored run and choose a threshold for every demand.

    Parameters
    ----------
    run : Run
    part : str
        oof, validation or test; the last one only after the ledger has it.
    demands : sequence of Demand
    grid : {"scores", "rates", "probabilities"}
        All distinct scores, alarm rates, or fixed probabilities.
    name : str
        Its key by default.

    Raises
    ------
    TruenessError
        If the run has no such part, or fewer than two positives there.
    """
    check_part(run, part)
    days, confidence = part_of(run, part), run.spec.evaluation.confidence_pct / 100
    rules = {"confidence": confidence, "chosen_on": chosen_on(run), "measured_on": part}
    sweep = _sweep(days.y, days.score, grid, when=days.when, **rules)
    source = earlier_part(run, part)
    earlier = None if source is None else part_of(run, source)
    choices: list[Choice] = []
    for demand in demands:
        choices += [
            _chosen(sweep, demand, "same days", demand.best(sweep)),
            _chosen(sweep, demand, "same days, lower end", demand.best(sweep, conservative=True)),
        ]
        if earlier is not None:
            choices.append(_carried(sweep, earlier, days, demand, grid))
    return RunThresholds(run, name or run.key, days, sweep, tuple(choices))


def _sweep(y: ArrayLike, score: ArrayLike, grid: Grid, **options: Any) -> Sweep:  # noqa: ANN401
    return threshold_sweep(
        y, score, grid=PROBABILITIES if grid == "probabilities" else None,
        rates_pct=ALARM_RATES_PCT if grid == "rates" else None, **options,
    )  # fmt: skip


def _chosen(sweep: Sweep, demand: Demand, rule: Rule, best: Threshold | None) -> Choice:
    """On the measured days: the best of all thresholds of the sweep."""
    if best is None:
        return Choice(demand, rule)
    return Choice(
        demand, rule, (best.probability,), best.precision.chosen_among(len(sweep)),
        best.recall.chosen_among(len(sweep)), best.alarms_per_year,
    )  # fmt: skip


def _carried(sweep: Sweep, earlier: Part, days: Part, demand: Demand, grid: Grid) -> Choice:
    """On earlier days of each fold; folds in which nothing meets the demand raise no alarm."""
    alarms = hits = 0
    probabilities = []
    for fold in np.unique(days.fold):
        before, now = earlier.fold == fold, days.fold == fold
        if earlier.y[before].sum() < 2:
            continue
        options = _sweep(earlier.y[before], earlier.score[before], grid)
        best = demand.scaled(before.sum() / len(days.y)).best(options)
        if best is not None:
            raised = now & (days.score >= best.cut)
            alarms, hits = alarms + int(raised.sum()), hits + int(days.y[raised].sum())
            probabilities.append(best.probability)
    if not probabilities:
        return Choice(demand, "earlier days")
    facts = {
        "confidence": sweep.confidence,
        "chosen_on": "inner validation" if days.name == "oof" else earlier.name,
        "measured_on": days.name,
    }
    return Choice(
        demand, "earlier days", tuple(probabilities), Estimate.proportion(hits, alarms, **facts),
        Estimate.proportion(hits, sweep.positives, **facts),
        None if sweep.years is None else alarms / sweep.years,
    )  # fmt: skip


def demands_of(
    precision: float | None, recall: float | None, alarms: int | None
) -> tuple[Demand, ...]:
    """Demands from the command line; all three with usual values if none is given.

    Examples
    --------
    >>> [str(demand) for demand in demands_of(0.6, None, 30)]
    ['precision at least 60 %', 'at most 30 alarms']
    """
    if precision is None and recall is None and alarms is None:
        precision, recall, alarms = 0.6, 0.2, 30
    for name, value in (("precision", precision), ("recall", recall)):
        if value is not None and not 0 < value < 1:
            raise TruenessError(f"--{name} {value} must lie between 0 and 1")
    if alarms is not None and alarms < FEWEST_ALARMS:
        raise TruenessError(f"--alarms {alarms}: at least {FEWEST_ALARMS} are needed")
    found: list[Demand] = []
    found += [Demand("precision", precision)] if precision is not None else []
    found += [Demand("recall", recall)] if recall is not None else []
    found += [Demand("alarms", alarms)] if alarms is not None else []
    return tuple(found)


def write_csv(found: Sequence[RunThresholds], path: Path) -> None:
    """Write the sweeps, one row per run and threshold.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    frames = []
    for one in found:
        table = pl.DataFrame(one.sweep.columns())
        named = (pl.lit(one.run.key).alias("key"), pl.lit(one.part.name).alias("measured_on"))
        frames.append(table.select(*named, pl.all()))
    try:
        pl.concat(frames).write_csv(path)
    except OSError as error:
        raise StoreError(f"{path}: the table cannot be written ({error.strerror})") from None
