"""Columns of texts and of values that go with them, checked the same way wherever they come in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError

Texts: TypeAlias = Sequence[str] | pl.Series
Column: TypeAlias = Sequence[Any] | NDArray[Any] | pl.Series

_TEXTUAL = (pl.String, pl.Categorical, pl.Enum)
_PORTION = 32_768


def string_column(texts: Texts) -> pl.Series:
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


def ranks(name: str, values: Column) -> NDArray[np.int64]:
    """Number of each value among the distinct ones in their order, (n,), from 0.

    Raises
    ------
    DataError
        If a value is missing.

    Examples
    --------
    >>> ranks("language", ["en", "da", "en"])
    array([1, 0, 1])
    """
    column = values if isinstance(values, pl.Series) else pl.Series(np.asarray(values))
    if column.null_count():
        row = int(column.is_null().arg_max() or 0)
        raise DataError(f"{name} {row + 1} is missing; give one for every row")
    column = column.cast(pl.String) if column.dtype in _TEXTUAL else column
    return column.rank("dense").to_numpy().astype(np.int64) - 1


def portions(column: pl.Series, size: int = _PORTION) -> Iterator[pl.Series]:
    """Texts of a column in order, some ten thousand at a time, or `size`."""
    for begin in range(0, len(column), size):
        yield column.slice(begin, size)


def text_digest(column: pl.Series) -> str:
    """64 hexadecimal digits of the SHA-256 of texts and their order.

    Examples
    --------
    >>> text_digest(pl.Series(["ab", "c"])) == text_digest(pl.Series(["a", "bc"]))
    False
    """
    sha = hashlib.sha256(column.str.len_bytes().to_numpy().astype(np.int64).tobytes())
    for portion in portions(column):
        sha.update("".join(portion.to_list()).encode())
    return sha.hexdigest()
