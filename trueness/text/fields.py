"""Further fields of a text, such as brand and price: written behind the title with markers.

Every model reads them as text: n-grams, tokens and vectors alike. A number is written as its tenth
of the numbers of the corpus, ``q0`` to ``q9``; what is missing is written as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from trueness.errors import DataError
from trueness.reading import as_texts

NONE = "[none]"
"""What stands for a missing value."""
TENTHS = np.arange(1, 10) / 10
BinEdges = Mapping[str, Sequence[float]]
"""Column of numbers -> ends of its tenths but the last."""


def marker(column: str) -> str:
    """What stands before the value of a column.

    Examples
    --------
    >>> marker("Net price")
    '[net_price]'
    """
    return f"[{re.sub(r'[^0-9a-z]+', '_', column.casefold()).strip('_') or 'field'}]"


def first_marker(columns: Mapping[str, Any]) -> str | None:
    """Marker that ends the title in texts of these columns of a corpus; None without fields."""
    return next(iter(markers_of(columns)), None)


def markers_of(columns: Mapping[str, Any]) -> dict[str, str]:
    """Marker -> column of the fields of a corpus, in the order in which they are written."""
    return {
        marker(name): name for name in (*columns.get("fields", ()), *columns.get("numbers", {}))
    }


def completed(text: str, columns: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A text that was written by hand, with what stands for its missing fields, and their names.

    Examples
    --------
    >>> completed("Red lamp [brand] Acme", {"fields": ["brand"], "numbers": {"price": [1.0]}})
    ('Red lamp [brand] Acme [price] [none]', ['price'])
    """
    words = text.split()
    lost = {mark: name for mark, name in markers_of(columns).items() if mark not in words}
    return " ".join([text, *(f"{mark} {NONE}" for mark in lost)]), list(lost.values())


def titles_only(texts: pl.Series, mark: str | None) -> pl.Series:
    """Texts up to a marker.

    Examples
    --------
    >>> titles_only(pl.Series(["Red lamp [brand] Acme"]), "[brand]").to_list()
    ['Red lamp']
    """
    if mark is None:
        return texts
    return texts.str.split(f" {mark} ").list.first().alias(texts.name)


def check_fields(fields: Sequence[str], numbers: Iterable[str]) -> None:
    """Refuse fields whose markers are the same.

    Raises
    ------
    DataError
        With code ``fields``.
    """
    seen: dict[str, str] = {}
    for name in (*fields, *numbers):
        other = seen.setdefault(marker(name), name)
        if other != name or (name in fields and [*fields, *numbers].count(name) > 1):
            raise DataError(f"the fields {other!r} and {name!r} would both be marked by "
                            f"{marker(name)}; name each column once, or rename one",
                            "fields")  # fmt: skip


def with_fields(
    table: pl.DataFrame, titles: pl.Series, fields: Sequence[str], numbers: BinEdges, where: str
) -> pl.Series:
    """Titles with their fields behind them; a missing title stays missing.

    Parameters
    ----------
    table : polars.DataFrame
        n rows.
    titles : polars.Series of String, (n,)
    fields : sequence of str
        Columns of text, in the order in which they are written.
    numbers : mapping
        Columns of numbers, which follow.
    where : str
        Source, for errors.

    Raises
    ------
    DataError
        With code ``missing_column`` if a column is not there, ``column_type`` if it holds no text,
        ``no_number`` for a value that is none.

    Examples
    --------
    >>> table = pl.DataFrame({"brand": ["Acme", None], "price": ["9.5", ""]})
    >>> with_fields(table, pl.Series(["Lamp", "Shoe"]), ["brand"], {"price": [5.0]}, "t").to_list()
    ['Lamp [brand] Acme [price] q1', 'Shoe [brand] [none] [price] [none]']
    """
    parts = [titles]
    for name in fields:
        parts += [_constant(marker(name), titles), _texts(table, name, where).fill_null(NONE)]
    for name, bin_edges in numbers.items():
        values = numbers_of(table, name, where).to_numpy()
        tenths = np.searchsorted(np.asarray(bin_edges, np.float64), values, side="right")
        words = np.where(np.isnan(values), NONE, np.char.add("q", tenths.astype(np.str_)))
        parts += [_constant(marker(name), titles), pl.Series(words, dtype=pl.String)]
    whole = pl.DataFrame([part.alias(str(i)) for i, part in enumerate(parts)])
    missing = titles.is_null() | (titles.str.strip_chars() == "")
    joined = whole.select(pl.concat_str(pl.all(), separator=" ")).to_series()
    return pl.select(pl.when(missing).then(titles).otherwise(joined)).to_series().alias(titles.name)


def _constant(text: str, like: pl.Series) -> pl.Series:
    return pl.Series([text], dtype=pl.String).new_from_index(0, len(like))


def _texts(table: pl.DataFrame, name: str, where: str) -> pl.Series:
    """Values as text; blank ones are missing."""
    if name not in table.columns:
        raise DataError(f"{where}: no column {name!r}, which the model reads beside the title; "
                        "give it, empty where it is not known", "missing_column")  # fmt: skip
    result = None if table[name].dtype == pl.Binary else as_texts(table[name])
    if result is None:
        raise DataError(f"{where}: column {name!r} holds {table[name].dtype}, not text",
                        "column_type")  # fmt: skip
    values = result.str.strip_chars()
    return values.set(values == "", None)


def numbers_of(table: pl.DataFrame, name: str, where: str) -> pl.Series:
    """Values as numbers, NaN where there is none.

    Raises
    ------
    DataError
        As for `with_fields`.
    """
    texts = _texts(table, name, where)
    values = texts.cast(pl.Float64, strict=False)
    odd = texts.filter((values.is_null() & texts.is_not_null()) | values.is_infinite())
    if len(odd):
        raise DataError(f"{where}: {name} {odd[0]!r} is no number; write 1234.5, without unit and "
                        "separators, or leave the cell empty", "no_number")  # fmt: skip
    return values.fill_null(float("nan"))


def tenths_of(
    tables: Iterable[pl.DataFrame], numbers: Sequence[str], where: str
) -> dict[str, list[float]]:
    """Ends of the tenths of columns of numbers; equal ones once.

    Parameters
    ----------
    tables : iterable of DataFrame
        Portions of a table.
    numbers : sequence of str
    where : str

    Raises
    ------
    DataError
        With code ``no_number`` if a column holds none; those of `numbers_of`.
    """
    seen: dict[str, list[Any]] = {name: [] for name in numbers}
    for table in tables if numbers else ():
        for name in numbers:
            seen[name].append(numbers_of(table, name, where).to_numpy())
    result = {}
    for name, parts in seen.items():
        values = np.concatenate([np.zeros(0), *parts])
        values = values[np.isfinite(values)]
        if not len(values):
            raise DataError(f"{where}: the column {name!r} holds no number", "no_number")
        result[name] = np.unique(np.quantile(values, TENTHS, method="lower")).tolist()
    return result
