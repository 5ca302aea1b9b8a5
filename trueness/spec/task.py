"""Bars, and the event that is predicted from them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from trueness.spec.evaluation import Combinatorial, Holdout, PurgedKFold, WalkForward
from trueness.spec.shape import Bool, Int, Shape, TaskShape
from trueness.spec.target import Target, Touch

OWN_TIER = "own"
"""Inputs are own features alone."""


class MarketTask(TaskShape):
    """Bars of one series or of a panel, and an event in the bars that follow.

    Horizon, context and `max_fill` count bars. Indicators and labels belong to each series alone.
    """

    kind: Literal["market"]
    bars: str = Field(min_length=1, description="digest of the bars")
    volatility: str | None = Field(
        None, description="digest of the volatility index, if a column reads it"
    )
    features: str | None = Field(None, description="digest of own features, if there are some")
    bar: str = Field("day", pattern=r"^[a-z0-9 ]{1,20}$", description="what one is")
    horizon: Int = Field(1, ge=1, le=1000)
    target: Target = Touch(kind="touch")
    frequent: Bool = Field(False, description="the event may happen on three of four bars and more")
    tier: str = "a20"
    columns: tuple[str, ...] | None = Field(None, min_length=1, description="in place of the tier")
    own: tuple[str, ...] | None = Field(
        None, description="own features beside the tier; all but the labels of the campaign"
    )
    dedupe: Bool = Field(False, description="leave out copies, linear maps and constants")
    fix_inverted_ranks: Bool = Field(False, description="turn the ranks published upside down")
    raw_bars: Bool = Field(False, description="add Open, High, Low, Close, Volume to the inputs")
    context: Int = Field(80, ge=2, le=100000)
    max_fill: Int = Field(20, ge=0, description="oldest value that may fill a scattered gap")
    long_gaps: Literal["drop", "impute_median"] = Field(
        "drop", description="rows with older gaps are lost, or take the median so far"
    )
    missing_indicators: Bool = Field(False, description="a column per column that has gaps")
    max_gap_days: Int = Field(
        10, ge=1, description="calendar days; a longer hole refuses the window"
    )
    allow_lookahead: Bool = Field(
        False, description="train on own features that change when the future is taken away"
    )

    of_data: ClassVar[tuple[str, ...]] = ("bars", "volatility", "features", "bar")
    protocols: ClassVar[tuple[type[Shape], ...]] = (
        Holdout,
        WalkForward,
        PurgedKFold,
        Combinatorial,
    )

    @field_validator("target", mode="before")
    @classmethod
    def _named_column(cls, content: Any) -> Any:  # noqa: ANN401 - whatever a file holds
        if isinstance(content, dict) and "kind" not in content:
            return {"kind": "column" if "column" in content else "touch", **content}
        return content

    @property
    def nouns(self) -> tuple[str, str]:
        """What a unit is called, and what a group of them."""
        return (self.bar, "series")

    @property
    def prefix(self) -> str:
        """What the label of a model begins with."""
        return f"{self.inputs} · "

    @property
    def inputs(self) -> str:
        """What the inputs are called: the tier, or columns that were named one by one."""
        named = self.columns is not None and self.tier == type(self).model_fields["tier"].default
        return "columns" if named else self.tier

    @property
    def event(self) -> tuple[object, ...]:
        """Data and event; equal for runs that answer one question, whatever their columns."""
        return (self.bars, self.horizon, self.target.canonical_text())

    @property
    def caution(self) -> str:
        """What results may not claim."""
        return "own features may look ahead" if self.allow_lookahead else ""

    def question(self) -> str:
        """The event that is predicted."""
        bar = self.bar
        ahead = f"next {bar}" if self.horizon == 1 else f"one of the next {self.horizon} {bar}s"
        if self.target.kind in ("close_return", "first_touch", "column"):
            ahead = f"the next {bar}" if self.horizon == 1 else f"the next {self.horizon} {bar}s"
        return self.target.in_words(ahead) + (f"; {self.caution}" if self.caution else "")
