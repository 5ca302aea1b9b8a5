"""Run a campaign, of whatever task: the only runner.

Missing keys are found and everything is checked before anything trains; baselines run first, then
each run after those that it begins with; jobs go to worker processes; every run is stored the
moment it is finished; what fails does not stop the others.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from trueness.callback import Callback
from trueness.campaign import Campaign
from trueness.checks import limits_in
from trueness.engines import EncoderOptions, Setting, Step, carry_out, engine_of
from trueness.engines.continued import Continued
from trueness.errors import SpecError
from trueness.execute import AnyPool, Pool, Question, keep_memory, pool_size, refuse_unguarded
from trueness.fit.device import Device, choose_device
from trueness.fit.parallel import init_distributed
from trueness.plan import Plan, plan, resolution, size_text
from trueness.plan.continuing import continued, predecessors
from trueness.recorder import RunRecorder
from trueness.store import Store

MOST_HOURS = 100_000
Prune: TypeAlias = Callable[[str, dict[str, float]], bool]
"""Key of a network and its row of history -> whether it is given up."""


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
    callback: Callback | None = None,
    pool: AnyPool | None = None,
    examples: dict[str, Any] | None = None,
    prune: Prune | None = None,
    announce: bool = True,
    update: bool = False,
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
    callback : Callback, optional
    pool : AnyPool, optional
        Workers that outlive this call; processes that are made and stopped here by default.
    examples : dict, optional
        Examples of earlier calls on the same data, kept for later ones.
    prune : callable, optional
        Asked after every epoch with the key of a network and its row of history; True gives the
        network up, all its folds.
    announce : bool
        Whether the callback is told the size of the work and what the data can resolve.
    update : bool
        Whether runs continue stored ones whose data ended earlier: folds that the same units
        trained keep their weights and scores, and only new units are scored.

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
    todo = plan(campaign, store, retry=retry, examples=examples)
    if pool is None and not todo.specs and device in ("auto", "cpu"):
        where = Device("cpu", has_bf16=False)  # nothing is trained, and torch is not loaded
    else:
        where = choose_device(device) if pool is None else pool.device(device)
    setting = Setting(
        where, store.root, encoders or EncoderOptions(), asks=prune is not None,
        folder=campaign.folder, shared=pool is None or pool.sees(store.checkpoints),
    )  # fmt: skip
    todo.check(setting)
    ranks, name = init_distributed(where.name)
    rank_callback = callback if callback is not None and ranks.is_main else Callback()
    setting = replace(setting, device=replace(where, name=name), ranks=ranks)
    if update or announce:
        setting = replace(
            setting, continues=_continued(campaign, todo, rank_callback, update=update)
        )
    here = name == "cpu" and ranks.world == 1
    own = Pool(pool_size(workers, len(todo.specs)) if here else 0)
    with own if pool is None else contextlib.nullcontext(pool) as workforce:
        workforce.start()
        workforce.check(lambda: todo.jobs(todo.specs, setting))
        recorder = RunRecorder(campaign, store, rank_callback, setting)
        work = _Work(recorder, todo, setting, workforce, until, prune)
        return work.carry_out(min(workforce.size, len(todo.specs)) if announce else None)


def _continued(
    campaign: Campaign, todo: Plan, callback: Callback, *, update: bool
) -> dict[str, Continued]:
    """What runs continue, if that is wanted; the callback is told what there is."""
    result = predecessors(campaign, todo.store, todo.specs)
    made, note = continued(result, todo) if update and todo.specs else ({}, result.offer)
    for line in [note, *(result.refusals if update else [])]:
        if line:
            callback.on_note(line)
    return made


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


@dataclass(frozen=True)
class _Work:
    """Carries a plan out, wave after wave, until its time is over."""

    recorder: RunRecorder
    todo: Plan
    setting: Setting
    pool: AnyPool
    until: float | None
    prune: Prune | None

    @property
    def out_of_time(self) -> bool:
        return self.until is not None and time.monotonic() >= self.until

    def carry_out(self, size: int | None) -> Summary:
        """All waves; `size` of the pool if the work is to be announced."""
        recorder, todo = self.recorder, self.todo
        recorder.open()
        keep_memory()
        if todo.given_up:
            recorder.failed += [spec.key for spec in todo.given_up]
            recorder.callback.on_note(
                f"{len(todo.given_up)} failed before and are left out; --retry tries them again"
            )
        if size is not None and todo.specs:
            self._announce(size)
        interrupted = False
        try:
            self._waves()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            recorder.finish()
            self.setting.ranks.close()
        return self._summary(interrupted, self.out_of_time)

    def _announce(self, size: int) -> None:
        todo, note = self.todo, self.recorder.callback.on_note
        note(size_text(todo.size(self.setting, size)))
        for one in resolution(self.recorder.campaign, todo) if todo.missing else []:
            for line in one["lines"]:
                note(line)

    def _waves(self) -> None:
        """What can begin, baselines first; then what that makes possible."""
        store, pending = self.recorder.store, self.todo.specs
        while pending and not self.out_of_time:
            ready = [s for s in pending if all(key in store for key in s.depends_on)]
            wave = [s for s in ready if s.is_baseline] or ready
            if not wave:
                self._give_up(pending)
                return
            self._wave(wave)
            self.setting.ranks.wait()  # for what the first one stores
            pending = [s for s in pending if s not in wave]

    def _wave(self, wave: Sequence[Any]) -> None:
        jobs = [
            job for job in self.todo.jobs(wave, self.setting)
            if self.setting.ranks.is_main or engine_of(job.engine).ranked
        ]  # fmt: skip
        if not jobs:
            return
        stages = dict.fromkeys(engine_of(job.engine).stage for job in jobs)
        self.recorder.start(", ".join(stages), jobs)

        def on_event(position: int, event: Step | str | Question) -> bool:
            if isinstance(event, Question):
                return self.prune is not None and self.prune(*event.content)
            self.recorder.on_event(position, event)
            return False

        alone = len(jobs) == 1 and engine_of(jobs[0].engine).alone
        for position, answer in self.pool.map(
            carry_out, jobs, on_event, self.recorder.begin, self.until, alone=alone
        ):
            self.recorder.take(position, answer)

    def _give_up(self, pending: Sequence[Any]) -> None:
        """Fail what begins with a run that failed; the rest waits for another process."""
        waiting = 0
        for spec in pending:
            lost = ", ".join(key for key in spec.depends_on if key in self.recorder.failed)
            if lost:
                self.recorder.fail(spec, f"the run it begins with is not stored: {lost}")
            waiting += not lost
        if waiting:
            self.recorder.callback.on_note(
                f"{waiting} begin with runs that another process is at; the same command goes on "
                "when they are stored"
            )

    def _summary(self, interrupted: bool, out_of_time: bool) -> Summary:
        recorder, todo = self.recorder, self.todo
        wanted = [s.key for s in todo.specs]
        keys = list(dict.fromkeys(e.spec.key for e in recorder.campaign.entries))
        given_up = [s.key for s in todo.given_up]
        over = {*recorder.trained, *recorder.failed, *recorder.pruned}
        others = [key for key in wanted if key not in over and key in recorder.store]
        missing = [key for key in wanted if key not in over and key not in others]
        reused = [k for k in keys if k not in {*wanted, *given_up} or k in others]
        return Summary(
            recorder.trained, reused, recorder.failed, missing, todo.notes, interrupted,
            out_of_time, tuple(recorder.pruned), self.setting.ranks.is_main,
        )  # fmt: skip
