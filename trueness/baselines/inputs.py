"""What an estimator is given: windows as rows of columns, by one of three stated rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.examples import Examples

Names: TypeAlias = tuple[str, ...]
Array: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = tuple[Array, Names]
Windows: TypeAlias = NDArray[np.float32]


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
    x : (n, p) float64
        Rows to score.
    seed : int
    beside : Path
        Folder of own files.
    """

    model: Any
    train: Part
    validation: Part
    x: Array
    seed: int
    beside: Path


Fit: TypeAlias = Callable[[Job], tuple[Array, str]]
"""Logits (n,) of the rows to score, and what was chosen, in words."""


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
    return RULES[rule](examples.x[start], examples.features)


def _last(x: Windows, features: Names) -> Columns:
    return x[:, -1].astype(np.float64), features


def _summary(x: Windows, features: Names) -> Columns:
    if x.shape[1] == 1:
        return _last(x, features)
    names = (*features, *(f"mean of {name}" for name in features))
    return np.column_stack([x[:, -1], x.mean(axis=1, dtype=np.float64)]).astype(np.float64), names


def _window(x: Windows, features: Names) -> Columns:
    names = [
        f"{name} {ago} back" if ago else name for ago in range(x.shape[1]) for name in features
    ]
    return x[:, ::-1].reshape(len(x), -1).astype(np.float64), tuple(names)


RULES: dict[str, Callable[[Any, Names], Columns]] = {
    "last": _last, "summary": _summary, "window": _window,
}  # fmt: skip
