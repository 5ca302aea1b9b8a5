"""What can be shown, without saying how: sentences, typed tables, figures as data, notes.

A judgement fills a `Document`; `report` renders it for the terminal, as Markdown, as an HTML page
or as LaTeX. Cells keep their values: a share is an estimate, not a text, so that each renderer
writes, aligns and shortens it in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

from trueness.errors import TruenessError

Kind: TypeAlias = Literal[
    "text", "code", "count", "short", "share", "share_only", "percent", "bound", "estimate",
    "difference", "points", "number", "p", "link", "date",
]  # fmt: skip
"""How the cells of a column are written and aligned.

``text`` wraps, ``code`` (keys, ids) never does; ``count`` has commas, ``short`` is 1.31M; ``share``
is an estimate in percent with counts, ``share_only`` without them, ``percent`` without its interval
either; ``bound`` its lower end; ``estimate`` and ``difference`` have decimals, the latter a sign;
``points`` is a difference of shares (the head names the unit); ``number`` a plain number; ``p`` a
p-value; ``link`` a `Link` or several; ``date`` a day. A cell that is a text stands as it is in a
column of any kind, such as "infeasible"; a number may stand where an estimate is expected.
"""
Shade: TypeAlias = Literal["", "share", "signed"]
TRACES = ("scatter", "bar", "pie")
"""Types of traces that every page can draw."""
Style: TypeAlias = Literal["", "baseline", "leader", "reference", "total", "muted", "warning"]
Tone: TypeAlias = Literal["", "verdict", "note", "warning", "error"]


@dataclass(frozen=True)
class Link:
    """A word that leads somewhere: to the page of a check, or to an anchor of the same document.

    `hint` is shown beside it where there is room, such as the title of a check.
    """

    text: str
    target: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Shaded:
    """A cell with a text and, apart from it, the number that shades it; see `Column.shade`.

    Without a number the cell is grey: it cannot be, or nothing is known.
    """

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    title : str
        Its head; a line break where it may break.
    kind : str
        See `Kind`.
    weight : int
        How much it is needed: where a terminal is too narrow, columns of the least weight leave
        first (of equal ones the rightmost), and their names are told. 9 leaves last, and the first
        column never.
    digits : int
        Decimals of estimates, differences and numbers.
    help : str
        What it means, in a sentence.
    shade : str
        Cells of a page are shaded by their number: ``share`` from none to full, ``signed`` in two
        colours around zero. A heat map is a table of such columns.
    limits : tuple of float, optional
        Numbers of no and of full shade; of ``signed``, of full shade on both sides. By default 0
        and 1, or what the column needs.
    bar : tuple of float, optional
        A page draws the interval of each estimate on an axis between these two numbers.
    sort : str
        Address of the page sorted by it.
    order : str
        How the rows are sorted by it; empty if they are not.
    """

    title: str
    kind: Kind = "text"
    weight: int = 5
    digits: int = 3
    help: str = ""
    shade: Shade = ""
    limits: tuple[float, float] | None = None
    bar: tuple[float, float] | None = None
    sort: str = ""
    order: Literal["", "ascending", "descending"] = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise TruenessError(f"column {self.title!r}: no kind {self.kind!r}", "column_kind")
        if self.shade not in get_args(Shade):
            raise TruenessError(f"column {self.title!r}: no shade {self.shade!r}", "column_shade")


Cell: TypeAlias = Any
"""Estimate, number, text, date, `Shaded`, `Link` or sequence of them; None for an empty cell."""


@dataclass(frozen=True)
class Table:
    """Typed columns and rows of values.

    Attributes
    ----------
    columns : sequence of Column
    rows : sequence of sequences of cells
        Each as long as `columns`.
    title : str
    note : str
        Stands under it.
    styles : sequence of str, optional
        One per row, see `Style`; all plain without it.
    shown : int, optional
        Rows that a terminal and the open part of a page show; all without it. Rows of a style
        other than ``muted`` and ``warning`` are always shown.
    ticks : sequence of str, optional
        One value per row that a reader may tick on a page; see `Form.rows`. Empty for none.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    note: str = ""
    styles: Sequence[Style] = ()
    shown: int | None = None
    ticks: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise TruenessError(
                    f"table {self.title!r}: a row of {len(row)} cells under {len(self.columns)} "
                    "columns", "row_length",
                )  # fmt: skip
        if self.styles and len(self.styles) != len(self.rows):
            raise TruenessError(
                f"table {self.title!r}: {len(self.styles)} styles for {len(self.rows)} rows",
                "row_length",
            )

    def style(self, row: int) -> Style:
        """Style of a row."""
        return self.styles[row] if self.styles else ""


@dataclass(frozen=True)
class Figure:
    """A picture as data: traces and layout of plotly as plain types, and what it shows in words.

    Colours by name, such as ``{"color": "series-0"}``, are those of the renderer's palette:
    ``series-0`` to ``series-7``, ``grey``, ``positive``, ``negative``, ``ink``, with an opacity
    after a slash (``series-0/0.15``).

    Attributes
    ----------
    data : list of dict
        Traces: ``scatter`` (the default), ``bar`` or ``pie``; a heat map is a table with `shade`.
    layout : dict
        What differs from the template: titles of axes, ranges, height. An axis with
        ``"integer": True`` has no ticks between whole numbers.
    caption : str
        One or two sentences; where pictures are not shown, it stands for the picture.
    width : int
        Least width in pixels; a narrower page scrolls it.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any] = field(default_factory=dict)
    caption: str = ""
    width: int = 0

    def __post_init__(self) -> None:
        for trace in self.data:
            if (kind := trace.get("type", "scatter")) not in TRACES:
                raise TruenessError(
                    f"figure {self.caption!r}: no traces {kind!r}; one of {', '.join(TRACES)}",
                    "figure_type",
                )


@dataclass(frozen=True)
class Sentence:
    """A paragraph; `tone` says what for: the verdict, a note, a warning, an error."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True)
class Items:
    """A list of short sentences."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Field:
    """One entry of a form.

    Attributes
    ----------
    name, label : str
    kind : {"choice", "several", "text", "hidden"}
        One or several of the choices, a line of text, or what no reader sees.
    value : str or sequence of str
        What it holds at first; several values of ``several``.
    choices : sequence of (value, label)
    hint : str
        What an empty line of text shows.
    """

    name: str
    label: str = ""
    kind: Literal["choice", "several", "text", "hidden"] = "text"
    value: str | Sequence[str] = ""
    choices: Sequence[tuple[str, str]] = ()
    hint: str = ""


@dataclass(frozen=True)
class Form:
    """What a reader of a live page may ask for; nothing elsewhere.

    Attributes
    ----------
    submit : str
        Words of its button.
    action : str
        Address that is asked.
    fields : sequence of Field
    posts : bool
        Whether it changes something, such as the ledger.
    rows : bool
        Whether ticked rows of tables (`Table.ticks`) go along, as ``run``.
    """

    submit: str
    action: str
    fields: Sequence[Field] = ()
    posts: bool = False
    rows: bool = False


@dataclass(frozen=True)
class Slider:
    """A table of which a page shows one row at a time, chosen by a slider; nothing elsewhere.

    Attributes
    ----------
    label : str
        What is moved.
    table : Table
        Its first column says where the slider stands.
    at : int
        Row that is shown first.
    units : sequence of (str, bool)
        Units by falling score, and whether each is positive.
    raised : sequence of int
        How many of them each row raises an alarm on.
    """

    label: str
    table: Table
    at: int = 0
    units: Sequence[tuple[str, bool]] = ()
    raised: Sequence[int] = ()


@dataclass(frozen=True)
class Live:
    """Parts that a live page replaces whenever they change.

    Attributes
    ----------
    place : str
        Name of the place, unique on its page.
    parts : sequence
    """

    place: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class HConcat:
    """Parts that belong side by side where there is room: two pictures, two small tables."""

    parts: Sequence[Sentence | Items | Table | Figure]


class Later(Sequence["Part"]):
    """Parts that are made when they are first asked for: a terminal leaves many out.

    Examples
    --------
    >>> parts = Later(lambda: [Sentence("made now")])
    >>> len(parts), parts[0].text
    (1, 'made now')
    """

    def __init__(self, make: Callable[[], Sequence[Part]]) -> None:
        self._make = make

    @cached_property
    def _parts(self) -> Sequence[Part]:
        return self._make()

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - an index or a slice
        return self._parts[at]


@dataclass(frozen=True)
class Section:
    """A heading with parts under it.

    Attributes
    ----------
    title : str
    parts : sequence
        Sentences, lists, tables, figures, further sections.
    anchor : str
        Where a `Link` of the same document may lead, as ``#anchor``.
    folded : bool
        A detail: closed on a page until it is opened, left out by a terminal.
    detail : bool
        Open on a page, left out by a terminal.
    """

    title: str
    parts: Sequence[Part]
    anchor: str = ""
    folded: bool = False
    detail: bool = False


Part: TypeAlias = Sentence | Items | Table | Figure | Form | Slider | Live | HConcat | Section


@dataclass(frozen=True)
class Document:
    """Everything that is shown of one judgement.

    Attributes
    ----------
    title : str
        With the campaign or the run it is about.
    parts : sequence
        As those of a `Section`.
    subtitle : str
        Facts under the title: data, units, dates.
    answer : str
        In few words what the parts say: first line of a terminal, and its last where that is long.
    """

    title: str
    parts: Sequence[Part]
    subtitle: str = ""
    answer: str = ""

    def tables(self) -> list[Table]:
        """Every table, in reading order, those of folded sections included."""
        return _parts_of_kind(self.parts, Table)

    def figures(self) -> list[Figure]:
        """Every figure, in reading order."""
        return _parts_of_kind(self.parts, Figure)

    def sentences(self) -> list[str]:
        """Texts of every sentence, in reading order."""
        return [one.text for one in _parts_of_kind(self.parts, Sentence)]


def _parts_of_kind(parts: Sequence[Any], kind: type[Any]) -> list[Any]:
    result: list[Any] = []
    for part in parts:
        if isinstance(part, kind):
            result.append(part)
        elif isinstance(part, Section | HConcat | Live):
            result += _parts_of_kind(part.parts, kind)
    return result
