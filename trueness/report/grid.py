"""Where the columns of a table stand in a terminal: widths, what wraps, what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells

from trueness.document import Column
from trueness.report.cells import KINDS, NBSP, clean, head

GAP = 2
LEAST_TEXT, MOST_TEXT = 12, 28
"""Bounds of the width below which a column of text is not pressed."""


@dataclass(frozen=True)
class Grid:
    """Columns that are shown with their widths in cells, and those that are not."""

    columns: tuple[int, ...]
    widths: tuple[int, ...]
    left_out: tuple[int, ...]


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces; only a word that is wider breaks inside.

    Examples
    --------
    >>> wrapped("no number is ever split", 10)
    ['no number', 'is ever', 'split']
    """
    lines: list[str] = []
    for word in text.split(" "):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines += chop_cells(word, width) or [""]
    return [line.replace(NBSP, " ").rstrip() for line in lines]


def head_lines(column: Column, width: int) -> list[str]:
    """Head of a column in a width: in one line if it fits, else broken where it may be."""
    if cell_len(head(column)) <= width:
        return [head(column)]
    pieces = [clean(piece) for piece in column.title.split("\n")]
    return [line for piece in pieces for line in wrapped(piece, width)]


def fit(columns: Sequence[Column], texts: Sequence[Sequence[str]], width: int) -> Grid:
    """Columns and widths that fit in a terminal; the least needed leave, from the right.

    Parameters
    ----------
    columns : sequence of Column
    texts : sequence of sequences of str
        Cells, one sequence per column.
    width : int
        Cells of the terminal.
    """
    ranges = [_range(column, cells) for column, cells in zip(columns, texts, strict=True)]
    kept = list(range(len(columns)))
    while len(kept) > 1 and _total([ranges[i][0] for i in kept]) > width:
        kept.remove(min(kept[1:], key=lambda i: (columns[i].weight, -i)))
    left_out = tuple(i for i in range(len(columns)) if i not in kept)
    return Grid(tuple(kept), _shared([ranges[i] for i in kept], width), left_out)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * max(0, len(widths) - 1)


def _range(column: Column, cells: Sequence[str]) -> tuple[int, int]:
    """Least and natural width of a column."""
    natural = max(map(cell_len, cells), default=0)
    least = natural
    if KINDS[column.kind].wraps:
        longest = max((cell_len(w) for text in cells for w in text.split(" ")), default=0)
        bearable = min(MOST_TEXT, max(LEAST_TEXT, -(-natural // 2)))
        least = min(natural, max(bearable, min(longest, MOST_TEXT)))
    pieces = column.title.split("\n")
    words = max(cell_len(clean(word)) for word in column.title.split() or [""])
    wide = cell_len(head(column))
    in_lines = wide if wide <= natural else max(cell_len(clean(piece)) for piece in pieces)
    return max(least, words), max(natural, in_lines)


def _shared(ranges: Sequence[tuple[int, int]], width: int) -> tuple[int, ...]:
    """Widths between least and natural; what is to spare goes where most is missing."""
    least = [low for low, _ in ranges]
    if len(ranges) == 1:
        return (min(ranges[0][1], width),)
    wanted = [high - low for low, high in ranges]
    spare = width - _total(least)
    if spare >= sum(wanted):
        return tuple(high for _, high in ranges)
    return tuple(low + spare * want // sum(wanted) for low, want in zip(least, wanted, strict=True))
