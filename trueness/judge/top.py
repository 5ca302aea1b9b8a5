"""The best distinct candidates of a store, with confusion counts at several thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import polars as pl
from scipy.special import expit, logit

from trueness.document import Column, Document, Items, Part, Section, Sentence, Table
from trueness.document.numbers import decimal, estimate, plain, plural
from trueness.errors import StoreError, TruenessError
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import SortedScores
from trueness.judge.access import record_access
from trueness.judge.comparison import measured_part
from trueness.judge.group import Group, Model
from trueness.judge.judgement import SCHEMA
from trueness.judge.leaderboard import Leaderboard, leaderboard
from trueness.judge.parts import unrecorded_notes
from trueness.store import AnyStore, Run

PROBABILITIES = (0.3, 0.4, 0.5, 0.6)
NOMINAL = {"750k": 750e3, "2M": 2e6, "20M": 20e6, "200M": 200e6, "2B": 2e9}
"""Sizes that a network may be filed under, by its true number of weights."""

Per: TypeAlias = Literal["budget", "tier", "loss"]


@dataclass(frozen=True)
class Confusion:
    """Counts where alarms are raised by one rule.

    Attributes
    ----------
    rule : str
        Such as "probability ≥ 0.5" or "top 30".
    cut : float
        Lowest score that raises an alarm; infinite if none does.
    tp, fp, fn, tn : int
    precision, recall : Estimate
    """

    rule: str
    cut: float
    tp: int
    fp: int
    fn: int
    tn: int
    precision: Estimate
    recall: Estimate

    def to_dict(self, probabilities: bool) -> dict[str, Any]:
        """Plain types for JSON; without a probability where scores only rank."""
        raised = math.isfinite(self.cut)
        return {
            "rule": self.rule, "cut": self.cut if raised else None,
            "probability": float(expit(self.cut)) if probabilities and raised else None,
            "tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn,
            "precision": self.precision.to_dict(), "recall": self.recall.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True)
class TopModel:
    """One candidate: its row of the leaderboard, and what it does at each threshold.

    `filed` is the budget, tier or loss that it is the best of; empty where all stand together.
    """

    filed: str
    model: Model
    thresholds: list[Confusion]

    @property
    def probabilities(self) -> bool:
        """Whether scores are log-odds."""
        return self.model.run.estimands.probabilities

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        rows = [one.to_dict(self.probabilities) for one in self.thresholds]
        return {"filed_under": self.filed, **self.model.to_dict(), "thresholds": rows}


@dataclass(frozen=True)
class TopModels:
    """The best of each comparison group.

    Attributes
    ----------
    groups : list of (Group, list of TopModel)
    campaign : str
        Whose runs were asked for; empty for all of the store.
    notes : tuple of str
        An access that could not be recorded.
    """

    groups: list[tuple[Group, list[TopModel]]]
    campaign: str = ""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types: ``groups``, each with ``models``, each with ``thresholds``."""
        groups = [
            {"title": group.title, "part": group.part, "models": [one.to_dict() for one in top]}
            for group, top in self.groups
        ]
        return {"schema": SCHEMA, "kind": "top", "campaign": self.campaign or None,
                "groups": groups, "notes": list(self.notes)}  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row per model and threshold."""
        rows = [_flat(group, one, cut) for group, top in self.groups for one in top
                for cut in one.thresholds]  # fmt: skip
        return pl.from_dicts(rows, infer_schema_length=None)

    def document(self) -> Document:
        """A table per model."""
        title = "Best models" + f" of campaign {self.campaign}" * bool(self.campaign)
        parts: list[Part] = [Sentence(note, "warning") for note in self.notes]
        parts += [_group_section(group, top) for group, top in self.groups]
        notes = [
            "Precision and recall with exact confidence intervals of their effective sample sizes.",
            "Chosen as the best of many: optimistically biased, not adjusted for multiple testing.",
        ]
        return Document(title, [*parts, Items(notes)])


def _flat(group: Group, one: TopModel, cut: Confusion) -> dict[str, Any]:
    row: dict[str, Any] = {
        "group": group.title, "filed_under": one.filed, "key": one.model.key,
        "name": one.model.name, "label": one.model.run.record["label"], "rule": cut.rule,
        "cut": cut.cut, "tp": cut.tp, "fp": cut.fp, "fn": cut.fn, "tn": cut.tn,
    }  # fmt: skip
    for name, e in (("precision", cut.precision), ("recall", cut.recall)):
        row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
    return row


def top_models(
    store: AnyStore, *, campaign: str | None = None, tiers: Sequence[str] = (), n: int = 3,
    per: Per | None = None, probabilities: Sequence[float] = PROBABILITIES,
    access: tuple[str, str] | None = None,
) -> TopModels:  # fmt: skip
    """Best candidates by the lower end of their precision; repeated specs and seeds count once.

    Parameters
    ----------
    store : Store or MemoryStore
    campaign : str, optional
        Only its runs.
    tiers : sequence of str
        Only these tiers, of runs on bars.
    n : int
        Candidates per comparison group, and per file where there are some.
    per : {"budget", "tier", "loss"}, optional
        The best of each, of runs on bars; a budget is the nominal size nearest to the true one.
    probabilities : sequence of float
        Thresholds beside the alarm budgets; left out where scores only rank.
    access : tuple of str, optional
        Verb and question under which the ledger counts this evaluation; not counted without.

    Raises
    ------
    StoreError
        If the store holds no such candidate of a binary label.
    TruenessError
        If there are titles only, or nothing that can be filed.
    """
    if n < 1 or not all(0 < p < 1 for p in probabilities):
        raise TruenessError(
            "-n must be at least 1, and every --probability inside (0, 1)", "top_options"
        )
    board, groups = leaderboard(store, campaign), []
    for group in board.groups:
        models = [] if group.kind != "binary" else _asked(group.candidates, tiers, per)
        if top := _best(models, n, per):
            members = [TopModel(f, m, _confusions(m.run, probabilities)) for f, m in top]
            groups.append((group, members))
    if not groups:
        raise _nothing(store, board, tiers, per)
    ranked = [model.run for group, _ in groups for model in group.models]
    unrecorded = record_access(store, ranked, *access) if access else ""
    skipped = tuple(f"skipped {one.name}: {one.reason}" for one in board.problems)
    return TopModels(groups, campaign or "", (*unrecorded_notes(unrecorded), *skipped))


def _asked(models: Sequence[Model], tiers: Sequence[str], per: Per | None) -> list[Model]:
    """Models of some tiers that can be filed."""
    wanted = [model for model in models if not tiers or _tier(model) in tiers]
    return [model for model in wanted if per is None or _file(model, per)]


def _nothing(
    store: AnyStore, board: Leaderboard, tiers: Sequence[str], per: Per | None
) -> TruenessError:
    """Why there is nothing to show."""
    if board.groups and all(group.kind != "binary" for group in board.groups):
        return TruenessError(
            "confusion counts at thresholds are about binary labels; for titles see `trueness "
            "leaderboard` and `trueness finalize --precision`", "not_binary",
        )  # fmt: skip
    if per is not None and not tiers and any(group.candidates for group in board.groups):
        return TruenessError(
            f"no stored candidate has a {per}: --per is about networks on bars; leave it away",
            "per",
        )
    where = f" of tier {', '.join(tiers)}" if tiers else ""
    return StoreError(
        f"{store.root}: no candidate{where}; `trueness run CAMPAIGN` makes some", "no_candidates"
    )


def _best(models: Sequence[Model], n: int, per: Per | None) -> list[tuple[str, Model]]:
    """First `n` distinct candidates of each file, files in order of their best."""
    files: dict[str, list[Model]] = {}
    seen: set[str] = set()
    for model in models:
        candidate = model.run.candidate
        kept = files.setdefault(_file(model, per), [])
        if candidate not in seen and len(kept) < n:
            kept.append(model)
            seen.add(candidate)
    return [(name, model) for name, kept in files.items() for model in kept]


def _tier(model: Model) -> str:
    return str(getattr(model.run.spec.task, "tier", ""))


def _file(model: Model, per: Per | None) -> str:
    """Where a model is filed; empty if nowhere."""
    if per == "budget":
        true = model.run.record["parameters"]
        near = min(NOMINAL, key=lambda name: abs(math.log(max(1, true) / NOMINAL[name])))
        return near if true else ""
    if per == "tier":
        return _tier(model)
    if per == "loss":
        return str(getattr(getattr(model.run.spec.canonical(), "loss", None), "kind", ""))
    return ""


def _confusions(run: Run, probabilities: Sequence[float]) -> list[Confusion]:
    """What the run does at each probability and at each alarm budget."""
    part, rule = measured_part(run), run.estimands
    ranked, blocks = SortedScores.of(part.y, part.score), part.blocks(rule.block)
    residuals, score = Residuals.of(ranked, blocks), part.score
    thresholds = {f"probability ≥ {plain(p)}": float(logit(p)) for p in probabilities}
    thresholds = thresholds if rule.probabilities else {}
    for budget in rule.alarms:
        above = score[score > alarm_cut(score, budget)]
        thresholds[f"top {budget}"] = float(above.min()) if len(above) else math.inf
    return [
        _confusion(name, cut, ranked, residuals, rule.confidence)
        for name, cut in thresholds.items()
    ]


def _confusion(
    rule: str, cut: float, ranked: SortedScores, residuals: Residuals, confidence: float
) -> Confusion:
    """Counts, and proportions with the intervals of their effective sample sizes."""
    y, alarm = ranked.positive, ranked.score >= cut
    tp, fp = int((alarm & y).sum()), int((alarm & ~y).sum())
    fn, tn = int(y.sum()) - tp, int((~y).sum()) - fp
    alarms = residuals.of_alarms(ranked, tp + fp, by_rank=rule.startswith("top"))
    result = of_share(alarm, y, residuals.blocks)
    precision, recall = (
        depends.estimate(tp, n, confidence) for depends, n in ((alarms, tp + fp), (result, tp + fn))
    )
    return Confusion(rule, cut, tp, fp, fn, tn, precision, recall)


# ------------------------------------------------------------------------------------------- shown


def _group_section(group: Group, top: Sequence[TopModel]) -> Section:
    return Section(group.title, [_model_section(one) for one in top])


def _model_section(one: TopModel) -> Section:
    model, record = one.model, one.model.run.record
    filed = f"{one.filed}: " * bool(one.filed)
    facts = [f"AUC {estimate(model.estimates['auc'])}"]
    if record["parameters"]:
        facts.insert(0, plural(record["parameters"], "weight"))
    if scores := record.get("scores"):
        what = "probabilities" if one.probabilities else "scores"
        facts.append(f"{what} {decimal(scores['min'])} to {decimal(scores['max'])}")
        facts += [scores["state"]] if scores.get("state") else []
    key = "" if model.key in model.title else f" · {model.key}"
    return Section(f"{filed}{model.title}{key}", [Sentence("; ".join(facts)), _table(one)])


def _table(one: TopModel) -> Table:
    what = "probability" if one.probabilities else "score"
    columns = [
        Column("alarms", weight=9), Column(f"from\n{what}", "number", 8),
        Column("TP", "count", 7), Column("FP", "count", 7), Column("FN", "count", 6),
        Column("TN", "count", 5), Column("precision", "share_only", 9),
        Column("recall", "share_only", 8),
    ]  # fmt: skip
    rows = []
    for cut in one.thresholds:
        place = None
        if math.isfinite(cut.cut):
            place = float(expit(cut.cut)) if one.probabilities else cut.cut
        name = cut.rule.removeprefix("probability ")
        rows.append([name, place, cut.tp, cut.fp, cut.fn, cut.tn, cut.precision, cut.recall])
    return Table(columns, rows)
