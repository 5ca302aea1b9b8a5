"""From bars to the columns a model reads: choice of rows, warm-up, gaps."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.frames import as_series
from trueness.market.bars import Bars, Volatility
from trueness.market.data import MarketData
from trueness.market.indicators import (
    Row,
    Table,
    feature_table,
    left_out,
    named_rows,
    tier_rows,
    usable_rows,
)
from trueness.market.indicators.frame import catalogue_version
from trueness.market.own_features import OwnFeatures
from trueness.spec.task import OWN_TIER, MarketTask

Array = NDArray[np.float64]

RAW_COLUMNS = ("open", "high", "low", "close", "volume")
REPEATED = ("same_as:", "affine_of:", "constant_in_reference")
LOSS_LIMIT = 0.05
"""Share of rows that may be lost to gaps before the columns that cause it are named."""


@dataclass(frozen=True)
class Inputs:
    """Columns (T - first, C) float64 after the warm-up, NaN in gaps that were not filled."""

    values: Array
    names: tuple[str, ...]
    first: int
    notes: tuple[str, ...]


def chosen_rows(task: MarketTask, own: Sequence[str] = ()) -> list[Row]:
    """Catalogue rows of a task: its tier or its named columns, repeated ones dropped if asked.

    Parameters
    ----------
    task : MarketTask
    own : sequence of str
        Names of own features, which `task.columns` may hold as well.

    Raises
    ------
    DataError
        For an unknown tier or column.
    """
    if task.columns is not None:
        rows = named_rows([name for name in task.columns if name not in own])
    else:
        rows = [] if task.tier == OWN_TIER else tier_rows(task.tier)
    if not task.dedupe:
        return rows
    return [row for row in rows if not any(flag.startswith(REPEATED) for flag in row.flags)]


def chosen_own(task: MarketTask, own: OwnFeatures | None) -> tuple[str, ...]:
    """Own features among the inputs of a task: those among its columns, or beside its tier."""
    if own is None:
        return ()
    wanted = task.columns if task.columns is not None else task.own
    if wanted is not None:
        return tuple(name for name in own.names if name in wanted)
    label = getattr(task.target, "column", None)
    return tuple(name for name in own.inputs if name != label)


def feature_names(task: MarketTask, data: MarketData) -> tuple[str, ...]:
    """Columns of a task on these data, in order, missing-indicators apart; computes nothing."""
    raw = RAW_COLUMNS if task.raw_bars else ()
    names = data.own.names if data.own else ()
    rows = usable_rows(chosen_rows(task, names), data.panel, data.volatility)
    return (*raw, *(row.name for row in rows), *chosen_own(task, data.own))


def build_inputs(task: MarketTask, bars: Bars, data: MarketData) -> Inputs:
    """Compute, warm up and fill the columns of a task for one series.

    The leading rows that any column lacks are dropped once. Later gaps are filled forward up to
    ``task.max_fill`` rows; older ones stay open, or with ``task.long_gaps = "impute_median"`` take
    the median of all earlier values. Nothing is ever filled from the future.

    Raises
    ------
    DataError
        If the bars are too short for the slowest column plus context and horizon.
    """
    rows = chosen_rows(task, data.own.names if data.own else ())
    usable = usable_rows(rows, data.panel, data.volatility)
    table = Table(np.empty((len(bars), 0)), (), ())
    if usable:
        table = feature_table(bars, [row.name for row in usable], data.volatility, kept=True)
    table = _with_raw(task, bars, _upright(task, usable, table))
    table = _with_own(table, bars, chosen_own(task, data.own), data.own)
    if not table.names:
        raise DataError(f"{bars.name}: tier {task.tier} has no columns; name some")
    first = _warmup(table, bars, task)
    holed = _with_gaps(table.values)
    before = table.values[:, holed]  # gaps may begin before `first`
    filled, ages = forward_fill(before, task.max_fill)
    notes = [*left_out(task.tier, rows, usable), *_fill_notes(ages)]
    if data.volatility is not None and any("volatility" in row.needs for row in usable):
        notes += data.volatility.gap_notes(bars.dates)
    open_gaps = np.isnan(filled[first:])
    if open_gaps.any():
        notes += _gap_notes(open_gaps, tuple(table.names[i] for i in holed), task)
        if task.long_gaps == "impute_median":
            still = np.flatnonzero(open_gaps.any(axis=0))
            median = earlier_median(before[:, still])
            filled[:, still] = np.where(np.isnan(filled[:, still]), median, filled[:, still])
    values, names = table.values[first:], table.names
    values[:, holed] = filled[first:]
    if task.missing_indicators:
        missing = np.zeros(values.shape, bool)
        missing[:, holed] = np.isnan(before[first:])
        shown = np.flatnonzero(missing.any(axis=0)) if data.panel.alone else np.arange(len(names))
        values = np.column_stack([values, missing[:, shown].astype(float)])
        names = (*names, *(f"{names[i]}_missing" for i in shown))
    return Inputs(values, names, first, tuple(notes))


def _with_own(table: Table, bars: Bars, names: tuple[str, ...], own: OwnFeatures | None) -> Table:
    """The columns, and own ones behind them."""
    if own is None or not names:
        return table
    values = np.column_stack([table.values, own.columns(bars.name, names)])
    return Table(values, (*table.names, *names), table.notes)


def _upright(task: MarketTask, rows: list[Row], table: Table) -> Table:
    """Published ranks that count from the top, turned so that high means high, if asked for."""
    inverted = [i for i, row in enumerate(rows) if "rank_inverted" in row.flags]
    if not task.fix_inverted_ranks or not inverted:
        return table
    values = table.values.copy()
    values[:, inverted] = 100 + 100 / 60 - values[:, inverted]  # both are over 60 rows
    return Table(values, table.names, table.notes)


def _with_raw(task: MarketTask, bars: Bars, table: Table) -> Table:
    """The columns and, if asked for, the five raw ones in front."""
    if not task.raw_bars:
        return table
    adjusted = bars.adjusted()
    if adjusted.volume is None:
        raise DataError(f"{bars.name}: raw_bars needs a volume column; set raw_bars: false")
    raw = np.column_stack([getattr(adjusted, name) for name in RAW_COLUMNS])
    return Table(np.column_stack([raw, table.values]), (*RAW_COLUMNS, *table.names), table.notes)


def _warmup(table: Table, bars: Bars, task: MarketTask) -> int:
    """First row on which every column has had a value."""
    ever = ~np.isnan(table.values)
    needed = task.context + task.horizon
    never = [table.names[i] for i in np.flatnonzero(~ever.any(axis=0))]
    first = 0 if never else int(ever.argmax(axis=0).max())
    if never or len(bars) - first < needed:
        slowest = never[0] if never else table.names[int(ever.argmax(axis=0).argmax())]
        raise DataError(
            f"{bars.name}: {len(bars)} bars are too few for tier {task.tier}: {slowest} takes "
            f"{'more than all' if never else first} of them to warm up, and context + horizon need "
            f"{needed} more; give longer data or a smaller context"
        )
    return first


# --------------------------------------------------------------------------------------------- gaps


def _with_gaps(values: Array) -> NDArray[np.intp]:
    """Columns that miss a value after their first."""
    known = ~np.isnan(values)
    first = np.where(known.any(axis=0), known.argmax(axis=0), len(values))
    return np.flatnonzero(known.sum(axis=0) < len(values) - first)


def forward_fill(values: Array, max_age: int) -> tuple[Array, NDArray[np.int64]]:
    """Fill gaps with the last defined value if it is at most `max_age` rows old.

    Parameters
    ----------
    values : (T, C) float64
    max_age : int
        Rows; 0 fills nothing.

    Returns
    -------
    filled : (T, C) float64
    ages : (n,) int64
        Age in rows of every value that was filled in.

    Examples
    --------
    >>> filled, ages = forward_fill(np.array([[np.nan], [1.0], [np.nan], [np.nan]]), max_age=1)
    >>> filled.ravel().tolist(), ages.tolist()
    ([nan, 1.0, 1.0, nan], [1])
    """
    missing = np.isnan(values)
    rows = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(missing, -1, rows), axis=0)
    age = rows - last
    fill = missing & (last >= 0) & (age <= max_age)
    filled = values.copy()
    filled[fill] = np.take_along_axis(values, last.clip(min=0), axis=0)[fill]
    return filled, age[fill]


def earlier_median(values: Array) -> Array:
    """Median of all defined values up to each row, (T, C); NaN before the first.

    Examples
    --------
    >>> earlier_median(np.array([[3.0], [np.nan], [1.0], [2.0]])).ravel().tolist()
    [3.0, 3.0, 2.0, 2.0]
    """
    every = pl.all().rolling_median(len(values), min_samples=1)
    return pl.DataFrame(values).fill_nan(None).select(every).to_numpy()


def _fill_notes(ages: NDArray[np.int64]) -> list[str]:
    if not len(ages):
        return []
    middle, late = np.percentile(ages, [50, 95])
    return [
        f"{len(ages)} missing values filled from at most {ages.max()} bars before "
        f"(median {middle:.0f}, 95 % within {late:.0f})"
    ]


def _gap_notes(gaps: NDArray[np.bool_], names: tuple[str, ...], task: MarketTask) -> list[str]:
    """Which columns stay undefined for longer than may be filled."""
    share = gaps.any(axis=1).mean()
    worst = np.argsort(-gaps.mean(axis=0))[:5]
    causes = ", ".join(f"{names[i]} {gaps[:, i].mean():.0%}" for i in worst if gaps[:, i].any())
    how = "their rows are lost" if task.long_gaps == "drop" else "they take their earlier median"
    more = "; set long_gaps: impute_median or leave the columns out" if share > LOSS_LIMIT else ""
    more = more if task.long_gaps == "drop" else ""
    return [
        f"{share:.1%} of the rows hold gaps older than {task.max_fill} bars ({causes}); {how}{more}"
    ]


# --------------------------------------------------------------------------------------------- file


def write_table(table: Table, path: Path, dates: NDArray[np.datetime64] | None = None) -> bool:
    """Write columns as Parquet in one step; False where the folder cannot be written."""
    frame = pl.DataFrame(table.values, schema=list(table.names))
    if dates is not None:
        frame.insert_column(0, as_series("Date", dates))
    temporary = path.with_name(f".{uuid.uuid4().hex}.parquet")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(temporary)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        return False
    return True


def build_file(
    bars: Bars, tier: str, vix: Volatility | None, path: Path
) -> dict[str, str | int | list[str]]:
    """Write the columns of a tier with their dates as Parquet; say what was written.

    Raises
    ------
    DataError
        For an unknown tier, too few bars for its slowest column, or a file that cannot be written.
    """
    rows = tier_rows(tier)
    usable = usable_rows(rows, [bars], vix)
    table = feature_table(bars, [row.name for row in usable], vix, kept=True)
    known = ~np.isnan(table.values)
    slowest = max(usable, key=lambda row: row.warmup)
    if not known.any(axis=0).all():
        raise DataError(
            f"{bars.name}: {len(bars)} bars are too few for tier {tier}; {slowest.name} needs "
            f"{slowest.warmup + 1}"
        )
    dated = Table(table.values, table.names, ())
    if not write_table(dated, path, bars.dates):
        raise DataError(f"{path}: cannot be written")
    return {
        "file": str(path),
        "rows": len(bars),
        "columns": len(table.names),
        "leading_rows_lost": int(known.argmax(axis=0).max()),
        "slowest_column": table.names[int(known.argmax(axis=0).argmax())],
        "catalogue": catalogue_version(),
        "notes": [*bars.notes, *left_out(tier, rows, usable)],
    }
