"""Train, validation and test parts that separate no cluster and treat every language alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import DataError
from trueness.text.columns import Column, ranks

PARTS = ("train", "validation", "test")
_OPEN = -1
_CARRIED = 0.1


def grouped_split(
    cluster: ArrayLike,
    label: Column,
    language: Column,
    *,
    validation: float = 0.05,
    test: float = 0.10,
    seed: int = 42,
) -> NDArray[np.int8]:
    """Part of every row: whole clusters, stratified by language and label.

    After Sechidis et al., "On the Stratification of Multi-Label Data" (2011), on clusters: a cell
    is one label in one language; the cell of fewest clusters is served first, from the clusters
    that no earlier cell has placed, in an order drawn from `seed` and the cluster's label alone.

    Parameters
    ----------
    cluster : (n,) int
    label, language : (n,) int or str
    validation, test : float in [0, 1)
        Fractions of the rows of every cell; their sum is below 1.
    seed : int

    Returns
    -------
    (n,) int8
        0 train, 1 validation, 2 test. It does not depend on the order of the rows.

    Raises
    ------
    DataError
        For fractions outside their range, missing values or columns of different lengths.

    Notes
    -----
    A cell with three clusters or more that are still to be placed gets one into every part whose
    fraction is above 0. What whole clusters leave short or over is made up by the cells that
    follow, each by a tenth of its own share and one row at most.

    Examples
    --------
    >>> parts = grouped_split(range(40), ["a", "b"] * 20, ["en"] * 40)
    >>> np.bincount(parts).tolist()
    [34, 2, 4]
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise DataError(
            f"validation {validation} and test {test}: fractions of at least 0 with a sum below 1 "
            "are needed"
        )
    names, clusters = _numbered(cluster)
    labels, languages = ranks("label", label), ranks("language", language)
    if not len(clusters) == len(labels) == len(languages):
        raise DataError(
            f"{len(clusters)} clusters, {len(labels)} labels and {len(languages)} languages; "
            "one of each per row is needed"
        )
    lots = _lots(names, seed)
    part = np.full(len(names), _OPEN, np.int8)
    fractions = np.array([1 - validation - test, validation, test])
    carried = np.zeros(len(PARTS))
    for mine, rows in _cells(languages * (labels.max(initial=0) + 1) + labels, clusters, lots):
        share = rows.sum() * fractions
        slack = 1 + _CARRIED * share
        _place(part, mine, rows, fractions, share + np.clip(carried, -slack, slack))
        carried += share - np.bincount(part[mine], weights=rows, minlength=len(PARTS))
    _teach_every_label(part, labels, clusters, lots)
    return part[clusters]


def _numbered(cluster: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct labels of clusters in order, (k,), and the number of each row's cluster, (n,)."""
    labels = np.asarray(cluster)
    if labels.ndim != 1 or (labels.size and labels.dtype.kind not in "iu"):
        raise DataError(f"cluster: a whole number in every row is needed; {labels.dtype} came")
    names, numbers = np.unique(labels.astype(np.int64), return_inverse=True)
    return names, numbers


def _lots(names: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """What each cluster draws, (k,); distinct, after SplitMix64 (Steele et al., 2014)."""
    start = np.random.default_rng(seed).integers(0, 2**64, dtype=np.uint64)
    lots = names.view(np.uint64) ^ start
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        lots = (lots ^ (lots >> np.uint64(shift))) * np.uint64(factor)
    return lots ^ (lots >> np.uint64(31))


def _cells(
    cells: NDArray[np.int64], clusters: NDArray[np.int64], lots: NDArray[np.uint64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Clusters of each cell in the order of their lots, with the rows they have in it.

    Cells of fewest clusters come first, then of fewest rows.
    """
    pairs, rows = np.unique(cells * len(lots) + clusters, return_counts=True)
    cell, owner = np.divmod(pairs, max(len(lots), 1))
    order = np.lexsort((lots[owner], cell))
    bounds = np.flatnonzero(np.diff(cell)) + 1
    result = list(zip(np.split(owner[order], bounds), np.split(rows[order], bounds), strict=True))
    return sorted(result, key=lambda one: (len(one[0]), one[1].sum())) if len(pairs) else []


def _place(
    part: NDArray[np.int8], mine: NDArray[np.int64], rows: NDArray[np.int64],
    fractions: NDArray[np.float64], want: NDArray[np.float64],
) -> None:  # fmt: skip
    """Give the open clusters of a cell to test and validation as far as they lack rows, else train.

    `part` (k,) is changed in place; `mine`, `rows` (m,) are the cell's clusters and their rows in
    it, `fractions`, `want` (3,) the parts' shares and the rows they should have.
    """
    for which in (2, 1):
        now = part[mine]
        free = np.flatnonzero(now == _OPEN)
        lacking = [p for p in range(3) if fractions[p] > 0 and not (now == p).any()]
        due = len(free) >= len(lacking)
        least = int(due and which in lacking)
        most = len(free) - (len(lacking) - least if due else 0)
        missing_rows = want[which] - rows[now == which].sum()
        if fractions[which] > 0:
            taken = _nearest(rows[free], missing_rows, least, most)
            part[mine[free[taken]]] = which
    part[mine[part[mine] == _OPEN]] = 0


def _nearest(rows: NDArray[np.int64], wanted: float, least: int, most: int) -> NDArray[np.int64]:
    """First clusters, (m,), whose rows come nearest to those wanted, `least` to `most` of them.

    A cluster of more than twice the wanted rows is passed over: without it one is nearer. Where
    none is small enough and one must be taken, it is the smallest.
    """
    fitting = np.flatnonzero(rows <= 2 * wanted)
    if not len(fitting):
        return np.argsort(rows, kind="stable")[:least]
    distances = np.abs(np.concatenate([[0], np.cumsum(rows[fitting])]) - wanted)
    return fitting[: min(max(int(distances.argmin()), least), most)]


def _teach_every_label(
    part: NDArray[np.int8], labels: NDArray[np.int64], clusters: NDArray[np.int64],
    lots: NDArray[np.uint64],
) -> None:  # fmt: skip
    """Move one cluster into train for a label that has none there; `part` is changed in place."""
    n_train = np.bincount(labels[part[clusters] == 0], minlength=labels.max(initial=-1) + 1)
    for label in np.flatnonzero(n_train == 0):
        mine = clusters[labels == label]
        part[mine[lots[mine].argmin()]] = 0
