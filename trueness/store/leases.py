"""Processes that carry out campaigns now: which runs they hold, and how far they are."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
from pathlib import Path
from typing import Any

from trueness.files import is_alive, locked, write_json
from trueness.store.runs import Store


class Leases:
    """Leases and notes of the processes that work on a store.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def acquire(self, key: str) -> bool:
        """Reserve a run for this process; False if it is stored or another one is at it.

        A lease ends with `release`, or with the process that made it.
        """
        path = self.store.root / "leases" / key
        path.parent.mkdir(exist_ok=True)
        owner = f"{os.getpid()} {platform.node()}"
        with locked(self.store.root / "leases" / ".lock"):
            if path.exists() and not self._is_stale(path, owner):
                return False
            path.write_text(owner)
        if key in self.store:
            self.release(key)
            return False
        return True

    def _is_stale(self, path: Path, owner: str) -> bool:
        """Whether nobody is behind a lease any more; on other machines that cannot be seen."""
        text = path.read_text()
        pid, _, host = text.partition(" ")
        if text == owner or not pid.isdigit():
            return True
        return host == platform.node() and not is_alive(int(pid))

    def release(self, key: str) -> None:
        """Give up a lease."""
        (self.store.root / "leases" / key).unlink(missing_ok=True)

    def write_status(self, name: str, content: dict[str, Any] | None) -> None:
        """Note how far a campaign is that runs now; None when it does not any more.

        Only `trueness status` reads it: a store that cannot be written does without.
        """
        path = self.store.root / "status" / name / f"{os.getpid()}.json"
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink(missing_ok=True)
            else:
                owner = {"pid": os.getpid(), "host": platform.node()}
                write_json(path, {**content, **owner}, durable=False)

    def statuses(self, name: str) -> list[dict[str, Any]]:
        """What processes that carry out a campaign noted last; those that are gone are left out."""
        found = []
        for path in sorted((self.store.root / "status" / name).glob("*.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                content = _checked_status(json.loads(path.read_text()))
                here = content["host"] == platform.node()
                if here and not is_alive(int(content["pid"])):
                    path.unlink(missing_ok=True)
                else:
                    found.append({**content, "updated": path.stat().st_mtime})
        return found


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
        "began": str(content["began"]),
    }
