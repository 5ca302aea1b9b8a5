"""Which part each window plays in every fold, by the times that it and its label reach over.

Every protocol works on times, not on rows, so that the series of a panel are divided together. A
window may train only if the bars its label looks at end before the part that follows, or, where a
protocol trains on later times as well, begin after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.examples import PARTS
from trueness.spec.evaluation import Combinatorial, Holdout, PurgedKFold, WalkForward

Times: TypeAlias = NDArray[np.datetime64]
Parts: TypeAlias = NDArray[np.int8]
FAR = np.datetime64("9999-12-31", "s")
"""Time of a bar that is not there yet."""
TRAIN, VALIDATION, TEST, OOF = (PARTS.index(p) for p in ("train", "validation", "test", "oof"))


@dataclass(frozen=True)
class Reach:
    """Times that each of N windows and its label reach over.

    Attributes
    ----------
    times : tuple of (T,) datetime64
        Of the bars of each series.
    series : (N,) int64
        Series of each window.
    first, last : (N,) int64
        Its rows there.
    horizon : int
        Bars that a label looks ahead.
    """

    times: tuple[Times, ...]
    series: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    horizon: int

    def _at(self, rows: NDArray[np.int64]) -> Times:
        """Time of a row of each window's series; far away after its end."""
        result = np.empty(len(rows), "datetime64[s]")
        for i, times in enumerate(self.times):
            mine = self.series == i
            padded = np.append(times.astype("datetime64[s]"), FAR)
            result[mine] = padded[np.minimum(rows[mine], len(times))]
        return result

    @property
    def begin(self) -> Times:
        """Time of the first bar of the window."""
        return self._at(self.first)

    @property
    def day(self) -> Times:
        """Time of its last bar, that of the decision."""
        return self._at(self.last)

    def end(self, embargo: int = 0) -> Times:
        """Time of the last bar that the label looks at, or so many bars later."""
        return self._at(self.last + self.horizon + embargo)


def parts_of(rule: Any, reach: Reach) -> Parts:  # noqa: ANN401 - one of the shapes below
    """Position in `PARTS` of each window in each fold, (F, N)."""
    return RULES[type(rule)](rule, reach)


# ------------------------------------------------------------------------------------- one division


def _holdout(rule: Holdout, reach: Reach) -> Parts:
    """Regions by date; a window with its label lies inside one of them or in none."""
    validation, test = np.datetime64(rule.val_start), np.datetime64(rule.test_start)
    begin, end = reach.begin, reach.end()
    parts = np.zeros((1, len(begin)), np.int8)
    parts[0, end < validation] = TRAIN
    parts[0, (begin >= validation) & (end < test)] = VALIDATION
    parts[0, begin >= test] = TEST
    return parts


# ----------------------------------------------------------------------------------- walk forward


def _walk_forward(rule: WalkForward, reach: Reach) -> Parts:
    """One row per block: train and inner validation before it, purged; itself out of fold."""
    day, end = reach.day, reach.end(rule.embargo)
    bounds = _blocks(rule, np.unique(day))
    folds = []
    for start, stop in pairwise(bounds):
        part = np.zeros(len(day), np.int8)
        part[(day >= start) & (day < stop)] = OOF
        before = end < start
        if rule.train_years is not None:
            before &= day >= _years_before(start, rule.train_years)
        _train_on(part, before, reach, rule.inner_pct, rule.embargo)
        if (part == OOF).any():
            folds.append(part)
    return np.array(folds, np.int8).reshape(len(folds), len(day))


def _blocks(rule: WalkForward, days: Times) -> list[np.datetime64]:
    """Times at which blocks begin, and the first one that is not predicted."""
    final = FAR if rule.end is None else np.datetime64(rule.end, "s")
    starts, year = [], 0
    while len(days):
        month = np.datetime64(rule.start, "M") + 12 * year  # 29 February becomes 1 March
        start = (month.astype("datetime64[D]") + (rule.start.day - 1)).astype("datetime64[s]")
        if start > days[-1] or start >= final:
            break
        starts.append(start)
        year += rule.block_years
    return [*starts, final]


def _years_before(time: np.datetime64, years: int) -> np.datetime64:
    month = time.astype("datetime64[M]")
    return (month - 12 * years).astype("datetime64[s]") + (time - month.astype("datetime64[s]"))


# ------------------------------------------------------------------------------- cross-validation


def _purged_kfold(rule: PurgedKFold, reach: Reach) -> Parts:
    """Consecutive times as folds; the others train, before and after."""
    groups = _groups(reach.day, rule.n_folds)
    folds = [_left_out(np.array([g]), groups, rule, reach) for g in range(rule.n_folds)]
    return np.array(folds, np.int8)


def _combinatorial(rule: Combinatorial, reach: Reach) -> Parts:
    """Every choice of test groups is a fold; a unit is predicted in several of them."""
    groups = _groups(reach.day, rule.n_groups)
    chosen = combinations(range(rule.n_groups), rule.n_test_groups)
    folds = [_left_out(np.array(some), groups, rule, reach) for some in chosen]
    return np.array(folds, np.int8)


def _groups(day: Times, count: int) -> NDArray[np.int64]:
    """Consecutive stretches of about equally many times, (N,), from 0."""
    days, place = np.unique(day, return_inverse=True)
    if len(days) < count:
        raise DataError(f"{len(days)} times do not make {count} groups; take fewer", "few")
    return place * count // len(days)


def _left_out(
    test: NDArray[np.int64], groups: NDArray[np.int64], rule: PurgedKFold | Combinatorial,
    reach: Reach,
) -> Parts:  # fmt: skip
    """Some groups out of fold; those windows train whose labels overlap with none of theirs."""
    part, day, end = np.zeros(len(groups), np.int8), reach.day, reach.end()
    clear = ~np.isin(groups, test)
    for group in test:
        inside = groups == group
        part[inside] = OOF
        after = reach.end(rule.embargo)[inside].max()
        clear &= (end < day[inside].min()) | (day > after)
    _train_on(part, clear, reach, rule.inner_pct, rule.embargo)
    return part


def _train_on(
    part: Parts, allowed: NDArray[np.bool_], reach: Reach, inner_pct: float, embargo: int
) -> None:
    """Train on the allowed windows; the latest of their times stop the training, purged."""
    days = np.unique(reach.day[allowed])
    if not len(days):
        return
    first = days[-max(1, round(len(days) * inner_pct / 100))]
    inner = allowed & (reach.day >= first)
    part[inner] = VALIDATION
    part[allowed & (reach.end(embargo) < first)] = TRAIN


def latest_held_back(reach: Reach, share_pct: float, embargo: int = 0) -> Parts:
    """One fold (1, N) that predicts nothing: the latest times stop the training of all others."""
    part = np.zeros(len(reach.first), np.int8)
    _train_on(part, np.ones(len(part), bool), reach, share_pct, embargo)
    return part[None]


RULES: dict[type, Callable[[Any, Reach], Parts]] = {
    Holdout: _holdout,
    WalkForward: _walk_forward,
    PurgedKFold: _purged_kfold,
    Combinatorial: _combinatorial,
}
