"""What a missing value is, and numbers, dates and truth values from text."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

MISSING_NUMBERS = ("na", "n/a", "#n/a", "nan", "null", "none", "\\n")
"""Words that stand for a missing number, in small letters; among texts they are texts."""
_TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")


def without_missing(frame: pl.DataFrame) -> pl.DataFrame:
    """Null for every value that is missing: null, NaN, and text that is empty or blank.

    Examples
    --------
    >>> without_missing(pl.DataFrame({"a": [1.0, float("nan")], "b": [" ", "x"]})).rows()
    [(1.0, None), (None, 'x')]
    """
    return frame.with_columns(
        pl.when(pl.col(pl.String).str.strip_chars() != "").then(pl.col(pl.String)),
    ).with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None))


def as_numbers(column: pl.Series) -> pl.Series | None:
    """Column as numbers, null where one is missing; None if it holds anything else.

    Whole numbers stay whole.

    Examples
    --------
    >>> as_numbers(pl.Series(["0.5", "NA"])).to_list(), as_numbers(pl.Series(["AAPL"]))
    ([0.5, None], None)
    """
    dtype = column.dtype
    if dtype in (pl.Boolean, pl.Null):
        return column.cast(pl.Float64)
    if dtype.is_numeric():
        return column.fill_nan(None) if dtype.is_float() else column
    if dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:
        return None
    text = column.str.strip_chars()
    present = text.set(text.str.to_lowercase().is_in(["", *MISSING_NUMBERS]), None)
    kinds = (pl.Int64, pl.UInt64, pl.Float64)
    tried = (present.cast(kind, strict=False) for kind in kinds)
    result = next((one for one in tried if one.null_count() == present.null_count()), None)
    return result.fill_nan(None) if result is not None and result.dtype.is_float() else result


def odd_content(column: pl.Series) -> str:
    """What a column holds in place of numbers: its first text that is none, else its kind."""
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return str(column.dtype)
    texts = column.cast(pl.String).str.strip_chars()
    known = texts.str.to_lowercase().is_in(["", *MISSING_NUMBERS])
    odd = texts.filter(texts.cast(pl.Float64, strict=False).is_null() & ~known)
    return f"text, such as {odd[0][:40]!r}"


def as_texts(column: pl.Series) -> pl.Series | None:
    """Column as text, null where a value is missing; None if its values are no single ones.

    Examples
    --------
    >>> as_texts(pl.Series([1, None])).to_list(), as_texts(pl.Series([[1]]))
    (['1', None], None)
    """
    try:
        return None if column.dtype.is_nested() else column.cast(pl.String)
    except pl.exceptions.PolarsError:  # bytes that are no text, durations, objects
        return None


def typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns of text with the type that all of their values have.

    Numbers, truth values (``true``, ``false``), dates and times of ISO form; with a zone, times are
    in UTC. Whole numbers of more than 20 digits, numbers of which one begins with a zero, such as
    007, and columns without a value stay text.

    Examples
    --------
    >>> typed(pl.DataFrame({"a": ["1", "NA"], "b": ["2024-12-31", None], "c": ["x", "1"]})).dtypes
    [Int64, Date, String]
    """
    return frame.with_columns(_typed(column) for column in frame if column.dtype == pl.String)


def _typed(column: pl.Series) -> pl.Series:
    text = column.str.strip_chars()
    present = text.drop_nulls()
    present = present.filter(present != "")
    if not len(present):
        return column
    if present.str.contains(r"^(?i:true|false)$").all():
        return text.str.to_lowercase().replace_strict(
            {"true": True, "false": False, "": None}, return_dtype=pl.Boolean
        )
    numbers = as_numbers(column)
    if numbers is not None and numbers.drop_nulls().len():
        digits = present.str.contains(r"^\d{21,}$").any()
        code = present.str.contains(r"^0\d").any()
        return column if code or (digits and numbers.dtype.is_float()) else numbers
    if not present.str.contains(r"^\d{1,4}[-:]\d\d").all():
        return column
    return _times(column, text.set(text == "", None))


def _times(column: pl.Series, text: pl.Series) -> pl.Series:
    """Dates, times or times of a day; the column as it is if it holds others."""
    plain = text.str.replace("T", " ", literal=True)
    zoned = plain.str.replace(r" ?Z$", "+0000").str.replace(r"([+-]\d\d):?(\d\d)$", "$1$2")
    tries: Sequence[pl.Series] = (
        text.str.to_date("%Y-%m-%d", strict=False),
        *(plain.str.to_datetime(f, strict=False, time_unit="us") for f in _TIMES),
        *(zoned.str.to_datetime(f + "%z", strict=False, time_unit="us") for f in _TIMES),
        text.str.to_time("%H:%M:%S%.f", strict=False),
    )
    whole = (one for one in tries if one.null_count() == text.null_count())
    return next(whole, column)
