"""What an estimator is given: windows as rows of columns, by one of three stated rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.baselines.fitted import Fitted
from trueness.examples import Examples

Names: TypeAlias = tuple[str, ...]
Array: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = tuple[Array, Names]
AT_ONCE = 4096
"""Windows that are copied at once."""


@dataclass(frozen=True)
class Part:
    """Columns (n, p) and labels (n,) of one part, and the names of the columns."""

    x: Array
    y: NDArray[np.uint8]
    names: Names


@dataclass(frozen=True)
class Job:
    """One fit in one fold.

    Attributes
    ----------
    model : a shape of `trueness.spec.estimator`
    train, validation : Part
        The validation part is empty where nothing is chosen on it and there is none.
    seed : int
    base_folder : Path
        Folder of own files.
    """

    model: Any
    train: Part
    validation: Part
    seed: int
    base_folder: Path


Fit: TypeAlias = Callable[[Job], tuple[Fitted, str]]
"""What scores rows, and what was chosen, in words."""


def columns_of(examples: Examples, rule: str, start: NDArray[np.int64]) -> Columns:
    """Windows as rows of columns, and the names of these.

    Parameters
    ----------
    examples : Examples
        Windows of L rows and C columns.
    rule : {"last", "summary", "window"}
        ``last``: the last row, C columns. ``summary``: the last row and the mean of every column
        over the window, 2C columns; of windows of one row, that row. ``window``: all rows, the
        last one first, LC columns.
    start : (n,) int
        First row of each window in the series.

    Returns
    -------
    (n, columns) float64, tuple of str
    """
    return RULES[rule](examples, start)


def _last(examples: Examples, start: NDArray[np.int64]) -> Columns:
    rows = examples.series[start + examples.context - 1]
    return rows.astype(np.float64), examples.features


def _summary(examples: Examples, start: NDArray[np.int64]) -> Columns:
    last, features = _last(examples, start)
    if examples.context == 1:
        return last, features
    names = (*features, *(f"mean of {name}" for name in features))
    return np.column_stack([last, _means(examples, start)]), names


def _means(examples: Examples, start: NDArray[np.int64]) -> Array:
    """Mean of each column over each window, (n, C); a few windows at a time."""
    result = np.empty((len(start), len(examples.features)))
    for first in range(0, len(start), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        result[some] = examples.x[start[some]].mean(axis=1, dtype=np.float64)
    return result


def _window(examples: Examples, start: NDArray[np.int64]) -> Columns:
    names = [
        f"{name} {ago} back" if ago else name
        for ago in range(examples.context) for name in examples.features
    ]  # fmt: skip
    x = examples.x[start]
    return x[:, ::-1].reshape(len(x), -1).astype(np.float64), tuple(names)


RULES: dict[str, Callable[[Examples, NDArray[np.int64]], Columns]] = {
    "last": _last, "summary": _summary, "window": _window,
}  # fmt: skip
