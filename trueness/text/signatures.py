"""What is kept of labelled texts so that others can be held against them: hashes, no words.

80 bytes a text: a hash of its id, one of its words, and 64 values of a MinHash, a byte of each. Li
and König, "b-Bit Minwise Hashing" (2010): two texts of similarity J agree in a share of the bytes
of ``J + (1 - J) / 256``, which tells J with a standard error of at most 0.06.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.text.corpus import PARTS, Parts
from trueness.text.duplicates import joined_bytes, normalised, permutations_of, rows_per_band
from trueness.text.sources import hashed

FILE = "texts.safetensors"
"""Name of the file in a run or a bundle."""
VALUES, SEED = 64, 20
BY_CHANCE = 1 / 256
"""Share of bytes that agree although the values do not."""
MOST_ALIKE = 100
"""Texts of one band that a text is compared with."""
PAIRS_AT_ONCE = 1 << 18
Index = NDArray[np.int64]


@dataclass(frozen=True)
class TextSignatures:
    """Signatures of n texts.

    Attributes
    ----------
    ids : (n,) int64
        Hashes of the ids.
    words : (n,) uint64
        Hashes of the texts, apart from case, punctuation and spaces.
    sketch : (n, 64) uint8
    part : (n,) uint8
        Index into the parts of a corpus; 0 where there are none.
    """

    ids: Index
    words: NDArray[np.uint64]
    sketch: NDArray[np.uint8]
    part: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, ids: pl.Series, texts: pl.Series, part: int = 0) -> Self:
        """From ids and texts, (n,).

        Examples
        --------
        >>> some = TextSignatures.of(pl.Series(["a", "b"]), pl.Series(["Red shoe, new", "hose"]))
        >>> other = TextSignatures.of(pl.Series(["c"]), pl.Series(["red shoe new"]))
        >>> some.nearest(other, 0.8)
        (array([0]), array([1.]))
        """
        from trueness.text.minhash import signatures

        words, sketch = signatures(*joined_bytes(normalised(texts)), *permutations_of(SEED, VALUES))
        every = np.full(len(texts), part, np.uint8)
        return cls(hashed(ids.cast(pl.String)).to_numpy().astype(np.int64), words, sketch, every)

    @classmethod
    def of_corpus(cls, corpus: Parts) -> Self:
        """Of every text of a corpus, part after part."""
        some = [corpus.part(name) for name in PARTS]
        made = [cls.of(one.ids, one.texts, i) for i, one in enumerate(some)]
        return cls(*(np.concatenate([getattr(one, name) for one in made])
                     for name in cls.__dataclass_fields__))  # fmt: skip

    def to_bytes(self) -> bytes:
        """Content of a file."""
        from safetensors.numpy import save

        return save({name: np.ascontiguousarray(value) for name, value in vars(self).items()
                     if name in self.__dataclass_fields__})  # fmt: skip

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Back from `to_bytes`.

        Raises
        ------
        DataError
            With code ``damaged``.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            arrays = load(content)
            return cls(*(arrays[name] for name in cls.__dataclass_fields__))
        except (SafetensorError, KeyError) as error:
            raise DataError(f"{FILE}: cannot be read ({error}); run it again", "damaged") from None

    def only(self, inside: NDArray[np.bool_]) -> Self:
        """Some of them; `inside` is (n,)."""
        return type(self)(self.ids[inside], self.words[inside], self.sketch[inside],
                          self.part[inside])  # fmt: skip

    @cached_property
    def trained_on(self) -> Self:
        """Those of the train part."""
        return self.only(self.part == PARTS.index("train"))

    def nearest(self, other: TextSignatures, at_least: float) -> tuple[Index, NDArray[np.float64]]:
        """Which of these texts is most similar to each of the others.

        A pair of that similarity is compared with probability 0.995, unless more than a hundred of
        these texts share what brings it together.

        Parameters
        ----------
        other : TextSignatures
            Of m texts.
        at_least : float
            In (0, 1]: smallest estimated Jaccard similarity of the sets of five-character pieces.

        Returns
        -------
        (m,) int64, (m,) float64
            Row, -1 where none is similar enough; estimated similarity, 0 there.
        """
        row, best = np.full(len(other), -1, np.int64), np.zeros(len(other))
        for theirs, ours in self._pairs(other, at_least):
            result = similarity(self.sketch[ours], other.sketch[theirs])
            order = np.argsort(result, kind="stable")
            theirs, ours, result = theirs[order], ours[order], result[order]
            better = (result > best[theirs]) & (result >= at_least)
            last = dict(zip(theirs[better].tolist(), np.flatnonzero(better).tolist(), strict=True))
            at, of = np.array(list(last), np.int64), np.array(list(last.values()), np.int64)
            if len(at):
                row[at], best[at] = ours[of], result[of]
        return row, best

    def _pairs(self, other: TextSignatures, at_least: float) -> Iterator[tuple[Index, Index]]:
        """Pairs that share a band, (theirs, ours), some at a time."""
        rows = min(rows_per_band(at_least, VALUES), 8)
        for first in range(0, VALUES - rows + 1, rows):
            ours, theirs = (_band(one.sketch, first, rows) for one in (self, other))
            order = np.argsort(ours, kind="stable")
            low, high = (np.searchsorted(ours[order], theirs, side) for side in ("left", "right"))
            counts = np.minimum(high - low, MOST_ALIKE)
            ends = np.cumsum(counts)
            for some in np.split(np.arange(len(other)), _split_points(ends)):
                many = counts[some]
                begin = np.repeat(low[some] - (np.cumsum(many) - many), many)
                yield np.repeat(some, many), order[begin + np.arange(int(many.sum()))]


def similarity(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Estimated Jaccard similarity of pairs of sketches, (m, 64) each; 0 to 1."""
    agree = (one == other).mean(axis=1)
    return np.clip((agree - BY_CHANCE) / (1 - BY_CHANCE), 0, 1)


def _band(sketch: NDArray[np.uint8], first: int, rows: int) -> NDArray[np.uint64]:
    """Some bytes of each sketch as one number, (n,)."""
    wide = np.zeros((len(sketch), 8), np.uint8)
    wide[:, :rows] = sketch[:, first : first + rows]
    return wide.view(np.uint64)[:, 0]


def _split_points(ends: Index) -> Index:
    """Where pairs are cut so that not too many are compared at once."""
    total = int(ends[-1]) if len(ends) else 0
    return np.unique(np.searchsorted(ends, np.arange(PAIRS_AT_ONCE, total, PAIRS_AT_ONCE)))
