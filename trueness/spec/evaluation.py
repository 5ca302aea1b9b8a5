"""Which days train, stop and measure, and how many alarms count."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from trueness.spec.shape import Float, Int, Shape


class _Evaluation(Shape):
    alarms: tuple[Annotated[Int, Field(ge=1)], ...] = (7, 15, 30)
    alarm_rate_pct: Float = Field(5.0, gt=0, le=100)
    confidence_pct: Float = Field(95.0, gt=50, lt=100)
    block_days: Int = Field(20, ge=1, description="block length of the bootstrap over days")

    @field_validator("alarms")
    @classmethod
    def _ascending(cls, alarms: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(alarms)))


class Mission(_Evaluation):
    """One split by date into train, validation and test.

    Train lies before `val_start`, validation before `test_start`, test from there on. A window
    belongs to a region only if its context and its label lie inside.
    """

    protocol: Literal["mission"]
    val_start: date = date(2023, 1, 1)
    test_start: date = date(2025, 1, 1)
    measured_on: ClassVar[str] = "validation"
    judged_on: ClassVar[tuple[str, ...]] = ("validation", "test")
    sealed: ClassVar[tuple[str, ...]] = ("test",)
    chosen_on: ClassVar[str] = "validation"

    def in_words(self) -> str:
        """How days are divided."""
        return f"validation {self.val_start} to {self.test_start}"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.val_start >= self.test_start:
            raise ValueError(
                f"val_start {self.val_start} must lie before test_start {self.test_start}"
            )
        return self


class WalkForward(_Evaluation):
    """Refit every `block_years`, predict the block, pool the out-of-fold scores.

    Each fold stops its training on the last `inner_pct` of the days before its block; the block
    itself chooses nothing. Labels that reach into the next part are purged, `embargo_days` more are
    left out.
    """

    protocol: Literal["walk_forward"]
    start: date
    end: date | None = Field(None, description="first day that is not predicted any more")
    block_years: Int = Field(1, ge=1, le=100)
    inner_pct: Float = Field(20.0, gt=0, lt=100)
    embargo_days: Int = Field(0, ge=0, le=10000)
    measured_on: ClassVar[str] = "oof"
    judged_on: ClassVar[tuple[str, ...]] = ("oof",)
    sealed: ClassVar[tuple[str, ...]] = ()
    chosen_on: ClassVar[str] = "inner validation"

    def in_words(self) -> str:
        """How days are divided."""
        years = f"{self.block_years} year{'s' * (self.block_years > 1)}"
        return f"walk-forward, refit every {years}, out of fold from {self.start}"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} must lie after start {self.start}")
        return self


Evaluation: TypeAlias = Annotated[Mission | WalkForward, Field(discriminator="protocol")]
