"""Compiled parts of the search for near-duplicates: keys and signatures of texts, links in a band.

A piece is five consecutive code points, as a 64-bit hash; a text shorter than that is one piece.
Texts are given as UTF-8 bytes with the start of each, ``bytes[starts[i]:starts[i + 1]]``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import compiled

Bytes = NDArray[np.uint8]
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]

PIECE = 5
LOOK_BACK = 100


@compiled
def _mix(value: np.uint64) -> np.uint64:
    """One-to-one scrambling of 64 bits, the finaliser of SplitMix64 (Steele et al., 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _code_points(text: Bytes) -> Hashes:
    """Code points of valid UTF-8, (characters,)."""
    points, n = np.empty(len(text), np.uint64), 0
    for byte in text:
        if byte & 0xC0 == 0x80:
            points[n - 1] = (points[n - 1] << np.uint64(6)) | np.uint64(byte & 0x3F)
        else:
            lead = 0x7F if byte < 0x80 else 0x1F if byte < 0xE0 else 0x0F if byte < 0xF0 else 0x07
            points[n] = np.uint64(byte & lead)
            n += 1
    return points[:n]


@compiled
def _pieces(text: Bytes) -> Hashes:
    """Hashes of the pieces of a text in their order, (pieces,); none of an empty text."""
    points = _code_points(text)
    length = min(PIECE, len(points))
    n = len(points) - length + 1 if length else 0
    pieces = np.empty(n, np.uint64)
    for i in range(n):
        value = np.uint64(length)
        for point in points[i : i + length]:
            value = (value ^ point) * np.uint64(0x9E3779B97F4A7C15)
            value ^= value >> np.uint64(29)
        pieces[i] = _mix(value)
    return pieces


@compiled
def _text_key(pieces: Hashes) -> np.uint64:
    """Hash of a whole text."""
    value = np.uint64(len(pieces))
    for piece in pieces:
        value = _mix(value ^ piece) + np.uint64(0x9E3779B97F4A7C15)
    return value


@compiled
def _sign(
    pieces: Hashes, multipliers: Hashes, shifts: Hashes, signature: NDArray[np.uint32]
) -> None:
    """Fill a signature: for each permutation the least ``(multiplier piece + shift) >> 32``."""
    signature[:] = np.uint32(0xFFFFFFFF)
    for piece in pieces:
        for k in range(len(signature)):
            value = np.uint32((multipliers[k] * piece + shifts[k]) >> np.uint64(32))
            signature[k] = min(signature[k], value)


@compiled
def band_keys(
    texts: Bytes, starts: Rows, multipliers: Hashes, shifts: Hashes, rows_per_band: int
) -> Hashes:
    """Keys under which texts meet: of the whole text, then of each band of their signature.

    The signature holds, for each permutation, the least of ``(multiplier piece + shift) >> 32``.

    Parameters
    ----------
    texts, starts : (bytes,) uint8, (m + 1,) int64
    multipliers, shifts : (P,) uint64
        Multipliers are odd.
    rows_per_band : int

    Returns
    -------
    (1 + P // rows_per_band, m) uint64
    """
    n, n_bands = len(starts) - 1, len(multipliers) // rows_per_band
    used = n_bands * rows_per_band
    keys, signature = np.empty((1 + n_bands, n), np.uint64), np.empty(used, np.uint32)
    for row in range(n):
        pieces = _pieces(texts[starts[row] : starts[row + 1]])
        keys[0, row] = _text_key(pieces)
        _sign(pieces, multipliers, shifts, signature)
        for band in range(n_bands):
            key = np.uint64(band)
            for k in range(band * rows_per_band, (band + 1) * rows_per_band):
                key = _mix(key ^ np.uint64(signature[k])) + np.uint64(0x9E3779B97F4A7C15)
            keys[1 + band, row] = key
    return keys


@compiled
def signatures(
    texts: Bytes, starts: Rows, multipliers: Hashes, shifts: Hashes
) -> tuple[Hashes, Bytes]:
    """Hash of each whole text, and the low byte of each value of its signature.

    Parameters
    ----------
    texts, starts : (bytes,) uint8, (m + 1,) int64
    multipliers, shifts : (P,) uint64
        Multipliers are odd.

    Returns
    -------
    (m,) uint64, (m, P) uint8
    """
    n, used = len(starts) - 1, len(multipliers)
    keys, low, signature = np.empty(n, np.uint64), np.empty((n, used), np.uint8), np.empty(
        used, np.uint32)  # fmt: skip
    for row in range(n):
        pieces = _pieces(texts[starts[row] : starts[row + 1]])
        keys[row] = _text_key(pieces)
        _sign(pieces, multipliers, shifts, signature)
        for k in range(used):
            low[row, k] = np.uint8(signature[k] & np.uint32(0xFF))
    return keys, low


# ---------------------------------------------------------------------------------------- linking


@compiled
def root_of(parent: Rows, row: int) -> int:
    """Root of a row in a forest, halving the way there."""
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


@compiled
def roots(parent: Rows) -> Rows:
    """Root of every row, (n,)."""
    result = np.empty_like(parent)
    for row in range(len(parent)):
        result[row] = root_of(parent, row)
    return result


@compiled
def _distinct(pieces: Hashes) -> Hashes:
    """Sorted pieces, each once."""
    ordered = np.sort(pieces)
    n = 0
    for i in range(len(ordered)):
        if i == 0 or ordered[i] != ordered[i - 1]:
            ordered[n] = ordered[i]
            n += 1
    return ordered[:n]


@compiled
def _alike(a: Hashes, b: Hashes, threshold: float) -> bool:
    """Whether the Jaccard similarity of two sorted sets reaches the threshold; empty sets do."""
    needed = threshold * (len(a) + len(b)) / (1 + threshold) - 1e-9  # in common
    shared, i, j = 0, 0, 0
    while i < len(a) and j < len(b):
        if a[i] == b[j]:
            shared += 1
            i += 1
            j += 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
        if shared + min(len(a) - i, len(b) - j) < needed:
            return False
    return shared >= needed


@compiled
def _link_group(
    group: Rows, parent: Rows, texts: Bytes, starts: Rows, threshold: float
) -> tuple[int, int]:
    """Join the texts of a group that are alike; pairs compared, and pairs too far apart to be."""
    kept = min(len(group), LOOK_BACK + 1)
    sets, owner = [np.empty(0, np.uint64) for _ in range(kept)], np.full(kept, -1)
    checked, left_out = 0, 0
    for i in range(1, len(group)):
        left_out += max(i - LOOK_BACK, 0)
        for j in range(i - 1, max(i - LOOK_BACK, 0) - 1, -1):
            one, other = root_of(parent, group[i]), root_of(parent, group[j])
            if one == other:
                continue
            for member in (i, j):
                if owner[member % kept] != member:
                    row = group[member]
                    sets[member % kept] = _distinct(_pieces(texts[starts[row] : starts[row + 1]]))
                    owner[member % kept] = member
            checked += 1
            if _alike(sets[i % kept], sets[j % kept], threshold):
                parent[max(one, other)] = min(one, other)
    return checked, left_out


@compiled
def link(
    keys: Hashes, rows: Rows, parent: Rows, texts: Bytes, starts: Rows, threshold: float
) -> tuple[int, int]:
    """Join, in the forest `parent`, texts that share a key and are alike.

    Pairs already joined are not compared. In a group of more than `LOOK_BACK` texts each is
    compared with so many before it.

    Parameters
    ----------
    keys, rows : (m,) uint64, (m,) int64
        Sorted keys and the texts they belong to.
    parent : (n,) int64
        Changed in place; the root of a tree is its first text.

    Returns
    -------
    checked, left_out : int
        Pairs compared, and pairs of large groups that were not compared.
    """
    checked, left_out, begin = 0, 0, 0
    for end in range(1, len(keys) + 1):
        if end == len(keys) or keys[end] != keys[begin]:
            if end - begin > 1:
                compared, beyond = _link_group(rows[begin:end], parent, texts, starts, threshold)
                checked += compared
                left_out += beyond
            begin = end
    return checked, left_out
