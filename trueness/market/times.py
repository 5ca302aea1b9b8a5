"""Days and times of the rows of a table, as they are written, and their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError

CLOCK = r"\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
ZONE = r" ?(Z|[+-]\d{2}(?::?\d{2})?)"
ISO_DAY = rf"^(\d{{4}}-\d{{2}}-\d{{2}})(?:[ T]{CLOCK}(?:{ZONE})?)?$"
ISO_TIME = r"^(\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2})?)"
SLASHED = r"^(\d{1,2})/(\d{1,2})/(\d{4})$"
NOON_S = 43_200
SUNDAY_SHARE = 0.1
"""Days on a weekend, from which dates a day early are recognised: one in five would be Sundays."""


@dataclass(frozen=True)
class Times:
    """Times of rows, oldest first.

    Attributes
    ----------
    dates : (T,) datetime64[D] or datetime64[s]
    newest_first : bool
        Whether the rows are in the opposite order.
    notes : tuple of str
        How they were understood.
    """

    dates: NDArray[np.datetime64]
    newest_first: bool
    notes: tuple[str, ...]

    def ordered(self, table: pl.DataFrame) -> pl.DataFrame:
        """Rows of the table in the order of the dates."""
        return table.reverse() if self.newest_first else table


def times_of(column: pl.Series, name: str) -> Times:
    """Times of a column, checked: distinct, and in one order.

    Parameters
    ----------
    column : (T,)
        Dates or times, or text: ``2024-12-31``, perhaps with a time of day, ``12/31/2024`` or
        ``31/12/2024``.
    name : str
        What errors call the source.

    Raises
    ------
    DataError
        For other columns, dates that stand twice, rows out of order, and slashed dates that may be
        read in two ways (code ``date_order``).
    """
    if column.dtype.is_nested() or column.dtype in (pl.Duration, pl.Time, pl.Binary, pl.Boolean):
        raise DataError(f"{name}: date holds {column.dtype}, dates are expected")
    parsed, notes = _days_or_times(column, name)
    if parsed.null_count():
        row = int(parsed.is_null().arg_max() or 0)
        raise DataError(
            f"{name}: row {row + 1}: date {column[row]!r} is not of the form 2024-12-31, or "
            "2024-12-31 16:00; write every date that way"
        )
    days = parsed.to_numpy().astype("datetime64[D]" if parsed.dtype == pl.Date else "datetime64[s]")
    newest_first = len(days) > 1 and bool((np.diff(days) < np.timedelta64(0)).all())
    if newest_first:
        days, notes = days[::-1], [*notes, f"{name}: the newest row comes first; turned round"]
    step = np.diff(days).astype(np.int64)
    if (step == 0).any():
        raise DataError(f"{name}: date {days[1:][step == 0][0]} stands twice; keep one bar of each")
    if (step < 0).any():
        row = int(np.flatnonzero(step < 0)[0])
        raise DataError(
            f"{name}: dates are not sorted: {days[row + 1]} follows {days[row]}; "
            "sort by date, oldest first"
        )
    return Times(days, newest_first, tuple(notes))


def _days_or_times(column: pl.Series, name: str) -> tuple[pl.Series, list[str]]:
    """Days, or times where a day has several, in UTC if they have a zone; null if unreadable."""
    if column.dtype == pl.Date:
        return column, []
    if column.dtype == pl.Datetime:
        zone = getattr(column.dtype, "time_zone", None)
        local = column.dt.date()
        if not local.drop_nulls().is_duplicated().any():
            return _unshifted(local, column.dt.replace_time_zone(None), name)
        utc = column if zone is None else column.dt.convert_time_zone("UTC")
        return utc.dt.replace_time_zone(None), []
    text = column.cast(pl.String).str.strip_chars()
    day = text.str.extract(ISO_DAY).str.to_date("%Y-%m-%d", strict=False)
    if day.null_count() == len(day):
        return _slashed(text, name)
    moment = text.str.replace("T", " ").str.extract(ISO_TIME)
    seconds = moment.str.replace(r"^(.{16})$", "${1}:00")
    if not day.drop_nulls().is_duplicated().any():
        written = seconds.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False)
        return _unshifted(day, written, name)
    if moment.null_count():
        return day, []  # told as a day that stands twice
    matches = text.str.extract(rf"{CLOCK}{ZONE}$")
    if 0 < matches.null_count() < len(matches):
        raise DataError(f"{name}: some dates have a time zone and others have none; give all of "
                        "them in one zone", "time_zone")  # fmt: skip
    zone = matches.fill_null("Z").replace("Z", "+0000").str.replace(":", "")
    zone = zone.str.replace(r"^(.{3})$", "${1}00")
    utc = (seconds + zone).str.to_datetime("%Y-%m-%d %H:%M:%S%z", strict=False, time_zone="UTC")
    return utc.dt.replace_time_zone(None), []


def _unshifted(day: pl.Series, written: pl.Series, name: str) -> tuple[pl.Series, list[str]]:
    """Days, moved on by one where they are local midnights that are written in UTC.

    They are where every time lies after noon and Sundays become Mondays: no exchange opens then.
    """
    seconds = (written - written.dt.truncate("1d")).dt.total_seconds()
    if seconds.null_count() or not len(seconds) or (seconds < NOON_S).any():
        return day, []
    clock = sorted(set(written.dt.strftime("%H:%M")))
    weekend = int((day.dt.weekday() > 5).sum()) / len(day)
    moved = day.dt.offset_by("1d")
    if len(clock) > 2 or weekend < SUNDAY_SHARE or (moved.dt.weekday() > 5).any():
        return day, []
    note = f"{name}: {' and '.join(clock)} is taken for midnight of the next day, written in UTC"
    return moved, [note]


def _slashed(text: pl.Series, name: str) -> tuple[pl.Series, list[str]]:
    """Days of the form 12/31/2024 or 31/12/2024, whichever they all can be."""
    one, two = (text.str.extract(SLASHED, i).cast(pl.Int64) for i in (1, 2))
    if one.null_count():
        return pl.Series([None] * len(text), dtype=pl.Date), []  # told as no date
    day_first, month_first = bool((one > 12).any()), bool((two > 12).any())
    if day_first == month_first:
        seen = f"{text[int((one > 12).arg_max() or 0)]} and {text[int((two > 12).arg_max() or 0)]}"
        why = f"{seen} disagree" if day_first else f"{text[0]!r} may be read in two ways"
        raise DataError(f"{name}: dates such as {why}; write them as 2024-12-31", "date_order")
    form, words = ("%d/%m/%Y", "day") if day_first else ("%m/%d/%Y", "month")
    return text.str.to_date(form, strict=False), [f"{name}: dates are read with the {words} first"]
