"""Runs compared on the same units, from stored predictions, when they are asked for.

Comparisons depend on what else the store holds, so they are no part of a run. A disposable index in
the store keeps joint draws of AUC and precision of every run; each comparison is a subtraction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import TruenessError
from trueness.evaluation import (
    Contrast,
    Dependence,
    Resampled,
    against_best,
    auc_counts,
    auc_draws,
    class_counts,
    precision_draws,
)
from trueness.evaluation.blocks import DRAWS
from trueness.evaluation.threads import in_threads
from trueness.predictions import Predictions
from trueness.store import AnyStore, Problem, Run

Array = NDArray[np.float64]
MOST_BLOCKS = 16
"""Blocks of units that are halved in all ways."""
SIZES = 8
"""Numbers of a run beside its draws."""
Draws = dict[str, Resampled]
"""Key of a run -> its AUC on the measured units, with joint draws."""


def measured_part(run: Run) -> Predictions:
    """The part that a run is measured on."""
    return run.predictions().part(run.estimands.measured_on)


def best_baseline(runs: Sequence[Run]) -> Run | None:
    """Baseline with the best AUC among comparable runs."""
    baselines = [run for run in runs if run.spec.is_baseline]
    return max(baselines, key=lambda r: r.record["estimates"]["auc"]["value"] or 0.0, default=None)


@dataclass(frozen=True)
class Statistics:
    """A run on the measured units, with draws that are joint with every other of its group.

    AUC, precision at the largest alarm budget, and what the AUC of any half of the units needs:
    won pairs between blocks of units, (blocks, blocks), positives and negatives of each, (blocks,);
    empty if the units are too few to halve.
    """

    auc: Resampled
    precision: Resampled
    won: Array
    positives: Array
    negatives: Array


def statistics(store: AnyStore, runs: Sequence[Run]) -> tuple[dict[str, Statistics], list[Problem]]:
    """Statistics of runs of one comparison group by key, from the index or the predictions.

    Runs whose predictions cannot be read have none; they are named as problems.
    """
    if not runs:
        return {}, []
    addresses, known = _usable(*store.index.read_arrays(_index_of(runs[0])))
    there = set(addresses)
    parts, problems = _parts([run for run in runs if run.address not in there])
    addresses, known = _extended(store, addresses, known, parts)
    place = {address: row for row, address in enumerate(addresses)}
    return {
        run.key: _row(known, place[run.address]) for run in runs if run.address in place
    }, problems


def remember(
    store: AnyStore, runs: Sequence[Run], predictions: Sequence[Predictions],
    aucs: Sequence[Resampled],
) -> None:  # fmt: skip
    """Put statistics of runs of one comparison group into the index, from what is at hand."""
    addresses, known = _usable(*store.index.read_arrays(_index_of(runs[0])))
    there, part = set(addresses), runs[0].estimands.measured_on
    missing = [i for i, run in enumerate(runs) if run.address not in there]
    parts = [(runs[i], predictions[i].part(part)) for i in missing]
    _extended(store, addresses, known, parts, [aucs[i] for i in missing])


def _index_of(run: Run) -> str:
    """Name of the index of the comparison group of a run."""
    rule = run.estimands
    return f"draws-{run.record['comparison_group']}-{rule.block}-{rule.budget}"


def _extended(
    store: AnyStore, addresses: list[str], known: dict[str, NDArray[Any]],
    parts: Sequence[tuple[Run, Predictions]], aucs: Sequence[Resampled] | None = None,
) -> tuple[list[str], dict[str, NDArray[Any]]]:  # fmt: skip
    """The index with further runs of the group, kept in the store."""
    if not parts:
        return addresses, known
    first = parts[0][0]
    rule = first.estimands
    fresh = _computed([part for _, part in parts], rule.block, rule.budget, aucs)
    addresses, known = [*addresses, *(run.address for run, _ in parts)], _joined(known, fresh)
    store.index.write_arrays(_index_of(first), addresses, known)
    return addresses, known


def _usable(
    addresses: list[str], known: dict[str, NDArray[Any]]
) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """The same if an index is whole, else nothing."""
    if set(known) != {"auc", "precision", "won", "classes", "sizes"}:
        return [], {}
    pieces = known["won"].shape[1:2]
    shapes = {
        "auc": (1 + DRAWS,), "precision": (1 + DRAWS,), "won": pieces * 2,
        "classes": (2, *pieces), "sizes": (SIZES,),
    }  # fmt: skip
    whole = all(rows.shape == (len(addresses), *shapes[name]) for name, rows in known.items())
    return (addresses, known) if whole else ([], {})


def _parts(runs: Sequence[Run]) -> tuple[list[tuple[Run, Predictions]], list[Problem]]:
    result, problems = [], []
    for run in runs:
        try:
            result.append((run, measured_part(run)))
        except TruenessError as error:
            problems.append(Problem(run.key, str(error)))
    return result, problems


def draws_of_runs(store: AnyStore, runs: Sequence[Run]) -> tuple[Draws, list[Problem]]:
    """AUC of runs of one comparison group with joint draws; see `statistics`."""
    result, problems = statistics(store, runs)
    return {key: one.auc for key, one in result.items()}, problems


def _computed(
    parts: Sequence[Predictions], block: int, budget: int, aucs: Sequence[Resampled] | None = None
) -> dict[str, NDArray[Any]]:
    """Statistics of models on the same units, a row for each; their AUCs may be known."""
    first, scores = parts[0], [part.score for part in parts]
    blocks = first.blocks(block)
    aucs = auc_draws(first.y, scores, blocks=blocks) if aucs is None else aucs
    precisions = precision_draws(first.y, scores, alarms=budget, blocks=blocks)
    pieces = min(MOST_BLOCKS, blocks.items // blocks.length // 2 * 2)
    counts, won = (np.empty(0), np.empty(0)), [np.empty((0, 0)) for _ in scores]
    if pieces >= 4:
        piece = blocks.pieces(pieces)
        counts = class_counts(first.y, piece)
        won = in_threads(lambda score: auc_counts(first.y, score, piece), scores)
    return {
        "auc": np.array([np.append(one.value, one.draws) for one in aucs]),
        "precision": np.array([np.append(one.value, one.draws) for one in precisions]),
        "won": np.array(won),
        "classes": np.repeat(np.array(counts, np.float64)[None], len(parts), 0),
        "sizes": np.array(
            [
                [
                    a.n,
                    a.freedom,
                    a.error,
                    p.n,
                    p.freedom,
                    p.error,
                    p.dependence.effect,
                    p.dependence.blocks,
                ]
                for a, p in zip(aucs, precisions, strict=True)
            ]
        ),
    }


def _joined(
    known: dict[str, NDArray[Any]], fresh: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    if not known:
        return fresh
    return {name: np.concatenate([known[name], rows]) for name, rows in fresh.items()}


def _row(known: dict[str, NDArray[Any]], row: int) -> Statistics:
    n, freedom, error, alarms, of_alarms, widened, *depends = known["sizes"][row].tolist()
    auc, precision = known["auc"][row], known["precision"][row]
    return Statistics(
        Resampled(float(auc[0]), auc[1:], int(n), freedom, error),
        Resampled(
            float(precision[0]),
            precision[1:],
            int(alarms),
            of_alarms,
            widened,
            Dependence(*depends),
        ),
        known["won"][row],
        *known["classes"][row],
    )


def ranking_alike(known: Mapping[str, Statistics], reference: Run | None) -> set[str]:
    """Keys of the runs that rank all units as a reference does."""
    if reference is None or reference.key not in known:
        return set()
    same = known[reference.key]
    return {
        key
        for key, one in known.items()
        if one.auc.value == same.auc.value
        and np.array_equal(one.auc.draws, same.auc.draws)
        and np.array_equal(one.won, same.won)
    }


def differences(draws: Draws, runs: Sequence[Run], baselines: Sequence[Run]) -> dict[str, Contrast]:
    """AUC of each run minus that of the best of some baselines on the same units, by key."""
    others = [draws[run.key] for run in baselines if run.key in draws]
    keys = [run.key for run in runs if run.key in draws]
    if not others or not keys:
        return {}
    confidence = baselines[0].estimands.confidence
    result = against_best([draws[key] for key in keys], others, confidence)
    return dict(zip(keys, result, strict=True))
