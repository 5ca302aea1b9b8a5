"""Scores as they come, made what judging needs: finite numbers whose order and ties are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import logit

from trueness.document.numbers import decimal, listed
from trueness.errors import DataError, first_line, nearest
from trueness.frames import as_frame, as_series, check_distinct, detached, without_mask
from trueness.predictions import Scale

Array: TypeAlias = NDArray[np.float32 | np.float64]
GivenScale: TypeAlias = Literal["probability", "logit", "rank"]
"""What scores are when they come: probabilities, log-odds, or numbers that only rank."""
SCALES: dict[GivenScale, Scale] = {"probability": "logit", "logit": "logit", "rank": "rank"}
"""Scale of scores that come -> scale that they are kept in."""
LEAST = np.nextafter(0.0, 1.0)
SUM_SLACK = 1e-3
"""How far the probabilities of the classes of a unit may be from a sum of one."""


def check_scale(scale: str, classes: Sequence[str] = ()) -> None:
    """Refuse a scale that is none, or that K classes cannot have.

    Raises
    ------
    DataError
    """
    if scale not in get_args(GivenScale):
        raise DataError(
            f"no scale {scale!r}; {nearest(scale, list(get_args(GivenScale)))}", "scale"
        )
    if classes and scale == "rank":
        raise DataError(
            "the scores of K classes are compared inside a unit, so they cannot only rank; give "
            "the scale probability or logit", "scale",
        )  # fmt: skip


def floats(name: str, column: pl.Series) -> Array:
    """Numbers as float32 or float64, (n,), NaN where there is none; ties stay what they were.

    Raises
    ------
    DataError
        If distinct numbers would become equal.

    Examples
    --------
    >>> floats("svm", pl.Series([True, None]))
    array([ 1., nan])
    """
    if column.dtype in (pl.Float32, pl.Float64):
        return column.to_numpy()
    converted = column.cast(pl.Float64)
    wide = column.dtype in (pl.Int64, pl.UInt64, pl.Int128) or column.dtype.is_decimal()
    if wide and converted.n_unique() != column.n_unique():
        raise DataError(
            f"{name}: distinct numbers become equal in 64-bit floats; give smaller ones, such as "
            "their ranks", "score_digits",
        )  # fmt: skip
    return converted.to_numpy()


def matrix(name: str, values: object, classes: Sequence[str] = ()) -> Array:
    """Scores of K classes, (n, K), from an array, a frame, a tensor or nested lists.

    Columns of a frame that are called as the classes are taken in the order of these.

    Raises
    ------
    DataError
        If they have another shape, are no numbers, or only some columns are called as classes.
    """
    try:
        values = without_mask(detached(values))
        if hasattr(values, "columns"):
            values = _by_class(name, frame_of(values), classes)
        array = np.asarray(values)
        if array.dtype.kind not in "biufOU":
            raise TypeError(f"they are {array.dtype}")
        array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name}: scores cannot be read as numbers ({first_line(error)})",
                        "table") from None  # fmt: skip
    if array.ndim != 2 or array.shape[1] < 2:
        raise DataError(
            f"{name}: scores of shape {array.shape}; (n, K) with K of at least 2 are needed",
            "dimensions",
        )
    return array


def _by_class(name: str, frame: pl.DataFrame, classes: Sequence[str]) -> NDArray[Any]:
    """Columns in the order of the classes, by name if they have their names, else by place."""
    known = set(frame.columns) & set(classes)
    if known and known != set(frame.columns) | set(classes):
        odd = sorted(set(frame.columns) ^ set(classes))
        raise DataError(f"{name}: only some columns are called as the classes ({listed(odd)} "
                        "differ)", "different_classes")  # fmt: skip
    return (frame.select(classes) if known else frame).to_numpy()


def frame_of(table: object) -> pl.DataFrame:
    """Frame from one of any library or a mapping of columns, none of which comes twice.

    Raises
    ------
    DataError
    """
    if hasattr(table, "iloc"):  # pandas, whose columns may share a name
        frame: Any = table
        check_distinct([str(name) for name in frame.columns])
    return as_frame(table)


def scores_by_name(values: object) -> dict[str, pl.Series]:
    """Model -> its scores, (n,).

    They come as a mapping, a frame or a 2-D array with a column per model, or as one column alone.
    Columns of an array are called ``model 1``, ``model 2`` and so on; one column alone is called by
    its own name, or ``model``.
    """
    if isinstance(values, pl.LazyFrame) or hasattr(values, "columns"):
        values = frame_of(values).to_dict()
    if isinstance(values, Mapping):
        check_distinct([str(name) for name in values])
        return {str(name): as_series(str(name), column) for name, column in values.items()}
    if getattr(values, "ndim", 1) == 2:
        array: Any = values
        return {f"model {i + 1}": as_series(f"model {i + 1}", array[:, i])
                for i in range(array.shape[1])}  # fmt: skip
    name = str(getattr(values, "name", None) or "model")
    return {name: as_series(name, values)}


def check_index(columns: Sequence[object]) -> None:
    """Refuse columns of pandas whose rows are named differently: they would be paired by place.

    Raises
    ------
    DataError
    """
    known = [c.index for c in columns if hasattr(c, "iloc")]  # ty: ignore[missing-attribute]
    if any(not one.equals(known[0]) for one in known[1:]):
        raise DataError("the rows of the columns have different indexes; align them first, as with "
                        "reindex, or give arrays (to_numpy())", "different_index")  # fmt: skip


def check_present(scores: Mapping[str, Array], drop: bool) -> NDArray[np.bool_]:
    """Units, (n,), that every model has a score for; all of them unless `drop` lets some go.

    Raises
    ------
    DataError
        If scores are missing and none may go, if all would, or if some are infinite.
    """
    n = len(next(iter(scores.values())))
    lost = {name: np.isnan(one).reshape(n, -1).any(1) for name, one in scores.items()}
    counts = {name: int(one.sum()) for name, one in lost.items() if one.any()}
    if counts and not drop:
        texts = [f"{name} {count:,}" for name, count in counts.items()]
        raise DataError(
            f"scores are missing (of {n:,} units): {listed(texts)}; fill them, or drop these units "
            "for all models (missing: drop)", "nan_scores",
        )  # fmt: skip
    kept = ~np.logical_or.reduce(list(lost.values()))
    if not kept.any():
        raise DataError("no unit has a score of every model; nothing is left", "nan_scores")
    endless = [name for name, one in scores.items() if np.isinf(one).any()]
    if endless:
        raise DataError(f"{listed(endless)}: infinite scores; give finite ones", "infinite_scores")
    return kept


def converted(name: str, scores: Array, scale: GivenScale) -> Array:
    """Scores on the scale that they are kept in: log-odds of probabilities, else as they are.

    Parameters
    ----------
    name : str
        Model, for the error.
    scores : (n,) or (n, K)
        Finite.
    scale : {"probability", "logit", "rank"}

    Raises
    ------
    DataError
        If they are no probabilities.
    """
    if scale != "probability":
        return scores
    low, high = float(scores.min()), float(scores.max())
    if low < 0 or high > 1:
        raise DataError(
            f"{name}: scores from {decimal(low)} to {decimal(high)} are no probabilities; say what "
            "they are: scale logit (log-odds) or rank (any numbers)", "not_probability",
        )  # fmt: skip
    if scores.ndim == 1:
        return log_odds(scores)
    sums = scores.sum(1, dtype=np.float64)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > SUM_SLACK:
        raise DataError(
            f"{name}: the probabilities of the classes of unit {worst + 1} sum to "
            f"{decimal(float(sums[worst]))}; 1 is needed, or the scale logit", "not_probability",
        )  # fmt: skip
    return log_probabilities(scores)


def log_odds(probability: Array) -> NDArray[np.float64]:
    """Log-odds of probabilities, finite, in the same order and with the same ties.

    Zero and one become the log-odds next beyond all others; where rounding would make two
    probabilities equal, the upper one is moved by the smallest step.

    Parameters
    ----------
    probability : (n,)
        In [0, 1].

    Examples
    --------
    >>> log_odds(np.array([0.0, 0.5, 1.0])).round(2)
    array([-745.13,    0.  ,   37.43])
    """
    values, place = np.unique(probability.astype(np.float64), return_inverse=True)
    odds = np.empty(len(values))
    inner = (values > 0) & (values < 1)
    odds[inner] = logit(values[inner])
    odds[values == 0] = np.log(LEAST) + np.log(0.5)
    odds[values == 1] = -np.log(np.finfo(np.float64).epsneg / 2)
    return _rising(odds)[place]


def _rising(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values that almost rise, each moved up by as few steps of a float as let them rise."""
    if (np.diff(values) > 0).all():
        return values
    bits = values.view(np.int64)
    steps = np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)
    number = np.arange(len(steps))
    steps = np.maximum.accumulate(steps - number) + number
    return np.where(steps < 0, np.iinfo(np.int64).min - steps, steps).view(np.float64)


def log_probabilities(probability: Array) -> NDArray[np.float64]:
    """Logits of the probabilities of K classes, finite; the most probable class stays it.

    Parameters
    ----------
    probability : (n, K)
        In [0, 1], rows sum to one.

    Examples
    --------
    >>> log_probabilities(np.array([[1.0, 0.0]])).round(2)
    array([[   0.  , -744.44]])
    """
    logits = np.log(np.maximum(probability.astype(np.float64), LEAST))
    rows, first = np.arange(len(logits)), probability.argmax(1)
    moved = logits.argmax(1) != first
    above = np.nextafter(logits.max(1), np.inf)
    logits[rows[moved], first[moved]] = above[moved]
    return logits
