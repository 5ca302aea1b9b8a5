"""What comes of a campaign: runs are leased, stored the moment they are finished, and told of."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from trueness.callback import Callback
from trueness.campaign import Campaign
from trueness.engines import Epoch, Job, Outcome, Setting, Step
from trueness.execute import Failure
from trueness.files import remove
from trueness.owners import peak_memory
from trueness.store import Store
from trueness.store.leases import Leases

REPORT_EVERY_S = 2.0
"""Seconds between two notes on progress in the store."""


class RunRecorder:
    """Leases runs, stores outcomes as they come, tells the callback, notes how far it is."""

    def __init__(
        self, campaign: Campaign, store: Store, callback: Callback, setting: Setting
    ) -> None:
        self.campaign, self.store, self.callback = campaign, store, callback
        self.ranks, self.leases = setting.ranks, Leases(store)
        self.continues = setting.continues
        self.trained: list[str] = []
        self.failed: list[str] = []
        self.pruned: list[str] = []
        self.running: dict[str, list[str]] = {}
        self.leased: set[str] = set()
        self.epochs: list[Epoch] = []
        self.jobs: Sequence[Job] = ()
        self.left: list[float] = []
        self.stage, self.word, self.done, self.total, self.reported_at = "", "", 0.0, 0.0, 0.0
        self.stage_began = time.monotonic()
        self.began = datetime.now(UTC).isoformat(timespec="seconds")

    def open(self) -> None:
        """Make the store ready, and remember the ids of the campaign."""
        self.store.prepare()
        if self.ranks.is_main:
            self.leases.sweep()
            ids = {e.id: e.spec.key for e in self.campaign.entries}
            aside = self.store.write_campaign(
                self.campaign.name,
                ids,
                self.campaign.title,
                self.campaign.reference,
                [e.id for e in self.campaign.baselines],
            )
            if aside is not None:
                self.callback.on_note(
                    f"what was known of ids of {self.campaign.name} is damaged; it was put aside "
                    f"as {aside}"
                )

    def start(self, stage: str, jobs: Sequence[Job]) -> None:
        """A stage begins with these jobs."""
        self.jobs, self.left = jobs, [job.work for job in jobs]
        self.stage, self.word, self.done, self.total = stage, "", 0.0, sum(self.left)
        self.stage_began = time.monotonic()
        self.callback.on_stage_start(stage, self.total)
        self._tell()

    def begin(self, position: int) -> bool:
        """Lease the runs of a job; False if another process has them or stored them."""
        specs, leased = self.jobs[position].specs, []
        for spec in specs if self.ranks.world == 1 else ():
            if not self.leases.acquire(spec.key):
                self._release(leased)
                self._held(spec)
                self._advance(position, self.left[position])
                return False
            leased.append(spec.key)
            self.leased.add(spec.key)
        for spec in specs:
            self.running[spec.key] = self._ids(spec)
            self.callback.on_run_start(self._ids(spec))
        self._tell()
        return True

    def _held(self, spec: Any) -> None:  # noqa: ANN401
        """Say who trains a run, unless it was stored meanwhile."""
        holder = self.leases.holder(spec.key)
        if holder is not None and spec.key not in self.store:
            ids = " = ".join(self._ids(spec)) or spec.key
            self.callback.on_note(
                f"{ids} is held by {holder.text}; the same command goes on when it is stored, or "
                f"two minutes after its last sign of life"
            )

    def on_event(self, position: int, event: Step | str) -> None:
        """Work that was done, or a note."""
        ids = " = ".join(self._ids(self.jobs[position].specs[0]))
        if isinstance(event, str):
            self.callback.on_note(f"{ids}: {event}")
        else:
            if event.epoch is not None:
                self.epochs.append(event.epoch)
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
                for outcome in answer if self.ranks.is_main else ():
                    self._keep(outcome)
        finally:
            self._release([spec.key for spec in specs])
        self._advance(position, self.left[position])
        self._tell()

    def _release(self, keys: Sequence[str]) -> None:
        """Give up leases, of those keys that this process holds."""
        for key in self.leased & {*keys}:
            self.leases.release(key)
            self.leased.remove(key)

    def _keep(self, outcome: Outcome) -> None:
        spec = outcome.spec
        if outcome.failure is not None:
            self.fail(spec, outcome.failure)
        elif outcome.pruned:
            self.pruned.append(spec.key)
            self.callback.on_run_pruned(self._ids(spec))
        else:
            data = {**self.campaign.data.origin(), **outcome.record.get("data", {})}
            record = {**outcome.record, "data": data, **self._continues(outcome)}
            self.store.write(
                spec, record, outcome.predictions, outcome.history, outcome.parameters,
                outcome.files,
            )  # fmt: skip
            self._forget(spec.key)
            self.trained.append(spec.key)
            self.callback.on_run_stored(self._ids(spec), record)

    def _continues(self, outcome: Outcome) -> dict[str, Any]:
        """The stored run that a run continues, and which of its folds were trained."""
        before = self.continues.get(outcome.spec.key)
        if before is None:
            return {}
        averages = outcome.spec.model.engine == "ensemble"
        every = [] if averages else list(range(len(outcome.record["folds"])))
        return {
            "continues": before.key, "ancestors": list(before.ancestors),
            "trained_folds": outcome.record.get("trained_folds", every),
        }  # fmt: skip

    def _forget(self, key: str) -> None:
        """Remove the checkpoints of a run that is stored."""
        folder = self.store.checkpoints
        for name in (f"{key}.pt", key):
            remove(folder / name)

    def fail(self, spec: Any, reason: str) -> None:  # noqa: ANN401
        """Note why there is no run."""
        self.failed.append(spec.key)
        if self.ranks.is_main:
            self.store.write_failure(spec, reason)
            self.callback.on_run_failed(self._ids(spec), reason)

    def finish(self) -> None:
        """Give up what is still leased."""
        self._release([*self.leased])
        self.leases.write_status(self.campaign.name, None)

    def _advance(self, position: int, amount: float, text: str = "") -> None:
        self.left[position] -= amount
        self.done += amount
        self.word = text or self.word
        self.callback.on_progress(amount, text)
        if time.monotonic() - self.reported_at > REPORT_EVERY_S:
            self._tell()

    def _tell(self) -> None:
        self.reported_at = time.monotonic()
        content = {
            "began": self.began, "stage": self.stage, "done": self.done, "total": self.total,
            "running": [" = ".join(ids) for ids in self.running.values()],
            "trained": len(self.trained), "failed": len(self.failed), "word": self.word,
            "seconds": round(time.monotonic() - self.stage_began, 1), "memory": peak_memory(),
        }  # fmt: skip
        self.leases.write_status(self.campaign.name, content)
        self.leases.add_epochs(self.campaign.name, self.epochs)
        self.epochs = []

    def _ids(self, spec: Any) -> list[str]:  # noqa: ANN401
        return self.campaign.ids_of(spec.key)
