"""Columns of a table by what they say of its rows: label, time, group, cluster, inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document.numbers import count, listed, plural
from trueness.errors import DataError, nearest
from trueness.reading import as_texts
from trueness.spec.table import TableTask
from trueness.table.reading import Table

ZONE = r"(?:Z|[+-]\d\d:?\d\d)$"
ISO = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f%#z")
"""Forms of a time in texts, its T a space."""
SHOWN = 5
"""Values of a label in a refusal."""
UNKNOWN = 255
"""Value of a label that nobody knows."""


@dataclass(frozen=True)
class Roles:
    """Columns of a table by what they say of its T rows; None for a role that no column has.

    Attributes
    ----------
    y : (T,) uint8
    time : (T,) datetime64 or None
        Days, or microseconds.
    group, given : (T,) str or None
        Series, and what the column of folds or parts says.
    cluster : (T,) int64 or str or None
    inputs : polars.DataFrame
    """

    y: NDArray[np.uint8]
    time: NDArray[np.datetime64] | None
    group: NDArray[np.str_] | None
    cluster: NDArray[Any] | None
    given: NDArray[np.str_] | None
    inputs: pl.DataFrame


def roles_of(task: TableTask, evaluation: Any, table: Table) -> Roles:  # noqa: ANN401
    """Columns of a table by role, checked.

    Raises
    ------
    DataError
        With the codes ``unknown_column``, ``missing_value``, ``not_binary``, ``one_class``,
        ``not_a_time`` and ``no_inputs``.
    """
    protocol = evaluation.protocol
    by_name = {name: getattr(evaluation, name) for name in ("fold", "split") if protocol == "given"}
    named = {
        **{f"task.{role}": getattr(task, role) for role in ("label", "time", "group", "cluster")},
        **{f"evaluation.{name}": column for name, column in by_name.items()},
    }
    columns = {
        field: _column(table, field, name) for field, name in named.items() if name is not None
    }
    for field in ("drop", "categories"):
        for name in getattr(task, field):
            _known(table, f"task.{field}", name)
    taken = {name for name in named.values() if name is not None} - {*task.categories}
    inputs = _categories(table.frame.drop(*taken, *task.drop), task)
    if not inputs.width:
        raise DataError(f"{table.name}: no column is left as an input", "no_inputs")
    texts = [columns.get(f) for f in ("task.group", "evaluation.fold", "evaluation.split")]
    group, *parts = (None if c is None else c.cast(pl.String).to_numpy().astype(str) for c in texts)
    time, cluster = columns.get("task.time"), columns.get("task.cluster")
    return Roles(
        _label(columns["task.label"], table.name), None if time is None else _times(time, table),
        group, None if cluster is None else _cluster(cluster),
        next((one for one in parts if one is not None), None), inputs,
    )  # fmt: skip


def unlabelled_roles(task: TableTask, table: Table, kinds: Mapping[str, str]) -> Roles:
    """Columns of a table whose labels nobody knows; a label that is there is not looked at.

    Parameters
    ----------
    task : TableTask
    table : Table
    kinds : mapping of str to str
        Inputs in order, and how each was read when the model was fitted.

    Raises
    ------
    DataError
        With code ``missing_column`` for an input, time or group that is not there,
        ``other_kind`` for an input that cannot be read as it was.
    """
    needed = [*kinds, *(n for n in (task.time, task.group) if n is not None and task.context > 1)]
    lacking = [name for name in needed if name not in table.frame.columns]
    if lacking:
        raise DataError(
            f"{table.name}: no column {', '.join(map(repr, lacking[:SHOWN]))}, which the model "
            f"reads; {nearest(lacking[0], table.frame.columns)}", "missing_column",
        )  # fmt: skip
    inputs = _categories(table.frame.select(
        _as_before(table.frame[name], kind, table.name) for name, kind in kinds.items()
    ), task)  # fmt: skip
    roles = {name: None if column is None or column not in table.frame.columns
             else _column(table, f"task.{name}", column)
             for name, column in (("time", task.time), ("group", task.group))}  # fmt: skip
    time, group = roles["time"], roles["group"]
    return Roles(
        np.full(len(table), UNKNOWN, np.uint8), None if time is None else _times(time, table),
        None if group is None else group.cast(pl.String).to_numpy().astype(str), None, None, inputs,
    )  # fmt: skip


def labels_of(task: TableTask, table: Table) -> NDArray[np.uint8]:
    """Labels (T,) of all rows of a table, 0 and 1.

    Raises
    ------
    DataError
        With the codes ``unknown_column``, ``missing_value``, ``not_binary`` and ``one_class``.
    """
    return _label(_column(table, "task.label", task.label), table.name)


def row_ids(table: Table, column: str | None) -> NDArray[np.str_]:
    """Distinct names of the rows (T,): what a column says, or their numbers from 1.

    Raises
    ------
    DataError
        With code ``doubled_id``, or as for every column with a role.
    """
    if column is None:
        return np.arange(1, len(table) + 1).astype(np.str_)
    ids = _column(table, "the id", column).cast(pl.String)
    twice = ids.filter(ids.is_duplicated())
    if len(twice):
        raise DataError(f"{table.name}: {column} names two rows {twice[0]!r}; ids are distinct",
                        "doubled_id")  # fmt: skip
    return ids.to_numpy().astype(np.str_)


def _categories(inputs: pl.DataFrame, task: TableTask) -> pl.DataFrame:
    return inputs.with_columns(pl.col(task.categories).cast(pl.String).cast(pl.Categorical))


def _as_before(column: pl.Series, kind: str, name: str) -> pl.Series:
    """A column as it was read in training, if it says the same: 3.0 may stand for 3, 3.5 may not.

    A column without any value may be read as anything.
    """
    if str(column.dtype) == kind:
        return column
    wanted = KINDS.get(kind.partition("(")[0])
    zoned = "time_zone='" in kind
    try:
        if wanted is not None and column.null_count() == len(column):
            return pl.Series(column.name, [None] * len(column), wanted)
        if wanted is None or zoned or (_family(column.dtype), _family(wanted)) not in READ_AS:
            raise pl.exceptions.PolarsError
        values = column.fill_nan(None) if column.dtype.is_float() else column
        read = values.cast(wanted)
        if not read.cast(values.dtype).eq_missing(values).all():
            raise pl.exceptions.PolarsError
        return read
    except pl.exceptions.PolarsError:
        raise DataError(
            f"{name}: {column.name} holds {column.dtype}, the model was fitted on {kind}",
            "other_kind",
        ) from None


def _family(kind: Any) -> str:  # noqa: ANN401 - a kind of polars
    """What values of a kind mean; empty for what is read as nothing else."""
    if kind == pl.Boolean or kind.is_numeric():
        return "truth" if kind == pl.Boolean else "number"
    if kind in (pl.String, pl.Categorical, pl.Enum):
        return "text"
    zoned = isinstance(kind, pl.Datetime) and kind.time_zone is not None
    return "time" if kind in (pl.Date, pl.Datetime) and not zoned else ""


READ_AS = {*((one, one) for one in ("truth", "number", "text", "time")), ("number", "truth")}
"""What a value is, and what it may stand for."""
KINDS: dict[str, Any] = {
    **{str(one): one for one in (
        pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64,
        pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Date)},
    "Categorical": pl.Categorical, "Datetime": pl.Datetime("us"),
}  # fmt: skip
"""Kinds of inputs, by how they are written down."""


def _known(table: Table, field: str, name: str) -> None:
    if name not in table.frame.columns:
        raise DataError(
            f"{table.name}: no column {name!r} ({field}); {nearest(name, table.frame.columns)}",
            "unknown_column",
        )
    if field not in ("task.drop", "task.time") and as_texts(table.frame[name]) is None:
        kind = table.frame.schema[name]
        raise DataError(f"{table.name}: {name} ({field}) holds {kind}; give numbers, texts or "
                        "dates", "column_type")  # fmt: skip


def _column(table: Table, field: str, name: str) -> pl.Series:
    """A column without gaps."""
    _known(table, field, name)
    column = table.frame[name]
    lost = column.is_null() | (column.is_nan() if column.dtype.is_float() else False)
    if lost.any():
        raise DataError(
            f"{table.name}: {name} ({field}): {plural(int(lost.sum()), 'value')} missing, the "
            f"first in row {count(int(lost.arg_max() or 0) + 1)}; fill them or leave the rows out",
            "missing_value",
        )
    return column


def _label(column: pl.Series, name: str) -> NDArray[np.uint8]:
    words = {"false": "0", "true": "1"}
    numbers = column
    if not column.dtype.is_numeric():
        texts = column.cast(pl.String).str.to_lowercase().replace(words)
        numbers = texts.cast(pl.Float64, strict=False)
    distinct = column.unique().sort()
    if numbers.null_count() or not set(numbers.unique().to_list()) <= {0, 1}:
        shown = listed([str(value)[:20] for value in distinct.head(SHOWN)])
        more = f" and {count(len(distinct) - SHOWN)} more" * (len(distinct) > SHOWN)
        raise DataError(f"{name}: {column.name} (task.label) holds {shown}{more}; a binary label "
                        "is 0 or 1", "not_binary")  # fmt: skip
    if len(distinct) < 2:
        raise DataError(f"{name}: {column.name} (task.label) is {distinct[0]} in all rows; both "
                        "classes are needed", "one_class")  # fmt: skip
    return numbers.cast(pl.UInt8).to_numpy()


def _times(column: pl.Series, table: Table) -> NDArray[np.datetime64]:
    """Days, or microseconds; times with a zone in UTC."""
    parsed = column
    if column.dtype == pl.String:
        parsed = _from_iso(column)
    if parsed.dtype == pl.Date:
        return parsed.to_numpy().astype("datetime64[D]")
    if not isinstance(parsed.dtype, pl.Datetime) or parsed.null_count():
        bad = column.filter(parsed.is_null())[0] if parsed.null_count() else column[0]
        raise DataError(
            f"{table.name}: {column.name} (task.time) holds {str(bad)[:40]!r}, which is no time; "
            "give dates, datetimes or ISO text such as 2024-01-31", "not_a_time",
        )  # fmt: skip
    zoned = parsed.dtype.time_zone is not None
    plain = parsed.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else parsed
    return plain.cast(pl.Datetime("us")).to_numpy().astype("datetime64[us]")


def _from_iso(column: pl.Series) -> pl.Series:
    """Days if all texts are; else datetimes, in UTC where a zone is given; null for other texts."""
    days = column.str.to_date("%Y-%m-%d", strict=False)
    if not days.null_count():
        return days
    zoned = column.str.contains(ZONE)
    if zoned.any() and not zoned.all():
        raise DataError(f"{column.name} (task.time): some times have a zone and others have none; "
                        "give all of them in one zone", "time_zone")  # fmt: skip
    texts = column.str.replace("T", " ").str.replace(r"Z$", "+00:00")
    read = [texts.str.to_datetime(form, strict=False, time_unit="us") for form in ISO]
    return pl.select(pl.coalesce(one.dt.replace_time_zone(None) for one in read)).to_series()


def _cluster(column: pl.Series) -> NDArray[Any]:
    whole = column.dtype.is_integer() and column.dtype not in (pl.UInt64, pl.Int128, pl.UInt128)
    kept = column.cast(pl.Int64) if whole else column.cast(pl.String)
    return kept.to_numpy() if whole else kept.to_numpy().astype(str)
