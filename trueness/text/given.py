"""Texts that somebody wants an answer for: a file, standard input, a frame, a list."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, first_line
from trueness.frames import as_frame
from trueness.reading import FORMATS, as_texts, ending, read_table
from trueness.text.codes import language_code, refuse_countries
from trueness.text.corpus import UNDETERMINED
from trueness.text.fields import with_fields
from trueness.text.sources import clean_text

TEXT = "text"
"""Column of texts where nothing else is named."""
STDIN = "-"


@dataclass(frozen=True)
class GivenTexts:
    """Texts, and the table that they stand in.

    Attributes
    ----------
    table : polars.DataFrame
        n rows, as they were given.
    texts : polars.Series of String, (n,)
        Cleaned as those of a corpus are; empty where there is none.
    languages : (n,) str or None
        Codes as a corpus spells them, ``und`` where none is given; None without a column.
    ids : (n,) str or None
        None without a column.
    notes : tuple of str
        What was read how.
    """

    table: pl.DataFrame
    texts: pl.Series
    languages: NDArray[np.str_] | None
    ids: NDArray[np.str_] | None
    notes: tuple[str, ...]


def given_texts(
    source: Any, columns: Sequence[str] = (), *, language_column: str | None = None,  # noqa: ANN401
    id_column: str | None = None, recipe: Mapping[str, Any] | None = None,
    separator: str | None = None,
) -> GivenTexts:  # fmt: skip
    """Read texts.

    Columns of a CSV file are text as it stands there: 007 stays 007.

    Parameters
    ----------
    source : str, Path, frame or sequence of str
        A table or a file of one; a text file or standard input (``-``), one text a line; or the
        texts themselves.
    columns : sequence of str
        Columns with the texts, joined with spaces; without any, those of the recipe if all are
        there, else `TEXT`.
    language_column, id_column : str, optional
    recipe : mapping, optional
        Columns of the corpus, see `Corpus.columns`: those that its texts came from, and the fields
        that stand behind them.
    separator : str, optional
        Between the cells of a file.

    Raises
    ------
    DataError
        If it cannot be read or lacks a column; with code ``no_text`` without any row, ``country``
        for countries in place of languages, ``ids`` for ids that are missing or not distinct.

    Examples
    --------
    >>> given = given_texts(["Rotwein  0,75 l", ""])
    >>> given.texts.to_list(), given.languages
    (['Rotwein 0,75 l', ''], None)
    """
    name = str(source) if isinstance(source, str | Path) else "texts"
    table, notes = _table(source, columns[0] if columns else TEXT, separator)
    recipe = recipe or {}
    own = list(recipe.get("text", ()))
    fits = len(own) > 0 and set(own) <= set(table.columns)
    chosen = list(columns) or (own if fits else [TEXT])
    for column in (*chosen, language_column, id_column):
        if column is not None and column not in table.columns:
            raise DataError(
                f"{name}: no column {column!r}; name one of {', '.join(table.columns)} with "
                "--text-column, --language-column or --id-column", "missing_column",
            )  # fmt: skip
    plain = {c: _as_text(table, c, name) for c in (*chosen, language_column, id_column) if c}
    table = table.with_columns(plain[c].alias(c) for c in plain)
    if not len(table):
        raise DataError(f"{name}: no text", "no_text")
    joined = pl.concat_str([pl.col(c) for c in chosen], separator=" ", ignore_nulls=True)
    texts = table.select(joined.fill_null("").alias(TEXT)).select(clean_text(TEXT)).to_series()
    if recipe.get("fields") or recipe.get("numbers"):
        texts = with_fields(table, texts, recipe["fields"], recipe["numbers"], name)
        texts = texts.to_frame(TEXT).select(clean_text(TEXT)).to_series()
    if fits and not columns and chosen != [TEXT]:
        notes = [*notes, f"texts are {' and '.join(chosen)}, as in the corpus"]
    languages = None if language_column is None else _languages(plain[language_column], name)
    ids = None if id_column is None else _ids(plain[id_column], name)
    return GivenTexts(table, texts, languages, ids, tuple(notes))


def _as_text(table: pl.DataFrame, column: str, name: str) -> pl.Series:
    found = None if table[column].dtype == pl.Binary else as_texts(table[column])
    if found is None:
        raise DataError(f"{name}: column {column!r} holds {table[column].dtype}, not text",
                        "not_text")  # fmt: skip
    return found


def _table(source: Any, column: str, separator: str | None) -> tuple[pl.DataFrame, list[str]]:  # noqa: ANN401
    if isinstance(source, pl.Series) or (
        isinstance(source, Sequence) and not isinstance(source, str)
    ):
        if not all(one is None or isinstance(one, str) for one in source):
            raise DataError("texts: each must be a str, or give a frame", "not_text")
        return pl.DataFrame({column: pl.Series(list(source), dtype=pl.String)}), []
    if not isinstance(source, str | Path):
        return as_frame(source), []
    try:
        if str(source) != STDIN and ending(Path(source)) in FORMATS:
            read = read_table(source, separator=separator)
            return read.frame, list(read.told(str(source)))
        from_stdin = str(source) == STDIN
        content = sys.stdin.buffer.read() if from_stdin else Path(source).read_bytes()
        lines = content.decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: cannot be read ({first_line(error)})") from None
    lines = [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
    return pl.DataFrame({column: lines}, schema={column: pl.String}), []


def _languages(given: pl.Series, name: str) -> NDArray[np.str_]:
    refuse_countries(given, name)
    code = given.to_frame("code").select(language_code("code").fill_null(UNDETERMINED))
    return code.to_series().to_numpy().astype(np.str_)


def _ids(given: pl.Series, name: str) -> NDArray[np.str_]:
    twice = given.filter(given.is_duplicated())
    if given.null_count() or len(twice):
        what = "is missing in some rows" if given.null_count() else f"{twice[0]} stands twice"
        raise DataError(f"{name}: the id {what}", "ids")
    return given.to_numpy().astype(np.str_)
