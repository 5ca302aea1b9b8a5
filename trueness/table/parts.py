"""Which part each unit plays in each fold: by time, at random, or as a column says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.examples import PARTS
from trueness.shares import percent_of

Index = NDArray[np.int64]
Part = NDArray[np.int8]

TRAIN, VALIDATION, TEST, OOF = (PARTS.index(p) for p in ("train", "validation", "test", "oof"))
FIRST_BLOCK_PCT = 40
"""Percent of the units before the first block of walk-forward, where no start is given."""
MOST_FOLDS = 1000


@dataclass(frozen=True)
class Units:
    """What a division looks at.

    Attributes
    ----------
    y : (N,) uint8
    when : (N,) datetime64 or None
    cluster : (N,) int64
        Units with equal numbers stay together where units are drawn; from 0.
    given : (N,) str or None
        What the column of a fold or split says.
    """

    y: NDArray[np.uint8]
    when: NDArray[np.datetime64] | None
    cluster: Index
    given: NDArray[np.str_] | None = None


def divided(rule: Any, units: Units) -> Part:  # noqa: ANN401 - a protocol of tables
    """Parts (F, N) of the units under a protocol; no fold without units to predict.

    Raises
    ------
    DataError
        For thousands of folds, a single one, or more than there are clusters (codes
        ``many_folds``, ``given_folds`` and ``few_clusters``).
    """
    return PROTOCOLS[rule.protocol](rule, units)


# ---------------------------------------------------------------------------------------- at random


def _dealt(units: Units, indices: Index, seed: list[int]) -> Index:
    """Clusters of some units, those with most positives first, then the largest, then at random."""
    clusters, at = np.unique(units.cluster[indices], return_inverse=True)
    positives = np.bincount(at, units.y[indices])
    chance = np.random.default_rng(seed).permutation(len(clusters))
    return clusters[np.lexsort((chance, -np.bincount(at), -positives))]


def _drawn(units: Units, indices: Index, share: float, seed: list[int]) -> Index:
    """A share of some units, stratified by label, clusters whole: every so many in the order."""
    clusters = _dealt(units, indices, seed)
    taken = np.diff(np.floor(np.arange(len(clusters) + 1) * share + 0.5)) > 0
    taken[len(clusters) // 2] |= not taken.any()
    return indices[np.isin(units.cluster[indices], clusters[taken])]


def _fold_numbers(units: Units, n_folds: int, seed: int) -> Index:
    """Fold (N,) of each unit: clusters are dealt out to and fro."""
    clusters = _dealt(units, np.arange(len(units.y)), [seed])
    if len(clusters) < n_folds:
        raise DataError(
            f"kfold: {n_folds} folds are asked for, and rows that stay together (clusters, and "
            f"groups where windows have several rows) make only {len(clusters)}; divide by time, "
            "or leave the cluster or the windows out", "few_clusters",
        )  # fmt: skip
    place, turn = np.arange(len(clusters)) % n_folds, np.arange(len(clusters)) // n_folds % 2
    fold = np.empty(len(units.y), np.int64)
    numbers = np.where(turn, n_folds - 1 - place, place)
    order = np.argsort(clusters)
    fold[:] = numbers[order[np.searchsorted(clusters, units.cluster, sorter=order)]]
    return fold


def _out_of_fold(rule: Any, units: Units, fold: Index) -> Part:  # noqa: ANN401
    """Each fold is predicted by the others, a share of which is its inner validation."""
    parts = np.full((int(fold.max()) + 1, len(units.y)), TRAIN, np.int8)
    for number, part in enumerate(parts):
        part[fold == number] = OOF
        rest = np.flatnonzero(fold != number)
        part[_drawn(units, rest, rule.inner_pct / 100, [rule.seed, number])] = VALIDATION
    return parts


def _kfold(rule: Any, units: Units) -> Part:  # noqa: ANN401
    return _out_of_fold(rule, units, _fold_numbers(units, rule.n_folds, rule.seed))


# ------------------------------------------------------------------------------------------ by time


def _moved(moment: np.datetime64, length: str | None, times: int) -> np.datetime64:
    """So many lengths of time after a moment; before it if `times` is below 0."""
    moment = moment.astype("datetime64[us]")
    if length is None:
        return moment
    unit = length.lstrip("0123456789")
    number = int(length.removesuffix(unit)) * times
    return pl.Series(np.array([moment])).dt.offset_by(f"{number}{unit}").to_numpy()[0]


def _at_percent(when: NDArray[np.datetime64], *percents: float) -> np.datetime64:
    """Time before which that share of the units lies; units of one time are not parted."""
    return np.sort(when)[min(len(when) - 1, percent_of(len(when), *percents))]


def _holdout(rule: Any, units: Units) -> Part:  # noqa: ANN401
    part = np.zeros(len(units.y), np.int8)
    test, validation = rule.test_pct / 100, rule.validation_pct / 100
    if units.when is None:
        part[:] = TRAIN
        part[_drawn(units, np.arange(len(part)), test, [rule.seed, 0])] = TEST
        rest = np.flatnonzero(part == TRAIN)
        part[_drawn(units, rest, validation / (1 - test), [rule.seed, 1])] = VALIDATION
        return part[None]
    if rule.val_start is None:
        ends = ((100, -rule.test_pct, -rule.validation_pct), (100, -rule.test_pct))
        starts = [_at_percent(units.when, *end) for end in ends]
    else:
        starts = [np.datetime64(moment, "us") for moment in (rule.val_start, rule.test_start)]
    part[units.when < _moved(starts[0], rule.purge, -1)] = TRAIN
    part[(units.when >= starts[0]) & (units.when < _moved(starts[1], rule.purge, -1))] = VALIDATION
    part[units.when >= starts[1]] = TEST
    return part[None]


def _walk_forward(rule: Any, units: Units) -> Part:  # noqa: ANN401
    when = units.when
    assert when is not None
    folds = []
    for first, stop in pairwise(_block_starts(rule, when)):
        part = np.zeros(len(when), np.int8)
        part[(when >= first) & (when < stop)] = OOF
        before = when < _moved(first, rule.purge, -1)
        if before.any():
            inner = _at_percent(when[before], 100, -rule.inner_pct)
            part[before & (when >= inner)] = VALIDATION
            part[when < _moved(inner, rule.purge, -1)] = TRAIN
        if (part == OOF).any():
            folds.append(part)
    return np.array(folds, np.int8).reshape(len(folds), len(when))


def _block_starts(rule: Any, when: NDArray[np.datetime64]) -> list[np.datetime64]:  # noqa: ANN401
    """Times at which blocks begin, and the one at which the last is over."""
    own = None if rule.start is None else np.datetime64(rule.start, "us")
    start = _at_percent(when, FIRST_BLOCK_PCT) if own is None else own
    final = when.max().astype("datetime64[us]") + 1
    final = final if rule.end is None else min(final, np.datetime64(rule.end, "us"))
    inside = when[(when >= start) & (when < final)]
    if not len(inside):
        return []
    if rule.block_length is None:
        places = [len(inside) * i // rule.n_blocks for i in range(1, rule.n_blocks)]
        bounds = [start, *np.sort(inside)[places]]
        return [*np.unique(np.array(bounds, "datetime64[us]")), final]
    bounds = [start.astype("datetime64[us]")]
    while (following := _moved(start, rule.block_length, len(bounds))) < final:
        bounds.append(following)
        if len(bounds) > MOST_FOLDS:
            raise DataError(
                f"walk_forward: more than {MOST_FOLDS:,} blocks of {rule.block_length}; choose a "
                "greater block_length", "many_folds",
            )  # fmt: skip
    return [*bounds, final]


# ------------------------------------------------------------------------------------------- given


def _from_columns(rule: Any, units: Units) -> Part:  # noqa: ANN401
    assert units.given is not None
    if rule.split is None:
        names, fold = np.unique(units.given, return_inverse=True)
        if not 2 <= len(names) <= MOST_FOLDS:
            raise DataError(
                f"given: the column {rule.fold} has {len(names):,} values; 2 to {MOST_FOLDS:,} "
                "folds are expected", "given_folds",
            )  # fmt: skip
        return _out_of_fold(rule, units, fold)
    part = np.zeros(len(units.y), np.int8)
    for name in ("train", "validation", "test"):
        part[units.given == name] = PARTS.index(name)
    return part[None]


def held_back(rule: Any, units: Units, share_pct: float) -> Part:  # noqa: ANN401
    """One fold (1, N) that predicts nothing: a share of the units stops the training of the others.

    The latest ones, purged, where the protocol divides by time; else drawn at random.
    """
    part = np.full(len(units.y), TRAIN, np.int8)
    if units.when is None or rule.protocol not in ("walk_forward", "holdout"):
        every = np.arange(len(part))
        part[_drawn(units, every, share_pct / 100, [rule.seed, 0])] = VALIDATION
        return part[None]
    inner = _at_percent(units.when, 100, -share_pct)
    part[units.when >= _moved(inner, rule.purge, -1)] = 0
    part[units.when >= inner] = VALIDATION
    return part[None]


PROTOCOLS: dict[str, Callable[[Any, Units], Part]] = {
    "holdout": _holdout,
    "kfold": _kfold,
    "walk_forward": _walk_forward,
    "given": _from_columns,
}
