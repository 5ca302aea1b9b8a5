"""The product-corpus archive: a zip of ``.json.gz`` members, and a mapping of clusters to classes.

Nothing is extracted: members are inflated block by block, and refused when they inflate too far.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import Any, BinaryIO, Self, cast

import numpy as np
import polars as pl

from trueness.errors import DataError
from trueness.reading.jsonlines import as_text, line_blocks, records
from trueness.text.mapping import Mapping, kept_mapping, read_mapping
from trueness.text.sources import BATCH_ROWS, Batch, Piece, cleaned, readable

ENDING = ".json.gz"
LARGEST_RATIO = 200
"""Bytes out per byte in; product offers inflate about tenfold."""
HARMLESS_BYTES = 64 << 20
"""A member that inflates to less is never a bomb."""
UNTITLED = "kept, but only a description"
MOST_MEMBERS = 1_000_000
DEFAULT_MAX_GB, MOST_GB = 1000.0, 1e9
_GZIP, _BLOCK_BYTES = 31, 1 << 20


@dataclass(frozen=True)
class Archive:
    """Offers of a product-corpus archive whose cluster has a category.

    The text of an offer is its title, else its name; then a space and the description, if any.

    Parameters
    ----------
    zip : Path
        Archive of ``.json.gz`` members, one JSON object a line with `cluster_id`, `title` or
        `name`, `description` and perhaps `language`.
    map : Path
        See `trueness.text.mapping.read_mapping`.
    titles_only : bool
        Without the descriptions.
    max_chars : int or None
        Longer texts are cut.
    max_gb : float
        Refuse archives that inflate beyond so many gigabytes (10^9 bytes).
    """

    zip: Path
    map: Path
    titles_only: bool = False
    max_chars: int | None = None
    max_gb: float = DEFAULT_MAX_GB
    min_class_rows: int = 1
    kept: Path | None = None
    mapping_report: tuple[tuple[str, int], ...] = ()

    @property
    def max_bytes(self) -> int:
        """Bytes that all members may inflate to."""
        return int(self.max_gb * 1e9)

    def prepared(self, folder: Path) -> Self:
        """Archive with its mapping kept as files in a scratch folder."""
        if not 0 < self.max_gb <= MOST_GB:
            raise DataError(
                f"max_gb {self.max_gb}: a number above 0, at most {MOST_GB:g}, is needed"
            )
        members(self.zip)
        mapping = read_mapping(self.map)
        mapping.save(folder)
        return replace(self, kept=folder, mapping_report=tuple(mapping.report.items()))

    def provenance(self) -> dict[str, Any]:
        """Names of the files, options, and what the mapping held."""
        return {
            "kind": "archive", "zip": self.zip.name, "map": self.map.name,
            "titles_only": self.titles_only, "max_chars": self.max_chars,
            "mapping": dict(self.mapping_report),
        }  # fmt: skip

    def pieces(self) -> list[Piece]:
        """Members in the order of their names."""
        return [Piece(info.filename, info.compress_size) for info in members(self.zip)]

    def batches(self, piece: Piece) -> Iterator[Batch]:
        """Offers of a member."""
        if self.kept is None:
            raise DataError(f"{self.zip}: call prepared() before reading")
        mapping, skipped = _opened_mapping(self.kept), Counter[str]()
        offers, note = _Offers(piece.name), 0
        blocks = _Counted(_member_blocks(self.zip, piece.name, self.max_bytes))
        for lines in line_blocks(blocks, skipped):
            for record in records(lines, skipped):
                offers.add(record, self.titles_only)
            if len(offers.texts) >= BATCH_ROWS:
                yield _batch(offers, mapping, skipped, self.max_chars, blocks.bytes - note)
                offers.clear()
                skipped.clear()
                note = blocks.bytes
        yield _batch(offers, mapping, skipped, self.max_chars, blocks.bytes - note)


class _Offers:
    """Fields of offers, column by column."""

    def __init__(self, member: str) -> None:
        self.member, self.line = member, 0
        self.clear()

    def clear(self) -> None:
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.titled: list[bool] = []
        self.languages: list[str] = []
        self.clusters: list[int] = []

    def add(self, record: dict[str, Any], titles_only: bool) -> None:
        get = record.get
        title = as_text(get("title"))
        if not title or title.isspace():
            title = as_text(get("name"))
        self.titled.append(bool(title) and not title.isspace())
        if not titles_only and (description := as_text(get("description"))):
            title = f"{title} {description}"
        self.line += 1
        self.ids.append(as_text(get("id")) or f"{self.member}:{self.line}")
        self.texts.append(title)
        self.languages.append(as_text(get("language")))
        self.clusters.append(_cluster(get("cluster_id")))


_NO_CLUSTER = -(2**63)


def _cluster(value: Any) -> int:  # noqa: ANN401 - whatever JSON can hold
    """Cluster id as a number; numbers in quotation marks are numbers too."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return _NO_CLUSTER
    try:
        number = int(value)
    except ValueError:
        return _NO_CLUSTER
    return number if abs(number) < 2**63 else _NO_CLUSTER


def _batch(
    offers: _Offers, mapping: Mapping, skipped: Counter[str], max_chars: int | None, size: int
) -> Batch:
    clusters = np.array(offers.clusters, np.int64)
    has = clusters != _NO_CLUSTER
    labels, reasons = mapping.labels(clusters[has])
    read = len(clusters) + skipped.total()
    frame = pl.DataFrame(
        {
            "id": offers.ids, "text": offers.texts, "language": offers.languages,
            "titled": offers.titled,
        },
        schema=dict.fromkeys(("id", "text", "language"), pl.String) | {"titled": pl.Boolean},
    ).filter(has)  # fmt: skip
    frame = frame.with_columns(
        label=pl.Series(labels, dtype=pl.String), cluster=pl.Series(clusters[has])
    ).filter(pl.col("label").is_not_null())
    untitled = frame.filter(~pl.col("titled") & pl.col("text").str.contains(r"\S"))
    frame, dropped = cleaned(frame, max_chars)
    missing = Counter({"no cluster": int((~has).sum()), UNTITLED: len(untitled)})
    return Batch(frame, read, skipped + reasons + dropped + missing, size)


@lru_cache(maxsize=1)
def _opened_mapping(folder: Path) -> Mapping:
    return kept_mapping(folder)


# ----------------------------------------------------------------------------------------- zip file


def members(path: Path) -> list[zipfile.ZipInfo]:
    """Members to read, by name, after the checks that need no reading.

    Raises
    ------
    DataError
        If the file is no zip, has no ``.json.gz`` member, or one of its members has a name that
        leads out of a folder, a name that stands twice, is a link, is encrypted, or declares to
        inflate too far.
    """
    readable(path, "the archive as it was downloaded")
    try:
        with zipfile.ZipFile(path) as file:
            infos = file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{path}: no zip archive that can be read ({error})") from None
    if len(infos) > MOST_MEMBERS or sum(i.compress_size for i in infos) > path.stat().st_size:
        raise DataError(f"{path}: {len(infos):,} members that overlap or are too many; refused")
    twice = [name for name, n in Counter(i.filename for i in infos).items() if n > 1]
    if twice:
        raise DataError(f"{path}: the member {twice[0]!r} stands twice; refused")
    for info in infos:
        _check_member(path, info)
    result = [i for i in infos if i.filename.lower().endswith(ENDING) and not i.is_dir()]
    if not result:
        raise DataError(
            f"{path}: none of its {len(infos):,} members ends in {ENDING}; give the corpus archive"
        )
    return sorted(result, key=lambda info: info.filename)


def _check_member(path: Path, info: zipfile.ZipInfo) -> None:
    """Refuse a member that no honest archive has, even though nothing is extracted."""
    name = info.orig_filename
    walk = PureWindowsPath(name)  # knows drives and both slashes
    why = None
    if walk.is_absolute() or walk.drive or walk.root or ".." in walk.parts or "\0" in name:
        why = "its name leads out of the archive"
    elif info.flag_bits & 1:
        why = "it is encrypted"
    elif stat.S_ISLNK(info.external_attr >> 16):
        why = "it is a link"
    elif info.file_size > max(HARMLESS_BYTES, LARGEST_RATIO * info.compress_size):
        why = f"it declares to inflate {info.file_size / max(info.compress_size, 1):,.0f}-fold"
    if why is not None:
        raise DataError(f"{path}: member {name[:80]!r} refused, {why}")


class _Counted:
    """Passes blocks on and counts their bytes."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks, self.bytes = blocks, 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self.blocks:
            self.bytes += len(block)
            yield block


def _member_blocks(path: Path, name: str, most: int) -> Iterator[bytes]:
    """Inflated blocks of a member; refuses one that inflates too far or is broken."""
    with zipfile.ZipFile(path) as file:
        info = file.getinfo(name)
        allowed = min(most, max(HARMLESS_BYTES, LARGEST_RATIO * info.compress_size))
        size = 0
        try:
            with file.open(info) as member:
                for block in _inflated(cast("BinaryIO", member)):
                    size += len(block)
                    if size > allowed:
                        raise DataError(
                            f"{path}: member {name!r} inflates beyond {allowed:,} bytes; refused "
                            "(--max-gb sets the limit of an archive)"
                        )
                    yield block
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DataError(
                f"{path}: member {name!r} is broken after {size:,} bytes ({error}); "
                "download the archive again"
            ) from None


def _inflated(stream: BinaryIO) -> Iterator[bytes]:
    """Blocks of a gzip stream of one or more parts, none larger than `_BLOCK_BYTES`."""
    inflater, data, in_member = zlib.decompressobj(_GZIP), b"", False
    while True:
        data = data or stream.read(_BLOCK_BYTES)
        if not data:
            break
        if not in_member:
            data = data.lstrip(b"\0")  # padding between and after parts
        in_member = bool(data) or in_member
        block = inflater.decompress(data, _BLOCK_BYTES)
        data = inflater.unconsumed_tail
        if block:
            yield block
        if inflater.eof:
            data, in_member = inflater.unused_data, False
            inflater = zlib.decompressobj(_GZIP)
    while block := inflater.decompress(b"", _BLOCK_BYTES):
        yield block
    if in_member and not inflater.eof:
        raise EOFError("the stream ends too early")
