"""Rows of text whose cells are separated: CSV, TSV and their relatives."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from trueness.errors import DataError
from trueness.reading.opening import LONGEST_LINE, text_lines

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Separators that are recognised, and their names."""
BLANK = "blank line"
HEAD_LINES = 20
"""Lines that tell the separator."""
SAID = re.compile(r'^"?sep=(.)"?$')
"""First line by which Excel is told the separator."""

csv.field_size_limit(LONGEST_LINE)  # one limit for the process; its default is 131,072


@dataclass
class Rows:
    """Cells of a table, row by row; to be gone through once.

    Attributes
    ----------
    names : list of str
        Cells of the header.
    notes : tuple of str
        How it is read, where that is not what its ending says.
    records : iterator of (int, list of str)
        Line of the file (from 1) on which a row begins, and its cells, one per name.
    skipped : Counter
        Reason -> lines, filled on the way.
    """

    names: list[str]
    notes: tuple[str, ...]
    records: Iterator[tuple[int, list[str]]]
    skipped: Counter[str] = field(default_factory=Counter)


def rows_of(path: Path, *, tabs: bool, separator: str | None = None) -> Rows:
    """Rows of a file whose first line names the columns.

    Parameters
    ----------
    path : Path
    tabs : bool
        Whether the ending says that tabs separate; cells have no quotes then.
    separator : str, optional
        One character. Without it, what ``sep=`` in the first line says, or what fits the first
        lines.

    Raises
    ------
    DataError
        For no line (code ``empty``), a row of another length (``row_length``), a value in a column
        at the end that has no name (``no_name``), quotes that are not closed or swallow rows
        (``quotes``), line ends of two kinds (``line_ends``), or bytes that are no text
        (``encoding``).
    """
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise DataError(f"separator {separator!r}: one character is needed", "separator")
    lines = text_lines(path)
    head = list(islice(lines, HEAD_LINES))
    if not "".join(head).strip():
        raise DataError(f"{path}: the file is empty", "empty")
    usual, offset, notes = "\t" if tabs else ",", 0, ()
    if separator is None:
        said = SAID.match(head[0].rstrip("\n"))
        offset = 1 if said else 0
        separator = said[1] if said else _sniffed(head, usual)
        if separator != usual:
            notes = (f"{path}: cells are separated by {SEPARATORS.get(separator, separator)}",)
    rest = chain(head[offset:], lines)
    skipped: Counter[str] = Counter()
    plain = tabs and separator == "\t"
    cells = _split(rest, offset) if plain else _quoted(rest, offset, separator, path)
    _, names = next(cells, (0, []))
    named = max((i for i, name in enumerate(names, 1) if name.strip()), default=len(names))
    if lost := len(names) - named:
        notes = (*notes, f"{path}: {lost} empty column{'s' * (lost > 1)} without a name left out")
    return Rows(names[:named], notes, _checked(cells, len(names), named, path, skipped), skipped)


def _sniffed(head: list[str], usual: str) -> str:
    """Separator by which all of the first lines have as many cells; the usual one if none has."""
    widths = {}
    for mark in (usual, *(one for one in SEPARATORS if one != usual)):
        quoted = not (usual == "\t" and mark == "\t")
        rows = csv.reader(
            [line for line in head if line.strip()], delimiter=mark,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        )  # fmt: skip
        try:
            counts = [len(row) for row in rows]
        except csv.Error:  # told when the rows are read
            counts = [1]
        widths[mark] = counts[0]
        even = counts if len(head) < HEAD_LINES else counts[:-1]  # the last may go on
        if counts[0] > 1 and len(set(even)) == 1:
            return mark
    if widths[usual] > 1:
        return usual
    return max(widths, key=lambda mark: widths[mark])  # the first of equals, which is the usual one


def _split(lines: Iterator[str], offset: int) -> Iterator[tuple[int, list[str]]]:
    for line, text in enumerate(lines, offset + 1):
        yield line, text[:-1].split("\t") if text.strip() else []


def _quoted(
    lines: Iterator[str], offset: int, separator: str, path: Path
) -> Iterator[tuple[int, list[str]]]:
    """Cells of lines, where quotes may hold separators and line ends."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    last, width = 0, 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise _misquoted(path, offset + last + 1, str(error)) from None
        if row is None:
            return
        if reader.line_num > last + 1:
            taken = max(cell.count(separator) for cell in row if "\n" in cell)
            if taken >= max(1, (width or 2) - 1):  # as many as a whole row has
                raise _misquoted(path, offset + last + 1, "it runs over line ends and separators")
        width = width or len(row)
        yield offset + last + 1, row if len(row) > 1 or "".join(row).strip() or not row else []
        last = reader.line_num


def _misquoted(path: Path, line: int, reason: str) -> DataError:
    if reason.startswith("new-line"):
        return DataError(f"{path}: line {line} holds a carriage return (CR), other lines end with "
                         "a line feed (LF); write all line ends alike", "line_ends")  # fmt: skip
    return DataError(
        f"{path}: line {line}: a quoted cell cannot be read ({reason}); double quotes inside "
        "a quoted cell, or give the table as TSV, which has none, or as JSON lines", "quotes",
    )  # fmt: skip


def _checked(
    cells: Iterator[tuple[int, list[str]]], width: int, named: int, path: Path,
    skipped: Counter[str],
) -> Iterator[tuple[int, list[str]]]:  # fmt: skip
    """Rows of the right length, the columns that are named; blank lines are counted."""
    for line, row in cells:
        if len(row) == width:
            if "".join(row[named:]).strip():
                raise DataError(f"{path}: line {line} has a value in a column without a name; name "
                                "it in the header, or leave it out", "no_name")  # fmt: skip
            yield line, row[:named]
        elif not row:
            skipped[BLANK] += 1
        else:
            raise DataError(
                f"{path}: line {line} has {len(row)} cells, the header {width}", "row_length"
            )
