"""Thresholds of stored runs: sweeps, and the best ones under a demand, chosen here or elsewhere.

A threshold chosen on the units that measure it looks better than it is. Beside it stands the same
demand met out of sample: on the validation part for the test part, and inside each fold, on what
was held back from training, for the units predicted out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from trueness.document import Document
from trueness.errors import TruenessError
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.thresholds import (
    ALARM_RATES_PCT,
    PROBABILITIES,
    Sweep,
    Threshold,
    threshold_sweep,
)
from trueness.judge.access import record_access
from trueness.judge.comparison import best_baseline
from trueness.judge.demands import Choice, Demand, Rule
from trueness.judge.finding import ids_by_key
from trueness.judge.judgement import SCHEMA
from trueness.judge.parts import (
    check_binary,
    check_part,
    check_probabilities,
    earlier_name,
    earlier_part,
    ledger_sentences,
    unrecorded_notes,
)
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run

Grid: TypeAlias = Literal["scores", "rates", "probabilities"]


@dataclass(frozen=True)
class RunThresholds:
    """The sweep of one run on one part, and its choices; `name` are its ids, or its key.

    `is_baseline` says that it is there for comparison only, as the best baseline.
    """

    run: Run
    name: str
    part: Predictions
    measured_on: str
    sweep: Sweep
    choices: tuple[Choice, ...]
    is_baseline: bool = False

    @property
    def base_rate(self) -> Estimate:
        """Share of positives."""
        y, blocks = self.part.y, self.part.blocks(self.run.estimands.block)
        depends = of_share(y, np.ones(len(y), bool), blocks)
        return depends.estimate(self.sweep.positives, self.sweep.n, self.sweep.confidence)

    @property
    def probabilities(self) -> bool:
        """Whether scores are log-odds."""
        return self.run.estimands.probabilities

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        rows = [threshold.to_dict() for threshold in self.sweep]
        if not self.probabilities:
            rows = [{n: v for n, v in row.items() if n != "probability"} for row in rows]
        return {
            "key": self.run.key,
            "name": self.name,
            "label": self.run.record["label"],
            "baseline": self.run.spec.is_baseline,
            "measured_on": self.measured_on,
            "n": self.sweep.n,
            "positives": self.sweep.positives,
            "choices": [choice.to_dict(self.probabilities) for choice in self.choices],
            "thresholds": rows,
        }

    def to_frame(self) -> pl.DataFrame:
        """One row per threshold of the sweep."""
        table = pl.DataFrame(self.sweep.columns())
        if not self.probabilities:
            table = table.drop("probability")
        facts = {"key": self.run.key, "name": self.name, "measured_on": self.measured_on}
        return table.select(*(pl.lit(v).alias(n) for n, v in facts.items()), pl.all())


@dataclass(frozen=True)
class Thresholds:
    """Sweeps and choices of some runs, those that stand beside them for comparison last.

    Attributes
    ----------
    runs : tuple of RunThresholds
    campaign : str
        Whose runs were asked for; empty if they were named.
    ledger : tuple of str
        How often the data were evaluated.
    notes : tuple of str
        Runs without any threshold, an access that could not be recorded.
    """

    runs: tuple[RunThresholds, ...]
    campaign: str = ""
    ledger: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> list[RunThresholds]:
        """Those that were asked for."""
        return [one for one in self.runs if not one.is_baseline]

    @property
    def demands(self) -> list[Demand]:
        """What was demanded, in order."""
        return list(dict.fromkeys(choice.demand for choice in self.runs[0].choices))

    def to_dict(self) -> dict[str, Any]:
        """Plain types: ``runs`` with ``choices`` and ``thresholds``, ``ledger``, ``notes``."""
        return {
            "schema": SCHEMA,
            "kind": "thresholds",
            "runs": [one.to_dict() for one in self.runs],
            "ledger": list(self.ledger),
            "notes": list(self.notes),
        }

    def to_frame(self) -> pl.DataFrame:
        """The sweeps, one row per run and threshold."""
        return pl.concat([one.to_frame() for one in self.runs], how="diagonal")

    def document(self) -> Document:
        """Choices, curves and the sweep."""
        from trueness.judge.thresholds_document import document

        return document(self)


def judge_thresholds(
    store: AnyStore, runs: Mapping[str, Run], demands: Sequence[Demand], *,
    grid: Grid = "scores", on: str | None = None, opened: bool = False, campaign: str = "",
) -> Thresholds:  # fmt: skip
    """Thresholds of some runs of a store, and of the best baseline on the same units.

    The access is recorded first. On a sealed part no baseline is added: it was not asked for.

    Parameters
    ----------
    store : Store or MemoryStore
    runs : mapping of str to Run
        By name.
    demands : sequence of Demand
    grid : {"scores", "rates", "probabilities"}
        All distinct scores, alarm rates, or fixed probabilities.
    on : str, optional
        Part; the one that each run is measured on without it.
    opened : bool
        Whether a sealed part was asked for on purpose.
    campaign : str
        Whose runs they are, for the heading.

    Raises
    ------
    TruenessError
        If runs are about classes, have no such part or fewer than two positives there, if the part
        is sealed, or if all scores of all runs are tied and alarm rates are asked for.
    """
    for run in runs.values():
        check_binary(run, "thresholds are")
    baselines = {} if _sealed(runs, on) else _best_baselines(store, list(runs.values()))
    every = [(name, run, False) for name, run in runs.items()]
    every += [(name, run, True) for name, run in baselines.items()]
    for _, run, _ in every:
        check_part(run, run.predictions(), on or run.estimands.measured_on)
    unrecorded = record_access(
        store, [run for _, run, _ in every], "thresholds", "sweep", part=on, opened=opened
    )
    swept = [
        thresholds_of(run, demands, on, grid, name, is_baseline) for name, run, is_baseline in every
    ]
    kept, notes = _with_thresholds(swept)
    ledger = ledger_sentences(store, [run for _, run, _ in every])
    return Thresholds(tuple(kept), campaign, tuple(ledger), (*notes, *unrecorded_notes(unrecorded)))


def _sealed(runs: Mapping[str, Run], on: str | None) -> bool:
    return any(on in run.estimands.sealed for run in runs.values())


def _best_baselines(store: AnyStore, runs: Sequence[Run]) -> dict[str, Run]:
    """Best baseline of the comparison group of each of some runs, unless it is one of them."""
    groups = {run.record["comparison_group"] for run in runs if not run.spec.is_baseline}
    every: dict[str, list[Run]] = {group: [] for group in groups}
    for run in store.all_runs()[0]:
        if run.record["comparison_group"] in groups:
            every[run.record["comparison_group"]].append(run)
    keys, ids = {run.key for run in runs}, ids_by_key(store)
    result = [one for one in map(best_baseline, every.values()) if one and one.key not in keys]
    return {
        f"best baseline {' = '.join(ids.get(run.key, [])) or run.key}": run
        for run in sorted(result, key=lambda r: r.key)
    }


def _with_thresholds(swept: list[RunThresholds]) -> tuple[list[RunThresholds], list[str]]:
    """Those with any threshold; a rate of alarms has none where all scores are tied."""
    words = "all scores are tied, so no alarm rate has a threshold"
    tied = [one.name for one in swept if not len(one.sweep)]
    if not any(len(one.sweep) for one in swept if not one.is_baseline):
        raise TruenessError(
            f"{', '.join(tied[:3])}: {words}; take --grid scores or probabilities", "tied"
        )
    return [one for one in swept if len(one.sweep)], [f"{name}: {words}" for name in tied]


def thresholds_of(
    run: Run, demands: Sequence[Demand], on: str | None = None, grid: Grid = "scores",
    name: str = "", is_baseline: bool = False,
) -> RunThresholds:  # fmt: skip
    """Sweep one part of a stored run and choose a threshold for every demand.

    A sealed part is for those only who have recorded the access.

    Parameters
    ----------
    run : Run
    demands : sequence of Demand
    on : str, optional
        Part; the one it is measured on without it.
    grid : {"scores", "rates", "probabilities"}
    name : str
        Its key by default.
    is_baseline : bool
        See `RunThresholds`.

    Raises
    ------
    TruenessError
        If the run has no such part, fewer than two positives there, or no probabilities and a grid
        of them is asked for.
    """
    rule, predictions = run.estimands, run.predictions()
    measured_on = on or rule.measured_on
    check_part(run, predictions, measured_on)
    if grid == "probabilities":
        check_probabilities(run, "it has no probabilities to sweep over")
    part, earlier = predictions.part(measured_on), earlier_part(predictions, measured_on)
    sweep = _sweep(
        part.y, part.score, grid, time=part.time, blocks=part.blocks(rule.block),
        confidence=rule.confidence,
        chosen_on=rule.chosen_on, measured_on=measured_on,
    )  # fmt: skip
    choices: list[Choice] = []
    for demand in demands:
        choices += [
            _chosen(sweep, demand, "in-sample", demand.best(sweep)),
            _chosen(sweep, demand, "in-sample, lower bound", demand.best(sweep, conservative=True)),
        ]
        if earlier is not None:
            choices.append(_carried(sweep, earlier, part, demand, grid, rule.block))
    return RunThresholds(
        run, name or run.key, part, measured_on, sweep, tuple(choices), is_baseline
    )


def _sweep(y: ArrayLike, score: ArrayLike, grid: Grid, **options: Any) -> Sweep:  # noqa: ANN401
    return threshold_sweep(
        y, score, grid=PROBABILITIES if grid == "probabilities" else None,
        rates_pct=ALARM_RATES_PCT if grid == "rates" else None, input="score", **options,
    )  # fmt: skip


def _chosen(sweep: Sweep, demand: Demand, rule: Rule, best: Threshold | None) -> Choice:
    """On the measured units: the best of all thresholds of the sweep."""
    if best is None:
        return Choice(demand, rule)
    return Choice(
        demand, rule, (best.cut,), best.precision.with_candidates(len(sweep)),
        best.recall.with_candidates(len(sweep)), best.alarms_per_year,
    )  # fmt: skip


def _carried(
    sweep: Sweep, earlier: Predictions, part: Predictions, demand: Demand, grid: Grid, block: int
) -> Choice:
    """Chosen on other units of each fold; folds in which nothing meets the demand do not alarm."""
    raised, thresholds = np.zeros(len(part), bool), []
    for fold in np.unique(part.fold):
        before, now = earlier.fold == fold, part.fold == fold
        if earlier.y[before].sum() < 2:
            continue
        options = _sweep(earlier.y[before], earlier.score[before], grid)
        best = demand.scaled(before.sum() / len(part)).best(options)
        if best is not None:
            raised |= now & (part.score >= best.cut)
            thresholds.append(best.cut)
    if not thresholds:
        return Choice(demand, "out-of-sample")
    blocks, positive = part.blocks(block), part.y.view(np.bool_)
    parts = {
        "chosen_on": earlier_name(sweep.measured_on),
        "measured_on": sweep.measured_on,
    }
    residuals = Residuals.of(SortedScores.of(part.y, part.score), blocks)
    precision = residuals.share(part.y, raised, sweep.confidence)
    recall = of_share(raised, positive, blocks).estimate(
        int((raised & positive).sum()), sweep.positives, sweep.confidence, **parts
    )
    return Choice(
        demand, "out-of-sample", tuple(thresholds), replace(precision, **parts), recall,
        None if sweep.years is None else int(raised.sum()) / sweep.years,
    )  # fmt: skip
