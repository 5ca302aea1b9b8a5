"""What a search came to, as it is shown when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from optuna.trial import FrozenTrial

from trueness.document import Column, Document, Items, Part, Section, Sentence, Table
from trueness.document.numbers import count, plural, short
from trueness.evaluation.intervals import Estimate
from trueness.judge.judgement import SCHEMA
from trueness.search.studies import Opened
from trueness.search.trainer import Objective, Trainer
from trueness.search.trials import Outcome
from trueness.store import Store

TITLES = {"macro_f1": "macro-F1", "mean_group": "mean of\nlanguages",
          "worst_group": "worst\nlanguage"}  # fmt: skip
"""Headings of estimates whose name is none."""
MOST_BEST = 5
"""Trials of the front of two objectives that are shown."""
ENDS = {
    "exhausted": "The space is exhausted: nothing in it is left untested.",
    "flat": "Stopped early: the last trials did not beat the best by its standard error.",
}
"""Why a search ended before it had all of its trials."""


@dataclass(frozen=True)
class BestTrial:
    """A trial that no other beats, with what it measured."""

    number: int
    key: str
    label: str
    parameters: int
    values: list[float]
    forced: str | None
    params: dict[str, Any]
    estimates: dict[str, Estimate]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        estimates = {name: e.to_dict() for name, e in self.estimates.items()}
        return {**vars(self), "estimates": estimates}


@dataclass(frozen=True)
class SearchSummary:
    """Counts of a call and of its study, the best trials, and what analyses them.

    `sizes` are the parameters of every trial, `reused` trials that the store held already.
    """

    study: str
    outcome: Outcome
    reused: int
    trials: int
    distinct: int
    sizes: Sequence[int]
    objective: str
    best: Sequence[BestTrial]
    command: str

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        ends = [min(self.sizes), max(self.sizes)] if any(self.sizes) else None
        return {
            "schema": SCHEMA, "kind": "search", "study": self.study, **vars(self.outcome),
            "reused": self.reused, "trials": self.trials, "distinct": self.distinct,
            "parameters": ends, "objective": self.objective,
            "best": [one.to_dict() for one in self.best],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per best trial."""
        rows = []
        for one in self.best:
            row = {"number": one.number, "key": one.key, "label": one.label,
                   "parameters": one.parameters, **one.params}  # fmt: skip
            for name, e in one.estimates.items():
                row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
            rows.append(row)
        return pl.DataFrame(rows, infer_schema_length=None)

    def document(self) -> Document:
        """How much was tried, the best of it, and what to do next."""
        parts: list[Part] = [Sentence(self._trials(), "verdict"), Items(self._call())]
        if self.best:
            parts += [_table(self.best), Sentence(
                f"The best of {count(self.trials)} is optimistically biased: `trueness search "
                "promote` measures it with new seeds.", "note",
            )]  # fmt: skip
        ended = [text for flag, text in ENDS.items() if getattr(self.outcome, flag)]
        parts += [Sentence(text, "note") for text in ended]
        parts.append(Section("To analyse it", [Items([f"`{self.command}`"])]))
        return Document(f"Search {self.study}", parts)

    def _trials(self) -> str:
        distinct = plural(self.distinct, "distinct specification")
        ends = (min(self.sizes), max(self.sizes)) if any(self.sizes) else ()
        sizes = [short(size) for size in ends]
        span = f", {' to '.join(dict.fromkeys(sizes))} parameters" if sizes else ""
        return f"{plural(self.trials, 'trial')}, {distinct}{span}."

    def _call(self) -> list[str]:
        one = self.outcome
        counts = {
            "done": one.done, "failed": one.failed, "pruned": one.pruned,
            "duplicates avoided": one.saved, "invalid suggestions replaced": one.invalid,
            "reused from the store": self.reused,
        }  # fmt: skip
        return ["This call: " + ", ".join(f"{count(n)} {what}" for what, n in counts.items())]


def _table(best: Sequence[BestTrial]) -> Table:
    names = list(best[0].estimates)
    columns = [
        Column("trial", "count", 9), Column("model", weight=7), Column("run", "code", 5),
        Column("weights", "short", 6),
        *(Column(TITLES.get(name, name), "share" if "@" in name else "estimate", 8)
          for name in names),
    ]  # fmt: skip
    rows = [
        (one.number, one.label, one.key, one.parameters or None, *one.estimates.values())
        for one in best
    ]
    return Table(
        columns, rows, f"Best of {plural(len(best), 'trial')}" if len(best) > 1 else "Best"
    )


def summary_of(
    name: str, study: Opened, trainer: Trainer, outcome: Outcome, store: Store, command: str
) -> SearchSummary:
    """What a study of some name came to; `command` analyses it."""
    done = study.completed()
    return SearchSummary(
        name, outcome, trainer.reused, len(done), len({t.user_attrs["key"] for t in done}),
        [t.user_attrs["run"]["parameters"] for t in done],
        study.study.user_attrs["made"]["objective"],
        [_best(trial, store, trainer.objective) for trial in study.best()[:MOST_BEST]], command,
    )  # fmt: skip


def _best(trial: FrozenTrial, store: Store, objective: Objective) -> BestTrial:
    facts = trial.user_attrs["run"]
    run = store.run(facts["keys"][0])
    estimates = objective.shown(run)
    return BestTrial(
        trial.number, run.key, facts["label"], facts["parameters"], trial.values or [],
        trial.user_attrs.get("forced"), trial.params, estimates,
    )  # fmt: skip
