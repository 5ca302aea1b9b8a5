"""Where a campaign stands: what is done, what is best, what holds, what is left."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import polars as pl

from trueness.document import Column, Document, Items, Part, Section, Sentence, Table
from trueness.document.numbers import count, plural
from trueness.evaluation.intervals import Estimate
from trueness.judge.contrasts import contrasts, natural
from trueness.judge.group import Group
from trueness.judge.judgement import SCHEMA
from trueness.judge.leaderboard import Leaderboard, leaderboard
from trueness.judge.settings import COUPLED, differing
from trueness.spec.kinds import AnySpec
from trueness.store import AnyStore

BEST_SHOWN = 10
STATES = ("declared", "done", "failed", "pending")


class Declared(Protocol):
    """An experiment of a campaign."""

    @property
    def id(self) -> str:
        """Name in the campaign."""
        ...

    @property
    def priority(self) -> str:
        """Which experiments come first."""
        ...

    @property
    def spec(self) -> AnySpec:
        """Its description."""
        ...


@dataclass(frozen=True)
class SettingEffect:
    """A difference along a setting that holds after correction for the variants of its table.

    Attributes
    ----------
    setting, variant, reference : str
    verdict : str
        Better or worse.
    difference : Estimate
        In AUC, with the interval that holds for all variants of the table.
    ahead, pairs : int
        Pairs in which the variant has the larger AUC, of so many.
    experiments : list of str
    n_candidates : int
        Variants that were compared.
    note : str
        What else differs.
    """

    setting: str
    variant: str
    reference: str
    verdict: str
    difference: Estimate
    ahead: int
    pairs: int
    experiments: list[str]
    n_candidates: int
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**vars(self), "difference": self.difference.to_dict()}


@dataclass(frozen=True)
class Tracker:
    """Counts by family and priority, the best runs, effects of settings, commands that are left."""

    name: str
    title: str
    data: str
    families: dict[str, dict[str, int]]
    priorities: dict[str, dict[str, int]]
    baselines: dict[str, int]
    board: Leaderboard
    effects: list[SettingEffect]
    settings: list[str]
    pending: list[str]
    failures: dict[str, str]

    @property
    def groups(self) -> list[Group]:
        """Comparison groups that have candidates."""
        return [group for group in self.board.groups if group.candidates]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        best = [
            {"title": group.title, "verdict": group.verdict.to_dict(),
             "models": [model.to_dict() for model in group.candidates[:BEST_SHOWN]]}
            for group in self.groups
        ]  # fmt: skip
        return {
            "schema": SCHEMA, "kind": "tracker", "campaign": self.name, "title": self.title,
            "data": self.data, "families": self.families, "priorities": self.priorities,
            "baselines": self.baselines, "best": best,
            "effects": [effect.to_dict() for effect in self.effects],
            "settings": self.settings, "pending": self.pending, "failures": self.failures,
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per family and per priority."""
        return pl.DataFrame([
            {"by": by, "name": name, **counts}
            for by, groups in (("family", self.families), ("priority", self.priorities))
            for name, counts in groups.items()
        ])  # fmt: skip

    def document(self) -> Document:
        """The same for the same store."""
        total = summed(self.families)
        done, of = count(self.baselines["done"]), plural(self.baselines["declared"], "baseline")
        return Document(
            self.title,
            [
                Sentence(
                    f"{plural(total['declared'], 'experiment')}: {state_text(total)}; {done} of "
                    f"{of} done.", "verdict",
                ),
                Section("Families", [state_table("family", self.families)]),
                Section("Priorities", [state_table("priority", self.priorities)]),
                Section("Best results", _best(self.groups)),
                Section("What holds after correction", _holding(self)),
                Section("Pending", _pending(self)),
            ],
            f"Campaign {self.name} on {self.data}",
        )  # fmt: skip


def tracker(
    name: str, title: str, data: str, experiments: Sequence[Declared],
    baselines: Sequence[Declared], store: AnyStore, command: str, *,
    access: tuple[str, str] | None = None,
) -> Tracker:  # fmt: skip
    """Compare what a campaign declares with what a store holds.

    Parameters
    ----------
    name, title, data : str
        Of the campaign, and its data in words.
    experiments, baselines : sequence of Declared
    store : Store or MemoryStore
    command : str
        What trains the campaign; ``--priority P`` is put behind it.
    access : tuple of str, optional
        As for `leaderboard`.
    """
    runs, failures = store.all_runs()[0], store.failures()
    states = run_states((*experiments, *baselines), {run.key for run in runs}, failures)
    candidates = {e.spec.candidate for e in (*experiments, *baselines)}
    keys = {run.key for run in runs if run.candidate in candidates}
    board = Leaderboard([], [], {})
    if keys and name in store.campaigns():
        board = leaderboard(store, name, keys=keys, access=access)
    settings = _settings(board)
    priorities = counts_by(experiments, states, lambda e: e.priority)
    return Tracker(
        name, title, data,
        counts_by(experiments, states, lambda e: e.id.partition("-")[0]), priorities,
        _total([states[e.id] for e in baselines]), board,
        [effect for path in settings for effect in _effects(store, name, path, keys)], settings,
        [line for p, counts in priorities.items() for line in _commands(command, p, counts)],
        {e.id: failures[e.spec.key] for e in experiments if states[e.id] == "failed"},
    )  # fmt: skip


def _commands(command: str, priority: str, counts: dict[str, int]) -> list[str]:
    """What trains the rest of a priority; failed runs only run again if they are asked for."""
    if not counts["failed"] + counts["pending"]:
        return []
    retry = " --retry" if counts["failed"] else ""
    return [f"{command} --priority {shlex.quote(priority)}{retry}"]


def run_states(
    entries: Sequence[Declared], done: set[str], failures: dict[str, str]
) -> dict[str, str]:
    """Id -> done, failed or pending, by the keys that are stored and that failed."""
    keys = {e.id: e.spec.key for e in entries}
    return {
        id_: "done" if key in done else "failed" if key in failures else "pending"
        for id_, key in keys.items()
    }


def _total(states: Sequence[str]) -> dict[str, int]:
    return {"declared": len(states), **{state: states.count(state) for state in STATES[1:]}}


def counts_by(
    experiments: Sequence[Declared], states: dict[str, str], group: Callable[[Declared], str]
) -> dict[str, dict[str, int]]:
    """Group -> how many are in each state, groups in natural order."""
    by: dict[str, list[str]] = {}
    for entry in experiments:
        by.setdefault(group(entry), []).append(states[entry.id])
    return {name: _total(by[name]) for name in sorted(by, key=natural)}


def summed(groups: dict[str, dict[str, int]]) -> dict[str, int]:
    """How many of all groups together are in each state."""
    return {state: sum(counts[state] for counts in groups.values()) for state in STATES}


def _settings(board: Leaderboard) -> list[str]:
    """Settings in which candidates for a rare event differ, without those that follow another."""
    groups = [group for group in board.groups if group.kind == "binary"]
    paths = dict.fromkeys(
        path for group in groups for path in differing([m.run.spec for m in group.candidates])
    )
    followers = {follower for path in paths for follower in COUPLED.get(path, ())}
    return [path for path in paths if path not in followers]


def _effects(store: AnyStore, campaign: str, path: str, keys: set[str]) -> list[SettingEffect]:
    """Differences along a setting that remain after correction for the variants of their table."""
    return [
        SettingEffect(
            path, row.variant, table.reference, row.verdict, row.contrast.simultaneous, row.ahead,
            row.pairs, row.experiments, len(table.compared), row.note,
        )
        for table in contrasts(store, campaign, path, keys=keys).tables
        for row in table.significant
        if row.contrast is not None
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- shown


def state_text(counts: dict[str, int]) -> str:
    """``3 done, 1 failed, 0 pending``."""
    return ", ".join(f"{count(counts[state])} {state}" for state in STATES[1:])


def state_table(what: str, groups: dict[str, dict[str, int]]) -> Table:
    """A row per group, and all together where there are several."""
    columns = [Column(what, "code", 9), *(Column(state, "count", 9) for state in STATES)]
    rows = [(name, *counts.values()) for name, counts in groups.items()]
    styles = ["" for _ in rows]
    if len(rows) > 1:
        rows.append(("all", *summed(groups).values()))
        styles.append("total")
    return Table(columns, rows, styles=styles)  # ty: ignore[invalid-argument-type]


def _best(groups: Sequence[Group]) -> list[Part]:
    from trueness.judge.captions import caption, headline
    from trueness.judge.leaderboard_document import main_table

    parts: list[Part] = []
    for group in groups:
        few = replace(group, candidates=group.candidates[:BEST_SHOWN], baselines=[])
        shown: list[Part] = [Sentence(headline(group), "verdict")]
        if group.kind == "binary":
            shown += [Sentence(caption(group)), main_table(few)]
        shown += [Items(group.verdict.lines)] if group.verdict.leader else []
        parts.append(Section(group.title, shown))
    return parts or [Sentence("No runs yet.")]


EFFECTS = (
    Column("setting", "code", 9), Column("variant", weight=9), Column("against", weight=8),
    Column("AUC difference,\nadjusted 95 % CI", "difference", 9), Column("verdict", weight=7),
    Column("ahead", "code", 4), Column("experiments", weight=3),
    Column("variants\ncompared", "count", 4), Column("besides", weight=2),
)  # fmt: skip


def _holding(tracked: Tracker) -> list[Part]:
    """Effects of settings that remain, or that none does."""
    if not tracked.groups:
        return [Sentence("None: nothing has run.")]
    if not tracked.effects:
        along = f" along {', '.join(tracked.settings)}" if tracked.settings else ""
        return [Sentence(f"None: no difference to a reference remains{along}.")]
    rows = [
        (e.setting, e.variant, e.reference, e.difference, e.verdict, f"{e.ahead}/{e.pairs}",
         ", ".join(e.experiments), e.n_candidates, e.note or None)
        for e in tracked.effects
    ]  # fmt: skip
    note = (
        "Adjusted for the variants of each comparison, not over all of them; intervals resample "
        "units, not seeds."
    )
    return [Table(EFFECTS, rows, note=note)]


def _pending(tracked: Tracker) -> list[Part]:
    failed = [
        Sentence(f"{id_} failed: {reason}", "error") for id_, reason in tracked.failures.items()
    ]
    if not tracked.pending:
        return [Sentence("Nothing: every experiment is done.")]
    return [*failed, Items([f"`{line}`" for line in tracked.pending])]
