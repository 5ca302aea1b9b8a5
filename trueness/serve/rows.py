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
from trueness.judge.group import Group, Model, Recorded
from trueness.judge.languages_figures import difference_table
from trueness.judge.leaderboard import group_title, leaderboard, rank_of
from trueness.judge.leaderboard_document import (
    against_leader,
    check_links,
    detail_parts,
    further_parts,
    verdict_parts,
)
from trueness.judge.settings import MISSING, NEVER, content_of, flat, stored_value, words
from trueness.serve.query import Query, matches
from trueness.serve.shelf import View
from trueness.store import Run, Store
from trueness.store.annotations import Annotation, annotations_of

RECORDED = ("parameters", "seconds", "created", "device", "label")
"""Fields of a record that are columns."""
SAMPLED = 200
"""Specs from which the names of settings are taken."""
GROUPS_KEPT = 4
DETAILED = 300
"""Runs up to which a page holds details of all of them."""


@dataclass(frozen=True)
class Standing:
    """What the judgement of a whole group says of one run."""

    place: int
    difference: Estimate | None
    shrunk: Estimate | None
    bound: Estimate | None
    against: str | None
    checks: list[Link]


@dataclass(frozen=True)
class JudgedGroup:
    """A judged comparison group as a page needs it; small enough to come from another process.

    `heat` holds differences of methods from their reference, per language; None without languages.
    """

    title: str
    above: list[Part]
    below: list[Part]
    standings: dict[str, Standing]
    heat: Table | None = None


def judge_runs(store: Store, keys: frozenset[str], campaign: str) -> JudgedGroup:
    """Judge runs of one comparison group, as `trueness leaderboard` does."""
    board = leaderboard(store, campaign or None, keys=set(keys))
    (group,) = board.groups
    below = further_parts(group)
    if len(group.models) <= DETAILED:
        below += detail_parts(group)
    places = {m.key: _standing(m, i) for i, m in enumerate(group.models)}
    return JudgedGroup(group.title, whole(verdict_parts(group)), whole(below), places, _heat(group))


def _heat(group: Group) -> Table | None:
    result = group.classes
    if result is None or result.comparison is None:
        return None
    return difference_table(result.comparison, result.words)


def _standing(model: Model, place: int) -> Standing:
    selected = model.selected
    return Standing(
        place, model.difference, selected.shrunk if selected else None,
        selected.bound if selected else None, against_leader(model), check_links(model),
    )  # fmt: skip


# --------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True)
class Rows:
    """Runs of one comparison group of a view of the store.

    Attributes
    ----------
    view : View
    group : str
    models : tuple of Model
        Not judged: a record and its names.
    """

    view: View
    group: str
    models: tuple[Model, ...]

    @classmethod
    def of(cls, view: View, group: str, campaign: str, notes: Mapping[str, Annotation]) -> Rows:
        """Runs of a group, of a campaign only if one is named."""
        known = view.campaigns.get(campaign, {})
        keys = {key for some in known.values() for key in some} if campaign else view.runs.keys()
        runs = [
            run for run in view.runs.values()
            if run.record["comparison_group"] == group and run.key in keys
        ]  # fmt: skip
        n = len({run.key for run in runs if not run.spec.is_baseline})
        return cls(view, group, tuple(
            Model(view.ids.get(run.key, []), run, Recorded(run.record["estimates"], n),
                  annotation=notes.get(run.key, Annotation()))
            for run in runs
        ))  # fmt: skip

    @property
    def keys(self) -> frozenset[str]:
        """Of every run."""
        return frozenset(model.key for model in self.models)

    @cached_property
    def estimates(self) -> list[str]:
        """Names of estimates."""
        return list(self.models[0].run.record["estimates"])

    @cached_property
    def settings(self) -> list[str]:
        """Dotted names of settings that some specs have."""
        step = max(1, len(self.models) // SAMPLED)
        specs = [model.run.spec for model in self.models[::step]]
        known = dict.fromkeys(path for spec in specs for path in flat(content_of(spec)))
        return [*(path for path in known if path not in NEVER), "seed"]

    @property
    def headline(self) -> str:
        """What sorts by default."""
        return self.models[0].run.estimands.headline

    def ordered(self, query: Query, standings: Mapping[str, Standing]) -> list[Model]:
        """Models that meet the query, sorted; by default as they were judged, if they were."""
        question = replace(query, page=1, columns=()), id(standings)
        if question not in self._sorted:
            self._sorted.clear()  # whoever turns pages asks for one order again and again
            self._sorted[question] = self._ordered(query, standings)
        return self._sorted[question]

    def values(self, name: str) -> dict[str, Any]:
        """Value of a field of every run, by key."""
        if name not in self._values:
            self._values[name] = {model.key: field_of(model, name) for model in self.models}
        return self._values[name]

    def by_value(self, models: Sequence[Model], name: str) -> dict[str, list[Model]]:
        """Models by the value of a field, in the order in which the values come."""
        values, result = self.values(name), {}
        for model in models:
            value = values[model.key]
            result.setdefault("none" if value is None else words(value), []).append(model)
        return result

    @cached_property
    def _values(self) -> dict[str, dict[str, Any]]:
        return {}

    @cached_property
    def _sorted(self) -> dict[tuple[Query, int], list[Model]]:
        return {}

    def _ordered(self, query: Query, standings: Mapping[str, Standing]) -> list[Model]:
        kept = [model for model in self.models if meets(model, query)]
        for name, operator, wanted in query.conditions():
            values = self.values(name)
            kept = [model for model in kept if matches(values[model.key], operator, wanted)]
        sort = query.sort or self.headline
        if sort in self.estimates:
            kept.sort(key=lambda m: rank_of(m, sort), reverse=query.order != "ascending")
        else:
            values = self.values(sort)
            kept.sort(key=lambda m: _sortable(values[m.key]), reverse=query.order == "descending")
        if not query.sort and standings:
            kept.sort(key=lambda m: standings[m.key].place if m.key in standings else len(kept))
        elif not query.sort:
            kept.sort(key=lambda m: m.is_baseline)
        return kept


def meets(model: Model, query: Query) -> bool:
    """Whether a model is of the kind that is asked for and holds the word that is searched."""
    if query.kind and model.is_baseline != (query.kind == "baselines"):
        return False
    if query.search:
        texts = (*model.ids, model.key, str(model.run.record["label"]), *model.annotation.tags)
        return any(query.search.lower() in text.lower() for text in texts)
    return True


def field_of(model: Model, name: str) -> Any:  # noqa: ANN401 - whatever a field holds
    """Value of a column of one model: estimate, field of the record, or setting; None without.

    A setting that has parts is told in words.
    """
    recorded = model.run.record["estimates"]
    if name in recorded:
        return recorded[name]["value"]  # without its interval, which is not read for all of a group
    if name in RECORDED:
        return model.run.record[name]
    if name == "id":
        return model.name
    value = stored_value(model.run.spec, name)
    if value is MISSING:
        return None
    return value if isinstance(value, int | float | str) else words(value)


def _sortable(value: Any) -> tuple[int, float, str]:  # noqa: ANN401 - whatever a field holds
    """Numbers by size, then texts, then what has none."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float):
        return 0, float(value), ""
    return 1, 0.0, str(value).lower()


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
