"""Published results beside the runs of this store: counts, intervals, and what chance would give.

A published precision without its counts cannot be judged; one with them has an exact interval, and
the best of many has to be compared with the expected maximum of equally good models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import binom

from trueness.document import Document
from trueness.evaluation.intervals import Estimate, replicated_proportion
from trueness.evaluation.resampling import mean_of
from trueness.evaluation.shrinkage import Shrunk, shrink
from trueness.judge.access import record_access
from trueness.judge.comparison import draws_of_runs
from trueness.judge.judgement import SCHEMA
from trueness.judge.published.reading import ROUNDING, PublishedResult
from trueness.store import AnyStore, Run

MEASURED = {"precision": "precision@0.5", "recall": "recall@0.5", "auc": "auc"}
"""Published measure -> estimate of a stored run; published precisions are those at 0.5."""
MIN_ALARMS = 5
ALPHA = 0.05
STEPS = 1000
"""Of the integral that gives an expected maximum."""


def _within(value: float, estimate: Estimate) -> bool:
    """Whether a published value, rounded to three decimals at the least, lies in an interval."""
    low, high = estimate.low or 0.0, 1.0 if estimate.high is None else estimate.high
    return low - ROUNDING <= value <= high + ROUNDING


@dataclass(frozen=True)
class ComparedResult:
    """A published experiment, the stored runs of its id, and where the two disagree.

    `shrunk` is the published precision drawn towards that of all experiments with counts.
    """

    published: PublishedResult
    runs: list[Run]
    measured: dict[str, Estimate]
    shrunk: Estimate | None

    @property
    def outside(self) -> list[str]:
        """Measures whose published value lies outside of the measured interval."""
        return [
            name for name, value in self.compared.items()
            if not _within(value, self.measured[name])
        ]  # fmt: skip

    @property
    def compared(self) -> dict[str, float]:
        """Measures that are both published and measured, with the published value."""
        published = {name: getattr(self.published, name) for name in self.measured}
        return {
            name: published[name].value for name, e in self.measured.items()
            if published[name] is not None and published[name].value is not None
            and None not in (e.value, e.low, e.high)
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        one, alarms = self.published, self.published.alarms
        return {
            "id": one.id, "line": one.line, "published": one.values,
            "published_precision": None if alarms is None else alarms.to_dict(),
            "shrunk_precision": None if self.shrunk is None else self.shrunk.to_dict(),
            "runs": [run.key for run in self.runs],
            "measured": {name: e.to_dict() for name, e in self.measured.items()},
            "outside": self.outside,
        }  # fmt: skip

    def to_row(self) -> dict[str, Any]:
        """Flat, a column per number."""
        one, named = self.published, {"shrunk_precision": self.shrunk}
        for name in MEASURED:
            named |= {f"published_{name}": getattr(one, name)}
            named |= {f"measured_{name}": self.measured.get(name)}
        numbers = {
            f"{name}{'' if field == 'value' else '_' + field}": e and getattr(e, field)
            for name, e in named.items() for field in ("value", "low", "high", "k", "n")
        }  # fmt: skip
        return {"id": one.id, **numbers, "runs": len(self.runs), "outside": " ".join(self.outside)}


@dataclass(frozen=True)
class ExpectedMaximum:
    """The best published precision beside the maximum that equally good models would show.

    Attributes
    ----------
    best : PublishedResult
    pooled : Estimate
        Hits of alarms over all experiments with counts: the null.
    n_candidates : int
        Experiments with at least `MIN_ALARMS` alarms.
    value : float
        Expected maximum of their precisions under the null.
    p : float
        Probability of a maximum at least as good as the best published one.
    """

    best: PublishedResult
    pooled: Estimate
    n_candidates: int
    value: float
    p: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether equally good models would show as much in fewer than 5 of 100 cases."""
        return self.p <= ALPHA

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        alarms = self.best.alarms
        return {
            "best": self.best.id, "precision": alarms.to_dict() if alarms else None,
            "pooled_precision": self.pooled.to_dict(), "n_candidates": self.n_candidates,
            "min_alarms": MIN_ALARMS, "value": self.value, "p": self.p,
            "distinguishable": self.is_distinguishable,
        }  # fmt: skip


@dataclass(frozen=True)
class PublishedComparison:
    """All published experiments of a file beside what this store measured."""

    source: str
    campaign: str
    rows: list[ComparedResult]
    expected_maximum: ExpectedMaximum | None
    shrunk: Shrunk | None
    notes: list[str]

    def counts(self) -> dict[str, int]:
        """How many are published, with counts, measured, and outside of the measured interval."""
        facts = {
            "published": len(self.rows),
            "with_counts": sum(r.published.alarms is not None for r in self.rows),
            "measured": sum(bool(r.runs) for r in self.rows),
            "outside": sum(bool(r.outside) for r in self.rows),
        }
        for name in MEASURED:
            facts[f"{name}_compared"] = sum(name in r.compared for r in self.rows)
            facts[f"{name}_outside"] = sum(name in r.outside for r in self.rows)
        return facts

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        best = self.expected_maximum
        return {
            "schema": SCHEMA, "kind": "published_comparison", "file": self.source,
            "campaign": self.campaign, "summary": self.counts(), "notes": self.notes,
            "expected_maximum": None if best is None else best.to_dict(),
            "common_precision": None if self.shrunk is None else self.shrunk.pooled.to_dict(),
            "between_model_sd": None if self.shrunk is None else self.shrunk.deviation,
            "experiments": [row.to_dict() for row in self.rows],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row for each published experiment."""
        return pl.DataFrame([row.to_row() for row in self.rows], infer_schema_length=None)

    def document(self) -> Document:
        """What the comparison amounts to, a forest plot, and every experiment."""
        from trueness.judge.published.showing import published_document

        return published_document(self)


def compare_published(
    rows: Iterable[PublishedResult], store: AnyStore, campaign: str, source: str = "", *,
    access: tuple[str, str] | None = None,
) -> PublishedComparison:  # fmt: skip
    """Set published experiments beside the stored runs of the same ids, all seeds of them.

    Parameters
    ----------
    rows : iterable of PublishedResult
    store : Store
        May be empty: published intervals and the expected maximum need no runs.
    campaign : str
        Campaign whose ids are meant.
    source : str
        Where the rows come from, in words.
    access : tuple of str, optional
        Verb and question by which the measured parts are recorded as evaluated.
    """
    rows, known, notes = list(rows), store.campaigns(), []
    if campaign not in known:
        others = f"; it holds {', '.join(known)}" if known else ""
        notes.append(f"nothing is measured: the store has no campaign {campaign!r}{others}")
    every, problems = store.all_runs()
    notes += [f"skipped {p.name}: {p.reason}" for p in problems]
    stored, ids = {run.key: run for run in every}, known.get(campaign, {})
    together, shrunk = _shrunk(rows)
    compared = []
    for one in rows:
        keys = [keys[-1] for name, keys in ids.items() if _is_of(name, one.id) and keys]
        runs = _comparable(one.id, [stored[key] for key in keys if key in stored], notes)
        measured = _measured(store, runs, notes)
        compared.append(ComparedResult(one, runs, measured, shrunk.get(one.id)))
    notes += _other_units(compared)
    if access is not None:
        unrecorded = record_access(store, [run for row in compared for run in row.runs], *access)
        notes += [f"this access is not recorded: {unrecorded}"] if unrecorded else []
    return PublishedComparison(source, campaign, compared, expected_maximum(rows), together, notes)


def _shrunk(rows: Sequence[PublishedResult]) -> tuple[Shrunk | None, dict[str, Estimate]]:
    """Published precisions with counts, drawn together; those of experiments with alarms by id."""
    counted = [(one.id, e.k or 0, e.n) for one in rows if (e := one.alarms) is not None and e.n]
    if not counted:
        return None, {}
    ids, hits, alarms = zip(*counted, strict=True)
    shrunk = shrink(hits, alarms)
    return shrunk, dict(zip(ids, shrunk.estimates, strict=True))


def _other_units(rows: Sequence[ComparedResult]) -> list[str]:
    """A note if the published units cannot be the measured ones: their positives differ."""
    positives = {
        (int(row.published.values["tp"] + row.published.values["fn"]), recall["n"])
        for row in rows
        for recall in [run.record["estimates"].get("recall@0.5") for run in row.runs]
        if recall is not None and {"tp", "fn"} <= set(row.published.values)
    }
    other = sorted((theirs, ours) for theirs, ours in positives if theirs != ours)
    return [
        f"not the published evaluation set: {theirs} positives are published, {ours} measured"
        for theirs, ours in other
    ]


def _is_of(name: str, id_: str) -> bool:
    """Whether a stored id is the published one, or a replicate of it."""
    return id_ in (name, name.split("@")[0])


def _comparable(id_: str, runs: list[Run], notes: list[str]) -> list[Run]:
    """The runs that were measured on the same units as the first."""
    unique = list({run.key: run for run in runs}.values())
    groups = [run.record["comparison_group"] for run in unique]
    same = [run for run, group in zip(unique, groups, strict=True) if group == groups[0]]
    if len(same) < len(unique):
        notes.append(
            f"{id_}: its seeds were measured on different evaluation sets; only the first are shown"
        )
    return same


def _measured(store: AnyStore, runs: list[Run], notes: list[str]) -> dict[str, Estimate]:
    """Precision and recall at 0.5 and AUC of the replicates of one experiment as one."""
    if not runs:
        return {}
    confidence = runs[0].estimands.confidence
    estimates = [run.record["estimates"] for run in runs]
    measured = {
        name: replicated_proportion([Estimate.from_dict(e[stored]) for e in estimates], confidence)
        for name, stored in MEASURED.items()
        if name != "auc" and all(stored in e for e in estimates)
    }
    if "auc" not in estimates[0]:
        return measured
    if len(runs) == 1:
        return {**measured, "auc": Estimate.from_dict(estimates[0]["auc"])}
    draws, problems = draws_of_runs(store, runs)
    notes += [f"{p.name}: {p.reason}" for p in problems]
    if draws:
        measured["auc"] = mean_of(list(draws.values())).proportion(confidence)
    return measured


def expected_maximum(rows: Iterable[PublishedResult]) -> ExpectedMaximum | None:
    """Maximum that equally good models would show, and how often it is as good as the best one.

    Every experiment with at least five alarms has the pooled precision as its true one; they are
    taken as independent, though they share their units, so that the distribution of the maximum is
    a product of binomial ones. None without such experiments.

    Examples
    --------
    >>> rows = [PublishedResult(str(k), k, {"tp": k, "n_pred_pos": 10}) for k in (3, 5, 6)]
    >>> best = expected_maximum(rows)
    >>> best.best.id, round(best.value, 2), round(best.p, 2)
    ('6', 0.6, 0.65)
    """
    counted = [(one, e.k or 0, e.n) for one in rows if (e := one.alarms) is not None]
    enough = [row for row in counted if row[2] >= MIN_ALARMS]
    if not enough:
        return None
    pooled = Estimate.proportion(sum(k for _, k, _ in counted), sum(n for *_, n in counted))
    best, k, n = max(enough, key=lambda row: (row[1] / row[2], row[2]))
    alarms, rate = np.array([n for *_, n in enough], np.int64), pooled.value or 0.0

    def reached(needed: np.ndarray) -> np.ndarray:
        """Probability that any experiment has its number of hits, over the last axis."""
        return -np.expm1(binom.logcdf(needed - 1, alarms, rate).sum(axis=-1))

    shares = (np.arange(STEPS) + 0.5) / STEPS
    value = float(reached(np.ceil(shares[:, None] * alarms)).mean())
    p = float(reached(-(-k * alarms // n)))  # hits that show at least k of n
    return ExpectedMaximum(best, pooled, len(enough), value, p)
