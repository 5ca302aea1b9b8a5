"""Predictions: what a model says about units, and the only form in which results are judged.

One typed view on one table, whoever made it: a stored run, an engine, or a user with a frame of
polars, pandas, Arrow or NumPy (see `trueness.frames`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, nearest
from trueness.evaluation.blocks import Blocks

Scale: TypeAlias = Literal["logit", "rank"]
"""What scores are: log-odds, or numbers whose order alone means something."""
COLUMNS = ("split", "fold", "id", "time", "group", "cluster", "y", "score", "scores")
REQUIRED = ("split", "fold", "id", "y")


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
        result = self.optional("group")
        return None if result is None else result.astype(np.str_)

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
