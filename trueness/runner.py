"""Run a campaign, of whatever task: the only runner.

Missing keys are found and everything is checked before anything trains; baselines run first, then
each run after those that it begins with; jobs go to worker processes; every run is stored the
moment it is finished; what fails does not stop the others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from trueness.campaign import Campaign
from trueness.checks import limits_in
from trueness.engines import (
    EncoderOptions,
    Job,
    Outcome,
    Setting,
    Step,
    carry_out,
    engine_of,
)
from trueness.errors import SpecError
from trueness.execute import Failure, Pool, Question, keep_memory, refuse_unguarded
from trueness.fit.device import choose_device
from trueness.fit.parallel import join_ranks
from trueness.plan import Plan, plan, pool_size, resolution, size_text
from trueness.store import Store
from trueness.store.leases import Leases

MOST_HOURS = 100_000
TOLD_EVERY_S = 2.0
"""Seconds between two notes on progress in the store."""


class Listener:
    """Hears how a campaign proceeds; subclass or duck-type it to show progress."""

    def start(self, stage: str, total: float) -> None:
        """A stage begins that takes at most so much work."""

    def begun(self, ids: list[str]) -> None:
        """Experiments that are fitted from now on."""

    def advance(self, amount: float, text: str = "") -> None:
        """So much work came nearer to the end, and a word about it, such as a loss."""

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
    were given up because the caller said so; nothing of them is stored. `speaks` is False in all
    processes of torchrun but the first.
    """

    trained: list[str]
    reused: list[str]
    failed: list[str]
    missing: list[str]
    notes: list[str]
    interrupted: bool = False
    out_of_time: bool = False
    pruned: tuple[str, ...] = ()
    speaks: bool = True


def run(
    campaign: Campaign,
    store: Store,
    *,
    device: str = "auto",
    workers: int | None = None,
    retry: bool = False,
    max_hours: float | None = None,
    encoders: EncoderOptions | None = None,
    listener: Listener | None = None,
    pool: Pool | None = None,
    examples: dict[str, Any] | None = None,
    prune: Callable[[str, dict[str, float]], bool] | None = None,
    announce: bool = True,
) -> Summary:
    """Carry out what is missing of a campaign.

    Parameters
    ----------
    campaign : Campaign
    store : Store
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    workers : int, optional
        Processes on a CPU, one thread each; all cores by default, 0 stays in this process.
    retry : bool
        Whether runs that failed before are tried again.
    max_hours : float, optional
        After so many hours nothing new begins, and what is not finished is given up.
    encoders : EncoderOptions, optional
        Compiling, tokenizer and checkpoints of encoders.
    listener : Listener, optional
    pool : Pool, optional
        Workers that outlive this call; made and stopped here by default.
    examples : dict, optional
        Examples of earlier calls on the same data, kept for later ones.
    prune : callable, optional
        Asked after every epoch with the key of a network and its row of history; True gives the
        network up, all its folds.
    announce : bool
        Whether the listener is told the size of the work and what the data can resolve.

    Returns
    -------
    Summary
        Ctrl-C returns it with `interrupted` set; all that was finished is stored, and encoders go
        on from their checkpoints.

    Raises
    ------
    DataError, StoreError, SpecError
        Before anything trains; with the code ``no_main_guard`` if worker processes would run the
        calling script again.
    """
    refuse_unguarded()
    if workers is not None and workers < 0:
        raise SpecError(f"{workers} workers; give 0 to stay in this process, or more")
    if max_hours is not None and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise SpecError(
            "--max-hours ends each process by its own clock; leave it out under torchrun",
            "torchrun",
        )
    if max_hours is not None and not 0 < max_hours <= MOST_HOURS:
        raise SpecError(f"{max_hours:g} hours; give more than 0 and at most {MOST_HOURS:,}")
    until = None if max_hours is None else time.monotonic() + 3600 * max_hours
    limits_in(store)  # refuses a wrong checks.yaml before anything trains
    _check_name(campaign, store)
    where = choose_device(device)
    setting = Setting(
        where, store.root, encoders or EncoderOptions(), asks=prune is not None,
        folder=campaign.folder,
    )  # fmt: skip
    todo = plan(campaign, store, retry=retry, examples=examples)
    todo.check(setting)
    ranks, name = join_ranks(where.name)
    setting = replace(setting, device=replace(where, name=name), ranks=ranks)
    size = pool_size(workers, len(todo.specs)) if name == "cpu" and ranks.world == 1 else 0
    with contextlib.nullcontext(pool) if pool is not None else Pool(size) as workforce:
        workforce.start()
        work = _Work(campaign, store, listener or Listener(), todo, setting, workforce)
        return work.carry_out(until, prune, size if announce else None)


def _check_name(campaign: Campaign, store: Store) -> None:
    """Refuse a name that a campaign of another task has in this store: ids would be mixed up."""
    keys = [key for some in store.campaigns().get(campaign.name, {}).values() for key in some]
    known = (store.run(key).spec.task.kind for key in keys if key in store)
    other = next((kind for kind in known if kind != campaign.kind), None)
    if other is not None:
        raise SpecError(
            f"{store.root}: a campaign {campaign.name!r} on {other} is there; call this one "
            "differently, or give another --store", "campaign_kind",
        )  # fmt: skip


class _Work:
    """Carries a plan out, wave after wave."""

    def __init__(
        self, campaign: Campaign, store: Store, listener: Listener, todo: Plan, setting: Setting,
        pool: Pool,
    ) -> None:  # fmt: skip
        self.todo, self.setting, self.pool = todo, setting, pool
        self.speaks = setting.ranks.first
        heard = listener if self.speaks else Listener()
        self.scribe = _Scribe(campaign, store, heard, setting)

    def carry_out(
        self, until: float | None, prune: Callable[[str, dict[str, float]], bool] | None,
        size: int | None,
    ) -> Summary:  # fmt: skip
        """All waves; `size` of the pool if the work is to be announced."""
        scribe, todo = self.scribe, self.todo
        scribe.open()
        keep_memory()
        if todo.given_up:
            scribe.failed += [spec.key for spec in todo.given_up]
            scribe.listener.note(
                f"{len(todo.given_up)} failed before and are left out; --retry tries them again"
            )
        if size is not None and todo.specs:
            self._announce(size)
        interrupted = False
        try:
            self._waves(until, prune)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            scribe.finish()
            self.setting.ranks.close()
        out_of_time = until is not None and time.monotonic() >= until
        return self._summary(interrupted, out_of_time)

    def _announce(self, size: int) -> None:
        todo, note = self.todo, self.scribe.listener.note
        note(size_text(todo.size(self.setting, size)))
        for one in resolution(self.scribe.campaign, todo) if todo.missing else []:
            for line in one["lines"]:
                note(line)

    def _waves(
        self, until: float | None, prune: Callable[[str, dict[str, float]], bool] | None
    ) -> None:
        """What can begin, baselines first; then what that makes possible."""
        store, pending = self.scribe.store, self.todo.specs
        while pending and (until is None or time.monotonic() < until):
            ready = [s for s in pending if all(key in store for key in s.depends_on)]
            wave = [s for s in ready if s.is_baseline] or ready
            if not wave:
                self._give_up(pending)
                return
            self._wave(wave, until, prune)
            self.setting.ranks.wait()  # for what the first one stores
            pending = [s for s in pending if s not in wave]

    def _wave(
        self, wave: Sequence[Any], until: float | None,
        prune: Callable[[str, dict[str, float]], bool] | None,
    ) -> None:  # fmt: skip
        jobs = [
            job for job in self.todo.jobs(wave, self.setting)
            if self.speaks or engine_of(job.engine).ranked
        ]  # fmt: skip
        if not jobs:
            return
        stages = dict.fromkeys(engine_of(job.engine).stage for job in jobs)
        self.scribe.start(", ".join(stages), jobs)

        def hear(position: int, event: Step | str | Question) -> bool:
            if isinstance(event, Question):
                return prune is not None and prune(*event.content)
            self.scribe.hear(position, event)
            return False

        alone = len(jobs) == 1 and engine_of(jobs[0].engine).alone
        pool = Pool(0) if alone else self.pool
        for position, answer in pool.map(carry_out, jobs, hear, self.scribe.begin, until):
            self.scribe.take(position, answer)

    def _give_up(self, pending: Sequence[Any]) -> None:
        """Fail what begins with a run that failed; the rest waits for another process."""
        waiting = 0
        for spec in pending:
            lost = ", ".join(key for key in spec.depends_on if key in self.scribe.failed)
            if lost:
                self.scribe.fail(spec, f"the run it begins with is not stored: {lost}")
            waiting += not lost
        if waiting:
            self.scribe.listener.note(
                f"{waiting} begin with runs that another process is at; the same command goes on "
                "when they are stored"
            )

    def _summary(self, interrupted: bool, out_of_time: bool) -> Summary:
        scribe, todo = self.scribe, self.todo
        wanted = [s.key for s in todo.specs]
        keys = list(dict.fromkeys(e.spec.key for e in scribe.campaign.entries))
        given_up = [s.key for s in todo.given_up]
        over = {*scribe.trained, *scribe.failed, *scribe.pruned}
        others = [key for key in wanted if key not in over and key in scribe.store]
        missing = [key for key in wanted if key not in over and key not in others]
        reused = [k for k in keys if k not in {*wanted, *given_up} or k in others]
        return Summary(
            scribe.trained, reused, scribe.failed, missing, todo.notes, interrupted, out_of_time,
            tuple(scribe.pruned), self.speaks,
        )  # fmt: skip


class _Scribe:
    """Claims runs, stores outcomes as they come, tells the listener, notes how far it is."""

    def __init__(
        self, campaign: Campaign, store: Store, listener: Listener, setting: Setting
    ) -> None:
        self.campaign, self.store, self.listener = campaign, store, listener
        self.ranks, self.leases = setting.ranks, Leases(store)
        self.trained: list[str] = []
        self.failed: list[str] = []
        self.pruned: list[str] = []
        self.running: dict[str, list[str]] = {}
        self.claimed: set[str] = set()
        self.jobs: Sequence[Job] = ()
        self.left: list[float] = []
        self.stage, self.done, self.total, self.told = "", 0.0, 0.0, 0.0
        self.began = datetime.now(UTC).isoformat(timespec="seconds")

    def open(self) -> None:
        """Make the store ready, and remember the ids of the campaign."""
        self.store.prepare()
        if self.ranks.first:
            ids = {e.id: e.spec.key for e in self.campaign.entries}
            self.store.write_campaign(self.campaign.name, ids)

    def start(self, stage: str, jobs: Sequence[Job]) -> None:
        self.jobs, self.left = jobs, [job.work for job in jobs]
        self.stage, self.done, self.total = stage, 0.0, sum(self.left)
        self.listener.start(stage, self.total)
        self._tell()

    def begin(self, position: int) -> bool:
        """Claim the runs of a job; False if another process has them or stored them."""
        specs, claimed = self.jobs[position].specs, []
        for spec in specs if self.ranks.world == 1 else ():
            if not self.leases.acquire(spec.key):
                self._release(claimed)
                self._advance(position, self.left[position])
                return False
            claimed.append(spec.key)
            self.claimed.add(spec.key)
        for spec in specs:
            self.running[spec.key] = self._ids(spec)
            self.listener.begun(self._ids(spec))
        self._tell()
        return True

    def hear(self, position: int, event: Step | str) -> None:
        """Work that was done, or a note."""
        ids = " = ".join(self._ids(self.jobs[position].specs[0]))
        if isinstance(event, str):
            self.listener.note(f"{ids}: {event}")
        else:
            self._advance(position, event.work, f"{ids} {event.text}" if event.text else "")

    def take(self, position: int, answer: list[Outcome] | Failure) -> None:
        """Store what came of a job."""
        specs = self.jobs[position].specs
        for spec in specs:
            self.running.pop(spec.key, None)
        try:
            if isinstance(answer, Failure):
                for spec in specs:
                    self.fail(spec, answer.reason)
            else:
                for outcome in answer if self.ranks.first else ():
                    self._keep(outcome)
        finally:
            self._release([spec.key for spec in specs])
        self._advance(position, self.left[position])
        self._tell()

    def _release(self, keys: Sequence[str]) -> None:
        """Give up leases, of those keys that this process holds."""
        for key in self.claimed & {*keys}:
            self.leases.release(key)
            self.claimed.remove(key)

    def _keep(self, outcome: Outcome) -> None:
        spec = outcome.spec
        if outcome.failure is not None:
            self.fail(spec, outcome.failure)
        elif outcome.pruned:
            self.pruned.append(spec.key)
            self.listener.pruned(self._ids(spec))
        else:
            data = {**self.campaign.data.origin(), **outcome.record.get("data", {})}
            record = {**outcome.record, "data": data}
            self.store.write(
                spec, record, outcome.predictions, outcome.history, outcome.parameters,
                outcome.files,
            )  # fmt: skip
            self._forget(spec.key)
            self.trained.append(spec.key)
            self.listener.stored(self._ids(spec), record)

    def _forget(self, key: str) -> None:
        """Remove the checkpoints of a run that is stored."""
        folder = self.store.root / "checkpoints"
        (folder / f"{key}.pt").unlink(missing_ok=True)
        shutil.rmtree(folder / key, ignore_errors=True)

    def fail(self, spec: Any, reason: str) -> None:  # noqa: ANN401
        """Note why there is no run."""
        self.failed.append(spec.key)
        if self.ranks.first:
            self.store.write_failure(spec, reason)
            self.listener.failed(self._ids(spec), reason)

    def finish(self) -> None:
        """Give up what is still claimed."""
        self._release([*self.claimed])
        self.leases.write_status(self.campaign.name, None)

    def _advance(self, position: int, amount: float, text: str = "") -> None:
        self.left[position] -= amount
        self.done += amount
        self.listener.advance(amount, text)
        if time.monotonic() - self.told > TOLD_EVERY_S:
            self._tell()

    def _tell(self) -> None:
        self.told = time.monotonic()
        content = {
            "began": self.began, "stage": self.stage, "done": self.done, "total": self.total,
            "running": [" = ".join(ids) for ids in self.running.values()],
            "trained": len(self.trained), "failed": len(self.failed),
        }  # fmt: skip
        self.leases.write_status(self.campaign.name, content)

    def _ids(self, spec: Any) -> list[str]:  # noqa: ANN401
        return self.campaign.ids_of(spec.key)
