"""What is wrong with the columns of a table: leaks, copies, constants, drift, repeated rows.

Whether a column looks ahead cannot be tested in a finished table. What can be seen is a column that
tells the label by itself, which is the usual trace of one that was written after the event.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import ks_2samp, rankdata

from trueness.examples import PARTS
from trueness.spec.table import TableTask
from trueness.table.examples import check_parts, divide
from trueness.table.reading import Table
from trueness.table.roles import Roles

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

BINS = 20
"""Bins of about equally many training rows, for a column of more values."""
PRIOR_ROWS = 10
"""Rows of the base rate that are added to each bin; a category of fewer rows is a rare one."""
EXACT = 1 - 1e-12
"""Squared correlation from which one column is a linear map of another."""


@dataclass(frozen=True)
class Feature:
    """What the audit found about one input column.

    Attributes
    ----------
    name : str
    kind : {"number", "time", "category"}
    missing, distinct : int
        Rows without a value, and different values.
    top_share : float
        Share of the most frequent value, a missing one included; 1 for a constant.
    identifies : bool
        Whether every row has a value of its own, and it is no measurement.
    copy_of : str or None
        Earlier column that says the same: equal, renamed one to one, or an exact linear map.
    drift : float
        Between training and measured rows, in [0, 1]: Kolmogorov-Smirnov distance of numbers and
        times, total variation distance of categories.
    auc : float
        Of the measured rows by the column alone: by its values, or by the rates of positives that
        its values or bins have on training rows, whichever is greater.
    """

    name: str
    kind: str
    missing: int
    distinct: int
    top_share: float
    identifies: bool
    copy_of: str | None
    drift: float
    auc: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Audit:
    """Columns of a table with what was found, between the training and the measured rows of a fold.

    Attributes
    ----------
    source, part : str
        Name of the table, and of the measured part.
    n_train, n_measured : int
    repeated, contradicting : int
        Measured rows whose inputs a training row has as well, and those of them where all such
        training rows have the other label.
    shared_clusters : int or None
        Clusters with rows on both sides; None without clusters.
    """

    source: str
    part: str
    features: tuple[Feature, ...]
    n_train: int
    n_measured: int
    repeated: int
    contradicting: int
    shared_clusters: int | None


def audit_columns(task: TableTask, evaluation: Any, table: Table) -> Audit:  # noqa: ANN401
    """Audit the input columns on the training and the measured rows of the last fold.

    A sealed test part is not looked at.

    Raises
    ------
    DataError
        As for `trueness.table.table_examples`.
    """
    result = divide(task, evaluation, table)
    check_parts(result, evaluation, table.name)
    roles, part = result.roles, result.parts[-1]
    train, measured = (
        result.unit[part == PARTS.index(name)] for name in ("train", evaluation.measured_on)
    )
    columns = [_Values.of(column) for column in roles.inputs]
    copies = _copies(columns)
    features = [_feature(one, copies.get(one.name), roles.y, train, measured) for one in columns]
    repeated, contradicting = _repeated(roles, train, measured)
    shared = None
    if roles.cluster is not None:
        shared = len(np.intersect1d(roles.cluster[train], roles.cluster[measured]))
    return Audit(table.name, evaluation.measured_on, tuple(features), len(train), len(measured),
                 repeated, contradicting, shared)  # fmt: skip


# ----------------------------------------------------------------------------------------- columns


@dataclass(frozen=True)
class _Values:
    """A column as numbers.

    `code` (T,) counts the values by first appearance, a missing one among them; `number` (T,) is
    that of a number or time, NaN where it is missing or infinite.
    """

    name: str
    kind: str
    code: Index
    missing: NDArray[np.bool_]
    number: Floats | None

    @classmethod
    def of(cls, column: pl.Series) -> _Values:
        time, numeric = column.dtype.is_temporal(), column.dtype.is_numeric()
        number = None
        if column.dtype.is_float():
            column = column.fill_nan(None)
        if time or numeric or column.dtype == pl.Boolean:
            plain = column.to_physical() if time else column
            number = plain.cast(pl.Float64).fill_null(np.nan).to_numpy()
            number = np.where(np.isfinite(number), number, np.nan)
        texts = column if number is not None else column.cast(pl.String)
        code = texts.to_frame().select(pl.first().rank("dense").fill_null(0)).to_series()
        first, at = np.unique(code.to_numpy(), return_index=True, return_inverse=True)[1:]
        numbered = np.argsort(np.argsort(first))[at]
        kind = "time" if time else "category" if number is None else "number"
        missing = column.is_null().to_numpy() if number is None else np.isnan(number)
        return cls(column.name, kind, numbered, missing, number)

    @property
    def distinct(self) -> int:
        """Different values, a missing one not counted."""
        return int(self.code.max()) + 1 - bool(self.missing.any())


def _copies(columns: list[_Values]) -> dict[str, str]:
    """Name of a column -> earlier one that says the same; constants say nothing."""
    by_code: dict[bytes, str] = {}
    copies: dict[str, str] = {}
    several = [one for one in columns if one.code.max() > 0]
    for one in several:
        tells = one.distinct <= len(one.code) / 2 or one.number is None  # else all look alike
        key = one.code.tobytes() if tells else np.nan_to_num(one.number).tobytes() + b"#"
        original = by_code.setdefault(key, one.name)
        if original != one.name:
            copies[one.name] = original
    rest = [one for one in several if one.number is not None and one.name not in copies]
    return copies | _linear_maps(rest)


def _linear_maps(columns: list[_Values]) -> dict[str, str]:
    """Exact linear maps of earlier numbers that are known in the same rows."""
    copies: dict[str, str] = {}
    for mask in dict.fromkeys(one.missing.tobytes() for one in columns):
        alike = [one for one in columns if one.missing.tobytes() == mask]
        known = ~alike[0].missing
        x = np.stack([one.number[known] for one in alike])  # ty: ignore[not-subscriptable]
        x = x / np.maximum(np.abs(x).max(axis=1, keepdims=True, initial=0), np.finfo(float).tiny)
        x -= x.mean(axis=1, keepdims=True)
        x /= np.linalg.norm(x, axis=1, keepdims=True) + np.finfo(float).tiny
        near = np.tril((x @ x.T) ** 2 > EXACT, -1)
        for i in np.flatnonzero(near.any(axis=1)):
            copies[alike[i].name] = alike[int(near[i].argmax())].name
    return copies


def _feature(
    one: _Values, copy_of: str | None, y: NDArray[np.uint8], train: Index, measured: Index
) -> Feature:
    n, counts = len(one.code), np.bincount(one.code)
    own = one.distinct == n and (one.number is None or bool((one.number % 1 == 0).all()))
    return Feature(
        one.name, one.kind, int(one.missing.sum()), one.distinct, float(counts.max() / n),
        own and one.kind != "time" and n > 1, copy_of, _drift(one, train, measured),
        _auc_alone(one, y, train, measured),
    )  # fmt: skip


def _drift(one: _Values, train: Index, measured: Index) -> float:
    if one.number is not None:
        here, there = (one.number[rows][~one.missing[rows]] for rows in (train, measured))
        return float(ks_2samp(here, there).statistic) if len(here) and len(there) else 0.0
    common = np.bincount(one.code) >= PRIOR_ROWS  # the others are taken together
    code = np.where(common[one.code], one.code + 1, 0)
    here, there = (np.bincount(code[rows], minlength=len(common) + 1) for rows in (train, measured))
    return float(np.abs(here / here.sum() - there / there.sum()).sum() / 2)


def _auc_alone(one: _Values, y: NDArray[np.uint8], train: Index, measured: Index) -> float:
    """AUC on measured rows, by values (in the direction of training rows) or by rates of bins."""
    bins = _bins(one, train)
    size = int(bins.max()) + 1
    positives, n = (np.bincount(bins[train], w, size) for w in (y[train], None))
    base = y[train].mean()
    rate = (positives + PRIOR_ROWS * base) / (n + PRIOR_ROWS)
    aucs = [_auc(y[measured], rate[bins[measured]])]
    if one.number is not None and not one.missing.all():
        filled = np.where(one.missing, np.nanmedian(one.number), one.number)
        rises = _auc(y[train], filled[train]) >= 0.5
        aucs.append(_auc(y[measured], filled[measured] if rises else -filled[measured]))
    return max(aucs)


def _bins(one: _Values, train: Index) -> Index:
    """Bin (T,) of each row: its value if there are few or it is a category, else its quantile."""
    if one.number is None or one.distinct <= BINS:
        return one.code
    known = one.number[train][~one.missing[train]]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else []
    return np.where(one.missing, len(edges) + 1, np.searchsorted(edges, one.number))


def _auc(y: NDArray[np.uint8], score: Floats) -> float:
    positives = int(y.sum())
    pairs = positives * (len(y) - positives)
    if not pairs:
        return 0.5
    return float((rankdata(score)[y == 1].sum() - positives * (positives + 1) / 2) / pairs)


# ---------------------------------------------------------------------------------------- repeated


def _repeated(roles: Roles, train: Index, measured: Index) -> tuple[int, int]:
    """Measured rows with the inputs of a training row; those whose label no such row has."""
    names = [str(i) for i in range(roles.inputs.width)]
    inputs = roles.inputs.rename(dict(zip(roles.inputs.columns, names, strict=True)))
    inputs = inputs.with_columns(y=pl.Series(roles.y))
    known = inputs[train].group_by(names).agg(pl.col("y").unique().alias("known"))
    both = inputs[measured].join(known, on=names, how="inner", nulls_equal=True)
    agree = both["known"].list.contains(both["y"])
    return len(both), len(both) - int(agree.sum())
