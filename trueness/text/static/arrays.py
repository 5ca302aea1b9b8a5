"""Vectors of texts that somebody else computed: a ``.npy`` file with the ids of its rows beside."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.text.corpus import PARTS, Parts, Titles
from trueness.text.encodings import kept_vectors
from trueness.text.static.tokens import Floats, read_text

IDS = ".ids.txt"
"""What takes the place of ``.npy`` in the name of the file of ids, one per line."""
_PORTION = 65_536


@dataclass(frozen=True)
class ArrayVectors:
    """A vector per text of a corpus, by its id; new texts have none.

    Attributes
    ----------
    digest : str
    values : (m, D)
        Mapped from disk.
    ids : (m,) polars.Series of String
        All different.
    """

    digest: str
    values: NDArray[np.floating]
    ids: pl.Series

    @property
    def width(self) -> int:
        """Numbers of a vector, D."""
        return self.values.shape[1]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {one: row for row, one in enumerate(self.ids)}

    def check(self, corpus: Parts, max_tokens: int) -> list[str]:
        """What is odd about these vectors for a corpus.

        Raises
        ------
        DataError
            With code ``vector_ids`` if a text of it has none.
        """
        del max_tokens
        texts = 0
        for part in PARTS:
            self._check_part(corpus.part(part))
            texts += len(corpus.part(part))
        more = len(self.ids) - texts
        note = f"{more:,} of {len(self.ids):,} vectors are of ids that no text of the corpus has"
        return [note] * bool(more)

    def _check_part(self, titles: Titles) -> None:
        lacking = [one for one in titles.ids.cast(pl.String) if one not in self._places]
        if lacking:
            number, first = f"{len(lacking):,} of {len(titles):,}", lacking[0]
            raise DataError(f"{number} texts have no vector, as their ids are in no line of the "
                            f"ids, first {first!r}", "vector_ids")  # fmt: skip

    def of_titles(self, titles: Titles, max_tokens: int) -> Floats:
        """Vectors (n, D) of a part of a corpus, kept in its order and mapped from disk.

        Raises
        ------
        DataError
            With code ``vector_ids`` if a text has none.
        """
        del max_tokens
        self._check_part(titles)
        return kept_vectors(self.digest, titles.ids.cast(pl.String), self._taken, self.width)

    def _taken(self, ids: list[str]) -> Floats:
        return self.values[[self._places[one] for one in ids]].astype(np.float32)


def read_array_vectors(path: Path, digest: str) -> ArrayVectors:
    """Open a ``.npy`` file and its ids.

    Raises
    ------
    DataError
        With code ``no_vectors`` if one is not there or no such file, ``vectors`` for another shape,
        another number of ids, or numbers that are not finite, ``vector_ids`` for ids that stand
        twice.
    """
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise DataError(
            f"{path}: no array of numbers as numpy.save writes one", "no_vectors"
        ) from None
    if values.ndim != 2 or 0 in values.shape or values.dtype.kind != "f":
        raise DataError(f"{path}: an array {values.shape} of {values.dtype}; texts by numbers, "
                        "floating, are needed", "vectors")  # fmt: skip
    ids_file = ids_file_of(path)
    ids = pl.Series("id", read_text(ids_file).splitlines(), dtype=pl.String)
    if len(ids) != len(values):
        raise DataError(f"{ids_file}: {len(ids):,} ids for {len(values):,} vectors", "vectors")
    if twice := int(ids.is_duplicated().sum()):
        first = ids.filter(ids.is_duplicated())[0]
        raise DataError(f"{ids_file}: {twice:,} lines hold an id that stands there more than once, "
                        f"first {first!r}", "vector_ids")  # fmt: skip
    _check_finite(path, values, ids)
    return ArrayVectors(digest, values, ids)


def ids_file_of(path: Path) -> Path:
    """File of the ids of a ``.npy`` file."""
    return path.with_name(path.name.removesuffix(".npy") + IDS)


def _check_finite(path: Path, values: NDArray[np.floating], ids: pl.Series) -> None:
    bad, first = 0, ""
    for begin in range(0, len(values), _PORTION):
        with np.errstate(over="ignore"):  # 64 bits may be too large for 32
            some = values[begin : begin + _PORTION].astype(np.float32)
        finite = np.isfinite(some).all(axis=1)
        if not finite.all():
            first = first or ids[begin + int(finite.argmin())]
            bad += int((~finite).sum())
    if bad:
        raise DataError(f"{path}: {bad:,} vectors hold numbers that are not finite, first that of "
                        f"{first!r}", "vectors")  # fmt: skip
