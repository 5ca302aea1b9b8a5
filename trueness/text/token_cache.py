"""Encoded texts on disk, found by what they were made from, mapped instead of read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.text.kept_files import kept_folder, write_header

Part: TypeAlias = tuple[NDArray[np.int32], NDArray[np.int64]]  # ids, and lengths of some texts

_LAYOUT = 2
_FILES = ("ids.npy", "offsets.npy")


def kept(
    cache: Path, content: str, parts: Iterator[Part]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids, mapped from disk, and offsets of what `content` names.

    Where they are not whole they are made: `parts` is used up then, and else not begun.

    Raises
    ------
    DataError
        With code ``cache`` if the folder cannot be written.
    """

    def write(folder: Path) -> None:
        sizes = _stream(folder / "ids.npy", parts)
        np.save(folder / "offsets.npy", offsets_of(sizes))

    folder = kept_folder(cache, f"{_LAYOUT} {content}", _FILES, "tokens", write)
    return np.load(folder / "ids.npy", mmap_mode="r"), np.load(folder / "offsets.npy")


def offsets_of(sizes: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Where each text begins and the last one ends, (n + 1,), from lengths in portions."""
    return np.cumsum(np.concatenate([np.zeros(1, np.int64), *sizes]))


def _stream(path: Path, parts: Iterator[Part]) -> list[NDArray[np.int64]]:
    """Write ids as they come into one ``.npy`` file; lengths of the texts, in portions."""
    sizes = []
    with path.open("wb") as file:
        write_header(file, (0,), np.int32)
        for ids, lengths in parts:
            ids.tofile(file)
            sizes.append(lengths)
        file.seek(0)
        write_header(file, (sum(int(lengths.sum()) for lengths in sizes),), np.int32)
    return sizes
