"""The first page: what runs now, what came last, what is wrong, what was evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueness.document import Column, Document, Items, Link, Live, Part, Section, Sentence, Table
from trueness.document.numbers import count, decimal, listed, plural
from trueness.errors import StoreError
from trueness.report.html import to_part
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench
from trueness.store.leases import Leases
from trueness.store.ledger import Ledger, ledger_lines

RECENT, ACCESSES, RUNNING_NAMED, PROBLEMS = 12, 15, 6, 30
PLACE = "now"

PROCESSES = (
    Column("campaign", "code", 9), Column("stage"), Column("done", "percent", 9),
    Column("time left", "code", 8), Column("running", "link"), Column("latest", "text"),
    Column("trained", "count"), Column("failed", "count"), Column("memory", "code"),
    Column("process", "code"), Column("heard from,\nseconds ago", "count"),
)  # fmt: skip


def home(bench: Workbench) -> Page:
    """Page of the store."""
    view = bench.shelf.current_view()
    parts: list[Part] = [
        Live(PLACE, running(bench, view)),
        Section("Recent runs", _recent(view)),
        Section("Problems", _problems(view)),
        Section("Ledger of evaluations", _ledger(view)),
    ]
    subtitle = f"{bench.root} · {plural(len(view.runs), 'run')} · {_campaigns(view)}"
    return Page(Document("Workbench", parts, subtitle), events="/events/home")


def places(bench: Workbench) -> dict[str, str]:
    """Places of the first page that change."""
    return {PLACE: to_part(running(bench, bench.shelf.current_view()))}


def _campaigns(view: View) -> str:
    if not view.campaigns:
        return "no campaign yet; `trueness run demo` runs one"
    return plural(len(view.campaigns), "campaign") + ": " + listed(list(view.campaigns), 6)


# ------------------------------------------------------------------------------------ what runs now


def running(bench: Workbench, view: View) -> list[Part]:
    """Processes at work, and who holds which runs."""
    leases = Leases(view.store)
    notes = [(name, one) for name, some in leases.every_status().items() for one in some]
    parts = process_table(view, notes) or [Sentence("Nothing runs now.")]
    held = [
        [_held(view, one.key), one.text + (", gone: the run is free" if one.is_stale else "")]
        for one in leases.holders()
    ]
    if held:
        columns = [Column("run", "link", 9), Column("held by", "text", 8)]
        parts.append(Section("Leases", [Table(columns, held, shown=RECENT)]))
    return [Section("Running now", parts)]


def process_table(view: View, notes: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Part]:
    """A row per process that is at work, by campaign; nothing without one."""
    return [Table(PROCESSES, [_process(view, *one) for one in notes])] if notes else []


def _process(view: View, name: str, note: Mapping[str, Any]) -> list[Any]:
    done = note["done"] / note["total"] if note["total"] else 0.0
    campaign = view.campaigns.get(name, {})
    now = [
        Link(one, f"/running/{campaign[one][-1]}") if campaign.get(one) else Link(one, "#")
        for one in note["running"][:RUNNING_NAMED]
    ]
    more = len(note["running"]) - len(now)
    return [
        name, note["stage"], done, time_left(done, note["seconds"]),
        [*now, *([Link(f"{more} more", "#")] if more else [])], note["word"] or None,
        note["trained"], note["failed"], in_memory(note["memory"]),
        f"{note['pid']} on {note['host']}", round(note["quiet_seconds"]),
    ]  # fmt: skip


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


def _held(view: View, key: str) -> Link:
    return Link(view.name(key), f"/running/{key}")


# ----------------------------------------------------------------------------------- what was there


def _recent(view: View) -> list[Part]:
    """The latest runs; measures stand on the leaderboard, which records that they were seen."""
    if not view.runs:
        return [Sentence("No runs yet; `trueness run demo` makes some.")]
    latest = sorted(view.runs.values(), key=lambda run: run.record["created"], reverse=True)
    rows = [
        [
            Link(view.name(run.key), f"/run/{run.key}"), run.record["label"],
            run.record["created"][:16].replace("T", " "), run.record["seconds"],
            run.record["device"] or None,
        ]
        for run in latest[:RECENT]
    ]  # fmt: skip
    columns = [Column("id", "link", 9), Column("model", "text", 7), Column("made, UTC", "code", 6),
               Column("seconds", "number", digits=1), Column("device", "code", 2)]  # fmt: skip
    return [Table(columns, rows)]


def _problems(view: View) -> list[Part]:
    """Folders that cannot be read, runs that failed, what was put aside."""
    rows = [["damaged", one.name, one.reason] for one in view.problems]
    rows += [["failed", view.name(key), why] for key, why in view.store.failures().items()]
    aside = view.store.kept.aside()
    rows += [["put aside", name, "damaged, and replaced since"] for name in aside]
    if not rows:
        return [Sentence("None: every folder can be read, and no run failed.")]
    columns = [Column("what", "code", 9), Column("name", "text", 8), Column("why", "text", 7)]
    return [Table(columns, rows, shown=PROBLEMS)]


def _ledger(view: View) -> list[Part]:
    """How often each part was evaluated, and the latest accesses."""
    ledger = Ledger(view.store)
    try:
        every = ledger.accesses()
        lines = ledger_lines(view.store)
    except StoreError as error:
        return [Sentence(str(error), "warning")]
    if not every:
        return [Sentence("Nothing was evaluated yet.")]
    latest = list(reversed(every))[:ACCESSES]
    rows = [
        [one.when.replace("T", " ")[:16], one.part, one.verb, one.question or None, len(one.keys),
         one.data]
        for one in latest
    ]  # fmt: skip
    columns = [
        Column("when, UTC", "code", 9), Column("part", "code"), Column("verb", "code"),
        Column("question", "text", 3), Column("runs", "count"), Column("data", "code", 2),
    ]  # fmt: skip
    styles = ["warning" if one.opened else "" for one in latest]
    many = plural(len(every), "access", "accesses")
    note = f"The latest of {many}; coloured ones opened a sealed part."
    return [Items(lines), Table(columns, rows, note=note, styles=styles)]  # ty: ignore[invalid-argument-type]
