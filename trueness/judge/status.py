"""What a campaign is doing now: what runs, what is done per priority, the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Column, Document, Items, Part, Section, Sentence, Table
from trueness.judge.group import Group
from trueness.judge.judgement import SCHEMA
from trueness.judge.leaderboard import leaderboard
from trueness.judge.tracker import (
    Declared,
    counts_by,
    run_states,
    state_table,
    state_text,
    summed,
)
from trueness.store import Store
from trueness.store.leases import Holder, Leases


@dataclass(frozen=True)
class Status:
    """Counts per priority, processes at work, best runs and failures of a campaign.

    `held` are ids of runs and who trains them, `command` is what carries on.
    """

    name: str
    priorities: dict[str, dict[str, int]]
    processes: list[dict[str, Any]]
    held: dict[str, Holder]
    best: list[Group]
    failures: dict[str, str]
    command: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "status", "campaign": self.name,
            "priorities": self.priorities, "processes": self.processes,
            "held": {id_: holder.to_dict() for id_, holder in self.held.items()},
            "best": [{"title": g.title, "model": g.candidates[0].to_dict()} for g in self.best],
            "failures": self.failures, "command": self.command,
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per priority."""
        rows = [{"priority": name, **counts} for name, counts in self.priorities.items()]
        return pl.DataFrame(rows)

    def document(self) -> Document:
        """Counts, what runs, the best so far, and what carries on."""
        total = summed(self.priorities)
        left = total["pending"] + total["failed"]
        failed = [
            Sentence(f"{id_} failed: {reason}", "error") for id_, reason in self.failures.items()
        ]
        parts: list[Part] = [
            Sentence(f"{state_text(total)}.", "verdict"),
            state_table("priority", self.priorities),
            Section("Running", [_processes(self.processes), *_held(self.held)]),
            *([Section("Best so far", [_best(self.best)])] if self.best else []),
            *failed,
            *([Section("To carry on", [Items([f"`{self.command}`"])])] if left else []),
        ]
        return Document(f"Status of {self.name}", parts)


def status(
    name: str, experiments: Sequence[Declared], store: Store, command: str = "", *,
    access: tuple[str, str] | None = None,
) -> Status:  # fmt: skip
    """Compare what a campaign declares with what a store holds and what runs now.

    Parameters
    ----------
    name : str
        Of the campaign.
    experiments : sequence of Declared
    store : Store
    command : str
        What carries on.
    access : tuple of str, optional
        As for `leaderboard`.
    """
    runs, failures = store.all_runs()[0], store.failures()
    keys = {e.spec.key for e in experiments}
    done = {run.key for run in runs} & keys
    states = run_states(experiments, done, failures)
    known = done and name in store.campaigns()
    groups = leaderboard(store, name, keys=done, access=access).groups if known else []
    held = {one.key: one for one in Leases(store).holders()}
    failed = {e.id: failures[e.spec.key] for e in experiments if states[e.id] == "failed"}
    return Status(
        name,
        counts_by(experiments, states, lambda e: e.priority),
        [process_facts(one) for one in Leases(store).statuses(name)],
        {e.id: held[e.spec.key] for e in experiments if e.spec.key in held},
        [group for group in groups if group.verdict.leader],
        failed,
        f"{command} --retry" if failed and command else command,
    )


def process_facts(note: dict[str, Any]) -> dict[str, Any]:
    """A process's note, with the share done and the seconds since it was written."""
    total = float(note["total"])
    percent = 100 * float(note["done"]) / total if total else 0.0
    return {**note, "percent": round(percent, 1), "quiet_seconds": round(note["quiet_seconds"])}


PROCESSES = (
    Column("process", "code", 9), Column("host", "code", 3), Column("since", "code", 4),
    Column("stage", weight=7), Column("done", "percent", 9), Column("trained", "count", 8),
    Column("failed", "count", 8), Column("running", weight=6),
    Column("heard from,\nseconds ago", "count", 5),
)  # fmt: skip


def _processes(result: Sequence[dict[str, Any]]) -> Table | Sentence:
    if not result:
        return Sentence("Nothing runs now.")
    rows = [
        (str(one["pid"]), one["host"], one["began"][:16].replace("T", " "), one["stage"],
         one["percent"] / 100, one["trained"], one["failed"],
         ", ".join(one["running"]) or None, one["quiet_seconds"])
        for one in result
    ]  # fmt: skip
    return Table(PROCESSES, rows)


def _held(held: dict[str, Holder]) -> list[Part]:
    """Who holds which runs; one whose process is gone is free."""
    lines = [
        f"{id_}: {'free, left by ' if holder.is_stale else ''}{holder.text}"
        for id_, holder in held.items()
    ]
    return [Items(lines)] if lines else []


def _best(groups: Sequence[Group]) -> Table:
    """The leader of each comparison group by what sorts it."""
    columns = (
        Column("evaluated on", weight=4), Column("id", "code", 9), Column("model", weight=6),
        Column("sorted by", "code", 8), Column("value, 95 % CI", "estimate", 9),
    )  # fmt: skip
    rows = [
        (g.title, m.name, m.label or None, g.sort, str(m.estimates[g.sort]))
        for g in groups
        for m in g.candidates[:1]
    ]
    return Table(columns, rows)
