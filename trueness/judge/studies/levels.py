"""Trials by the level of one parameter, and the trend over its levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.intervals import Estimate
from trueness.evaluation.summaries import difference_estimate, mean_estimate
from trueness.judge.studies.trials import Study, Trial, Value, order, values

MOST_LEVELS, BINS = 12, 5
"""Numbers with more levels than that are put into so many groups of equal size."""
FLAT = 0.01
"""Difference between the means of the last and the first level below which a trend is flat."""


@dataclass(frozen=True)
class LevelRow:
    """Trials of one level: published measures over trials, an interval over configurations."""

    level: Value
    count: int
    mean: float
    std: float | None
    low: float
    high: float
    estimate: Estimate


@dataclass(frozen=True)
class Trend:
    """Last level against first: the published word, and the difference with its interval."""

    word: str
    difference: float
    estimate: Estimate
    best: Value
    worst: Value

    @property
    def is_supported(self) -> bool:
        """Whether the whole interval lies on the side of the word; within 0.01 of zero for flat."""
        low, high = self.estimate.low, self.estimate.high
        if low is None or high is None:
            return False
        flat = low > -FLAT and high < FLAT
        return {"increasing": low > 0, "decreasing": high < 0}.get(self.word, flat)


def grouped(study: Study, name: str) -> dict[Value, Value]:
    """Level of each tried value: itself, or its group of equal size where there are too many.

    Examples
    --------
    >>> from trueness.judge.studies import from_rows
    >>> rows = [{"number": i, "value": 0.7, "params": {"learning_rate": i / 100}}
    ...         for i in range(1, 21)]
    >>> sorted(set(grouped(from_rows("many", rows), "learning_rate").values()))[:2]
    ['0.01 to 0.04', '0.05 to 0.08']
    """
    tried = sorted({t.params[name] for t in study.completed if name in t.params}, key=order)
    if len(tried) <= MOST_LEVELS or any(isinstance(v, str) for v in tried):
        return {v: v for v in tried}
    bins = [list(part) for part in np.array_split(np.array(tried), BINS)]
    names = {float(v): f"{part[0]:.4g} to {part[-1]:.4g}" for part in bins for v in part}
    return {v: names[float(v)] for v in tried}


def with_parameter(study: Study, name: str) -> list[tuple[Trial, float]]:
    """Configurations that have a parameter, with their values."""
    return [(t, value) for t, value, _ in study.configurations if name in t.params]


def by_value(study: Study, name: str) -> list[LevelRow]:
    """A row per level of a parameter."""
    groups = grouped(study, name)
    rows = []
    for level in dict.fromkeys(groups.values()):
        inside = [t for t in study.completed if groups.get(t.params.get(name, "")) == level]
        y = np.array(values(inside))
        once = [v for t, v in with_parameter(study, name) if groups[t.params[name]] == level]
        std = float(y.std(ddof=1)) if len(y) > 1 else None
        low, high = float(y.min()), float(y.max())
        estimate = _inside(mean_estimate(once)) if study.is_share else mean_estimate(once)
        rows.append(LevelRow(level, len(y), float(y.mean()), std, low, high, estimate))
    return rows


def _inside(estimate: Estimate) -> Estimate:
    """The same with an interval inside [0, 1], where means of shares lie."""
    if estimate.low is None or estimate.high is None:
        return estimate
    return replace(estimate, low=max(0.0, estimate.low), high=min(1.0, estimate.high))


def trend(study: Study, name: str, rows: Sequence[LevelRow]) -> Trend | None:
    """Published rule: flat if the means of the last and first level differ by less than 0.01."""
    groups = grouped(study, name)
    if len(rows) < 2 or any(isinstance(v, str) for v in groups):
        return None
    once: Mapping[Value, list[float]] = {row.level: [] for row in rows}
    for trial, value in with_parameter(study, name):
        once[groups[trial.params[name]]].append(value)
    difference = rows[-1].mean - rows[0].mean
    word = "flat" if abs(difference) < FLAT else "increasing" if difference > 0 else "decreasing"
    estimate = difference_estimate(once[rows[-1].level], once[rows[0].level])
    best, worst = max(rows, key=lambda r: r.mean), min(rows, key=lambda r: r.mean)
    return Trend(word, difference, estimate, best.level, worst.level)


def level_codes(study: Study, name: str, trials: Sequence[Trial]) -> NDArray[np.int64]:
    """Number of the level of each trial, counted over the levels that were tried."""
    groups = grouped(study, name)
    index = {level: i for i, level in enumerate(dict.fromkeys(groups.values()))}
    return np.array([index[groups[t.params[name]]] for t in trials])
