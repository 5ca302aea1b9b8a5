"""How much worse a model scores when some of its inputs are permuted, with intervals.

Permutation importance: Breiman, "Random Forests" (2001); as a property of a model that is given,
Fisher, Rudin and Dominici, "All Models are Wrong, but Many are Useful" (2019). Blocks of
consecutive times are permuted whole, so that inputs stay as smooth in time as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.errors import at_least
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.influence import (
    auc_influence,
    average_precision_influence,
    linear,
    too_few,
    with_draws,
)
from trueness.evaluation.joint_draws import precision_draws
from trueness.evaluation.resampling import Resampled, SortedScores, mean_difference
from trueness.evaluation.selection import Contrast, simultaneous_contrasts

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Influence: TypeAlias = Callable[[SortedScores], tuple[float, Array]]
LINEAR: dict[str, Influence] = {
    "auc": auc_influence,
    "average_precision": average_precision_influence,
}
"""Measure -> its value and what it owes to each unit."""


def block_permutation(
    rng: np.random.Generator, n: int, *, time: NDArray[Any] | None = None,
    series: NDArray[Any] | None = None, length: int = 1, within: bool = True,
) -> Index:  # fmt: skip
    """Unit whose inputs each of n units gets: blocks of consecutive times in another order.

    Each series is turned by a random number of times, cut into blocks, and these are shuffled. A
    series of a single block is turned only.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int
    time : (n,), optional
        Without times, units are permuted freely.
    series : (n,), optional
        Groups whose times are counted apart; one by default.
    length : int
        Distinct times per block, at least 1.
    within : bool
        Whether inputs stay in their series; else blocks of all series are shuffled together.

    Returns
    -------
    (n,) int64
        A permutation of 0 to n - 1.

    Examples
    --------
    >>> result = block_permutation(np.random.default_rng(0), 6, time=np.arange(6), length=3)
    >>> sorted(result.tolist()), (np.diff(result) % 6 == 1).sum() >= 4
    ([0, 1, 2, 3, 4, 5], np.True_)
    """
    length = at_least("block", length, 1)
    if time is None:
        return rng.permutation(n)
    names = np.zeros(n, np.int64) if series is None else np.unique(series, return_inverse=True)[1]
    result, targets, sources = np.empty(n, np.int64), list[Index](), list[Index]()
    for name in range(int(names.max(initial=-1)) + 1):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(time[rows], kind="stable")]
        blocks = _turned_blocks(rng, rows, time[rows], length)
        if within:
            result[rows] = _shuffled(rng, blocks)
        else:
            targets.append(rows)
            sources += blocks
    if not within and n:
        result[np.concatenate(targets)] = _shuffled(rng, sources)
    return result


def _turned_blocks(
    rng: np.random.Generator, rows: Index, time: NDArray[Any], length: int
) -> list[Index]:
    """Rows by time, turned by a random number of times, in blocks."""
    at = np.unique(time, return_inverse=True)[1]
    times = int(at[-1]) + 1
    place = (at - rng.integers(times)) % times
    order = np.argsort(place, kind="stable")
    block = place[order] // length
    return np.split(rows[order], np.flatnonzero(np.diff(block)) + 1)


def _shuffled(rng: np.random.Generator, blocks: Sequence[Index]) -> Index:
    return np.concatenate([blocks[i] for i in rng.permutation(len(blocks))])


@dataclass(frozen=True)
class ScoreDrop:
    """What a model loses in each measure when a group of inputs is permuted.

    Attributes
    ----------
    drops : dict of str to Contrast
        Measure as it is minus its mean over the repeats; positive where the group helps.
    spread : dict of str to float
        Standard deviation over the repeats.
    """

    drops: dict[str, Contrast]
    spread: dict[str, float]


@dataclass(frozen=True)
class _Lost:
    """One group in every measure, before the groups are corrected for each other."""

    drops: dict[str, Resampled]
    spread: dict[str, float]


def score_drops(
    y: NDArray[Any], score: Array, permuted: Iterable[NDArray[Any]], *, blocks: Blocks,
    alarms: int = 0, confidence: float = 0.95,
) -> list[ScoreDrop]:  # fmt: skip
    """Drops of precision, AUC and average precision for several groups of inputs.

    Units are resampled, not models or donors: an interval says how the drop would differ on other
    units, for this model as it is. The scatter over permutations is part of it, as each repeat
    moves units at random. Simultaneous intervals hold for all groups at once, in each measure.

    Parameters
    ----------
    y : (n,)
        Labels 0 and 1.
    score : (n,)
    permuted : iterable of (repeats, n)
        Scores with each group permuted, group after group.
    blocks : Blocks
        Of the n units.
    alarms : int
        Budget at which precision is compared; no precision with 0.
    confidence : float
        In (0, 1).

    Returns
    -------
    list of ScoreDrop
        In the order of the groups. Without intervals where units are too few; see `auc_draws`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 400)
    >>> score = y + rng.standard_normal(400)
    >>> mixed = np.array([score[rng.permutation(400)] for _ in range(5)])
    >>> (result,) = score_drops(y, score, [mixed], blocks=Blocks.of(400))
    >>> result.drops["auc"].verdict
    'better'
    """
    own = _influences(y, score)
    (precision,) = _precisions(y, [score], blocks, alarms) or [None]
    groups = [_lost(y, own, precision, some, blocks, alarms) for some in permuted]
    names = [*(["precision"] if alarms else []), *LINEAR]
    corrected = {
        name: simultaneous_contrasts([one.drops[name] for one in groups], confidence)
        for name in names
    }
    return [
        ScoreDrop({name: corrected[name][i] for name in names}, one.spread)
        for i, one in enumerate(groups)
    ]


def _influences(y: NDArray[Any], score: NDArray[Any]) -> dict[str, tuple[float, Array]]:
    ranked = SortedScores.of(y, score)
    return {name: influence(ranked) for name, influence in LINEAR.items()}


def _precisions(
    y: NDArray[Any], scores: Sequence[NDArray[Any]], blocks: Blocks, alarms: int
) -> list[Resampled]:
    return precision_draws(y, scores, alarms=alarms, blocks=blocks) if alarms else []


def _lost(
    y: NDArray[Any], own: dict[str, tuple[float, Array]], precision: Resampled | None,
    permuted: NDArray[Any], blocks: Blocks, alarms: int,
) -> _Lost:  # fmt: skip
    repeats = [_influences(y, score) for score in permuted]
    values = {name: [one[name][0] for one in repeats] for name in LINEAR}
    drops, few = {}, too_few(y)
    for name, (value, influence) in own.items():
        mean = np.mean([one[name][1] for one in repeats], axis=0)
        moved = influence - mean
        known = linear(value - float(np.mean(values[name])), moved, blocks, few=few)
        drops[name] = with_draws([known], [moved], blocks)[0]
    if precision is not None:
        result = _precisions(y, list(permuted), blocks, alarms)
        there = [one for one in result if one.n]
        values["precision"] = [one.value for one in there] or [float("nan")]
        drops["precision"] = (
            mean_difference([precision], there) if there
            else replace(precision, value=float("nan"), draws=np.full_like(precision.draws, np.nan))
        )  # fmt: skip
    spread = {name: float(np.std(some, ddof=1)) if len(some) > 1 else float("nan")
              for name, some in values.items()}  # fmt: skip
    return _Lost(drops, spread)
