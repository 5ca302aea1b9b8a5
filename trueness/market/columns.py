"""Columns of tables with bars: which is which by its name, and their numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document.numbers import listed
from trueness.errors import DataError
from trueness.reading.values import MISSING_NUMBERS

DATES = ("date", "datetime", "timestamp", "time")
"""Names of the column of dates, in any case; the first that is there counts."""
ALIASES = {"adjclose": "adj_close", "adjusted_close": "adj_close"}
TELLING = ("price", "open", "high", "low", "close", "volume", "label", "target", "date", "time")
"""Words in the name of a column that a reader would expect to be used."""
MULTI_HEADER = ("Price", "Ticker", "Date")
"""First cells of the three header rows of yfinance."""


def plain(name: str) -> str:
    """Name of a column in small letters, with underscores.

    Examples
    --------
    >>> plain(" Adj Close"), plain("Datetime")
    ('adj_close', 'datetime')
    """
    small = name.strip().lower().replace(" ", "_")
    return ALIASES.get(small, small)


def date_column(table: pl.DataFrame) -> str | None:
    """Name of the column of dates, by the order of `DATES`."""
    names = {plain(column): column for column in reversed(table.columns)}
    return next((names[one] for one in DATES if one in names), None)


def one_header(table: pl.DataFrame) -> pl.DataFrame:
    """The table without the second and third header row that yfinance writes.

    Raises
    ------
    DataError
        With code ``panel`` if they name several tickers.
    """
    first = table.columns[0] if table.width else ""
    text = table.width and table.dtypes[0] == pl.String
    if not text or (first, *table[first][:2]) != MULTI_HEADER:
        return table
    tickers = sorted({str(one) for one in table.row(0)[1:]})
    if len(tickers) > 1:
        raise DataError(f"one table with the columns of {listed(tickers)}; give a file for each",
                        "panel")  # fmt: skip
    return table[2:].rename({first: MULTI_HEADER[-1]})


def chosen(
    table: pl.DataFrame, name: str, needed: tuple[str, ...]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Columns of bars under plain names, and a note on others that look as if they were meant.

    Parameters
    ----------
    table : polars.DataFrame
    name : str
        What errors call the source.
    needed : tuple of str
        Plain names that must be there; adj_close and volume may be.

    Raises
    ------
    DataError
        With code ``missing_column`` or ``doubled_column``.
    """
    table = one_header(table)
    date = date_column(table)
    of = {column: plain(column) for column in table.columns if plain(column) not in DATES}
    if date is not None:
        of[date] = "date"
    wanted = (*needed, "adj_close", "volume")
    names = [one for one in of.values() if one in wanted]
    twice = sorted({one for one in names if names.count(one) > 1})
    missing = [one for one in needed if one not in names]
    if twice or missing:
        problem = f"no column {', '.join(missing)}" if missing else f"two columns {twice[0]}"
        raise DataError(
            f"{name}: {problem}; found {', '.join(table.columns[:12])}; expected "
            f"{', '.join(needed)} in any case, optionally Adj Close and Volume",
            "missing_column" if missing else "doubled_column",
        )
    column_of = {one: column for column, one in of.items() if one in wanted}
    rest = [c for c in table.columns if c not in column_of.values()]
    telling = [c for c in rest if any(word in c.lower() for word in TELLING)]
    notes = (f"{name}: not used: {listed(telling)}",) if telling and len(needed) > 2 else ()
    return table.select(pl.col(column_of[n]).alias(n) for n in wanted if n in column_of), notes


def numbers(
    table: pl.DataFrame, column: str, name: str, days: NDArray[np.datetime64]
) -> NDArray[np.float64]:
    """A column as numbers, (T,).

    Raises
    ------
    DataError
        If a value is missing, infinite, or no number.
    """
    series = table[column]
    words = series.dtype in (pl.String, pl.Categorical, pl.Enum)
    if not (words or series.dtype.is_numeric() or series.dtype == pl.Null):
        raise DataError(f"{name}: {column} holds {series.dtype}, numbers are expected")
    text = series.cast(pl.String).str.strip_chars() if words else series
    array = text.cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{name}: {column} on {days[row]} is {series[row]!r}, a number is expected "
            f"({int(bad.sum())} such rows); correct or remove the rows"
        )
    return array


def empty(column: pl.Series) -> bool:
    """Whether a column holds no value at all."""
    if column.dtype != pl.String:
        return column.null_count() == len(column)
    return bool(column.str.strip_chars().str.to_lowercase().is_in(["", *MISSING_NUMBERS])
                .fill_null(True).all())  # fmt: skip
