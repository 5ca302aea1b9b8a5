"""Tables in files: their rows, and what became of every one of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, first_line
from trueness.reading.jsonlines import as_text, line_blocks, records
from trueness.reading.opening import BROKEN, checked, ending, opened, unreadable, utf8_blocks
from trueness.reading.saved import is_saved_dataset, read_saved_dataset
from trueness.reading.separated import BLANK, rows_of
from trueness.reading.values import typed, without_missing

PORTION_ROWS = 20_000
MOST_COLUMNS = 10_000
"""Names in JSON lines; more are values that were taken for names."""
LARGEST_EXACT = 2**53
"""Up to it, a float holds every whole number."""
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""Of the years 1 to 9999, counted from 1970-01-01; polars ends the process at others."""
WHOLE_HOURS = re.compile(r"^([+-])(0\d|1[0-2]):?00$")
"""Time zone that is an offset, of so many hours that a name has it."""
TICKS = {"ms": 10**3, "us": 10**6}
"""Unit of a time -> how many a second has."""
os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")  # `_known` names them instead


@dataclass(frozen=True)
class Portion:
    """Some rows of a table, in the order of the file.

    Attributes
    ----------
    frame : polars.DataFrame
        Text for CSV and TSV, types as stored for the others; missing values are null.
    lines : (n,) int64
        Line of the file on which each row begins, or its number, from 1.
    skipped : Counter
        Reason -> records that are not in the frame: rows read are rows kept and rows skipped.
    notes : tuple of str
        How it was read, where that is not what its ending says; of the first portion only.
    """

    frame: pl.DataFrame
    lines: NDArray[np.int64]
    skipped: Counter[str] = field(default_factory=Counter)
    notes: tuple[str, ...] = ()

    @property
    def read(self) -> int:
        """Records read."""
        return len(self.frame) + self.skipped.total()

    def all_notes(self, name: str) -> tuple[str, ...]:
        """The notes, and what was skipped."""
        lost = [f"{name}: {n:,} skipped: {reason}" for reason, n in self.skipped.items() if n]
        return (*self.notes, *lost)

    def entire(self, name: str) -> pl.DataFrame:
        """The rows, where nothing but blank lines was skipped and nobody would hear of it.

        Raises
        ------
        DataError
            With code ``skipped``.
        """
        lost = next((reason for reason in self.skipped if reason != BLANK), None)
        if lost is not None:
            n = self.skipped[lost]
            raise DataError(f"{name}: {n:,} lines cannot be read ({lost}); correct them or leave "
                            "them out", "skipped")  # fmt: skip
        return self.frame


def read_table(path: str | Path, *, separator: str | None = None, types: bool = False) -> Portion:
    """All rows of a file.

    CSV, TSV and JSON lines (in UTF-8, or with a byte order mark in UTF-16 or UTF-32; also
    compressed, ``.gz .bz2 .xz .zst``, or alone in a ``.zip``), Parquet and Arrow; the folder of a
    dataset of Hugging Face that ``save_to_disk`` wrote. What separates
    the cells of a text is recognised, and noted where it is not what the ending says. A cell is
    missing where it is empty or blank.

    Parameters
    ----------
    path : str or Path
    separator : str, optional
        One character between the cells of a text.
    types : bool
        Whether columns of CSV and TSV get the type that all of their values have, see `typed`.

    Raises
    ------
    DataError
        If it is missing (code ``no_file``), has several splits
        (``several_splits``), has no header (``empty``), another ending (``suffix``),
        is damaged (``unreadable``), has a column twice (``doubled_column``), rows of different
        lengths (``row_length``), quotes that swallow rows (``quotes``), or bytes that are no text
        (``encoding``).
    """
    if is_saved_dataset(Path(path)):
        frame = without_missing(read_saved_dataset(Path(path)))
        return Portion(frame, np.arange(1, len(frame) + 1))
    parts = list(portions(path, separator=separator))
    frames = [one.frame for one in parts]
    try:
        frame = pl.concat(frames, how="diagonal_relaxed") if len(frames) > 1 else frames[0]
    except pl.exceptions.PolarsError as error:
        raise unreadable(Path(path), error) from None
    frame = typed(frame) if types and ending(Path(path)) in SEPARATED else frame
    skipped = sum((one.skipped for one in parts), Counter())
    if not frame.width and skipped:
        reason, _ = skipped.most_common(1)[0]
        raise DataError(f"{path}: no record in {skipped.total():,} lines ({reason})", "unreadable")
    lines = np.concatenate([one.lines for one in parts])
    return Portion(frame, lines, skipped, parts[0].notes)


def portions(
    path: str | Path, columns: Sequence[str] | None = None, *, separator: str | None = None,
    rows: int = PORTION_ROWS,
) -> Iterator[Portion]:  # fmt: skip
    """Rows of a file, portion by portion: as `read_table`, in memory bounded by a portion.

    Parameters
    ----------
    path, separator : as for `read_table`
    columns : sequence of str, optional
        Those to keep; ones that a portion of JSON lines lacks are null.
    rows : int
        Most rows of a portion. There is at least one portion, perhaps without rows.
    """
    path = Path(path)
    reader = _format(checked(path) if path.is_dir() else path)
    checked(path)
    try:
        for part in reader(path, columns, rows, separator):
            yield Portion(without_missing(part.frame), part.lines, part.skipped, part.notes)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from None


def names_of(
    path: str | Path, wanted: Collection[str] | None = None, *, separator: str | None = None
) -> list[str]:
    """Names of the columns of a file; for JSON lines those of all records, in order of appearance.

    Parameters
    ----------
    path, separator : as for `read_table`
    wanted : collection of str, optional
        Only these; needed where JSON lines have more than `MOST_COLUMNS` names.

    Raises
    ------
    DataError
        As `read_table`.
    """
    path = Path(path)
    kind = ending(checked(path))
    if kind in JSON_LINES:
        return _json_names(path, wanted)
    if kind in STORED:
        try:
            result = next(_stored(path, None, 0, separator)).frame.columns
        except (pl.exceptions.PolarsError, OSError) as error:
            raise unreadable(path, error) from None
    else:
        result = next(portions(path, separator=separator, rows=1)).frame.columns
    return [name for name in result if wanted is None or name in wanted]


def _format(path: Path) -> Callable[..., Iterator[Portion]]:
    kind = ending(checked(path) if path.suffix.lower() == ".zip" else path)
    if kind not in FORMATS:
        raise DataError(f"{path}: no table by its name; {', '.join(FORMATS)} are read (texts also "
                        "compressed: .gz, .bz2, .xz, .zst, .zip)", "suffix")  # fmt: skip
    return FORMATS[kind]


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse a name that comes twice.

    Raises
    ------
    DataError
    """
    doubled = next((name for name, n in Counter(names).items() if n > 1), None)
    if doubled is not None:
        raise DataError(f"{path}: column {doubled!r} is there twice; rename or drop one",
                        "doubled_column")  # fmt: skip


# ------------------------------------------------------------------------------------------ formats


def _separated(
    path: Path, columns: Sequence[str] | None, most: int, separator: str | None, *, tabs: bool
) -> Iterator[Portion]:
    source = rows_of(path, tabs=tabs, separator=separator)
    check_names(path, source.names)
    kept = [(i, n) for i, n in enumerate(source.names) if columns is None or n in columns]
    first, counted = True, Counter()
    while True:
        some = list(islice(source.records, most))
        cells = list(zip(*(row for _, row in some), strict=True)) or [()] * len(source.names)
        frame = pl.DataFrame({name: pl.Series(cells[i], dtype=pl.String) for i, name in kept})
        skipped = source.skipped - counted
        counted = Counter(source.skipped)
        if some or skipped or first:
            notes = source.notes if first else ()
            yield Portion(frame, np.array([line for line, _ in some], np.int64), skipped, notes)
        if len(some) < most:
            return
        first = False


def _records(path: Path, skipped: Counter[str]) -> Iterator[tuple[dict[str, Any], int]]:
    """Records of JSON lines and their numbers, from 1."""
    number = 0
    for lines in line_blocks(utf8_blocks(path), skipped):
        for record in records(lines, skipped):
            number += 1
            yield record, number


def _json_names(path: Path, wanted: Collection[str] | None) -> list[str]:
    names: dict[str, None] = {}
    for record, _ in _records(path, Counter()):
        names |= dict.fromkeys(n for n in record if wanted is None or n in wanted)
        if len(names) > MOST_COLUMNS:
            raise _too_many(path)
    return list(names)


def _too_many(path: Path) -> DataError:
    return DataError(f"{path}: more than {MOST_COLUMNS:,} names in its records; give a field for "
                     "each kind of value", "columns")  # fmt: skip


def _json_lines(
    path: Path, columns: Sequence[str] | None, most: int, separator: str | None
) -> Iterator[Portion]:
    del separator
    counted: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    result, first = _records(path, skipped), True
    seen: set[str] = set()
    while True:
        some = list(islice(result, most))
        names = columns
        if names is None:
            names = list(dict.fromkeys(n for record, _ in some for n in record))
            if len(seen := seen.union(names)) > MOST_COLUMNS:
                raise _too_many(path)
        frame = _frame_of([record for record, _ in some], names)
        lost, counted = skipped - counted, Counter(skipped)
        if some or lost or first:
            yield Portion(frame, np.array([n for _, n in some], np.int64), lost)
        if len(some) < most:
            return
        first = False


def _frame_of(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> pl.DataFrame:
    """Columns of records, null where one lacks a name."""
    return pl.DataFrame({name: _column(name, [row.get(name) for row in rows]) for name in names})


def _column(name: str, values: list[Any]) -> pl.Series:
    """Values of JSON: numbers, truth values, texts, or lists and records; text where kinds mix.

    Whole numbers that no type holds, or that lose digits beside others, become text, too.
    """
    values = [None if v != v else v for v in values]  # NaN
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {int, float} and float in kinds and all(map(_exact, values)):
        return pl.Series(name, values, pl.Float64, strict=False)
    if any(kinds <= {kind} for kind in (int, bool, list, dict)):
        with contextlib.suppress(TypeError, OverflowError, pl.exceptions.PolarsError):
            return pl.Series(name, values)
    return pl.Series(name, [None if v is None else _spelled(v) for v in values], pl.String)


def _exact(value: float | None) -> bool:
    """Whether a float holds a number as it is."""
    return not isinstance(value, int) or abs(value) <= LARGEST_EXACT


def _spelled(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    return as_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _stored(
    path: Path, columns: Sequence[str] | None, most: int, separator: str | None
) -> Iterator[Portion]:
    """Rows of Parquet or Arrow, types as stored."""
    del separator
    lazy = _scan(path)
    if columns is not None:
        lazy = lazy.select(n for n in lazy.collect_schema().names() if n in columns)
    if not most:
        yield Portion(pl.DataFrame(schema=lazy.collect_schema()), np.empty(0, np.int64))
        return
    offset = 0
    for frame in lazy.collect_batches(chunk_size=most, maintain_order=True):
        times = frame.with_columns(_known(path, column) for column in frame)
        yield Portion(times, np.arange(offset + 1, offset + len(frame) + 1))
        offset += len(frame)
    if not offset:
        yield Portion(pl.DataFrame(schema=lazy.collect_schema()), np.empty(0, np.int64))


def _known(path: Path, column: pl.Series) -> pl.Series:
    """Column whose times, if it holds any, have a zone that is known and a year of 1 to 9999."""
    if column.dtype not in (pl.Date, pl.Datetime):
        return column
    zone = getattr(column.dtype, "time_zone", None)
    if zone is not None and (hours := WHOLE_HOURS.match(zone)):
        sign = "-" if hours[1] == "+" else "+"  # there, west is positive
        column = column.dt.convert_time_zone(f"Etc/GMT{sign}{int(hours[2])}")
    try:
        column.dt.replace_time_zone(None) if zone is not None else None
    except pl.exceptions.PolarsError:
        raise DataError(f"{path}: column {column.name!r} has the time zone {zone}, which is not "
                        "known; write its times in UTC", "time_zone") from None  # fmt: skip
    unit = getattr(column.dtype, "time_unit", None)
    if unit == "ns":  # of the years 1677 to 2262
        return column
    ticks = 1 if unit is None else TICKS[unit] * 86_400
    numbers = column.to_physical()
    inside = numbers.is_between(FIRST_DAY * ticks, (LAST_DAY + 1) * ticks, closed="left")
    if not inside.fill_null(True).all():
        raise DataError(f"{path}: column {column.name!r} holds a date outside the years 1 to 9999",
                        "date_range")  # fmt: skip
    return column


def _scan(path: Path) -> pl.LazyFrame:
    scan = pl.scan_parquet if ending(path) in (".parquet", ".pq") else pl.scan_ipc
    if path.suffix.lower() == ending(path):
        if not path.stat().st_size:
            raise DataError(f"{path}: the file is empty", "empty")
        return scan(path, glob=False)
    try:
        with opened(path) as file:
            return scan(BytesIO(file.read()))
    except BROKEN as error:
        raise DataError(f"{path}: cannot be read ({first_line(error)})", "unreadable") from None


SEPARATED = (".csv", ".tsv")
STORED = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
JSON_LINES = (".jsonl", ".ndjson")
FORMATS: dict[str, Callable[..., Iterator[Portion]]] = {
    ".csv": partial(_separated, tabs=False),
    ".tsv": partial(_separated, tabs=True),
    **dict.fromkeys(STORED, _stored),
    **dict.fromkeys(JSON_LINES, _json_lines),
}
"""Ending of a file -> what reads it."""
