"""What works on a store now, what came last, what is wrong with it; no measure of any run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import polars as pl

from trueness.document import (
    Cell,
    Column,
    Document,
    Items,
    Link,
    Part,
    Section,
    Sentence,
    Style,
    Table,
)
from trueness.document.numbers import count, decimal, listed, plural
from trueness.errors import StoreError, TruenessError
from trueness.judge.figures import curves_of
from trueness.judge.finding import ids_by_key
from trueness.judge.judgement import SCHEMA
from trueness.judge.status import process_facts
from trueness.store import Problem, Run, Store
from trueness.store.leases import Holder, Leases
from trueness.store.ledger import Access, Ledger, ledger_lines

RECENT, ACCESSES, RUNNING_NAMED, PROBLEMS = 12, 15, 6, 30
KEY = re.compile(r"[0-9a-f]{12}")
At: TypeAlias = Callable[[str, bool], str]
"""Address of the page of a run by its key, and whether it trains; empty without pages."""


def nowhere(key: str, trains: bool) -> str:
    """No run has a page."""
    del key, trains
    return ""


PROCESSES = (
    Column("campaign", "code", 9), Column("stage"), Column("done", "percent", 9),
    Column("time left", "code", 8), Column("running", "link"), Column("latest", "text"),
    Column("trained", "count"), Column("failed", "count"), Column("memory", "code"),
    Column("process", "code"), Column("heard from,\nseconds ago", "count"),
)  # fmt: skip


@dataclass(frozen=True)
class StoreStatus:
    """A store at one moment.

    Attributes
    ----------
    store : Store
    runs : mapping of str to Run
        By key.
    problems : sequence of Problem
    campaigns : mapping
        Name -> id -> keys.
    ids : mapping of str to list of str
        Key -> ids that stand for it.
    at : callable
        See `At`.
    """

    store: Store
    runs: Mapping[str, Run[Any]]
    problems: Sequence[Problem]
    campaigns: Mapping[str, Mapping[str, Sequence[str]]]
    ids: Mapping[str, Sequence[str]]
    at: At = nowhere

    def name(self, key: str) -> str:
        """Ids of a run, or its key."""
        return " = ".join(self.ids.get(key, ())) or key

    @property
    def recent(self) -> list[Run[Any]]:
        """The latest runs."""
        latest = sorted(self.runs.values(), key=lambda run: run.record["created"], reverse=True)
        return latest[:RECENT]

    def processes(self) -> list[tuple[str, dict[str, Any]]]:
        """Campaign and note of every process at work."""
        every = Leases(self.store).every_status()
        return [(name, note) for name, notes in every.items() for note in notes]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        accesses, lines = self._accesses()
        return {
            "schema": SCHEMA, "kind": "store_status", "store": str(self.store.root),
            "runs": len(self.runs), "campaigns": list(self.campaigns),
            "processes": [{"campaign": n, **process_facts(note)} for n, note in self.processes()],
            "held": [{"name": self.name(one.key), **one.to_dict()}
                     for one in Leases(self.store).holders()],
            "recent": [self._facts(run) for run in self.recent],
            "problems": [one.to_dict() for one in self.problems],
            "failures": self.store.failures(), "put_aside": self.store.kept.aside(),
            "ledger": lines, "accesses": [asdict(one) for one in accesses[:ACCESSES]],
        }  # fmt: skip

    def _facts(self, run: Run[Any]) -> dict[str, Any]:
        known = {name: run.record[name] for name in ("label", "created", "seconds", "device")}
        return {"name": self.name(run.key), "key": run.key, **known}

    def to_frame(self) -> pl.DataFrame:
        """A row per recent run."""
        return pl.DataFrame([self._facts(run) for run in self.recent])

    def document(self) -> Document:
        """What runs now, recent runs, problems, the ledger."""
        return Document("Store", [*self.running(), *self.standing()], self.subtitle)

    @property
    def subtitle(self) -> str:
        """Where the store is, and what it holds."""
        names = "no campaign yet; `trueness run demo` runs one"
        if self.campaigns:
            many = plural(len(self.campaigns), "campaign")
            names = f"{many}: {listed(list(self.campaigns), 6)}"
        return f"{self.store.root} · {plural(len(self.runs), 'run')} · {names}"

    # ------------------------------------------------------------------------------ what runs now

    def running(self) -> list[Part]:
        """Processes at work, and who holds which runs."""
        parts = self.process_table(self.processes()) or [Sentence("Nothing runs now.")]
        held = [
            [Link(self.name(one.key), self.at(one.key, True)),
             one.text + (", gone: the run is free" if one.is_stale else "")]
            for one in Leases(self.store).holders()
        ]  # fmt: skip
        if held:
            columns = [Column("run", "link", 9), Column("held by", "text", 8)]
            parts.append(Section("Leases", [Table(columns, held, shown=RECENT)]))
        return [Section("Running now", parts)]

    def process_table(self, notes: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Part]:
        """A row per process that is at work, by campaign; nothing without one."""
        return [Table(PROCESSES, [self._process(*one) for one in notes])] if notes else []

    def _process(self, name: str, note: Mapping[str, Any]) -> list[Cell]:
        done = note["done"] / note["total"] if note["total"] else 0.0
        campaign = self.campaigns.get(name, {})
        now = [
            Link(one, self.at(campaign[one][-1], True) if campaign.get(one) else "")
            for one in note["running"][:RUNNING_NAMED]
        ]
        more = len(note["running"]) - len(now)
        return [
            name, note["stage"], done, time_left(done, note["seconds"]),
            [*now, *([Link(f"{more} more")] if more else [])], note["word"] or None,
            note["trained"], note["failed"], in_memory(note["memory"]),
            f"{note['pid']} on {note['host']}", round(note["quiet_seconds"]),
        ]  # fmt: skip

    # ----------------------------------------------------------------------------- what was there

    def standing(self) -> list[Part]:
        """What does not change from second to second."""
        return [
            Section("Recent runs", self._recent()), Section("Problems", self._problems()),
            Section("Ledger of evaluations", self._ledger()),
        ]  # fmt: skip

    def _recent(self) -> list[Part]:
        """The latest runs; measures stand on the leaderboard, which records that they were seen."""
        if not self.runs:
            return [Sentence("No runs yet; `trueness run demo` makes some.")]
        rows = [
            [Link(self.name(run.key), self.at(run.key, False)), run.record["label"],
             run.record["created"][:16].replace("T", " "), run.record["seconds"],
             run.record["device"] or None]
            for run in self.recent
        ]  # fmt: skip
        columns = [Column("id", "link", 9), Column("model", "text", 7),
                   Column("made, UTC", "code", 6), Column("seconds", "number", digits=1),
                   Column("device", "code", 2)]  # fmt: skip
        return [Table(columns, rows)]

    def _problems(self) -> list[Part]:
        """Folders that cannot be read, runs that failed, what was put aside."""
        rows = [["damaged", one.name, one.reason] for one in self.problems]
        rows += [["failed", self.name(key), why] for key, why in self.store.failures().items()]
        aside = self.store.kept.aside()
        rows += [["put aside", name, "damaged, and replaced since"] for name in aside]
        if not rows:
            return [Sentence("None: every folder can be read, and no run failed.")]
        columns = [Column("what", "code", 9), Column("name", "text", 8), Column("why", "text", 7)]
        return [Table(columns, rows, shown=PROBLEMS)]

    def _accesses(self) -> tuple[list[Access], list[str]]:
        """Accesses of the ledger, the latest first, and how often each part was evaluated."""
        return list(reversed(Ledger(self.store).accesses())), ledger_lines(self.store)

    def _ledger(self) -> list[Part]:
        """How often each part was evaluated, and the latest accesses."""
        try:
            every, lines = self._accesses()
        except StoreError as error:
            return [Sentence(str(error), "warning")]
        if not every:
            return [Sentence("Nothing was evaluated yet.")]
        rows = [
            [one.when.replace("T", " ")[:16], one.part, one.verb, one.question or None,
             len(one.keys), one.data]
            for one in every[:ACCESSES]
        ]  # fmt: skip
        columns = [
            Column("when, UTC", "code", 9), Column("part", "code"), Column("verb", "code"),
            Column("question", "text", 3), Column("runs", "count"), Column("data", "code", 2),
        ]  # fmt: skip
        styles: list[Style] = ["warning" if one.opened else "" for one in every[:ACCESSES]]
        many = plural(len(every), "access", "accesses")
        note = f"The latest of {many}; coloured ones opened a sealed part."
        return [Items(lines), Table(columns, rows, note=note, styles=styles)]


def status_of_store(store: Store) -> StoreStatus:
    """What works on a store now, and what came last.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    runs, problems = store.all_runs()
    return StoreStatus(store, {run.key: run for run in runs}, problems, store.campaigns(),
                       ids_by_key(store))  # fmt: skip


def time_left(done: float, seconds: float) -> str | None:
    """How long a stage takes on, if it goes on as before.

    Examples
    --------
    >>> time_left(0.25, 60), time_left(0.5, 7200), time_left(0.0, 9)
    ('3 min', '2.0 h', None)
    """
    if not 0 < done <= 1 or seconds <= 0:
        return None
    left = seconds * (1 - done) / done
    if left < 60:
        return f"{left:.0f} s"
    return f"{left / 60:.0f} min" if left < 5400 else f"{decimal(left / 3600, 1)} h"


def in_memory(size: int | None) -> str | None:
    """Bytes in words.

    Examples
    --------
    >>> in_memory(3_500_000_000), in_memory(None)
    ('3.3 GiB', None)
    """
    if size is None:
        return None
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{count(size // 2**20)} MiB"


# ------------------------------------------------------------------------------------ a run of it


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands that is not stored yet, or is.

    Attributes
    ----------
    status : StoreStatus
    key : str
    holder : Holder or None
        Who trains it.
    failure : str or None
    epochs : list of dict
        Losses so far: fold, epoch, train_loss, val_loss.
    processes : list of (str, dict)
        Campaign and note of those at work on campaigns that have it.
    """

    status: StoreStatus
    key: str
    holder: Holder | None
    failure: str | None
    epochs: list[dict[str, Any]]
    processes: list[tuple[str, dict[str, Any]]]

    @property
    def name(self) -> str:
        """Its ids, or its key."""
        return self.status.name(self.key)

    @property
    def title(self) -> str:
        """What it is called while it trains."""
        return f"{self.name} in training"

    @property
    def stored(self) -> Run[Any] | None:
        """The run, if it is finished."""
        return self.status.runs.get(self.key)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "run_status", "key": self.key, "name": self.name,
            "stored": self.stored is not None, "failure": self.failure,
            "holder": None if self.holder is None else self.holder.to_dict(),
            "epochs": self.epochs,
            "processes": [{"campaign": n, **process_facts(note)} for n, note in self.processes],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per epoch of each fold."""
        return self._history() if self.epochs else pl.DataFrame()

    def _history(self) -> pl.DataFrame:
        rows = pl.from_dicts(self.epochs, infer_schema_length=None)
        return rows.unique(["fold", "epoch"], keep="last").sort("fold", "epoch")

    def document(self) -> Document:
        """What to show."""
        if self.stored is not None:
            link = Link(self.name, self.status.at(self.key, False))
            parts: list[Part] = [
                Sentence(f"It is stored: {self.stored.record['label']}.", "verdict"),
                Section("Go on", [Table([Column("run", "link")], [[link]])]),
            ]
            return Document(self.name, parts)
        return Document(self.title, self.parts(), self.key)

    def parts(self) -> list[Part]:
        """Who trains it, its losses so far, the processes of its campaign."""
        parts: list[Part] = [
            Sentence("Nobody trains this run now." if self.holder is None
                     else f"Held by {self.holder.text}.")
        ]  # fmt: skip
        if self.failure:
            parts.append(Sentence(f"It failed: {self.failure}", "error"))
        if self.epochs:
            history = self._history()
            parts += [curves_of(history, [], "Loss per epoch so far."), _latest(history)]
        elif self.holder is not None:
            parts.append(Sentence("No epoch is over yet, or it is not trained in epochs.", "note"))
        return [*parts, *self.status.process_table(self.processes)]


def _latest(history: pl.DataFrame) -> Table:
    """The latest epoch of each fold."""
    rows = history.group_by("fold", maintain_order=True).last().sort("fold")
    losses = [Column(name, "number", 9, 4) for name in ("training loss", "validation loss")]
    columns = [Column("fold", "count", 9), Column("epoch", "count", 9), *losses]
    return Table(columns, [
        [row["fold"] + 1, row["epoch"], row["train_loss"], row["val_loss"]]
        for row in rows.iter_rows(named=True)
    ], "Latest epoch")  # fmt: skip


def status_of_run(status: StoreStatus, key: str) -> RunStatus:
    """Where a run stands, by its whole key."""
    leases = Leases(status.store)
    names = [name for name, ids in status.campaigns.items()
             if any(key in keys for keys in ids.values())]  # fmt: skip
    return RunStatus(
        status, key, leases.holder(key), status.store.failures().get(key), leases.epochs(key),
        [(name, note) for name, note in status.processes() if name in names],
    )  # fmt: skip


def key_of(store: Store, wanted: str) -> str:
    """Key of a run, stored or not, by its id (or CAMPAIGN/ID) or its key.

    Raises
    ------
    TruenessError
        With the code ``no_run``, ``ambiguous`` if it is several.
    """
    if KEY.fullmatch(wanted):
        return wanted
    keys = {
        some[-1]
        for name, ids in store.campaigns().items()
        for id_, some in ids.items()
        if some and wanted in (id_, f"{name}/{id_}")
    }
    if not keys:
        raise TruenessError(f"no campaign of {store.root} has a run {wanted!r}; give an id or a "
                            "whole key", "no_run")  # fmt: skip
    if len(keys) > 1:
        raise TruenessError(f"{wanted!r} is several runs, {', '.join(sorted(keys))}", "ambiguous")
    return keys.pop()
