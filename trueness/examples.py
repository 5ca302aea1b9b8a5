"""Examples: what every task hands to every engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PARTS = ("none", "train", "validation", "test", "oof")
"""Names of the parts an example can play in a fold; `Examples.parts` holds their positions."""


@dataclass(frozen=True)
class Examples:
    """Windows over one resident series, their labels, and the part each plays in every fold.

    Attributes
    ----------
    series : (T, C) float32
        Rows in time order; windows are views on it.
    start : (N,) int64
        First row of each window; its last row is ``start + context - 1``.
    context : int
        Rows per window, L.
    y : (N,) uint8
        Labels, 0 or 1.
    when : (N,) datetime64[D]
        Day of the decision, the last day of the window.
    group : (N,) str
        Regime or language.
    parts : (F, N) int8
        Position in `PARTS` of each example in each of F folds.
    features : tuple of str
        Names of the C columns.
    notes : tuple of str
        What the reader of a result must know about the data.
    mirror : (N,) uint8, optional
        Labels of the opposite event on the same days: a low touch for a high one. Nothing is
        trained on them; they tell direction from volatility.
    offsets : (F,) int64, optional
        First row of the copy of the series that each fold reads; all read the same one without.
    """

    series: NDArray[np.float32]
    start: NDArray[np.int64]
    context: int
    y: NDArray[np.uint8]
    when: NDArray[np.datetime64]
    group: NDArray[np.str_]
    parts: NDArray[np.int8]
    features: tuple[str, ...]
    notes: tuple[str, ...] = ()
    mirror: NDArray[np.uint8] | None = None
    offsets: NDArray[np.int64] | None = None

    def starts(self, fold: int) -> NDArray[np.int64]:
        """First row of each window (N,) in the copy of the series that a fold reads."""
        return self.start if self.offsets is None else self.start + self.offsets[fold]

    @property
    def n_folds(self) -> int:
        """Number of folds, F."""
        return len(self.parts)

    @property
    def x(self) -> NDArray[np.float32]:
        """All windows of the series, (T - L + 1, L, C), as a view; example i is ``x[start[i]]``."""
        view = np.lib.stride_tricks.sliding_window_view(self.series, self.context, axis=0)
        return view.transpose(0, 2, 1)

    def members(self, part: str, fold: int = 0) -> NDArray[np.int64]:
        """Positions of the examples that play `part` in `fold`."""
        return np.flatnonzero(self.parts[fold] == PARTS.index(part))

    def counts(self) -> list[dict[str, tuple[int, int]]]:
        """For each fold: part -> (examples, positives), parts without examples left out."""
        result = []
        for fold in range(self.n_folds):
            rows = {part: self.members(part, fold) for part in PARTS[1:]}
            result.append({p: (len(i), int(self.y[i].sum())) for p, i in rows.items() if len(i)})
        return result
