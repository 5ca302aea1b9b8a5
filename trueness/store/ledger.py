"""The ledger of a store: every evaluation on held-out units, and who opened a sealed part.

Units that were evaluated often cannot judge any more: whatever is best there was chosen there. So
each access is recorded before anything is shown, in ``STORE/ledger.jsonl`` or the table ``ledger``,
which only grows. A sealed part stays sealed until somebody asks for it by name, and the ledger
shows that for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trueness.errors import StoreError, TruenessError, first_line
from trueness.store.facts import data_named
from trueness.store.memory import MemoryStore
from trueness.store.run import Run

if TYPE_CHECKING:
    from trueness.store import AnyStore

FILE = "ledger.jsonl"


@dataclass(frozen=True)
class Access:
    """Somebody saw measures of some runs on one part of some data.

    Attributes
    ----------
    when : str
        UTC, ISO 8601.
    part : str
        The part: validation, test, oof or whatever an external table calls it.
    data : str
        What names the data; see `data_of`.
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
    part: str
    data: str
    verb: str
    question: str
    keys: tuple[str, ...]
    opened: bool

    @property
    def evaluation(self) -> tuple[str, ...]:
        """Equal for accesses that showed the same: question, part, and models on their units."""
        return (self.data, self.part, SAME_TABLE.get(self.verb, self.verb), self.question,
                *self.keys)  # fmt: skip


SAME_TABLE = {"run": "leaderboard", "judge": "leaderboard", "runs list": "leaderboard"}
"""Verb -> another one that shows the same."""


def distinct(accesses: Iterable[Access]) -> list[Access]:
    """The first of those that showed the same: printing a table again evaluates nothing."""
    result: dict[tuple[tuple[str, ...], bool], Access] = {}
    for one in accesses:
        result.setdefault((one.evaluation, one.opened), one)
    return list(result.values())


def data_of(run: Run[Any]) -> str:
    """Name of the data of a run, under which its accesses are counted."""
    return data_named(run.record)


def earlier_keys(run: Run[Any]) -> tuple[str, ...]:
    """Keys of the runs that a run continues, the first one first: its models on fewer days."""
    last = run.record.get("continues")
    return () if last is None else (*run.record.get("ancestors", ()), last)


def check_opened(runs: Iterable[Run[Any]], part: str, opened: bool) -> bool:
    """Whether a part of some runs is sealed.

    Raises
    ------
    TruenessError
        With the code ``sealed`` if it is and nobody opened it.
    """
    sealed = any(part in run.estimands.sealed for run in runs)
    if sealed and not opened:
        raise TruenessError(
            f"the {part} part is sealed, because results that are looked at stop being a fair "
            "test; --open-test opens it, and the ledger of the store shows that for ever",
            "sealed",
        )
    return sealed


class Ledger:
    """Accesses of a store; reading creates nothing.

    Parameters
    ----------
    store : Store or MemoryStore
        The latter remembers no access.
    """

    def __init__(self, store: AnyStore) -> None:
        self._kept = None if isinstance(store, MemoryStore) else store.kept
        self._where = f"{store.root}/{FILE}"

    @property
    def forgets(self) -> bool:
        """Whether no access is remembered."""
        return self._kept is None

    def record(
        self, runs: Iterable[Run[Any]], part: str, verb: str, question: str = "", *,
        opened: bool = False,
    ) -> list[Access]:  # fmt: skip
        """Record an access, one line per data, before anything is shown.

        Raises
        ------
        TruenessError
            If the part is sealed and `opened` is not set.
        StoreError
            If the ledger cannot be written.
        """
        some = list(runs)
        sealed = check_opened(some, part, opened)
        keys: dict[str, set[str]] = {}
        for run in some:
            keys.setdefault(data_of(run), set()).add(run.key)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        accesses = [
            Access(now, part, data, verb, question, tuple(sorted(own)), sealed)
            for data, own in keys.items()
        ]
        self._append(accesses)
        return accesses

    def record_keys(self, seen: Iterable[tuple[str, str, list[str]]], verb: str) -> None:
        """Record that estimates of runs were seen that none of their parts is sealed for.

        Parameters
        ----------
        seen : iterable of tuple
            Name of some data, part, and keys of the runs.
        verb : str

        Raises
        ------
        StoreError
            If the ledger cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._append([
            Access(now, part, data, verb, "", tuple(sorted(keys)), False)
            for data, part, keys in seen
        ])  # fmt: skip

    def record_data(
        self, data: str, part: str, verb: str, question: str = "", *, opened: bool = False
    ) -> None:
        """Record that labels of some data were looked at, where there is no run.

        Raises
        ------
        StoreError
            If the ledger cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._append([Access(now, part, data, verb, question, (), opened)])

    def _append(self, accesses: list[Access]) -> None:
        if not accesses or self._kept is None:
            return
        try:
            self._kept.append(FILE, [_line(access) for access in accesses])
        except OSError as error:
            raise StoreError(
                f"{self._where}: accesses cannot be recorded ({first_line(error)})", "read_only"
            ) from None

    def accesses(self, data: str | None = None, part: str | None = None) -> list[Access]:
        """Accesses to some data and part, or all; the oldest first."""
        return [
            one for one in self._read()[0] if data in (None, one.data) and part in (None, one.part)
        ]

    def damaged(self) -> int:
        """Lines that cannot be read, each of which was an access."""
        return self._read()[1]

    def asked(self, data: str, part: str) -> set[tuple[str, str]]:
        """Distinct runs and questions evaluated on one part of some data."""
        return {(key, one.question) for one in self.accesses(data, part) for key in one.keys}

    def _read(self) -> tuple[list[Access], int]:
        if self._kept is None:
            return [], 0
        try:
            lines = self._kept.lines(FILE)
        except OSError as error:
            raise StoreError(f"{self._where}: cannot be read ({first_line(error)})") from None
        parsed = [_parsed(line) for line in lines]
        accesses = [one for one in parsed if one is not None]
        return accesses, len(parsed) - len(accesses)


def _line(access: Access) -> str:
    """An access and the digest of what it says."""
    text = json.dumps(asdict(access), sort_keys=True)
    return f"{text[:-1]}{_digest(text)}"


def _digest(text: str) -> str:
    return f', "sha256": "{hashlib.sha256(text.encode()).hexdigest()[:16]}"}}'


DIGEST_LENGTH = len(_digest(""))


def _parsed(line: str) -> Access | None:
    """One line of the ledger; None if it is torn or says something else than was written."""
    text = line[:-DIGEST_LENGTH] + "}"
    if line[-DIGEST_LENGTH:] != _digest(text):
        return None
    try:
        content = json.loads(text)
        values: dict[str, Any] = {field.name: content[field.name] for field in fields(Access)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    texts = [value for name, value in values.items() if name not in ("keys", "opened")]
    keys = values["keys"]
    if not isinstance(keys, list) or not all(isinstance(one, str) for one in [*texts, *keys]):
        return None
    if not isinstance(values["opened"], bool):
        return None
    values["keys"] = tuple(keys)
    return Access(**values)


def ledger_lines(store: AnyStore, data: str | None = None) -> list[str]:
    """What to print beside every measure: how often each part was evaluated, for which runs.

    Parameters
    ----------
    store : Store or MemoryStore
    data : str, optional
        Their name; all of them without it.
    """
    ledger = Ledger(store)
    every = distinct(ledger.accesses(data))
    lines = []
    for name, part in dict.fromkeys((one.data, one.part) for one in every):
        some = [one for one in every if (one.data, one.part) == (name, part)]
        runs = len({key for one in some for key in one.keys})
        word = "opened" if any(one.opened for one in some) else "evaluated"
        lines.append(
            f"ledger: {part} part of data {name} {word} {times_text(len(some))} for "
            f"{runs} run{'s' * (runs != 1)} since {some[0].when[:10]}"
        )
    damaged = ledger.damaged()
    return lines + [f"ledger: {damaged} more accesses cannot be read any more"] * bool(damaged)


def times_text(n: int) -> str:
    """Once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(n, f"{n:,} times")
