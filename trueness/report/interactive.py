"""What only a live page shows: forms, sliders, places that change, bars of intervals in cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from trueness.document import Cell, Column, Form, Link, Live, Slider
from trueness.report.cells import clean, number_of, text_of

BAR_PX, BAR_HEIGHT_PX = 90, 12
"""Size of the bar of an interval."""

View = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """What stands around a document that a server shows.

    Attributes
    ----------
    links : sequence of Link
        Its pages.
    here : str
        Address of the one that is shown, as it stands in `links`.
    command : str
        Verb of the command line that gives the same numbers; empty for none.
    token : str
        Goes along with forms that change something.
    waits : bool
        Whether the page is not finished, and is asked for again.
    events : str
        Address of the stream of its changes; empty for none.
    version : str
        Changes with its scripts and its style.
    """

    links: Sequence[Link] = ()
    here: str = ""
    command: str = ""
    token: str = ""
    waits: bool = False
    events: str = ""
    version: str = ""


def form_view(page: Any, part: Form, depth: int) -> View:  # noqa: ANN401 - of html
    """A form as the template takes it."""
    del depth
    return {"form": part, "place": f"form-{page.number()}"}


def live_view(page: Any, part: Live, depth: int) -> View:  # noqa: ANN401 - of html
    """A place that changes, with what stands there now."""
    return {"place": part.place, "parts": page.views(part.parts, depth)}


def slider_view(page: Any, part: Slider, depth: int) -> View:  # noqa: ANN401 - of html
    """A slider, with every row as texts, in JSON."""
    del depth
    table = part.table
    rows = [
        [text_of(cell, column) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    content = {
        "rows": rows, "raised": list(part.raised),
        "units": [[clean(name), positive] for name, positive in part.units],
    }  # fmt: skip
    return {
        "place": f"slider-{page.number()}", "label": part.label, "at": part.at,
        "heads": [clean(column.title) for column in table.columns], "rows": rows,
        "content": in_script(content), "units": bool(part.units),
    }  # fmt: skip


def in_script(content: Any) -> Markup:  # noqa: ANN401 - whatever JSON can hold
    r"""JSON that may stand between script tags.

    Examples
    --------
    >>> print(in_script({"id": "</script>"}))
    {"id":"\u003c/script>"}
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def bar(cell: Cell, column: Column) -> Markup:
    """Interval of an estimate drawn on the axis of its column; nothing where none is."""
    low, high, value = getattr(cell, "low", None), getattr(cell, "high", None), number_of(cell)
    if column.bar is None or low is None or high is None or value is None:
        return Markup("")
    start, end = column.bar
    places = [
        min(1.0, max(0.0, (x - start) / ((end - start) or 1.0))) * BAR_PX
        for x in (low, high, value)
    ]
    middle = BAR_HEIGHT_PX / 2
    return Markup(
        '<svg class="bar" width="{}" height="{}" aria-hidden="true">'
        '<line x1="0" x2="{}" y1="{}" y2="{}"/><rect x="{:.1f}" y="{}" width="{:.1f}" height="4"/>'
        '<circle cx="{:.1f}" cy="{}" r="3"/></svg>'
    ).format(
        BAR_PX, BAR_HEIGHT_PX, BAR_PX, middle, middle, places[0], middle - 2,
        max(1.0, places[1] - places[0]), places[2], middle,
    )  # fmt: skip
