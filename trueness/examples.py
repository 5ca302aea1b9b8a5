"""Examples: what every task hands to every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

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
        Rows, those of one group in time order; windows are views on it. Where columns are prepared
        anew in each fold, the copies of the F folds stand one below the other, and each begins at
        its row of `offsets`.
    start : (N,) int64
        First row of each window in the first copy; its last row is ``start + context - 1``.
        Engines take `starts` instead.
    context : int
        Rows per window, L.
    y : (N,) uint8
        Labels, 0 or 1.
    when : (N,) datetime64 or None
        Time of the decision, that of the last row of the window; a day for bars. None if the data
        know no time: the order of the examples then means nothing.
    group : (N,) str or None
        Series of a panel that each example belongs to; None if there is only one.
    parts : (F, N) int8
        Position in `PARTS` of each example in each of F folds.
    features : tuple of str
        Names of the C columns.
    notes : tuple of str
        What the reader of a result must know about the data.
    offsets : (F,) int64, optional
        First row of each fold's own copy of the series; None if all folds share one.
    ids : (N,) str, optional
        Distinct names of the examples; None if their times, or groups and times, name them.
    cluster : (N,) int64 or str, optional
        Examples of one cluster are not independent, such as the orders of one customer.
    extra : mapping of str to (N,)
        Further columns of the predictions, such as the market's ``regime`` and ``y_mirror``, the
        label of the opposite event. Nothing is trained on them.
    """

    series: NDArray[np.float32]
    start: NDArray[np.int64]
    context: int
    y: NDArray[np.uint8]
    when: NDArray[np.datetime64] | None
    group: NDArray[np.str_] | None
    parts: NDArray[np.int8]
    features: tuple[str, ...]
    notes: tuple[str, ...] = ()
    offsets: NDArray[np.int64] | None = None
    ids: NDArray[np.str_] | None = None
    cluster: NDArray[Any] | None = None
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def n_folds(self) -> int:
        """Number of folds, F."""
        return len(self.parts)

    @property
    def x(self) -> NDArray[np.float32]:
        """All windows of the series, (T - L + 1, L, C), as a view; see `starts`."""
        view = np.lib.stride_tricks.sliding_window_view(self.series, self.context, axis=0)
        return view.transpose(0, 2, 1)

    def starts(self, fold: int) -> NDArray[np.int64]:
        """First rows (N,) of the windows as fold `fold` sees them; example i is ``x[starts[i]]``.

        Examples
        --------
        >>> two = np.zeros((2, 3), np.int8)
        >>> one = Examples(np.zeros((6, 1), np.float32), np.arange(3), 1, np.zeros(3, np.uint8),
        ...                None, None, two, ("a",), offsets=np.array([0, 3]))
        >>> one.starts(1).tolist()
        [3, 4, 5]
        """
        return self.start if self.offsets is None else self.start + self.offsets[fold]

    def columns(self) -> dict[str, NDArray[Any]]:
        """What predictions say of each example besides scores: id, time, group, cluster, y, extra.

        Raises
        ------
        ValueError
            If the examples have neither ids nor times.
        """
        known = {
            "id": self._names(),
            "time": self.when,
            "group": self.group,
            "cluster": self.cluster,
        }
        known = {name: values for name, values in known.items() if values is not None}
        return {**known, "y": self.y, **self.extra}

    def _names(self) -> NDArray[np.str_]:
        if self.ids is not None:
            return self.ids
        if self.when is None:
            raise ValueError("examples without ids need times")
        times = self.when.astype(str)
        return times if self.group is None else np.char.add(np.char.add(self.group, " "), times)

    def members(self, part: str, fold: int = 0) -> NDArray[np.int64]:
        """Positions of the examples that play `part` in `fold`."""
        return np.flatnonzero(self.parts[fold] == PARTS.index(part))

    def only(self, rows: NDArray[np.int64]) -> Self:
        """Some of the examples, by position (m,), in the given order."""

        def taken(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values[rows]

        return replace(
            self, start=self.start[rows], y=self.y[rows], when=taken(self.when),
            group=taken(self.group), parts=self.parts[:, rows], ids=taken(self.ids),
            cluster=taken(self.cluster), extra={n: v[rows] for n, v in self.extra.items()},
        )  # fmt: skip

    def counts(self) -> list[dict[str, tuple[int, int]]]:
        """For each fold: part -> (examples, positives), parts without examples left out."""
        result = []
        for fold in range(self.n_folds):
            rows = {part: self.members(part, fold) for part in PARTS[1:]}
            result.append({p: (len(i), int(self.y[i].sum())) for p, i in rows.items() if len(i)})
        return result
