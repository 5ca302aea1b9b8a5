"""Indicators in tiers: each holds the rows of all below; ``+c`` adds the volatility index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError, nearest
from trueness.market.bars import Bars, Volatility
from trueness.market.indicators import calendar as day_calendar
from trueness.market.indicators import (
    candles,
    complexity,
    implied,
    momentum,
    trend,
    volatility,
    volume,
)
from trueness.market.indicators import range as day_range
from trueness.market.indicators.frame import Frame, Row
from trueness.market.measures import measures_folder

FAMILIES = {
    "trend": trend,
    "momentum": momentum,
    "volatility": volatility,
    "volume": volume,
    "range": day_range,
    "candles": candles,
    "calendar": day_calendar,
    "complexity": complexity,
    "implied": implied,
}
CATALOGUE: dict[str, Row] = {
    row.name: row
    for row in sorted(
        (r for family in FAMILIES.values() for r in family.ROWS), key=lambda r: r.position
    )
}
TIERS = ("a20", "a50", "a100", "a200", "a500")
WITH_INDEX = "+c"
POWER = {"free": 0, "price": 1, "volume": 0, "price_per_volume": 2}
"""Scale of a row -> power of the price that it grows with."""


OF_DAYS = ("trading_day_of_week", "is_monday", "is_friday", "days_to_month_end")
"""Columns that mean something of days only; those of weekly closes besides."""


@dataclass(frozen=True)
class Table:
    """Indicator columns (T, C) float64 in catalogue order, NaN where undefined."""

    values: NDArray[np.float64]
    names: tuple[str, ...]
    notes: tuple[str, ...]


def tier_rows(tier: str) -> list[Row]:
    """Rows of a tier and of all tiers below it, in catalogue order.

    Raises
    ------
    DataError
        If the tier is unknown; the message lists the known ones.

    Examples
    --------
    >>> len(tier_rows("a20")), len(tier_rows("a50")), len(tier_rows("a20+c"))
    (20, 50, 28)
    """
    base = tier.removesuffix(WITH_INDEX)
    if base not in TIERS:
        known = [*TIERS, *(name + WITH_INDEX for name in TIERS)]
        raise DataError(f"unknown tier {tier!r}; {nearest(tier, known)}")
    included = [*TIERS[: TIERS.index(base) + 1], *(["c"] if base != tier else [])]
    return [row for row in CATALOGUE.values() if row.tier in included]


def named_rows(names: Sequence[str]) -> list[Row]:
    """Rows by name, in catalogue order.

    Raises
    ------
    DataError
        For an unknown or repeated name.
    """
    for name in names:
        if name not in CATALOGUE:
            raise DataError(f"unknown column {name!r}; {nearest(name, list(CATALOGUE))}")
    if len(set(names)) != len(names):
        twice = next(n for n in names if list(names).count(n) > 1)
        raise DataError(f"column {twice!r} stands twice; name each column once")
    return sorted((CATALOGUE[name] for name in names), key=lambda row: row.position)


def usable_rows(rows: list[Row], bars: Iterable[Bars], vix: Volatility | None = None) -> list[Row]:
    """Those of the rows whose optional inputs are given for every series."""
    series = list(bars)
    available = {
        "volume": all(one.volume is not None for one in series), "volatility": vix is not None,
        "daily bars": all(one.spacing.daily for one in series),
    }  # fmt: skip
    return [row for row in rows if all(available[need] for need in needs_of(row))]


def needs_of(row: Row) -> tuple[str, ...]:
    """What a row needs besides prices; what counts weeks or weekdays needs a bar per day.

    Examples
    --------
    >>> needs_of(CATALOGUE["rsi_weekly"]), needs_of(CATALOGUE["rsi_daily"])
    (('daily bars',), ())
    """
    by_day = "weekly" in row.name or row.name in OF_DAYS
    return (*row.needs, "daily bars") if by_day else row.needs


def feature_table(
    bars: Bars, tier: str | Sequence[str], vix: Volatility | None = None, *, kept: bool = False
) -> Table:
    """Indicators on the full history of the bars.

    Columns whose optional input (volume, volatility index) is not given are left out and named in
    `notes`.

    Parameters
    ----------
    bars : Bars
        T days; prices are adjusted by their factor.
    tier : str or sequence of str
        A tier, or names of columns.
    vix : Volatility, optional
        Joined by date; days it lacks are NaN.
    kept : bool
        Keep measures of complexity in ``TRUENESS_CACHE`` or the user's cache folder, so that bars
        that were added later cost one window each. The folder may be deleted at any time.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        For an unknown tier or column, a volatility index without a shared date, or if no column
        can be computed.

    Examples
    --------
    >>> from trueness.market.bars import load_bars
    >>> table = feature_table(load_bars("sp500"), "a50")
    >>> table.values.shape, table.notes[0][:20]
    ((5031, 47), 'a50: 3 of 50 columns')
    """
    rows = tier_rows(tier) if isinstance(tier, str) else named_rows(tier)
    usable = usable_rows(rows, [bars], vix)
    notes = left_out(tier if isinstance(tier, str) else "columns", rows, usable)
    if not usable:
        raise DataError(f"{bars.name}: no column is left; {notes[0]}")
    size = _power_of_two(bars)
    index = None if vix is None else vix.on(bars.dates)
    frame = Frame(_divided(bars, size), index, CATALOGUE, measures_folder() if kept else None)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.column_stack([frame[row.name] * size ** POWER[row.scale] for row in usable])
    values[np.isinf(values)] = np.nan
    frame.measures.keep()
    return Table(values, tuple(row.name for row in usable), notes)


def measure_files(bars: Bars, names: Sequence[str]) -> dict[str, bytes]:
    """Measures of complexity that some columns read, for `trueness.market.measures.seeded`.

    Parameters
    ----------
    bars : Bars
    names : sequence of str
        Columns of any kind.
    """
    wanted = [row.name for row in complexity.ROWS if row.name in names]
    frame = Frame(_divided(bars, _power_of_two(bars)), None, CATALOGUE, measures_folder())
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in wanted:
            _ = frame[name]
    return frame.measures.files()


def _power_of_two(bars: Bars) -> float:
    """Size of the first close: at prices of about 100, no smallest number of a library is felt."""
    return float(2.0 ** np.round(np.log2(bars.close[0] * bars.factor[0] / 100)))


def _divided(bars: Bars, size: float) -> Bars:
    """Bars with every price over a power of two, which is exact."""
    prices = {name: getattr(bars, name) / size for name in ("open", "high", "low", "close")}
    return replace(bars, **prices)


def left_out(what: str, rows: list[Row], usable: list[Row]) -> tuple[str, ...]:
    """Note that names the columns whose input is missing, if there are any."""
    used = {row.name for row in usable}
    missing = [row for row in rows if row.name not in used]
    if not missing:
        return ()
    needs = sorted({need for row in missing for need in needs_of(row)})
    names = ", ".join(row.name for row in missing)
    return (
        f"{what}: {len(missing)} of {len(rows)} columns need {' and '.join(needs)}, not given, and "
        f"are left out: {names}",
    )
