"""Processes that carry out campaigns now: which runs they hold, and how far they are."""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from trueness.errors import StoreError, TruenessError
from trueness.owners import Owner, me
from trueness.store.runs import Store

FOLDER, STATUS = "leases", "status"
HEARTBEAT_S = 20.0
EPOCHS = ".epochs"
"""End of the names of lines with the epochs of runs that train now, beside the notes."""
STALE_S = 120.0
"""Seconds without a heartbeat after which a process that cannot be seen from here is given up."""


@dataclass(frozen=True)
class Holder:
    """Who holds a run.

    Attributes
    ----------
    key : str
        Of the run.
    owner : Owner or None
        None if the lease is damaged.
    since : str
        UTC, ISO 8601.
    quiet_s : float
        Seconds since the last heartbeat, by the clock of the store.
    """

    key: str
    owner: Owner | None
    since: str
    quiet_s: float

    @property
    def is_stale(self) -> bool:
        """Whether nobody is behind it any more.

        A process of this machine is while it lives, even if it is stopped; of another one while
        its heartbeats are not older than two minutes.
        """
        if self.owner is not None and self.owner.is_here:
            return self.owner.is_gone
        return self.quiet_s > STALE_S

    @property
    def text(self) -> str:
        """Such as ``process 17 on alpha since 2026-01-02 03:04, heard from 5 s ago``."""
        who = "somebody" if self.owner is None else self.owner.text
        since = f" since {self.since[:16].replace('T', ' ')}" if self.since else ""
        return f"{who}{since}, heard from {max(0, round(self.quiet_s))} s ago"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        owner = None if self.owner is None else {"host": self.owner.host, "pid": self.owner.pid}
        return {"key": self.key, "owner": owner, "since": self.since,
                "quiet_seconds": round(self.quiet_s), "stale": self.is_stale}  # fmt: skip


class Leases:
    """Leases and notes of the processes that work on a store.

    Leases that are held get a heartbeat, the change of their document's time, from a thread.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self.store, self.kept = store, store.kept
        self._beating: set[str] = set()
        self._over: threading.Event | None = None

    # ------------------------------------------------------------------------------------- leases

    def acquire(self, key: str) -> bool:
        """Reserve a run for this process; False if it is stored or another one is at it.

        A lease ends with `release`, with the process that made it, and two minutes after its last
        heartbeat.
        """
        with self.kept.alone(FOLDER):
            holder = self.holder(key)
            if holder is not None and holder.owner != me() and not holder.is_stale:
                return False
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self.kept.write(_lease(key), {**me().to_dict(), "since": now}, durable=False)
        if key in self.store:
            self.release(key)
            return False
        self._keep_beating(_lease(key))
        return True

    def release(self, key: str) -> None:
        """Give up a lease of this process."""
        self._beating.discard(_lease(key))
        with self.kept.alone(FOLDER):
            holder = self.holder(key)
            if holder is not None and holder.owner == me():
                self.kept.drop(_lease(key))
        self._rest()

    def unlock(self, key: str, *, force: bool = False) -> Holder:
        """End a lease of any process.

        Raises
        ------
        TruenessError
            With the code ``not_held`` if there is none, ``held`` if its process is at work and
            `force` is not set.
        """
        with self.kept.alone(FOLDER):
            holder = self.holder(key)
            if holder is None:
                raise TruenessError(f"nobody holds the run {key}", "not_held")
            if not (holder.is_stale or force):
                raise TruenessError(
                    f"{key} is held by {holder.text}; end that process, or take its lease with "
                    "--force", "held",
                )  # fmt: skip
            self.kept.drop(_lease(key))
        return holder

    def holder(self, key: str) -> Holder | None:
        """Who holds a run, or left a lease of it behind."""
        quiet_s = self.kept.quiet_s(_lease(key))
        if quiet_s is None:
            return None
        try:
            content = self.kept.read(_lease(key))
            return Holder(key, Owner.from_dict(content), str(content["since"]), quiet_s)
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError):
            return Holder(key, None, "", quiet_s)
        except StoreError as error:
            if error.code != "damaged":
                raise
            return Holder(key, None, "", quiet_s)

    def holders(self) -> list[Holder]:
        """Every lease there is."""
        some = (self.holder(name) for name in self.kept.names(FOLDER))
        return [one for one in some if one is not None]

    def sweep(self) -> None:
        """Remove leases and notes that nobody is behind any more."""
        with self.kept.alone(FOLDER):
            for holder in self.holders():
                if holder.is_stale:
                    self.kept.drop(_lease(holder.key))
        for campaign in self.kept.names(STATUS):
            for name, note in self._notes(campaign):
                if note is None:
                    self._drop_note(name)

    def _drop_note(self, name: str) -> None:
        self.kept.drop(_epochs(name))
        self.kept.drop(name)

    # --------------------------------------------------------------------------------- heartbeats

    def _keep_beating(self, name: str) -> None:
        self._beating.add(name)
        if self._over is None:
            self._over = threading.Event()
            threading.Thread(target=self._beat, args=(self._over,), daemon=True).start()

    def _rest(self) -> None:
        if not self._beating and self._over is not None:
            self._over.set()
            self._over = None

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(HEARTBEAT_S):
            for name in list(self._beating):
                with contextlib.suppress(OSError, StoreError):
                    self.kept.touch(name)

    # ----------------------------------------------------------------------------------- progress

    def write_status(self, name: str, content: dict[str, Any] | None) -> None:
        """Note how far a campaign is that runs now; None when it does not any more.

        Only `trueness status` reads it: a store that cannot be written does without.
        """
        note = _note(name)
        with contextlib.suppress(OSError, StoreError):
            if content is None:
                self._beating.discard(note)
                self._drop_note(note)
                self._rest()
            else:
                self.kept.write(note, {**content, **me().to_dict()}, durable=False)
                self._keep_beating(note)

    def add_epochs(self, name: str, rows: Sequence[Any]) -> None:
        """Note epochs that ended, as dataclasses with a key, for whoever watches.

        They are lines behind those that were noted before; nothing needs them.
        """
        with contextlib.suppress(OSError, StoreError):
            if rows:
                lines = [json.dumps(asdict(row)) for row in rows]
                self.kept.append(_epochs(_note(name)), lines, durable=False)

    def epochs(self, key: str) -> list[dict[str, Any]]:
        """What was noted of the epochs of a run that trains now."""
        notes = [name for campaign in self.kept.names(STATUS) for name in self._named(campaign)]
        result = []
        for name in notes:
            with contextlib.suppress(OSError):
                for line in self.kept.lines(_epochs(name)):
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        row = json.loads(line) if key in line else {"key": ""}
                        result += [row] if row["key"] == key else []
        return result

    def statuses(self, name: str) -> list[dict[str, Any]]:
        """What processes that carry out a campaign noted last; not of those that are gone."""
        return [note for _, note in self._notes(name) if note is not None]

    def every_status(self) -> dict[str, list[dict[str, Any]]]:
        """Name of each campaign that runs now -> what its processes noted."""
        result = {name: self.statuses(name) for name in self.kept.names(STATUS)}
        return {name: notes for name, notes in result.items() if notes}

    def _named(self, campaign: str) -> list[str]:
        own = self.kept.names(f"{STATUS}/{campaign}")
        return [f"{STATUS}/{campaign}/{name}" for name in own if name.endswith(".json")]

    def _notes(self, campaign: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Notes of a campaign's processes, and what they say; None of a process that is gone."""
        for name in self._named(campaign):
            if (quiet_s := self.kept.quiet_s(name)) is None:
                continue
            with contextlib.suppress(OSError, StoreError, ValueError, KeyError, TypeError):
                written = self.kept.read(name)
                holder = Holder(campaign, Owner.from_dict(written), "", quiet_s)
                if holder.is_stale:
                    yield name, None
                else:
                    yield name, {**_checked_status(written), "quiet_seconds": quiet_s}


def _lease(key: str) -> str:
    return f"{FOLDER}/{key}"


def _note(campaign: str) -> str:
    """Document with what this process notes of a campaign."""
    own = me()
    return f"{STATUS}/{campaign}/{own.machine}-{own.pid}.json"


def _epochs(note: str) -> str:
    """Lines beside a note."""
    return note.removesuffix(".json") + EPOCHS


def _checked_status(content: dict[str, Any]) -> dict[str, Any]:
    """Raise unless a note has what its readers use."""
    for name in ("done", "total"):
        if not math.isfinite(content[name]):
            raise ValueError(name)
    for name in ("trained", "failed", "pid"):
        int(content[name])
    return {
        **content,
        "running": [str(one) for one in content["running"]],
        "stage": str(content["stage"]),
        "word": str(content.get("word") or ""),
        "seconds": float(content.get("seconds") or 0),
        "memory": None if content.get("memory") is None else int(content["memory"]),
        "began": str(content["began"]),
    }
