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
from trueness.market.inputs import build_inputs
from trueness.market.labels import UNDEFINED, touch_labels
from trueness.market.primitives import realised_volatility
from trueness.spec.evaluation import Mission, WalkForward
from trueness.spec.task import MarketTask

MISSION_SHARES = (0.909, 0.970)
"""Positions of validation and test start in the published data, as shares of its time span."""
WALK_SHARE = 0.4
REGIMES = ("calm", "normal", "turbulent")
REGIME_BOUNDS_PCT = (12.0, 20.0)

TRAIN, VALIDATION, TEST, OOF = (PARTS.index(p) for p in ("train", "validation", "test", "oof"))


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


def _no_test(evaluation: Mission | WalkForward, bars: Bars) -> tuple[str, ...]:
    """Note that the data end before the test part begins, if they do."""
    if isinstance(evaluation, WalkForward) or bars.dates[-1] >= np.datetime64(
        evaluation.test_start
    ):
        return ()
    return (f"no test part: the data end {bars.dates[-1]}, before {evaluation.test_start}",)


def _check_parts(examples: Examples, task: MarketTask, evaluation: Mission | WalkForward) -> None:
    needed = ("train", "validation", "oof")[: 3 if isinstance(evaluation, WalkForward) else 2]
    size = task.context_days + task.horizon_days
    why = "".join(f"; {note}" for note in examples.notes if "gaps older than" in note)
    if not examples.n_folds:
        raise DataError(
            f"walk_forward: no day to predict from {evaluation.model_dump()['start']} on; choose "
            f"an earlier start{why}"
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
                    f"longer data{why}"
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
    inputs = build_inputs(task, bars, volatility)
    adjusted = bars.adjusted()
    first = inputs.first
    y, opposite = (
        touch_labels(
            adjusted.high, adjusted.low, adjusted.close, horizon_days=task.horizon_days,
            threshold_pct=task.threshold_pct, price=task.price, mirror=mirror,
        )[first:]
        for mirror in (task.mirror, not task.mirror)
    )  # fmt: skip
    dates, regimes = bars.dates[first:], _regimes(bars)[first:]
    start = _usable_starts(inputs.values, dates, task, y)
    if isinstance(evaluation, Mission):
        parts = _mission_parts(evaluation, start, task, dates)
    else:
        parts = _walk_forward_parts(evaluation, start, task, dates)
    day = start + task.context_days - 1
    refused = len(dates) - task.context_days - task.horizon_days + 1 - len(start)
    lost = (f"{refused} windows refused: they hold gaps or bridge a hole in the dates",) * bool(
        refused
    )
    examples = Examples(
        series=np.nan_to_num(inputs.values).astype(np.float32),
        start=start,
        context=task.context_days,
        y=y[day],
        when=dates[day],
        group=None,
        parts=parts,
        features=inputs.names,
        notes=(*bars.notes, *inputs.notes, *lost, *_no_test(evaluation, bars)),
        extra={"regime": regimes[day], "y_mirror": opposite[day]},
    )
    _check_parts(examples, task, evaluation)
    return examples


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
