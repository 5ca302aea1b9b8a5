"""From a feature table to Examples: warm-up, gaps, windows, date splits, purged walk-forward."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.examples import PARTS, Examples
from trueness.market.bars import Bars, Volatility
from trueness.market.indicators import Table, feature_table, usable_rows
from trueness.market.labels import UNDEFINED, touch_labels
from trueness.market.primitives import realised_volatility
from trueness.spec import MarketTask, Mission, WalkForward

MISSION_SHARES = (0.909, 0.970)
"""Positions of validation and test start in the published data, as shares of its time span."""
WALK_SHARE = 0.4
REGIMES = ("calm", "normal", "turbulent")
REGIME_BOUNDS_PCT = (12.0, 20.0)
RAW_COLUMNS = ("open", "high", "low", "close", "volume")

TRAIN, VALIDATION, TEST, OOF = (PARTS.index(p) for p in ("train", "validation", "test", "oof"))


def forward_fill(
    values: NDArray[np.float64], max_age: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Fill gaps with the last defined value, never from the future, if it is recent enough.

    Parameters
    ----------
    values : (T, C) float64
    max_age : int
        Rows that the last defined value may be old; 0 fills nothing.

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


def _inputs(task: MarketTask, bars: Bars, table: Table) -> Table:
    """The tier's columns and, if asked for, the five raw ones in front."""
    if not task.raw_bars:
        return table
    adjusted = bars.adjusted()
    if adjusted.volume is None:
        raise DataError(f"{bars.name}: raw_bars needs a volume column; set raw_bars: false")
    raw = np.column_stack([getattr(adjusted, name) for name in RAW_COLUMNS])
    return Table(np.column_stack([raw, table.values]), (*RAW_COLUMNS, *table.names), table.notes)


def feature_names(
    task: MarketTask, bars: Bars, volatility: Volatility | None = None
) -> tuple[str, ...]:
    """Columns of a task on these data, in order; computes no indicator."""
    raw = RAW_COLUMNS if task.raw_bars else ()
    return (*raw, *(row.name for row in usable_rows(task.tier, bars, volatility)))


def _regimes(bars: Bars) -> NDArray[np.str_]:
    """Regime of each day by trailing 20-day realised volatility, annualised percent."""
    level = np.nan_to_num(realised_volatility(bars.adjusted().close, 20))
    return np.array(REGIMES)[np.digitize(level, REGIME_BOUNDS_PCT)]


def _usable_starts(
    values: NDArray[np.float64],
    dates: NDArray[np.datetime64],
    task: MarketTask,
    y: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """First rows of windows without undefined values or a long calendar hole, with a label."""
    c = task.context_days
    gap = np.isnan(values).any(axis=1)
    hole = np.diff(dates).astype(int) > task.max_gap_days
    broken = np.append(0, np.cumsum(gap)), np.append(0, np.cumsum(np.append(False, hole)))
    start = np.arange(len(dates) - c + 1)
    complete = broken[0][start + c] == broken[0][start]
    joined = broken[1][start + c] == broken[1][start + 1]
    return start[complete & joined & (y[start + c - 1] != UNDEFINED)]


def _mission_parts(
    rule: Mission, start: NDArray[np.int64], task: MarketTask, dates: NDArray[np.datetime64]
) -> NDArray[np.int8]:
    """Regions by date; a window with its label lies inside one of them or in none."""
    end = (
        start + task.context_days - 1 + task.horizon_days
    )  # row of the last day the label looks at
    val_row = np.searchsorted(dates, np.datetime64(rule.val_start))
    test_row = np.searchsorted(dates, np.datetime64(rule.test_start))
    parts = np.zeros((1, len(start)), np.int8)
    parts[0, end < val_row] = TRAIN
    parts[0, (start >= val_row) & (end < test_row)] = VALIDATION
    parts[0, start >= test_row] = TEST
    return parts


def _walk_forward_parts(
    rule: WalkForward, start: NDArray[np.int64], task: MarketTask, dates: NDArray[np.datetime64]
) -> NDArray[np.int8]:
    """One row per block: train and inner validation before it, purged; itself out of fold."""
    day, reach = start + task.context_days - 1, task.horizon_days + rule.embargo_days
    bounds = _block_bounds(rule, dates)
    folds = []
    for first, stop in pairwise(bounds):
        part = np.zeros(len(start), np.int8)
        part[(day >= first) & (day < stop)] = OOF
        before = np.flatnonzero(day + reach < first)
        if len(before):
            inner = before[-max(1, round(len(before) * rule.inner_pct / 100)) :]
            part[inner] = VALIDATION
            part[before[day[before] + reach < day[inner[0]]]] = TRAIN
        if (part == OOF).any():
            folds.append(part)
    return np.array(folds, np.int8).reshape(len(folds), len(start))


def _block_bounds(rule: WalkForward, dates: NDArray[np.datetime64]) -> list[int]:
    """Rows at which blocks begin, and the row after the last one."""
    final = len(dates) if rule.end is None else int(np.searchsorted(dates, np.datetime64(rule.end)))
    bounds, year = [], 0
    while not bounds or bounds[-1] < final:
        month = np.datetime64(rule.start, "M") + 12 * year  # 29 February becomes 1 March
        day = month.astype("datetime64[D]") + (rule.start.day - 1)
        bounds.append(int(np.searchsorted(dates, day)))
        year += rule.block_years
    return [*(b for b in bounds if b < final), final]


def _check_parts(examples: Examples, task: MarketTask, evaluation: Mission | WalkForward) -> None:
    needed = ("train", "validation", "oof")[: 3 if isinstance(evaluation, WalkForward) else 2]
    size = task.context_days + task.horizon_days
    if not examples.n_folds:
        raise DataError(
            f"walk_forward: no day to predict from {evaluation.model_dump()['start']} on; "
            f"the data end {examples.when[-1]}; choose an earlier start"
        )
    for fold, counts in enumerate(examples.counts()):
        for part in needed:
            n, positives = counts.get(part, (0, 0))
            if n == 0 or (part != "oof" and positives in (0, n)):
                where = f"fold {fold + 1}, " if examples.n_folds > 1 else ""
                raise DataError(
                    f"{evaluation.protocol}: {where}{part} has {n} windows, {positives} of them "
                    "positive; both classes are needed and each region must hold more than "
                    f"context + horizon = {size} days; move the dates, shorten the context or take "
                    "longer data"
                )


def market_examples(
    task: MarketTask,
    evaluation: Mission | WalkForward,
    bars: Bars,
    volatility: Volatility | None = None,
) -> Examples:
    """Windows, labels and parts of a market task.

    Indicators are computed on the full history; the leading rows that any of them lacks are dropped
    once; later gaps are filled forward up to ``task.fill_days`` rows; windows that still hold a
    gap, or that bridge a hole of more than ``task.max_gap_days`` calendar days, are refused and
    counted in the notes.

    Parameters
    ----------
    task : MarketTask
    evaluation : Mission or WalkForward
    bars : Bars
        T days.
    volatility : Volatility, optional

    Returns
    -------
    examples : Examples
        With features, parts and notes filled in.

    Raises
    ------
    DataError
        If the bars are too short, or a region is empty or holds one class only.
    """
    table = _inputs(task, bars, feature_table(bars, task.tier, volatility))
    adjusted = bars.adjusted()
    y = touch_labels(
        adjusted.high, adjusted.low, adjusted.close, horizon_days=task.horizon_days,
        threshold_pct=task.threshold_pct, price=task.price, mirror=task.mirror,
    )  # fmt: skip
    first = _warmup(table, bars, task)
    values, ages = forward_fill(table.values[first:], task.fill_days)
    dates, y, regimes = bars.dates[first:], y[first:], _regimes(bars)[first:]
    start = _usable_starts(values, dates, task, y)
    if isinstance(evaluation, Mission):
        parts = _mission_parts(evaluation, start, task, dates)
    else:
        parts = _walk_forward_parts(evaluation, start, task, dates)
    day = start + task.context_days - 1
    possible = len(dates) - task.context_days - task.horizon_days + 1
    examples = Examples(
        series=np.nan_to_num(values).astype(np.float32),
        start=start,
        context=task.context_days,
        y=y[day],
        when=dates[day],
        group=regimes[day],
        parts=parts,
        features=table.names,
        notes=(*bars.notes, *table.notes, *_gap_notes(ages, possible - len(start))),
    )
    _check_parts(examples, task, evaluation)
    return examples


def _warmup(table: Table, bars: Bars, task: MarketTask) -> int:
    """First row on which every column has had a value."""
    ever = ~np.isnan(table.values)
    needed = task.context_days + task.horizon_days
    never = [table.names[i] for i in np.flatnonzero(~ever.any(axis=0))]
    first = 0 if never else int(ever.argmax(axis=0).max())
    if never or len(bars) - first < needed:
        slowest = never[0] if never else table.names[int(ever.argmax(axis=0).argmax())]
        raise DataError(
            f"{bars.name}: {len(bars)} bars are too few for tier {task.tier}: {slowest} takes "
            f"{'more than all' if never else first} of them to warm up, and context + horizon need "
            f"{needed} more; give longer data or a smaller context_days"
        )
    return first


def _gap_notes(ages: NDArray[np.int64], refused: int) -> list[str]:
    notes = []
    if len(ages):
        notes.append(f"{len(ages)} missing values filled from at most {ages.max()} days before")
    if refused:
        notes.append(
            f"{refused} windows refused: they hold missing values or bridge a long hole in the "
            "dates"
        )
    return notes


# --------------------------------------------------------------------------------------- resolution


def resolve_evaluation(evaluation: dict[str, Any], bars: Bars) -> dict[str, Any]:
    """Fill in the dates that a campaign leaves open, from the data.

    `mission` keeps the published dates where the data reach into them, else takes the same shares
    of the time span; `walk_forward` starts on the first of January after 40 % of the span.

    Examples
    --------
    >>> from trueness.market.bars import load_bars
    >>> resolve_evaluation({"protocol": "mission"}, load_bars("sp500"))["val_start"]
    datetime.date(2017, 3, 6)
    """
    first, last = (d.astype(date) for d in (bars.dates[0], bars.dates[-1]))
    span = last - first
    if evaluation.get("protocol") == "mission" and not {"val_start", "test_start"} & set(
        evaluation
    ):
        default = Mission(protocol="mission")
        covered = default.val_start + (default.test_start - default.val_start) / 2 <= last
        if first < default.val_start and covered:
            return evaluation
        val, test = (first + span * share for share in MISSION_SHARES)
        return {**evaluation, "val_start": val, "test_start": test}
    if evaluation.get("protocol") == "walk_forward" and "start" not in evaluation:
        return {**evaluation, "start": date((first + span * WALK_SHARE).year + 1, 1, 1)}
    return evaluation
