"""Several runs on the same units: every pair, corrected for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from trueness.document import Cell, Column, Part, Section, Table
from trueness.document.numbers import level, plural
from trueness.evaluation.joint_draws import auc_draws, precision_draws
from trueness.evaluation.resampling import Resampled, mean_difference
from trueness.evaluation.selection import simultaneous_contrasts
from trueness.judge.compare import Named
from trueness.judge.comparison import measured_part
from trueness.judge.languages import draws_of
from trueness.judge.languages_words import verdict_word
from trueness.store import AnyStore


def pairwise(store: AnyStore, runs: Sequence[Named]) -> Section:
    """Differences of every two of some runs, first minus second, on the same resamples.

    The measures are those of `trueness.judge.compare.compare`. The intervals of a table hold for
    all its pairs at once: the largest standardised difference of a resample gives the critical
    value. Tukey, "The problem of multiple comparisons" (1953).

    Parameters
    ----------
    store : Store or MemoryStore
        Its index keeps draws of classes.
    runs : sequence of Named
        Of one comparison group.
    """
    classes = runs[0].run.estimands.kind == "classes"
    drawn = _of_classes(store, runs) if classes else _of_an_event(runs)
    confidence = runs[0].run.estimands.confidence
    parts: list[Part] = [_table(name, runs, one, confidence) for name, one in drawn.items()]
    return Section("Every two of them", parts)


def _of_an_event(runs: Sequence[Named]) -> dict[str, list[Resampled]]:
    parts, rule = [measured_part(one.run) for one in runs], runs[0].run.estimands
    y, scores = parts[0].y, [part.score for part in parts]
    blocks, budget = parts[0].blocks(rule.block), min(rule.budget, len(parts[0]))
    return {
        "AUC": auc_draws(y, scores, blocks=blocks),
        f"precision@{budget}": precision_draws(y, scores, alarms=budget, blocks=blocks),
    }


def _of_classes(store: AnyStore, runs: Sequence[Named]) -> dict[str, list[Resampled]]:
    result = draws_of([one.run for one in runs], runs[0].run.estimands.measured_on, store)
    headline = runs[0].run.estimands.headline
    known = [result.draws[one.run.key].summaries for one in runs]
    names = dict.fromkeys(name for name in (headline, "macro_f1") if name in known[0])
    return {name: [one[name] for one in known] for name in names}


def _table(
    name: str, runs: Sequence[Named], drawn: Sequence[Resampled], confidence: float
) -> Table:
    pairs = list(combinations(range(len(runs)), 2))
    result = simultaneous_contrasts(
        [mean_difference([drawn[i]], [drawn[j]]) for i, j in pairs], confidence
    )
    columns = [Column("first", "text", 9), Column("second", "text", 9),
               Column("difference", "difference", 8), Column("adjusted", "difference", 7),
               Column("verdict", "text", 9)]  # fmt: skip
    rows: list[list[Cell]] = [
        [runs[i].name, runs[j].name, one.pointwise, one.simultaneous, verdict_word(one)]
        for (i, j), one in zip(pairs, result, strict=True)
    ]
    note = (
        f"First minus second. Adjusted intervals and verdicts hold for all "
        f"{plural(len(pairs), 'pair')} together, with {level(confidence)} confidence."
    )
    return Table(columns, rows, f"Differences of {name}", note)
