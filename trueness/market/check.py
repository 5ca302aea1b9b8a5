"""What `data check` says about bars."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from trueness.errors import DataError, first_line, nearest
from trueness.files import written_whole
from trueness.market.bars import Bars, Volatility
from trueness.market.panel import Panel
from trueness.market.spacing import days_between


def bar_facts(bars: Bars) -> dict[str, Any]:
    """Size, period, volume, adjustment, longest hole and warnings of checked bars."""
    step = days_between(bars.dates)
    return {
        "source": bars.name,
        "rows": len(bars),
        "first": str(bars.dates[0]),
        "last": str(bars.dates[-1]),
        "spacing": bars.spacing.in_words(),
        "volume": "yes" if bars.volume is not None else "none",
        "adjusted_days": int((np.abs(bars.factor - 1) > 1e-9).sum()),
        "longest_hole_days": float(step.max(initial=0)),
        "digest": bars.digest,
        "bars_without_trade": int(bars.idle.sum()),
        "warnings": list(bars.notes),
    }


def panel_facts(
    panel: Panel, facts_of: Callable[[Bars], dict[str, Any]] = bar_facts
) -> dict[str, Any]:
    """Facts of all series together, then those of each by its name."""
    return {
        "series": len(panel),
        "rows": panel.rows,
        "first": str(panel.first),
        "last": str(panel.last),
        "spacing": panel.spacing.in_words(),
        "digest": panel.digest,
        "warnings": list(panel.notes),
        **{f"series {bars.name}": facts_of(bars) for bars in panel},
    }


def write_bars(panel: Panel, path: Path) -> None:
    """Write the bars of all series as one table: Parquet, or CSV by its ending.

    Raises
    ------
    DataError
        If it cannot be written (code ``not_written``).
    """
    frames = [bars.frame() for bars in panel]
    if not panel.alone:
        named = zip(panel, frames, strict=True)
        frames = [frame.with_columns(Ticker=pl.lit(bars.name)) for bars, frame in named]
    write_table(pl.concat(frames, how="diagonal"), path)


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table whole or not at all: Parquet, or CSV by its ending.

    Raises
    ------
    DataError
        If it cannot be written (code ``not_written``).
    """
    try:
        with written_whole(path) as temporary:
            write = table.write_csv if path.suffix.lower() == ".csv" else table.write_parquet
            write(temporary)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({first_line(error)})", "not_written") from None


def volatility_facts(bars: Bars, index: Volatility) -> dict[str, Any]:
    """How well a volatility index covers the bars."""
    missing = bars.dates[np.isnan(index.on(bars.dates))]
    lacking = int(index.lacking(bars.dates).sum())
    return {
        "source": index.name,
        "digest": index.digest,
        "days_it_lacks": lacking,
        "days_without_value": len(missing),
        "first_such": [str(day) for day in missing[:5]],
    }


def compare_sessions(bars: Bars, calendar: str) -> dict[str, Any]:
    """Sessions of an exchange that the bars lack, and days of the bars on which it was closed.

    Parameters
    ----------
    bars : Bars
    calendar : str
        Name of an exchange calendar, such as ``XNYS``.

    Raises
    ------
    DataError
        If the calendar is unknown or does not reach back to the first bar.
    """
    import exchange_calendars as ec
    from exchange_calendars.errors import InvalidCalendarName

    days = np.unique(bars.dates.astype("datetime64[D]"))
    first, last = str(days[0]), str(days[-1])
    if bars.spacing.step_days > 1:
        raise DataError(
            f"{bars.name}: {bars.spacing.in_words()}; a calendar says which days are missing, and "
            "needs bars of a day or less", "calendar"
        )  # fmt: skip
    try:
        sessions = ec.get_calendar(calendar, start=first, end=last).sessions
    except InvalidCalendarName:
        names = ec.get_calendar_names(include_aliases=False)
        raise DataError(f"unknown calendar {calendar!r}; {nearest(calendar, names)}") from None
    except ValueError as error:
        raise DataError(f"calendar {calendar} does not cover {first} to {last}: {error}") from None
    open_days = sessions.to_numpy().astype("datetime64[D]")
    missing, extra = np.setdiff1d(open_days, days), np.setdiff1d(days, open_days)
    return {
        "calendar": calendar,
        "sessions": len(open_days),
        "missing": len(missing),
        "first_missing": [str(d) for d in missing[:5]],
        "closed_days": len(extra),
        "first_closed": [str(d) for d in extra[:5]],
    }
