"""From bars to Examples: indicators of each series, warm-up, gaps, windows, labels, parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.examples import Examples
from trueness.files import cache_folder
from trueness.market.bars import Bars
from trueness.market.data import MarketData
from trueness.market.indicators.frame import catalogue_version
from trueness.market.inputs import Inputs, build_inputs
from trueness.market.labels import UNDEFINED, labels_from, labels_of
from trueness.market.mapped import mapped
from trueness.market.panel import Panel
from trueness.market.primitives import realised_volatility
from trueness.market.protocols import Reach, latest_held_back, parts_of
from trueness.market.spacing import days_between
from trueness.spec.evaluation import Holdout
from trueness.spec.target import LabelColumn
from trueness.spec.task import MarketTask

HOLDOUT_SHARES = (0.909, 0.970)
"""Positions of validation and test start in the published data, as shares of its time span."""
WALK_SHARE = 0.4
REGIMES = ("calm", "normal", "turbulent")
REGIME_BOUNDS_PCT = (12.0, 20.0)
FREQUENT = 0.75
"""Share of bars with the event above which it is asked back."""
MAPPED_FROM = 64 * 2**20
"""Bytes of a series of windows from which it lies in a file that all processes map."""
NOTES_SHOWN = 5
"""Notes about single series of a panel that are told."""


def market_examples(task: MarketTask, evaluation: Any, data: MarketData) -> Examples:  # noqa: ANN401
    """Windows, labels and parts of a market task.

    Indicators are computed on the full history of each series; the leading rows that any of them
    lacks are dropped once; later gaps are filled forward up to ``task.max_fill`` rows; windows that
    still hold a gap, or that bridge a hole of more than ``task.max_gap_days`` calendar days, are
    refused and counted in the notes. The series of a panel stand one below the other; windows never
    reach from one into the next.

    Parameters
    ----------
    task : MarketTask
    evaluation : shape
        One of ``task.protocols``.
    data : MarketData

    Returns
    -------
    examples : Examples
        With features, parts and notes filled in; of a panel with groups.

    Raises
    ------
    DataError
        If bars are too short, a region is empty or holds one class only; with code
        ``frequent_event`` if the event happens on more than three of four bars.
    """
    check_target(task, data)
    result, reach = _windows(task, data)
    notes = (*result.notes, *_of_protocol(evaluation, data.panel))
    result = replace(result, parts=parts_of(evaluation, reach), notes=notes)
    _check_parts(result, task, evaluation)
    return result


def refit_examples(
    task: MarketTask, evaluation: Any, data: MarketData, share_pct: float  # noqa: ANN401
) -> Examples:  # fmt: skip
    """All windows with a label in one fold: the latest as inner validation, purged, others train.

    Parameters
    ----------
    task : MarketTask
    evaluation : shape
    data : MarketData
    share_pct : float
        Of the times, those of the inner validation part.

    Raises
    ------
    DataError
        With code ``one_class`` if a part lacks positives or negatives.
    """
    check_target(task, data)
    result, reach = _windows(task, data)
    parts = latest_held_back(reach, share_pct, getattr(evaluation, "embargo", 0))
    result = replace(result, parts=parts)
    for part in ("train", "validation"):
        n, positives = result.counts()[0].get(part, (0, 0))
        if positives in (0, n):
            raise DataError(f"{part} has {n} windows, {positives} of them positive; both classes "
                            "are needed", "one_class")  # fmt: skip
    return result


def unseen_examples(task: MarketTask, data: MarketData) -> Examples:
    """All windows, also the latest, which have no label yet, in no part.

    Labels that are not known are `UNDEFINED`.

    Raises
    ------
    DataError
        If the bars are too few for a window.
    """
    result, reach = _windows(task, data, labelled=False)
    return replace(result, parts=np.zeros((1, len(reach.first)), np.int8))


def _windows(
    task: MarketTask, data: MarketData, *, labelled: bool = True
) -> tuple[Examples, Reach]:
    """Windows without parts, and the times that they reach over."""
    pieces, notes = _series_windows(task, data, labelled=labelled)
    panel, alone = data.panel, data.panel.alone
    offsets = np.cumsum([0, *(len(piece.inputs.values) for piece in pieces)])
    start = np.concatenate([piece.start + at for piece, at in zip(pieces, offsets, strict=False)])
    of = np.repeat(np.arange(len(pieces)), [len(piece.start) for piece in pieces])
    rows = np.concatenate([piece.start for piece in pieces])
    reach = Reach(
        tuple(piece.dates for piece in pieces), of, rows, rows + task.context - 1, task.horizon
    )
    return Examples(
        series=_stacked(pieces, task, data),
        start=start,
        context=task.context,
        y=np.concatenate([piece.y[piece.last] for piece in pieces]),
        when=np.concatenate([piece.dates[piece.last] for piece in pieces]),
        group=None if alone else np.array([bars.name for bars in panel])[of],
        parts=np.zeros((0, len(start)), np.int8),
        features=pieces[0].inputs.names,
        notes=(*panel.notes, *(data.own.notes if data.own else ()), *notes),
        extra=_extra(pieces),
    ), reach  # fmt: skip


@dataclass(frozen=True)
class _SeriesWindows:
    """One series after its warm-up.

    Attributes
    ----------
    inputs : Inputs
    dates : (T,) datetime64
    y : (T,) uint8
    opposite : (T,) uint8 or None
    regime : (T,) str
    start : (n,) int64
        First rows of its usable windows.
    context : int
    """

    inputs: Inputs
    dates: NDArray[np.datetime64]
    y: NDArray[np.uint8]
    opposite: NDArray[np.uint8] | None
    regime: NDArray[np.str_]
    start: NDArray[np.int64]
    context: int

    @property
    def last(self) -> NDArray[np.int64]:
        """Last rows of the windows."""
        return self.start + self.context - 1


def _series_windows(
    task: MarketTask, data: MarketData, *, labelled: bool
) -> tuple[list[_SeriesWindows], list[str]]:
    pieces, notes = [], []
    for bars in data.panel:
        piece, note = _cut(task, bars, data, labelled=labelled)
        pieces.append(piece)
        notes.append([*bars.notes, *note])
    if data.panel.alone:
        return pieces, notes[0]
    return pieces, _of_many(data.panel, notes)


def _of_many(panel: Panel, notes: Sequence[Sequence[str]]) -> list[str]:
    """Notes that all series share once; others with the name of their series, the first few."""
    common = [note for note in notes[0] if all(note in other for other in notes)]
    own = [
        note if note.startswith(bars.name) else f"{bars.name}: {note}"
        for bars, each in zip(panel, notes, strict=True) for note in each if note not in common
    ]  # fmt: skip
    more = [f"{len(own) - NOTES_SHOWN} more notes about single series"] * (len(own) > NOTES_SHOWN)
    return [*common, *own[:NOTES_SHOWN], *more]


def _cut(
    task: MarketTask, bars: Bars, data: MarketData, *, labelled: bool
) -> tuple[_SeriesWindows, list[str]]:
    """One series; without `labelled`, windows count whose label is not known."""
    inputs = build_inputs(task, bars, data)
    first, dates = inputs.first, bars.dates[inputs.first :]
    y, opposite = _labels(task, bars, data, needed=labelled)
    known = y[first:] != UNDEFINED if labelled else np.ones(len(dates), bool)
    start = _usable_starts(inputs.values, dates, task, bars, known)
    refused = len(dates) - task.context - task.horizon * labelled + 1 - len(start)
    lost = [f"{refused} windows refused: they hold gaps or bridge a hole in the dates"]
    piece = _SeriesWindows(
        inputs, dates, y[first:], None if opposite is None else opposite[first:],
        _regimes(bars)[first:], start, task.context,
    )  # fmt: skip
    return piece, [*inputs.notes, *lost * (refused > 0)]


def _labels(
    task: MarketTask, bars: Bars, data: MarketData, *, needed: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Labels of the target and of its opposite, (T,) each; unless needed, a column may lack."""
    target = task.target
    if isinstance(target, LabelColumn):
        if not needed and (data.own is None or target.column not in data.own.names):
            return np.full(len(bars), UNDEFINED, np.uint8), None
        return _label_column(target.column, bars, data), None
    adjusted = bars.adjusted()
    prices = adjusted.high, adjusted.low, adjusted.close
    other = target.opposite
    y = labels_of(target, *prices, task.horizon)
    return y, None if other is None else labels_of(other, *prices, task.horizon)


def _label_column(name: str, bars: Bars, data: MarketData) -> NDArray[np.uint8]:
    if data.own is None or name not in data.own.names:
        known = ", ".join(data.own.names[:8]) if data.own else "there are none"
        raise DataError(
            f"the label {name} is no column of own features ({known}); give a file or a function "
            "with `features:`", "labels"
        )  # fmt: skip
    return labels_from(data.own.column(bars.name, name), name)


def _regimes(bars: Bars) -> NDArray[np.str_]:
    """Regime of each bar by trailing 20-bar realised volatility, annualised percent."""
    level = np.nan_to_num(realised_volatility(bars.adjusted().close, 20))
    level *= np.sqrt(bars.spacing.per_year / 252) if not bars.spacing.daily else 1.0
    return np.array(REGIMES)[np.digitize(level, REGIME_BOUNDS_PCT)]


def _usable_starts(
    values: NDArray[np.float64], dates: NDArray[np.datetime64], task: MarketTask, bars: Bars,
    known: NDArray[np.bool_],
) -> NDArray[np.int64]:  # fmt: skip
    """First rows of windows without undefined values or a long calendar hole, of known labels."""
    c = task.context
    gap = np.isnan(values).any(axis=1)
    hole = days_between(dates) > bars.spacing.longest_step_days(task.max_gap_days)
    broken = np.append(0, np.cumsum(gap)), np.append(0, np.cumsum(np.append(False, hole)))
    start = np.arange(len(dates) - c + 1)
    complete = broken[0][start + c] == broken[0][start]
    joined = broken[1][start + c] == broken[1][start + 1]
    return start[complete & joined & known[start + c - 1]]


def _stacked(
    pieces: Sequence[_SeriesWindows], task: MarketTask, data: MarketData
) -> NDArray[np.float32]:
    """Columns of all series, one below the other; a large one in a file that is mapped."""
    shape = (sum(len(piece.inputs.values) for piece in pieces), len(pieces[0].inputs.names))

    def fill(into: NDArray[np.float32]) -> None:
        at = 0
        for piece in pieces:
            stop = at + len(piece.inputs.values)
            into[at:stop] = np.nan_to_num(piece.inputs.values)
            at = stop

    if 4 * shape[0] * shape[1] < MAPPED_FROM:
        series = np.empty(shape, np.float32)
        fill(series)
        return series
    made_of = [
        data.digest, data.volatility.digest if data.volatility else "",
        data.own.digest if data.own else "", catalogue_version(), task.canonical_text(),
    ]  # fmt: skip
    name = hashlib.sha256(" ".join(made_of).encode()).hexdigest()[:24]
    return mapped(cache_folder() / f"{name}.npy", shape, fill)


def _extra(pieces: Sequence[_SeriesWindows]) -> dict[str, NDArray[Any]]:
    result: dict[str, NDArray[Any]] = {
        "regime": np.concatenate([piece.regime[piece.last] for piece in pieces])
    }
    others = [piece.opposite[piece.last] for piece in pieces if piece.opposite is not None]
    return {**result, "y_mirror": np.concatenate(others)} if others else result


def _of_protocol(evaluation: Any, panel: Panel) -> tuple[str, ...]:  # noqa: ANN401
    """What a protocol may not claim, and that the data end before the test part, if they do."""
    if evaluation.caution:
        return (f"{evaluation.protocol} {evaluation.caution}",)
    if isinstance(evaluation, Holdout) and panel.last < np.datetime64(evaluation.test_start):
        return (f"no test part: the data end {panel.last}, before {evaluation.test_start}",)
    return ()


# ---------------------------------------------------------------------------------------- refusing


def check_target(task: MarketTask, data: MarketData) -> None:
    """Refuse labels that are none, and ask back where the event happens on most bars.

    Raises
    ------
    DataError
        With the codes ``labels`` and ``frequent_event``.
    """
    event = f"{task.horizon} {task.target.canonical_text()}"
    if event not in data.events:
        y = np.concatenate([_labels(task, bars, data)[0] for bars in data.panel])
        y = y[y != UNDEFINED]
        data.events[event] = float(y.mean()) if len(y) else 0.0
    share = data.events[event]
    if share > FREQUENT and not task.frequent:
        raise DataError(
            f"{task.question()}: the event happens on {share:.0%} of the {task.bar}s; ask for "
            "more, or set task.frequent: true if that is meant", "frequent_event"
        )  # fmt: skip


def _check_parts(examples: Examples, task: MarketTask, evaluation: Any) -> None:  # noqa: ANN401
    needed = ("train", "validation") if isinstance(evaluation, Holdout) else (
        "train", "validation", "oof")  # fmt: skip
    size = task.context + task.horizon
    why = "".join(f"; {note}" for note in examples.notes if "gaps older than" in note)
    if not examples.n_folds:
        raise DataError(
            f"{evaluation.protocol}: no {task.bar} to predict from "
            f"{evaluation.model_dump().get('start')} on; choose an earlier start{why}"
        )
    for fold, counts in enumerate(examples.counts()):
        for part in needed:
            n, positives = counts.get(part, (0, 0))
            if n == 0 or (part != "oof" and positives in (0, n)):
                where = f"fold {fold + 1}, " if examples.n_folds > 1 else ""
                raise DataError(
                    f"{evaluation.protocol}: {where}{part} has {n} windows, {positives} of them "
                    "positive; both classes are needed and each region must hold more than "
                    f"context + horizon = {size} {task.bar}s; move the dates, shorten the context "
                    f"or take longer data{why}"
                )


# --------------------------------------------------------------------------------------- resolution


def resolve_evaluation(
    evaluation: dict[str, Any], first: np.datetime64, last: np.datetime64
) -> dict[str, Any]:
    """Fill in the dates that a campaign leaves open, from the first and the last time of the data.

    `holdout` keeps the published dates where the data reach into them, else takes the same shares
    of the time span; `walk_forward` starts on the first of January after 40 % of the span.

    Examples
    --------
    >>> span = np.datetime64("1999-01-04"), np.datetime64("2018-12-31")
    >>> resolve_evaluation({"protocol": "holdout"}, *span)["val_start"]
    datetime.date(2017, 3, 6)
    """
    begin, end = (time.astype("datetime64[D]").astype(date) for time in (first, last))
    span = end - begin
    if evaluation.get("protocol") == "holdout" and not {"val_start", "test_start"} & set(
        evaluation
    ):
        default = Holdout(protocol="holdout")
        covered = default.val_start + (default.test_start - default.val_start) / 2 <= end
        if begin < default.val_start and covered:
            return evaluation
        val, test = (begin + span * share for share in HOLDOUT_SHARES)
        return {**evaluation, "val_start": val, "test_start": test}
    if evaluation.get("protocol") == "walk_forward" and "start" not in evaluation:
        return {**evaluation, "start": date((begin + span * WALK_SHARE).year + 1, 1, 1)}
    return evaluation
