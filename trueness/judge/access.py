"""How often the units of a table were evaluated, recorded before anything of it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trueness.document.numbers import plural
from trueness.errors import StoreError
from trueness.store import AnyStore, Run
from trueness.store.ledger import Access, Ledger, data_of, distinct, earlier_keys, times_text
from trueness.text.corpus import WHOLE

WHOLE_TABLE = "evaluation"
"""Part of a table of scores that is judged whole."""
IN_WORDS = {
    "oof": "out-of-fold part",
    "validation": "validation part",
    "inner validation": "inner validation part",
    WHOLE_TABLE: "evaluation units",
    "test": "test part",
    WHOLE: "whole corpus",
}
"""Part -> what it is called in a sentence."""


def part_in_words(part: str) -> str:
    """A part in a sentence."""
    return IN_WORDS.get(part, f"{part} part")


def counted_in_part(n: int, noun: str, part: str) -> str:
    """Units and their part; the part is left out where a table is judged whole.

    Examples
    --------
    >>> counted_in_part(3019, "day", "oof"), counted_in_part(3000, "row", "evaluation")
    ('3,019 days (out-of-fold part)', '3,000 rows')
    """
    return plural(n, noun) + ("" if part == WHOLE_TABLE else f" ({part_in_words(part)})")


@dataclass(frozen=True)
class AccessLog:
    """Every access to some data, and how many models were tested on one part of it.

    Attributes
    ----------
    part, data : str
        Part that a table measures, and what names its data.
    every : tuple of Access
        To any part, the oldest first.
    n_candidates : int
        Models tested on the part, baselines apart, seeds of one candidate once, those no longer
        stored included. A run that continues a stored one is no further model.
    unrecorded : str
        Why the present access could not be recorded; empty if it was.
    """

    part: str
    data: str
    every: tuple[Access, ...]
    n_candidates: int
    unrecorded: str = ""

    @property
    def times(self) -> int:
        """Distinct evaluations of the part: asking the same again is none."""
        return len(distinct(one for one in self.every if one.part == self.part))

    @property
    def opened(self) -> int:
        """Distinct evaluations of a sealed part."""
        return len(distinct(one for one in self.every if one.opened))

    def __str__(self) -> str:
        note = f"{part_in_words(self.part)} of data {self.data}: "
        if self.times:
            since = next(one.when[:10] for one in self.every if one.part == self.part)
            tested = plural(self.n_candidates, "model")
            note += f"evaluated {times_text(self.times)} since {since}; {tested} tested on it"
        else:
            note += "never evaluated before"
        opened = f"; test part opened {times_text(self.opened)}" if self.opened else ""
        lost = f"; this access is not recorded: {self.unrecorded}" if self.unrecorded else ""
        return note + opened + lost

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "part": self.part, "data": self.data, "times": self.times,
            "n_candidates": self.n_candidates, "opened": self.opened,
            "unrecorded": self.unrecorded,
        }  # fmt: skip


def record_access(
    store: AnyStore, runs: Sequence[Run], verb: str, question: str = "", *,
    part: str | None = None, opened: bool = False,
) -> str:  # fmt: skip
    """Record an access to a part of some runs; the part that each is measured on without `part`.

    Returns
    -------
    str
        Empty, or why it could not be recorded: who may only read a store may still look, though
        not at a sealed part.

    Raises
    ------
    TruenessError
        If the part is sealed and was not opened.
    """
    parts: dict[str, list[Run]] = {}
    for run in runs:
        parts.setdefault(part or run.estimands.measured_on, []).append(run)
    for name, some in parts.items():
        try:
            Ledger(store).record(some, name, verb, question, opened=opened)
        except StoreError as error:
            if any(name in run.estimands.sealed for run in some):
                raise
            return str(error)
    return ""


def record_data_access(
    store: AnyStore, data: str, part: str, verb: str, question: str = "", *, opened: bool = False
) -> str:
    """Record that labels of a part of some data were looked at, without any run.

    Returns
    -------
    str
        Empty, or why it could not be recorded, such as that there is no store.

    Raises
    ------
    StoreError
        If a part was opened in a store that cannot remember it.
    """
    if not store.exists():
        return f"there is no store {store.root}"
    try:
        Ledger(store).record_data(data, part, verb, question, opened=opened)
    except StoreError as error:
        if opened:
            raise
        return str(error)
    return ""


def access_log(
    store: AnyStore, run: Run, stored: Sequence[Run], unrecorded: str = "", part: str | None = None
) -> AccessLog:
    """Accesses to the data of a run; `stored` are the runs whose candidates are known.

    The part is the one that the run is measured on by default.
    """
    part, data = part or run.estimands.measured_on, data_of(run)
    try:
        every = Ledger(store).accesses(data)
    except StoreError as error:
        return AccessLog(part, data, (), 0, unrecorded or str(error))
    keys = {key for one in every if one.part == part for key in one.keys}
    return AccessLog(part, data, tuple(every), len(_models(keys, stored)), unrecorded)


def _models(keys: set[str], stored: Sequence[Run]) -> set[str]:
    """What some runs are versions of, baselines apart: candidates, or keys of those that are gone.

    A run and those that it continues are one model.
    """
    first: dict[str, Run] = {}
    known: dict[str, Run] = {}
    for run in sorted(stored, key=lambda one: len(earlier_keys(one))):
        versions_of_it = (*earlier_keys(run), run.key)
        model = first.setdefault(versions_of_it[0], run)
        known |= {key: model for key in versions_of_it if key in keys}
    candidates = {run.candidate for run in known.values() if not run.spec.is_baseline}
    return candidates | {key for key in keys if key not in known}


def versions(run: Run, part: str) -> int:
    """Versions of a run that a part chose among: its epochs, penalties or numbers of trees."""
    if run.estimands.chosen_on != part:
        return 1
    epochs = run.record.get("last_epochs", ())
    return max(1, sum(epochs), getattr(run.spec.model, "choices", 1))
