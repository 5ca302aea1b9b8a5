"""Documents in a terminal: whatever its width, no line is wider and no number is split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from trueness.document import (
    Column,
    Document,
    Figure,
    Form,
    HConcat,
    Items,
    Live,
    Part,
    Section,
    Sentence,
    Slider,
    Style,
    Table,
    numbers,
)
from trueness.report.cells import (
    NBSP,
    glued,
    head,
    screened,
    spans,
    stands_right,
    text_of,
    visible,
)
from trueness.report.grid import GAP, Grid, fit, head_lines, wrapped

STYLES: dict[Style, str] = {
    "": "", "baseline": "cyan", "leader": "bold", "reference": "cyan", "total": "bold",
    "muted": "dim", "warning": "yellow",
}  # fmt: skip
TONES = {"": "", "verdict": "bold", "note": "dim", "warning": "yellow", "error": "bold red"}
PREFIXES = {"warning": "Warning: ", "error": "Error: "}
"""Tone -> words before its sentence, for whom colours say nothing."""
ASCII = str.maketrans({
    "−": "-", "–": "-", "—": "-", "─": "-", "·": "|", "•": "*", "≥": ">=", "≤": "<=", "×": "x",
    "…": "...", "→": "->", "▲": "^", "▼": "v",
})  # fmt: skip
"""For terminals that know nothing else."""
HCONCAT_GAP = 4
LONG = 30
"""Lines beyond which the beginning is out of sight."""
MOST_NAMES = 72
"""Letters up to which the folded sections are named."""

Lines = list[Text]


@dataclass(frozen=True)
class Screen:
    """Cells of a line, rows of a table at most, and whether it knows more than ASCII."""

    width: int
    limit: int | None = None
    ascii_only: bool = False

    def plain(self, text: str) -> str:
        """Text without backticks, its numbers glued, in letters that the terminal knows."""
        said = glued("".join(piece for piece, _ in spans(text)))
        return said.translate(ASCII) if self.ascii_only else said


class Screened(Console):
    """Console that prints nothing that a terminal would obey, but for its own styles.

    Whatever is printed on a terminal goes through one of these: what comes from data, files and
    errors may hold escape sequences and marks of direction.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments whose texts are screened."""
        for segment in super().render(renderable, options):
            safe = segment.control or segment.text == "\n"
            yield segment if safe else segment._replace(text=screened(segment.text))

    def on_broken_pipe(self) -> None:
        """Let the caller know that nobody reads on."""
        raise BrokenPipeError


def show(document: Document, console: Console, limit: int | None = None) -> None:
    """Print a document; folded sections and figures are left out, which a line at the end tells.

    Its answer is the first line, and the last one again where it is long.

    Parameters
    ----------
    document : Document
    console : Console
        Its width is kept.
    limit : int, optional
        Plain rows of a table at most; see `cells.visible`.
    """
    screen = Screen(console.width, limit, console.options.ascii_only)
    for line in _document(document, screen):
        console.print(line, highlight=False, soft_wrap=True)


def _document(document: Document, screen: Screen) -> Lines:
    title = _paragraph(document.title, screen, "bold") if document.title else []
    subtitle = _paragraph(document.subtitle, screen, "dim") if document.subtitle else []
    answer = _paragraph(document.answer, screen, "bold") if document.answer else []
    blocks = [answer, title + subtitle, *_blocks(document.parts, screen)]
    if left_out := _left_out(document):
        blocks.append(_paragraph(left_out, screen, "dim"))
    lines = _joined([block for block in blocks if block])
    return [*lines, Text(), *answer] if answer and len(lines) > LONG else lines


def _blocks(parts: Sequence[Part], screen: Screen) -> list[Lines]:
    """Lines of every part that shows something; sentences of one tone stand together."""
    blocks: list[Lines] = []
    before: Part | None = None
    for part in parts:
        lines = RENDERERS[type(part)](part, screen)
        if lines and _belongs(before, part):
            blocks[-1] = blocks[-1] + lines
        elif lines:
            blocks.append(lines)
        before = part if lines else before
    return blocks


def _belongs(before: Part | None, part: Part) -> bool:
    """Whether a sentence follows one of its tone."""
    both = isinstance(before, Sentence) and isinstance(part, Sentence)
    return both and before.tone == part.tone != "verdict"


def _joined(blocks: Sequence[Lines]) -> Lines:
    lines: Lines = []
    for block in blocks:
        lines += ([Text()] if lines and block else []) + block
    return lines


def _paragraph(text: str, screen: Screen, style: str = "", indent: str = "") -> Lines:
    lines = wrapped(screen.plain(text), max(1, screen.width - len(indent)))
    return [Text(f"{indent if i else ''}{line}", style) for i, line in enumerate(lines)]


def _sentence(part: Sentence, screen: Screen) -> Lines:
    return _paragraph(PREFIXES.get(part.tone, "") + part.text, screen, TONES[part.tone])


def _items(part: Items, screen: Screen) -> Lines:
    return [
        line for text in part.lines
        for line in _paragraph(f"•{NBSP}{text}", screen, indent="  ")
    ]  # fmt: skip


def _section(part: Section, screen: Screen) -> Lines:
    """Title over what it holds; nothing if all of it is folded or a picture."""
    blocks = [] if part.folded or part.detail else _blocks(part.parts, screen)
    if not blocks:
        return []
    heading = _paragraph(part.title, screen, "bold underline")
    return _joined([heading + blocks[0], *blocks[1:]])


def _hconcat(part: HConcat, screen: Screen) -> Lines:
    """Tables side by side if there is room, else one under the other."""
    blocks = _blocks(part.parts, screen)
    widths = [max(line.cell_len for line in block) for block in blocks]
    alone = len(blocks) < 2 or not all(isinstance(p, Table | Figure) for p in part.parts)
    if alone or sum(widths) + HCONCAT_GAP * (len(widths) - 1) > screen.width:
        return _joined(blocks)
    lines = []
    for row in range(max(map(len, blocks))):
        line = Text()
        for block, width in zip(blocks, widths, strict=True):
            cell = block[row].copy() if row < len(block) else Text()
            cell.pad_right(width + HCONCAT_GAP - cell.cell_len)
            line.append_text(cell)
        line.rstrip()
        lines.append(line)
    return lines


def _table(part: Table, screen: Screen) -> Lines:
    """Title, head, rows, what is left out, note."""
    cut = [n for n in (screen.limit, part.shown) if n is not None]
    rows = visible(part, min(cut, default=None))
    columns = [replace(column, title=_head_text(column, screen)) for column in part.columns]
    texts = [
        [screen.plain(text_of(part.rows[row][i], column)) for row in rows]
        for i, column in enumerate(columns)
    ]
    grid = fit(columns, texts, screen.width)
    lines = _paragraph(part.title, screen, "italic") if part.title else []
    lines += _head(columns, grid, screen)
    for k, row in enumerate(rows):
        lines += _gap(part, rows, k, screen)
        lines += _row(columns, grid, [cells[k] for cells in texts], part.style(row))
    lines += _gap(part, rows, len(rows), screen)
    lines += _columns_left_out(columns, grid, screen)
    return lines + (_paragraph(part.note, screen, "dim") if part.note else [])


def _head_text(column: Column, screen: Screen) -> str:
    return "\n".join(screen.plain(piece) for piece in column.title.split("\n"))


def _head(columns: Sequence[Column], grid: Grid, screen: Screen) -> Lines:
    cells = [head_lines(columns[i], w) for i, w in zip(grid.columns, grid.widths, strict=True)]
    height = max(map(len, cells))
    cells = [[""] * (height - len(lines)) + lines for lines in cells]
    rule = (" " * GAP).join(screen.plain("─") * width for width in grid.widths)
    return [*_laid(columns, grid, cells, "bold"), Text(rule, "dim")]


def _row(columns: Sequence[Column], grid: Grid, texts: Sequence[str], style: Style) -> Lines:
    cells = [wrapped(texts[i], w) for i, w in zip(grid.columns, grid.widths, strict=True)]
    return _laid(columns, grid, cells, STYLES[style])


def _laid(
    columns: Sequence[Column], grid: Grid, cells: Sequence[Sequence[str]], style: str
) -> Lines:
    """Lines of one row from the lines of its cells."""
    lines = []
    for k in range(max(map(len, cells))):
        line = Text(style=style)
        for i, width, texts in zip(grid.columns, grid.widths, cells, strict=True):
            cell = Text(texts[k] if k < len(texts) else "")
            free = width - cell.cell_len
            (cell.pad_left if stands_right(columns[i]) else cell.pad_right)(free)
            cell.pad_right(GAP)
            line.append_text(cell)
        line.rstrip()
        lines.append(line)
    return lines


def _gap(part: Table, rows: Sequence[int], k: int, screen: Screen) -> Lines:
    """Line that tells of rows left out before the k-th that is shown."""
    after = rows[k] if k < len(rows) else len(part.rows)
    hidden = after - (rows[k - 1] + 1 if k else 0)
    if not hidden:
        return []
    by_limit = part.shown is None or (screen.limit is not None and screen.limit < part.shown)
    how = "--limit or --report" if by_limit else "--report"
    return _paragraph(f"… {numbers.plural(hidden, 'more row')}: {how} shows them", screen, "dim")


def _columns_left_out(columns: Sequence[Column], grid: Grid, screen: Screen) -> Lines:
    if not grid.left_out:
        return []
    names = ", ".join(head(columns[i]) for i in grid.left_out)
    how = "a wider terminal, --csv or --report shows them"
    return _paragraph(f"Not shown at this width: {names}; {how}.", screen, "dim")


def _left_out(document: Document) -> str:
    """Line about folded sections and figures."""
    folded = _folded(document.parts)
    figures = _figures(document.parts)
    notes = []
    if folded:
        names = numbers.listed([section.title for section in folded], 4)
        notes.append(numbers.plural(len(folded), "detail"))
        notes[0] += f" ({names})" * (len(names) <= MOST_NAMES)
    if figures:
        notes.append(numbers.plural(figures, "figure"))
    return f"Left out here: {' and '.join(notes)}; --report FILE.html shows them." if notes else ""


def _figures(parts: Sequence[Any]) -> int:
    """Figures outside of the sections that are left out."""
    inside = [
        part.parts
        for part in parts
        if isinstance(part, HConcat | Live)
        or (isinstance(part, Section) and not (part.folded or part.detail))
    ]
    return sum(isinstance(part, Figure) for part in parts) + sum(map(_figures, inside))


def _folded(parts: Sequence[Any]) -> list[Section]:
    """Outermost sections that are left out."""
    result: list[Section] = []
    for part in parts:
        if isinstance(part, Section):
            result += [part] if part.folded or part.detail else _folded(part.parts)
    return result


RENDERERS: dict[type, Callable[[Any, Screen], Lines]] = {
    Sentence: _sentence, Items: _items, Table: _table, HConcat: _hconcat, Section: _section,
    Figure: lambda part, screen: [], Form: lambda part, screen: [],
    Slider: lambda part, screen: [],
    Live: lambda part, screen: _joined(_blocks(part.parts, screen)),
}  # fmt: skip
"""Part -> its lines."""
