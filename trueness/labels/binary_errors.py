"""Errors of a run of a binary label: false alarms, and positives that it missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.bundle.alarms import of_run
from trueness.document import Cell, Column, Document, Items, Part, Sentence, Table
from trueness.document.numbers import count, plural, share
from trueness.evaluation.intervals import Estimate
from trueness.judge.access import part_in_words, record_access
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import check_binary, unrecorded_notes
from trueness.store import AnyStore, Run

FALSE_ALARM, MISSED = "false alarm", "missed"


@dataclass(frozen=True)
class BinaryErrors:
    """False alarms and missed positives at the largest alarm budget of a run.

    Attributes
    ----------
    name, key, label, part : str
    precision, recall : Estimate
        Of the alarms, as the run's record has them, adjusted for dependence.
    frame : polars.DataFrame
        A row per error: id, time, group, fold where there are some, score, error; false alarms
        first, the highest score first, then missed positives, the lowest score first.
    top : int
        Errors of each kind that are shown.
    notes : tuple of str
    """

    name: str
    key: str
    label: str
    part: str
    precision: Estimate
    recall: Estimate
    frame: pl.DataFrame
    top: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        frame = self.frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String))
        return {
            "schema": SCHEMA, "kind": "binary_errors", "name": self.name, "key": self.key,
            "label": self.label, "part": self.part, "precision": self.precision.to_dict(),
            "recall": self.recall.to_dict(), "notes": list(self.notes),
            "errors": frame.to_dicts(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per error."""
        return self.frame

    def document(self) -> Document:
        """How many of each kind, then each."""
        wrong, missed = (self.frame.filter(pl.col("error") == one) for one in (FALSE_ALARM, MISSED))
        verdict = (
            f"{plural(len(wrong), 'false alarm')} and {count(len(missed))} missed positives on the "
            f"{part_in_words(self.part)}: precision {share(self.precision)}, recall "
            f"{share(self.recall)}."
        )
        parts: list[Part] = [Sentence(verdict, "verdict")]
        parts += [Items(self.notes)] if self.notes else []
        parts += [_table(one.head(self.top), title, len(one)) for one, title in (
            (wrong, "False alarms, the highest scores first"),
            (missed, "Missed positives, the lowest scores first")) if len(one)]  # fmt: skip
        return Document(f"Errors of {self.name}", parts, self.label)


def _table(frame: pl.DataFrame, title: str, n: int) -> Table:
    names = [name for name in ("time", "group") if name in frame.columns] or ["id"]
    columns = [*(Column(name, "code", 9) for name in names), Column("score", "number", 8)]
    columns += [Column("fold", "count", 4)] * ("fold" in frame.columns)
    rows: list[list[Cell]] = [
        [*(str(row[name]) for name in names), row["score"],
         *([row["fold"]] if "fold" in row else [])] for row in frame.iter_rows(named=True)
    ]  # fmt: skip
    more = n - len(frame)
    return Table(columns, rows, title, f"{count(more)} more; --top {n} shows all." * (more > 0))


def binary_errors(
    store: AnyStore, name: str, run: Run, top: int, access: tuple[str, str] | None = None
) -> BinaryErrors:
    """False alarms and missed positives of a run.

    Parameters
    ----------
    store : Store or MemoryStore
    name : str
        What the run is called.
    run : Run
    top : int
    access : tuple of str, optional
        Verb and question for the ledger.

    Raises
    ------
    TruenessError
        With code ``not_binary``, or ``no_alarms`` where scores are tied.
    """
    check_binary(run, "false alarms and missed positives are")
    answered, rule = of_run(name, run), run.estimands
    recorded = record_access(store, [run], *access) if access else ""
    raised, frame = pl.Series(answered.raised), answered.frame
    positive = pl.col("y") == 1
    wrong = frame.filter(raised & frame.select(~positive).to_series())
    missed = frame.filter(~raised & frame.select(positive).to_series())
    result = pl.concat([
        one.sort("score", descending=high, maintain_order=True)
        .with_columns(error=pl.lit(kind)).drop("y")
        for one, kind, high in ((wrong, FALSE_ALARM, True), (missed, MISSED, False))
    ])  # fmt: skip
    measures = run.record["estimates"]
    precision, recall = (Estimate.from_dict(measures[f"{what}@{rule.budget}"])
                         for what in ("precision", "recall"))  # fmt: skip
    return BinaryErrors(name, run.key, run.record["label"], rule.measured_on, precision, recall,
                        result, top, unrecorded_notes(recorded))  # fmt: skip
