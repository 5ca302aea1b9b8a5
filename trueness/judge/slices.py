"""The alarms of a run by calendar year, by regime and by group, beside those of a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.document import Cell, Column, Section, Sentence, Style, Table
from trueness.document.numbers import count
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.joint_draws import masked_auc_draws
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import SortedScores
from trueness.judge.comparison import measured_part
from trueness.predictions import Predictions
from trueness.shares import percent_of
from trueness.store import Run

REGIMES = ("calm", "normal", "turbulent")
"""Their order; others follow by name."""
MOST_GROUPS = 30
"""Groups that a table lists: the largest."""


@dataclass(frozen=True)
class Slice:
    """Some of the measured units: share of positives, AUC, and precision of the alarms on them.

    `others` are the alarms of the baseline; None without one.
    """

    name: str
    n: int
    base_rate: Estimate
    auc: Estimate
    alarms: Estimate
    others: Estimate | None


@dataclass(frozen=True)
class Slices:
    """Tables of slices by title (year, regime, group), each with all units as last row.

    One cut is taken over all measured units, so that the alarms of the rows add up to those of
    `estimate`, which has that name in a record.
    """

    estimate: str
    alarms: int
    n: int
    unit: str
    by: dict[str, list[Slice]]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "estimate": self.estimate, "alarms": self.alarms, "n": self.n,
            "by": {title: [_plain(one) for one in rows] for title, rows in self.by.items()},
        }  # fmt: skip


def _plain(one: Slice) -> dict[str, Any]:
    return {
        "name": one.name, "n": one.n, "base_rate": one.base_rate.to_dict(),
        "auc": one.auc.to_dict(), "alarms": one.alarms.to_dict(),
        "baseline": None if one.others is None else one.others.to_dict(),
    }  # fmt: skip


def slices(run: Run, baseline: Run | None = None) -> Slices:
    """Alarms of a run and of a baseline, by year, regime and group where there are some.

    The largest alarm budget, or the alarm rate if that allows more on so many units.

    Parameters
    ----------
    run, baseline : Run
        On the same units.

    Raises
    ------
    StoreError
        If predictions are damaged.
    """
    part, rule = measured_part(run), run.estimands
    at_rate = percent_of(len(part), rule.alarm_rate_pct)
    budget, name = max((at_rate, rule.rate_name), (rule.budget, str(rule.budget)))
    alarms = [_Alarms.of(part, budget, rule.block)]
    if baseline is not None:
        alarms.append(_Alarms.of(measured_part(baseline), budget, rule.block))
    whole, unit = np.ones(len(part), bool), rule.nouns[0]
    by = {
        title: _rows(column, order, whole, unit, part.y, alarms, rule.confidence)
        for title, (column, order) in _columns(part).items()
    }
    return Slices(f"precision@{name}", budget, len(part), unit, by)


@dataclass(frozen=True)
class _Alarms:
    """Scores of a model, (n,), its alarms, and how the labels depend on each other."""

    score: NDArray[np.float64]
    raised: NDArray[np.bool_]
    residuals: Residuals

    @classmethod
    def of(cls, part: Predictions, budget: int, block: int) -> _Alarms:
        ranked = SortedScores.of(part.y, part.score)
        residuals = Residuals.of(ranked, part.blocks(block))
        return cls(part.score, part.score > alarm_cut(part.score, budget), residuals)


def _columns(part: Predictions) -> dict[str, tuple[NDArray[Any], list[str]]]:
    """Title -> what each unit belongs to, (n,), and the names of the slices in order."""
    result = {}
    if part.time is not None:
        years = part.time.astype("datetime64[Y]").astype(str)
        result["year"] = (years, np.unique(years).tolist())
    if "regime" in part:
        regimes = part.column("regime").astype(np.str_)
        present = set(regimes.tolist())
        order = [*(r for r in REGIMES if r in present), *sorted(present - set(REGIMES))]
        result["regime"] = (regimes, order)
    if part.group is not None:
        names, sizes = np.unique(part.group, return_counts=True)
        largest = np.argsort(-sizes, kind="stable")[:MOST_GROUPS]
        result["group"] = (part.group, names[np.sort(largest)].tolist())
    return result


def _rows(
    of: NDArray[Any], names: list[str], whole: NDArray[np.bool_], unit: str, y: NDArray[Any],
    alarms: list[_Alarms], confidence: float,
) -> list[Slice]:  # fmt: skip
    rows = [(name, of == name) for name in names]
    if len(rows) > 1:
        rows.append((f"all {unit}s", whole))
    return [_slice(name, inside, y, alarms, confidence) for name, inside in rows]


def _slice(
    name: str, inside: NDArray[np.bool_], y: NDArray[Any], alarms: list[_Alarms],
    confidence: float,
) -> Slice:  # fmt: skip
    n, blocks = int(inside.sum()), alarms[0].residuals.blocks
    base = of_share(y, inside, blocks)
    own, *others = [one.residuals.share(y, inside & one.raised, confidence) for one in alarms]
    (auc,) = masked_auc_draws(y, [alarms[0].score], inside, blocks)
    rate = base.estimate(int(y[inside].sum()), n, confidence)
    return Slice(name, n, rate, auc.proportion(confidence), own, others[0] if others else None)


def slice_sections(runs: Sequence[tuple[str, Run]], only: str = "") -> list[Section]:
    """A table per kind of slice, of a run and perhaps a baseline beside it.

    Parameters
    ----------
    runs : sequence of (name, run)
        One or two, on the same units.
    only : str
        This kind alone; all of them if empty.
    """
    (name, run), *others = runs
    result = slices(run, *(other for _, other in others[:1]))
    baseline = others[0][0] if others else ""
    note = Sentence(
        f"Precision of the alarms for the {count(result.alarms)} of {count(result.n)} {result.unit}"
        f"s with the highest scores ({result.estimate})."
    )
    tables = {t: _table(t, rows, result, name, baseline) for t, rows in result.by.items()
              if only in ("", t)}  # fmt: skip
    return [
        Section(f"By {title}", [table] if i else [note, table])
        for i, (title, table) in enumerate(tables.items())
    ]


def _table(title: str, rows: list[Slice], result: Slices, name: str, baseline: str) -> Table:
    listed = sum(one.n for one in rows if one.name != f"all {result.unit}s")
    note = f"The {MOST_GROUPS} largest groups." if listed < result.n else ""
    columns = [
        Column(title, weight=9), Column(f"{result.unit}s", "count", 4),
        Column("base rate", "share", 6), Column("AUC", "estimate", 5), Column(name, "share", 9),
    ]  # fmt: skip
    has_others = any(one.others is not None for one in rows)
    columns += [Column(baseline or "baseline", "share", 8)] if has_others else []
    cells: list[list[Cell]] = [
        [one.name, one.n, one.base_rate, one.auc, one.alarms, *([one.others] if has_others else [])]
        for one in rows
    ]
    styles: list[Style] = ["total" if one.name == f"all {result.unit}s" else "" for one in rows]
    return Table(columns, cells, note=note, styles=styles)
