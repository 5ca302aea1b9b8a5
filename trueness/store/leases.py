"""Processes that carry out campaigns now: which runs they hold, and how far they are."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trueness.errors import StoreError, TruenessError
from trueness.files import TEMPORARY, locked, read_json, remove, write_json
from trueness.owners import Owner, me
from trueness.store.runs import Store

HEARTBEAT_S = 20.0
EPOCHS = ".epochs"
"""End of the names of files with the epochs of runs that train now, beside the notes."""
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
        Seconds since the last heartbeat, by the clock of the file system.
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

    Leases that are held get a heartbeat, the change of their file's time, from a thread.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folder = store.root / "leases"
        self._beating: set[Path] = set()
        self._over: threading.Event | None = None

    # ------------------------------------------------------------------------------------- leases

    def acquire(self, key: str) -> bool:
        """Reserve a run for this process; False if it is stored or another one is at it.

        A lease ends with `release`, with the process that made it, and two minutes after its last
        heartbeat.
        """
        path = self.folder / key
        with self._alone():
            holder = self.holder(key)
            if holder is not None and holder.owner != me() and not holder.is_stale:
                return False
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_json(path, {**me().to_dict(), "since": now}, durable=False)
        if key in self.store:
            self.release(key)
            return False
        self._keep_beating(path)
        return True

    def release(self, key: str) -> None:
        """Give up a lease of this process."""
        path = self.folder / key
        self._beating.discard(path)
        with self._alone():
            holder = self.holder(key)
            if holder is not None and holder.owner == me():
                remove(path)
        self._rest()

    def unlock(self, key: str, *, force: bool = False) -> Holder:
        """End a lease of any process.

        Raises
        ------
        TruenessError
            With the code ``not_held`` if there is none, ``held`` if its process is at work and
            `force` is not set.
        """
        with self._alone():
            holder = self.holder(key)
            if holder is None:
                raise TruenessError(f"nobody holds the run {key}", "not_held")
            if not (holder.is_stale or force):
                raise TruenessError(
                    f"{key} is held by {holder.text}; end that process, or take its lease with "
                    "--force", "held",
                )  # fmt: skip
            remove(self.folder / key)
        return holder

    def holder(self, key: str) -> Holder | None:
        """Who holds a run, or left a lease of it behind."""
        path = self.folder / key
        try:
            quiet_s = self._now() - path.stat().st_mtime
        except OSError:
            return None
        try:
            content = read_json(path)
            return Holder(key, Owner.from_dict(content), str(content["since"]), quiet_s)
        except FileNotFoundError:
            return None
        except (StoreError, KeyError, TypeError, ValueError):
            return Holder(key, None, "", quiet_s)

    def holders(self) -> list[Holder]:
        """Every lease there is."""
        if not self.folder.is_dir():
            return []
        names = sorted(path.name for path in self.folder.iterdir())
        some = (self.holder(name) for name in names if not name.startswith((TEMPORARY, ".")))
        return [one for one in some if one is not None]

    def sweep(self) -> None:
        """Remove leases and notes that nobody is behind any more."""
        with self._alone():
            for holder in self.holders():
                if holder.is_stale:
                    remove(self.folder / holder.key)
        for folder in sorted((self.store.root / "status").glob("[!.]*")):
            for path, note in self._notes(folder.name):
                if note is None:
                    path.unlink(missing_ok=True)
                    path.with_suffix(EPOCHS).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                folder.rmdir()  # unless there are some

    @contextlib.contextmanager
    def _alone(self) -> Any:  # noqa: ANN401 - a context
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self._clock):
            yield

    @property
    def _clock(self) -> Path:
        return self.folder / ".lock"

    def _now(self) -> float:
        """Time of the file system, which gives the leases theirs."""
        try:
            os.utime(self._clock)
            return self._clock.stat().st_mtime
        except OSError:
            return time.time()

    # --------------------------------------------------------------------------------- heartbeats

    def _keep_beating(self, path: Path) -> None:
        self._beating.add(path)
        if self._over is None:
            self._over = threading.Event()
            threading.Thread(target=self._beat, args=(self._over,), daemon=True).start()

    def _rest(self) -> None:
        if not self._beating and self._over is not None:
            self._over.set()
            self._over = None

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(HEARTBEAT_S):
            for path in list(self._beating):
                with contextlib.suppress(OSError):
                    os.utime(path)

    # ----------------------------------------------------------------------------------- progress

    def write_status(self, name: str, content: dict[str, Any] | None) -> None:
        """Note how far a campaign is that runs now; None when it does not any more.

        Only `trueness status` reads it: a store that cannot be written does without.
        """
        own = me()
        path = self.store.root / "status" / name / f"{own.machine}-{own.pid}.json"
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                self._beating.discard(path)
                path.unlink(missing_ok=True)
                path.with_suffix(EPOCHS).unlink(missing_ok=True)
                self._rest()
            else:
                write_json(path, {**content, **own.to_dict()}, durable=False)
                self._keep_beating(path)

    def add_epochs(self, name: str, rows: Sequence[Any]) -> None:
        """Note epochs that ended, as dataclasses with a key, for whoever watches.

        They are lines behind those that were noted before; nothing needs them.
        """
        own = me()
        path = self.store.root / "status" / name / f"{own.machine}-{own.pid}{EPOCHS}"
        with contextlib.suppress(OSError):
            if rows:
                with path.open("a") as file:
                    file.writelines(f"{json.dumps(asdict(row))}\n" for row in rows)

    def epochs(self, key: str) -> list[dict[str, Any]]:
        """What was noted of the epochs of a run that trains now."""
        found = []
        for path in sorted((self.store.root / "status").glob(f"*/[!.]*{EPOCHS}")):
            with contextlib.suppress(OSError):
                for line in path.read_text(errors="replace").splitlines():
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        row = json.loads(line) if key in line else {"key": ""}
                        found += [row] if row["key"] == key else []
        return found

    def statuses(self, name: str) -> list[dict[str, Any]]:
        """What processes that carry out a campaign noted last; not of those that are gone."""
        return [note for _, note in self._notes(name) if note is not None]

    def every_status(self) -> dict[str, list[dict[str, Any]]]:
        """Name of each campaign that runs now -> what its processes noted."""
        names = sorted(path.name for path in (self.store.root / "status").glob("[!.]*"))
        found = {name: self.statuses(name) for name in names}
        return {name: notes for name, notes in found.items() if notes}

    def _notes(self, name: str) -> Iterator[tuple[Path, dict[str, Any] | None]]:
        """Files of a campaign's processes, and what they say; None of a process that is gone."""
        for path in sorted((self.store.root / "status" / name).glob("[!.]*.json")):
            with contextlib.suppress(OSError, StoreError, ValueError, KeyError, TypeError):
                written = read_json(path)
                holder = Holder(name, Owner.from_dict(written), "", self._quiet(path))
                if holder.is_stale:
                    yield path, None
                else:
                    yield path, {**_checked_status(written), "quiet_seconds": holder.quiet_s}

    def _quiet(self, path: Path) -> float:
        return self._now() - path.stat().st_mtime


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
