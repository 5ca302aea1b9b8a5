"""Run a campaign: the only place where rooms meet.

Missing keys are found, all data are checked before anything trains, baselines run first, networks
of equal tensor shape are trained together, and every run is judged and stored the moment it is
finished.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.baselines import BaselineFit, fit_baseline
from trueness.campaign import Campaign, Entry
from trueness.errors import DataError, SpecError
from trueness.examples import Examples
from trueness.execute import Failure, Pool, keep_memory
from trueness.fit import Device, Fitted, choose_device, fit_stack, stackable
from trueness.market import market_examples
from trueness.models import multiply_adds
from trueness.record import (
    HISTORY,
    estimates_of,
    make_record,
    measured_part,
    predictions_table,
    weight_count,
)
from trueness.spec import PatchTST, Spec
from trueness.store import Store

GPU_STACK = 128
"""Members per stack on an accelerator."""
CPU_STACK = 1
"""Members per stack on a CPU, where arithmetic is the bound: wider stacks were measured slower."""


@dataclass(frozen=True)
class Work:
    """One item for a worker: specs that share examples and, if they are networks, a stack."""

    examples: Examples
    specs: tuple[Spec, ...]
    device: Device
    width: int


@dataclass(frozen=True)
class Outcome:
    """A judged run, ready to be stored, or the reason why there is none."""

    spec: Spec
    record: dict[str, Any]
    predictions: pl.DataFrame
    history: pl.DataFrame
    parameters: dict[str, NDArray[np.float32]]
    failure: str | None = None


class Listener:
    """Hears how a campaign proceeds; subclass or duck-type it to show progress."""

    def start(self, stage: str, epochs: int) -> None:
        """A stage begins that takes at most so many epochs (for baselines: fits)."""

    def advance(self, epochs: int) -> None:
        """So many epochs came nearer to the end."""

    def stored(self, ids: list[str], record: dict[str, Any]) -> None:
        """A run was stored."""

    def failed(self, ids: list[str], reason: str) -> None:
        """A run failed; its traceback is in the store."""


@dataclass
class Plan:
    """What a campaign would do: sizes, parameters and work, before anything is written.

    `rows` has one dictionary per entry; `missing` are the specs without a stored run, baselines
    apart.
    """

    rows: list[dict[str, Any]]
    baselines: list[Spec]
    missing: list[Spec]
    notes: list[str]
    examples: dict[str, Examples] = field(repr=False)


@dataclass(frozen=True)
class Summary:
    """Keys that were trained, were there already, and failed; and whether Ctrl-C ended the run."""

    trained: list[str]
    reused: list[str]
    failed: list[str]
    notes: list[str]
    interrupted: bool = False


# ------------------------------------------------------------------------------------------- before


def plan(campaign: Campaign, store: Store) -> Plan:
    """Check all data of a campaign and say what is left to do; trains and writes nothing.

    Raises
    ------
    DataError
        If any experiment cannot be carried out on these data.
    """
    examples: dict[str, Examples] = {}
    for entry in campaign.experiments:  # baselines share their data; errors name the experiment
        if _data_key(entry.spec) not in examples:
            examples[_data_key(entry.spec)] = _examples(campaign, entry)
    notes = list(dict.fromkeys(note for one in examples.values() for note in one.notes))
    there = {e.spec.key: e.spec.key in store for e in campaign.entries}
    rows = [_plan_row(e, examples[_data_key(e.spec)], there[e.spec.key]) for e in campaign.entries]
    specs = list({e.spec.key: e.spec for e in campaign.entries if not there[e.spec.key]}.values())
    baselines = [s for s in specs if s.is_baseline]
    return Plan(rows, baselines, [s for s in specs if not s.is_baseline], notes, examples)


def _data_key(spec: Spec) -> str:
    return f"{spec.task.model_dump_json()} {spec.evaluation.model_dump_json()}"


def _examples(campaign: Campaign, entry: Entry) -> Examples:
    try:
        return market_examples(
            entry.spec.task, entry.spec.evaluation, campaign.bars, campaign.volatility
        )
    except DataError as error:
        raise DataError(f"{campaign.name} {entry.id}: {error}") from None


def _plan_row(entry: Entry, examples: Examples, there: bool) -> dict[str, Any]:
    spec, counts = entry.spec, examples.counts()
    return {
        "id": entry.id,
        "priority": entry.priority,
        "key": spec.key,
        "label": spec.label(),
        "stored": there,
        "parameters": weight_count(spec, examples),
        "features": len(examples.features),
        "folds": [
            {part: {"n": n, "positives": p} for part, (n, p) in fold.items()} for fold in counts
        ],
        "work_gflop": round(_work(spec, examples) / 1e9, 3),
        "seed": spec.seed,
    }


def _work(spec: Spec, examples: Examples) -> float:
    """Floating-point operations if every epoch is used: 6 per weight use, forward and backward."""
    if not isinstance(spec.model, PatchTST):
        return 0.0
    uses = multiply_adds(spec.model, len(examples.features), examples.context)
    trained = sum(fold.get("train", (0, 0))[0] for fold in examples.counts())
    return 6.0 * uses * trained * spec.recipe.epochs


# -------------------------------------------------------------------------------------------- doing


def run(
    campaign: Campaign,
    store: Store,
    *,
    device: str = "auto",
    workers: int | None = None,
    listener: Listener | None = None,
) -> Summary:
    """Carry out what is missing of a campaign.

    Parameters
    ----------
    campaign : Campaign
    store : Store
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    workers : int, optional
        Processes on a CPU, one thread each; all cores by default, 0 stays in this process.
    listener : Listener, optional

    Returns
    -------
    Summary
        Ctrl-C returns it with `interrupted` set; all that was finished is stored.

    Raises
    ------
    DataError, StoreError, SpecError
        Before anything trains.
    """
    listener = listener or Listener()
    if workers is not None and workers < 0:
        raise SpecError(f"{workers} workers; give 0 to stay in this process, or more")
    where, todo = choose_device(device), plan(campaign, store)
    store.prepare()
    store.write_campaign(campaign.name, {e.id: e.spec.key for e in campaign.entries})
    keep_memory()
    scribe = _Scribe(campaign, store, listener)
    interrupted = False
    with Pool(_pool_size(workers, todo) if where.name == "cpu" else 0) as pool:
        try:
            _baseline_stage(pool, todo, where, scribe)
            _network_stage(pool, todo, where, scribe)
        except KeyboardInterrupt:
            interrupted = True
    done = {s.key for s in (*todo.baselines, *todo.missing)}
    reused = list(dict.fromkeys(e.spec.key for e in campaign.entries if e.spec.key not in done))
    return Summary(scribe.trained, reused, scribe.failed, todo.notes, interrupted)


def _pool_size(workers: int | None, todo: Plan) -> int:
    """Processes to start: those asked for, or one per core, but none without work."""
    cores = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    wanted = len(cores) if workers is None else workers
    return min(wanted, len(todo.baselines) + len(todo.missing))


class _Scribe:
    """Stores outcomes as they come and tells the listener."""

    def __init__(self, campaign: Campaign, store: Store, listener: Listener) -> None:
        self.campaign, self.store, self.listener = campaign, store, listener
        self.trained: list[str] = []
        self.failed: list[str] = []

    def take(self, work: Work, answer: list[Outcome] | Failure) -> None:
        if isinstance(answer, Failure):
            for spec in work.specs:
                self._fail(spec, answer.reason)
            return
        for outcome in answer:
            if outcome.failure is not None:
                self._fail(outcome.spec, outcome.failure)
                continue
            record = {**outcome.record, **self._origin()}
            self.store.write(
                outcome.spec, record, outcome.predictions, outcome.history, outcome.parameters
            )
            self.trained.append(outcome.spec.key)
            self.listener.stored(self._ids(outcome.spec), record)

    def _fail(self, spec: Spec, reason: str) -> None:
        self.store.write_failure(spec, reason)
        self.failed.append(spec.key)
        self.listener.failed(self._ids(spec), reason)

    def _ids(self, spec: Spec) -> list[str]:
        return [e.id for e in self.campaign.entries if e.spec.key == spec.key]

    def _origin(self) -> dict[str, Any]:
        bars, vix = self.campaign.bars, self.campaign.volatility
        return {
            "data": {
                "bars": bars.name,
                "volatility": vix.name if vix else None,
                "digest": bars.digest,
                "rows": len(bars),
                "first": str(bars.dates[0]),
                "as_of": str(bars.dates[-1]),
            }
        }


def _baseline_stage(pool: Pool, todo: Plan, device: Device, scribe: _Scribe) -> None:
    if not todo.baselines:
        return
    items = [Work(todo.examples[_data_key(s)], (s,), device, 1) for s in todo.baselines]
    scribe.listener.start("baselines", len(items))
    for position, answer in pool.map(_work_item, items):
        scribe.take(items[position], answer)
        scribe.listener.advance(1)


def _network_stage(pool: Pool, todo: Plan, device: Device, scribe: _Scribe) -> None:
    if not todo.missing:
        return
    items = list(_stacks(todo, device))
    epochs = [s.recipe.epochs * todo.examples[_data_key(s)].n_folds for s in todo.missing]
    scribe.listener.start("networks", sum(epochs))
    for position, answer in pool.map(_work_item, items, lambda _, n: scribe.listener.advance(n)):
        scribe.take(items[position], answer)


def _stacks(todo: Plan, device: Device) -> Iterator[Work]:
    """Group specs by tensor shape, as many per item as a stack holds."""
    width = CPU_STACK if device.name == "cpu" else GPU_STACK
    groups: dict[tuple[str, ...], list[Spec]] = {}
    for spec in todo.missing:
        groups.setdefault(stackable(spec), []).append(spec)
    for specs in groups.values():
        examples = todo.examples[_data_key(specs[0])]
        per_item = max(1, width // examples.n_folds)
        for first in range(0, len(specs), per_item):
            chunk = tuple(specs[first : first + per_item])
            yield Work(examples, chunk, device, width)


def _work_item(work: Work, report: Callable[[int], None]) -> list[Outcome]:
    """What a worker does: fit, then judge."""
    if work.specs[0].is_baseline:
        return [
            _judge_baseline(fit_baseline(work.examples, one), work.examples) for one in work.specs
        ]
    fitted = fit_stack(work.examples, work.specs, work.device, report, work.width)
    return [_judge_network(one, work.examples) for one in fitted]


# ------------------------------------------------------------------------------------------ judging


def _judge_baseline(fit: BaselineFit, examples: Examples) -> Outcome:
    record = make_record(fit.spec, examples, list(fit.logits))
    record |= {
        "chosen": fit.chosen,
        "seconds": fit.seconds,
        "device": "cpu",
        "precision": "float64",
    }
    predictions = predictions_table(examples, list(fit.logits), list(fit.logits))
    return Outcome(fit.spec, record, predictions, pl.DataFrame(schema=HISTORY), {})


def _judge_network(fit: Fitted, examples: Examples) -> Outcome:
    if fit.failure is not None:
        return Outcome(fit.spec, {}, pl.DataFrame(), pl.DataFrame(), {}, fit.failure)
    best, last = [f.logit for f in fit.folds], [f.logit_last for f in fit.folds]
    record = make_record(fit.spec, examples, best)
    last_part = estimates_of(fit.spec, measured_part(fit.spec, examples, last))
    record["estimates_last"] = {name: e.to_dict() for name, e in last_part.items()}
    record |= {
        "best_epochs": [f.best_epoch for f in fit.folds],
        "last_epochs": [len(f.history) for f in fit.folds],
        "seconds": fit.seconds, "device": fit.device, "precision": fit.precision,
    }  # fmt: skip
    history = [{"fold": f.fold, **row} for f in fit.folds for row in f.history]
    parameters = {
        f"fold{f.fold}.{name}": value for f in fit.folds for name, value in f.parameters.items()
    }
    return Outcome(
        fit.spec,
        record,
        predictions_table(examples, best, last),
        pl.DataFrame(history, schema=HISTORY),
        parameters,
    )
