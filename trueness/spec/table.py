"""Rows of a table with a binary label."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from trueness.spec.evaluation import Given, KFold, RowsForward, RowsHoldout
from trueness.spec.shape import Int, Shape, TaskShape

Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=1000)]
ROLES = ("label", "time", "group", "cluster")
"""Fields that name a column and its role; such a column is no input."""


class TableTask(TaskShape):
    """One row per unit: which of them have the label 1.

    Every column without a role is an input, unless it is dropped; ``group`` and ``cluster`` are
    inputs as well where ``categories`` names them. Inputs are prepared inside each fold, from its
    training rows alone (see `trueness.table.examples`).
    """

    kind: Literal["table"]
    rows: str = Field(min_length=1, description="digest of the table")
    label: Name = Field(description="column of the label: 0 and 1, or false and true")
    time: Name | None = Field(None, description="column of dates or datetimes")
    group: Name | None = Field(
        None, description="column of the series or segment a row belongs to; windows stay inside"
    )
    cluster: Name | None = Field(
        None, description="column of what makes rows dependent, such as the customer"
    )
    drop: tuple[Name, ...] = Field((), description="columns that are no inputs")
    categories: tuple[Name, ...] = Field(
        (), description="columns of categories, whatever they look like"
    )
    context: Int = Field(
        1, ge=1, le=100000, description="rows of a group, the latest its own, that a model sees"
    )

    of_data: ClassVar[tuple[str, ...]] = ("rows",)
    scaled: ClassVar[bool] = True
    nouns: ClassVar[tuple[str, str]] = ("row", "group")
    horizon: ClassVar[int] = 0
    protocols: ClassVar[tuple[type[Shape], ...]] = (RowsHoldout, KFold, RowsForward, Given)

    @field_validator("drop", "categories")
    @classmethod
    def _as_set(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(names)))

    @model_validator(mode="after")
    def _roles_are_distinct(self) -> Self:
        for name, role in {self.label: "label", self.time: "time"}.items():
            others = [other for other in ROLES if other != role and getattr(self, other) == name]
            if name is not None and (others or name in self.categories):
                raise ValueError(f"{name} is the {role}, and {(*others, 'categories')[0]} as well")
        both = [name for name in self.categories if name in self.drop]
        if both:
            raise ValueError(f"{both[0]} is in drop and in categories")
        if self.context > 1 and self.time is None:
            raise ValueError(f"windows of {self.context} rows need an order; name the time")
        return self

    @property
    def event(self) -> tuple[object, ...]:
        """Data and event; equal for runs that answer one question, whatever their columns."""
        return (self.rows, self.label)

    def question(self) -> str:
        """The event that is predicted."""
        return self.label

    def misfit(self, evaluation: Shape) -> str | None:
        """Why an evaluation does not go with the task; None if it does."""
        rule: Any = evaluation
        if rule.by_time and self.time is None:
            return f"{rule.protocol} divides by time; name the column of the time as task.time"
        drawn = rule.at_random and not (rule.protocol == "holdout" and self.time is not None)
        if drawn and self.context > 1 and self.group is None and self.cluster is None:
            return (
                f"windows of {self.context} rows overlap, so that rows drawn at random stand on "
                "both sides; name task.group or task.cluster, or divide by time"
            )
        if isinstance(rule, Given) and (rule.fold or rule.split) == self.label:
            return f"{self.label} is the label; it cannot give the parts"
        return None
