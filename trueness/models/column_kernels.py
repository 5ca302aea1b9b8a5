"""Compiled attention across the columns of a day on a CPU, whose scores never leave the cache.

A row of scores is made at a time, and once more in the backward pass, so nothing but inputs and
results is kept. torch's kernels multiply matrices, which is slow where heads have a few numbers
only, and make the scores three times. Sums are taken in float32; days are shared out in portions
of one size, so that results do not depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import compiled

Numbers = NDArray[np.float32]

LANES = 4
"""The numbers of a head come in groups of so many; zeros fill the last one."""
DAYS = 16
"""Days of one portion."""
LN2 = np.float32(math.log(2))
LEAST = np.float32(-126)
"""Powers of two below this one count as this one."""
BIAS, FRACTION = np.float32(127), np.float32(2**23)
"""Bits of a float32: the exponent counts from the first and stands above the second."""
_0, _1 = np.float32(0), np.float32(1)
SERIES = tuple(map(np.float32, (0.69314698, 0.24022242, 0.05550734, 0.00967151, 0.00132647)))
"""``2 ** f - 1`` for f of at most 1/2 over f, f^2, ..., of least largest relative error, 9e-8."""
_A, _B, _C, _D, _E = SERIES

T = TypeVar("T")
kernel = partial(compiled, fastmath=True)


@kernel
def _powers(scores: Numbers, most: np.float32) -> np.float32:
    """Replace scores (C,) by ``2 ** (score - most)``; their sum.

    The whole part goes into the exponent, a polynomial makes the rest.
    """
    total = _0
    for j in range(len(scores)):
        below = max(scores[j] - most, LEAST)
        whole = np.rint(below)
        f = below - whole
        power = _1 + f * (_A + f * (_B + f * (_C + f * (_D + f * _E))))
        weight = power * np.int32((whole + BIAS) * FRACTION).view(np.float32)
        total += weight
        scores[j] = weight
    return total


@kernel
def _ordered(bits: np.int32) -> np.int32:
    """Bits of a float32 as a whole number in the same order, and back."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@kernel
def _largest(scores: Numbers) -> np.float32:
    """Maximum; of floats as such it would not be compiled into vector instructions."""
    most = np.int32(-(2**31))
    for j in range(len(scores)):
        most = max(most, _ordered(np.float32(scores[j]).view(np.int32)))
    return np.int32(_ordered(most)).view(np.float32)


@kernel
def _products(row: Numbers, table: Numbers, result: Numbers) -> None:
    """Fill products (C,) of a row (d,) with every column of a table (d, C)."""
    for first in range(0, len(row), LANES):
        a, b, c, d = row[first], row[first + 1], row[first + 2], row[first + 3]
        for j in range(len(result)):
            new = (a * table[first, j] + b * table[first + 1, j]
                   + c * table[first + 2, j] + d * table[first + 3, j])  # fmt: skip
            if first > 0:
                new += result[j]
            result[j] = new


@kernel
def _mixture(weights: Numbers, table: Numbers, scale: np.float32, result: Numbers) -> None:
    """Sums (d,) of the columns of a table (d, C) times weights (C,) and a scale."""
    for first in range(0, len(result), LANES):
        a = b = c = d = _0
        for j in range(len(weights)):
            a += weights[j] * table[first, j]
            b += weights[j] * table[first + 1, j]
            c += weights[j] * table[first + 2, j]
            d += weights[j] * table[first + 3, j]
        result[first], result[first + 1] = a * scale, b * scale
        result[first + 2], result[first + 3] = c * scale, d * scale


@kernel
def _spread(weights: Numbers, row: Numbers, scale: np.float32, table: Numbers) -> None:
    """Add to a table (d, C) the products of a row (d,) and weights (C,), times a scale."""
    for first in range(0, len(row), LANES):
        a, b = row[first] * scale, row[first + 1] * scale
        c, d = row[first + 2] * scale, row[first + 3] * scale
        for j in range(len(weights)):
            table[first, j] += a * weights[j]
            table[first + 1, j] += b * weights[j]
            table[first + 2, j] += c * weights[j]
            table[first + 3, j] += d * weights[j]


@kernel
def _tokens(x: Numbers, keep: Numbers, slope: Numbers, shift: Numbers, tokens: Numbers) -> None:
    """Queries, keys and values (3, d, C) of one day and head."""
    for part in range(3):
        for d in range(slope.shape[1]):
            for c in range(len(x)):
                token = x[c] * slope[part, d, c] + shift[part, d, c]
                tokens[part, d, c] = token * keep[c] if part == 2 else token


@kernel
def _attend(x: Numbers, keep: Numbers, slope: Numbers, shift: Numbers, mixed: Numbers) -> None:
    """Fill the mixtures of values (R, C, h, d) of days x (R, C).

    `keep` (R or 1, h, C) are factors of the values; slope and shift are (h, 3, d, C). Weights are
    powers of two.
    """
    tokens, scores = np.empty_like(slope[0]), np.empty(x.shape[1], np.float32)
    for r in range(len(x)):
        for h in range(len(slope)):
            _tokens(x[r], keep[min(r, len(keep) - 1), h], slope[h], shift[h], tokens)
            for i in range(len(scores)):
                _products(tokens[0, :, i], tokens[1], scores)
                total = _powers(scores, _largest(scores))
                _mixture(scores, tokens[2], _1 / total, mixed[r, i, h])


@kernel
def _row_back(
    i: int, tokens: Numbers, upstream: Numbers, scores: Numbers, towards: Numbers, mixed: Numbers,
    back: Numbers,
) -> None:  # fmt: skip
    """One query of `_attend_back`: its mixture, and what it adds to gradients of all tokens."""
    query = tokens[0, :, i]
    _products(query, tokens[1], scores)
    share = _1 / _powers(scores, _largest(scores))
    _mixture(scores, tokens[2], share, mixed)
    _products(upstream, tokens[2], towards)
    _spread(scores, upstream, share, back[2])
    mean = _0
    for d in range(len(upstream)):
        mean += upstream[d] * mixed[d]
    for j in range(len(scores)):
        towards[j] = scores[j] * (towards[j] - mean)
    _mixture(towards, tokens[1], share * LN2, back[0, :, i])
    _spread(towards, query, share * LN2, back[1])


@kernel
def _attend_back(
    x: Numbers, keep: Numbers, slope: Numbers, shift: Numbers, upstream: Numbers, mixed: Numbers,
    x_back: Numbers, slope_back: Numbers, shift_back: Numbers,
) -> None:  # fmt: skip
    """Fill the mixtures once more; add to gradients of x, slope and shift.

    The gradient of the mixtures, (R, C, h, d), is given.
    """
    n = x.shape[1]
    tokens, back = np.empty_like(slope[0]), np.empty_like(slope[0])
    scores, towards = np.empty(n, np.float32), np.empty(n, np.float32)
    for r in range(len(x)):
        for h in range(len(slope)):
            kept = keep[min(r, len(keep) - 1), h]
            _tokens(x[r], kept, slope[h], shift[h], tokens)
            back[:] = _0
            for i in range(n):
                _row_back(i, tokens, upstream[r, i, h], scores, towards, mixed[r, i, h], back)
            for part in range(3):
                for d in range(slope.shape[2]):
                    for c in range(n):
                        new = back[part, d, c] * (kept[c] if part == 2 else _1)
                        x_back[r, c] += new * slope[h, part, d, c]
                        slope_back[h, part, d, c] += new * x[r, c]
                        shift_back[h, part, d, c] += new


def mixtures(
    x: Numbers, keep: Numbers, slope: Numbers, shift: Numbers, threads: int = 1
) -> Numbers:
    """Mixtures of values, (R, C, h, k), of softmax attention with scores over the root of k.

    Parameters
    ----------
    x : (R, C) float32
        Days by columns.
    keep : (R or 1, h, C)
        Factors of the values.
    slope, shift : (C, 3, h, k)
        Query, key and value of column c in each of h heads are ``x[c] * slope[c] + shift[c]``.
    threads : int
    """
    k = slope.shape[3]
    inputs = [np.ascontiguousarray(x), np.ascontiguousarray(keep), _laid(slope), _laid(shift)]
    mixed = np.empty((*x.shape, slope.shape[2], k + -k % LANES), np.float32)
    _each(lambda days: _attend(*_part(inputs, days), mixed[days]), len(x), threads)
    return mixed[..., :k]


def gradients(
    x: Numbers, keep: Numbers, slope: Numbers, shift: Numbers, upstream: Numbers, threads: int = 1
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Mixtures, and gradients of x, slope and shift from that of the mixtures.

    Parameters
    ----------
    x, keep, slope, shift, threads
        As for `mixtures`.
    upstream : (R, C, h, k)
    """
    k = slope.shape[3]
    inputs = [np.ascontiguousarray(x), np.ascontiguousarray(keep), _laid(slope), _laid(shift)]
    upstream = np.ascontiguousarray(np.pad(upstream, [(0, 0)] * 3 + [(0, -k % LANES)]))
    mixed, x_back = np.empty_like(upstream), np.zeros_like(inputs[0])

    def one(days: slice) -> tuple[Numbers, Numbers]:
        sums = np.zeros_like(inputs[2]), np.zeros_like(inputs[3])
        _attend_back(*_part(inputs, days), upstream[days], mixed[days], x_back[days], *sums)
        return sums

    slopes, shifts = zip(*_each(one, len(x), threads), strict=True)
    slope_back, shift_back = (np.sum(all_, axis=0).transpose(3, 1, 0, 2)[..., :k]
                              for all_ in (slopes, shifts))  # fmt: skip
    slope_back[:, 0] *= _scale(k)
    shift_back[:, 0] *= _scale(k)
    return mixed[..., :k], x_back, slope_back, shift_back


def _scale(k: int) -> np.float32:
    """Factor of queries that makes powers of two of the weights."""
    return np.float32(math.log2(math.e) / math.sqrt(k))


def _laid(weights: Numbers) -> Numbers:
    """Weights (C, 3, h, k) as the kernels read them, (h, 3, d, C), queries scaled."""
    columns, parts, heads, k = weights.shape
    laid = np.zeros((heads, parts, k + -k % LANES, columns), np.float32)
    laid[:, :, :k] = weights.transpose(2, 1, 3, 0)
    laid[:, 0] *= _scale(k)
    return laid


def _part(inputs: list[Numbers], days: slice) -> list[Numbers]:
    x, keep, slope, shift = inputs
    return [x[days], keep[days] if len(keep) > 1 else keep, slope, shift]


def _each(one: Callable[[slice], T], n: int, threads: int) -> list[T]:
    """What a function gives for portions of n days, in their order."""
    portions = [slice(first, first + DAYS) for first in range(0, n, DAYS)]
    if threads == 1 or len(portions) == 1:
        return [one(days) for days in portions]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, portions))
