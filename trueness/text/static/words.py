"""Vectors of words as fastText writes them: a line with both sizes, then a word and its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from trueness.errors import DataError
from trueness.text.static.tokens import Floats, TokenVectors

MOST_WORDS = 200_000
"""Words that are read; files list the most frequent ones first."""
UNKNOWN = "<|unknown|>"
_PORTION = 10_000
_WIDEST = 100_000


def read_words(path: Path, digest: str) -> TokenVectors:
    r"""Words of a ``.vec`` file, the first 200,000.

    A text is cut into runs of letters and digits, and of other signs; all in lower case where the
    file has no word with a capital letter. Words that the file does not have do not count. Of a
    word that stands twice, the first counts. Bojanowski et al., "Enriching Word Vectors with
    Subword Information" (2017).

    Raises
    ------
    DataError
        With code ``no_vectors`` if it cannot be opened, ``vectors`` if a line has another number of
        values than the first line says, one that is no finite number, or there are fewer or more
        lines.
    """
    try:
        with path.open("rb") as file:
            lines, width = _sizes(path, file.readline())
            parts = list(_portions(path, file, lines, width))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", "no_vectors") from None
    names, matrix = [w for words, _ in parts for w in words], np.concatenate([m for _, m in parts])
    rows = dict(zip(reversed(names), range(len(names) - 1, -1, -1), strict=True))
    rows[UNKNOWN] = len(names)
    every = np.vstack([matrix, np.zeros((1, width), np.float32)])
    repeated = len(names) + 1 - len(rows)
    return TokenVectors.of(digest, _tokenizer(rows), every, len(names), repeated=repeated)


def _sizes(path: Path, head: bytes) -> tuple[int, int]:
    words = head.split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        raise DataError(f"{path}: the first line must be the number of words and that of the "
                        "values of each", "vectors")  # fmt: skip
    lines, width = map(int, words)
    if not (lines and 0 < width <= _WIDEST):
        raise DataError(f"{path}: {lines:,} words of {width:,} values", "vectors")
    return lines, width


def _portions(
    path: Path, file: Iterator[bytes], lines: int, width: int
) -> Iterator[tuple[list[str], Floats]]:
    """Words and vectors, some thousand at a time; the number of all lines is checked at the end."""
    read, wanted = 0, min(lines, MOST_WORDS)
    while read < wanted:
        some = [
            line.rstrip().rsplit(b" ", width) for line in islice(file, min(_PORTION, wanted - read))
        ]
        if not some:
            break
        yield _vectors(path, some, width, read + 2)
        read += len(some)
    result = read + sum(1 for line in file if line.strip())
    if result != lines:
        raise DataError(f"{path}: {result:,} words, and the first line says {lines:,}", "vectors")


def _vectors(
    path: Path, some: list[list[bytes]], width: int, first: int
) -> tuple[list[str], Floats]:
    ragged = [i for i, parts in enumerate(some) if len(parts) != width + 1]
    if ragged:
        raise DataError(f"{path}: {len(ragged):,} lines without a word and {width} values, first "
                        f"line {first + ragged[0]}", "vectors")  # fmt: skip
    try:
        with np.errstate(over="ignore"):  # told below, as what is not finite
            values = np.array([parts[1:] for parts in some]).astype(np.float32)
    except ValueError:
        values = np.array([[_number(part) for part in parts[1:]] for parts in some], np.float32)
    if not (finite := np.isfinite(values).all(axis=1)).all():
        number, line = int((~finite).sum()), first + int(finite.argmin())
        raise DataError(f"{path}: {number:,} lines hold a value that is no finite number, first "
                        f"line {line}", "vectors")  # fmt: skip
    return [parts[0].decode("utf-8", "replace") for parts in some], values


def _number(part: bytes) -> float:
    try:
        return float(part)
    except ValueError:
        return np.nan


def _tokenizer(rows: dict[str, int]) -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(rows, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    small = all(word == word.lower() for word in rows)
    parts = [normalizers.NFC(), *([normalizers.Lowercase()] if small else [])]
    tokenizer.normalizer = normalizers.Sequence(parts)
    return tokenizer.to_str()
