"""Which runs share the error of certificates on a part, and what was spent there already.

The bounds of all thresholds of a batch of runs hold at once, at every precision, so only runs that
are in no batch yet spend anything. Batches are the certifications that the ledger remembers on the
data and the part, whatever they asked about: the b-th may spend ``6 / (pi b)^2`` of the error, and
holds the runs that no earlier one holds. A new batch takes in every run that was evaluated:

* on a part that is measured anyway, all stored runs of the same question, since all were seen;
* on a sealed part, those that the ledger says were evaluated there, and those asked for.

Runs that were evaluated and cannot be read again, epochs that were chosen among on the part, and
lines of the ledger that cannot be read are counted in full. What is not counted is how later runs
were thought of: one that was designed after its part was seen counts as one run, as all others do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Document, Sentence
from trueness.document.numbers import count, percent, plain, plural
from trueness.errors import TruenessError
from trueness.evaluation.guarantee import share_of_error
from trueness.judge.access import part_in_words
from trueness.judge.judgement import SCHEMA
from trueness.store import AnyStore, Run
from trueness.store.ledger import Access, Ledger, data_of

VERB = "certify"
"""Under which certifications stand in the ledger."""


# ------------------------------------------------------------------------------------- the runs


def _question(run: Run) -> tuple[object, ...]:
    """What makes runs siblings: the same event on the same data under the same protocol."""
    event = getattr(run.spec.task, "event", None)
    if event is None:
        return (run.record["comparison_group"],)
    return (*event, run.spec.evaluation.protocol)


def siblings(run: Run, other: Run) -> bool:
    """Whether they answer the same question, or are judged on the same units."""
    same = run.record["comparison_group"] == other.record["comparison_group"]
    return same or _question(run) == _question(other)


def check_together(runs: Sequence[Run]) -> None:
    """Refuse runs that answer different questions.

    Raises
    ------
    TruenessError
        With code ``which_runs`` or ``other_question``.
    """
    if not runs:
        raise TruenessError("no runs to certify; give a key or --campaign", "which_runs")
    for run in runs[1:]:
        if not siblings(runs[0], run):
            raise TruenessError(
                f"{runs[0].key} and {run.key} differ in data, event or protocol; certify those "
                "that answer the same question", "other_question",
            )  # fmt: skip


def family(
    store: AnyStore, ledger: Ledger, runs: Sequence[Run], part: str, *, sealed: bool
) -> dict[str, Run]:
    """Stored runs by key that are certified together with some runs, these among them."""
    every = [one for one in store.all_runs()[0] if part in one.estimands.judged_on]
    result = [one for one in every if any(siblings(run, one) for run in runs)]
    if sealed:
        seen = {key for one in ledger.accesses(part=part) for key in one.keys}
        result = [one for one in result if one.key in seen]
    return {one.key: one for one in [*runs, *result]}


# ------------------------------------------------------------------------------------ the batches


@dataclass(frozen=True)
class Batch:
    """Runs that were certified together.

    Attributes
    ----------
    number : int
        From 1; lines of the ledger that cannot be read count as batches before it.
    keys : tuple of str
        Those that no earlier batch holds.
    seen : frozenset of str
        Other runs that had been evaluated on the part before, and before no earlier batch.
    """

    number: int
    keys: tuple[str, ...]
    seen: frozenset[str]


def batches(ledger: Ledger, runs: Iterable[Run], part: str) -> list[Batch]:
    """Batches on a part of the data of some runs, the oldest first."""
    return _batches(_accesses(ledger, runs, part), ledger.damaged())


def next_batch(ledger: Ledger, runs: Mapping[str, Run], part: str) -> Batch | None:
    """Batch that these runs would open; None if earlier ones hold them all."""
    before = _accesses(ledger, runs.values(), part)
    asked = Access("", part, "", VERB, "", tuple(runs), False)
    last = _batches([*before, asked], ledger.damaged())[-1]
    return last if set(last.keys) - {key for one in before for key in _held(one)} else None


def _held(access: Access) -> tuple[str, ...]:
    return access.keys if access.verb == VERB else ()


def _accesses(ledger: Ledger, runs: Iterable[Run], part: str) -> list[Access]:
    digests = {data_of(run) for run in runs}
    return [one for one in ledger.accesses(part=part) if one.data in digests]


def _batches(accesses: Sequence[Access], lost: int) -> list[Batch]:
    result, held, seen = list[Batch](), set[str](), set[str]()
    for keys, certifies in _by_call(accesses):
        new = tuple(dict.fromkeys(key for key in keys if key not in held))
        if certifies and new:
            held.update(new)
            result.append(Batch(len(result) + 1 + lost, new, frozenset(seen - held)))
            seen.clear()
        seen.update(keys)
    return result


def _by_call(accesses: Sequence[Access]) -> list[tuple[tuple[str, ...], bool]]:
    """Runs of each call, and whether it certified; a call has a line for each of its data."""
    result, data = list[tuple[tuple[str, ...], bool]](), set[str]()
    for before, one in zip([None, *accesses], accesses, strict=False):
        certifies = one.verb == VERB
        if certifies and before and _call(before) == _call(one) and one.data not in data:
            result[-1] = (result[-1][0] + one.keys, True)
        else:
            result.append((one.keys, certifies))
            data = set()
        data.add(one.data)
    return result


def _call(access: Access) -> tuple[str, str, str]:
    return access.when, access.verb, access.question


def unseen_runs(ledger: Ledger) -> int:
    """Runs behind ledger lines that cannot be read: each may have held as many as any other."""
    return ledger.damaged() * max([len(one.keys) for one in ledger.accesses()] or [1])


# ----------------------------------------------------------------------------------- what is spent


@dataclass(frozen=True)
class Spending:
    """What certificates of some runs on a part spend of the error.

    Attributes
    ----------
    part : str
    confidence : float
    batch : int or None
        Batch of runs that is opened; None if all that were asked for are certified already, which
        is free.
    share : float
        Of the error, ``1 - confidence``, that it spends.
    family : int
        Runs whose bounds hold at once with those asked for.
    new : tuple of str
        Keys of the runs in the new batch, those asked for among them.
    """

    part: str
    confidence: float
    batch: int | None
    share: float
    family: int
    new: tuple[str, ...]

    @classmethod
    def of(
        cls, opened: Batch | None, held: Sequence[Batch], part: str, confidence: float
    ) -> Spending:
        """Of a batch that is opened, if any, and those that hold the others asked for."""
        every = [*held, opened] if opened else held
        return cls(
            part, confidence, opened.number if opened else None,
            share_of_error(opened.number) if opened else 0.0,
            sum(len(one.keys) for one in every), opened.keys if opened else (),
        )  # fmt: skip

    @property
    def free(self) -> bool:
        """Whether nothing is spent."""
        return self.batch is None

    def __str__(self) -> str:
        where = part_in_words(self.part)
        if self.batch is None:
            return f"certified on the {where} before: asking again is free"
        budget = f"{plain(round(100 * (1 - self.confidence), 6))} %"
        chance = percent(self.share * (1 - self.confidence))
        return (
            f"batch {count(self.batch)} of runs on the {where} spends "
            f"{percent(self.share, like=0.05)} % of the {budget} error budget for "
            f"{plural(len(self.new), 'new run')}: a chance of {chance} % that any of their bounds "
            "is too high; asking about them again is free"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "certification_preview", "measured_on": self.part,
            "confidence": self.confidence, "batch": self.batch, "error_spent": self.share,
            "family": self.family, "new": list(self.new),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row per run that is new."""
        return pl.DataFrame(
            {"key": self.new, "batch": [self.batch] * len(self.new)},
            schema={"key": pl.String, "batch": pl.Int64},
        )

    def document(self) -> Document:
        """The same in a sentence."""
        return Document("What a certification would spend", [Sentence(str(self), "verdict")])
