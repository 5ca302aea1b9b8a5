"""How far bars lie apart: what a bar is called, and how many make a year."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError

DAY_S = 86_400
YEAR_DAYS = 365.25
REGULAR_SHARE = 0.4
"""Steps that have the usual length; fewer, and the bars are not regular."""
NAMES = ((5, 9, "week"), (26, 33, "month"), (85, 96, "quarter"), (350, 380, "year"))
"""Days between two bars, at least and at most, and what a bar is called."""
WEEKEND_SHARE = 0.15
"""Bars on a weekend, from which a week has seven days."""
LONGEST_STEPS = 5
"""Usual steps that are no hole yet."""


def days_between(dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Calendar days from each bar to the next, (T - 1,)."""
    return np.diff(dates) / np.timedelta64(1, "D")


@dataclass(frozen=True)
class Spacing:
    """Distance of regular bars.

    Attributes
    ----------
    bar : str
        What one is called: day, week, month, hour, or minutes such as ``30 min bar``.
    step_days : float
        Usual distance.
    per_year : float
        Bars in a year: 252 days of an exchange, 365.25 of a week of seven days.
    """

    bar: str
    step_days: float
    per_year: float

    @classmethod
    def of(cls, dates: NDArray[np.datetime64], name: str) -> Spacing:
        """Of the times of bars (T,).

        Raises
        ------
        DataError
            With code ``irregular`` if most of them lie apart differently.

        Examples
        --------
        >>> Spacing.of(np.arange("2020-01-06", "2021-01-04", 7, "datetime64[D]"), "weekly").bar
        'week'
        """
        if len(dates) < 3:
            return DAILY
        steps = days_between(dates)
        values, counts = np.unique(steps, return_counts=True)
        step = float(values[counts.argmax()])
        year = (len(dates) - 1) * YEAR_DAYS / float(steps.sum())
        if step == 1.0:
            return cls("day", step, YEAR_DAYS) if _has_weekends(dates) else DAILY
        for least, most, bar in NAMES:
            inside = (steps >= least) & (steps <= most)
            if inside.mean() > REGULAR_SHARE:
                return cls(bar, float(np.median(steps[inside])), year)
        if counts.max() < REGULAR_SHARE * len(steps):
            raise DataError(
                f"{name}: bars lie {values[0]:g} to {values[-1]:g} days apart, most often {step:g} "
                f"({counts.max() / len(steps):.0%} of them); regular bars are expected", "irregular"
            )  # fmt: skip
        return cls(_bar(step), step, year)

    @property
    def daily(self) -> bool:
        """Whether there is one bar a day."""
        return self.bar == "day"

    def longest_step_days(self, usual: float) -> float:
        """Calendar days beyond which a step is a hole: so many, or five usual steps."""
        return max(usual, LONGEST_STEPS * self.step_days)

    def in_words(self) -> str:
        """What a bar is, and how many make a year."""
        return f"one bar per {self.bar.removesuffix(' bar')}, {self.per_year:,.0f} a year"


DAILY = Spacing("day", 1.0, 252.0)


def _bar(step_days: float) -> str:
    minutes = step_days * DAY_S / 60
    if minutes == 60:
        return "hour"
    if step_days < 1:
        return f"{minutes:g} min bar"
    return f"{step_days:g} day bar"


def _has_weekends(dates: NDArray[np.datetime64]) -> bool:
    return bool((~np.is_busday(dates.astype("datetime64[D]"))).mean() > WEEKEND_SHARE)
