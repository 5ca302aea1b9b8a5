"""What a corpus of texts holds: its classes, its languages, what was joined and left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Cell, Column, Document, Items, Section, Table
from trueness.document.numbers import count, listed
from trueness.evaluation.levels import levels_of
from trueness.judge.judgement import SCHEMA
from trueness.text.corpus import Corpus
from trueness.text.sizes import size_notes

ROWS_SHOWN, DETECTED_SHOWN = 30, 10
FACTS = ("rows", "clusters", "characters")
"""Statistics that are shown beside the counts of classes and languages."""


@dataclass(frozen=True)
class CorpusSummary:
    """A corpus in numbers."""

    corpus: Corpus

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        corpus = self.corpus
        return {
            "schema": SCHEMA, "kind": "corpus", "corpus": str(corpus.folder),
            "digest": corpus.digest, "classes": corpus.classes, "statistics": corpus.statistics,
            "provenance": corpus.provenance, "reports": corpus.reports,
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per class and language: texts of each part."""
        return pl.from_dicts([
            {"of": what, "name": name, **counts}
            for what, counted in self._counts().items()
            for name, counts in counted.items()
        ])  # fmt: skip

    def document(self) -> Document:
        """What to show."""
        corpus, statistics = self.corpus, self.corpus.statistics
        whole = sum(statistics["rows"].values())
        facts = {name: statistics[name] for name in FACTS} | _levels(corpus)
        facts |= _readable(corpus.reports)
        return Document(
            f"Corpus {corpus.folder.name}",
            [
                *(_table(what, counts, whole) for what, counts in self._counts().items()),
                *([Items(note)] if (note := [*_columns(corpus.columns), *self._sizes()]) else []),
                Section("How it was built", [_facts(facts)]),
            ],
            f"{corpus.folder} · digest {corpus.digest}",
        )

    def _sizes(self) -> list[str]:
        """Sizes that were chosen, and languages that are no slices."""
        corpus = self.corpus
        plan, chosen = corpus.provenance["plan"], corpus.reports.get("chosen_sizes") or ()
        return size_notes(chosen, plan, corpus.statistics["languages"])

    def _counts(self) -> dict[str, dict[str, dict[str, int]]]:
        statistics = self.corpus.statistics
        return {"class": statistics["classes"], "language": statistics["languages"]}


ROLES = {
    "text": "title", "label": "class", "parents": "levels above the class", "language": "language",
    "cluster": "cluster", "id": "id", "fields": "fields", "numbers": "numbers",
}  # fmt: skip
"""Role of a column -> what it is called."""
WITHOUT = {"language": "no language", "cluster": "no cluster", "id": "no id"}
"""What holds where no column has a role."""


def _columns(taken: Mapping[str, Any]) -> list[str]:
    """Which columns of the source were taken for what; nothing if it was no table."""
    if not taken:
        return []
    result = []
    for role, name in ROLES.items():
        columns = [taken[role]] if isinstance(taken.get(role), str) else list(taken.get(role) or ())
        if columns:
            result.append(f"{name} from {listed([repr(one) for one in columns], 20)}")
        elif role in WITHOUT:
            result.append(WITHOUT[role])
    return [f"Columns: {', '.join(result)}"]


def _levels(corpus: Corpus) -> dict[str, Any]:
    """Classes at each level, where classes are paths."""
    above = levels_of(corpus.classes, corpus.joiner)
    named = {f"level {one.depth}": len(one.classes) for one in reversed(above)}
    return {"classes": {**named, "leaves": len(corpus.classes)}} if named else {}


def _table(what: str, counts: dict[str, dict[str, int]], whole: int) -> Table:
    """Texts of each class or language; what has few texts is one row at its foot."""
    names = list(counts)
    rest = names[ROWS_SHOWN:]
    shown = {name: counts[name] for name in names[:ROWS_SHOWN]}
    if rest:
        shown[f"{len(rest)} others"] = {
            part: sum(counts[name][part] for name in rest) for part in counts[rest[0]]
        }
    parts = list(next(iter(shown.values()))) if shown else []
    columns = [
        Column(what, "text", 9), *(Column(part, "count", 7) for part in parts),
        Column("share", "percent", 6),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [name, *row.values(), sum(row.values()) / whole] for name, row in shown.items()
    ]
    return Table(columns, rows)


def _readable(reports: dict[str, Any]) -> dict[str, Any]:
    """Reports as names and values; of the near-duplicates one example."""
    shown = {name: value for name, value in reports.items() if value and name != "chosen_sizes"}
    if alike := shown.get("near_duplicates"):
        pairs = alike["examples"][:1]
        example = [f"{one['id']}: {one['text']}" for pair in pairs for one in pair]
        rest = {name: value for name, value in alike.items() if name != "examples"}
        shown["near_duplicates"] = rest | ({"example": example} if example else {})
    if slices := shown.pop("languages", None):
        shown["detected_languages"] = {
            row["language"]: f"{row['rows']:,} texts, mean confidence {row['mean_confidence']:.3f}"
            for row in slices[:DETECTED_SHOWN]
        }
    return shown


def _facts(facts: dict[str, Any]) -> Table:
    rows: list[list[Cell]] = []
    for name, value in facts.items():
        inside = value if isinstance(value, dict) else {"": value}
        for field, one in inside.items():
            fact = " · ".join(text.replace("_", " ") for text in (name, field) if text)
            rows.append([fact, _value(one)])
    return Table([Column("fact", "code", 9), Column("value", "text", 9)], rows)


def _value(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    if isinstance(value, dict):
        return ", ".join(f"{str(k).replace('_', ' ')} {_value(v)}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(_value(one) for one in value) or "none"
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return count(value)
