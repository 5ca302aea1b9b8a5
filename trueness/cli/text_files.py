"""Texts that verbs read from files, and tables that they write."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trueness.cli.output import check_path, note
from trueness.errors import DataError, first_line
from trueness.files import written_whole

if TYPE_CHECKING:
    import polars as pl


TEXT = "text"
"""Column of texts where nothing else is named."""


def read_texts(
    source: Path, columns: Sequence[str], language_column: str | None, *,
    recipe: Sequence[str] = (), separator: str | None = None,
) -> tuple[pl.DataFrame, pl.Series]:  # fmt: skip
    """A table and its texts, or those of a text file or stdin (``-``), one a line.

    Columns of a CSV file are text as it stands there: 007 stays 007.

    Parameters
    ----------
    source : Path
    columns : sequence of str
        Columns with the texts, joined with spaces; without any, those of the recipe if all are
        there, else `TEXT`.
    language_column : str, optional
    recipe : sequence of str
        Columns that the texts of the corpus came from.
    separator : str, optional
        Between the cells of a text.

    Raises
    ------
    DataError
        If it cannot be read, lacks a column, or a row has no text.
    """
    import polars as pl

    from trueness.reading import as_texts

    try:
        table = _table(source, columns[0] if columns else TEXT, separator)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: cannot be read ({first_line(error)})") from None
    fits = len(recipe) > 0 and set(recipe) <= set(table.columns)
    chosen = list(columns) or (list(recipe) if fits else [TEXT])
    for column in (*chosen, language_column):
        if column is None:
            continue
        if column not in table.columns:
            raise DataError(
                f"{source}: no column {column!r}; name one of {', '.join(table.columns)} with "
                "--text-column or --language-column"
            )
        found = None if table[column].dtype == pl.Binary else as_texts(table[column])
        if found is None:
            raise DataError(f"{source}: column {column!r} holds {table[column].dtype}, not text")
        table = table.with_columns(found)
    texts = table.select(
        pl.concat_str([pl.col(c) for c in chosen], separator=" ", ignore_nulls=True).alias(TEXT)
    ).to_series()
    if fits and not columns and chosen != [TEXT]:
        note(f"texts are {' and '.join(chosen)}, as in the corpus")
    _check_texts(source, texts)
    return table, texts


def _table(source: Path, column: str, separator: str | None) -> pl.DataFrame:
    import polars as pl

    from trueness.reading import FORMATS, ending, read_table

    if str(source) != "-" and ending(source) in FORMATS:
        read = read_table(source, separator=separator)
        for line in read.told(str(source)):
            note(line)
        return read.frame
    content = sys.stdin.buffer.read() if str(source) == "-" else source.read_bytes()
    lines = content.decode("utf-8-sig").split("\n")
    lines = [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
    return pl.DataFrame({column: lines}, schema={column: pl.String})


def _check_texts(source: Path, texts: pl.Series) -> None:
    if not len(texts):
        raise DataError(f"{source}: no text")
    blank = texts.is_null() | ~texts.str.contains(r"[^\s\p{Cc}]").fill_null(False)
    if blank.any():
        raise DataError(
            f"{source}: {blank.sum():,} rows have no text, the first is row "
            f"{int(blank.arg_max() or 0) + 1:,}; leave them out"
        )


def languages_of(table: pl.DataFrame, column: str | None, source: Path) -> list[str] | None:
    """Codes as a corpus spells them, ``und`` where there is none; None without a column.

    Raises
    ------
    DataError
        With the code ``country`` for codes of countries.
    """
    from trueness.text.codes import language_code, refuse_countries

    if column is None:
        return None
    refuse_countries(table[column], str(source))
    return table.select(language_code(column).fill_null("und")).to_series().to_list()


def hconcat(table: pl.DataFrame, answers: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Answers, portion by portion, to the right of the table they are about.

    Raises
    ------
    DataError
        If a column cannot be kept under another name.
    """
    import polars as pl

    answer = pl.concat(answers)
    names = {c: f"given_{c}" for c in table.columns if c in answer.columns}
    for name in names.values():
        if name in table.columns:
            raise DataError(f"there is a column {name!r} already; rename it")
    return pl.concat([table.rename(names), answer], how="horizontal")


def check_table_output(out: Path | None) -> None:
    """Refuse an output file that cannot be written, before anything is computed."""
    if out is not None and out.suffix.lower() not in WRITERS:
        raise DataError(f"{out}: choose a file that ends in {', '.join(WRITERS)}")
    if out is not None:
        check_path(out)


def write_table(table: pl.DataFrame, out: Path | None) -> None:
    """Write a table by the ending of its file, whole or not at all; CSV to standard output.

    Raises
    ------
    DataError
        If the format has no room for a column.
    """
    import polars as pl

    try:
        if out is None:
            sys.stdout.flush()
            content = table.write_csv(float_precision=6)
            sys.stdout.buffer.write(content.encode())  # UTF-8 whatever the terminal is
            return
        with written_whole(out) as temporary:
            getattr(table, WRITERS[out.suffix.lower()])(temporary)
    except pl.exceptions.PolarsError as error:
        reason = first_line(error)
        raise DataError(f"{out or 'CSV'}: cannot be written ({reason}); take .parquet") from None


WRITERS = {".csv": "write_csv", ".parquet": "write_parquet", ".jsonl": "write_ndjson"}
