"""Tables that come in as a frame of some library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, first_line

UNITS = {"M": ("D", "ms", "us", "ns"), "m": ("ms", "us", "ns")}
"""Kind of a NumPy time -> units that polars has."""


def as_frame(table: object) -> pl.DataFrame:
    """Frame of polars from one of polars, pandas, Arrow or Hugging Face, or a mapping of columns.

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
        if type(table).__module__.startswith("datasets."):
            return _of_dataset(table)
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
        f"a {type(table).__name__} is no table; give a frame of polars, pandas, Arrow or "
        "datasets, or a mapping of columns", "table",
    )  # fmt: skip


def _of_dataset(dataset: Any) -> pl.DataFrame:  # noqa: ANN401 - of `datasets`
    """Rows of a dataset of Hugging Face; class labels are numbers, as they are stored."""
    if isinstance(dataset, Mapping):
        splits = ", ".join(map(str, dataset))
        raise DataError(f"a dataset of several splits; give one of {splits}", "several_splits")
    if not hasattr(dataset, "with_format") or not hasattr(dataset, "__len__"):
        raise DataError("a dataset that streams; give one that is loaded", "table")
    return pl.DataFrame(dataset.with_format("arrow")[:])


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


def check_distinct(names: Sequence[str]) -> None:
    """Refuse a name that comes twice.

    Raises
    ------
    DataError
    """
    doubled = [name for i, name in enumerate(names) if name in names[:i]]
    if doubled:
        raise DataError(f"column {doubled[0]!r} is there twice; rename or drop one",
                        "doubled_column")  # fmt: skip
