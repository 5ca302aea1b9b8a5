"""Suspects that somebody accepted, and the corrected copy of a corpus that follows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from trueness.document import Cell, Column, Document, Items, Sentence, Table
from trueness.document.numbers import count, plural
from trueness.errors import DataError, nearest
from trueness.judge.judgement import SCHEMA
from trueness.reading import as_texts, read_table
from trueness.text.corpus import Corpus
from trueness.text.correcting import LOG, Change, corrected, log_of

NEEDED = ("part", "id", "given", "suggested", "accept")
ANSWERS = {"yes": True, "no": False, "": None}
"""What may stand in the column accept, and what it means."""
QUOTED = r"^'([=+\-@])"
"""How a text begins that was kept from being taken for a formula."""


@dataclass(frozen=True)
class Corrected:
    """A corpus whose labels were corrected.

    Attributes
    ----------
    source, corpus : Corpus
    changes : list of Change
    refused, open_ : int
        Suspects that were answered with no, and that were not answered.
    """

    source: Corpus
    corpus: Corpus
    changes: list[Change]
    refused: int
    open_: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "corrected_corpus", "corpus": str(self.corpus.folder),
            "digest": self.corpus.digest, "source": self.source.digest, "accepted":
            len(self.changes), "refused": self.refused, "unanswered": self.open_,
            "changes": [vars(one) for one in self.changes],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per change, those of earlier corrections first."""
        return log_of(self.source, self.changes)

    def document(self) -> Document:
        """How many of which kind."""
        n = len(self.changes)
        verdict = (
            f"{plural(n, 'label')} corrected; corpus {self.corpus.folder} has the digest "
            f"{self.corpus.digest}, its source {self.source.digest}."
        )
        pairs = Counter((one.old, one.new) for one in self.changes).most_common()
        columns = [Column("old", weight=9), Column("new", weight=9), Column("labels", "count", 9)]
        rows: list[list[Cell]] = [[old, new, k] for (old, new), k in pairs]
        return Document(f"Corrected {self.source.folder.name}", [
            Sentence(verdict, "verdict"),
            Items([
                f"{count(n)} accepted, {count(self.refused)} refused, {count(self.open_)} not "
                "answered", f"{LOG} in the folder has every change",
            ]), Table(columns, rows, shown=20),
        ])  # fmt: skip


def accepted(corpus: Corpus, suspects: str | Path, out: str | Path) -> Corrected:
    """Correct the labels that somebody accepted.

    Parameters
    ----------
    corpus : Corpus
    suspects : str or Path
        CSV or Parquet file of `trueness audit-labels`. Rows with ``yes`` in the column ``accept``
        are changed to their ``suggested`` class, which may be edited; those with ``no`` or nothing
        are not.
    out : str or Path
        Folder of the copy.

    Raises
    ------
    DataError
        With code ``missing_column``, ``accept`` for another answer, or those of
        `trueness.text.correcting.corrected`.
    """
    frame = _table(Path(suspects))
    answers = [ANSWERS[one] for one in frame["accept"]]
    changes = [
        Change(row["part"], row["id"], row["given"], row["suggested"], row["reason"])
        for row, answer in zip(frame.iter_rows(named=True), answers, strict=True) if answer
    ]  # fmt: skip
    made = corrected(corpus, changes, out)
    return Corrected(corpus, made, changes, answers.count(False), answers.count(None))


def _table(path: Path) -> pl.DataFrame:
    """The columns that matter, as texts without quotes of spreadsheets."""
    read = read_table(path).frame
    for name in NEEDED:
        if name not in read.columns:
            raise DataError(f"{path}: no column {name!r}; {nearest(name, read.columns)}",
                            "missing_column")  # fmt: skip
    names = [*NEEDED, *(("reason",) if "reason" in read.columns else ())]
    columns = {name: as_texts(read[name]) for name in names}
    frame = pl.DataFrame({name: column for name, column in columns.items() if column is not None})
    if len(frame.columns) < len(names):
        raise DataError(f"{path}: columns {', '.join(names)} must be plain texts", "not_text")
    frame = frame.with_columns(
        pl.all().fill_null("").str.strip_chars().str.replace(QUOTED, "$1"),
    ).with_columns(pl.col("accept").str.to_lowercase())
    if "reason" not in frame.columns:
        frame = frame.with_columns(reason=pl.lit(""))
    foreign = frame.filter(~pl.col("accept").is_in(list(ANSWERS)))
    if len(foreign):
        raise DataError(f"{path}: {foreign['accept'][0]!r} in the column accept; write yes or no, "
                        "or leave it empty", "accept")  # fmt: skip
    return frame
