"""Documents changed: every text of one (cells stay as they are), or every table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from trueness.document.model import (
    Document,
    Figure,
    Form,
    HConcat,
    Items,
    Later,
    Live,
    Part,
    Section,
    Sentence,
    Slider,
    Table,
)

Change = Callable[[str], str]


def with_texts(document: Document, change: Change) -> Document:
    """A document in which `change` was applied to every text.

    Examples
    --------
    >>> with_texts(Document("Runs", [Sentence("none")]), str.upper).sentences()
    ['NONE']
    """
    return replace(document, parts=_parts(document.parts, change))


def with_tables(document: Document, change: Callable[[Table], Table]) -> Document:
    """A document in which `change` was applied to every table."""
    return replace(document, parts=_with(document.parts, Table, change))


def with_figures(document: Document, change: Callable[[Figure], Figure]) -> Document:
    """A document in which `change` was applied to every figure."""
    return replace(document, parts=_with(document.parts, Figure, change))


def _with(parts: Sequence[Any], kind: type[Part], change: Callable[[Any], Any]) -> Sequence[Any]:
    def each() -> list[Any]:
        return [
            change(part) if isinstance(part, kind)
            else replace(part, parts=_with(part.parts, kind, change))
            if isinstance(part, Section | HConcat | Live) else part
            for part in parts
        ]  # fmt: skip

    return Later(each) if isinstance(parts, Later) else each()


def whole(parts: Sequence[Any]) -> list[Any]:
    """Parts of which none is made later, so that they may be sent to another process."""
    return [
        replace(part, parts=whole(part.parts))
        if isinstance(part, Section | HConcat | Live)
        else part
        for part in parts
    ]


def _parts(parts: Sequence[Any], change: Change) -> Sequence[Any]:
    if isinstance(parts, Later):
        return Later(lambda: _each(parts, change))
    return _each(parts, change)


def _each(parts: Sequence[Any], change: Change) -> list[Any]:
    return [CHANGED[type(part)](part, change) for part in parts]


CHANGED: dict[type[Part], Callable[[Any, Change], Any]] = {
    Sentence: lambda part, change: replace(part, text=change(part.text)),
    Items: lambda part, change: replace(part, lines=[change(line) for line in part.lines]),
    Table: lambda part, change: replace(part, note=change(part.note)),
    Figure: lambda part, change: replace(part, caption=change(part.caption)),
    Form: lambda part, change: part,
    Slider: lambda part, change: part,
    Live: lambda part, change: replace(part, parts=_parts(part.parts, change)),
    HConcat: lambda part, change: replace(part, parts=_parts(part.parts, change)),
    Section: lambda part, change: replace(part, parts=_parts(part.parts, change)),
}
