"""The leaderboard: comparable runs side by side, sorted by the lower end of a precision."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trueness.errors import StoreError, nearest
from trueness.evaluation import Estimate, Finding, Limits, TwoNulls
from trueness.judge.comparison import best_baseline, differences, statistics, without_seed
from trueness.judge.findings import Judged, Muted, findings_of_runs, one_feature_runs
from trueness.judge.access import Looks, look_at, looks_of
from trueness.judge.selection import Selected, Selection, nulls_of, selection
from trueness.spec import Spec, WalkForward
from trueness.store import Problem, Run, Store

MIN_ALARMS = Limits().few_alarms
"""Precisions of fewer alarms rank last: they say next to nothing."""
LESS_IS_BETTER = ("calibration_error",)


@dataclass(frozen=True)
class Row:
    """One run: what it is called, what it is worth, what is wrong with it."""

    ids: list[str]
    run: Run
    estimates: dict[str, Estimate]
    reference: Run | None
    difference: Estimate | None
    findings: list[Finding]
    muted: list[Muted] = field(default_factory=list)
    selected: Selected | None = None

    @property
    def name(self) -> str:
        """Ids that share the run, or its key."""
        return " = ".join(self.ids) or self.run.key

    @property
    def label(self) -> str:
        """What kind of model it is; for a one-feature baseline, the columns of its folds."""
        model = self.run.spec.model
        if model.kind == "one_feature":
            return " / ".join(dict.fromkeys(self.run.record["chosen"]))
        return "" if self.run.spec.is_baseline and self.ids else self.run.record["label"]

    @property
    def title(self) -> str:
        """Name and kind."""
        return " · ".join(part for part in (self.name, self.label) if part)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        record = self.run.record
        return {
            "ids": self.ids,
            "key": self.run.key,
            "label": self.run.record["label"],
            "baseline": self.run.spec.is_baseline,
            "seed": self.run.spec.seed,
            "parameters": record["parameters"],
            "estimates": {name: e.to_dict() for name, e in self.estimates.items()},
            "scores": record["scores"],
            "difference_to_best_baseline": None
            if self.difference is None or self.reference is None
            else {
                "baseline": self.reference.key,
                "label": self.reference.record["label"],
                "auc": self.difference.to_dict(),
            },
            "selection": None if self.selected is None else self.selected.to_dict(),
            "findings": [f.to_dict() for f in self.findings],
            "muted": [m.to_dict() for m in self.muted],
            "seconds": record["seconds"],
        }


@dataclass(frozen=True)
class Arena:
    """Runs measured on the same days and labels, networks and baselines apart, best first."""

    title: str
    data: dict[str, Any]
    base_rate: Estimate
    networks: list[Row]
    baselines: list[Row]
    sort: str
    candidates: int
    reference: Run | None
    nulls: TwoNulls | None
    selection: Selection | None = None
    looks: Looks | None = None

    @property
    def rows(self) -> list[Row]:
        """Networks, then baselines."""
        return [*self.networks, *self.baselines]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "title": self.title,
            "data": self.data,
            "base_rate": self.base_rate.to_dict(),
            "sorted_by": f"unfavourable end of {self.sort}",
            "candidates": self.candidates,
            "best_baseline": None if self.reference is None else self.reference.key,
            "leader": None if self.nulls is None else self.nulls.to_dict(),
            "selection": None if self.selection is None else self.selection.to_dict(),
            "networks": [row.to_dict() for row in self.networks],
            "baselines": [row.to_dict() for row in self.baselines],
        }


@dataclass(frozen=True)
class Leaderboard:
    """Arenas of a store or a campaign, the folders that could not be read, the runs that failed."""

    arenas: list[Arena]
    problems: list[Problem]
    failures: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "arenas": [arena.to_dict() for arena in self.arenas],
            "problems": [{"name": p.name, "reason": p.reason} for p in self.problems],
            "failures": self.failures,
            "looks": [arena.looks.to_dict() for arena in self.arenas if arena.looks],
        }


def leaderboard(
    store: Store,
    campaign: str | None = None,
    sort: str | None = None,
    keys: set[str] | None = None,
    look: tuple[str, str] | None = None,
) -> Leaderboard:
    """Read a store: records, and differences to the best baseline from an index or the predictions.

    Parameters
    ----------
    store : Store
    campaign : str, optional
        Only the runs of this campaign, under its ids.
    sort : str, optional
        Estimate that sorts, by its unfavourable end; by default the precision at the largest alarm
        budget.
    keys : set of str, optional
        Only these runs.
    look : tuple of str, optional
        Verb and question under which the ledger of the store counts this look; not counted without.

    Raises
    ------
    StoreError
        If nothing of the campaign is stored, or `sort` names no estimate.
    """
    every, problems = store.all_runs()
    ids = _ids(store, campaign)
    shown = {
        r.key
        for r in every
        if (campaign is None or r.key in ids) and (keys is None or r.key in keys)
    }
    failures = {k: v for k, v in store.failures().items() if campaign is None or k in ids}
    by_arena: dict[str, list[Run]] = {}
    for run in every:
        by_arena.setdefault(run.record["comparison_group"], []).append(run)
    arenas = [
        _arena(store, [r for r in group if r.key in shown], group, ids, sort, problems)
        for group in by_arena.values()
        if any(r.key in shown for r in group)
    ]
    arenas.sort(key=lambda arena: -len(arena.rows))
    seen = [row.run for arena in arenas for row in arena.rows]
    unwritten = look_at(store, seen, *look) if look else ""
    told = [replace(a, looks=looks_of(store, a.rows[0].run, every, unwritten)) for a in arenas]
    return Leaderboard(told, problems, failures)


def _ids(store: Store, campaign: str | None) -> dict[str, list[str]]:
    """Key -> ids, of one campaign or of all."""
    known = store.campaigns()
    if campaign is not None and campaign not in known:
        hint = nearest(campaign, list(known)) if known else "the store holds none yet"
        raise StoreError(
            f"{store.root}: no runs of a campaign {campaign!r}; {hint}; `trueness run` makes them"
        )
    ids: dict[str, list[str]] = {}
    for name, mapping in known.items():
        if campaign in (None, name):
            for id_, keys in mapping.items():
                for key in keys:
                    if id_ not in ids.setdefault(key, []):
                        ids[key].append(id_)
    return ids


def _arena(
    store: Store,
    runs: list[Run],
    comparable: list[Run],
    ids: dict[str, list[str]],
    sort: str | None,
    problems: list[Problem],
) -> Arena:
    first = runs[0].spec
    sort = sort or f"precision@{max(first.evaluation.alarms)}"
    if sort not in runs[0].record["estimates"]:
        raise StoreError(
            f"no estimate {sort!r}; choose from {', '.join(runs[0].record['estimates'])}"
        )
    networks, reference = [r for r in runs if not r.spec.is_baseline], best_baseline(comparable)
    single = one_feature_runs(networks, comparable)
    others = [reference, *single.values()] if networks and reference else []
    compared = {run.key: run for run in (*networks, *others)}
    found, unreadable = statistics(store, list(compared.values()))
    problems += unreadable
    draws = {key: one.auc for key, one in found.items()}
    against = differences(draws, networks, reference) if reference else {}
    judged, unreadable = findings_of_runs(store, networks, draws, against, single)
    problems += [p for p in unreadable if p.name not in {known.name for known in problems}]
    candidates = len({without_seed(run.spec) for run in networks})
    groups = (
        (networks, candidates),
        ([r for r in runs if r.spec.is_baseline], len(runs) - len(networks)),
    )
    tables = [
        sorted(
            (
                _row(run, ids, count, reference, against.get(run.key), judged.get(run.key))
                for run in group
            ),
            key=lambda row: _rank(row, sort),
            reverse=True,
        )
        for group, count in groups
    ]
    some = next(row for table in tables for row in table)
    leader = tables[0][0].run if networks else None
    among = selection(store, found, networks, leader) if leader else None
    nulls = nulls_of(found, networks, leader, reference, among) if leader else None
    by_key = among.by_key if among else {}
    shown = [replace(row, selected=by_key.get(row.run.key)) for row in tables[0]]
    return Arena(
        _title(first, some), runs[0].record["data"], some.estimates["base_rate"], shown,
        tables[1], sort, candidates, reference, nulls, among,
    )  # fmt: skip


def _row(
    run: Run,
    ids: dict[str, list[str]],
    candidates: int,
    reference: Run | None,
    difference: Estimate | None,
    judged: Judged | None,
) -> Row:
    estimates = {
        n: Estimate.from_dict(e).chosen_among(candidates) for n, e in run.record["estimates"].items()
    }
    if difference is not None:
        difference = difference.chosen_among(candidates)
    judged = judged or Judged([], [])
    return Row(
        ids.get(run.key, []), run, estimates, reference, difference, judged.findings, judged.muted
    )


def _rank(row: Row, sort: str) -> tuple[bool, float, float]:
    """Enough alarms first, then the unfavourable end of the interval, then the AUC."""
    estimate, auc = row.estimates[sort], row.estimates["auc"].value or 0.0
    if sort in LESS_IS_BETTER:
        return estimate.high is not None, -(estimate.high or 0.0), auc
    enough = estimate.k is None or estimate.n >= MIN_ALARMS
    low = -1.0 if estimate.value is None or estimate.low is None else estimate.low
    return enough, low, auc


def _title(spec: Spec, row: Row) -> str:
    """What is predicted, on which days, by which protocol."""
    task, rule = spec.task, spec.evaluation
    what = {"high": "Low" if task.mirror else "High", "close": "Close"}[task.price]
    sign = "-" if task.mirror else "+"
    days = "the next day" if task.horizon_days == 1 else f"one of the next {task.horizon_days} days"
    if isinstance(rule, WalkForward):
        years = f"{rule.block_years} year{'s' * (rule.block_years > 1)}"
        how = f"walk-forward, refit every {years}, out of fold from {rule.start}"
    else:
        how = f"validation {rule.val_start} to {rule.test_start}"
    n = row.estimates["base_rate"].n
    event = f"{what} of {days} reaches {sign}{task.threshold_pct:g} %"
    return f"{Path(row.run.record['data']['bars']).name}: {event} · {how} · {n} days"
