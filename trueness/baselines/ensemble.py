"""Ensembles of stored runs: the mean of their logits; nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from trueness.errors import DataError, StoreError
from trueness.predictions import Predictions
from trueness.spec import Spec

UNIT = ("split", "fold", "id")
"""Names a unit in a fold."""
LOGITS = ("score", "score_last")
"""Columns that are averaged: logits of the weights that were kept, and of the last epoch's."""


def fit_ensemble(spec: Spec, runs: Mapping[str, Predictions]) -> Predictions:
    """Mean of the logits of stored runs, unit by unit in every fold.

    Averages of independently trained members vary less than any of them; Lakshminarayanan, Pritzel
    and Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles"
    (2017).

    Parameters
    ----------
    spec : Spec
        Its model is an `Ensemble`.
    runs : mapping of str to Predictions
        Key of every member -> what it says; further runs are not looked at.

    Returns
    -------
    Predictions
        In the order of the first member, with its other columns.

    Raises
    ------
    StoreError
        With code ``missing_run`` if a member is not there.
    DataError
        With code ``not_logits`` if a member has no logits of a binary label, ``different_units`` if
        two members were not asked about the same units in the same folds and parts.
    """
    keys = spec.depends_on
    if missing := sorted(keys - set(runs)):
        raise StoreError(
            f"{spec.label()}: run {missing[0]} is not in the store; run its campaign first",
            "missing_run",
        )  # fmt: skip
    members = {key: runs[key] for key in sorted(keys)}
    for key, one in members.items():
        if one.classes or one.scale != "logit":
            raise DataError(f"run {key} has no logits of a binary label to average", "not_logits")
    (first, base), *others = members.items()
    names = [name for name in LOGITS if all(name in one for one in members.values())]
    aligned = [base.frame, *(_aligned(first, base, key, one, names) for key, one in others)]
    means = [_mean(name, aligned, base.frame.schema[name]) for name in names]
    kept = base.frame.drop(*(name for name in LOGITS if name in base and name not in names))
    return Predictions(kept.with_columns(means))


def _mean(name: str, frames: list[pl.DataFrame], kind: pl.DataType) -> pl.Series:
    """Mean of a column over frames in one order, in double precision."""
    values = np.stack([frame[name].to_numpy().astype(np.float64) for frame in frames])
    return pl.Series(name, values.mean(axis=0), pl.Float64).cast(kind)


def _aligned(
    first: str, base: Predictions, key: str, other: Predictions, names: list[str]
) -> pl.DataFrame:
    """Logits of a member in the order of the first one."""
    units = base.frame.select(*UNIT, "y")
    theirs = other.frame.select(*UNIT, pl.col("y").alias("their_y"), *names)
    theirs = theirs.cast({name: units.schema[name] for name in UNIT})
    joined = units.join(theirs, on=UNIT, how="left", maintain_order="left")
    same = (joined["y"] == joined["their_y"]).fill_null(False).all()
    tables = (units, theirs)
    sizes = {*map(len, tables), *(table.select(UNIT).n_unique() for table in tables)}
    if len(sizes) > 1 or not same:
        raise DataError(
            f"runs {first} and {key} were not asked about the same units in the same folds; an "
            "ensemble averages what its members say of the same", "different_units",
        )  # fmt: skip
    return joined
