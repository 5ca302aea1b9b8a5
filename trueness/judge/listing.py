"""Plain lists: campaigns, experiments, checks, studies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Column, Document, Items, Kind, Part, Table
from trueness.judge.judgement import SCHEMA

KINDS: dict[str, Kind] = {
    **dict.fromkeys(("id", "key", "name"), "code"),
    **dict.fromkeys(("parameters", "multiply_adds", "bytes_per_member"), "short"),
}
"""Columns that are no plain texts or counts."""


@dataclass(frozen=True)
class Listing:
    """Rows with equal fields; what is nested stays out of the table.

    Examples
    --------
    >>> Listing("Runs", [{"id": "A", "weights": 1200, "spec": {"seed": 1}}]).to_frame().columns
    ['id', 'weights', 'spec']
    """

    title: str
    rows: Sequence[dict[str, Any]]
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "listing", "title": self.title, "rows": list(self.rows)}

    def to_frame(self) -> pl.DataFrame:
        """A row per row, nested values as JSON."""
        flat = [
            {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in row.items()}
            for row in self.rows
        ]
        return pl.from_dicts(flat, infer_schema_length=None) if flat else pl.DataFrame()

    def document(self) -> Document:
        """What to show."""
        first = self.rows[0] if self.rows else {}
        names = [name for name, value in first.items() if not isinstance(value, dict | list)]
        columns = [Column(name.replace("_", " "), _kind(name, first[name])) for name in names]
        parts: list[Part] = [Table(columns, [[row.get(n) for n in names] for row in self.rows])]
        return Document(self.title, [*parts, *([Items(self.notes)] if self.notes else [])])


def _kind(name: str, value: object) -> Kind:
    if name in KINDS:
        return KINDS[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "text"
    return "count" if isinstance(value, int) else "number"
