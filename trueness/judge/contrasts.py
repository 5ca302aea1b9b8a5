"""Variants of one setting against a reference, everything else equal, on the same units.

A pair is two runs whose specs differ in that setting alone, the seed included. A row averages the
differences of its pairs; the units are resampled once for all, and the intervals of a table hold
for all of its rows together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trueness.document import Column, Document, Section, Sentence, Table, numbers
from trueness.errors import TruenessError
from trueness.evaluation import (
    Contrast,
    Estimate,
    mean_difference,
    mean_of,
    replicated_proportion,
    simultaneous_contrasts,
)
from trueness.judge.axes import Axis, axis_of
from trueness.judge.comparison import Draws, draws_of_runs
from trueness.judge.finding import ids_by_key
from trueness.judge.group import Group
from trueness.judge.judgement import SCHEMA
from trueness.judge.leaderboard import leaderboard
from trueness.judge.settings import content_of, value_at, words
from trueness.store import AnyStore, Problem, Run


@dataclass(frozen=True)
class ContrastRow:
    """A variant: its mean measures, and its mean difference to its references.

    In `ahead` of its pairs the variant has the larger AUC. Without a partner in the store,
    `contrast` is None and the measures are those of all its runs.
    """

    variant: str
    ids: list[str]
    against: list[str]
    runs: int
    pairs: int
    ahead: int
    seeds: int
    measures: dict[str, Estimate]
    contrast: Contrast | None
    note: str
    is_reference: bool

    @property
    def experiments(self) -> list[str]:
        """Ids without their seeds."""
        aliases = (name.split(" = ") for name in self.ids)
        plain = (" = ".join(dict.fromkeys(n.split("@")[0] for n in names)) for names in aliases)
        return list(dict.fromkeys(plain))

    @property
    def verdict(self) -> str:
        """Better, worse, tied or unknown after correction; or why there is none."""
        if self.contrast is not None:
            return self.contrast.verdict
        return "reference" if self.is_reference else "no partner"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        measures = {name: e.to_dict() for name, e in self.measures.items()}
        contrast = None if self.contrast is None else self.contrast.to_dict()
        return {**vars(self), "measures": measures, "contrast": contrast, "verdict": self.verdict}


@dataclass(frozen=True)
class ContrastTable:
    """Rows of one comparison group, references first, then by the lower end of the difference."""

    title: str
    by: str
    reference: str
    rows: list[ContrastRow]
    confidence: float
    budget: int
    unpaired: list[str]

    @property
    def compared(self) -> list[ContrastRow]:
        """Rows with a difference."""
        return [row for row in self.rows if row.contrast is not None]

    @property
    def significant(self) -> list[ContrastRow]:
        """Rows whose difference remains after correction."""
        return [row for row in self.rows if row.verdict in ("better", "worse")]

    @property
    def sentence(self) -> str:
        """How many of the variants beat the reference after correction."""
        m, known = len(self.compared), [row.verdict for row in self.compared]
        if not m:
            return (
                f"Nothing to compare: no run has a partner with {self.by} {self.reference}, all "
                "else equal."
            )
        rest = ", ".join(
            f"{known.count(verdict)} {VERDICTS.get(verdict, verdict)}"
            for verdict in ("worse", "tied", "unknown")
            if verdict in known
        )
        note = f"{numbers.plural(m, 'variant')}: {known.count('better')} better in AUC than "
        note += f"{self.by} {self.reference}" + (f", {rest}" if rest else "")
        return note + (f"; adjusted for {m} comparisons." if m > 1 else ".")

    @property
    def notes(self) -> list[str]:
        """What a reader has to know besides."""
        notes = []
        if self.compared:
            notes.append("intervals resample units, not seeds: they hold for these runs as trained")
        if any(row.runs > 1 for row in self.rows):
            notes.append("counts are summed over runs; intervals are as wide as those of one run")
        if stops := [row for row in self.rows if row.note]:
            names = "; ".join(f"{row.variant} {row.note}" for row in stops)
            notes.append(f"not everything else is equal: {names}")
        if self.unpaired:
            notes.append(
                f"without a partner in the store, all else equal: {numbers.listed(self.unpaired)}"
            )
        return notes

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        rows = [row.to_dict() for row in self.rows]
        return {**vars(self), "rows": rows, "sentence": self.sentence, "notes": self.notes}

    def section(self) -> Section:
        """What to show."""
        about = (
            f"{self.by} against {self.reference}, everything else equal, same seeds; means over "
            f"pairs, {numbers.level(self.confidence)} confidence intervals"
        )
        table = Table(
            [*COLUMNS[:2], Column(f"precision@{self.budget}", "share", 8), *COLUMNS[2:]],
            [_cells(row, self.budget) for row in self.rows],
            styles=["reference" if row.is_reference else "" for row in self.rows],
        )
        notes = [Sentence(note, "note") for note in self.notes]
        answer = Sentence(self.sentence, "verdict")
        return Section(self.title, [answer, Sentence(about), table, *notes])


COLUMNS = (
    Column("variant", weight=9),
    Column("ahead,\nseeds", "text", 3, help="pairs in which the variant has the larger AUC"),
    Column("precision@0.5", "share", 4),
    Column("recall@0.5", "share", 4),
    Column("AUC", "estimate", 6),
    Column("AUC −\nreference", "difference", 7),
    Column("adjusted interval", "text", 8),
    Column("p,\nadjusted", "p", 5),
    Column("verdict", weight=9),
)


def _cells(row: ContrastRow, budget: int) -> list[Any]:
    ids = row.experiments
    shown = row.variant + (f" ({' '.join(ids)})" if len(ids) < 3 else f" ({len(ids)} ids)")
    one = row.contrast
    ends = None if one is None else numbers.interval(
        one.simultaneous.low, one.simultaneous.high, signed=True)  # fmt: skip
    names = (f"precision@{budget}", "precision@0.5", "recall@0.5", "auc")
    measures = [row.measures.get(name) for name in names]
    return [
        shown, f"{row.ahead}/{row.pairs}, {row.seeds}" if row.pairs else None, *measures,
        None if one is None else one.pointwise, ends, None if one is None else one.p,
        VERDICTS.get(row.verdict, row.verdict),
    ]  # fmt: skip


VERDICTS = {"tied": "indistinguishable"}
"""Verdict -> its word."""


@dataclass(frozen=True)
class Contrasts:
    """Tables of a store or a campaign, and the runs that could not be read."""

    title: str
    tables: list[ContrastTable]
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA,
            "kind": "contrasts",
            "title": self.title,
            "tables": [table.to_dict() for table in self.tables],
            "problems": [problem.to_dict() for problem in self.problems],
        }

    def to_frame(self) -> pl.DataFrame:
        """A row per variant."""
        rows = []
        for table in self.tables:
            for row in table.rows:
                one = row.contrast
                flat = {"by": table.by, "reference": table.reference, "variant": row.variant,
                        "verdict": row.verdict, "pairs": row.pairs, "ahead": row.ahead,
                        "p": None if one is None else one.p}  # fmt: skip
                for name, e in {
                    **row.measures, **({} if one is None else {"difference": one.simultaneous})
                }.items():  # fmt: skip
                    flat |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
                rows.append(flat)
        return pl.from_dicts(rows, infer_schema_length=None) if rows else pl.DataFrame()

    def document(self) -> Document:
        """What to show."""
        parts: list[Any] = [table.section() for table in self.tables]
        if not parts:
            parts = [Sentence("Nothing to compare: no candidates are stored; `trueness run demo` "
                              "makes some.")]  # fmt: skip
        parts += [Sentence(f"skipped {p.name}: {p.reason}", "warning") for p in self.problems]
        return Document(self.title, parts)


def contrasts(
    store: AnyStore, campaign: str | None, by: str, *, reference: str | None = None,
    each: bool = False, keys: set[str] | None = None, access: tuple[str, str] | None = None,
) -> Contrasts:  # fmt: skip
    """Compare the runs of a campaign along one setting, group by group.

    References may come from anywhere in the store, if they were measured on the same units.

    Parameters
    ----------
    store : Store or MemoryStore
    campaign : str, optional
        Only the runs of this campaign; all without it.
    by : str
        Dotted name of a setting, such as ``loss`` or ``model.embedding``, or its end, such as
        ``dropout``; one that ends in ``.kind`` compares kinds whose other fields are equal.
    reference : str, optional
        Value that the others are compared with; the default of the setting, or the most frequent.
    each : bool
        One row per experiment, instead of the mean over the experiments of a variant.
    keys : set of str, optional
        Only these runs.
    access : tuple of str, optional
        As for `leaderboard`.

    Raises
    ------
    TruenessError
        For an unknown setting or reference, or if nothing of the campaign is stored.
    """
    ids = ids_by_key(store, campaign)
    asked = [
        run
        for run in store.all_runs()[0]
        if not run.spec.is_baseline and (campaign is None or run.key in ids)
    ]
    if asked:
        axis_of(by, asked, reference)  # refuses before the evaluation is recorded
    board = leaderboard(store, campaign, keys=keys, access=access)
    every = [run for run in store.all_runs()[0] if not run.spec.is_baseline]
    problems = {p.name: p for p in board.problems}
    tables: list[ContrastTable] = []
    for group in board.groups:
        if not group.candidates or group.kind != "binary":
            continue
        place = group.candidates[0].run.record["comparison_group"]
        comparable = [run for run in every if run.record["comparison_group"] == place]
        draws, unreadable = draws_of_runs(store, comparable)
        problems |= {p.name: p for p in unreadable}
        runs = [run for run in comparable if run.key in draws]
        axis = axis_of(by, [m.run for m in group.candidates], reference)
        tables.append(_View(group, runs, draws, each).table(axis))
    if board.groups and not tables:
        raise TruenessError(
            "no candidates for a binary label are stored, and --by compares those", "kind"
        )
    return Contrasts(f"{board.title} by {by}", tables, list(problems.values()))


@dataclass(frozen=True)
class _Group:
    """Runs of one row, and those of them that have a partner, with it."""

    variant: str
    note: str
    runs: list[Run]
    pairs: list[tuple[Run, Run]]


@dataclass(frozen=True)
class _View:
    """One comparison group: what is shown of it, and every run that may be a reference."""

    group: Group
    runs: list[Run]
    draws: Draws
    each: bool

    def table(self, axis: Axis) -> ContrastTable:
        rule = self.group.rule
        names = {model.key for model in self.group.candidates}
        shown = [r for r in self.runs if r.key in names and axis.applies(r)]
        groups = self._groups(axis, [r for r in shown if not axis.is_reference(r)])
        paired = [group for group in groups if group.pairs]
        differences = [
            mean_difference(*([self.draws[run.key] for run in side] for side in _sides(group)))
            for group in paired
        ]
        result = simultaneous_contrasts(differences, rule.confidence)
        rows = [self._row(g, contrast) for g, contrast in zip(paired, result, strict=True)]
        rows.sort(key=_lower_end, reverse=True)
        rest = [self._row(group, None) for group in groups if not group.pairs]
        used = {r.key: r for group in paired for _, r in group.pairs}
        if not paired:
            used = {run.key: run for run in shown if axis.is_reference(run)}
        references = self._references(axis, list(used.values()))
        matched = {run.key for group in groups for run, _ in group.pairs}
        lonely = [r for group in groups for r in group.runs if r.key not in matched]
        return ContrastTable(
            self.group.title, axis.path, axis.reference, [*references, *rows, *rest],
            rule.confidence, rule.budget, self._ids(lonely),
        )  # fmt: skip

    def _groups(self, axis: Axis, variants: list[Run]) -> list[_Group]:
        """Rows in order of first appearance."""
        partners: dict[str, list[Run]] = {}
        for run in self.runs:
            if axis.is_reference(run):
                partners.setdefault(axis.signature(run), []).append(run)
        groups: dict[tuple[str, ...], _Group] = {}
        for run in variants:
            partner = _closest(axis, run, partners.get(axis.signature(run), []))
            note = _stopping(axis, run, partner)
            address = (*self._address(axis, run), note)
            empty = _Group(axis.label(run), note, [], [])
            group = groups.setdefault(address, empty)
            group.runs.append(run)
            group.pairs.extend([(run, partner)] if partner else [])
        return list(groups.values())

    def _references(self, axis: Axis, runs: list[Run]) -> list[ContrastRow]:
        groups: dict[tuple[str, ...], _Group] = {}
        for run in runs:
            empty = _Group(axis.label(run), "", [], [])
            groups.setdefault(self._address(axis, run), empty).runs.append(run)
        return [self._row(group, None, True) for group in groups.values()]

    def _address(self, axis: Axis, run: Run) -> tuple[str, ...]:
        label = axis.label(run)
        return (label, run.candidate) if self.each else (label,)

    def _ids(self, runs: Sequence[Run]) -> list[str]:
        names = {model.key: model.name for model in self.group.candidates}
        return sorted({names.get(run.key, run.key) for run in runs}, key=natural)

    def _row(
        self, group: _Group, contrast: Contrast | None, is_reference: bool = False
    ) -> ContrastRow:
        ours, theirs = _sides(group)
        rule = self.group.rule
        confidence, budget = rule.confidence, rule.budget
        measures = {
            name: replicated_proportion(
                [Estimate.from_dict(run.record["estimates"][name]) for run in ours], confidence
            )
            for name in (f"precision@{budget}", "precision@0.5", "recall@0.5")
            if name in ours[0].record["estimates"]
        }
        measures["auc"] = mean_of([self.draws[run.key] for run in ours]).proportion(confidence)
        value = {key: one.value for key, one in self.draws.items()}
        ahead = sum(value[run.key] > value[partner.key] for run, partner in group.pairs)
        return ContrastRow(
            group.variant, self._ids(ours), self._ids(theirs), len(ours), len(group.pairs), ahead,
            len({run.spec.seed for run in ours}), measures, contrast, group.note, is_reference,
        )  # fmt: skip


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts FE-9 before FE-10.

    Examples
    --------
    >>> sorted(["FE-10", "AE-1", "FE-9"], key=natural)
    ['AE-1', 'FE-9', 'FE-10']
    """
    parts = re.findall(r"\d+|\D+", name)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def _sides(group: _Group) -> tuple[list[Run], list[Run]]:
    """Runs that are measured, and their partners: the pairs if there are any, else all runs."""
    if not group.pairs:
        return group.runs, []
    return [run for run, _ in group.pairs], [partner for _, partner in group.pairs]


def _closest(axis: Axis, run: Run, partners: list[Run]) -> Run | None:
    """The partner in which the fewest settings differ besides, if there are several."""
    return min(partners, key=lambda r: (len(axis.besides(run, r)), r.key), default=None)


def _stopping(axis: Axis, run: Run, partner: Run | None) -> str:
    """What else differs between the two, because it follows the setting."""
    if partner is None:
        return ""
    mine, other = content_of(run.spec), content_of(partner.spec)
    return ", ".join(
        f"has {path} {words(value_at(mine, path))}, the reference {words(value_at(other, path))}"
        for path in axis.besides(run, partner)
    )


def _lower_end(row: ContrastRow) -> float:
    low = None if row.contrast is None else row.contrast.simultaneous.low
    return -np.inf if low is None else low
