"""The leaderboard: comparable runs side by side, sorted by the lower end of a precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trueness.errors import StoreError, nearest
from trueness.evaluation import Estimate, Finding
from trueness.evaluation.checks import findings_from
from trueness.spec import Spec, WalkForward
from trueness.store import Problem, Run, Store

MIN_ALARMS = 5
"""Precisions of fewer alarms rank last: they say next to nothing."""


@dataclass(frozen=True)
class Row:
    """One run: what it is called, what it is worth, what is wrong with it."""

    ids: list[str]
    run: Run
    estimates: dict[str, Estimate]
    difference: Estimate | None
    findings: list[Finding]

    @property
    def name(self) -> str:
        """Ids that share the run, or its key."""
        return " = ".join(self.ids) or self.run.key

    @property
    def label(self) -> str:
        """What kind of model it is; empty where the id already says it."""
        label = self.run.record["label"]
        return "" if self.run.spec.is_baseline and self.ids else label

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
            if self.difference is None
            else {**record["difference"], "auc": self.difference.to_dict()},
            "findings": [f.to_dict() for f in self.findings],
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

    @property
    def rows(self) -> list[Row]:
        """Networks, then baselines."""
        return [*self.networks, *self.baselines]

    @property
    def best_baseline(self) -> Row | None:
        """Baseline with the best AUC."""
        return max(self.baselines, key=lambda r: r.estimates["auc"].value or 0.0, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "title": self.title,
            "data": self.data,
            "base_rate": self.base_rate.to_dict(),
            "sorted_by": f"lower end of {self.sort}",
            "candidates": len(self.networks),
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
        }


def leaderboard(store: Store, campaign: str | None = None, sort: str | None = None) -> Leaderboard:
    """Read the records of a store; seconds for thousands of runs, because nothing is computed.

    Parameters
    ----------
    store : Store
    campaign : str, optional
        Only the runs of this campaign, under its ids.
    sort : str, optional
        Estimate whose lower end sorts; by default the precision at the largest alarm budget.

    Raises
    ------
    StoreError
        If nothing of the campaign is stored, or `sort` names no estimate.
    """
    runs, problems = store.all_runs()
    ids = _ids(store, campaign)
    if campaign is not None:
        runs = [run for run in runs if run.key in ids]
    failures = {k: v for k, v in store.failures().items() if campaign is None or k in ids}
    by_arena: dict[str, list[Run]] = {}
    for run in runs:
        by_arena.setdefault(run.record["arena"], []).append(run)
    arenas = [_arena(group, ids, sort) for group in by_arena.values()]
    arenas.sort(key=lambda arena: -len(arena.rows))
    return Leaderboard(arenas, problems, failures)


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
            for id_, key in mapping.items():
                if id_ not in ids.setdefault(key, []):
                    ids[key].append(id_)
    return ids


def _arena(runs: list[Run], ids: dict[str, list[str]], sort: str | None) -> Arena:
    first = runs[0].spec
    sort = sort or f"precision_top{max(first.evaluation.alarms)}"
    if sort not in runs[0].record["estimates"]:
        raise StoreError(
            f"no estimate {sort!r}; {nearest(sort, list(runs[0].record['estimates']))}"
        )
    groups = [[r for r in runs if r.spec.is_baseline == baseline] for baseline in (False, True)]
    networks, baselines = ([_row(r, ids, len(group)) for r in group] for group in groups)
    for rows in (networks, baselines):
        rows.sort(key=lambda row: _rank(row, sort), reverse=True)
    some = (networks or baselines)[0]
    return Arena(
        _title(first, some),
        runs[0].record["data"],
        some.estimates["base_rate"],
        networks,
        baselines,
        sort,
    )


def _row(run: Run, ids: dict[str, list[str]], candidates: int) -> Row:
    record = run.record
    estimates = {n: Estimate.from_dict(e).among(candidates) for n, e in record["estimates"].items()}
    against = record["difference"]
    difference = None if against is None else Estimate.from_dict(against["auc"]).among(candidates)
    return Row(ids.get(run.key, []), run, estimates, difference, findings_from(record["findings"]))


def _rank(row: Row, sort: str) -> tuple[bool, float, float]:
    """Enough alarms first, then the lower end, then the AUC."""
    estimate = row.estimates[sort]
    enough = estimate.k is None or estimate.n >= MIN_ALARMS
    low = -1.0 if estimate.value is None or estimate.low is None else estimate.low
    return enough, low, row.estimates["auc"].value or 0.0


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
    return f"{row.run.record['data']['bars']}: {event} · {how} · {n} days"
