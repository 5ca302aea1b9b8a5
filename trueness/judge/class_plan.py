"""What so many texts of a language can show about classifiers of K classes, before a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from trueness.document import Column, Document, Items, Table
from trueness.document.numbers import count, decimal, plain, plural
from trueness.errors import TruenessError, at_least
from trueness.evaluation.class_power import (
    ClassPower,
    ClassWorld,
    adjusted,
    class_power,
    texts_needed,
)
from trueness.evaluation.inputs import between
from trueness.evaluation.power import MOST, POWER
from trueness.judge.judgement import SCHEMA

LIFTS = (0.01, 0.02, 0.03, 0.05, 0.1)
"""Differences of macro-F1 for which texts are counted."""
MOST_COMPARED = 10_000


@dataclass(frozen=True)
class ClassQuestion:
    """What is planned.

    Attributes
    ----------
    texts : int
        Of the language, in the part that will judge.
    world : ClassWorld
        What is supposed of classes and methods.
    lift : float or None
        Macro-F1 that a method is hoped to gain.
    candidates : int
        Methods that will be compared there.
    confidence, power : float

    Raises
    ------
    TruenessError
        With code ``plan`` or ``range``, if the numbers do not go together.
    """

    texts: int
    world: ClassWorld
    lift: float | None = None
    candidates: int = 1
    confidence: float = 0.95
    power: float = POWER

    def __post_init__(self) -> None:
        at_least("--texts", self.texts, 1, MOST)
        at_least("--candidates", self.candidates, 1, MOST_COMPARED)
        for name in ("confidence", "power"):
            between(f"--{name}", getattr(self, name))
        if self.lift is not None:
            between("--lift", self.lift)
            if self.lift + self.world.macro_f1 >= 1:
                raise TruenessError(
                    f"--lift {self.lift:g} on a macro-F1 of {self.world.macro_f1:g} exceeds 1",
                    "plan",
                )
        if self.texts < self.world.fewest:
            raise TruenessError(
                f"{count(self.texts)} texts of {self.world.classes} classes: a class counts with 5 "
                f"texts, so at least {count(self.world.fewest)} are needed", "plan",
            )  # fmt: skip

    @property
    def level(self) -> float:
        """Error of each comparison."""
        return adjusted(1 - self.confidence, self.candidates)

    @property
    def lifts(self) -> list[float]:
        """Differences that texts are counted for."""
        wanted = {*LIFTS, *([] if self.lift is None else [self.lift])}
        return sorted(one for one in wanted if one + self.world.macro_f1 < 1)


@dataclass(frozen=True)
class ClassPlan:
    """What so many texts show, and how many show a difference.

    Attributes
    ----------
    question : ClassQuestion
    detectable : ClassPower
    needed : dict of float to (int, int)
        Lift -> texts of the language, and texts of each of two languages.
    """

    question: ClassQuestion
    detectable: ClassPower
    needed: dict[float, tuple[int, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        asked = self.question
        return {
            "schema": SCHEMA, "kind": "plan_classes", "texts": asked.texts, **asdict(asked.world),
            "lift": asked.lift, "candidates": asked.candidates, "confidence": asked.confidence,
            "power": asked.power, "standard_error": self.detectable.error,
            "minimum_detectable": {
                "methods": self.detectable.paired, "languages": self.detectable.unpaired,
            },
            "needed": [
                {"lift": lift, "methods": both, "languages": each}
                for lift, (both, each) in self.needed.items()
            ],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """Texts needed, a row per lift."""
        schema = {"lift": pl.Float64, "methods": pl.Int64, "languages": pl.Int64}
        rows = [(lift, both, each) for lift, (both, each) in self.needed.items()]
        return pl.DataFrame(rows, schema, orient="row")

    def document(self) -> Document:
        """Sentences, and texts that show differences."""
        asked = self.question
        title = f"{plural(asked.texts, 'text')} of {asked.world.classes} classes"
        return Document(
            "Power analysis", [Items(self.sentences()), self._table()],
            f"{title}; {plural(asked.candidates, 'method')}",
        )  # fmt: skip

    def sentences(self) -> list[str]:
        """What is supposed, and the smallest differences."""
        asked, world = self.question, self.question.world
        clusters = "" if world.cluster == 1 else f", {plain(world.cluster)} texts of a cluster"
        lines = [
            f"Supposed: macro-F1 {plain(world.macro_f1)}, hits of two methods on a text correlated "
            f"by {plain(world.correlation)}, classes equally frequent{clusters}; rarer classes "
            "need more",
            f"one macro-F1 has a standard error of {decimal(self.detectable.error)}",
            f"with {plain(round(100 * asked.power, 6))} % power, two methods differ visibly from "
            f"{_points(self.detectable.paired)} on, two languages of so many texts each from "
            f"{_points(self.detectable.unpaired)} on"
            + (f" (adjusted for {asked.candidates} methods)" if asked.candidates > 1 else ""),
        ]
        if asked.lift is not None:
            both, each = self.needed[asked.lift]
            lines.append(
                f"a lift of {_points(asked.lift)} is found with about {count(both)} texts of the "
                f"language; as a difference of two languages with about {count(each)} of each"
            )
        return lines

    def _table(self) -> Table:
        columns = [
            Column("difference of\nmacro-F1", "text", 9),
            Column("texts, two methods\non the same ones", "count", 9),
            Column("texts of each of\ntwo languages", "count", 8),
        ]  # fmt: skip
        rows = [[_points(lift), both, each] for lift, (both, each) in self.needed.items()]
        return Table(columns, rows, "Texts of a language that show a difference")


def _points(difference: float) -> str:
    return f"{decimal(100 * difference, 1)} points"


def plan_classes(asked: ClassQuestion) -> ClassPlan:
    """What so many texts of a language can show.

    Examples
    --------
    >>> result = plan_classes(ClassQuestion(400, ClassWorld(10), lift=0.03))
    >>> result.needed[0.03][0] > 400 < result.needed[0.03][1]
    True
    """
    how = {"level": asked.level, "power": asked.power}
    result = class_power(asked.world, asked.texts, **how)
    return ClassPlan(
        asked, result, {lift: texts_needed(asked.world, lift, **how) for lift in asked.lifts}
    )
