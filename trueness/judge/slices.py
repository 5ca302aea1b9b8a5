"""The alarms of a run by calendar year and by regime, beside those of a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.evaluation import Estimate
from trueness.evaluation.metrics import alarm_cut
from trueness.store import Run

REGIMES = ("calm", "normal", "turbulent")


@dataclass(frozen=True)
class Slice:
    """Some of the measured days: share of positives, and precision of the alarms on them.

    `others` are the alarms of the baseline; None without one.
    """

    name: str
    days: int
    base: Estimate
    alarms: Estimate
    others: Estimate | None


@dataclass(frozen=True)
class Slices:
    """Years and regimes, each with all days as last row; `budget` is the estimate behind the cut.

    One cut is taken over all measured days, so that the alarms of the rows add up to those of the
    estimate.
    """

    budget: str
    words: str
    years: list[Slice]
    regimes: list[Slice]


def slices(run: Run, baseline: Run | None = None) -> Slices:
    """Alarms of a run and of a baseline, by year and by regime.

    The largest alarm budget, or the alarm rate if that allows more on so many days.

    Raises
    ------
    StoreError
        If predictions are damaged.
    """
    rule, days = run.spec.evaluation, _days(run)
    rate, top = int(len(days["y"]) * rule.alarm_rate_pct / 100), max(rule.alarms)
    budget, name = (rate, "rate") if rate > top else (top, f"top{top}")
    raised = [_raised(days, budget)]
    if baseline is not None:
        raised.append(_raised(_days(baseline), budget))
    years = days["when"].astype("datetime64[Y]").astype(str)
    groups = days["group"]
    present = set(groups.tolist())
    order = [*(r for r in REGIMES if r in present), *sorted(present - set(REGIMES))]
    confidence = rule.confidence_pct / 100
    return Slices(
        f"precision_{name}",
        f"the {budget} days of {len(days['y']):,} with the highest scores",
        _rows(years, np.unique(years).tolist(), days["y"], raised, confidence),
        _rows(groups, order, days["y"], raised, confidence),
    )


def _days(run: Run) -> dict[str, NDArray[Any]]:
    """Measured days in time order: when, group, y, logit."""
    part = run.spec.evaluation.measured_on
    rows = run.predictions().filter(pl.col("split") == part).sort("when", maintain_order=True)
    return {name: rows[name].to_numpy() for name in ("when", "group", "y", "logit")}


def _raised(days: dict[str, NDArray[Any]], budget: int) -> NDArray[np.bool_]:
    score = days["logit"].astype(np.float64)
    return score > alarm_cut(score, budget)


def _rows(
    of: NDArray[Any], names: list[str], y: NDArray[np.uint8], raised: list[NDArray[np.bool_]],
    confidence: float,
) -> list[Slice]:  # fmt: skip
    rows = [(name, of == name) for name in names]
    if len(rows) > 1:
        rows.append(("all days", np.ones(len(y), bool)))
    return [_slice(name, inside, y, raised, confidence) for name, inside in rows]


def _slice(
    name: str, inside: NDArray[np.bool_], y: NDArray[np.uint8], raised: list[NDArray[np.bool_]],
    confidence: float,
) -> Slice:  # fmt: skip
    def share(of: NDArray[np.bool_]) -> Estimate:
        return Estimate.proportion(int(y[of].sum()), int(of.sum()), confidence=confidence)

    own, *others = [share(inside & alarm) for alarm in raised]
    return Slice(name, int(inside.sum()), share(inside), own, others[0] if others else None)
