"""Daily bars: whether the price touches a level within the next days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trueness.errors import DataError
from trueness.examples import Examples
from trueness.market import (
    Bars,
    Volatility,
    feature_names,
    load_bars,
    load_volatility,
    market_examples,
    resolve_evaluation,
)
from trueness.market.indicators import named_rows, tier_rows
from trueness.market.inputs import chosen_rows
from trueness.tasks import Place, binary
from trueness.yamlfile import Reader


@dataclass(frozen=True)
class MarketData:
    """Bars, and the volatility index that some columns read."""

    bars: Bars
    volatility: Volatility | None = None

    @property
    def digest(self) -> str:
        """Of the bars."""
        return self.bars.digest

    def origin(self) -> dict[str, Any]:
        """What a record says of the data."""
        bars, vix = self.bars, self.volatility
        return {
            "name": bars.name,
            "volatility": vix.name if vix else None,
            "digest": bars.digest,
            "rows": len(bars),
            "first": str(bars.dates[0]),
            "as_of": str(bars.dates[-1]),
        }

    def in_words(self) -> str:
        """Name and last day."""
        return f"{self.bars.name} to {self.bars.dates[-1]}"


class Market:
    """See `trueness.tasks.Task`."""

    kind: ClassVar[str] = "market"
    sources: ClassVar[dict[str, str]] = {"bars": "data", "volatility": "vix"}
    default: ClassVar[str] = "sp500"
    tabular: ClassVar[bool] = False
    baselines = staticmethod(binary.baselines)
    examples_key = staticmethod(binary.examples_key)
    counts = staticmethod(binary.counts)

    def load(
        self,
        sources: Mapping[str, Any],
        needed: bool = True,
        told: Any = None,  # noqa: ANN401
    ) -> MarketData:
        """Read bars and volatility index."""
        del needed, told
        vix = sources.get("vix")
        bars = load_bars(sources.get("data") or self.default)
        return MarketData(bars, None if vix is None else load_volatility(vix))

    def filled(self, content: dict[str, Any], data: MarketData, place: Place) -> dict[str, Any]:
        """Digests of the data, columns of a tier file, dates that the data decide."""
        task = {**content["task"], "bars": data.bars.digest}
        task |= _tier(task.get("tier"), place)
        if data.volatility is not None and _reads_volatility(task):
            task["volatility"] = data.volatility.digest
        evaluation = {"protocol": "mission", **content.get("evaluation", {})}
        evaluation = resolve_evaluation(evaluation, data.bars)
        return {**content, "task": task, "evaluation": evaluation}

    def check(self, spec: Any, place: Place) -> None:  # noqa: ANN401
        """Refuse a tier or a column that does not exist."""
        try:
            chosen_rows(spec.task)
        except DataError as error:
            raise place.fail(("task", "tier"), f"task.tier: {error}") from None

    def shape(self, spec: Any, data: MarketData) -> tuple[int, int]:  # noqa: ANN401
        """Columns of a window and its rows."""
        return len(feature_names(spec.task, data.bars, data.volatility)), spec.task.context

    def examples(self, spec: Any, data: MarketData) -> Examples:  # noqa: ANN401
        """Windows, labels and parts."""
        return market_examples(spec.task, spec.evaluation, data.bars, data.volatility)


def _reads_volatility(task: dict[str, Any]) -> bool:
    """Whether a column needs the volatility index; yes where names are wrong, which others tell."""
    names, tier = task.get("columns"), task.get("tier", "a20")
    try:
        rows = tier_rows(tier) if names is None else named_rows(tuple(names))
    except (DataError, TypeError):
        return True
    return any("volatility" in row.needs for row in rows)


def _tier(tier: Any, place: Place) -> dict[str, Any]:  # noqa: ANN401 - whatever a file holds
    """Name and columns of a tier file; nothing for the name of a tier."""
    if not isinstance(tier, str) or not tier.endswith((".yaml", ".yml")):
        return {}
    beside = place.file.parent / tier
    path = beside if beside.is_file() else Path(tier)
    content = Reader(path).part_of_root() if path.is_file() else {}
    columns, name = content.get("columns"), content.get("tier")
    if not isinstance(columns, list) or not isinstance(name, str):
        raise place.fail(
            ("task", "tier"),
            f"task.tier: {tier} is not a tier file; `trueness features reduce` makes one",
        )
    return {"tier": name, "columns": columns}
