"""Cells as text: one formatter for every renderer, and what a text from data may not hold."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trueness.document import Cell, Column, Kind, Link, Live, Section, Shaded, Table, numbers

NBSP = "\u00a0"
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that never reach a reader: controls, marks of direction, separators."""
_N = r"[−+-]?\d[\d.,]*"
_INTERVAL = rf"\({_N}(?:–| to ){_N}\)"
GLUED = re.compile(rf"p [<=] {_N}|{_N}(?: %)?(?: {_INTERVAL})?(?: · {_N}/{_N})?|{_INTERVAL}")
CODE = re.compile(r"`([^`]+)`")
ALWAYS_SHOWN = {"leader", "baseline", "reference", "total"}
"""Styles of rows that no limit leaves out."""


@dataclass(frozen=True)
class Writing:
    """How the cells of a kind are written, on which side they stand, and whether they wrap."""

    text: Callable[[Any, Column], str]
    right: bool = True
    wraps: bool = False


def _number(x: float, column: Column) -> str:
    return numbers.count(x) if isinstance(x, int) else numbers.decimal(x, column.digits)


def _of_estimate(
    write: Callable[[Any, Column], str], alone: Callable[[float, Column], str]
) -> Callable[[Any, Column], str]:
    """What writes estimates with one function, and bare numbers with another."""
    return lambda cell, column: (write if hasattr(cell, "low") else alone)(cell, column)


def _percent(share: float | None) -> str:
    shown = numbers.percent(share)
    return shown if shown == numbers.UNKNOWN else f"{shown} %"


def _share(x: float, column: Column) -> str:
    del column
    return _percent(x)


KINDS: dict[Kind, Writing] = {
    "text": Writing(lambda x, _: str(x), right=False, wraps=True),
    "code": Writing(lambda x, _: str(x), right=False),
    "count": Writing(lambda x, _: numbers.count(x)),
    "short": Writing(lambda x, _: numbers.short(x)),
    "share": Writing(_of_estimate(lambda e, _: numbers.share(e), _share)),
    "share_only": Writing(_of_estimate(lambda e, _: numbers.share(e, counts=False), _share)),
    "percent": Writing(_of_estimate(lambda e, _: _percent(e.value), _share)),
    "bound": Writing(
        _of_estimate(lambda e, _: numbers.lower_bound(e), lambda x, c: f"≥ {_share(x, c)}")
    ),
    "estimate": Writing(_of_estimate(
        lambda e, c: numbers.estimate(e, c.digits), lambda x, c: numbers.decimal(x, c.digits)
    )),
    "difference": Writing(_of_estimate(
        lambda e, c: numbers.estimate(e, c.digits, signed=True),
        lambda x, c: numbers.decimal(x, c.digits, signed=True),
    )),
    "points": Writing(_of_estimate(
        lambda e, _: numbers.points(e, unit=False),
        lambda x, _: numbers.decimal(100 * x, 1, signed=True),
    )),
    "number": Writing(_of_estimate(lambda e, c: numbers.decimal(e.value, c.digits), _number)),
    "p": Writing(lambda x, _: numbers.p_value(x, name=False)),
    "link": Writing(lambda x, _: str(x), right=False, wraps=True),
    "date": Writing(lambda x, _: str(x)[:10], right=False),
}  # fmt: skip
"""Kind -> how it is written."""


def text_of(cell: Cell, column: Column) -> str:
    """Cell as text, without anything that a terminal would obey.

    Examples
    --------
    >>> text_of(1306351, Column("weights", "count")), text_of(None, Column("AUC", "estimate"))
    ('1,306,351', '')
    >>> text_of(0.043, Column("share", "share")), text_of("infeasible", Column("share", "share"))
    ('4.3 %', 'infeasible')
    """
    if cell is None:
        return ""
    if isinstance(cell, str):
        return clean(cell)
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, Shaded):
        return clean(cell.text)
    if links := links_of(cell):
        return " ".join(clean(link.text).replace(" ", NBSP) for link in links)
    return "" if isinstance(cell, Sequence) else clean(KINDS[column.kind].text(cell, column))


def links_of(cell: Cell) -> list[Link]:
    """Links of a cell, none if it holds something else."""
    if isinstance(cell, Link):
        return [cell]
    if isinstance(cell, Sequence) and not isinstance(cell, str):
        return [one if isinstance(one, Link) else Link(str(one)) for one in cell]
    return []


def number_of(cell: Cell) -> float | None:
    """Number that shades a cell."""
    value = getattr(cell, "value", cell)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def clean(text: str) -> str:
    r"""Text in one line, without control characters and marks of direction.

    Examples
    --------
    >>> clean("a\x1b[31mred\nline")
    'a[31mred line'
    """
    if text.isascii() and text.isprintable():
        return text
    return screened("".join(" " if c in "\n\r\t\v\f" else c for c in text))


def screened(text: str) -> str:
    r"""Text without control characters and marks of direction, but for line breaks.

    Examples
    --------
    >>> screened("a\x1b[31mred\x9b2J\u202e")
    'a[31mred2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) not in UNSEEN)


def glued(text: str) -> str:
    """Text whose numbers hold together: a share and its interval are never on two lines.

    Examples
    --------
    >>> glued("pooled 43 % (25–63) · 13/30 here").replace(NBSP, "_")
    'pooled 43_%_(25–63)_·_13/30 here'
    """
    return GLUED.sub(lambda result: result[0].replace(" ", NBSP), text)


def spans(text: str) -> list[tuple[str, bool]]:
    """Pieces of a text, and whether each stood in backticks.

    Examples
    --------
    >>> spans("run `trueness list` first")
    [('run ', False), ('trueness list', True), (' first', False)]
    """
    pieces = CODE.split(clean(text))
    return [(piece, bool(i % 2)) for i, piece in enumerate(pieces) if piece]


def stands_right(column: Column) -> bool:
    """Whether cells stand at the right edge: numbers, and whatever is shaded by one."""
    return KINDS[column.kind].right or bool(column.shade)


def slug(anchor: str) -> str:
    """Anchor as an address can hold it."""
    return re.sub(r"[^\w-]+", "-", clean(anchor)).strip("-")


def anchors_of(parts: Sequence[Any]) -> set[str]:
    """Anchors that sections have, at any depth."""
    holding = [part for part in parts if isinstance(part, Section | Live)]
    inside = [anchors_of(part.parts) for part in holding]
    own = {slug(part.anchor) for part in holding if isinstance(part, Section) and part.anchor}
    return own.union(*inside)


def address(link: Link, anchors: set[str]) -> str:
    """Where a link leads: an anchor that is there, a web page, a file; otherwise nothing.

    Examples
    --------
    >>> address(Link("TRU008"), {"TRU008"}), address(Link("TRU009", "#TRU009"), {"TRU008"})
    ('#TRU008', '')
    >>> address(Link("a", "javascript:alert()"), set()), address(Link("a", "b.html"), set())
    ('', 'b.html')
    """
    target = clean(link.target or f"#{link.text}").strip()
    if target.startswith("#"):
        return f"#{slug(target[1:])}" if slug(target[1:]) in anchors else ""
    return target if re.match(r"https?://|(?![\w+.-]*:|[/\\]{2})", target) else ""


def head(column: Column) -> str:
    """Head of a column in one line."""
    return clean(column.title)


def visible(table: Table, limit: int | None) -> list[int]:
    """Rows of a table that a limit leaves: the first plain ones, and every one of note.

    Examples
    --------
    >>> table = Table([Column("a")], [["x"], ["y"], ["z"]], styles=["", "", "baseline"])
    >>> visible(table, 1)
    [0, 2]
    """
    kept, plain = [], 0
    for row in range(len(table.rows)):
        noted = table.style(row) in ALWAYS_SHOWN
        plain += not noted
        if noted or limit is None or plain <= limit:
            kept.append(row)
    return kept
