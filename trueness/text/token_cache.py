"""Encoded texts on disk, found by what they were made from, mapped instead of read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError, StoreError, first_line
from trueness.files import (
    locked,
    read_json,
    remove,
    sha256_of,
    sweep,
    temporary,
    write_json,
)

Part: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int64]]  # ids, and lengths of some texts

_LAYOUT = 2
_FILES = ("ids.npy", "offsets.npy")
_CHECKSUMS = "checksums.json"


def kept(
    cache: Path, content: str, parts: Iterator[Part]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids, mapped from disk, and offsets of what `content` names.

    Where they are not whole they are made: `parts` is used up then, and else not begun.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    folder = cache / hashlib.sha256(f"{_LAYOUT} {content}".encode()).hexdigest()[:24]
    if not _is_whole(folder):
        _write(folder, parts)
    return np.load(folder / "ids.npy", mmap_mode="r"), np.load(folder / "offsets.npy")


def offsets_of(sizes: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Where each text begins and the last one ends, (n + 1,), from lengths in portions."""
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *sizes]))


def _is_whole(folder: Path) -> bool:
    """Whether the files are those that were written."""
    try:
        return read_json(folder / _CHECKSUMS) == _checksums(folder)
    except (OSError, StoreError):
        return False


def _checksums(folder: Path) -> dict[str, str]:
    return {name: sha256_of(folder / name) for name in _FILES}


def _write(folder: Path, parts: Iterator[Part]) -> None:
    """Write into a folder beside and rename it, so that tokens are there whole or not at all."""
    unfinished = temporary(folder)
    try:
        unfinished.mkdir(parents=True)
        sweep(folder.parent)
        sizes = _stream(unfinished / "ids.npy", parts)
        np.save(unfinished / "offsets.npy", offsets_of(sizes))
        write_json(unfinished / _CHECKSUMS, _checksums(unfinished))
        with locked(folder.parent / ".lock"):
            if _is_whole(folder):  # another process was faster, and somebody may read it
                return
            if folder.exists():
                folder.rename(temporary(folder))
            unfinished.rename(folder)
    except OSError as error:
        reason = f"{folder.parent}: tokens cannot be kept there ({first_line(error)})"
        raise DataError(f"{reason}; give a folder that can be written") from None
    finally:
        remove(unfinished)


def _stream(path: Path, parts: Iterator[Part]) -> list[NDArray[np.int64]]:
    """Write ids as they come into one ``.npy`` file; lengths of the texts, in portions."""
    sizes = []
    with path.open("wb") as file:
        _header(file, 0)
        for ids, lengths in parts:
            ids.tofile(file)
            sizes.append(lengths)
        file.seek(0)
        _header(file, sum(int(lengths.sum()) for lengths in sizes))
    return sizes


def _header(file: BinaryIO, total: int) -> None:
    """Header of (total,) int32; numpy pads it, so that any total takes the same room."""
    header = {"shape": (total,), "fortran_order": False, "descr": np.dtype(np.int32).str}
    np.lib.format.write_array_header_1_0(file, header)
