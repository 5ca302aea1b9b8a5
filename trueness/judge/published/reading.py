"""Published results as a CSV file gives them, checked line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trueness.errors import DataError
from trueness.evaluation.intervals import Estimate
from trueness.reading import as_numbers, check_names, read_table
from trueness.reading.values import MISSING_NUMBERS

SHARES = ("precision", "recall", "auc", "precision_ci95_low", "precision_ci95_high")
COUNTS = ("tp", "fp", "fn", "n_pred_pos")
ROUNDING = 5e-4
"""Published values have three decimals at the least."""
COUNT_ROUNDING = 0.006
"""How far a printed precision may be from its counts."""
MOST_COUNT = 10**9
ENDS = (("low", 0.0), ("high", 1.0))


@dataclass(frozen=True)
class PublishedResult:
    """One line of a file of results; whatever it does not give is missing from `values`."""

    id: str
    line: int
    values: dict[str, float]

    @property
    def alarms(self) -> Estimate | None:
        """Hits of alarms with the exact 95 % interval, if both counts are given."""
        hits, alarms = self.values.get("tp"), self.values.get("n_pred_pos")
        if hits is None or alarms is None:
            return None
        return Estimate.proportion(int(hits), int(alarms))

    @property
    def precision(self) -> Estimate | None:
        """From the counts; else as published, with the published interval if there is one."""
        value = self.values.get("precision")
        if value is None or self.alarms is not None:
            return self.alarms
        low, high = (self.values.get(f"precision_ci95_{end}") for end, _ in ENDS)
        return Estimate(value, low, high, int(self.values.get("n_pred_pos", 0)))

    @property
    def recall(self) -> Estimate | None:
        """From the counts; else as published, without an interval."""
        if {"tp", "fn"} <= set(self.values):
            hits = int(self.values["tp"])
            return Estimate.proportion(hits, hits + int(self.values["fn"]))
        return self._alone("recall")

    @property
    def auc(self) -> Estimate | None:
        """As published, without an interval."""
        return self._alone("auc")

    def _alone(self, name: str) -> Estimate | None:
        return Estimate(self.values[name], None, None, 0) if name in self.values else None


def read_published(path: str | Path, separator: str | None = None) -> list[PublishedResult]:
    """Read a table, such as a CSV file, with a column exp_id and at least one known measure.

    Other columns are ignored, empty cells are unknown values.

    Raises
    ------
    DataError
        If it is no such file, or a number cannot be right; the message names the line.
    """
    path = Path(path)
    table = read_table(path, separator=separator)
    header = [name.strip() for name in table.entire(str(path)).columns]
    check_names(path, header)
    known = [name for name in (*SHARES, *COUNTS) if name in header]
    if "exp_id" not in header or not known:
        missing = "column exp_id" if "exp_id" not in header else "known measure"
        raise DataError(
            f"{path}: no {missing}; a column exp_id and at least one of "
            f"{', '.join((*SHARES, *COUNTS))} are needed", "missing_column",
        )  # fmt: skip
    rows: dict[str, PublishedResult] = {}
    for line, cells in zip(table.lines.tolist(), table.frame.iter_rows(), strict=True):
        where = f"{path}:{line}"
        texts = ("" if cell is None else str(cell).strip() for cell in cells)
        row = dict(zip(header, texts, strict=True))
        id_ = row["exp_id"]
        if not id_:
            raise DataError(f"{where}: no exp_id", "no_id")
        if not id_.isprintable():
            raise DataError(f"{where}: exp_id {id_!r} is no name", "no_id")
        if id_ in rows:
            raise DataError(
                f"{where}: {id_} stands twice, first in line {rows[id_].line}; name seeds "
                f"{id_}@1, {id_}@2", "duplicate_id",
            )  # fmt: skip
        rows[id_] = PublishedResult(id_, line, _values(where, row, known))
    if not rows:
        raise DataError(f"{path}: no experiments under the header", "empty")
    return list(rows.values())


def _values(where: str, row: dict[str, str], known: Sequence[str]) -> dict[str, float]:
    """Numbers of a line that are given, checked one by one and against each other."""
    numbers = {name: _number(where, name, row[name]) for name in known if row[name]}
    values = {name: value for name, value in numbers.items() if value is not None}
    if "n_pred_pos" not in values and {"tp", "fp"} <= set(values):
        values["n_pred_pos"] = values["tp"] + values["fp"]
    _check_hits(where, values)
    _check_interval(where, values)
    return values


def _check_hits(where: str, values: dict[str, float]) -> None:
    """Refuse counts that do not add up, and a precision that is not theirs."""
    hits, false, alarms = (values.get(name) for name in ("tp", "fp", "n_pred_pos"))
    if alarms is None or hits is None:
        return
    if hits > alarms if false is None else hits + false != alarms:
        others = "" if false is None else f" and {false:g} false ones"
        raise DataError(f"{where}: {hits:g} hits{others} among {alarms:g} alarms", "counts")
    precision = values.get("precision")
    if precision is not None and alarms and abs(hits / alarms - precision) > COUNT_ROUNDING:
        raise DataError(
            f"{where}: precision {precision:g} is not {hits:g} of {alarms:g} alarms", "counts"
        )


def _check_interval(where: str, values: dict[str, float]) -> None:
    """Refuse an interval that is turned round or excludes its own precision."""
    low, high = (values.get(f"precision_ci95_{end}", default) for end, default in ENDS)
    if low > high:
        raise DataError(f"{where}: the interval runs from {low:g} to {high:g}", "interval")
    hits, alarms = values.get("tp"), values.get("n_pred_pos")
    own = values.get("precision", hits / alarms if alarms and hits is not None else None)
    if own is not None and not low - ROUNDING <= own <= high + ROUNDING:
        raise DataError(
            f"{where}: the interval {low:g} to {high:g} excludes its own precision {own:.3g}",
            "interval",
        )


def _number(where: str, name: str, text: str) -> float | None:
    """A number of a cell; NaN and NA are as unknown as an empty cell."""
    if text.lower() in MISSING_NUMBERS:
        return None
    result = as_numbers(pl.Series([text]))
    if result is None or result[0] is None:
        raise DataError(f"{where}: {name} {text[:40]!r} is not a number", "number")
    value = float(result[0])
    if name in COUNTS and not (0 <= value <= MOST_COUNT and value.is_integer()):
        raise DataError(f"{where}: {name} {text[:40]} is not a count", "count")
    if name in SHARES and not 0 <= value <= 1:
        raise DataError(
            f"{where}: {name} {text[:40]} is not in [0, 1]; divide percent by 100", "share"
        )
    return value
