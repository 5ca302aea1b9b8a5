"""Records of JSON lines from a stream of bytes, whatever the bytes are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

LONGEST_LINE = 1 << 20
"""Bytes; a longer line is no product offer."""

BROKEN, BAD_UTF8, TOO_LONG, NO_OBJECT, DOUBLED = (
    "broken JSON", "bad UTF-8", f"line over {LONGEST_LINE:,} bytes", "no JSON object",
    "a name stands twice",
)  # fmt: skip


class _DoubledError(ValueError):
    """A name that stands twice in an object: which of its values is meant, nobody knows."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise _DoubledError
    return record


def line_blocks(blocks: Iterable[bytes], skipped: Counter[str]) -> Iterator[list[bytes]]:
    """Whole lines of a stream, block by block; memory is bounded by a block and a line.

    Lines over `LONGEST_LINE` bytes are counted and left out, empty ones are left out.
    """
    carry, skipping = b"", False
    for block in blocks:
        first, *rest = block.split(b"\n")
        if not skipping:
            carry += first
        if len(carry) > LONGEST_LINE:
            skipped[TOO_LONG] += 1
            carry, skipping = b"", True
        if rest:
            whole, carry, skipping = [carry, *rest[:-1]], rest[-1], False
            yield _short(whole, skipped)
    if carry:
        yield _short([carry], skipped)


def _short(lines: list[bytes], skipped: Counter[str]) -> list[bytes]:
    kept = [line for line in lines if line and len(line) <= LONGEST_LINE]
    skipped[TOO_LONG] += sum(len(line) > LONGEST_LINE for line in lines)
    return kept


def records(lines: list[bytes], skipped: Counter[str]) -> Iterator[dict[str, Any]]:
    """Objects of the lines that hold one; the others are counted.

    Examples
    --------
    >>> skipped = Counter()
    >>> list(records([b'{"title": "Bib"}', b'{"title": ', b"[1]"], skipped)), dict(skipped)
    ([{'title': 'Bib'}], {'broken JSON': 1, 'no JSON object': 1})
    """
    decode = json.JSONDecoder(object_pairs_hook=_once).decode
    for line in lines:
        try:
            record = decode(line.decode())
        except UnicodeDecodeError:
            skipped[BAD_UTF8] += 1
        except _DoubledError:
            skipped[DOUBLED] += 1
        except (ValueError, RecursionError):
            skipped[BROKEN] += not line.isspace()
        else:
            if isinstance(record, dict):
                yield record
            else:
                skipped[NO_OBJECT] += 1


def as_text(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """A value as text: strings as they are, numbers as digits, all else as nothing.

    Half a surrogate pair, which JSON can spell and UTF-8 cannot, becomes U+FFFD.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""
