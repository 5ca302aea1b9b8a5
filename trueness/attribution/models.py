"""Fitted models of every fold, ready to be asked about changed inputs of the units they predict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness import interrupts
from trueness.examples import Examples

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Values: TypeAlias = NDArray[Any]
"""Inputs (m, L, C) of m units: C inputs over L rows, or over summaries of rows."""
NUMBERS_AT_ONCE = 2**22
"""Inputs that are copied at once."""
Read: TypeAlias = Callable[[Values], NDArray[Any]]


@dataclass(frozen=True)
class FoldModel:
    """The model of one fold, and the units that it predicts without having been fitted on them.

    Attributes
    ----------
    fold : int
    features : tuple of C str
    rows : (n,) int64
        Places of its units among those that are measured, ascending.
    values : callable
        Positions (m,) among its units to their inputs (m, L, C).
    shape : (int, int)
        L and C.
    latest : int
        Place of the latest row among L.
    read : callable
        Inputs (m, L, C) to logits (m,).
    explain : callable or None
        Inputs (m, L, C) to what each of the C adds to the logit, (m, C), where the package tells.
    """

    fold: int
    features: tuple[str, ...]
    rows: Index
    values: Callable[[Index], Values]
    shape: tuple[int, int]
    latest: int
    read: Read
    explain: Read | None = None

    def logits(self) -> Array:
        """Of its units as they are, (n,)."""
        return self._by_portion(lambda some: self.read(self.values(some)))

    def permuted(self, mask: Mask, donor: Index) -> Array:
        """Logits (n,) with some inputs (C,) from other units; `donor` is the position of each."""

        def read(some: Index) -> NDArray[Any]:
            mixed = np.array(self.values(some))
            mixed[:, :, mask] = self.values(donor[some])[:, :, mask]
            return self.read(mixed)

        return self._by_portion(read) if mask.any() else self.logits()

    def held(self, feature: int, value: float) -> Array:
        """Logits (n,) with one input the same for all units, over their whole windows."""

        def read(some: Index) -> NDArray[Any]:
            fixed = np.array(self.values(some))
            fixed[:, :, feature] = value
            return self.read(fixed)

        return self._by_portion(read)

    def column(self, feature: int) -> Array:
        """Latest value of an input of each unit, (n,)."""
        return self._by_portion(lambda some: self.values(some)[:, self.latest, feature])

    def latest_values(self) -> Array:
        """Latest value of every input of each unit, (n, C)."""
        return np.concatenate([self.values(some)[:, self.latest] for some in self._portions()])

    def contributions(self) -> Array | None:
        """What each input adds to the logit of each unit, (n, C); None where nobody tells."""
        if self.explain is None:
            return None
        return np.concatenate([self.explain(self.values(some)) for some in self._portions()])

    def _portions(self) -> list[Index]:
        step = max(1, NUMBERS_AT_ONCE // max(1, self.shape[0] * self.shape[1]))
        n = len(self.rows)
        return [np.arange(at, min(at + step, n)) for at in range(0, n, step)]

    def _by_portion(self, read: Callable[[Index], NDArray[Any]]) -> Array:
        result = []
        for some in self._portions():
            interrupts.check()
            result.append(np.asarray(read(some), np.float64))
        return np.concatenate(result) if result else np.empty(0)


@dataclass(frozen=True)
class Member:
    """One model that was fitted in every fold; an ensemble averages several."""

    folds: tuple[FoldModel, ...]

    def pooled(self, n: int, logits: Callable[[FoldModel], Array]) -> Array:
        """Logits (n,) of the measured units; of units that several folds predict their mean."""
        total, times = np.zeros(n), np.zeros(n)
        for one in self.folds:
            total[one.rows] += np.asarray(logits(one), np.float32)
            times[one.rows] += 1
        with np.errstate(invalid="ignore"):
            return (total / times).astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Models:
    """What gives the score of a run or of a bundle: the mean of its members.

    Attributes
    ----------
    members : tuple of Member
    n : int
        Measured units.
    """

    members: tuple[Member, ...]
    n: int

    @property
    def features(self) -> tuple[str, ...]:
        """Inputs of all members, each once."""
        every = (name for one in self.fold_models() for name in one.features)
        return tuple(dict.fromkeys(every))

    def fold_models(self) -> list[FoldModel]:
        """Those of all members."""
        return [fold for member in self.members for fold in member.folds]

    def units_of_folds(self) -> dict[int, Index]:
        """Fold -> places of the units that it predicts; every member has the same."""
        return {one.fold: one.rows for one in self.members[0].folds}

    def scores(self, logits: Callable[[FoldModel], Array]) -> Array:
        """Scores (n,) from what each fold says of its units."""
        result = [member.pooled(self.n, logits) for member in self.members]
        if len(result) == 1:
            return result[0]
        return np.mean(result, axis=0).astype(np.float32).astype(np.float64)


def of_columns(
    fold: int, features: Sequence[str], rows: Index, x: Array, read: Read,
    explain: Read | None = None,
) -> FoldModel:  # fmt: skip
    """A model that reads rows of columns (n, p), see `trueness.baselines.inputs.columns_of`.

    `read` and `explain` take (m, p).
    """
    names, n = tuple(features), len(x)
    stacked = x.reshape(n, -1, len(names))
    length = stacked.shape[1]

    def flat(values: Values) -> Array:
        return values.reshape(len(values), -1)

    def explained(values: Values) -> Array:
        assert explain is not None
        return explain(flat(values)).reshape(len(values), length, -1).sum(axis=1)

    return FoldModel(fold, names, rows, lambda some: stacked[some], (length, len(names)), 0,
                     lambda values: read(flat(values)), explained if explain else None)  # fmt: skip


def of_windows(fold: int, rows: Index, examples: Examples, places: Index, read: Read) -> FoldModel:
    """A model that reads windows; `places` are those of its units among the examples, (n,)."""
    start, windows = examples.starts(fold)[places], examples.x
    shape = examples.context, len(examples.features)
    return FoldModel(fold, examples.features, rows, lambda some: windows[start[some]], shape, -1,
                     read)  # fmt: skip
