"""Run a campaign: the only place where rooms meet.

Missing keys are found, all data are checked before anything trains, baselines run first, networks
of equal tensor shape are trained together, and every run is judged and stored the moment it is
finished.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.baselines import EstimatorFit, fit_estimator
from trueness.campaign import Campaign
from trueness.checks import checked, limits_in
from trueness.errors import SpecError
from trueness.examples import Examples
from trueness.execute import Failure, Pool, Question, keep_memory
from trueness.fit import Device, Fitted, Member, choose_device, fit_stack
from trueness.judge.measured import estimates_of, measured
from trueness.plan import Plan, Work, plan, resolution, size_text, work_of
from trueness.record import HISTORY, facts_of, predictions_of
from trueness.spec import Spec
from trueness.store import Store
from trueness.store.leases import Leases

MOST_HOURS = 100_000
TOLD_EVERY_S = 2.0
"""Seconds between two notes on progress in the store."""


@dataclass(frozen=True)
class Outcome:
    """A judged run, ready to be stored, or the reason why there is none; it may be pruned."""

    spec: Spec
    record: dict[str, Any]
    predictions: pl.DataFrame
    history: pl.DataFrame
    parameters: dict[str, NDArray[np.float32]]
    failure: str | None = None
    pruned: bool = False


class Listener:
    """Hears how a campaign proceeds; subclass or duck-type it to show progress."""

    def start(self, stage: str, total: float) -> None:
        """A stage begins that takes at most so much work: GFLOP, or fits of baselines."""

    def begun(self, ids: list[str]) -> None:
        """Experiments that are trained from now on."""

    def advance(self, amount: float) -> None:
        """So much work came nearer to the end."""

    def stored(self, ids: list[str], record: dict[str, Any]) -> None:
        """A run was stored."""

    def failed(self, ids: list[str], reason: str) -> None:
        """A run failed; its traceback is in the store."""

    def pruned(self, ids: list[str]) -> None:
        """A network was given up as not worth its training; nothing is stored."""

    def note(self, text: str) -> None:
        """Something else a reader should know."""


@dataclass(frozen=True)
class Summary:
    """Keys that were trained, reused, failed now or before, and are still missing.

    Runs that another process trained meanwhile were there; those that it still trains are missing.
    `interrupted` tells that Ctrl-C ended the run, `out_of_time` that its hours were over. `pruned`
    were given up because the caller said so; nothing of them is stored.
    """

    trained: list[str]
    reused: list[str]
    failed: list[str]
    missing: list[str]
    notes: list[str]
    interrupted: bool = False
    out_of_time: bool = False
    pruned: tuple[str, ...] = ()


def run(
    campaign: Campaign,
    store: Store,
    *,
    device: str = "auto",
    workers: int | None = None,
    retry: bool = False,
    max_hours: float | None = None,
    listener: Listener | None = None,
    pool: Pool | None = None,
    examples: dict[str, Examples] | None = None,
    prune: Callable[[str, dict[str, float]], bool] | None = None,
    announce: bool = True,
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
    retry : bool
        Whether runs that failed before are tried again.
    max_hours : float, optional
        After so many hours nothing new begins, and what is not finished is given up.
    listener : Listener, optional
    pool : Pool, optional
        Workers that outlive this call; made and stopped here by default.
    examples : dict, optional
        Examples of earlier calls on the same data, kept for later ones.
    prune : callable, optional
        Asked after every epoch with the key of a network and its row of history; True gives the
        network up, all its folds.
    announce : bool
        Whether the listener is told the size of the work and what the days can resolve.

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
    if max_hours is not None and not 0 < max_hours <= MOST_HOURS:
        raise SpecError(f"{max_hours:g} hours; give more than 0 and at most {MOST_HOURS:,}")
    until = None if max_hours is None else time.monotonic() + 3600 * max_hours
    limits_in(store)  # refuses a wrong checks.yaml before anything trains
    where = choose_device(device)
    todo = plan(campaign, store, retry=retry, examples=examples)
    store.prepare()
    store.write_campaign(campaign.name, {e.id: e.spec.key for e in campaign.entries})
    keep_memory()
    scribe = _Scribe(campaign, store, listener)
    scribe.failed += [spec.key for spec in todo.given_up]
    if todo.given_up:
        count = len(todo.given_up)
        listener.note(f"{count} failed before and are left out; --retry tries them again")
    size = pool_size(workers, todo) if where.name == "cpu" else 0
    if announce:
        _announce(campaign, todo, listener, todo.size(where, size))
    interrupted = False
    with contextlib.nullcontext(pool) if pool is not None else Pool(size) as workforce:
        try:
            _baseline_stage(workforce, todo, where, scribe, until)
            _network_stage(workforce, todo, where, scribe, until, prune)
        except KeyboardInterrupt:
            interrupted = True
    scribe.finish()
    out_of_time = until is not None and time.monotonic() >= until
    return _summary(campaign, todo, scribe, interrupted, out_of_time)


def _announce(campaign: Campaign, todo: Plan, listener: Listener, size: dict[str, Any]) -> None:
    listener.note(size_text(size))
    for one in resolution(campaign, todo) if todo.missing else []:
        for line in one["lines"]:
            listener.note(line)


def _summary(
    campaign: Campaign, todo: Plan, scribe: _Scribe, interrupted: bool, out_of_time: bool
) -> Summary:
    wanted = [s.key for s in (*todo.baselines, *todo.missing)]
    keys = list(dict.fromkeys(e.spec.key for e in campaign.entries))
    given_up = [s.key for s in todo.given_up]
    over = {*scribe.trained, *scribe.failed, *scribe.pruned}
    others = [key for key in wanted if key not in over and key in scribe.store]
    missing = [key for key in wanted if key not in over and key not in others]
    reused = [k for k in keys if k not in {*wanted, *given_up} or k in others]
    return Summary(
        scribe.trained, reused, scribe.failed, missing, todo.notes, interrupted, out_of_time,
        tuple(scribe.pruned),
    )  # fmt: skip


def pool_size(workers: int | None, todo: Plan) -> int:
    """Processes to start: those asked for, or one per core, but none without work."""
    cores = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    wanted = len(cores) if workers is None else workers
    return min(wanted, len(todo.baselines) + len(todo.missing))


class _Scribe:
    """Stores outcomes as they come, tells the listener, and notes in the store how far it is."""

    def __init__(self, campaign: Campaign, store: Store, listener: Listener) -> None:
        self.campaign, self.store, self.listener = campaign, store, listener
        self.leases = Leases(store)
        self.trained: list[str] = []
        self.failed: list[str] = []
        self.pruned: list[str] = []
        self.running: dict[str, list[str]] = {}
        self.stage, self.done, self.total, self.told = "", 0.0, 0.0, 0.0
        self.began = datetime.now(UTC).isoformat(timespec="seconds")

    def start(self, stage: str, total: float) -> None:
        self.stage, self.done, self.total = stage, 0.0, total
        self.listener.start(stage, total)
        self._tell()

    def begin(self, work: Work) -> bool:
        """Claim the runs of an item; False if another process has them or stored them."""
        claimed = []
        for spec in work.specs:
            if not self.leases.acquire(spec.key):
                for key in claimed:
                    self.leases.release(key)
                return False
            claimed.append(spec.key)
        for spec in work.specs:
            self.running[spec.key] = self._ids(spec)
            self.listener.begun(self._ids(spec))
        self._tell()
        return True

    def advance(self, amount: float) -> None:
        self.done += amount
        self.listener.advance(amount)
        if time.monotonic() - self.told > TOLD_EVERY_S:
            self._tell()

    def take(self, work: Work, answer: list[Outcome] | Failure) -> None:
        for spec in work.specs:
            self.running.pop(spec.key, None)
        try:
            self._keep(work, answer)
        finally:
            for spec in work.specs:
                self.leases.release(spec.key)
        self._tell()

    def _keep(self, work: Work, answer: list[Outcome] | Failure) -> None:
        if isinstance(answer, Failure):
            for spec in work.specs:
                self._fail(spec, answer.reason)
            return
        for outcome in answer:
            if outcome.failure is not None:
                self._fail(outcome.spec, outcome.failure)
                continue
            if outcome.pruned:
                self.pruned.append(outcome.spec.key)
                self.listener.pruned(self._ids(outcome.spec))
                continue
            record = {**outcome.record, **self._origin()}
            self.store.write(
                outcome.spec, record, outcome.predictions, outcome.history, outcome.parameters
            )
            self.trained.append(outcome.spec.key)
            self.listener.stored(self._ids(outcome.spec), record)

    def finish(self) -> None:
        for key in self.running:
            self.leases.release(key)
        self.leases.write_status(self.campaign.name, None)

    def _tell(self) -> None:
        self.told = time.monotonic()
        content = {
            "began": self.began, "stage": self.stage, "done": self.done, "total": self.total,
            "running": [" = ".join(ids) for ids in self.running.values()],
            "trained": len(self.trained), "failed": len(self.failed),
        }  # fmt: skip
        self.leases.write_status(self.campaign.name, content)

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
                "name": bars.name,
                "volatility": vix.name if vix else None,
                "digest": bars.digest,
                "rows": len(bars),
                "first": str(bars.dates[0]),
                "as_of": str(bars.dates[-1]),
            }
        }


def _baseline_stage(
    pool: Pool, todo: Plan, device: Device, scribe: _Scribe, until: float | None
) -> None:
    if not todo.baselines:
        return
    items = [
        Work(todo.examples_of(s), (s,), device, beside=scribe.campaign.folder)
        for s in todo.baselines
    ]
    scribe.start("baselines", len(items))

    def begin(position: int) -> bool:
        started = scribe.begin(items[position])
        if not started:
            scribe.advance(1)
        return started

    for position, answer in pool.map(_work_item, items, on_start=begin, until=until):
        scribe.take(items[position], answer)
        scribe.advance(1)


def _network_stage(
    pool: Pool, todo: Plan, device: Device, scribe: _Scribe, until: float | None,
    prune: Callable[[str, dict[str, float]], bool] | None,
) -> None:  # fmt: skip
    if not todo.missing:
        return
    items = [replace(item, asks=prune is not None) for item in todo.stacks(device)]
    epochs = [item.members * item.specs[0].recipe.epochs for item in items]
    scribe.start("networks", sum(i.gflop_per_epoch * n for i, n in zip(items, epochs, strict=True)))

    def hear(position: int, event: int | str | Question) -> bool:
        if isinstance(event, Question):
            return prune is not None and prune(*event.content)
        if isinstance(event, str):
            scribe.listener.note(event)
        else:
            scribe.advance(event * items[position].gflop_per_epoch)
        return False

    def begin(position: int) -> bool:
        started = scribe.begin(items[position])
        if not started:
            scribe.advance(epochs[position] * items[position].gflop_per_epoch)
        return started

    for position, answer in pool.map(_work_item, items, hear, begin, until):
        scribe.take(items[position], answer)


def _work_item(work: Work, report: Callable[[int | str | Question], Any]) -> list[Outcome]:
    """What a worker does: fit, then judge."""

    def prune(member: Member, row: dict[str, float]) -> bool:
        return report(Question((member.spec.key, row)))

    if work.specs[0].model.engine == "estimators":
        return [
            _judge_estimator(fit_estimator(work.examples, one, work.beside), work.examples)
            for one in work.specs
        ]
    fitted = fit_stack(
        work.examples, work.specs, work.device, report, work.width, work.mode, report,
        prune if work.asks else None,
    )  # fmt: skip
    return [_judge_network(one, work.examples) for one in fitted]


# ------------------------------------------------------------------------------------------ judging


def _judge_estimator(fit: EstimatorFit, examples: Examples) -> Outcome:
    predictions = predictions_of(examples, list(fit.logits), list(fit.logits))
    record = facts_of(fit.spec, examples) | measured(fit.spec, predictions)
    record |= {
        "chosen": fit.chosen,
        "seconds": fit.seconds,
        "device": "cpu",
        "precision": "float64",
    }
    record |= checked(fit.spec, record, predictions)
    return Outcome(fit.spec, record, predictions.frame, pl.DataFrame(schema=HISTORY), {})


def _mean_epochs(fit: Fitted) -> float:
    return sum(len(f.history) for f in fit.folds) / len(fit.folds)


def _judge_network(fit: Fitted, examples: Examples) -> Outcome:
    if fit.failure is not None or fit.pruned:
        empty = pl.DataFrame()
        return Outcome(fit.spec, {}, empty, empty, {}, fit.failure, fit.pruned)
    best, last = [f.logit for f in fit.folds], [f.logit_last for f in fit.folds]
    predictions = predictions_of(examples, best, last)
    record = facts_of(fit.spec, examples) | measured(fit.spec, predictions)
    of_last = predictions_of(examples, last, last).part(fit.spec.estimands.measured_on)
    ended = estimates_of(of_last, fit.spec.estimands)
    record["estimates_last"] = {name: e.to_dict() for name, e in ended.items()}
    record |= {
        "best_epochs": [f.best_epoch for f in fit.folds],
        "last_epochs": [len(f.history) for f in fit.folds],
        "incidents": [{"fold": f.fold, **i.to_dict()} for f in fit.folds for i in f.incidents],
        "seconds": fit.seconds, "device": fit.device, "precision": fit.precision,
        "gflop": round(work_of(fit.spec, examples, _mean_epochs(fit)) / 1e9, 3),
    }  # fmt: skip
    record |= checked(fit.spec, record, predictions)
    history = [{"fold": f.fold, **row} for f in fit.folds for row in f.history]
    parameters = {
        f"fold{f.fold}.{name}": value for f in fit.folds for name, value in f.parameters.items()
    }
    return Outcome(
        fit.spec, record, predictions.frame, pl.DataFrame(history, schema=HISTORY), parameters
    )
