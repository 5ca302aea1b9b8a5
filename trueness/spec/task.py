"""Daily bars, and the event that is predicted from them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from trueness.spec.evaluation import Mission, WalkForward
from trueness.spec.shape import Bool, Float, Int, Shape, TaskShape


class MarketTask(TaskShape):
    """Daily bars: whether the price touches a level within the next days.

    The label is ``max(High[t+1..t+h]) >= Close[t] * (1 + x)`` with ``h = horizon_days`` and
    ``x = threshold_pct / 100``; ``price="close"`` uses future closes, ``mirror`` asks for the low
    at ``-x``.
    """

    kind: Literal["market"]
    bars: str = Field(min_length=1, description="digest of the daily bars")
    volatility: str | None = Field(
        None, description="digest of the volatility index, if one is used"
    )
    horizon_days: Int = Field(1, ge=1, le=60)
    threshold_pct: Float = Field(1.0, ge=0, le=50)
    price: Literal["high", "close"] = "high"
    mirror: Bool = False
    tier: str = "a20"
    columns: tuple[str, ...] | None = Field(None, min_length=1, description="in place of the tier")
    dedupe: Bool = Field(False, description="leave out copies, linear maps and constants")
    upright_ranks: Bool = Field(False, description="turn the ranks published upside down")
    raw_bars: Bool = Field(False, description="add Open, High, Low, Close, Volume to the inputs")
    context_days: Int = Field(80, ge=2, le=100000)
    fill_days: Int = Field(20, ge=0, description="oldest value that may fill a scattered gap")
    old_gaps: Literal["refuse", "median"] = "refuse"
    missing_indicators: Bool = Field(False, description="a column per column that has gaps")
    max_gap_days: Int = Field(
        10, ge=1, description="calendar days; a longer hole refuses the window"
    )

    nouns: ClassVar[tuple[str, str]] = ("day", "series")
    context_field: ClassVar[str] = "context_days"
    protocols: ClassVar[tuple[type[Shape], ...]] = (Mission, WalkForward)

    @property
    def context(self) -> int:
        """Rows per window."""
        return self.context_days

    @property
    def horizon(self) -> int:
        """Times that a label looks ahead."""
        return self.horizon_days

    @property
    def prefix(self) -> str:
        """What the label of a model begins with."""
        return f"{self.tier} · "

    @property
    def event(self) -> tuple[object, ...]:
        """Data and event; equal for runs that answer one question, whatever their columns."""
        return (self.bars, self.horizon_days, self.threshold_pct, self.price, self.mirror)

    def question(self) -> str:
        """The event that is predicted."""
        what = {"high": "Low" if self.mirror else "High", "close": "Close"}[self.price]
        sign = "−" if self.mirror else "+"
        days = "next day" if self.horizon == 1 else f"one of the next {self.horizon} days"
        return f"{what} of {days} reaches {sign}{self.threshold_pct:g} %"
