"""Comparable runs on each series of a panel by itself: AUC, alarms, and the lead of the leader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document import Cell, Column, Document, Part, Section, Sentence, Style, Table
from trueness.document.numbers import count, plural
from trueness.errors import TruenessError
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.influence import too_few
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.joint_draws import masked_auc_draws
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import Resampled, SortedScores, mean_difference
from trueness.evaluation.selection import Contrast, simultaneous_contrasts
from trueness.judge.comparison import measured_part
from trueness.judge.group import Group, Model
from trueness.judge.judgement import SCHEMA
from trueness.judge.leaderboard import leaderboard
from trueness.predictions import Predictions
from trueness.store import AnyStore, Problem


@dataclass(frozen=True)
class ModelOnSeries:
    """One run on one series.

    Attributes
    ----------
    model : Model
    auc : Estimate
        Inside the series; no interval with fewer than ten positives or negatives.
    alarms : Estimate
        Precision of its alarms that fall on the series; the cut is that of all series together.
    """

    model: Model
    auc: Estimate
    alarms: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "name": self.model.name, "key": self.model.key, "label": self.model.run.record["label"],
            "baseline": self.model.is_baseline, "auc": self.auc.to_dict(),
            "alarms": self.alarms.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True)
class Series:
    """One series: its units and positives, every run on it, best first as over all series.

    Attributes
    ----------
    name : str
    base_rate : Estimate
    models : list of ModelOnSeries
    lead : Contrast or None
        AUC of the leader minus that of the best baseline, both as over all series, adjusted for the
        number of series; None where one is missing or a class is too rare.
    """

    name: str
    base_rate: Estimate
    models: list[ModelOnSeries]
    lead: Contrast | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "name": self.name, "base_rate": self.base_rate.to_dict(),
            "lead": None if self.lead is None else self.lead.to_dict(),
            "models": [one.to_dict() for one in self.models],
        }  # fmt: skip


@dataclass(frozen=True)
class GroupBySeries:
    """The series of one comparison group, by name."""

    group: Group
    series: list[Series]

    @property
    def compared(self) -> tuple[Model, Model] | None:
        """The leader and the best baseline; None if one is missing."""
        best = self.group.reference
        result = [m for m in self.group.baselines if best is not None and m.key == best.key]
        return (self.group.candidates[0], result[0]) if self.group.candidates and result else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        pair = self.compared
        return {
            "title": self.group.title, "part": self.group.part, "n": self.group.n,
            "confidence": self.group.rule.confidence, "budget": self.group.rule.budget,
            "compared": None if pair is None else [one.key for one in pair],
            "series": [one.to_dict() for one in self.series],
        }  # fmt: skip


@dataclass(frozen=True)
class BySeries:
    """Comparison groups of panels, series by series.

    Attributes
    ----------
    title : str
    groups : list of GroupBySeries
    problems : list of Problem
        Run folders that cannot be read.
    """

    title: str
    groups: list[GroupBySeries]
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "by_series", "title": self.title,
            "groups": [one.to_dict() for one in self.groups],
            "problems": [one.to_dict() for one in self.problems],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per series and run."""
        return pl.from_dicts([
            {
                "series": series.name, "n": series.base_rate.n, "positives": series.base_rate.k,
                "name": one.model.name, "key": one.model.key, "baseline": one.model.is_baseline,
                "auc": one.auc.value, "auc_low": one.auc.low, "auc_high": one.auc.high,
                "alarms": one.alarms.n, "hits": one.alarms.k,
            }
            for group in self.groups for series in group.series for one in series.models
        ], infer_schema_length=None)  # fmt: skip

    def document(self) -> Document:
        """What to show."""
        sections = [Section(one.group.title, list(_parts(one))) for one in self.groups]
        damaged = [Sentence(f"{p.name} cannot be read: {p.reason}", "warning")
                   for p in self.problems]  # fmt: skip
        return Document(f"{self.title} by series", [*damaged, *sections])


def by_series(
    store: AnyStore, campaign: str | None = None, *, keys: set[str] | None = None,
    access: tuple[str, str] | None = None,
) -> BySeries:  # fmt: skip
    """Each series of a panel by itself: every run on it, and the lead of the leader.

    Parameters
    ----------
    store : Store or MemoryStore
    campaign : str, optional
        Only the runs of this campaign.
    keys : set of str, optional
        Only these runs.
    access : tuple of str, optional
        Verb and question for the ledger.

    Raises
    ------
    TruenessError
        With code ``no_series`` if no runs of a binary label have more than one series.
    """
    board = leaderboard(store, campaign, keys=keys, access=access)
    result = [one for group in board.groups if (one := _group(group)) is not None]
    if not result:
        raise TruenessError(
            "no run here has several series (tickers, groups); --by data needs a panel. "
            "Runs of K classes have their groups on the leaderboard itself", "no_series",
        )  # fmt: skip
    return BySeries(board.title, result, board.problems)


def _group(group: Group) -> GroupBySeries | None:
    """Nothing for K classes, and where there is one series."""
    if group.kind != "binary":
        return None
    parts = [(model, measured_part(model.run)) for model in group.models]
    first = parts[0][1]
    if first.group is None or len(names := np.unique(first.group)) < 2:
        return None
    models = [_OnAll.of(model, part, group) for model, part in parts]
    blocks, confidence = models[0].residuals.blocks, group.rule.confidence
    within = {name: np.asarray(first.group) == name for name in names.tolist()}
    aucs = {
        name: masked_auc_draws(first.y, [one.score for one in models], inside, blocks)
        for name, inside in within.items()
    }
    result = GroupBySeries(group, [])
    leads = _leads(
        first.y, within, aucs, [one.model for one in models], result.compared, confidence
    )
    for name, inside in within.items():
        k, n = int(first.y[inside].sum()), int(inside.sum())
        rate = of_share(first.y, inside, blocks).estimate(k, n, confidence)
        on = [
            ModelOnSeries(one.model, auc.proportion(confidence),
                          one.residuals.share(first.y, inside & one.raised, confidence))
            for one, auc in zip(models, aucs[name], strict=True)
        ]  # fmt: skip
        result.series.append(Series(name, rate, on, leads.get(name)))
    return result


def _leads(
    y: NDArray[Any], within: dict[str, NDArray[np.bool_]], aucs: dict[str, list[Resampled]],
    models: list[Model], compared: tuple[Model, Model] | None, confidence: float,
) -> dict[str, Contrast]:  # fmt: skip
    """Leader minus best baseline on each series that has enough of both classes, jointly."""
    if compared is None:
        return {}
    keys = [model.key for model in models]
    one, other = (keys.index(model.key) for model in compared)
    notes = [name for name, inside in within.items() if not too_few(y[inside])]
    apart = [mean_difference(aucs[name][one : one + 1], aucs[name][other : other + 1])
             for name in notes]  # fmt: skip
    return dict(zip(notes, simultaneous_contrasts(apart, confidence), strict=True))


@dataclass(frozen=True)
class _OnAll:
    """A run on all units: its scores and alarms, (n,), and how labels depend on each other."""

    model: Model
    score: NDArray[np.float64]
    raised: NDArray[np.bool_]
    residuals: Residuals

    @classmethod
    def of(cls, model: Model, part: Predictions, group: Group) -> _OnAll:
        ranked = SortedScores.of(part.y, part.score)
        raised = part.score > alarm_cut(part.score, group.rule.budget)
        return cls(model, part.score, raised,
                   Residuals.of(ranked, part.blocks(group.rule.block)))  # fmt: skip


# ---------------------------------------------------------------------------------------- document


def _parts(result: GroupBySeries) -> Iterator[Part]:
    rule, pair, unit = result.group.rule, result.compared, result.group.rule.nouns[0]
    yield Sentence(_headline(result), "verdict")
    yield Sentence(
        f"Alarms: the {count(rule.budget)} {unit}s of all series with the highest scores. "
        f"Intervals of {100 * rule.confidence:g} %; those of the lead hold for all series at once."
    )
    yield _overview(result)
    others = [m for m in result.group.models if pair is None or m.key not in {p.key for p in pair}]
    if others:
        for one in result.series:
            yield Section(f"{one.name}: every run", [_of_series(one)], folded=True)


def _headline(result: GroupBySeries) -> str:
    """Where the leader is better or worse than the best baseline."""
    if result.compared is None:
        return (
            f"{plural(len(result.series), 'series', 'series')}; nothing to compare a leader with."
        )
    leader, best = (one.name for one in result.compared)
    verdicts = [one.lead.verdict for one in result.series if one.lead is not None]
    better, worse = verdicts.count("better"), verdicts.count("worse")
    return (
        f"{leader} against {best}, the best baseline: better on {better} of {len(result.series)} "
        f"series, worse on {worse}, no difference shown on {len(result.series) - better - worse}."
    )


def _overview(result: GroupBySeries) -> Table:
    """A row per series: its units, and the leader beside the best baseline."""
    shown = result.compared or tuple(result.group.models[:1])
    unit = result.group.rule.nouns[0].rpartition("-")[2]
    columns = [Column("series", weight=9), Column(f"{unit}s", "count", 4),
               Column("base rate", "share", 6)]  # fmt: skip
    for model in shown:
        columns += [Column(f"AUC\n{model.name}", "estimate", 8),
                    Column(f"alarms\n{model.name}", "share", 7)]  # fmt: skip
    columns += [Column("difference\nof AUC", "difference", 9)] if result.compared else []
    rows: list[list[Cell]] = []
    for one in result.series:
        by_key = {on.model.key: on for on in one.models}
        row: list[Cell] = [one.name, one.base_rate.n, one.base_rate]
        for model in shown:
            row += [by_key[model.key].auc, by_key[model.key].alarms]
        lead = None if one.lead is None else one.lead.simultaneous
        rows.append([*row, lead] if result.compared else row)
    return Table(columns, rows)


def _of_series(one: Series) -> Table:
    columns = [Column("run", weight=9), Column("model", weight=3), Column("AUC", "estimate", 8),
               Column("alarms", "share", 7)]  # fmt: skip
    rows: list[list[Cell]] = [
        [on.model.name, on.model.label or None, on.auc, on.alarms] for on in one.models
    ]
    styles: list[Style] = ["reference" if on.model.is_baseline else "" for on in one.models]
    return Table(columns, rows, styles=styles)
