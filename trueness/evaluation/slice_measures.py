"""What is measured of a slice of units: calibration, the scores of each class, top-k accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.special import log_softmax

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.by_group import Groups
from trueness.evaluation.calibration import bins_of
from trueness.evaluation.class_draws import atom_of, atom_weights
from trueness.evaluation.clusters import (
    basic_interval,
    basic_length,
    by_cluster,
    clustered_shares,
)
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.top_k import positions, top_name, tops

Array = NDArray[np.float64]
Index = NDArray[np.int64]
BINS = 10
"""Bins of equal mass of the calibration error."""


@dataclass(frozen=True)
class Measure:
    """What is resampled: its largest value; whether it is a length, which noise makes larger."""

    most: float
    length: bool = False

    def estimate(
        self, value: float, draws: Array, confidence: float
    ) -> tuple[float, float | None, float | None]:
        """Value with the basic interval around it; of a length less the bias that draws show."""
        if self.length:
            return basic_length(value, draws, confidence, self.most)
        return value, *basic_interval(value, draws, confidence, (0.0, self.most))


CALIBRATION = {
    "calibration_error": Measure(1.0, length=True), "brier": Measure(2.0),
    "log_loss": Measure(np.inf),
}  # fmt: skip


@dataclass(frozen=True)
class ClassScores:
    """One class in one slice: hits of predictions, hits of units, and F1 of both."""

    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class Units:
    """Classes (n,), logits (n, K), and which units depend on each other (n,)."""

    y: Index
    logits: Array
    block: Index

    @property
    def predicted(self) -> Index:
        """Class of the largest logit, (n,)."""
        return self.logits.argmax(axis=1)

    @property
    def blocks(self) -> int:
        """What stands for itself among them."""
        return len(np.unique(self.block))

    def only(self, inside: NDArray[np.bool_]) -> Units:
        """Some of them."""
        return Units(self.y[inside], self.logits[inside], self.block[inside])

    @property
    def confusion(self) -> Index:
        """Units of a class (row) that were predicted as one (column), (K, K)."""
        k = self.logits.shape[1]
        return np.bincount(self.y * k + self.predicted, minlength=k * k).reshape(k, k)


# -------------------------------------------------------------------------------------- calibration


def calibration_draws(
    units: Units, groups: Groups, blocks: Blocks, draws: int, seed: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Calibration of each slice, then of all units: (S + 1, 1) as it is, and (S + 1, draws)."""
    s, atom = groups.cells, atom_of(blocks)
    atoms = int(atom.max()) + 1
    sums = csr_array(vstack([
        _calibration_sums(units, index, cells, atom, atoms)
        for index, cells in ((groups.index, s), (np.zeros_like(groups.index), 1))
    ]))  # fmt: skip

    def statistics(weights: Array) -> dict[str, Array]:
        return _calibration((sums @ weights).reshape(s + 1, -1, weights.shape[1]))

    whole = statistics(np.ones((atoms, 1)))
    drawn = [statistics(weights) for weights in atom_weights(blocks, draws, seed)]
    empty = np.empty((s + 1, 0))
    return whole, {n: np.hstack([empty, *(d[n] for d in drawn)]) for n in whole}


def _calibration_sums(
    units: Units, index: Index, groups: int, atom: Index, atoms: int
) -> csr_array:
    """Units, squared error, log loss and the gaps of the bins of each group, inside atoms."""
    log_p = log_softmax(units.logits, axis=1)
    p, every = np.exp(log_p), np.arange(len(index))
    own, top = p[every, units.y], p.max(axis=1)
    bins = np.empty(len(index), np.int64)
    for group in range(groups):
        inside = index == group
        bins[inside] = bins_of(top[inside], BINS, "quantile")[1]
    values = (
        (0 * bins, 1.0), (0 * bins + 1, 1 - 2 * own + (p**2).sum(axis=1)),
        (0 * bins + 2, -log_p[every, units.y]), (bins + 3, top - (units.predicted == units.y)),
    )  # fmt: skip
    width = 3 + BINS
    shape = (groups * width, atoms)
    made = [
        by_cluster(every, index * width + column, value, atom, shape) for column, value in values
    ]
    return csr_array(made[0] + made[1] + made[2] + made[3])


def _calibration(sums: Array) -> dict[str, Array]:
    """Measures of calibration from what `_calibration_sums` made, (G, 3 + BINS, b)."""
    with np.errstate(invalid="ignore"):
        rows, brier, log_loss = np.moveaxis(sums[:, :3], 1, 0)
        gaps = np.abs(sums[:, 3:]).sum(axis=1)
        return {
            "calibration_error": gaps / rows,
            "brier": brier / rows,
            "log_loss": log_loss / rows,
        }


# ------------------------------------------------------------------------------------------ classes


def class_scores(
    units: Units, classes: tuple[str, ...], confidence: float, make: Callable[..., Estimate]
) -> dict[str, ClassScores]:
    """Precision, recall and F1 of each class, with exact intervals that know of clusters."""
    y, predicted, wrong = units.y, units.predicted, units.y != units.predicted
    either = np.concatenate([y, predicted[wrong]])  # a wrong unit concerns two classes
    block = np.concatenate([units.block, units.block[wrong]])
    hit = np.concatenate([~wrong, np.zeros(wrong.sum(), bool)])
    columns = [
        _shares(*trials, len(classes), confidence, make)
        for trials in (
            (~wrong, predicted, units.block), (~wrong, y, units.block), (hit, either, block)
        )
    ]  # fmt: skip
    return {
        name: ClassScores(precision, recall, _f1(share))
        for name, precision, recall, share in zip(classes, *columns, strict=True)
    }


def top_k_accuracy(
    units: Units, confidence: float, make: Callable[..., Estimate]
) -> dict[str, Estimate]:
    """How often the true class is among the first k, with exact intervals that know of clusters."""
    place, ks = positions(units.y, units.logits), tops(units.logits.shape[1])
    hit, cell = np.concatenate([place < k for k in ks]), np.repeat(np.arange(len(ks)), len(place))
    block = np.tile(units.block, len(ks))
    return dict(
        zip(map(top_name, ks), _shares(hit, cell, block, len(ks), confidence, make), strict=True)
    )


def _shares(
    hit: NDArray[np.bool_], cell: Index, block: Index, cells: int, confidence: float,
    make: Callable[..., Estimate],
) -> list[Estimate]:  # fmt: skip
    result = zip(*clustered_shares(hit, cell, block, cells, confidence), strict=True)
    return [
        make(int(k) / int(n) if n else None, float(low), float(high), int(n), int(k))
        for k, n, low, high in result
    ]


def _f1(share: Estimate) -> Estimate:
    """F1 from the share of hits among the units that are of a class or predicted as it.

    Examples
    --------
    >>> print(_f1(Estimate.proportion(6, 8)))
    0.857 (0.518–0.984)
    """

    def grown(j: float | None) -> float | None:
        return None if j is None else 2 * j / (1 + j)

    low, high = grown(share.low), grown(share.high)
    return replace(share, value=grown(share.value), low=low, high=high, k=None)
