"""Texts as one column, the same check wherever they come in."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trueness.errors import DataError

_TEXTUAL = (pl.String, pl.Categorical, pl.Enum)


def string_column(texts: Sequence[str] | pl.Series) -> pl.Series:
    """Texts as a column of strings.

    Raises
    ------
    DataError
        If a value is missing, no string, or holds half a surrogate pair.

    Examples
    --------
    >>> string_column(["a", None])
    Traceback (most recent call last):
    trueness.errors.DataError: text 2 is missing; give every text as a string
    """
    if isinstance(texts, str) or (isinstance(texts, pl.Series) and texts.dtype not in _TEXTUAL):
        raise DataError("texts must be many strings; give a list or a column of strings")
    try:
        column = pl.Series("text", texts, dtype=pl.String, strict=True)
    except (TypeError, UnicodeEncodeError, pl.exceptions.PolarsError):
        raise DataError("texts must be strings of valid Unicode; convert or leave out") from None
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise DataError(f"text {row + 1} is missing; give every text as a string")
    return column
