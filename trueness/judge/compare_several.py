"""Several runs on the same units: every pair, corrected for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from trueness.document import Cell, Column, Document, Part, Section, Table
from trueness.document.numbers import level, plural
from trueness.errors import TruenessError
from trueness.evaluation.joint_draws import auc_draws, precision_draws
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import Resampled, mean_difference
from trueness.evaluation.selection import Contrast, simultaneous_contrasts
from trueness.judge.compare import ClassComparison, Comparison, Named, compare
from trueness.judge.comparison import measured_part
from trueness.judge.finding import named_run
from trueness.judge.group import Group
from trueness.judge.judgement import SCHEMA
from trueness.judge.languages import draws_of
from trueness.judge.languages_words import verdict_word
from trueness.judge.leaderboard import leaderboard
from trueness.store import AnyStore

MOST = 6
"""Runs that are compared at once."""


@dataclass(frozen=True)
class PairOfRuns:
    """First minus second in one measure; the adjusted interval holds for all pairs at once."""

    first: Named
    second: Named
    contrast: Contrast

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"first": self.first.run.key, "second": self.second.run.key,
                **self.contrast.to_dict()}  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """Alarms at the largest budget that both of two runs raise, and that either does."""

    first: Named
    second: Named
    both: int
    either: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"first": self.first.run.key, "second": self.second.run.key, "both": self.both,
                "either": self.either}  # fmt: skip


@dataclass(frozen=True)
class SeveralCompared:
    """Three to six runs on the same units.

    Attributes
    ----------
    group : Group
        The leaderboard of exactly these.
    runs : list of Named
        In its order.
    pairs : dict of str to list of PairOfRuns
        By measure.
    agreement : list of Agreement
        Of every two in both orders and of each with itself; none of K classes.
    budget : int
        Alarms that each may raise.
    """

    group: Group
    runs: list[Named]
    pairs: dict[str, list[PairOfRuns]]
    agreement: list[Agreement]
    budget: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "several_compared", "part": self.group.part,
            "n": self.group.n, "confidence": self.group.rule.confidence, "budget": self.budget,
            "runs": [one.to_dict() for one in self.runs],
            "measures": {name: [one.to_dict() for one in some]
                         for name, some in self.pairs.items()},
            "agreement": [one.to_dict() for one in self.agreement],
            "group": self.group.to_dict(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per measure and pair."""
        rows = [
            {"measure": name, "first": one.first.name, "second": one.second.name,
             "difference": one.contrast.pointwise.value, "low": one.contrast.simultaneous.low,
             "high": one.contrast.simultaneous.high, "verdict": one.contrast.verdict}
            for name, some in self.pairs.items() for one in some
        ]  # fmt: skip
        return pl.from_dicts(rows, infer_schema_length=None)

    def document(self) -> Document:
        """What to show."""
        from trueness.judge.compare_document import several_document

        return several_document(self)


def compare_runs(
    store: AnyStore, wanted: Sequence[str], *, part: str | None = None, opened: bool = False,
    access: tuple[str, str] | None = None,
) -> Comparison | ClassComparison | SeveralCompared:  # fmt: skip
    """Compare two to six runs on the same units.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : sequence of str
        Ids, keys or beginnings of keys.
    part, opened
        See `trueness.judge.compare.compare`; more than two runs are compared on the part that they
        are measured on.
    access : tuple of str, optional
        Verb and question for the ledger.

    Raises
    ------
    TruenessError
        With the code ``which_runs`` unless there are two to six, ``same_run`` for one that is named
        twice, ``other_units`` if they were measured on other units, ``which_part`` for a part of
        more than two.
    """
    if not 2 <= len(wanted) <= MOST:
        raise TruenessError(f"{plural(len(wanted), 'run')} to compare; give two to {MOST}",
                            "which_runs")  # fmt: skip
    if len(wanted) == 2:
        return compare(store, *wanted, part=part, opened=opened, access=access)
    if part is not None:
        raise TruenessError("more than two runs are compared on the part that they are measured "
                            "on; leave --on and --open-test out", "which_part")  # fmt: skip
    runs = {run.key: run for run in (named_run(store, one)[1] for one in wanted)}
    if len(runs) < len(wanted):
        raise TruenessError("two of the names stand for one run; give each once", "same_run")
    if len({run.record["comparison_group"] for run in runs.values()}) > 1:
        raise TruenessError("these runs were measured on other units; compare two of them",
                            "other_units")  # fmt: skip
    (group,) = leaderboard(store, keys=set(runs), access=access).groups
    named = [Named(model.name, model.run) for model in group.models]
    pairs = pairs_of(store, named)
    if group.classes is not None:
        return SeveralCompared(group, named, pairs, [], 0)
    budget = min(group.rule.budget, group.n)
    return SeveralCompared(group, named, pairs, _agreement(named, budget), budget)


def _agreement(runs: Sequence[Named], budget: int) -> list[Agreement]:
    """How many of the alarms at the largest budget two runs have in common."""
    parts = [measured_part(one.run) for one in runs]
    raised = [part.score > alarm_cut(part.score, budget) for part in parts]
    return [
        Agreement(one, other, int(np.sum(a & b)), int(np.sum(a | b)))
        for one, a in zip(runs, raised, strict=True)
        for other, b in zip(runs, raised, strict=True)
    ]


def pairs_of(store: AnyStore, runs: Sequence[Named]) -> dict[str, list[PairOfRuns]]:
    """Differences of every two of some runs, first minus second, on the same resamples, by measure.

    The measures are those of `trueness.judge.compare.compare`. The intervals of a measure hold for
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
    return {name: _pairs(runs, one, confidence) for name, one in drawn.items()}


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


def _pairs(
    runs: Sequence[Named], drawn: Sequence[Resampled], confidence: float
) -> list[PairOfRuns]:
    pairs = list(combinations(range(len(runs)), 2))
    result = simultaneous_contrasts(
        [mean_difference([drawn[i]], [drawn[j]]) for i, j in pairs], confidence
    )
    return [PairOfRuns(runs[i], runs[j], one) for (i, j), one in zip(pairs, result, strict=True)]


def pairs_section(pairs: dict[str, list[PairOfRuns]], confidence: float) -> Section:
    """Every pair, a table per measure."""
    parts: list[Part] = [_table(name, some, confidence) for name, some in pairs.items()]
    return Section("Every two of them", parts)


def _table(name: str, pairs: Sequence[PairOfRuns], confidence: float) -> Table:
    columns = [Column("first", "text", 9), Column("second", "text", 9),
               Column("difference", "difference", 8), Column("adjusted", "difference", 7),
               Column("verdict", "text", 9)]  # fmt: skip
    rows: list[list[Cell]] = [
        [one.first.name, one.second.name, one.contrast.pointwise, one.contrast.simultaneous,
         verdict_word(one.contrast)]
        for one in pairs
    ]  # fmt: skip
    note = (
        f"First minus second. Adjusted intervals and verdicts hold for all "
        f"{plural(len(pairs), 'pair')} together, with {level(confidence)} confidence."
    )
    return Table(columns, rows, f"Differences of {name}", note)
