"""Whether bars go on where those of a stored run ended, so that its weights can score new times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trueness.market.data import MarketData
from trueness.market.panel import Panel
from trueness.market.windows import resolve_evaluation

DATES = {"val_start", "test_start", "start"}
"""Of an evaluation, which a campaign may leave open."""


@dataclass(frozen=True)
class Earlier:
    """Data of stored runs, as their records and specs name them.

    Attributes
    ----------
    bars : str
        Digests of these, and of what else columns are made from.
    volatility, features : str or None
    origin : mapping
        What a record says of the data; see `MarketData.origin`.
    """

    bars: str
    volatility: str | None
    features: str | None
    origin: Mapping[str, Any]

    @classmethod
    def of(cls, runs: Iterable[Any]) -> list[Earlier]:
        """Distinct data of some runs, the longest first, then by the dates that they gave."""
        result: dict[tuple[str | None, ...], Earlier] = {}
        for run in runs:
            task, origin = run.spec.task, run.record["data"]
            if task.kind == "market" and "lengths" in origin:
                one = cls(task.bars, task.volatility, task.features, origin)
                key = (one.bars, one.volatility, one.features, str(one.dated))
                result.setdefault(key, one)
        return sorted(result.values(), key=lambda one: (-one.rows, one.dated))

    @property
    def rows(self) -> int:
        """Bars of all series."""
        return sum(self.origin["lengths"].values())

    @property
    def last(self) -> str:
        """Time of the latest bar."""
        return str(self.origin["as_of"])

    @property
    def dated(self) -> np.datetime64:
        """Last time of the data from which dates that were left open were filled in."""
        return np.datetime64(self.origin["dated"])

    def as_of(self, spec: Any, data: MarketData) -> Any | None:  # noqa: ANN401 - a Spec
        """The spec as it was for these data; None if it reads what they lack.

        Dates that the present data would give it become those that these data gave.
        """
        task = spec.task
        names = {"volatility": self.volatility, "features": self.features}
        if any((getattr(task, name) is None) != (names[name] is None) for name in names):
            return None
        task = task.model_copy(update={"bars": self.bars, **names})
        return spec.model_copy(update={"task": task, "evaluation": self._dated(spec, data)})

    def _dated(self, spec: Any, data: MarketData) -> Any:  # noqa: ANN401
        """The evaluation of a spec, with dates of these data in place of those of the present."""
        rule = spec.evaluation
        rest = rule.model_dump(exclude=DATES)
        now, then = (
            type(rule)(**resolve_evaluation(rest, data.panel.first, until))
            for until in (data.until, self.dated)
        )
        return then if rule == now else rule

    def why_not(self, data: MarketData) -> str:
        """Why data do not continue these; empty if they do."""
        lengths = dict(self.origin["lengths"])
        if data.panel.alone and len(lengths) == 1:
            lengths = {data.panel.series[0].name: next(iter(lengths.values()))}
        if lengths.keys() != {bars.name for bars in data.panel}:
            return "the panel holds other series"
        if any(lengths[bars.name] > len(bars) for bars in data.panel):
            return "the bars end earlier"
        if head(data.panel, lengths).digest != self.bars:
            return "bars before that were revised, or belong to another series"
        return self.other_columns(data, lengths)

    def other_columns(self, data: MarketData, lengths: Mapping[str, int]) -> str:
        """Why the index or own features do not continue these; empty if they do."""
        vix, own = data.volatility, data.own
        if self.volatility is not None:
            rows = self.origin.get("volatility_rows")
            if vix is None or rows is None or vix.head(rows).digest != self.volatility:
                return "the volatility index before that differs"
        if self.features is not None:
            if own is None or own.inputs_digest(lengths) != self.origin.get("inputs"):
                return "own features before that differ"
            if own.looks_ahead.keys() & set(own.inputs):
                return "own features look ahead, so that earlier ones may have changed"
        return ""


def head(panel: Panel, lengths: Mapping[str, int]) -> Panel:
    """The first bars of each series, so many of each."""
    return replace(panel, series=tuple(bars.head(lengths[bars.name]) for bars in panel))
