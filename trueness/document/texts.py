"""Texts of a document changed: sentences, lists, notes and captions; cells stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from trueness.document.model import (
    Beside,
    Document,
    Figure,
    Form,
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
    Beside: lambda part, change: replace(part, parts=_parts(part.parts, change)),
    Section: lambda part, change: replace(part, parts=_parts(part.parts, change)),
}
