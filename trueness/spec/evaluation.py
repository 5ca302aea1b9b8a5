"""Which units train, stop and measure, and how many alarms count."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from math import comb
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, field_validator, model_validator

from trueness.spec.shape import Float, Int, Shape

Where: TypeAlias = dict[str, Any]
MOST_FOLDS = 200
HELD_OUT: Where = {
    "measured_on": "validation", "chosen_on": "validation", "judged_on": ("validation", "test"),
    "sealed": ("test",),
}  # fmt: skip
OUT_OF_FOLD: Where = {
    "measured_on": "oof", "chosen_on": "inner validation", "judged_on": ("oof",), "sealed": (),
}  # fmt: skip
"""Parts that results are measured on, that pick the weights, that may be judged, and those among
them that are shown only to who opens them; fields of `Estimands`."""


class _Evaluation(Shape):
    alarms: tuple[Annotated[Int, Field(ge=1)], ...] = (7, 15, 30)
    alarm_rate_pct: Float = Field(5.0, gt=0, le=100)
    confidence_pct: Float = Field(95.0, gt=50, lt=100)
    block: Int = Field(
        20, ge=1, description="consecutive times that belong together, with all of their rows"
    )

    caution: ClassVar[str] = ""
    """What a protocol may not claim."""

    @property
    def where(self) -> Where:
        """Parts by what they are for."""
        return HELD_OUT

    @property
    def measured_on(self) -> str:
        """Part that results are measured on."""
        return self.where["measured_on"]

    @field_validator("alarms")
    @classmethod
    def _ascending(cls, alarms: tuple[int, ...]) -> tuple[int, ...]:
        if not alarms:
            raise ValueError("at least one number of alarms is needed")
        return tuple(sorted(set(alarms)))


# -------------------------------------------------------------------------------------------- bars


class Holdout(_Evaluation):
    """One split by date into train, validation and test.

    Train lies before `val_start`, validation before `test_start`, test from there on. A window
    belongs to a region only if its context and its label lie inside.
    """

    protocol: Literal["holdout"]
    val_start: date = date(2023, 1, 1)
    test_start: date = date(2025, 1, 1)

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

    Each fold stops its training on the last `inner_pct` of the times before its block; the block
    itself chooses nothing. Labels that reach into the next part are purged, `embargo` bars more are
    left out. Training takes all times before, or a rolling window of `train_years`.
    """

    protocol: Literal["walk_forward"]
    start: date
    end: date | None = Field(None, description="first day that is not predicted any more")
    block_years: Int = Field(1, ge=1, le=100)
    train_years: Int | None = Field(
        None, ge=1, le=100, description="of a rolling window; null: all years before"
    )
    inner_pct: Float = Field(20.0, gt=0, lt=100)
    embargo: Int = Field(0, ge=0, le=10000)
    where: ClassVar[Where] = OUT_OF_FOLD

    def in_words(self) -> str:
        """How days are divided."""
        every = "year" if self.block_years == 1 else f"{self.block_years} years"
        rolling = ""
        if self.train_years is not None:
            rolling = f" on the last {self.train_years} year{'s' * (self.train_years > 1)}"
        return f"walk-forward, refit every {every}{rolling}, out of fold from {self.start}"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} must lie after start {self.start}")
        return self


class _AcrossTime(_Evaluation):
    """Folds that train on later times as well, which no trader could."""

    inner_pct: Float = Field(20.0, gt=0, lt=100)
    embargo: Int = Field(0, ge=0, le=10000, description="bars left out after a test group")
    where: ClassVar[Where] = OUT_OF_FOLD
    caution: ClassVar[str] = (
        "trains on later times as well: it tells how well a relation holds over all times, not "
        "what could have been earned"
    )


class PurgedKFold(_AcrossTime):
    """Consecutive stretches of time as folds, each predicted by a model of all others.

    Labels that overlap with those of the fold are purged, and `embargo` bars after it left out.
    López de Prado, "Advances in Financial Machine Learning" (2018), chapter 7.
    """

    protocol: Literal["purged_kfold"]
    n_folds: Int = Field(5, ge=2, le=100)

    def in_words(self) -> str:
        """How days are divided."""
        return f"purged {self.n_folds}-fold cross-validation over time; {self.caution}"


class Combinatorial(_AcrossTime):
    """Combinatorial purged cross-validation: every choice of test groups is a fold.

    A unit is predicted in several folds; its score is the mean of their logits. López de Prado,
    "Advances in Financial Machine Learning" (2018), chapter 12.
    """

    protocol: Literal["combinatorial"]
    n_groups: Int = Field(6, ge=3, le=20)
    n_test_groups: Int = Field(2, ge=1, le=10)

    def in_words(self) -> str:
        """How days are divided."""
        return (
            f"combinatorial purged cross-validation, {self.n_test_groups} of {self.n_groups} "
            f"groups of time; {self.caution}"
        )

    @model_validator(mode="after")
    def _leaves_most(self) -> Self:
        if self.n_test_groups > self.n_groups // 2:
            raise ValueError("n_test_groups: at most half of n_groups, else little trains")
        if (folds := comb(self.n_groups, self.n_test_groups)) > MOST_FOLDS:
            raise ValueError(
                f"{self.n_test_groups} of {self.n_groups} groups are {folds:,} folds, each of "
                f"which is trained; at most {MOST_FOLDS}"
            )
        return self


# ------------------------------------------------------------------------------------------ tables


def _without_zone(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _length_of_time(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d{0,6}(y|mo|w|d|h|m|s)", text):
        raise ValueError("give a length of time such as 90d, 2w, 6mo, 1y or 12h")
    return text


Moment: TypeAlias = Annotated[datetime, AfterValidator(_without_zone)]
"""A day (its midnight) or a time of day; times with a zone are brought to UTC."""
Duration: TypeAlias = Annotated[str, AfterValidator(_length_of_time)]
"""Length of time such as 90d, 2w, 6mo, 1y or 12h; m is a minute, mo and y follow the calendar."""
Percent: TypeAlias = Annotated[Float, Field(gt=0, lt=100)]


class _OfRows(_Evaluation):
    @property
    def by_time(self) -> bool:
        """Whether the division needs the time of each row."""
        return False

    @property
    def at_random(self) -> bool:
        """Whether rows are drawn, stratified by label, where there is no time to go by."""
        return False


class _OutOfFold(_OfRows):
    inner_pct: Percent = Field(20.0, description="of the rows left to a fold: where training stops")
    where: ClassVar[Where] = OUT_OF_FOLD


class RowsHoldout(_OfRows):
    """One division into train, validation and a sealed test part.

    By time where the task has one: validation begins at `val_start` and test at `test_start`, or
    test takes the latest `test_pct` of the rows and validation the `validation_pct` before them.
    Without a time, rows are drawn at random, stratified by label; rows of a cluster stay together.
    """

    protocol: Literal["holdout"]
    val_start: Moment | None = None
    test_start: Moment | None = None
    validation_pct: Percent = 20.0
    test_pct: Percent = 20.0
    purge: Duration | None = Field(None, description="left out before each part")
    seed: Int = Field(0, ge=0, description="of the draw, without a time")

    @property
    def by_time(self) -> bool:
        """Whether the division needs the time of each row."""
        return self.val_start is not None or self.purge is not None

    @property
    def at_random(self) -> bool:
        """Whether rows are drawn, stratified by label, where there is no time to go by."""
        return not self.by_time

    def in_words(self) -> str:
        """How rows are divided."""
        if self.val_start is None or self.test_start is None:
            return f"validation {self.validation_pct:g} % of the rows, test {self.test_pct:g} %"
        return f"validation {_shown(self.val_start)} to {_shown(self.test_start)}"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (self.val_start is None) != (self.test_start is None):
            raise ValueError("give val_start and test_start, or neither")
        if self.val_start and self.test_start and self.val_start >= self.test_start:
            raise ValueError(f"val_start {_shown(self.val_start)} must lie before test_start "
                             f"{_shown(self.test_start)}")  # fmt: skip
        if self.validation_pct + self.test_pct >= 100:
            raise ValueError("validation_pct and test_pct leave nothing to train on")
        return self


class KFold(_OutOfFold):
    """Folds stratified by label; rows of a cluster stay together; out-of-fold scores are pooled.

    Each fold stops its training on `inner_pct` of the other rows, drawn in the same way.
    """

    protocol: Literal["kfold"]
    n_folds: Int = Field(5, ge=2, le=100)
    seed: Int = Field(0, ge=0, description="of the draw")
    at_random: ClassVar[bool] = True

    def in_words(self) -> str:
        """How rows are divided."""
        return f"{self.n_folds}-fold cross-validation, out of fold"


class RowsForward(_OutOfFold):
    """Refit before every block of time, predict the block, pool the out-of-fold scores.

    Blocks last `block_length`, or there are `n_blocks` of about equally many rows. Each fold stops
    its training on the last `inner_pct` of the rows before its block. The last `purge` before a
    block, and before what training stops on, is left out: time that passes until a label is known.
    """

    protocol: Literal["walk_forward"]
    start: Moment | None = Field(None, description="null: after 40 % of the rows")
    end: Moment | None = Field(None, description="first time that is not predicted any more")
    block_length: Duration | None = None
    n_blocks: Int = Field(5, ge=1, le=1000, description="if there is no block_length")
    purge: Duration | None = None
    by_time: ClassVar[bool] = True

    def in_words(self) -> str:
        """How rows are divided."""
        every = (
            f"{self.n_blocks} times" if self.block_length is None else f"every {self.block_length}"
        )
        since = "40 % of the rows" if self.start is None else _shown(self.start)
        return f"walk-forward, refit {every}, out of fold from {since}"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end {_shown(self.end)} must lie after start {_shown(self.start)}")
        return self


class Given(_OfRows):
    """Parts that a column of the table gives.

    Each value of the column `fold` is a fold, whose rows are predicted by a model of the others,
    which stops its training on `inner_pct` of them. Or the column `split` says train, validation
    and test; other values play no part.
    """

    protocol: Literal["given"]
    fold: str | None = Field(None, min_length=1)
    split: str | None = Field(None, min_length=1)
    inner_pct: Percent = Field(20.0, description="of the rows left to a fold: where training stops")
    seed: Int = Field(0, ge=0, description="of the draw of those rows")

    @property
    def where(self) -> Where:
        """Parts by what they are for."""
        return OUT_OF_FOLD if self.split is None else HELD_OUT

    def in_words(self) -> str:
        """How rows are divided."""
        if self.split is None:
            return f"folds of the column {self.fold}, out of fold"
        return f"parts of the column {self.split}"

    @model_validator(mode="after")
    def _one_column(self) -> Self:
        if (self.fold is None) == (self.split is None):
            raise ValueError("name the column of the folds as fold, or that of the parts as split")
        return self


def _shown(moment: datetime) -> str:
    """Day, and time of day unless it is midnight."""
    return moment.isoformat(" ").removesuffix(" 00:00:00")


Evaluation: TypeAlias = (
    Holdout | WalkForward | PurgedKFold | Combinatorial | RowsHoldout | KFold | RowsForward | Given
)
"""Of all tasks; a spec takes those of its own, see `TaskShape.protocols`."""
