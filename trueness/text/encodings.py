"""Vectors of texts from a frozen encoder: computed once, kept by content, mapped from disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.files import cache_folder
from trueness.text.columns import Texts, portions, string_column, text_digest
from trueness.text.kept_files import kept_folder, write_header

Floats: TypeAlias = NDArray[np.float32]
Encode: TypeAlias = Callable[[list[str]], Floats]
"""Texts (n,) -> vectors (n, width)."""

PORTION = 4096
"""Texts that are encoded at once."""
_LAYOUT = 1
_FILE = "vectors.npy"


def kept_vectors(
    encoder: str, texts: Texts, encode: Encode, width: int, cache: Path | None = None
) -> Floats:
    """Vectors (n, width) float32 of texts (n,), mapped from disk; encoded now unless they are kept.

    Parameters
    ----------
    encoder : str
        Digest of the encoder's content and of every setting that its vectors depend on.
    texts : (n,) of str
    encode : callable
        Texts, some thousand at a time, to float32 (n, width); not called where they are kept.
    width : int
        Numbers per text.
    cache : Path, optional
        Folder, in place of one in the cache of the user; it may be deleted at any time.

    Raises
    ------
    DataError
        With code ``vectors`` if `encode` gives another shape or numbers that are not finite;
        ``cache`` if the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> def lengths(texts):
    ...     return np.array([[len(text)] for text in texts], np.float32)
    >>> kept_vectors("lengths", ["a", "abc"], lengths, 1, Path(tempfile.mkdtemp())).tolist()
    [[1.0], [3.0]]
    """
    column = string_column(texts)
    content = f"{_LAYOUT} {encoder} {width} {text_digest(column)}"

    def write(folder: Path) -> None:
        with (folder / _FILE).open("wb") as file:
            write_header(file, (len(column), width), np.float32)
            for portion in portions(column, PORTION):
                checked_vectors(encode(portion.to_list()), len(portion), width).tofile(file)

    place = cache_folder() / "vectors" if cache is None else cache
    folder = kept_folder(place, content, (_FILE,), "vectors", write)
    return np.load(folder / _FILE, mmap_mode="r") if len(column) else _none(width)


def encoded(encode: Encode, texts: pl.Series, width: int) -> Floats:
    """The same of texts that are not kept, (n, width) float32.

    Raises
    ------
    DataError
        With code ``vectors``.
    """
    parts = [
        checked_vectors(encode(portion.to_list()), len(portion), width)
        for portion in portions(texts, PORTION)
    ]
    return np.concatenate([_none(width), *parts])


def _none(width: int) -> Floats:
    return np.zeros((0, width), np.float32)


def checked_vectors(values: Floats, n: int, width: int) -> Floats:
    """Vectors as an encoder gave them, if they are finite and of the shape (n, width).

    Raises
    ------
    DataError
        With code ``vectors``.
    """
    made = np.ascontiguousarray(values, np.float32)
    if made.shape != (n, width):
        raise DataError(f"an encoder gave an array {made.shape} for {n:,} texts and a width of "
                        f"{width:,}", "vectors")  # fmt: skip
    finite = np.isfinite(made).all(axis=1)
    if not finite.all():
        number, first = int((~finite).sum()), int(finite.argmin()) + 1
        raise DataError(f"an encoder gave {number:,} of {n:,} texts a vector that is not finite, "
                        f"first text {first}", "vectors")  # fmt: skip
    return made
