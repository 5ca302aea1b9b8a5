"""A copy of a corpus in which some labels are corrected, with a log of every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trueness.errors import DataError, first_line
from trueness.files import write_text
from trueness.text.building import describe, whole_folder
from trueness.text.corpus import FULL, PARTS, Corpus, PartWriter, load_corpus
from trueness.text.statistics import Rows

LOG = "corrections.csv"
"""File of a corrected corpus; see `log_of`."""
LOGGED: dict[str, Any] = dict.fromkeys(("part", "id", "old", "new", "reason", "source"), pl.String)


@dataclass(frozen=True)
class Change:
    """A label that somebody accepted to change.

    Attributes
    ----------
    part, id : str
        The row.
    old, new : str
        Labels.
    reason : str
    """

    part: str
    id: str
    old: str
    new: str
    reason: str


def corrected(corpus: Corpus, changes: Sequence[Change], out: str | Path) -> Corpus:
    """Write a corpus whose labels are changed, and nothing else: texts, clusters, parts stay.

    Its digest is another one, so that its runs are compared with no run of the source. The log
    names the digest of the source.

    Parameters
    ----------
    corpus : Corpus
    changes : sequence of Change
    out : str or Path
        New or empty folder, or an older corpus, which is replaced.

    Raises
    ------
    DataError
        With code ``nothing_accepted``; ``no_row`` for a row that is not there or not unique;
        ``other_label`` where its label is not the old one; ``no_class`` for a label that is no
        class; ``same_folder`` if it would replace its source; ``empty_class`` if a class would be
        left without a training text.
    """
    if not changes:
        raise DataError("no change is accepted; write yes into the column accept of the rows that "
                        "are to be changed", "nothing_accepted")  # fmt: skip
    if Path(out).resolve() == corpus.folder.resolve():
        raise DataError(f"{out} is the corpus itself; give --out another folder", "same_folder")
    if Path(out).is_dir() and any(Path(out).iterdir()):
        raise DataError(f"{out} is not empty; give --out a new folder", "out")
    frames = {name: corpus.frame(name) for name in PARTS}
    for name, frame in frames.items():
        mine = [one for one in changes if one.part == name]
        frames[name] = _changed(frame, mine, corpus.classes, name)
    if strangers := {one.part for one in changes} - set(PARTS):
        raise DataError(f"no part {min(strangers)!r}; choose from {', '.join(PARTS)}", "no_row")
    missing = set(corpus.classes) - set(frames["train"]["label"].unique())
    if missing:
        raise DataError(f"class {min(missing)!r} would have no training text; accept fewer changes",
                        "empty_class")  # fmt: skip
    _write(corpus, frames, changes, Path(out))
    return load_corpus(out)


def _changed(
    frame: pl.DataFrame, changes: Sequence[Change], classes: Sequence[str], part: str
) -> pl.DataFrame:
    """A part with its labels changed."""
    where = {one: i for i, one in enumerate(frame["id"])}
    twice = set(frame["id"].filter(frame["id"].is_duplicated()))
    labels, seen = frame["label"].to_list(), set[str]()
    for one in changes:
        if one.id not in where or one.id in twice or one.id in seen:
            why = "is not there" if one.id not in where else "stands there twice"
            raise DataError(f"{part}: the row {one.id!r} {why}; the file is about another corpus",
                            "no_row")  # fmt: skip
        seen.add(one.id)
        if labels[where[one.id]] != one.old:
            raise DataError(
                f"{part}: the row {one.id!r} is {labels[where[one.id]]!r}, not {one.old!r}; the "
                "file is about another corpus", "other_label",
            )  # fmt: skip
        if one.new not in classes or one.new == one.old:
            raise DataError(f"{part}: the row {one.id!r} cannot become {one.new!r}; choose another "
                            f"of the {len(classes)} classes", "no_class")  # fmt: skip
        labels[where[one.id]] = one.new
    return frame.with_columns(label=pl.Series(labels, dtype=pl.String))


def _write(
    corpus: Corpus, frames: dict[str, pl.DataFrame], changes: Sequence[Change], out: Path
) -> None:
    before = corpus.provenance.get("corrected", [])
    record = {
        "provenance": {**corpus.provenance, "corrected": [
            *before, {"source": corpus.digest, "changes": len(changes)}]},
        "reports": corpus.reports,
    }  # fmt: skip
    full = f"{FULL}.parquet" in corpus.file_digests
    with whole_folder(out) as (_, written):
        writers = {name: PartWriter(written / f"{name}.parquet")
                   for name in (*PARTS, *([FULL] if full else []))}  # fmt: skip
        for name, frame in frames.items():
            for writer in (writers[name], *([writers[FULL]] if full else [])):
                writer.write(frame)
        write_text(written / LOG, log_of(corpus, changes).write_csv())
        describe(writers, _rows_of(frames, corpus), record, written)


def log_of(corpus: Corpus, changes: Sequence[Change]) -> pl.DataFrame:
    """Every change since the corpus was built: those of the source, then these.

    Columns are part, id, old, new, reason and source, the digest of what was changed.
    """
    rows = [{**asdict(one), "source": corpus.digest} for one in changes]
    log = pl.DataFrame(rows, schema=LOGGED)
    earlier = corpus.folder / LOG
    if not corpus.provenance.get("corrected"):
        return log
    try:
        return pl.concat([pl.read_csv(earlier, schema=LOGGED), log])
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{earlier}: cannot be read ({first_line(error)}); its corrections would "
                        "be lost", "damaged") from None  # fmt: skip


def _rows_of(frames: dict[str, pl.DataFrame], corpus: Corpus) -> Rows:
    """What statistics count."""
    every = pl.concat(frames.values())
    languages = tuple(every["language"].unique().sort())
    part = np.repeat(np.arange(len(frames)), [len(one) for one in frames.values()])

    def codes(values: pl.Series, names: Sequence[str]) -> Any:  # noqa: ANN401 - int16
        return values.cast(pl.Enum(list(names))).to_physical().cast(pl.Int16).to_numpy()

    return Rows(
        corpus.classes, languages, codes(every["label"], corpus.classes),
        codes(every["language"], languages), every["language_confidence"].to_numpy(),
        np.ones(len(every), bool), every["cluster"].to_numpy(),
        every["text"].str.len_chars().cast(pl.Int32).to_numpy(), part.astype(np.int8),
    )  # fmt: skip
