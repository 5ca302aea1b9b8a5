"""Documents as one self-contained page: opens from a file, needs no network."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

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
    Shaded,
    Slider,
    Table,
    numbers,
)
from trueness.report.cells import (
    GLUED,
    KINDS,
    address,
    anchors_of,
    clean,
    links_of,
    number_of,
    slug,
    spans,
    stands_right,
    text_of,
    visible,
)
from trueness.report.figures import has_points, plain, template
from trueness.report.interactive import Site, bar, form_view, in_script, live_view, slider_view
from trueness.report.palette import css_variables, dark_of_light

SECTIONS_IN_CONTENTS = 4
"""Headings from which a page has a table of contents."""
LEAST_TEXT_EM, MOST_TEXT_EM = 6, 22
"""Bounds of the least width of a column of text."""
EM_PER_LETTER = 0.56

_CELL, _CLASS = Markup("<td{}>{}</td>"), Markup(' class="{}"')
_NUMBER = Markup('<span class="number">{}</span>')

View = dict[str, Any]


def to_html(document: Document, site: Site | None = None) -> str:
    """Document as an HTML page, light or dark as its reader prefers.

    Alone, it needs nothing else: the library that draws is inside, once, if there is a figure.
    Of a `site`, style and scripts come from its server, and figures are plain JSON.
    """
    page = _Page(anchors_of(document.parts), site is not None)
    parts = page.views(document.parts, 2)
    alone = bool(page.figures) and site is None
    return _environment().get_template("page.html.j2").render(
        title=document.title, subtitle=document.subtitle, parts=parts,
        contents=page.contents if len(page.contents) >= SECTIONS_IN_CONTENTS else [],
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), version=version("trueness"),
        light=css_variables(), dark=css_variables(dark=True), site=site,
        figures=_packed(_figures(page)) if alone else "",
        plain=in_script(_content(page)) if page.figures and site else "",
        plotly=_library() if alone else "",
    )  # fmt: skip


def to_part(parts: Sequence[Part]) -> str:
    """Parts of a document as a piece of a live page, with their figures as JSON."""
    page = _Page(anchors_of(parts), live=True)
    views = page.views(parts, 2)
    plain = in_script(_content(page)) if page.figures else ""
    return _environment().get_template("part.html.j2").render(parts=views, plain=plain, site=Site())


def style_sheet() -> str:
    """Style of every page, with its colours."""
    colours = f":root {{ {css_variables()} }}"
    at_night = (
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {css_variables(True)} }} }}"
    )
    return f"{colours}\n{at_night}\n{static('page.css').decode()}"


def static(name: str) -> bytes:
    """A file of the pages, such as ``page.js``."""
    return files("trueness.report").joinpath(f"static/{name}").read_bytes()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("trueness.report", "static"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["words"] = words
    environment.filters["clean"] = clean
    return environment


@cache
def _library() -> str:
    """Plotly's basic bundle, a third of its size."""
    return _packed(static("plotly-basic.min.js"))


def _content(page: _Page) -> View:
    """Figures in their order, with what they have in common."""
    return {"figures": page.figures, "template": template(), "dark": dark_of_light()}


def _figures(page: _Page) -> bytes:
    return json.dumps(_content(page), allow_nan=False, separators=(",", ":")).encode()


def _packed(content: bytes) -> str:
    """Compressed, in letters that may stand in a page."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def words(text: str) -> Markup:
    """Text of a page: what is in backticks is code, a number and its interval stay in one line.

    Examples
    --------
    >>> print(words("run `a < b` for 95 % of <all>"))
    run <code>a &lt; b</code> for <span class="number">95 %</span> of &lt;all&gt;
    """
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if code else _numbers(piece)
        for piece, code in spans(text)
    )


def _numbers(text: str) -> Markup:
    """Escaped text; whatever could be broken inside of a number is held together."""
    pieces, end = [], 0
    for result in GLUED.finditer(text):
        if re.search("[ –/]", result[0]):
            pieces += [escape(text[end : result.start()]), _NUMBER.format(result[0])]
            end = result.end()
    return Markup("").join([*pieces, escape(text[end:])])


@dataclass
class _Page:
    """What a page collects while its parts become views: headings, figures, places."""

    anchors: set[str]
    live: bool = False
    figures: list[View] = field(default_factory=list)
    contents: list[View] = field(default_factory=list)
    folds: int = 0
    places: set[str] = field(default_factory=set)
    numbered: int = 0

    def number(self) -> int:
        """One more than the last time."""
        self.numbered += 1
        return self.numbered

    def views(self, parts: Sequence[Part], depth: int) -> list[View]:
        """Parts as the template takes them."""
        return [
            {"kind": type(p).__name__, **VIEWS[type(p)](self, p, depth)}
            for p in parts
            if self.live or not isinstance(p, Form | Slider)
        ]

    def place(self, section: Section) -> str:
        """Name of a section in addresses; its own anchor, else its title, never one twice."""
        base = slug(section.anchor) or f"s-{slug(section.title).lower()}"
        name, n = base, 1
        while name in self.places:
            n += 1
            name = f"{base}-{n}"
        self.places.add(name)
        return name


def _sentence(page: _Page, part: Sentence, depth: int) -> View:
    del page, depth
    return {"text": part.text, "tone": part.tone}


def _items(page: _Page, part: Items, depth: int) -> View:
    del page, depth
    return {"lines": part.lines}


def _hconcat(page: _Page, part: HConcat, depth: int) -> View:
    return {"parts": page.views(part.parts, depth)}


def _section(page: _Page, part: Section, depth: int) -> View:
    place = page.place(part)
    if depth == 2 or (depth == 3 and not part.folded and not page.folds):
        page.contents.append({"title": part.title, "place": place, "depth": depth})
    page.folds += part.folded
    parts = page.views(part.parts, depth + 1)
    page.folds -= part.folded
    return {
        "title": part.title, "place": place, "folded": part.folded, "depth": min(depth, 6),
        "parts": parts,
    }  # fmt: skip


def _figure(page: _Page, part: Figure, depth: int) -> View:
    del depth
    if not has_points(part):
        return {"caption": part.caption, "index": None}
    data, layout = plain(part)
    page.figures.append({"data": data, "layout": layout})
    return {
        "caption": part.caption, "index": len(page.figures) - 1,
        "width": part.width, "height": layout["height"],
    }  # fmt: skip


def _table(page: _Page, part: Table, depth: int) -> View:
    del depth
    shown = set(visible(part, part.shown))
    limits = [_limits(part, i) for i in range(len(part.columns))]
    rows = [
        {
            "style": part.style(i),
            "cells": _row(page, row, part.columns, limits),
            "tick": part.ticks[i] if part.ticks else None,
        }
        for i, row in enumerate(part.rows)
    ]
    heads = [_head(part, i) for i in range(len(part.columns))]
    return {
        "title": part.title, "note": part.note, "heads": heads,
        "heat": any(column.shade for column in part.columns),
        "bodies": [
            {"more": more, "rows": [rows[i] for i in some]}
            for more, some in groupby(range(len(rows)), key=lambda i: i not in shown)
        ],
        "ticks": bool(part.ticks), "hidden": len(rows) - len(shown),
        "total": numbers.count(len(rows)),
        "helps": [head for head in heads if head["help"]],
    }  # fmt: skip


def _head(table: Table, i: int) -> View:
    column = table.columns[i]
    longest = max((len(text_of(row[i], column)) for row in table.rows), default=0)
    wraps = KINDS[column.kind].wraps and longest
    least = min(MOST_TEXT_EM, max(LEAST_TEXT_EM, round(EM_PER_LETTER * longest)))
    return {
        "title": Markup("<br>").join(words(piece) for piece in column.title.split("\n")),
        "side": _side(column), "help": column.help,
        "width": least if wraps else 0, "sort": column.sort, "order": column.order,
    }  # fmt: skip


def _side(column: Column) -> str:
    return "n" if stands_right(column) else "t" if KINDS[column.kind].wraps else ""


def _row(
    page: _Page,
    row: Sequence[Cell],
    columns: Sequence[Column],
    limits: Sequence[tuple[float, float]],
) -> Markup:
    """Cells of a row; the first is its head."""
    cells = [_cell(page, *cell) for cell in zip(row, columns, limits, strict=True)]
    first = [Markup('<th scope="row"{}>{}</th>').format(*cell) for cell in cells[:1]]
    return Markup("").join([*first, *(_CELL.format(*cell) for cell in cells[1:])])


def _cell(
    page: _Page, cell: Cell, column: Column, limits: tuple[float, float]
) -> tuple[Markup, Markup]:
    """Attributes of a cell, and what stands in it."""
    side, shade = _side(column), _shade(cell, column, limits)
    attributes = (_CLASS.format(side) if side else Markup("")) + shade
    if links := links_of(cell):
        return attributes, Markup(" ").join(_link(page, one) for one in links)
    text = text_of(cell, column)
    drawn = bar(cell, column) if page.live else Markup("")
    return attributes, drawn + (words(text) if KINDS[column.kind].wraps else escape(text))


def _link(page: _Page, link: Link) -> Markup:
    """Link that leads somewhere, or a word with a hint."""
    target, text = address(link, page.anchors), clean(link.text)
    hint = Markup(' title="{}"').format(clean(link.hint)) if link.hint else Markup("")
    if target:
        return Markup('<a href="{}"{}>{}</a>').format(target, hint, text)
    return Markup("<span{}>{}</span>").format(hint, text)


def _limits(table: Table, i: int) -> tuple[float, float]:
    """Numbers of no and of full shade in a column."""
    column = table.columns[i]
    if column.limits is not None or column.shade != "signed":
        return column.limits or (0.0, 1.0)
    known = [abs(x) for row in table.rows if (x := number_of(row[i])) is not None]
    return (-max(known, default=1.0), max(known, default=1.0))


def _shade(cell: Cell, column: Column, limits: tuple[float, float]) -> Markup:
    """Class and strength of a shaded cell."""
    if not column.shade or cell is None:
        return Markup("")
    number = number_of(cell)
    if number is None:
        return Markup(' data-shade="none"') if isinstance(cell, Shaded) else Markup("")
    low, high = limits
    signed = column.shade == "signed"
    sign = ("below" if number < 0 else "above") if signed else "share"
    base = 0.0 if signed else low
    strength = min(1.0, max(0.0, abs(number - base) / (abs(high - base) or 1.0)))
    return Markup(' data-shade="{}" style="--s:{:.2f}"').format(sign, strength)


VIEWS: dict[type, Callable[[_Page, Any, int], View]] = {
    Sentence: _sentence, Items: _items, HConcat: _hconcat, Section: _section, Figure: _figure,
    Table: _table, Form: form_view, Slider: slider_view, Live: live_view,
}  # fmt: skip
"""Part -> what the template needs of it."""
