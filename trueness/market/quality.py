"""The feature audit: look-ahead, copies, constants, gaps, tails, drift, and relation to the label.

Everything that involves the label is computed on training rows only, against a null in which blocks
of days are permuted, and with the false-discovery rate controlled over all columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.market.bars import Bars, Volatility
from trueness.market.indicators import CATALOGUE, Table, feature_table

Array = NDArray[np.float64]

TRUNCATIONS = 12
TOLERANCE = 1e-9
USUAL = 0.95
"""Quantile of the values of a column that tells their size; outliers do not."""
BINS = 10
BLOCK_DAYS = 125
"""Days per permuted block; turbulent times last for months, and short blocks call all real."""


@dataclass
class Column:
    """What the audit found about one column.

    Attributes
    ----------
    name, flags
        Catalogue name and flags.
    look_ahead_rows : int
        How many rows before a cut the values depend on what comes after it; 0 is right.
    warmup, warmup_declared : int
        Rows before the first value, and what the catalogue says.
    missing, longest_gap : int
        Undefined rows after the warm-up, and the longest run of them.
    copy_of, affine_of : str or None
        Earlier column with the same values, or of which this one is an exact linear map.
    top_share : float
        Share of the most frequent value; 1 for a constant.
    tail : float
        Largest distance from the median in robust standard deviations.
    drift : float
        Kolmogorov-Smirnov distance between training and validation rows, in [0, 1].
    auc, auc_p, auc_q : float
        Ranking of training labels by the column alone, its block-permutation p value, and the
        Benjamini-Hochberg q value; likewise `mi` in nats.
    """

    name: str
    flags: tuple[str, ...] = ()
    look_ahead_rows: int = 0
    warmup: int = 0
    warmup_declared: int = 0
    missing: int = 0
    longest_gap: int = 0
    copy_of: str | None = None
    affine_of: str | None = None
    top_share: float = 0.0
    tail: float = 0.0
    drift: float = float("nan")
    auc: float = float("nan")
    auc_p: float = float("nan")
    auc_q: float = float("nan")
    mi: float = float("nan")
    mi_p: float = float("nan")
    mi_q: float = float("nan")

    @property
    def constant(self) -> bool:
        """Whether one value makes up all rows."""
        return self.top_share == 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, NaN as None."""
        return {
            k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(self).items()
        }


@dataclass
class Audit:
    """Columns of a tier, or own ones, with what was found, cut points, and sizes of the parts."""

    tier: str
    source: str
    columns: list[Column]
    truncations: list[int]
    n_train: int = 0
    n_validation: int = 0
    notes: tuple[str, ...] = field(default=())
    own: bool = False

    @property
    def looking_ahead(self) -> list[Column]:
        """Columns that change when the future is taken away."""
        return [c for c in self.columns if c.look_ahead_rows]


def truncation_points(n_rows: int, first: int, n_truncations: int = TRUNCATIONS) -> list[int]:
    """Rows at which to truncate, spread from shortly after the warm-up to the last row but one.

    Examples
    --------
    >>> truncation_points(1000, 300, n_truncations=4)
    [301, 533, 766, 999]
    """
    if n_rows < first + n_truncations + 1:
        raise DataError(
            f"{n_rows} rows are too few to truncate at {n_truncations} points after row {first}"
        )
    return np.linspace(first + 1, n_rows - 1, n_truncations).astype(int).tolist()


def look_ahead_rows(whole: Array, again: Array) -> NDArray[np.int64]:
    """For each column, how far before the cut values change when the future is taken away.

    Parameters
    ----------
    whole : (T, C) float64
        Computed on the full series.
    again : (t, C) float64
        Computed on its first t rows.

    Returns
    -------
    (C,) int64
        Distance from the cut to the earliest changed row; 0 if nothing changed.
    """
    size = np.abs(np.nan_to_num(whole))
    before, scale = whole[: len(again)], np.quantile(size, USUAL, axis=0) if len(size) else 0.0
    same = np.isclose(before, again, rtol=TOLERANCE, atol=TOLERANCE * scale)
    same |= np.isnan(before) & np.isnan(again)
    first = np.where(same.all(axis=0), len(again), (~same).argmax(axis=0))
    return len(again) - first


def structure(table: Table) -> list[Column]:
    """Warm-up, gaps, constants, tails and copies of every column."""
    columns = []
    for i, name in enumerate(table.names):
        values, row = table.values[:, i], CATALOGUE.get(name)
        known = ~np.isnan(values)
        warmup = int(known.argmax()) if known.any() else len(values)
        flags, declared = (row.flags, row.warmup) if row else ((), warmup)
        column = Column(name, flags, warmup=warmup, warmup_declared=declared)
        gaps = ~known[column.warmup :]
        column.missing, column.longest_gap = int(gaps.sum()), _longest_run(gaps)
        column.top_share, column.tail = _concentration(values[known])
        columns.append(column)
    _mark_copies(table, columns)
    return columns


def _longest_run(hits: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hits.astype(np.int8), [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _concentration(values: Array) -> tuple[float, float]:
    """Share of the most frequent value, and the largest robust z-score."""
    if not len(values):
        return 1.0, 0.0
    _, counts = np.unique(values, return_counts=True)
    median = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - median))
    tail = float(np.abs(values - median).max() / spread) if spread > 0 else 0.0
    return float(counts.max() / len(values)), tail


def _mark_copies(table: Table, columns: list[Column]) -> None:
    """Compare each column with all earlier ones on the rows where both are known."""
    values = table.values
    known = np.stack([~np.isnan(column) for column in values.T], axis=1)
    late = max(c.warmup for c in columns)
    dense = np.array([bool(column.all()) for column in known[late:].T])
    rough = np.zeros((len(columns), len(columns)))
    body = values[late:][:, dense]
    spread = body.std(axis=0)
    unit = (body - body.mean(axis=0)) / np.where(spread > 0, spread, 1) / np.sqrt(max(1, len(body)))
    index = np.flatnonzero(dense)
    rough[np.ix_(index, index)] = np.abs(unit.T @ unit)
    for i, column in enumerate(columns):
        near = np.flatnonzero((rough[i, :i] > 1 - 1e-7) | ~dense[:i] | ~dense[i])
        originals = [j for j in near if not (columns[j].constant or columns[j].copy_of)]
        if column.constant:
            continue
        for kind in ("copy_of", "affine_of"):  # a copy of a linear map is first of all a copy
            for j in originals:
                if kind == "affine_of" and columns[j].affine_of:
                    continue
                if _relation(values[:, j], values[:, i], known[:, j], known[:, i]) == kind:
                    setattr(column, kind, columns[j].name)
                    break
            if column.copy_of or column.affine_of:
                break


def _relation(
    x: Array, y: Array, x_known: NDArray[np.bool_], y_known: NDArray[np.bool_]
) -> str | None:
    """Whether y repeats x, or is an exact linear map of it."""
    both = x_known & y_known
    if both.sum() < 0.9 * min(x_known.sum(), y_known.sum()) or both.sum() < 30:
        return None
    a, b = x[both], y[both]
    if np.allclose(a, b, rtol=1e-9, atol=1e-9 * max(1e-300, np.abs(a).max())):
        return "copy_of"
    centred = a - a.mean()
    slope = (centred @ (b - b.mean())) / max(1e-300, centred @ centred)
    error = b - b.mean() - slope * centred
    return "affine_of" if np.abs(error).max() <= 1e-7 * max(1e-300, b.std()) else None


# ---------------------------------------------------------------------------------------- the label


def relation_to_label(
    x: Array, y: NDArray[np.uint8], *, block: int = BLOCK_DAYS, draws: int = 500, seed: int = 0
) -> dict[str, Array]:
    """AUC and mutual information of each column with the label, with block-permutation p values.

    The null permutes blocks of consecutive days, which keeps the clustering of the labels. Mutual
    information is taken over ten bins of equal mass; q values after Benjamini and Hochberg,
    "Controlling the false discovery rate" (1995).

    Parameters
    ----------
    x : (n, C) float64
        Training rows, no NaN.
    y : (n,) uint8
        Labels in time order.
    block : int
        Days per block.
    draws : int
        Permutations.

    Returns
    -------
    dict
        ``auc, auc_p, auc_q, mi, mi_p, mi_q``, each (C,).
    """
    result = {}
    auc, mi = label_relations(x, y, block=block, draws=draws, seed=seed)
    for name, values, strength in (("auc", auc, np.abs(auc - 0.5)), ("mi", mi, mi)):
        p = (1 + (strength[:, 1:] >= strength[:, :1] - 1e-9).sum(axis=1)) / (draws + 1)
        result |= {name: values[:, 0].astype(float), f"{name}_p": p, f"{name}_q": q_values(p)}
    return result


def label_relations(
    x: Array, y: NDArray[np.uint8], *, block: int = BLOCK_DAYS, draws: int = 500, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """AUC and mutual information of each column, (C, 1 + draws): of the labels, then of the null.

    Parameters
    ----------
    x, y, block, draws
        See `relation_to_label`.
    seed : int
        Of the permutations.
    """
    from scipy.stats import rankdata  # a third of a second, which a prediction has no use for

    labels = np.column_stack([y, _permuted(y, block, draws, seed)]).astype(np.float32)
    ranks = np.column_stack([rankdata(column) for column in x.T])
    positives = int(y.sum())
    auc = (ranks.T.astype(np.float32) @ labels - positives * (positives + 1) / 2) / (
        positives * (len(y) - positives)
    )
    return auc, np.stack([_binned_mi(column, labels) for column in ranks.T])


def _permuted(y: NDArray[np.uint8], block: int, draws: int, seed: int) -> NDArray[np.uint8]:
    """Labels with their blocks in random order, started at a random day; (n, draws)."""
    rng = np.random.default_rng(seed)
    out = np.empty((len(y), draws), np.uint8)
    for d in range(draws):
        turned = np.roll(y, rng.integers(len(y)))
        pieces = np.array_split(turned, max(1, len(y) // block))
        out[:, d] = np.concatenate([pieces[i] for i in rng.permutation(len(pieces))])
    return out


def _binned_mi(ranks: Array, labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mutual information in nats of ten rank bins with each column of labels; (draws + 1,)."""
    edges = np.quantile(ranks, np.linspace(0, 1, BINS + 1)[1:-1])
    member = np.searchsorted(edges, ranks, side="left")
    onehot = (member[:, None] == np.arange(BINS)).astype(np.float32)
    joint = np.stack([onehot.T @ labels, onehot.T @ (1 - labels)]) / len(ranks)
    independent = joint.sum(axis=0, keepdims=True) * joint.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = joint * np.log(joint / independent)
    return np.nan_to_num(terms).sum(axis=(0, 1))


def q_values(p: Array) -> Array:
    """Benjamini-Hochberg q values of p values, (C,) -> (C,).

    Examples
    --------
    >>> q_values(np.array([0.01, 0.04, 0.03, 0.5])).round(3).tolist()
    [0.04, 0.053, 0.053, 0.5]
    """
    order = np.argsort(p)
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    q = np.empty_like(scaled)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1)
    return q


# ---------------------------------------------------------------------------------------- together


def audit(
    bars: Bars,
    tier: str,
    vix: Volatility | None = None,
    *,
    parts: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    y: NDArray[np.uint8] | None = None,
    block: int = BLOCK_DAYS,
    n_truncations: int = TRUNCATIONS,
    on_step: Callable[[str, int, int], None] | None = None,
    compute: Callable[[Bars], Table] | None = None,
) -> Audit:
    """Audit all columns of a tier, or of whatever computes some from bars.

    Parameters
    ----------
    bars : Bars
        T days.
    tier : str
        What the columns are called together, where `compute` gives them.
    vix : Volatility, optional
    parts : pair of (n,) int64, optional
        Rows of the bars that train and that validate; without them drift and label are left out.
    y : (T,) uint8, optional
        Labels of all days; only those of training rows are used.
    block : int
        Days per block of the permutations.
    n_truncations : int
        Truncation points.
    on_step : callable, optional
        Hears (what, done, of).
    compute : callable, optional
        Columns of bars, in place of those of the tier.

    Returns
    -------
    Audit
    """
    report = on_step or (lambda what, done, of: None)
    compute = compute or (lambda some: feature_table(some, tier, vix))
    table = compute(bars)
    latest = max(int((~np.isnan(column)).argmax()) for column in table.values.T)
    points = truncation_points(len(bars), min(latest, len(bars) // 2), n_truncations)
    columns = structure(table)
    for done, cut in enumerate(points, 1):
        again = compute(bars.head(cut))
        for column, rows in zip(columns, look_ahead_rows(table.values, again.values), strict=True):
            column.look_ahead_rows = max(column.look_ahead_rows, int(rows))
        report("truncate and recompute", done, len(points))
    result = Audit(tier, bars.name, columns, points, notes=table.notes)
    if parts is not None and y is not None:
        _add_label(result, table, parts, y, block)
    return result


def _add_label(
    result: Audit,
    table: Table,
    parts: Sequence[NDArray[np.int64]],
    y: NDArray[np.uint8],
    block: int,
) -> None:
    """Drift between the parts, and the relation to the label on training rows."""
    from scipy.stats import ks_2samp

    train, validation = parts
    result.n_train, result.n_validation = len(train), len(validation)
    for i, column in enumerate(result.columns):
        here, there = (table.values[rows, i] for rows in (train, validation))
        here, there = here[~np.isnan(here)], there[~np.isnan(there)]
        if len(here) and len(there):
            column.drift = float(ks_2samp(here, there).statistic)
    values = table.values[train]
    usable = [i for i in range(values.shape[1]) if not np.isnan(values[:, i]).all()]
    medians = np.nanmedian(values[:, usable], axis=0)
    filled = np.where(np.isnan(values[:, usable]), medians, values[:, usable])
    matches = relation_to_label(filled, y[train], block=block)
    for k, i in enumerate(usable):
        for name, value in matches.items():
            setattr(result.columns[i], name, float(value[k]))
