"""What every source of labelled texts hands to the builder: cleaned batches, and what it skipped.

A source lists its pieces; each piece is read by itself, so that pieces can be read side by side
and the order of the rows is that of the pieces.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast

import polars as pl

from trueness.errors import DataError, at_least
from trueness.files import no_such_file
from trueness.text.codes import language_code, refuse_countries

BATCH_ROWS = 20_000
RAW: dict[str, Any] = {
    "id": pl.String,
    "text": pl.String,
    "label": pl.String,
    "language": pl.String,
    "cluster": pl.Int64,
}
"""Columns of a cleaned batch; language and cluster are null where the source gives none."""


@dataclass(frozen=True)
class Piece:
    """A part of a source that is read by itself; its size measures progress, in any unit."""

    name: str
    size: float


@dataclass(frozen=True)
class Batch:
    """Rows of a piece, how many records they came from, and why the others were skipped.

    Attributes
    ----------
    frame : polars.DataFrame
        Columns of `RAW`.
    read : int
        Records read.
    skipped : Counter
        Reason -> records. Reasons that begin with "kept" are remarks on rows that are there.
    size : int
        Bytes after decompression.
    """

    frame: pl.DataFrame
    read: int
    skipped: Counter[str] = field(default_factory=Counter)
    size: int = 0


class Source(Protocol):
    """Where labelled texts come from."""

    @property
    def min_class_rows(self) -> int:
        """Classes with fewer rows are left out, unless the caller says otherwise."""
        ...

    @property
    def max_bytes(self) -> int | None:
        """Most bytes after decompression, if there is a limit."""
        ...

    def prepared(self, folder: Path) -> Self:
        """Source that is cheap to hand to a process; it may keep files in a scratch folder."""
        ...

    def provenance(self) -> dict[str, Any]:
        """What the corpus remembers of it."""
        ...

    def pieces(self) -> list[Piece]:
        """Pieces in the order of their rows."""
        ...

    def batches(self, piece: Piece) -> Iterator[Batch]:
        """Rows of a piece, cleaned."""
        ...


def cleaned(frame: pl.DataFrame, max_chars: int | None = None) -> tuple[pl.DataFrame, Counter[str]]:
    """Rows in the form the builder takes, and why the others were dropped.

    White space and control characters, also in labels, become one space; texts are in NFC. A
    language is a code, see `language_code`; what is no code is taken for unknown, and counted.
    Clusters that are names become numbers by their hash.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns id, text, label, language, cluster; the first four of String, cluster of Int64 or
        String.
    max_chars : int or None
        Longer texts are cut.
    """
    refuse_countries(frame["language"], "a row")
    text, language = clean_text("text"), pl.col("language").str.strip_chars()
    if max_chars is not None:
        at_least("max_chars", max_chars, 1)
    frame = frame.with_columns(
        text=text if max_chars is None else text.str.slice(0, max_chars).str.strip_chars_end(),
        label=clean_label("label"),
        language=language_code("language"),
        foreign=language.str.len_bytes() > 0,
    )
    no_text = pl.col("text").is_null() | (pl.col("text") == "")
    no_label = pl.col("label").is_null() | (pl.col("label") == "")
    counts = frame.select(
        no_text.sum().alias("no text"),
        (no_label & ~no_text).sum().alias("no label"),
        (pl.col("foreign") & pl.col("language").is_null()).sum().alias(NO_CODE),
    ).row(0, named=True)
    frame = frame.filter(~no_text & ~no_label)
    if frame.schema["cluster"] == pl.String:
        frame = frame.with_columns(cluster=hashed(frame["cluster"]))
    skipped = Counter({reason: int(n) for reason, n in counts.items() if n})
    return frame.select(pl.col(name).cast(kind) for name, kind in RAW.items()), skipped


def clean_text(column: str) -> pl.Expr:
    r"""Texts of a column as a corpus keeps them, in NFC: white space and controls are one space.

    Examples
    --------
    >>> pl.DataFrame({"text": [" red\tshoe\n"]}).select(clean_text("text")).item()
    'red shoe'
    """
    plain = pl.col(column).str.replace_all(r"[\s\p{Cc}]+", " ").str.strip_chars()
    return plain.str.normalize("NFC")


def clean_label(column: str) -> pl.Expr:
    r"""Labels of a column as a corpus keeps them: as texts, without characters that only format.

    Examples
    --------
    >>> pl.DataFrame({"label": ["ca\u00adfe\u0301 "]}).select(clean_label("label")).item()
    'café'
    """
    return clean_text(column).str.replace_all(r"\p{Cf}", "").str.strip_chars()


NO_CODE = "kept, but its language is no code"


def hashed(names: pl.Series) -> pl.Series:
    """Numbers of names, equal for equal names: the first 63 bits of BLAKE2b.

    Examples
    --------
    >>> a, b, c = hashed(pl.Series(["bash", "zsh", "bash"]))
    >>> a == c, a == b
    (True, False)
    """
    of = {
        name: int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
        for name in names.unique()
        if name is not None
    }
    return pl.Series(names.name, [None if n is None else of[n] for n in names], dtype=pl.Int64)


def opened(path: Path) -> BinaryIO:
    """File opened for reading bytes, decompressed by its ending (.gz, .xz, .bz2)."""
    opener = _OPENERS.get(path.suffix.lower())
    return cast("BinaryIO", opener(path) if opener else path.open("rb"))


def readable(path: Path, what: str) -> Path:
    """The path of a file that can be opened.

    Raises
    ------
    DataError
        If it is missing, no file, or may not be read.
    """
    if not path.is_file():
        raise DataError(f"{no_such_file(path)}; give {what}")
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give {what}") from None
    return path


_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
