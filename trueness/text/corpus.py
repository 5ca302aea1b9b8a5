"""A corpus on disk: one Parquet file per part, and one JSON file that describes them.

Columns are `id`, `text`, `label`, `language` (lower-case code, ``und`` where undetermined),
`language_confidence` and `cluster`. Parts never share a cluster.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, StoreError
from trueness.files import read_json, sha256_of
from trueness.text.paths import JOINER, are_paths

VERSION = 2
PARTS = ("train", "validation", "test")
FULL = "full"
"""The part that holds the rows of all others; it is for reading, never for training."""
WHOLE = "whole"
"""What the texts of all parts together are called."""
DESCRIPTION = "corpus.json"
COLUMNS: dict[str, Any] = {
    "id": pl.String,
    "text": pl.String,
    "label": pl.String,
    "language": pl.String,
    "language_confidence": pl.Float32,
    "cluster": pl.Int64,
}
UNDETERMINED = "und"
_COUNTS = ("rows", "classes", "languages", "clusters", "characters")
_FIELDS = ("digest", "classes", "statistics", "provenance", "reports", "files")


@dataclass(frozen=True)
class Titles:
    """Texts of one part, in the order of the corpus.

    Attributes
    ----------
    ids, texts : polars.Series of String, (n,)
    y : (n,) int64
        Index of the class.
    language : (n,) str
        Lower-case code, ``und`` where undetermined.
    confidence : (n,) float32
        Of the language; 1 where the source gave it.
    cluster : (n,) int64
        Texts of one cluster are no independent draws.
    """

    ids: pl.Series
    texts: pl.Series
    y: NDArray[np.int64]
    language: NDArray[np.str_]
    confidence: NDArray[np.float32]
    cluster: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def joined(cls, parts: Sequence[Titles]) -> Self:
        """Texts of several parts, one part after the other."""
        columns = ("ids", "texts"), ("y", "language", "confidence", "cluster")
        series, arrays = ([[getattr(one, n) for one in parts] for n in names] for names in columns)
        return cls(*map(pl.concat, series), *map(np.concatenate, arrays))


class Parts(Protocol):
    """Texts in three parts, each of one of some classes."""

    @property
    def digest(self) -> str:
        """Of all values of all parts."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, sorted."""
        ...

    def part(self, name: str) -> Titles:
        """Texts of ``train``, ``validation`` or ``test``."""
        ...


@dataclass(frozen=True)
class Corpus:
    """A corpus folder: what `corpus.json` says; parts are read when asked for.

    Attributes
    ----------
    folder : Path
    digest : str
        12 hexadecimal digits of the SHA-256 of all values of all parts, in order.
    classes : tuple of str
        Sorted names.
    statistics : dict
        Counts per part, class and language, clusters, lengths in characters.
    provenance : dict
        Source and options it was built with.
    reports : dict
        What was skipped, joined and left out on the way.
    file_digests : dict of str to str
        SHA-256 of the file of each part, which is compared when it is read.
    """

    folder: Path
    digest: str
    classes: tuple[str, ...]
    statistics: dict[str, Any]
    provenance: dict[str, Any]
    reports: dict[str, Any]
    file_digests: dict[str, str]

    @property
    def joiner(self) -> str | None:
        """What stands between the levels of classes that are paths; None where they are names."""
        return JOINER if are_paths(self.columns) else None

    @property
    def columns(self) -> dict[str, Any]:
        """Columns that played a role in its source; empty if that was no table."""
        return self.provenance["source"].get("columns", {})

    @property
    def gate(self) -> float | None:
        """Of the detector that told most languages; None where most were given."""
        detected = sum(one["rows"] for one in self.reports.get("languages") or ())
        every = sum(self.statistics["rows"].values())
        return self.provenance["plan"]["gate"] if 2 * detected > every else None

    def part(self, name: str) -> Titles:
        """Texts of ``train``, ``validation`` or ``test``.

        Raises
        ------
        DataError
            For another part (`full` holds the test texts and is never trained on), or a file that
            is missing, cannot be read, or holds a label that is none of the classes.
        """
        if name not in PARTS:
            why = "; it holds the test texts" if name == FULL else ""
            raise DataError(f"{self.folder}: no part {name!r} to train or measure on{why}; "
                            f"choose from {', '.join(PARTS)}")  # fmt: skip
        frame = self.frame(name)
        return Titles(
            frame["id"],
            frame["text"],
            self._codes(frame["label"], name),
            frame["language"].to_numpy().astype(np.str_),
            frame["language_confidence"].to_numpy(),
            frame["cluster"].to_numpy(),
        )

    def texts(self, name: str) -> Titles:
        """The same; of ``whole`` the texts of all parts."""
        if name != WHOLE:
            return self.part(name)
        return Titles.joined([self.part(one) for one in PARTS])

    def frame(self, name: str) -> pl.DataFrame:
        """Rows of a part as they were written, its file compared with its digest.

        Raises
        ------
        DataError
            If the file is missing, damaged, or cannot be read.
        """
        file = f"{name}.parquet"
        return _read_part(self.folder / file, self.file_digests[file])

    def _codes(self, labels: pl.Series, name: str) -> NDArray[np.int64]:
        foreign = labels.filter(~labels.is_in(self.classes))
        if len(foreign):
            raise DataError(
                f"{self.folder}: label {foreign.min()!r} in part {name} is none of the "
                f"{len(self.classes)} classes; build the corpus again"
            )
        return labels.cast(pl.Enum(self.classes)).to_physical().cast(pl.Int64).to_numpy()

    def verify(self) -> None:
        """Compare all values with the digest.

        Raises
        ------
        DataError
            If a value differs from what was written.
        """
        result = corpus_digest(self.classes, {name: _hash_of(self.frame(name)) for name in PARTS})
        if result != self.digest:
            raise DataError(
                f"{self.folder}: its texts have the digest {result}, {self.digest} were written; "
                "build the corpus again"
            )


def load_corpus(folder: str | Path) -> Corpus:
    """Corpus in a folder that `trueness text build` wrote.

    Raises
    ------
    DataError
        If the folder holds no corpus, one of a newer version, or one with a file missing or cut.
    """
    folder = Path(folder)
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataError(
            f"{folder}: no corpus (no {DESCRIPTION} there); `trueness text build` makes one"
        )
    try:
        content = read_json(path)
        version, _ = content["version"], [content[name] for name in _FIELDS]
        _ = [content["statistics"][name] for name in _COUNTS]
        sizes = {str(name): int(note["bytes"]) for name, note in content["files"].items()}
        classes = tuple(str(name) for name in content["classes"])
        digests = {str(name): str(note["sha256"]) for name, note in content["files"].items()}
    except StoreError as error:
        raise DataError(f"{error}; build the corpus again", "damaged") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: cannot be read ({type(error).__name__}: {error}); build the corpus again"
        ) from None
    if version != VERSION:
        raise DataError(f"{path}: version {version}; this trueness reads version {VERSION}")
    _check_sizes(folder, sizes)
    return Corpus(
        folder, str(content["digest"]), classes, content["statistics"], content["provenance"],
        content["reports"], digests,
    )  # fmt: skip


def _check_sizes(folder: Path, sizes: dict[str, int]) -> None:
    for name in [f"{part}.parquet" for part in PARTS]:
        path = folder / name
        if not path.is_file() or name not in sizes:
            raise DataError(f"{path}: the file is missing; build the corpus again")
        if path.stat().st_size != sizes[name]:
            raise DataError(
                f"{path}: {path.stat().st_size} bytes, {sizes[name]} were written; "
                "build the corpus again"
            )


def _read_part(path: Path, digest: str) -> pl.DataFrame:
    try:
        if sha256_of(path) != digest:
            raise DataError(
                f"{path}: content differs from what was written; build the corpus again", "damaged"
            )
        frame = pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{path}: cannot be read ({reason}); build the corpus again") from None
    if dict(frame.schema) != COLUMNS:
        raise DataError(f"{path}: columns {', '.join(frame.columns)}; {', '.join(COLUMNS)} belong "
                        "there; build the corpus again")  # fmt: skip
    missing = [name for name in frame.columns if frame[name].null_count()]
    if missing or not len(frame):
        what = f"{missing[0]} is missing in some rows" if missing else "there are no rows"
        raise DataError(f"{path}: {what}; build the corpus again")
    return frame


# ------------------------------------------------------------------------------------------ writing


class PartWriter:
    """Parquet file of one part, written frame by frame; hashes the values as they pass.

    The hash is that of the columns, one after another, whatever the frames they came in.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._hashes = _ColumnHashes()
        self._file: Any = None

    def write(self, frame: pl.DataFrame) -> None:
        """Append rows; the columns are those of the layout, in any order."""
        import pyarrow.parquet as pq  # comes with the text extra; reading a corpus needs none

        frame = frame.select(pl.col(name).cast(kind) for name, kind in COLUMNS.items())
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._file is None:
            self._file = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        if len(frame):
            self._file.write_table(table)
        self._hashes.update(frame)
        self.rows += len(frame)

    def close(self) -> str:
        """End the file; the hash of its values."""
        if self._file is None:
            self.write(pl.DataFrame(schema=COLUMNS))
        self._file.close()
        return self._hashes.hexdigest()


class _ColumnHashes:
    """SHA-256 of the values of every column, independent of how the rows are cut into frames."""

    def __init__(self) -> None:
        self._of = {name: (hashlib.sha256(), hashlib.sha256()) for name in COLUMNS}

    def update(self, frame: pl.DataFrame) -> None:
        """Take in the rows of a frame."""
        for name, (values, lengths) in self._of.items():
            column = frame[name]
            if column.dtype == pl.String:
                values.update(column.str.join("").item().encode())
                lengths.update(column.str.len_bytes().to_numpy().astype("<u4").tobytes())
            else:
                little = column.to_numpy()
                values.update(little.astype(little.dtype.newbyteorder("<")).tobytes())

    def hexdigest(self) -> str:
        """Hash of the hashes."""
        parts = [one.digest() for pair in self._of.values() for one in pair]
        return hashlib.sha256(b"".join(parts)).hexdigest()


def _hash_of(part: pl.DataFrame) -> str:
    hashes = _ColumnHashes()
    hashes.update(part)
    return hashes.hexdigest()


def corpus_digest(classes: Iterable[str], parts: dict[str, str]) -> str:
    """Digest of a corpus from the hashes of its parts: 12 hexadecimal digits.

    The part `full` repeats the others and has no say.

    Examples
    --------
    >>> corpus_digest(["Baby", "Books"], {"train": "a", "validation": "b", "test": "c"})
    'd609f6f4a032'
    """
    notes = [1, list(classes), [parts[name] for name in PARTS]]
    return hashlib.sha256(json.dumps(notes).encode()).hexdigest()[:12]
