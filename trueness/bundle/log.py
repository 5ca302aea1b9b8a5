"""What a bundle predicted and what came: a file that only grows, each line bound to the one before.

A line that is changed, left out or put in later breaks the chain of digests.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
from filelock import FileLock

from trueness.bundle.format import Bundle
from trueness.errors import StoreError, first_line

PREDICTION, OUTCOME = "prediction", "outcome"
SAME = 1e-6
"""Scores that are nearer to each other are one, computed on two machines."""
Line = Mapping[str, Any]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


HELD: dict[str, dict[str, Callable[[object], bool]]] = {
    PREDICTION: {
        "id": _is_text, "score": _is_number, "answer": _is_text,
        "time": lambda value: value is None or _is_text(value),
        "calibrated": lambda value: value is None or _is_number(value),
        "text": lambda value: value is None or _is_text(value),
    },
    OUTCOME: {"id": _is_text, "y": lambda value: _is_text(value) or value in (0, 1)},
}  # fmt: skip
"""What a line of a kind holds."""


@dataclass(frozen=True)
class Log:
    """Lines of a log, in order.

    Attributes
    ----------
    predictions : dict of str to mapping
        By id.
    outcomes : dict of str to int or str
        Label by id: 0 or 1, or the name of a class.
    last : str
        Digest of the last line; that of the bundle's key without any.
    """

    predictions: dict[str, Line]
    outcomes: dict[str, int | str]
    last: str


def read_log(bundle: Bundle) -> Log:
    """Read and verify the log of a bundle.

    Raises
    ------
    StoreError
        With code ``damaged`` if a line was changed, left out or cut.
    """
    predictions: dict[str, Line] = {}
    outcomes: dict[str, int | str] = {}
    last = str(bundle.description["key"])
    try:
        lines = bundle.log.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return Log({}, {}, last)
    except OSError as error:
        raise StoreError(f"{bundle.log}: {error.strerror}", "damaged") from None
    for number, written in enumerate(lines, 1):
        line = _verified(written, last, f"{bundle.log}, line {number}")
        last = line["digest"]
        if line["kind"] == PREDICTION:
            predictions[line["id"]] = line
        else:
            outcomes[line["id"]] = line["y"]
    return Log(predictions, outcomes, last)


def _verified(written: bytes, before: str, where: str) -> dict[str, Any]:
    try:
        line = json.loads(written)
        content = {name: value for name, value in line.items() if name != "digest"}
        whole = written.endswith(b"\n") and line["digest"] == _digest(content, before)
        if whole and all(is_so(line.get(name)) for name, is_so in HELD[line["kind"]].items()):
            return line
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise StoreError(
        f"{where}: was changed or cut, or a line before it is missing; what was predicted cannot "
        "be told any more", "damaged",
    )  # fmt: skip


def _digest(content: Mapping[str, Any], before: str) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def differing(known: Log, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ids of rows that the log answers otherwise, or with another score, beyond rounding."""
    before = known.predictions
    return [
        row["id"] for row in rows if row["id"] in before
        and (row["answer"] != before[row["id"]]["answer"] or not math.isclose(
            row["score"], before[row["id"]]["score"], rel_tol=SAME, abs_tol=SAME))
    ]  # fmt: skip


def append(
    bundle: Bundle, kind: str, rows: Sequence[Mapping[str, Any]], *, numbered: bool = False
) -> int:
    """Write down what is new; the number of lines.

    Parameters
    ----------
    bundle : Bundle
    kind : {"prediction", "outcome"}
    rows : sequence of mapping
        With an ``id``; ids that the log has are passed over.
    numbered : bool
        Ids are numbers of rows in a file: one with another score is a row of another file.

    Raises
    ------
    StoreError
        With code ``damaged``, ``log`` if it cannot be written, ``contradiction`` for an outcome
        that the log has otherwise, and for a numbered row that it has of another file.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if not _new(bundle, kind, rows, numbered=numbered)[1]:
        return 0  # a folder that cannot be written is no hindrance then
    try:
        with FileLock(f"{bundle.log}.lock", timeout=60):
            known, new = _new(bundle, kind, rows, numbered=numbered)
            last, lines = known.last, []
            for row in new:
                content = {"kind": kind, "at": at, **row}
                last = _digest(content, last)
                lines.append(json.dumps({**content, "digest": last}, sort_keys=True))
            if lines:
                _write(bundle, "".join(f"{line}\n" for line in lines))
            return len(lines)
    except OSError as error:
        without = "; --no-log answers without" * (kind == PREDICTION)
        raise StoreError(f"{bundle.log}: cannot be written ({first_line(error)}){without}",
                         "log") from None  # fmt: skip


def _new(
    bundle: Bundle, kind: str, rows: Sequence[Mapping[str, Any]], *, numbered: bool
) -> tuple[Log, list[Mapping[str, Any]]]:
    """The log as it is now, and rows that it does not have."""
    known = read_log(bundle)
    if numbered and (other := differing(known, rows)):
        raise StoreError(
            f"{bundle.log} has another row {other[0]}; --id-column COLUMN names rows, and "
            "--no-log answers without", "contradiction",
        )  # fmt: skip
    return known, [row for row in rows if _is_new(known, kind, row)]


def _is_new(known: Log, kind: str, row: Mapping[str, Any]) -> bool:
    if kind == PREDICTION:
        return row["id"] not in known.predictions
    before = known.outcomes.get(row["id"])
    if before is not None and before != row["y"]:
        raise StoreError(f"{row['id']}: the label is {row['y']}, the log has {before}; labels that "
                         "were known cannot change", "contradiction")  # fmt: skip
    return before is None


def _write(bundle: Bundle, text: str) -> None:
    """Append and wait for the disk; what is cut off by a full one is taken back."""
    size = bundle.log.stat().st_size if bundle.log.exists() else 0
    with bundle.log.open("ab") as out:
        whole = False
        try:
            out.write(text.encode())
            out.flush()
            os.fsync(out.fileno())
            whole = True
        finally:
            if not whole:
                os.truncate(bundle.log, size)


def ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """Lines of a log, the oldest first, with days or times; without them where some have none."""
    if "time" not in frame.columns:
        return frame
    time = frame["time"].cast(pl.String).str.to_datetime(strict=False)
    if time.null_count():  # some were predicted from a table without its column of times
        return frame.drop("time")
    if (time.dt.time() == pl.Series([0]).cast(pl.Time)[0]).all():
        time = time.dt.date()
    return frame.with_columns(time.alias("time")).sort("time", "id")
