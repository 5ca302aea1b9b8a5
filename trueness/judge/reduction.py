"""What a feature reduction came to: the rounds, the features that are left, the final check."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl
import yaml

from trueness.document import Column, Document, Items, Part, Sentence, Table
from trueness.document.numbers import count, decimal, estimate, plural
from trueness.errors import DataError
from trueness.evaluation.intervals import Estimate
from trueness.judge.judgement import SCHEMA

MEASURES = ("precision", "recall", "auc", "width")
ROUNDS = (
    Column("features", "count", 9), Column("dropped", "count", 5),
    Column("precision at\nthe alarm rate", "number", 8),
    Column("recall at\nthe alarm rate", "number", 7), Column("AUC", "number", 8),
    Column("score\nwidth", "number", 4), Column("decision", weight=9),
)  # fmt: skip

Decision: TypeAlias = Literal["start", "keep", "warn", "abort"]


@dataclass(frozen=True)
class Round:
    """One set of columns, what was dropped to get there, and what the network made of it.

    `precision`, `recall` (at the alarm rate), `auc` and `width` are medians over seeds on the inner
    validation days.
    """

    columns: int
    dropped: list[str]
    precision: float
    recall: float
    auc: float
    width: float
    verdict: Decision

    def __str__(self) -> str:
        measures = ", ".join(f"{name} {decimal(getattr(self, name))}" for name in MEASURES)
        return f"{plural(self.columns, 'feature')}: {measures}; {self.verdict}"


@dataclass
class Reduction:
    """Columns that are left, the rounds that led there, and clusters of near-copies.

    `before` and `after` are out-of-fold AUC estimates of the first seed; those days decide nothing.
    `file` is the tier file.
    """

    tier: str
    columns: list[str]
    rounds: list[Round]
    clusters: list[list[str]]
    stability: dict[str, float]
    before: Estimate
    after: Estimate
    notes: list[str] = field(default_factory=list)
    file: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "feature_reduction", **asdict(self)}

    def to_frame(self) -> pl.DataFrame:
        """A row per round."""
        return pl.DataFrame([{**asdict(r), "dropped": " ".join(r.dropped)} for r in self.rounds])

    def document(self) -> Document:
        """The rounds, near-copies, and the final check."""
        start, left = self.rounds[0].columns, len(self.columns)
        checked = f"{estimate(self.before)} before, {estimate(self.after)} after"
        rows = [
            (r.columns, len(r.dropped) or None, *(getattr(r, name) for name in MEASURES), r.verdict)
            for r in self.rounds
        ]
        parts: list[Part] = [
            Sentence(
                f"{count(left)} of {plural(start, 'feature')} left. Final check: out-of-fold AUC "
                f"{checked}, {count(self.after.n)} days that decided nothing.", "verdict",
            ),
            *(Sentence(note, "note") for note in self.notes),
            Table(ROUNDS, rows, "Rounds", "Medians over seeds on the inner validation part."),
        ]  # fmt: skip
        if self.clusters:
            parts.append(
                Sentence(f"Largest cluster of near-copies: {', '.join(self.clusters[0])}.")
            )
        if self.file:
            parts.append(
                Items([f"Written to {self.file}; in a campaign: `task.tier: {self.file}`."])
            )
        return Document(f"Feature reduction: tier {self.tier}", parts)

    def write(self, path: Path, name: str) -> None:
        """Write a tier file; `task.tier: FILE` in a campaign takes its columns.

        Raises
        ------
        DataError
            If the file cannot be written.
        """
        content = {"tier": name, "based_on": self.tier, "columns": self.columns}
        content["rounds"] = [asdict(r) for r in self.rounds]
        try:
            path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror})") from None
