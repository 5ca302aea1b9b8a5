"""Texts that somebody wants an answer for: a file, standard input, a frame, a list."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document.numbers import plural
from trueness.errors import DataError
from trueness.frames import as_frame
from trueness.reading import FORMATS, as_texts, ending, read_table
from trueness.text.codes import language_code, meant_code, refuse_countries
from trueness.text.corpus import UNDETERMINED
from trueness.text.fields import with_fields
from trueness.text.lines import STDIN, lines_of
from trueness.text.sources import clean_text
from trueness.text.tables import GUESSES

TEXT = "text"
"""Column of texts where nothing else is named."""
NAMED = 5
"""Values that a note names."""
EXAMPLES = (
    "Slim fit cotton shirt, navy, size M", "Damen Laufschuhe atmungsaktiv Gr. 39",
    "Pendientes de plata con circonita", "Livre de poche, roman policier", "犬用 首輪 レザー S",
    "Set di chiavi a bussola 1/2 pollice, 24 pezzi", "Baby monitor with night vision",
    "Gouden ketting met hanger 45 cm",
)  # fmt: skip
"""Titles that are asked about where none are given."""


@dataclass(frozen=True)
class InputTexts:
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


def input_texts(
    source: Any, columns: Sequence[str] = (), *, language_column: str | None = None,  # noqa: ANN401
    id_column: str | None = None, recipe: Mapping[str, Any] | None = None,
    known: Collection[str] = (), separator: str | None = None,
) -> InputTexts:  # fmt: skip
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
        Without them those of the recipe, if they are there; that of ids if it names every row.
    recipe : mapping, optional
        Columns that a corpus came from: ``text`` (several), ``language``, ``id``, each where there
        is one. A note says which were taken. The fields that stand behind the texts, see
        `Corpus.columns`, are always read.
    known : collection of str
        Languages that may be meant by what is no code.
    separator : str, optional
        Between the cells of a file.

    Raises
    ------
    DataError
        If it cannot be read or lacks a column; with code ``no_text`` without any row, ``country``
        for countries in place of languages, ``ids`` for ids that are missing or not distinct; those
        of `trueness.text.lines.lines_of`.

    Examples
    --------
    >>> given = input_texts(["Rotwein  0,75 l", ""])
    >>> given.texts.to_list(), given.languages
    (['Rotwein 0,75 l', ''], None)
    """
    name = str(source) if isinstance(source, str | Path) else "texts"
    recipe = recipe or {}
    table, notes = _table(source, columns[0] if columns else TEXT, separator, _names(recipe))
    chosen, note = (list(columns), []) if columns else _text_columns(table, recipe)
    notes += note
    if language_column is None:
        language_column, note = _language_column(table, recipe, chosen)
        notes += note
    if id_column is None:
        id_column, note = _id_column(table, recipe)
        notes += note
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
    languages = None
    if language_column is not None:
        languages = _languages(plain[language_column], name)
        notes += _no_codes(plain[language_column], languages, known)
    ids = None if id_column is None else _ids(plain[id_column], name)
    return InputTexts(table, texts, languages, ids, tuple(notes))


def _as_text(table: pl.DataFrame, column: str, name: str) -> pl.Series:
    result = None if table[column].dtype == pl.Binary else as_texts(table[column])
    if result is None:
        raise DataError(f"{name}: column {column!r} holds {table[column].dtype}, not text",
                        "not_text")  # fmt: skip
    return result


def _names(recipe: Mapping[str, Any]) -> set[str]:
    """What the columns of a table of texts may be called."""
    usual = {name for groups in GUESSES.values() for group in groups for name in group}
    several = [recipe.get(n) or () for n in ("text", "fields", "numbers")]
    own = [*(name for names in several for name in names),
           *(recipe.get(n) for n in ("language", "id", "label"))]  # fmt: skip
    return usual | {str(name) for name in own if name is not None}


def _text_columns(table: pl.DataFrame, recipe: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Those of the corpus if all are there, else `TEXT`."""
    own: list[str] = list(recipe.get("text") or [])
    if not own or own == [TEXT] or not set(own) <= set(table.columns):
        return [TEXT], []
    return own, [f"texts are {' and '.join(own)}, as in the corpus"]


def _language_column(
    table: pl.DataFrame, recipe: Mapping[str, Any], texts: Sequence[str]
) -> tuple[str | None, list[str]]:
    """The column of languages of the corpus; a note on one that may be meant."""
    own = recipe.get("language")
    if own in table.columns and own not in texts:
        return own, [f"languages are {own}, as in the corpus"]
    usual = (group[0] for group in GUESSES["language"])
    seen = next((n for n in usual if n in table.columns and n not in texts), None)
    if seen is None:
        return None, []
    return None, [f"the column {seen} is not read, and languages are detected; --language-column "
                  f"{seen} takes them from there"]  # fmt: skip


def _id_column(table: pl.DataFrame, recipe: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """The column of ids of the corpus, if it names every row."""
    own = recipe.get("id")
    if own not in table.columns:
        return None, []
    if table[own].null_count() or table[own].is_duplicated().any():
        return None, [f"rows are called after their texts, because {own}, which named those of the "
                      "corpus, does not name every row once"]  # fmt: skip
    return own, [f"ids are {own}, as in the corpus"]


def _table(
    source: Any,  # noqa: ANN401 - a file, a frame, texts
    column: str,
    separator: str | None,
    names: Collection[str],
) -> tuple[pl.DataFrame, list[str]]:
    if isinstance(source, pl.Series) or (
        isinstance(source, Sequence) and not isinstance(source, str)
    ):
        if not all(one is None or isinstance(one, str) for one in source):
            raise DataError("texts: each must be a str, or give a frame", "not_text")
        return pl.DataFrame({column: pl.Series(list(source), dtype=pl.String)}), []
    if not isinstance(source, str | Path):
        return as_frame(source), []
    if str(source) != STDIN and ending(Path(source)) in FORMATS:
        read = read_table(source, separator=separator)
        return read.frame, list(read.all_notes(str(source)))
    if separator is not None:
        raise DataError(f"{source}: one text a line has no cells; leave out --separator",
                        "no_option")  # fmt: skip
    lines, notes = lines_of(source, names)
    return pl.DataFrame({column: lines}, schema={column: pl.String}), notes


def _languages(codes: pl.Series, name: str) -> NDArray[np.str_]:
    refuse_countries(codes, name)
    code = codes.to_frame("code").select(language_code("code").fill_null(UNDETERMINED))
    return code.to_series().to_numpy().astype(np.str_)


def _no_codes(
    values: pl.Series, codes: NDArray[np.str_], known: Collection[str]
) -> list[str]:  # fmt: skip
    """A note on values that are no codes of languages, with what may be meant."""
    plain = values.str.strip_chars()
    lost = plain.filter(pl.Series(codes == UNDETERMINED) & (plain.str.len_bytes() > 0))
    lost = lost.filter(lost.str.to_lowercase() != UNDETERMINED)
    if not len(lost):
        return []
    counts = lost.value_counts(sort=True).rows()
    match = {value: meant_code(value, known) for value, _ in counts[:NAMED]}
    notes = [f"{value[:40]!r} ({n:,}{f'; {match[value]}?' if match[value] else ''})"
            for value, n in counts[:NAMED]]  # fmt: skip
    return [
        f"{plural(len(lost), 'row')} whose language is no code, so undetermined ({UNDETERMINED}): "
        f"{', '.join(notes)}{' ...' if len(counts) > NAMED else ''}"
    ]


def _ids(values: pl.Series, name: str) -> NDArray[np.str_]:
    twice = values.filter(values.is_duplicated())
    if values.null_count() or len(twice):
        what = "is missing in some rows" if values.null_count() else f"{twice[0]} stands twice"
        raise DataError(f"{name}: the id {what}", "ids")
    return values.to_numpy().astype(np.str_)
