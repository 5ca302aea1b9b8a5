"""Units of a table that somebody brings: labels, names, times, groups, clusters, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document.numbers import count, listed, plural
from trueness.errors import DataError
from trueness.reading import as_numbers

NO_CLUSTER = ("", "nan", "none", "null", "nat")
"""What stands in a text where there is no cluster; units without one are not of one cluster."""
ROLES = ("split", "fold", "id", "time", "group", "cluster", "y")
"""What a column may say about a unit, in the order of the columns of predictions."""
EVALUATION = "evaluation"
"""Part of units for which no split is named."""
ISO_DAY = r"^\s*\d{4}-\d{2}-\d{2}"
FINER = r"\.\d{7}"
"""Text of a time that microseconds do not hold."""
SHOWN = 5
"""Values of a label in a refusal."""


@dataclass(frozen=True)
class Units:
    """Distinct units of a table.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns split, fold, id, y, and time, group, cluster where they are known.
    classes : tuple of str
        Names of K classes; empty for a binary label.
    row : (rows,) int64
        Unit of each row of the table.
    """

    frame: pl.DataFrame
    classes: tuple[str, ...]
    row: NDArray[np.int64]


def units_of(
    roles: Mapping[str, pl.Series], classes: tuple[str, ...] = (), *, paired: bool = False
) -> Units:
    """Units from columns by role.

    Parameters
    ----------
    roles : mapping of str to polars.Series
        ``y``, and any of ``id, time, group, cluster, fold, split``. Without ids units are called by
        their time (and group), without times by their number.
    classes : tuple of str
        Names of K classes.
    paired : bool
        Whether a unit may have several rows, one per model, that have to agree.

    Raises
    ------
    DataError
        If a column is not what its role needs, or units cannot be told apart.

    Examples
    --------
    >>> units_of({"y": pl.Series([0, 1]), "time": pl.Series(["2024-01-02", "2024-01-03"])}).frame[
    ...     "id"].to_list()
    ['2024-01-02', '2024-01-03']
    """
    _check_lengths(roles)
    roles = {role: _plain(role, column) for role, column in roles.items()}
    for role, column in roles.items():
        if column.null_count() or (column.dtype.is_float() and column.is_nan().any()):
            lost = column.is_null() | (column.is_nan() if column.dtype.is_float() else False)
            raise DataError(f"{role}: {plural(int(lost.sum()), 'value')} missing, the first in row "
                            f"{count(int(lost.arg_max() or 0) + 1)}", "missing_value")  # fmt: skip
    typed = {role: TYPES[role](column) for role, column in roles.items() if role != "y"}
    typed["y"] = _classes(roles["y"], classes) if classes else _binary(roles["y"])
    n = len(typed["y"])
    typed.setdefault("split", pl.repeat(EVALUATION, n, eager=True))
    typed.setdefault("fold", pl.repeat(0, n, dtype=pl.Int64, eager=True))
    typed.setdefault("id", _default_ids(typed))
    frame = pl.DataFrame({role: typed[role] for role in ROLES if role in typed})
    return _paired(frame, classes) if paired else _distinct(frame, classes, "id" in roles)


def _check_lengths(roles: Mapping[str, pl.Series]) -> None:
    n = len(roles["y"])
    if not n:
        raise DataError("no units; at least one is needed", "empty")
    for role, column in roles.items():
        if len(column) != n:
            raise DataError(f"{role}: {count(len(column))} values for {count(n)} labels", "lengths")


def _plain(role: str, column: pl.Series) -> pl.Series:
    """Column whose categories are text; refused if its values are no single ones."""
    nested = column.dtype.is_nested() or isinstance(column.dtype, pl.Extension)
    try:
        if nested or column.dtype == pl.Object:
            raise TypeError
        texts = column.dtype in (pl.Categorical, pl.Enum, pl.Binary)
        return column.cast(pl.String) if texts else column
    except (TypeError, pl.exceptions.PolarsError):
        raise DataError(
            f"{role}: a column of {str(column.dtype)[:40]}; give one value per unit: a number, "
            "text, a date or a datetime", "column_type",
        ) from None  # fmt: skip


# ------------------------------------------------------------------------------------------- labels


def _binary(column: pl.Series) -> pl.Series:
    """Labels 0 and 1 as uint8."""
    words = column.cast(pl.String).str.to_lowercase() if column.dtype == pl.String else column
    if column.dtype == pl.String and set(words.unique()) <= {"true", "false"}:
        words = words == "true"
    numbers = as_numbers(words)
    distinct = column.unique().sort()
    if numbers is None or not set(numbers.unique().to_list()) <= {0, 1}:
        shown = ", ".join(str(value) for value in distinct.head(SHOWN))
        more = f", … ({count(len(distinct))} values)" if len(distinct) > SHOWN else ""
        raise DataError(
            f"y holds {shown}{more}; a binary label is 0 or 1 (for K classes name the columns of "
            "their scores)", "not_binary",
        )  # fmt: skip
    return numbers.cast(pl.UInt8)


def _classes(column: pl.Series, classes: tuple[str, ...]) -> pl.Series:
    """Labels as numbers of the classes, int16: by name, else by number from 0."""
    names = _texts(column)
    numbered = {name: number for number, name in enumerate(classes)}
    unknown = [name for name in names.unique(maintain_order=True) if name not in numbered]
    if unknown:
        by_number = {str(number): number for number in range(len(classes))}
        named_by_numbers = all(name.lstrip("-").isdigit() for name in classes)
        if named_by_numbers or not set(names.unique()) <= set(by_number):
            raise DataError(f"y holds {listed(unknown, SHOWN)}; the classes are "
                            f"{listed(list(classes))}", "unknown_class")  # fmt: skip
        numbered = by_number
    return names.replace_strict(numbered, return_dtype=pl.Int16)


# -------------------------------------------------------------------------------------------- roles


def _texts(column: pl.Series) -> pl.Series:
    """Values as text; dates as ISO, whole floats without a point."""
    if column.dtype.is_temporal():
        return column.dt.to_string("iso:strict")
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        column = whole if (whole == column).fill_null(False).all() else column
    return column.cast(pl.String)


def _time(column: pl.Series) -> pl.Series:
    """Dates, or datetimes without a zone; from those or from ISO text."""
    if column.dtype == pl.String:
        iso = column.str.contains(ISO_DAY)
        if not iso.all():
            raise _no_time(column.filter(~iso)[0])
        parsed = column.str.strip_chars().str.to_date("%Y-%m-%d", strict=False)
        if parsed.null_count():
            parsed = _datetimes(column)
        column = parsed
    if column.dtype == pl.Date:
        return column
    if not isinstance(column.dtype, pl.Datetime):
        raise _no_time(column[0], f" ({column.dtype})")
    local = column.dt.replace_time_zone(None)
    days = local.dt.date()
    if (local == days.cast(local.dtype)).all():
        return days
    if column.dtype.time_zone is not None:
        return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column


def _datetimes(column: pl.Series) -> pl.Series:
    unit = "ns" if column.str.contains(FINER).any() else "us"
    try:
        parsed = column.str.strip_chars().str.to_datetime(strict=False, time_unit=unit)
    except pl.exceptions.PolarsError:
        raise _no_time(column[0]) from None
    if parsed.null_count():
        raise _no_time(column.filter(parsed.is_null())[0])
    return parsed


def _no_time(value: object, kind: str = "") -> DataError:
    return DataError(
        f"time holds {str(value)[:40]!r}{kind}, which is no time; give dates, datetimes or ISO "
        "text such as 2024-01-31", "not_a_time",
    )  # fmt: skip


def _fold(column: pl.Series) -> pl.Series:
    """Whole numbers as they are; anything else numbered in order of first appearance."""
    numbers = as_numbers(column)
    whole = None if numbers is None else numbers.cast(pl.Int64, strict=False)
    exact = whole is not None and (whole == numbers).fill_null(False).all()
    if whole is not None and exact and whole.n_unique() == column.n_unique():
        return whole
    names = _texts(column)
    order = names.unique(maintain_order=True).to_list()
    return names.replace_strict(order, range(len(order)), return_dtype=pl.Int64)


def _cluster(column: pl.Series) -> pl.Series:
    """Whole numbers, also where a file holds them as texts, in the order of their size."""
    if column.dtype.is_integer() and column.dtype not in (pl.Int128, pl.UInt128):
        return column
    texts = _texts(column)
    if lost := int(texts.str.strip_chars().str.to_lowercase().is_in(NO_CLUSTER).sum()):
        raise DataError(
            f"cluster: {plural(lost, 'value')} missing; give each unit without one its own",
            "missing_value",
        )
    whole = texts.cast(pl.Int64, strict=False)
    return whole if whole.cast(pl.String).eq_missing(texts).all() else texts


TYPES: dict[str, Callable[[pl.Series], pl.Series]] = {
    "split": _texts, "fold": _fold, "id": _texts, "time": _time, "group": _texts,
    "cluster": _cluster,
}  # fmt: skip


def _default_ids(typed: Mapping[str, pl.Series]) -> pl.Series:
    """Times, with groups where there are some; numbers from 1 without times."""
    if "time" not in typed:
        return pl.int_range(1, len(typed["y"]) + 1, eager=True).cast(pl.String)
    times = _texts(typed["time"])
    return times + " " + typed["group"] if "group" in typed else times


# ------------------------------------------------------------------------------------------ pairing


def _distinct(frame: pl.DataFrame, classes: tuple[str, ...], named: bool) -> Units:
    doubled = frame.select("split", "fold", "id").is_duplicated()
    if doubled.any():
        hint = "" if named else "; name the group, the fold or the id that tells them apart"
        first = frame["id"][int(doubled.arg_max() or 0)]
        raise DataError(f"several rows are called {first!r}{hint}", "duplicate_id")
    return Units(frame, classes, np.arange(len(frame)))


def _paired(frame: pl.DataFrame, classes: tuple[str, ...]) -> Units:
    """Units whose rows, one per model, agree in everything."""
    keys = ["split", "fold", "id"]
    units = frame.unique(maintain_order=True)
    doubled = units.select(keys).is_duplicated()
    if doubled.any():
        first = units["id"][int(doubled.arg_max() or 0)]
        rows = units.filter(pl.col("id") == first)
        odd = [name for name in units.columns if name not in keys and rows[name].n_unique() > 1]
        raise DataError(f"rows of the unit {first!r} differ in {listed(odd)}; models have to agree "
                        "about their units", "conflicting_units")  # fmt: skip
    row = frame.select(keys).join(
        units.select(keys).with_row_index("__unit"), on=keys, how="left", maintain_order="left"
    )["__unit"]  # fmt: skip
    return Units(units, classes, row.to_numpy().astype(np.int64))
