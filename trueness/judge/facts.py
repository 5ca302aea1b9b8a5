"""Names and values: what a file of bars holds, what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Column, Document, Part, Section, Sentence, Table
from trueness.document.numbers import capital, count, plain
from trueness.judge.judgement import SCHEMA

NAMES = (Column("what", weight=9), Column("value", weight=9))
NOTES = ("warnings", "notes")
"""Facts that stand as sentences."""


@dataclass(frozen=True)
class Facts:
    """Facts by name; those that hold facts of their own are a section each.

    Examples
    --------
    >>> result = Facts("Bars", {"rows": 1200, "sessions": {"missing": 2}})
    >>> result.to_frame().columns
    ['rows', 'sessions_missing']
    """

    title: str
    facts: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "facts", "title": self.title, **self.facts}

    def to_frame(self) -> pl.DataFrame:
        """One row."""
        flat = dict(_flat(self.facts))
        return pl.DataFrame([
            {k: json.dumps(v) if isinstance(v, list) else v for k, v in flat.items()}
        ])  # fmt: skip

    def document(self) -> Document:
        """A table of them, warnings first."""
        inside = {k: v for k, v in self.facts.items() if isinstance(v, Mapping)}
        sections = [Section(_titled(k), _parts(v)) for k, v in inside.items()]
        return Document(self.title, [*_parts(self.facts), *sections])


def _parts(facts: Mapping[str, Any]) -> list[Part]:
    notes = [
        Sentence(f"{capital(text)}.", "warning" if name == "warnings" else "note")
        for name in NOTES
        for text in facts.get(name, ())
    ]
    rows = [
        (_words(name), _value(value)) for name, value in facts.items()
        if name not in NOTES and not isinstance(value, Mapping)
    ]  # fmt: skip
    return [*notes, Table(NAMES, rows)]


def _titled(name: str) -> str:
    words = _words(name)
    return words[:1].upper() + words[1:]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return count(value) if isinstance(value, int) else plain(value)


def _flat(facts: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    result: list[tuple[str, Any]] = []
    for name, value in facts.items():
        inside = isinstance(value, Mapping)
        result += _flat(value, f"{before}{name}_") if inside else [(f"{before}{name}", value)]
    return result
