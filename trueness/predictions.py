"""Predictions: what a model says about units, and the only form in which results are judged.

One typed view on one table, whoever made it: a stored run, an engine, or a user with a frame of
polars, pandas, Arrow or NumPy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, first_line, nearest
from trueness.evaluation.blocks import Blocks

Scale: TypeAlias = Literal["logit", "rank"]
"""What scores are: log-odds, or numbers whose order alone means something."""
COLUMNS = ("split", "fold", "id", "time", "group", "cluster", "y", "score", "scores")
REQUIRED = ("split", "fold", "id", "y")
NO_UNITS = "no predictions"
UNITS = {"M": ("D", "ms", "us", "ns"), "m": ("ms", "us", "ns")}
"""Kind of a NumPy time -> units that polars has."""


@dataclass(frozen=True)
class Predictions:
    """A typed view on a table with one row per unit and fold.

    Columns
    -------
    split : str
        Part that the unit plays in the fold: train, validation, test, oof, or any other name.
    fold : int64
        Refit that the score comes from.
    id : str
        Name of the unit, the same for every model; unique inside a split and fold.
    time : date or datetime, optional
        When it happened; units of one time belong together.
    group : str, optional
        Series of a panel, language, segment.
    cluster : any, optional
        Units that are not independent, such as the offers of one product.
    y : uint8 or int64
        Label, 0 or 1; class from 0 to K - 1 where there are K `classes`.
    score : float
        Of a binary label.
    scores : array of K floats
        Logits of the classes.

    Further columns are kept, such as ``y_mirror``.

    Attributes
    ----------
    frame : polars.DataFrame
    scale : {"logit", "rank"}
    classes : tuple of str
        Names of the K classes; empty for a binary label.

    Examples
    --------
    >>> table = pl.DataFrame({"split": "test", "fold": 0, "id": ["a", "b"], "y": [0, 1],
    ...                       "score": [-1.2, 0.3]})
    >>> Predictions(table).part("test").score
    array([-1.2,  0.3])
    """

    frame: pl.DataFrame
    scale: Scale = "logit"
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known, values = self.frame.columns, "scores" if self.classes else "score"
        missing = [name for name in (*REQUIRED, values) if name not in known]
        if missing:
            hint = nearest(missing[0], known)
            raise DataError(f"predictions without {', '.join(missing)}; {hint}",
                            "missing_column")  # fmt: skip
        if self.scale not in get_args(Scale):
            raise DataError(f"no scale {self.scale!r}; choose logit or rank", "scale")

    def __len__(self) -> int:
        return len(self.frame)

    def __contains__(self, column: str) -> bool:
        return column in self.frame.columns

    # ------------------------------------------------------------------------------------- columns

    def column(self, name: str) -> NDArray[Any]:
        """A column as an array (n,)."""
        return self.frame[name].to_numpy()

    def optional(self, name: str) -> NDArray[Any] | None:
        """A column as an array (n,), or None if there is none."""
        return self.column(name) if name in self else None

    @cached_property
    def y(self) -> NDArray[np.uint8] | NDArray[np.int64]:
        """Labels (n,)."""
        return self.column("y").astype(np.int64 if self.classes else np.uint8)

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """Scores of a binary label (n,)."""
        return self.column("score").astype(np.float64)

    @cached_property
    def scores(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """Logits of the classes (n, K)."""
        return self.column("scores")

    @cached_property
    def fold(self) -> NDArray[np.int64]:
        """Refits (n,)."""
        return self.column("fold").astype(np.int64)

    @cached_property
    def id(self) -> NDArray[np.str_]:
        """Names of the units (n,)."""
        return self.column("id").astype(np.str_)

    @cached_property
    def time(self) -> NDArray[np.datetime64] | None:
        """Times (n,), None without."""
        return self.optional("time")

    @cached_property
    def group(self) -> NDArray[np.str_] | None:
        """Groups (n,), None without."""
        found = self.optional("group")
        return None if found is None else found.astype(np.str_)

    @cached_property
    def cluster(self) -> NDArray[Any] | None:
        """Clusters (n,), None without."""
        return self.optional("cluster")

    # --------------------------------------------------------------------------------------- parts

    @cached_property
    def splits(self) -> list[str]:
        """Names of the parts, in order of first appearance."""
        return self.frame["split"].unique(maintain_order=True).to_list()

    def part(self, name: str) -> Predictions:
        """Units of one part, pooled over the folds, in order of their times, then of their ids.

        The order is the same for every model, whatever order its table has.

        Raises
        ------
        DataError
            If there are none.
        """
        if not self.has(name):
            raise DataError(f"no units of a part {name!r}; there are {', '.join(self.splits)}",
                            "no_part")  # fmt: skip
        whole = len(self.splits) == 1
        rows = self.frame if whole else self.frame.filter(pl.col("split") == name)
        return replace(self, frame=_in_order(rows))

    def has(self, name: str) -> bool:
        """Whether there is a part of that name."""
        return name in self.splits

    def only(self, inside: NDArray[np.bool_]) -> Predictions:
        """Some of the units; `inside` is (n,)."""
        return replace(self, frame=self.frame.filter(pl.Series(inside)))

    def blocks(self, length: int = 1) -> Blocks:
        """What is resampled together: blocks of times, clusters, or clusters inside times.

        Units without a time are independent of each other, or their clusters are.
        """
        length = 1 if self.time is None else length
        return Blocks.of(len(self), time=self.time, cluster=self.cluster, length=length)

    def units(self) -> bytes:
        """Digest of ids and labels: models with equal ones were asked about the same units."""
        text = "\n".join(self.frame["id"].cast(pl.String).to_list())
        return hashlib.sha256(text.encode() + b"\0" + self.y.astype(np.int64).tobytes()).digest()


def _in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows by time and id; those of distinct, ascending times are so already."""
    if "time" not in rows.columns:
        return rows.sort("id", maintain_order=True)
    at = rows["time"].to_numpy()
    if (at[1:] > at[:-1]).all():
        return rows
    return rows.sort("time", "id", maintain_order=True)


def as_frame(table: object) -> pl.DataFrame:
    """Frame of polars from one of polars, pandas or Arrow, or a mapping of columns.

    Raises
    ------
    DataError
        For anything else.
    """
    if isinstance(table, pl.DataFrame):
        return table
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    try:
        if isinstance(table, Mapping):
            return pl.DataFrame([as_series(str(k), v) for k, v in table.items()])
        if type(table).__module__.startswith("pandas"):
            pandas: Any = table
            return pl.DataFrame(pl.from_pandas(pandas))
        if hasattr(table, "__arrow_c_stream__"):
            arrow: Any = table
            return pl.DataFrame(arrow)
    except pl.exceptions.DuplicateError as error:
        raise DataError(f"the table cannot be read: {first_line(error)}",
                        "doubled_column") from None  # fmt: skip
    except (TypeError, ValueError, RuntimeError, pl.exceptions.PolarsError) as error:
        raise DataError(f"the table cannot be read: {first_line(error)}", "table") from None
    raise DataError(
        f"a {type(table).__name__} is no table; give a frame of polars, pandas or Arrow, or a "
        "mapping of columns", "table",
    )  # fmt: skip


def as_series(name: str, values: object) -> pl.Series:
    """Column from a list, an array, a series of any library or a tensor.

    Tensors may require gradients, lie on a device or be bfloat16.

    Raises
    ------
    DataError
        If it is no column.
    """
    try:
        series = _series(name, values)
    except (TypeError, ValueError, RuntimeError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{name} cannot be read as a column: {first_line(error)}",
                        "table") from None  # fmt: skip
    if isinstance(series.dtype, pl.Array | pl.List):
        raise DataError(f"{name} has more than one dimension; one value per unit is needed",
                        "dimensions")  # fmt: skip
    return series


def detached(values: object) -> object:
    """Values of a tensor as an array, without importing torch; everything else as it is.

    Raises
    ------
    TypeError
        For sparse tensors.
    """
    if not hasattr(values, "detach"):
        return values
    tensor: Any = values
    tensor = tensor.detach().cpu()
    return (tensor.double() if tensor.is_floating_point() else tensor).numpy()


def without_mask(values: object) -> object:
    """Values as they are.

    Raises
    ------
    TypeError
        If NumPy masks some.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError("masked values; fill or drop them first")
    return values


def _series(name: str, values: object) -> pl.Series:
    values = without_mask(detached(values))
    if isinstance(values, pl.Series):
        return values.alias(name)
    if type(values).__module__.startswith("pandas"):
        series = pl.from_pandas(values)
        if not isinstance(series, pl.Series):
            raise TypeError("a frame; give one of its columns")
        return series.alias(name)
    if isinstance(values, Sequence) and not isinstance(values, str):
        return _from_list(name, values)
    return _from_array(name, np.asarray(values))


def _from_list(name: str, values: Sequence[Any]) -> pl.Series:
    """Column of a list; whole numbers may stand beside others."""
    try:
        series = pl.Series(name, values)
        if series.dtype != pl.Object:
            return series
    except (TypeError, pl.exceptions.PolarsError):
        array = np.asarray(values)
        if array.dtype.kind not in "iufmM":
            raise
        return _from_array(name, array)
    array = np.asarray(values)
    return series if array.dtype == object else _from_array(name, array)


def _from_array(name: str, array: NDArray[Any]) -> pl.Series:
    """Column of an array; times in a unit that polars lacks get microseconds."""
    if not array.ndim:
        raise TypeError(f"a {type(array.item()).__name__} is no column")
    if array.dtype == object and array.ndim == 1:
        return pl.Series(name, array.tolist())
    kind = array.dtype.kind
    if kind in "mM" and np.datetime_data(array.dtype)[0] not in UNITS[kind]:
        return pl.Series(name, array.astype(f"{kind}8[us]"))
    return pl.Series(name, array)
