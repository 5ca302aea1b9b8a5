"""Documents as Markdown, in GitHub's flavour."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from trueness.document import (
    Cell,
    Column,
    Document,
    Figure,
    Form,
    HConcat,
    Items,
    Link,
    Live,
    Part,
    Section,
    Sentence,
    Slider,
    Table,
)
from trueness.report.cells import (
    address,
    anchors_of,
    head,
    links_of,
    slug,
    spans,
    stands_right,
    text_of,
)

SPECIAL = re.compile(r"[\\*\[\]<>|~$`]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
AT_START = re.compile(r"^(\s*)([#+=-]|\d+(?=[.)](?:\s|$)))")
EMPHASIS = {"verdict": "**", "note": "", "warning": "", "error": ""}
PREFIXES = {"warning": "**Warning:** ", "error": "**Error:** "}
DEEPEST = 6


@dataclass(frozen=True)
class RenderContext:
    """Depth of the next heading, and the anchors of the document."""

    depth: int
    anchors: set[str]


def to_markdown(document: Document) -> str:
    r"""Document as Markdown; of a figure, its caption.

    Examples
    --------
    >>> print(to_markdown(Document("Runs", [Sentence("All `3` *equal*.")])))
    # Runs
    <BLANKLINE>
    All `3` \*equal\*.
    <BLANKLINE>
    """
    blocks = [f"# {escaped(document.title)}"]
    blocks += [escaped(document.subtitle)] if document.subtitle else []
    return (
        "\n\n".join(
            [*blocks, *_blocks(document.parts, RenderContext(2, anchors_of(document.parts)))]
        )
        + "\n"
    )


def escaped(text: str) -> str:
    """Text whose characters stand for themselves, but for what is in backticks."""
    pieces = [
        f"`{piece}`".replace("|", "\\|") if code else SPECIAL.sub(r"\\\g<0>", piece)
        for piece, code in spans(text)
    ]
    return AT_START.sub(_started, "".join(pieces).strip())


def _started(result: re.Match[str]) -> str:
    """Beginning of a line that would begin a heading or a list."""
    space, mark = result.groups()
    return f"{space}{mark}\\" if mark.isdigit() else f"{space}\\{mark}"


def _blocks(parts: Sequence[Part], context: RenderContext) -> list[str]:
    return [block for part in parts for block in RENDERERS[type(part)](part, context)]


def _sentence(part: Sentence, context: RenderContext) -> list[str]:
    del context
    mark = EMPHASIS.get(part.tone, "")
    return [f"{PREFIXES.get(part.tone, '')}{mark}{escaped(part.text)}{mark}"]


def _items(part: Items, context: RenderContext) -> list[str]:
    del context
    return ["\n".join(f"- {escaped(line)}" for line in part.lines)] if part.lines else []


def _section(part: Section, context: RenderContext) -> list[str]:
    inside = _blocks(part.parts, replace(context, depth=min(DEEPEST, context.depth + 1)))
    anchor = f'<a id="{slug(part.anchor)}"></a>\n\n' if part.anchor else ""
    if part.folded:
        summary = f"{anchor}<details>\n<summary>{_html_text(part.title)}</summary>"
        return [summary, *inside, "</details>"]
    return [f"{anchor}{'#' * context.depth} {escaped(part.title)}", *inside]


def _html_text(text: str) -> str:
    return "".join(
        f"<code>{escape(piece)}</code>" if code else escape(piece) for piece, code in spans(text)
    )


def _figure(part: Figure, context: RenderContext) -> list[str]:
    del context
    return [f"*Figure: {escaped(part.caption)}*"] if part.caption else []


def _table(part: Table, context: RenderContext) -> list[str]:
    rules = ["---:" if stands_right(column) else "---" for column in part.columns]
    rows = [[escaped(head(column)) for column in part.columns], rules]
    rows += [
        [_cell(cell, column, context) for cell, column in zip(row, part.columns, strict=True)]
        for row in part.rows
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    title = [f"**{escaped(part.title)}**"] if part.title else []
    return [*title, table, *([escaped(part.note)] if part.note else [])]


def _cell(cell: Cell, column: Column, context: RenderContext) -> str:
    """Cell; links that lead out of the document, or inside of it, are links."""
    if links := links_of(cell):
        return " ".join(_link(link, address(link, context.anchors)) for link in links)
    return escaped(text_of(cell, column))


def _link(link: Link, target: str) -> str:
    safe = re.sub(r"[\s()<>|\\]", lambda result: f"%{ord(result[0]):02X}", target)
    return f"[{escaped(link.text)}]({safe})" if target else escaped(link.text)


RENDERERS: dict[type, Callable[[Any, RenderContext], list[str]]] = {
    Sentence: _sentence, Items: _items, Table: _table, Section: _section, Figure: _figure,
    HConcat: lambda part, context: _blocks(part.parts, context), Form: lambda part, context: [],
    Slider: lambda part, context: [], Live: lambda part, context: _blocks(part.parts, context),
}  # fmt: skip
"""Part -> its blocks, under a heading of some depth."""
