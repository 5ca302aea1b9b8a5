"""Texts, one a line, of a file or of standard input; tables in their place are refused."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from trueness.errors import DataError
from trueness.reading import FORMATS, ending, text_lines
from trueness.reading.opening import BLOCK_BYTES

STDIN = "-"
ENDINGS = ("", ".txt")
"""Of files that hold a text a line."""
NAME = re.compile(r"[^\W\d][\w .-]{0,40}")
"""What a column may be called in a header."""


def lines_of(source: str | Path, names: Collection[str] = ()) -> tuple[list[str], list[str]]:
    r"""Texts of a file or of standard input (``-``), one a line, and notes on them.

    Lines end with ``\n`` or ``\r\n``; other characters that break a line are part of a text.

    Parameters
    ----------
    source : str or Path
    names : collection of str
        What columns may be called, by which the header of a table is known.

    Raises
    ------
    DataError
        With code ``suffix`` for a file of another kind, ``unreadable`` and ``encoding`` as of
        every text, ``table`` for a table that is read line by line.
    """
    stdin = str(source) == STDIN
    where = Path("standard input") if stdin else Path(source)
    if not stdin and ending(where) not in ENDINGS:
        raise DataError(
            f"{where}: neither a table nor a text by its name; {', '.join(FORMATS)} are read as "
            "tables, .txt as one text a line (also compressed)", "suffix",
        )  # fmt: skip
    lines = [line.removesuffix("\n") for line in text_lines(where, _stdin() if stdin else None)]
    return lines, _checked(lines[0], names, str(where)) if lines else []


def _stdin() -> Iterator[bytes]:
    return iter(partial(sys.stdin.buffer.read, BLOCK_BYTES), b"")


def _checked(first: str, names: Collection[str], where: str) -> list[str]:
    """Refuse a first line that is a header or a record; a note on one that may be a header."""
    cells = [cell.strip().strip("\"'") for cell in re.split(r"[,;\t|]", first)]
    known = any(cell in names for cell in cells) and all(map(NAME.fullmatch, cells))
    if (known and len(cells) > 1) or _is_record(first):
        what = "a record of JSON lines" if _is_record(first) else "the header of a table"
        raise DataError(
            f"{where}: its first line is {what} ({first[:60]}), and each line would be a text; "
            "give the table as a file that ends in .csv, .tsv or .jsonl, or leave that line out",
            "table",
        )  # fmt: skip
    return [f"{where}: its first line, {cells[0]!r}, is a text like the others"] * known


def _is_record(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
