"""What a campaign is doing now: what runs, what is done per priority, the best so far."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from trueness.store.leases import Leases
from trueness.judge.leaderboard import leaderboard
from trueness.report.tables import rows_table
from trueness.judge.tracker import Declared, counts_by, run_states
from trueness.judge.words import share_text
from trueness.store import Store


@dataclass(frozen=True)
class Status:
    """Counts per priority, processes at work, best runs and failures of a campaign."""

    priorities: dict[str, dict[str, int]]
    at_work: list[dict[str, Any]]
    best: list[str]
    failures: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return dict(vars(self))


def status(name: str, experiments: Sequence[Declared], store: Store) -> Status:
    """Compare what a campaign declares with what a store holds and what runs now.

    Parameters
    ----------
    name : str
        Of the campaign.
    experiments : sequence of Declared
    store : Store
    """
    runs, failures = store.all_runs()[0], store.failures()
    keys = {e.spec.key for e in experiments}
    done = {run.key for run in runs} & keys
    states = run_states(experiments, done, failures)
    known = name in store.campaigns()
    board = leaderboard(store, name, keys=done, look=("status", "")) if done and known else None
    return Status(
        counts_by(experiments, states, lambda e: e.priority),
        [_at_work(one) for one in Leases(store).statuses(name)],
        [] if board is None else [
            f"{arena.title}: {arena.networks[0].title}, precision at top "
            f"{arena.sort.removeprefix('precision@')} "
            f"{share_text(arena.networks[0].estimates[arena.sort])}"
            for arena in board.arenas if arena.networks
        ],
        {e.id: failures[e.spec.key] for e in experiments if states[e.id] == "failed"},
    )  # fmt: skip


def _at_work(note: dict[str, Any]) -> dict[str, Any]:
    """A process's note, with the share done and the seconds since it was written."""
    total = float(note["total"])
    percent = 100 * float(note["done"]) / total if total else 0.0
    quiet = time.time() - note["updated"]
    return {**note, "percent": round(percent, 1), "quiet_seconds": round(quiet)}


def show_status(console: Console, found: Status, left: str) -> None:
    """Print a status; `left` is the command that goes on."""
    rows = [{"priority": p, **counts} for p, counts in found.priorities.items()]
    console.print(rows_table(rows))
    for one in found.at_work:
        console.print(
            f"\nprocess {one['pid']} on {one['host']}, since {one['began']}: {one['stage']} "
            f"{one['percent']} %, {one['trained']} trained, {one['failed']} failed; running "
            f"{', '.join(one['running']) or 'nothing'} (noted {one['quiet_seconds']} s ago)",
            highlight=False,
        )
    if not found.at_work:
        console.print("\nnothing runs now", highlight=False)
    for line in found.best:
        console.print(f"best so far: {line}", highlight=False)
    for id_, reason in found.failures.items():
        console.print(f"{id_} failed: {reason}", style="red", highlight=False)
    retry = " --retry" if found.failures else ""
    if any(row["missing"] or row["failed"] for row in rows):
        console.print(f"to go on: {left}{retry}", highlight=False)
