"""Calendar: weekday, month and the weekdays left in it; dates only, holidays are not known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row


def _weekday(f: Frame) -> p.Array:
    """Monday 0 .. Sunday 6; 1970-01-01 was a Thursday."""
    return (f.dates.astype("datetime64[D]").astype(np.int64) + 3.0) % 7


def _months(f: Frame) -> NDArray[np.datetime64]:
    return f.dates.astype("datetime64[M]")


def _month(f: Frame) -> p.Array:
    return _months(f).astype(np.int64) % 12 + 1.0


def _weekdays_left(f: Frame) -> p.Array:
    """Monday-to-Friday dates after today, up to and including the last of the month."""
    next_month = (_months(f) + 1).astype("datetime64[D]")
    return np.busday_count(f.dates + 1, next_month).astype(np.float64)


ROWS = (
    Row(169, "trading_day_of_week", "a200", "weekday number, Monday 0 .. Friday 4", _weekday, 0),
    Row(170, "is_monday", "a200", "1 on Mondays else 0", lambda f: p.flag(_weekday(f) == 0), 0),
    Row(171, "is_friday", "a200", "1 on Fridays else 0", lambda f: p.flag(_weekday(f) == 4), 0),
    Row(172, "days_to_month_end", "a200",
        "Monday-to-Friday dates strictly after today up to and including the month's last weekday"
        " (holidays not removed)",
        _weekdays_left, 0),
    Row(173, "month_of_year", "a200", "month number 1..12", _month, 0),
    Row(174, "is_quarter_end_month", "a200", "1 in March, June, September, December else 0",
        lambda f: p.flag(_month(f) % 3 == 0), 0),
)  # fmt: skip
