"""Texts that say the same, found among millions on one core and joined into clusters.

Texts are compared as sets of pieces of five characters, so that languages without spaces are
served as well, after taking out what does not matter: spelling variants of Unicode, case,
punctuation and spaces. Digits matter: models of one product differ in nothing else.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.text.columns import Column, Texts, ranks, string_column

Clusters = NDArray[np.int64]

PERMUTATIONS = 128
RECALL = 0.995  # of the pairs right at the threshold
LEAST_THRESHOLD = 0.05  # below it so many permutations do not suffice
_SEPARATOR = "\n"


def normalised(texts: Texts) -> pl.Series:
    """Texts as they are compared: NFKC, case folded, runs of other than letters and digits a space.

    Characters that only format, such as soft hyphens, are left out.
    A text without letters and digits keeps its signs, so that "!!!" and "???" differ.

    Examples
    --------
    >>> normalised(["Ｐhone-12,  ROT", "STRASSE", "straße", "?!"]).to_list()
    ['phone 12 rot', 'strasse', 'strasse', '?!']
    """
    column = string_column(texts)
    if not len(column):
        return column
    shown = column.str.replace_all(_SEPARATOR, " ", literal=True).str.replace_all(r"\p{Cf}", "")
    joined = _SEPARATOR.join(shown.to_list())
    folded = unicodedata.normalize("NFKC", joined).casefold()
    plain = pl.Series("text", folded.split(_SEPARATOR))
    bare = plain.str.replace_all(r"[^\p{L}\p{M}\p{N}]+", " ").str.strip_chars()
    return bare.zip_with(bare != "", plain.str.replace_all(r"\s+", " ").str.strip_chars())


def jaccard(one: str, other: str) -> float:
    """Similarity of two normalised texts: common pieces of five characters, of all they have.

    Examples
    --------
    >>> jaccard("red shoe", "red shoes")
    0.8
    """
    from trueness.text.minhash import PIECE

    a, b = ({text[i : i + PIECE] for i in range(max(1, len(text) - PIECE + 1))}
            for text in (one, other))  # fmt: skip
    return len(a & b) / len(a | b)


class DuplicateFinder:
    """Finds near-duplicates among texts that come in portions, in about 100 bytes of memory a text.

    MinHash with banding, Broder, "On the Resemblance and Containment of Documents" (1997) and
    Indyk & Motwani, "Approximate Nearest Neighbors" (1998): texts that share a band are candidates,
    and a candidate is taken only if its Jaccard similarity, computed from the texts, reaches the
    threshold. Two texts are in one cluster if a chain of such pairs leads from one to the other.

    Parameters
    ----------
    folder : Path
        Holds the normalised texts and their bands meanwhile, about 170 bytes a text and the text
        itself; must be empty or new. The caller deletes it.
    threshold : float in [0.05, 1]
        Least Jaccard similarity of the sets of pieces of five characters. A pair right at it is
        seen with probability 0.995, a pair above it more surely.
    seed : int
        Of the permutations.

    Attributes
    ----------
    pairs_checked, pairs_left_out : int
        Pairs compared in `clusters`, and pairs at most that were not compared because over 100
        texts between them share the same band.

    Raises
    ------
    DataError
        For a threshold outside its range, a folder that holds files or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> finder = DuplicateFinder(Path(tempfile.mkdtemp()))
    >>> finder.add(["Red running shoes for women, size 38", "Garden hose"])
    >>> finder.add(["RED running shoes - for women, size 38!"])
    >>> finder.clusters()
    array([0, 1, 0])
    """

    def __init__(self, folder: Path, *, threshold: float = 0.8, seed: int = 42) -> None:
        if not LEAST_THRESHOLD <= threshold <= 1:
            raise DataError(f"threshold {threshold}: {LEAST_THRESHOLD} to 1 is needed")
        _begin(folder)
        self.threshold = threshold
        self.rows = rows_per_band(threshold)
        self.n_bands = PERMUTATIONS // self.rows
        self.pairs_checked = 0
        self.pairs_left_out = 0
        self._folder = folder
        self._sizes: list[NDArray[np.int64]] = []
        self._multipliers, self._shifts = permutations_of(seed, PERMUTATIONS)

    def __len__(self) -> int:
        return sum(len(sizes) for sizes in self._sizes)

    def add(self, texts: Texts) -> None:
        """Take in some more texts, (m,) of str."""
        from trueness.text.minhash import band_keys

        column = normalised(texts)
        if not len(column):
            return
        joined, starts = joined_bytes(column)
        sizes = np.diff(starts)
        keys = band_keys(joined, starts, self._multipliers, self._shifts, self.rows)
        _append(self._folder / "texts", joined)
        for band, column_of_keys in enumerate(keys):
            _append(self._folder / f"band{band:03}", column_of_keys)
        self._sizes.append(sizes)

    def clusters(self) -> Clusters:
        """Cluster of every text in the order they came, (n,), numbered by first appearance."""
        from trueness.text.minhash import link, roots

        n = len(self)
        if n == 0:
            return np.zeros(0, np.int64)
        self.pairs_checked = self.pairs_left_out = 0
        starts = _starts(np.concatenate(self._sizes))
        texts = self._mapped("texts", np.uint8)
        parent = np.arange(n)
        rows = np.arange(n)
        for band in range(self.n_bands + 1):
            keys = self._mapped(f"band{band:03}", np.uint64)[rows]
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            checked, left = link(keys, rows[order], parent, texts, starts, self.threshold)
            self.pairs_checked += checked
            self.pairs_left_out += left
            if band == 0:  # the whole text: one of each copy is enough from here on
                rows = np.flatnonzero(parent == np.arange(n))
        first = roots(parent)
        return (np.cumsum(first == np.arange(n)) - 1)[first]

    def _mapped(self, name: str, dtype: type) -> NDArray[np.generic]:
        path = self._folder / name
        if path.stat().st_size:
            return np.memmap(path, dtype, mode="r")
        return np.frombuffer(b"", dtype)


def _begin(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; give a folder that can be written") from None
    if any(folder.iterdir()):
        raise DataError(f"{folder}: holds files already; give an empty folder")


def _append(path: Path, values: NDArray[Any]) -> None:
    try:
        with path.open("ab") as file:
            values.tofile(file)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; give a folder with room") from None


def joined_bytes(column: pl.Series) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Texts as bytes, one after the other, and where each begins and the last ends, (n + 1,)."""
    joined = np.frombuffer("".join(column.to_list()).encode(), np.uint8)
    return joined, _starts(column.str.len_bytes().to_numpy().astype(np.int64))


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of the parts begins and the last one ends, (n + 1,)."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def rows_per_band(threshold: float, permutations: int = PERMUTATIONS) -> int:
    """Longest bands that let a pair at the threshold meet with the promised probability."""
    return next(
        rows
        for rows in range(permutations, 0, -1)
        if 1 - (1 - threshold**rows) ** (permutations // rows) >= RECALL
    )


def permutations_of(seed: int, n: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Multipliers and shifts (n,) of as many permutations; multipliers are odd."""
    bits = np.random.default_rng(seed).integers(0, 2**64, (2, n), np.uint64)
    return bits[0] | np.uint64(1), bits[1]


# ------------------------------------------------------------------------------------ clusterings


def first_appearance(labels: Column) -> Clusters:
    """The same clustering, (n,), numbered 0, 1, ... in the order of their first rows.

    Examples
    --------
    >>> first_appearance(["shoe", "hat", "shoe"])
    array([0, 1, 0])
    """
    ranked = ranks("cluster", labels)
    seen, first = np.unique(ranked, return_index=True)
    number = np.empty(len(seen), np.int64)
    number[np.argsort(first)] = np.arange(len(seen))
    return number[ranked]


def join(a: Column, b: Column) -> Clusters:
    """Finest clustering that separates neither what `a` holds together nor what `b` does.

    Parameters
    ----------
    a, b : (n,)
        Cluster of every row, any labels.

    Returns
    -------
    (n,) int64
        Connected components, numbered by first appearance.

    Examples
    --------
    >>> join([7, 7, 8, 9], ["x", "y", "y", "z"])
    array([0, 0, 0, 1])
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, other = first_appearance(a), first_appearance(b)
    if one.shape != other.shape:
        raise DataError(f"{len(one)} and {len(other)} rows; both must cluster the same rows")
    if not len(one):
        return one
    size = int(max(one.max(), other.max())) + 1
    edges = coo_array((np.ones(len(one), np.int8), (one, size + other)), shape=(2 * size,) * 2)
    _, component = connected_components(edges, directed=False)
    return first_appearance(component[one])
