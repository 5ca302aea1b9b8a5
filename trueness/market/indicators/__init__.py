"""Indicators in tiers: a20 = 20, a50 = 50 columns; a tier holds all rows of the tiers below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError, nearest
from trueness.market.bars import Bars, Volatility
from trueness.market.indicators import complexity, momentum, trend, volatility, volume
from trueness.market.indicators import range as day_range
from trueness.market.indicators.frame import Frame, Row

FAMILIES = {
    "trend": trend,
    "momentum": momentum,
    "volatility": volatility,
    "volume": volume,
    "range": day_range,
    "complexity": complexity,
}
CATALOGUE: dict[str, Row] = {
    row.name: row
    for row in sorted(
        (r for family in FAMILIES.values() for r in family.ROWS), key=lambda r: r.position
    )
}
TIERS = ("a20", "a50", "a100", "a200", "a500")


@dataclass(frozen=True)
class Table:
    """Indicator columns with their names.

    `values` (T, C) float64 are NaN where undefined; `names` are in catalogue order; `notes` say
    what is missing.
    """

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
    >>> len(tier_rows("a20")), len(tier_rows("a50"))
    (20, 50)
    """
    if tier not in TIERS:
        raise DataError(f"unknown tier {tier!r}; {nearest(tier, list(TIERS))}")
    included = TIERS[: TIERS.index(tier) + 1]
    return [row for row in CATALOGUE.values() if row.tier in included]


def usable_rows(tier: str, bars: Bars, vix: Volatility | None = None) -> list[Row]:
    """Rows of a tier whose optional inputs are given."""
    given = {"volume": bars.volume is not None, "volatility": vix is not None}
    return [row for row in tier_rows(tier) if all(given[need] for need in row.needs)]


def feature_table(bars: Bars, tier: str, vix: Volatility | None = None) -> Table:
    """Indicators of a tier on the full history of the bars.

    Columns whose optional input (volume, volatility index) is not given are left out and named in
    `notes`.

    Parameters
    ----------
    bars : Bars
        T days; prices are adjusted by their factor.
    tier : {"a20", "a50"}
    vix : Volatility, optional
        Joined by date; days it lacks are NaN.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        For an unknown tier, or a volatility index without a shared date.

    Examples
    --------
    >>> from trueness.market.bars import load_bars
    >>> table = feature_table(load_bars("sp500"), "a50")
    >>> table.values.shape, table.notes[0][:20]
    ((5031, 47), 'a50: 3 of 50 columns')
    """
    rows = tier_rows(tier)
    usable = usable_rows(tier, bars, vix)
    index = None if vix is None else vix.on(bars.dates)
    frame = Frame(bars, index, CATALOGUE)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.column_stack([frame[row.name] for row in usable])
    values[np.isinf(values)] = np.nan
    return Table(values, tuple(row.name for row in usable), _left_out(tier, rows, usable))


def _left_out(tier: str, rows: list[Row], usable: list[Row]) -> tuple[str, ...]:
    missing = [row for row in rows if row not in usable]
    if not missing:
        return ()
    needs = sorted({need for row in missing for need in row.needs})
    names = ", ".join(row.name for row in missing)
    return (
        f"{tier}: {len(missing)} of {len(rows)} columns need {' and '.join(needs)}, not given, "
        f"and are left out: {names}",
    )
