"""Returns of positions that are entered at the close of an alarm and left by a declared exit."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.bundle.alarms import Answered
from trueness.errors import TruenessError
from trueness.market.bars import Bars
from trueness.market.labels import UNDEFINED, labels_of, touch_level
from trueness.spec.target import LabelColumn, Touch

Array = NDArray[np.float64]
Exit: TypeAlias = Literal["touch", "horizon"]


def check_exit(task: Any, exit: Exit) -> None:  # noqa: ANN401 - a MarketTask
    """Refuse an exit at a level that the target does not have.

    Raises
    ------
    TruenessError
        With code ``exit``.
    """
    if exit == "touch" and not isinstance(task.target, Touch):
        raise TruenessError(f"{task.question()}: no level is touched; take --exit horizon", "exit")


def returns_of(
    answered: Answered, task: Any, panel: Any, exit: Exit  # noqa: ANN401 - MarketTask, Panel
) -> tuple[Array, NDArray[np.uint8]]:  # fmt: skip
    """Return in percent from each unit's close on, and its label by the bars, (n,) each.

    NaN and `UNDEFINED` where the horizon goes beyond the bars.

    Raises
    ------
    TruenessError
        With code ``other_data`` for a unit inside the bars that they lack.
    """
    n = len(answered.frame)
    result, labels = np.full(n, np.nan), np.full(n, UNDEFINED, np.uint8)
    time, group = answered.time, answered.group
    assert time is not None
    seen = np.zeros(n, bool)
    for bars in panel:
        mine = np.ones(n, bool) if group is None else group == bars.name
        when = time[mine].astype(bars.dates.dtype)
        at = np.searchsorted(bars.dates, when).clip(max=len(bars) - 1)
        there = bars.dates[at] == when
        result[mine] = np.where(there, series_returns(bars, task, exit)[at], np.nan)
        labels[mine] = np.where(there, _labels(bars, task)[at], UNDEFINED)
        seen[mine] = there | (when > bars.dates[-1])
    if not seen.all():
        raise TruenessError(
            f"the bars lack {time[~seen][0]}, which was answered; give those that it was answered "
            "on, or longer ones", "other_data",
        )  # fmt: skip
    return result, labels


def _labels(bars: Bars, task: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """Labels by prices, (T,); none of a target that is a column."""
    if isinstance(task.target, LabelColumn):
        return np.full(len(bars), UNDEFINED, np.uint8)
    adjusted = bars.adjusted()
    return labels_of(task.target, adjusted.high, adjusted.low, adjusted.close, task.horizon)


def series_returns(bars: Bars, task: Any, exit: Exit) -> Array:  # noqa: ANN401
    """Return in percent of a position entered at each close, (T,); NaN for the last bars.

    The position is in the direction of the event: short where it is a fall.
    """
    adjusted, h = bars.adjusted(), task.horizon
    close, n = adjusted.close, len(bars) - task.horizon
    target = task.target
    side = -1.0 if isinstance(target, Touch) and target.size < 0 else 1.0
    result = np.full(len(bars), np.nan)
    result[:n] = close[h:] / close[:n] - 1
    if exit == "touch":
        prices = adjusted.high, adjusted.low, close
        touched = labels_of(target, *prices, h)[:n] == 1
        level = touch_level(target, *prices, h)
        result[:n] = np.where(touched, level / close[:n] - 1, result[:n])
    return 100 * side * result
