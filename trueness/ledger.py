"""The ledger of a store: every look at days that were held back, and who opened the test part.

Days that were looked at often cannot judge any more: whatever is best there was chosen there. So
each look is written down before anything is shown, in ``STORE/ledger.jsonl``, which only grows. The
test part stays sealed until somebody asks for it by name, and the ledger shows that for ever after.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from trueness.errors import StoreError, TruenessError
from trueness.store import Run, Store, locked

FILE = "ledger.jsonl"
SEALED = "test"
"""The part that is shown only to who opens it."""


@dataclass(frozen=True)
class Look:
    """Somebody saw measures of some runs on one part of some data.

    Attributes
    ----------
    when : str
        UTC, ISO 8601.
    what : str
        The part: validation, test or oof.
    data : str
        Digest of the data.
    verb : str
        What showed them.
    question : str
        What was asked, such as "precision 0.6".
    keys : tuple of str
        The runs.
    opened : bool
        Whether a sealed part was opened on purpose.
    """

    when: str
    what: str
    data: str
    verb: str
    question: str
    keys: tuple[str, ...]
    opened: bool


def data_of(run: Run[Any]) -> str:
    """Digest of the data of a run, under which its looks are counted."""
    return str(run.record["data"].get("digest") or run.record["arena"])


class Ledger:
    """Looks of a store; reading creates nothing.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store[Any]) -> None:
        self.path = store.root / FILE

    def look(
        self,
        runs: Iterable[Run[Any]],
        what: str,
        verb: str,
        question: str = "",
        opened: bool = False,
    ) -> list[Look]:
        """Write down a look, one line per data digest, before anything is shown.

        Raises
        ------
        TruenessError
            If the part is sealed and `opened` is not set.
        StoreError
            If the ledger cannot be written.
        """
        if what == SEALED and not opened:
            raise TruenessError(
                "the test part is sealed: what is looked at cannot judge for long; --open-test "
                "opens it, and the ledger of the store shows that for ever after"
            )
        keys: dict[str, set[str]] = {}
        for run in runs:
            keys.setdefault(data_of(run), set()).add(run.key)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        looks = [
            Look(now, what, data, verb, question, tuple(sorted(some)), opened)
            for data, some in keys.items()
        ]
        self._append(looks)
        return looks

    def _append(self, looks: list[Look]) -> None:
        if not looks:
            return
        lines = "".join(json.dumps(asdict(look), sort_keys=True) + "\n" for look in looks)
        try:
            with locked(self.path.with_name(f".{FILE}.lock")), self.path.open("ab+") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    torn = file.read(1) != b"\n"  # somebody was killed in the middle of a line
                    lines = "\n" * torn + lines
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StoreError(
                f"{self.path}: looks cannot be written down ({error.strerror})"
            ) from None

    def looks(self, data: str | None = None, what: str | None = None) -> list[Look]:
        """Looks at one digest and part, or at all; the oldest first."""
        return [
            look
            for look in self._read()[0]
            if data in (None, look.data) and what in (None, look.what)
        ]

    def damaged(self) -> int:
        """Lines that cannot be read, each of which was a look."""
        return self._read()[1]

    def seen(self, data: str, what: str) -> set[tuple[str, str]]:
        """Distinct runs and questions looked at on one part of some data."""
        return {(key, look.question) for look in self.looks(data, what) for key in look.keys}

    def _read(self) -> tuple[list[Look], int]:
        try:
            lines = self.path.read_bytes().decode(errors="replace").split("\n")
        except FileNotFoundError:
            return [], 0
        except OSError as error:
            raise StoreError(f"{self.path}: cannot be read ({error.strerror})") from None
        found = [_parsed(line) for line in lines if line.strip()]
        looks = [look for look in found if look is not None]
        return looks, len(found) - len(looks)


def _parsed(line: str) -> Look | None:
    """One line of the ledger; None if it is torn or says something else."""
    try:
        content = json.loads(line)
        values: dict[str, Any] = {field.name: content[field.name] for field in fields(Look)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    texts = [value for name, value in values.items() if name not in ("keys", "opened")]
    keys = values["keys"]
    if not isinstance(keys, list) or not all(isinstance(one, str) for one in [*texts, *keys]):
        return None
    if not isinstance(values["opened"], bool):
        return None
    values["keys"] = tuple(keys)
    return Look(**values)


def ledger_lines(store: Store, data: str | None = None) -> list[str]:
    """What to print beside every measure: how often each part was looked at, for which runs.

    Parameters
    ----------
    store : Store
    data : str, optional
        Digest; all of them without it.
    """
    ledger = Ledger(store)
    every = ledger.looks(data)
    lines = []
    for digest, what in dict.fromkeys((look.data, look.what) for look in every):
        some = [look for look in every if (look.data, look.what) == (digest, what)]
        runs = len({key for look in some for key in look.keys})
        word = "opened" if what == SEALED else "looked at"
        lines.append(
            f"ledger: {what} part of data {digest} {word} {times_text(len(some))} for "
            f"{runs} run{'s' * (runs != 1)} since {some[0].when[:10]}"
        )
    damaged = ledger.damaged()
    return lines + [f"ledger: {damaged} more looks cannot be read any more"] * bool(damaged)


def times_text(n: int) -> str:
    """Once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(n, f"{n:,} times")
