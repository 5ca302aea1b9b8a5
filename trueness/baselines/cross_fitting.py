"""Scores of labelled texts by models that saw neither them nor others of their clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness import interrupts
from trueness.baselines.titles import Score, fit_titles_baseline
from trueness.spec.titles import TitlesSpec
from trueness.text.corpus import Titles

Index = NDArray[np.int64]
FOLDS = 5
INNER = 10
"""Every so many-th cluster of what a fold may see chooses its penalty and its temperature."""


def cluster_folds(cluster: Index, y: Index, folds: int = FOLDS, seed: int = 0) -> Index:
    """Fold of each row, (n,): clusters stay whole, and each class is spread over all folds.

    Parameters
    ----------
    cluster, y : (n,) int
        The class of a cluster is that of its first row.
    folds : int
    seed : int
        Of the order of the clusters.

    Examples
    --------
    >>> cluster_folds(np.array([7, 7, 8, 9]), np.array([0, 0, 0, 0]), folds=3).tolist()
    [2, 2, 0, 1]
    """
    _, first, of = np.unique(cluster, return_index=True, return_inverse=True)
    lots = np.random.default_rng(seed).permutation(len(first))
    order = np.lexsort((lots, y[first]))
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % folds
    return fold[of]


@dataclass(frozen=True)
class _Fold:
    """What one fold is fitted on; its part ``test`` is what it scores."""

    digest: str
    classes: tuple[str, ...]
    rows: Titles
    part_of: NDArray[np.int8]

    def part(self, name: str) -> Titles:
        """Texts of ``train``, ``validation`` or ``test``."""
        return some_of(self.rows, self.part_of == ("train", "validation", "test").index(name))


def some_of(rows: Titles, inside: NDArray[np.bool_]) -> Titles:
    """Some texts; `inside` is (n,)."""
    values = {one.name: getattr(rows, one.name) for one in fields(rows)}
    return Titles(**{name: value.filter(pl.Series(inside)) if isinstance(value, pl.Series)
                     else value[inside] for name, value in values.items()})  # fmt: skip


def cross_fitted(
    rows: Titles, classes: Sequence[str], spec: TitlesSpec, score: Score, *, folds: int = FOLDS,
    seed: int = 0, on_progress: Callable[[float], Any] = lambda _: None,
) -> NDArray[np.float32]:  # fmt: skip
    """Logits (n, K) of texts, each by a model that was fitted on other clusters.

    Penalty and temperature of each fold are chosen on a tenth of the clusters that it may see.
    Schick, "On Asymptotically Efficient Estimation in Semiparametric Models" (1986).

    Parameters
    ----------
    rows : Titles
        n texts.
    classes : sequence of K str
    spec : TitlesSpec
        Of a baseline, such as n-grams.
    score : callable
        See `fit_titles_baseline`.
    folds, seed : int
    on_progress : callable
        Takes 1 after each fold.
    """
    fold = cluster_folds(rows.cluster, rows.y, folds, seed)
    logits = np.zeros((len(rows), len(classes)), np.float32)
    inner = cluster_folds(rows.cluster, rows.y, INNER, seed + 1) == 0
    for k in range(folds):
        interrupts.check()
        part_of = np.where(fold == k, 2, inner.astype(np.int8)).astype(np.int8)
        parts = _Fold(spec.task.corpus, tuple(classes), rows, part_of)
        fit = fit_titles_baseline(spec, parts, score)
        logits[fold == k] = fit.logits["test"]
        on_progress(1)
    return logits
