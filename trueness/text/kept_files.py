"""Computed folders of the cache: found by what they were made from, whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike

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

_CHECKSUMS = "checksums.json"


def kept_folder(
    cache: Path, content: str, names: tuple[str, ...], what: str, write: Callable[[Path], None]
) -> Path:
    """Folder with the files of `content`, made now unless it is there whole.

    Of several processes that want the same one, one makes it and the others wait. What does not
    match its checksum is made again; the cache may be deleted at any time.

    Parameters
    ----------
    cache : Path
    content : str
        Everything that the files depend on.
    names : tuple of str
        Files that are made.
    what : str
        What they hold, in words.
    write : callable
        Writes the files into the folder that it is given.

    Raises
    ------
    DataError
        With code ``cache`` if the folder cannot be written.
    """
    folder = cache / hashlib.sha256(content.encode()).hexdigest()[:24]
    if _is_whole(folder, names):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        sweep(cache)
        with locked(cache / f".{folder.name}.lock"):
            if not _is_whole(folder, names):  # another process may have been faster
                _write(folder, names, write)
    except OSError as error:
        reason = f"{cache}: {what} cannot be kept there ({first_line(error)})"
        raise DataError(f"{reason}; give a folder that can be written", "cache") from None
    return folder


def _is_whole(folder: Path, names: tuple[str, ...]) -> bool:
    """Whether the files are those that were written."""
    try:
        return read_json(folder / _CHECKSUMS) == _checksums(folder, names)
    except (OSError, StoreError):
        return False


def _checksums(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    return {name: sha256_of(folder / name) for name in names}


def _write(folder: Path, names: tuple[str, ...], write: Callable[[Path], None]) -> None:
    """Write into a folder beside and rename it; a reader of the earlier one keeps its files."""
    unfinished = temporary(folder)
    try:
        unfinished.mkdir()
        write(unfinished)
        write_json(unfinished / _CHECKSUMS, _checksums(unfinished, names))
        if folder.exists():
            folder.rename(temporary(folder))
        unfinished.rename(folder)
    finally:
        remove(unfinished)


def write_header(file: BinaryIO, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Header of a ``.npy`` file, before the values that follow it.

    numpy pads it, so that one that is written over it with another number of rows takes the same
    room.
    """
    header = {"shape": shape, "fortran_order": False, "descr": np.dtype(dtype).str}
    np.lib.format.write_array_header_1_0(file, header)
