"""Days, labels and scores of one part of a stored run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import TruenessError
from trueness.spec import Mission
from trueness.store import Run

IN_WORDS = {
    "oof": "out-of-fold days",
    "validation": "validation days",
    "inner validation": "inner validation days",
    "test": "test days",
}


@dataclass(frozen=True)
class Part:
    """One part of a run, pooled over its folds, in time order; arrays are (n,)."""

    name: str
    when: NDArray[np.datetime64]
    y: NDArray[np.uint8]
    score: NDArray[np.float64]
    fold: NDArray[np.int64]


def measured_on(run: Run) -> str:
    """Part that a run is measured on when nothing else is asked for."""
    return run.spec.evaluation.measured_on


def chosen_on(run: Run) -> str:
    """Part that picked the weights of a run."""
    return run.spec.evaluation.chosen_on


def earlier_part(run: Run, name: str) -> str | None:
    """Part whose labels may choose a threshold for another one; None if there is none.

    It is the validation part: that of the mission split for its test part, that inside each fold
    for the days predicted out of fold.
    """
    return {"test": "validation", "oof": "validation"}.get(name)


def check_part(run: Run, name: str) -> None:
    """Refuse a part that a run does not have, or that is inside its training.

    Raises
    ------
    TruenessError
    """
    mission = isinstance(run.spec.evaluation, Mission)
    known = ("validation", "test") if mission else ("oof",)
    if name not in known:
        raise TruenessError(
            f"{run.key}: a {run.spec.evaluation.protocol} run is judged on {' or '.join(known)}, "
            f"not on {name}"
        )
    if not any(name in fold for fold in run.record["folds"]):
        raise TruenessError(f"{run.key} has no {name} part: the data end before it begins")


def part_of(run: Run, name: str) -> Part:
    """Read one part of the stored predictions.

    Raises
    ------
    StoreError
        If the predictions are damaged.
    """
    rows = run.predictions().filter(pl.col("split") == name).sort("when", maintain_order=True)
    return Part(
        name,
        rows["when"].to_numpy().astype("datetime64[D]"),
        rows["y"].to_numpy(),
        rows["logit"].to_numpy().astype(np.float64),
        rows["fold"].to_numpy().astype(np.int64),
    )
