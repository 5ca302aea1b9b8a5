"""Pages of the checks: what each saw, what it means, what to do next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.checks.registry import CHECKS, PAGES, known_code
from trueness.checks.results import Check
from trueness.document import Column, Document, Section, Sentence, Table

SCHEMA = 1


def page_of(code: str) -> str:
    """Markdown page of a check.

    Raises
    ------
    TruenessError
        If there is no such check.
    """
    return PAGES[known_code(code)].read_text(encoding="utf-8")


def paragraphs(code: str) -> dict[str, str]:
    """Name -> text of the paragraphs of a page, each in one line.

    Examples
    --------
    >>> list(paragraphs("TRU003"))[:3]
    ['Severity', 'What it saw', 'What it means']
    """
    pieces = re.split(r"^\*\*([^*]+?)\.?\*\*", page_of(code), flags=re.MULTILINE)
    texts = [" ".join(text.split()) for text in pieces[2::2]]
    return dict(zip(pieces[1::2], texts, strict=True))


def next_move(code: str) -> str:
    """What the page of a check advises, in one line."""
    return paragraphs(code)["Next move"]


@dataclass(frozen=True)
class CheckPage:
    """What there is to know about one check."""

    check: Check

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        one = self.check
        limits = {limit.name: limit.default for limit in one.limits}
        return {
            "schema": SCHEMA, "kind": "check", "code": one.code, "title": one.title,
            "severity": one.severity, "applies_to": list(one.applies_to), "limits": limits,
            "page": page_of(one.code),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per paragraph."""
        known = paragraphs(self.check.code)
        return pl.DataFrame({"part": list(known), "text": list(known.values())})

    def document(self) -> Document:
        """What to show of it."""
        known = paragraphs(self.check.code).items()
        return Document(
            f"{self.check.code}: {self.check.title}",
            [Section(name, [Sentence(text)]) for name, text in known],
        )


@dataclass(frozen=True)
class CheckList:
    """Every check with its severity and title."""

    checks: tuple[Check, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "checks", "checks": self.to_frame().to_dicts()}

    def to_frame(self) -> pl.DataFrame:
        """A row per check."""
        return pl.DataFrame(
            [(c.code, c.severity, c.title, " ".join(c.applies_to)) for c in self.checks],
            schema=["code", "severity", "title", "applies_to"], orient="row",
        )  # fmt: skip

    def document(self) -> Document:
        """What to show of them."""
        columns = [Column("check", "code", 9), Column("severity", weight=8),
                   Column("fires on", weight=9), Column("made for", weight=4)]  # fmt: skip
        return Document("Checks", [Table(columns, self.to_frame().rows())])


def explained(code: str | None) -> CheckPage | CheckList:
    """One check, or all of them.

    Raises
    ------
    TruenessError
        If there is no such check.
    """
    if code is None:
        return CheckList(tuple(CHECKS.values()))
    return CheckPage(CHECKS[known_code(code)])
