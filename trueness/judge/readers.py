"""Files of tables, read by their suffix."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from trueness.errors import DataError, first_line
from trueness.judge.scores import check_distinct


def read_frame(path: Path) -> pl.DataFrame:
    """Table of a file by its suffix; text files keep their columns as text.

    Raises
    ------
    DataError
        If it is missing, empty, unreadable, of another kind, or has a column twice.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: no table by its name; {', '.join(READERS)} are read", "suffix")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give a file", "unreadable")
    try:
        return reader(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file", "no_file") from None
    except pl.exceptions.NoDataError:
        raise DataError(f"{path}: the file is empty", "empty") from None
    except pl.exceptions.DuplicateError as error:
        raise DataError(f"{path}: {first_line(error)}", "doubled_column") from None
    except (pl.exceptions.PolarsError, OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read ({first_line(error)})", "unreadable") from None


def _separated(path: Path, separator: str) -> pl.DataFrame:
    """Columns of text, under the names in the first line."""
    lines = pl.read_csv(path, separator=separator, infer_schema=False, glob=False, has_header=False)
    names = [name or "" for name in lines.row(0)]
    check_distinct(names)
    return lines[1:].rename(dict(zip(lines.columns, names, strict=True)))


READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    **dict.fromkeys((".parquet", ".pq"), partial(pl.read_parquet, glob=False)),
    **dict.fromkeys((".arrow", ".feather", ".ipc"), pl.read_ipc),
    ".csv": partial(_separated, separator=","),
    ".tsv": partial(_separated, separator="\t"),
    **dict.fromkeys((".jsonl", ".ndjson"), partial(pl.read_ndjson, infer_schema_length=None)),
}
"""Suffix of a file -> what reads it."""
