"""Tables by one axis: every variant minus its reference, everything else equal, on the same days.

A pair is two runs whose specs differ on the axis alone, the seed included. A row averages the
differences of its pairs; the days are resampled once for all, and the intervals of a table hold for
all of its rows together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trueness.errors import TruenessError, nearest
from trueness.evaluation import (
    Contrast,
    Estimate,
    mean_difference,
    mean_of,
    replicated_proportion,
    simultaneous_contrasts,
)
from trueness.judge.axes import AXES, Axis
from trueness.judge.comparison import Draws, auc_draws, without_seed
from trueness.judge.leaderboard import Arena, leaderboard
from trueness.store import Problem, Run, Store


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
        twins = (name.split(" = ") for name in self.ids)
        plain = (" = ".join(dict.fromkeys(n.split("@")[0] for n in names)) for names in twins)
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
    """Rows of one arena, references first, then by the lower end of the difference."""

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
    def found(self) -> list[ContrastRow]:
        """Rows whose difference remains after correction."""
        return [row for row in self.rows if row.verdict in ("better", "worse")]

    @property
    def sentence(self) -> str:
        """How many of the variants beat the reference after correction."""
        m, words = len(self.compared), [row.verdict for row in self.compared]
        if not m:
            return (
                f"Nothing to compare: no run has a partner with {self.reference}, all else equal."
            )
        rest = [f"{words.count(w)} {w}" for w in ("worse", "tied", "unknown") if words.count(w)]
        better, of = words.count("better"), f"{m} variant{'s' * (m > 1)}"
        return (
            f"{better} of {of} beat{'s' * (better == 1)} {self.reference} in AUC after correction "
            f"for {m}{'; ' if rest else ''}{', '.join(rest)}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        rows = [row.to_dict() for row in self.rows]
        return {**vars(self), "rows": rows, "sentence": self.sentence}


@dataclass(frozen=True)
class Contrasts:
    """Tables of a store or a campaign, and the runs that could not be read."""

    tables: list[ContrastTable]
    problems: list[Problem]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "tables": [table.to_dict() for table in self.tables],
            "problems": [{"name": p.name, "reason": p.reason} for p in self.problems],
        }


def contrasts(
    store: Store, campaign: str | None, by: str, *, each: bool = False,
    keys: set[str] | None = None, look: tuple[str, str] | None = None,
) -> Contrasts:  # fmt: skip
    """Compare the runs of a campaign along one axis, arena by arena.

    References may come from anywhere in the store, if they were measured on the same days.

    Parameters
    ----------
    store : Store
    campaign : str, optional
        Only the runs of this campaign; all without it.
    by : str
        One of `AXES`.
    each : bool
        One row per experiment, instead of the mean over the experiments of a variant.
    keys : set of str, optional
        Only these runs.
    look : tuple of str, optional
        As for `leaderboard`.

    Raises
    ------
    TruenessError
        For an unknown axis, or if nothing of the campaign is stored.
    """
    if by not in AXES:
        raise TruenessError(f"unknown comparison {by!r}; {nearest(by, list(AXES))}")
    board = leaderboard(store, campaign, keys=keys, look=look)
    every = [run for run in store.all_runs()[0] if not run.spec.is_baseline]
    problems = {p.name: p for p in board.problems}
    tables: list[ContrastTable] = []
    for arena in board.arenas:
        if arena.networks:
            place = arena.networks[0].run.record["comparison_group"]
            comparable = [run for run in every if run.record["comparison_group"] == place]
            draws, unreadable = auc_draws(store, comparable)
            problems |= {p.name: p for p in unreadable}
            view = _View(arena, [run for run in comparable if run.key in draws], draws, each)
            tables += view.tables(by)
    return Contrasts(tables, list(problems.values()))


@dataclass(frozen=True)
class _Group:
    """Runs of one row, and those of them that have a partner, with it."""

    variant: str
    note: str
    runs: list[Run]
    pairs: list[tuple[Run, Run]]


@dataclass(frozen=True)
class _View:
    """One arena: what is shown of it, and every run that may be a reference."""

    arena: Arena
    runs: list[Run]
    draws: Draws
    each: bool

    @property
    def shown(self) -> list[Run]:
        names = {row.run.key for row in self.arena.networks}
        return [run for run in self.runs if run.key in names]

    def tables(self, by: str) -> list[ContrastTable]:
        """Against the first reference, and against further ones where they have partners."""
        found = [self.table(by, axis) for axis in AXES[by](self.shown)]
        return [t for i, t in enumerate(found) if t.compared or (t.rows and i == 0)]

    def table(self, by: str, axis: Axis) -> ContrastTable:
        rule = self.arena.networks[0].run.spec.evaluation
        shown = [run for run in self.shown if axis.takes(run.spec)]
        groups = self._groups(axis, [r for r in shown if not axis.is_reference(r.spec)])
        paired = [group for group in groups if group.pairs]
        differences = [
            mean_difference(*([self.draws[run.key] for run in side] for side in _sides(group)))
            for group in paired
        ]
        found = simultaneous_contrasts(differences, rule.confidence_pct / 100)
        rows = [self._row(g, contrast) for g, contrast in zip(paired, found, strict=True)]
        rows.sort(key=_lower_end, reverse=True)
        rest = [self._row(group, None) for group in groups if not group.pairs]
        used = {r.key: r for group in paired for _, r in group.pairs}
        if not paired:
            used = {run.key: run for run in shown if axis.is_reference(run.spec)}
        references = self._references(axis, list(used.values()))
        matched = {run.key for group in groups for run, _ in group.pairs}
        lonely = [r for group in groups for r in group.runs if r.key not in matched]
        return ContrastTable(
            self.arena.title, by, axis.reference, [*references, *rows, *rest],
            rule.confidence_pct / 100, max(rule.alarms), self._ids(lonely),
        )  # fmt: skip

    def _groups(self, axis: Axis, variants: list[Run]) -> list[_Group]:
        """Rows in order of first appearance."""
        partners: dict[str, list[Run]] = {}
        for run in self.runs:
            if axis.is_reference(run.spec):
                partners.setdefault(axis.signature(run.spec), []).append(run)
        groups: dict[tuple[str, ...], _Group] = {}
        for run in variants:
            partner = _closest(run, partners.get(axis.signature(run.spec), []))
            note = _stopping(run, partner)
            address = (*self._address(axis, run), note)
            empty = _Group(axis.label(run.spec), note, [], [])
            group = groups.setdefault(address, empty)
            group.runs.append(run)
            group.pairs.extend([(run, partner)] if partner else [])
        return list(groups.values())

    def _references(self, axis: Axis, runs: list[Run]) -> list[ContrastRow]:
        groups: dict[tuple[str, ...], _Group] = {}
        for run in runs:
            empty = _Group(axis.label(run.spec), "", [], [])
            groups.setdefault(self._address(axis, run), empty).runs.append(run)
        return [self._row(group, None, True) for group in groups.values()]

    def _address(self, axis: Axis, run: Run) -> tuple[str, ...]:
        label = axis.label(run.spec)
        return (label, without_seed(run.spec)) if self.each else (label,)

    def _ids(self, runs: Sequence[Run]) -> list[str]:
        names = {row.run.key: row.name for row in self.arena.networks}
        return sorted({names.get(run.key, run.key) for run in runs}, key=natural)

    def _row(
        self, group: _Group, contrast: Contrast | None, is_reference: bool = False
    ) -> ContrastRow:
        ours, theirs = _sides(group)
        rule = ours[0].spec.evaluation
        confidence, budget = rule.confidence_pct / 100, max(rule.alarms)
        measures = {
            name: replicated_proportion(
                [Estimate.from_dict(run.record["estimates"][name]) for run in ours], confidence
            )
            for name in (f"precision@{budget}", "precision@0.5", "recall@0.5")
        }
        measures["auc"] = mean_of([self.draws[run.key] for run in ours]).estimate(confidence)
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


def _closest(run: Run, partners: list[Run]) -> Run | None:
    """The partner that stops on the same measure, if there are several."""
    stop_on = run.spec.recipe.stop_on
    return min(partners, key=lambda r: (r.spec.recipe.stop_on != stop_on, r.key), default=None)


def _stopping(run: Run, partner: Run | None) -> str:
    """What the two stopped on, if it was not the same."""
    if partner is None or partner.spec.recipe.stop_on == run.spec.recipe.stop_on:
        return ""
    return f"stops on {run.spec.recipe.stop_on}, reference on {partner.spec.recipe.stop_on}"


def _lower_end(row: ContrastRow) -> float:
    low = None if row.contrast is None else row.contrast.simultaneous.low
    return -np.inf if low is None else low
