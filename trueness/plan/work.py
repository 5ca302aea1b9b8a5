"""What is left of a campaign and what it costs, before anything is trained or written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import mean, median
from typing import Any

from trueness.campaign import Campaign, Entry
from trueness.engines import Engine, Job, Setting, engine_of
from trueness.errors import DataError, SpecError
from trueness.judge.settings import full_labels
from trueness.store import Store
from trueness.tasks import task_of

TIMED = 100
"""Stored runs whose speed is looked at."""


@dataclass
class Plan:
    """What is left of a campaign.

    Attributes
    ----------
    campaign : Campaign
    baselines, missing : list of Spec
        Baselines, and others, without a stored run.
    given_up : list of Spec
        Those that failed before and are not tried again unless asked to.
    notes : list of str
    examples : dict
        What the task made of the data, by `Task.examples_key`.
    store : Store
        It tells how fast earlier runs were.
    """

    campaign: Campaign
    baselines: list[Any]
    missing: list[Any]
    given_up: list[Any]
    notes: list[str]
    examples: dict[str, Any] = field(repr=False)
    store: Store = field(repr=False)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """What one entry each is and costs; loads the engines of all of them."""
        entries, counted = self.campaign.entries, _once(task_of(self.campaign.kind).counts)
        labels = full_labels([entry.spec for entry in entries])
        return [
            _row(e, self.examples_of(e.spec), e.spec.key in self.store, counted,
                 self.campaign.folder) | {"label": label}
            for e, label in zip(entries, labels, strict=True)
        ]  # fmt: skip

    @property
    def specs(self) -> list[Any]:
        """Baselines, then the others."""
        return [*self.baselines, *self.missing]

    def examples_of(self, spec: Any) -> Any:  # noqa: ANN401
        """What a spec is trained on."""
        return self.examples[task_of(spec.task.kind).examples_key(spec)]

    def jobs(self, specs: Iterable[Any], setting: Setting) -> list[Job]:
        """Specs grouped by their engines into what one process does at a time."""
        return [
            job for engine, some in by_engine(specs)
            for job in engine.jobs(some, self.examples_of, setting)
        ]  # fmt: skip

    def check(self, setting: Setting) -> None:
        """Refuse what could only fail later."""
        own = {entry.spec.key for entry in self.campaign.entries}
        for spec in self.specs:
            for key in sorted(spec.depends_on - own):
                if key not in self.store:
                    raise SpecError(
                        f"{self.store.root}: run {key}, which {spec.label()} begins with, is not "
                        "stored; give the whole key of a stored run", "no_source_run",
                    )  # fmt: skip
        for engine, some in by_engine(self.specs):
            engine.check(some, self.examples_of, setting, self.store)

    def size(self, setting: Setting, workers: int) -> dict[str, Any]:
        """Fits, work, memory and time, expected and at most, of all that is missing."""
        jobs = self.jobs(self.missing, setting)
        folds = {job.fits // len(job.specs) for job in jobs}
        most, likely = self._work(jobs, setting)
        gflop = None if most is None else sum(most)
        expected = None if likely is None else sum(likely)
        rates = self._rates(jobs, setting) if gflop else [None] * len(jobs)
        many = max(1, workers)
        largest = sorted((job.bytes for job in jobs), reverse=True)[:many]
        return {
            "baselines": len(self.baselines),
            "networks": len(self.missing),
            "folds": folds.pop() if len(folds) == 1 else None,
            "fits": sum(job.fits for job in jobs),
            "stacks": len(jobs),
            "widest_stack": max((job.width for job in jobs), default=0),
            "modes": sorted({job.mode for job in jobs if job.mode}),
            "gflop_at_most": None if gflop is None else round(gflop, 3),
            "gflop_expected": None if expected is None else round(expected, 3),
            "memory_bytes": sum(largest),
            "hours_at_most": None if most is None else _hours(most, rates, many),
            "hours_expected": None if likely is None else _hours(likely, rates, many),
        }

    def _work(
        self, jobs: Sequence[Job], setting: Setting
    ) -> tuple[list[float] | None, list[float] | None]:
        """GFLOP of each job: at most, None if unknown; and expected, where anything tells it."""
        most, likely = [], []
        parts = {name: epochs_trained(self.store, name) for name in {job.engine for job in jobs}}
        for job in jobs:
            engine, part = engine_of(job.engine), parts[job.engine]
            costs = [engine.cost(s, self.examples_of(s), setting.folder).gflop for s in job.specs]
            if None in costs:
                return None, None
            bound = sum(cost for cost in costs if cost is not None)
            most.append(bound)
            likely.append(job.expected if part is None else part * bound)
        if all(one is None for one in likely):
            return most, None
        return most, [a if b is None else b for a, b in zip(most, likely, strict=True)]

    def _rates(self, jobs: Sequence[Job], setting: Setting) -> list[float | None]:
        """GFLOP per second of each job, tried here or as in stored runs; None if nothing tells."""
        result: list[float | None] = [None] * len(jobs)
        for name in {job.engine for job in jobs}:
            places = [k for k, job in enumerate(jobs) if job.engine == name]
            tried = engine_of(name).rates([jobs[k] for k in places], setting)
            if tried is None:
                tried = [measured_rate(self.store, name, setting.device.name)] * len(places)
            for k, rate in zip(places, tried, strict=True):
                result[k] = rate
        return result


def _hours(work: list[float], rates: list[float | None], workers: int) -> float | None:
    """Time of the work of each job at its rate; None while one is not known."""
    seconds = 0.0
    for gflop, rate in zip(work, rates, strict=True):
        if gflop and rate is None:
            return None
        seconds += gflop / (rate or 1.0)
    return round(seconds / workers / 3600, 3)


def by_engine(specs: Iterable[Any]) -> list[tuple[Engine, list[Any]]]:
    """Engines in the order in which they are needed, each with its specs."""
    groups: dict[str, list[Any]] = {}
    for spec in specs:
        groups.setdefault(spec.model.engine, []).append(spec)
    return [(engine_of(name), some) for name, some in groups.items()]


def plan(
    campaign: Campaign, store: Store, *, retry: bool = False,
    examples: dict[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """Check all data of a campaign and say what is left to do; trains and writes nothing.

    Parameters
    ----------
    campaign : Campaign
    store : Store
    retry : bool
        Whether runs that failed before are tried again.
    examples : dict, optional
        Examples of earlier plans on the same data, which this one adds its own to.

    Raises
    ------
    DataError
        If any experiment cannot be carried out on these data.
    """
    examples = {} if examples is None else examples
    key = task_of(campaign.kind).examples_key
    for entry in (*campaign.experiments, *campaign.baselines):  # errors name the experiment
        if key(entry.spec) not in examples:
            examples[key(entry.spec)] = _examples(campaign, entry)
    notes = [note for one in examples.values() for note in getattr(one, "notes", ())]
    there = {e.spec.key: e.spec.key in store for e in campaign.entries}
    specs = list({e.spec.key: e.spec for e in campaign.entries if not there[e.spec.key]}.values())
    failed = {} if retry else store.failures()
    wanted = [s for s in specs if s.key not in failed]
    return Plan(
        campaign, [s for s in wanted if s.is_baseline], [s for s in wanted if not s.is_baseline],
        [s for s in specs if s.key in failed], list(dict.fromkeys(notes)), examples, store,
    )  # fmt: skip


def measured_rate(store: Store, engine: str, device: str) -> float | None:
    """GFLOP per second and worker of stored runs of an engine, by the median; None without any."""
    records = [
        run.record for run in store.all_runs(TIMED)[0]
        if run.record.get("gflop") and run.record["device"] == device
        and run.spec.model.engine == engine
    ]  # fmt: skip
    return median([r["gflop"] / r["seconds"] for r in records] or [0.0]) or None


def epochs_trained(store: Store, engine: str) -> float | None:
    """Epochs over those allowed in stored runs that stop early, by the median; None without any."""
    result = [
        mean(run.record["last_epochs"]) / run.spec.recipe.epochs
        for run in store.all_runs(TIMED)[0]
        if run.record.get("last_epochs") and run.spec.model.engine == engine
    ]
    return median(result) if result else None


def _examples(campaign: Campaign, entry: Entry) -> Any:  # noqa: ANN401
    try:
        return task_of(campaign.kind).examples(entry.spec, campaign.data)
    except DataError as error:
        raise DataError(f"{campaign.name} {entry.id}: {error}", error.code) from None


def _once(counts: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Counts of each set of examples, made once."""
    known: dict[int, Any] = {}

    def counted(examples: Any) -> Any:  # noqa: ANN401
        if id(examples) not in known:
            known[id(examples)] = counts(examples)
        return known[id(examples)]

    return counted


def _row(
    entry: Entry,
    examples: Any,  # noqa: ANN401
    there: bool,
    counts: Callable[[Any], Any],
    folder: Path,
) -> dict[str, Any]:
    spec = entry.spec
    cost = engine_of(spec.model.engine).cost(spec, examples, folder)
    return {
        "id": entry.id,
        "priority": entry.priority,
        "key": spec.key,
        "stored": there,
        "parameters": cost.parameters,
        "weights": cost.parameters if cost.weights is None else cost.weights,
        "features": cost.features,
        "folds": counts(examples),
        "work_gflop": None if cost.gflop is None else round(cost.gflop, 3),
        "memory_bytes": cost.bytes,
        "seed": spec.seed,
    }
