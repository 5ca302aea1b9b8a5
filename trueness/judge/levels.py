"""Classes that are paths, level by level: macro-F1 and the share that is right, of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy.special import log_softmax, logsumexp

from trueness.document import Cell, Column, Section, Table
from trueness.document.numbers import plural
from trueness.evaluation.clusters import clustered_shares
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.levels import Level, levels_of
from trueness.judge.languages import slices_of
from trueness.judge.languages_words import Words
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.store import Run

SCORES = ("macro_f1", "mean_group", "worst_group")
"""Estimates of a level that are kept and shown."""


def measured_levels(
    predictions: Predictions, rule: Estimands, joiner: str | None
) -> dict[str, list[dict[str, Any]]]:
    """What a record says of each level above the leaves, and of the leaves first.

    Parameters
    ----------
    predictions : Predictions
        Of K classes.
    rule : Estimands
    joiner : str or None
        Between the levels of a class; without one classes are names, and nothing is said.

    Returns
    -------
    dict
        Part -> a dict for each level with ``depth``, ``classes`` (how many), ``scores`` and
        ``right``, the share of texts whose class at this level is right.
    """
    levels = levels_of(predictions.classes, joiner)
    if not levels:
        return {}
    deepest = max(name.count(joiner or "") + 1 for name in predictions.classes)
    parts = {name: predictions.part(name) for name in rule.judged_on if predictions.has(name)}
    return {
        name: [
            _measured(part, rule, name, deepest),
            *(_measured(at_level(part, level), rule, name, level.depth) for level in levels),
        ]
        for name, part in parts.items()
    }


def at_level(predictions: Predictions, level: Level) -> Predictions:
    """The same units with the classes of a level; probabilities of parents are sums."""
    logs = log_softmax(predictions.scores.astype(np.float64), axis=1)
    sums = np.stack([logsumexp(logs[:, level.of == p], axis=1)
                     for p in range(len(level.classes))], axis=1)  # fmt: skip
    frame = predictions.frame.with_columns(
        y=pl.Series(level.of[predictions.y].astype(np.int16)),
        scores=pl.Series(sums.astype(np.float32), dtype=pl.Array(pl.Float32, sums.shape[1])),
    )
    return Predictions(frame, predictions.scale, level.classes)


def _measured(part: Predictions, rule: Estimands, name: str, depth: int) -> dict[str, Any]:
    scores = slices_of(part, rule, name).scores
    hit, one = part.scores.argmax(axis=1) == part.y, np.zeros(len(part), np.int64)
    (k,), (n,), (low,), (high,) = clustered_shares(hit, one, part.blocks().item, 1, rule.confidence)
    right = Estimate(
        float(k / n), float(low), float(high), int(n), int(k),
        chosen_on=rule.chosen_on, measured_on=name,
    )  # fmt: skip
    return {
        "depth": depth, "classes": len(part.classes), "right": right.to_dict(),
        "scores": {which: scores[which].to_dict() for which in SCORES if which in scores},
    }  # fmt: skip


def levels_section(runs: Mapping[str, Run[Any]], part: str, words: Words) -> list[Section]:
    """A row per run and level; nothing where classes are names."""
    rows: list[list[Cell]] = []
    for name, run in runs.items():
        for one in run.record.get("levels", {}).get(part, []):
            read = {which: Estimate.from_dict(e) for which, e in one["scores"].items()}
            rows.append([
                name, f"{one['depth']} · {plural(one['classes'], 'class', 'classes')}",
                *(read.get(which) for which in SCORES), Estimate.from_dict(one["right"]),
            ])  # fmt: skip
    if not rows:
        return []
    columns = [
        Column("method", "text", 9), Column("level", "text", 8), Column("macro-F1", "estimate", 7),
        Column(f"mean of\n{words.groups}", "estimate", 4),
        Column(f"worst\n{words.group}", "estimate", 5), Column("right", "share", 6),
    ]  # fmt: skip
    note = (
        "A parent's probability is the sum of its leaves'; right: the class of this level that is "
        "the likeliest one."
    )
    return [Section("Levels of the classes", [Table(columns, rows, note=note)])]
