"""Runs of a comparison group as rows: every field of them, filtered and sorted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from trueness.document import Link, Part, Table
from trueness.document.texts import whole
from trueness.errors import StoreError
from trueness.evaluation import Estimate
from trueness.judge.choice import Fields
from trueness.judge.group import Group, Model, Recorded
from trueness.judge.languages_figures import difference_table
from trueness.judge.leaderboard import group_title, leaderboard
from trueness.judge.leaderboard_document import (
    against_leader,
    check_links,
    detail_parts,
    difference_cell,
    further_parts,
    verdict_parts,
)
from trueness.judge.settings import words
from trueness.serve.query import Query
from trueness.serve.shelf import View
from trueness.store import Run, Store
from trueness.store.annotations import Annotation, annotations_of

GROUPS_KEPT = 4
DETAILED = 300
"""Runs up to which a page holds details of all of them."""


@dataclass(frozen=True)
class Standing:
    """What the judgement of a whole group says of one run."""

    place: int
    difference: Estimate | str | None
    shrunk: Estimate | None
    bound: Estimate | None
    against: str | None
    checks: list[Link]


@dataclass(frozen=True)
class JudgedGroup:
    """A judged comparison group as a page needs it; small enough to come from another process.

    `leader` is the key of the run that leads, empty where none does. `heat` holds differences of
    methods from their reference, per language; None without languages.
    """

    title: str
    above: list[Part]
    below: list[Part]
    standings: dict[str, Standing]
    leader: str = ""
    heat: Table | None = None


def judge_runs(store: Store, keys: frozenset[str], campaign: str) -> JudgedGroup:
    """Judge runs of one comparison group, as `trueness leaderboard` does."""
    board = leaderboard(store, campaign or None, keys=set(keys))
    (group,) = board.groups
    below = further_parts(group)
    if len(group.models) <= DETAILED:
        below += detail_parts(group)
    places = {m.key: _standing(m, i) for i, m in enumerate(group.models)}
    leader = group.candidates[0].key if group.verdict.leader else ""
    above = whole(verdict_parts(group))
    return JudgedGroup(group.title, above, whole(below), places, leader, _heat(group))


def _heat(group: Group) -> Table | None:
    result = group.classes
    if result is None or result.comparison is None:
        return None
    return difference_table(result.comparison, result.words)


def _standing(model: Model, place: int) -> Standing:
    selected = model.selected
    return Standing(
        place, difference_cell(model), selected.shrunk if selected else None,
        selected.bound if selected else None, against_leader(model), check_links(model),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Rows:
    """Runs of one comparison group, not judged: a record and its names.

    Attributes
    ----------
    group : str
    fields : Fields
    """

    group: str
    fields: Fields

    @classmethod
    def of(cls, view: View, group: str, campaign: str, notes: Mapping[str, Annotation]) -> Rows:
        """Runs of a group, of a campaign only if one is named, under its ids."""
        ids = view.ids_of(campaign) if campaign else view.ids
        runs = [
            run for run in view.runs.values()
            if run.record["comparison_group"] == group and (run.key in ids or not campaign)
        ]  # fmt: skip
        n = len({run.key for run in runs if not run.spec.is_baseline})
        return cls(group, Fields([
            Model(ids.get(run.key, []), run, Recorded(run.record["estimates"], n),
                  annotation=notes.get(run.key, Annotation()))
            for run in runs
        ]))  # fmt: skip

    @property
    def models(self) -> Sequence[Model]:
        """A model per run."""
        return self.fields.models

    @property
    def keys(self) -> frozenset[str]:
        """Of every run."""
        return frozenset(model.key for model in self.models)

    def ordered(self, query: Query, standings: Mapping[str, Standing]) -> list[Model]:
        """Models that meet the query, sorted; by default as they were judged, if they were."""
        question = replace(query, page=1, columns=()), id(standings)
        if question not in self._sorted:
            self._sorted.clear()  # whoever turns pages asks for one order again and again
            places = {key: standing.place for key, standing in standings.items()}
            self._sorted[question] = self.fields.chosen(query.choice, places)
        return self._sorted[question]

    def by_value(self, models: Sequence[Model], name: str) -> dict[str, list[Model]]:
        """Models by the value of a field, in the order in which the values come."""
        values, result = self.fields.values(name), {}
        for model in models:
            value = values[model.key]
            result.setdefault("none" if value is None else words(value), []).append(model)
        return result

    @cached_property
    def _sorted(self) -> dict[tuple[Query, int], list[Model]]:
        return {}


def title_of(run: Run[Any]) -> str:
    """What is predicted by the group of a run, on which units."""
    return group_title(run, run.estimands.measured_on, run.record["units"]["n"])


class RowsKept:
    """Rows of the groups that pages ask for, while the store is the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str, str], Rows] = OrderedDict()

    def __call__(self, view: View, group: str, campaign: str) -> Rows:
        """Runs of a group of a view, of a campaign only if one is named."""
        question = (view.state, group, campaign)
        if question not in self._kept:
            try:
                notes = annotations_of(view.store)
            except StoreError:  # told among the problems
                notes = {}
            self._kept[question] = Rows.of(view, group, campaign, notes)
        self._kept.move_to_end(question)
        while len(self._kept) > GROUPS_KEPT:
            self._kept.popitem(last=False)
        return self._kept[question]
