"""What a bundle keeps of its training columns and scores, and how recent ones differ from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.bundle.format import Bundle
from trueness.document import Column, Table
from trueness.document.numbers import capital, count, decimal, listed, p_value, plural
from trueness.evaluation.drift import Drift, Reference, corrected, drift_of
from trueness.examples import Examples
from trueness.predictions import Predictions

ERROR = 0.05
"""Probability that any column is falsely said to drift, at one look."""
SHOWN, NAMED = 10, 3
SCORE = "score"


def kept(examples: Examples, names: Iterable[str], predictions: Predictions) -> dict[str, Any]:
    """References of the columns in training, and of the scores out of fold, as plain types."""
    members = examples.members("train")
    values = examples.series[examples.starts(0)[members] + examples.context - 1]
    when = None if examples.when is None else examples.when[members]
    result = {
        name: _reference(values[:, examples.features.index(name)], when) for name in names
    }  # fmt: skip
    score = _reference(predictions.score, predictions.time)
    return {
        "features": {name: one.to_dict() for name, one in result.items() if one is not None},
        "score": None if score is None else score.to_dict(),
    }


def _reference(values: NDArray[Any], when: NDArray[Any] | None) -> Reference | None:
    there = np.isfinite(values)
    return Reference.of(values[there], None if when is None else _numbered(when[there]))


def _numbered(when: NDArray[Any]) -> NDArray[np.int64]:
    """Number of the time of each row, from 0."""
    return np.unique(when, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class Drifts:
    """Recent columns and scores against those of training.

    Attributes
    ----------
    columns : tuple of Drift
        The most striking first; p-values hold for all of them at once.
    """

    columns: tuple[Drift, ...]

    @property
    def drifted(self) -> tuple[Drift, ...]:
        """Columns that drift at 5 % for all at one look."""
        return tuple(one for one in self.columns if one.adjusted <= ERROR)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "tested": len(self.columns), "drifted": [one.name for one in self.drifted],
            "columns": [one.to_dict() for one in self.columns],
        }  # fmt: skip

    def in_words(self) -> str:
        """Whether the score drifted, and which features; how much they would have to."""
        m = len(self.columns)
        features = [one for one in self.columns if one.name != SCORE]
        moved = [f"{one.name} ({_moved(one)})" for one in self.drifted if one.name != SCORE]
        score = next((one for one in self.columns if one.name == SCORE), None)
        said = []
        if score is not None:
            has = "has" if score in self.drifted else "has not"
            said.append(f"the score {has} drifted ({_moved(score)})")
        if features:
            has = "has" if len(moved) < 2 else "have"
            which = f": {listed(moved, NAMED)}" if moved else ""
            said.append(f"{count(len(moved)) if moved else 'none'} of the "
                        f"{plural(len(features), 'watched feature')} {has}{' drifted' * (not said)}"
                        f"{which}")  # fmt: skip
            half = float(np.median([one.visible(m, ERROR) for one in self.columns]))
            said.append(f"in half of them a shift of {decimal(half, 1)} standard deviations would "
                        "be found")  # fmt: skip
        else:
            said.append("--data FILE tells of the features as well")
        return capital("; ".join(said))

    def table(self) -> Table:
        """The most striking ones."""
        columns = [
            Column("feature", "code", 9),
            Column("shift, sd", "number", 8, 2, "Mean normal score of recent values in training."),
            Column("standard\nerror", "number", 5, 2, "Of the shift, with dependence in time."),
            Column("spread", "number", 6, 2, "Standard deviation over that of training."),
            Column("times", "count", 4),
            Column("adjusted p", "p", 7, help="Of shift or spread, corrected for all columns."),
        ]
        rows = [[one.name, one.shift, one.error, one.spread, one.n, one.adjusted]
                for one in self.columns[:SHOWN]]  # fmt: skip
        more = len(self.columns) - SHOWN
        note = f"The {SHOWN} smallest p-values of {len(self.columns)}." if more > 0 else ""
        return Table(columns, rows, "Drift of features", note)


def _moved(one: Drift) -> str:
    """How far a column moved."""
    return (
        f"{decimal(one.shift, 2, signed=True)} standard deviations, spread × "
        f"{decimal(one.spread, 2)}, {p_value(one.adjusted)}"
    )


def drifts(
    bundle: Bundle, logged: Mapping[str, Mapping[str, Any]], examples: Examples | None
) -> Drifts | None:
    """Columns of logged rows, as far as data are given, and logged scores, against training.

    Parameters
    ----------
    bundle : Bundle
    logged : mapping of str to mapping
        Predictions by id.
    examples : Examples, optional
        Of data that hold the logged rows.

    Returns
    -------
    Drifts or None
        None if the bundle keeps nothing to hold them against.
    """
    known: dict[str, Any] = bundle.description.get("drift") or {"features": {}, "score": None}
    result = [] if examples is None else _of_columns(known["features"], logged, examples)
    if known["score"] is not None:
        score = np.array([line["score"] for line in logged.values()])
        texts = [line.get("time") for line in logged.values()]
        times = None if None in texts else pl.Series(texts).to_numpy()
        result.append(_drift(SCORE, Reference.from_dict(known["score"]), score, times))
    every = corrected([one for one in result if one is not None])
    if not every:
        return None
    return Drifts(tuple(sorted(every, key=lambda one: (one.p, -abs(one.shift)))))


def _of_columns(
    known: Mapping[str, Any], logged: Mapping[str, Any], examples: Examples
) -> list[Drift | None]:
    rows = np.isin(examples.columns()["id"], list(logged))
    if not rows.any():
        return []
    values = examples.series[examples.starts(0)[rows] + examples.context - 1]
    when = None if examples.when is None else examples.when[rows]
    return [
        _drift(name, Reference.from_dict(one), values[:, examples.features.index(name)], when)
        for name, one in known.items()
        if name in examples.features
    ]


def _drift(
    name: str, reference: Reference, values: NDArray[Any], when: NDArray[Any] | None
) -> Drift | None:
    """None where the times of the rows are not known, or no value is."""
    if reference.timed and when is None:
        return None
    there = np.isfinite(values)
    if not there.any():
        return None
    time = None if when is None or not reference.timed else _numbered(when[there])
    return drift_of(name, reference, values[there], time)
