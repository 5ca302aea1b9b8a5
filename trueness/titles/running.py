"""Carry out a campaign on titles: baselines first, then encoders, each stored when it is done."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trueness.campaign.titles import TitlesCampaign, TitlesEntry
from trueness.errors import SpecError, at_least
from trueness.evaluation.by_group import judged_groups
from trueness.execute import Failure, Pool, keep_memory
from trueness.files import cache_folder
from trueness.fit.device import choose_device
from trueness.fit.titles import Event, Saving, Setting, join_ranks, precision_on, tokenizer_of
from trueness.fit.titles.checkpoint import load_checkpoint
from trueness.spec.titles import TitlesSpec, TitlesTask
from trueness.store import Store
from trueness.store.leases import Leases
from trueness.text.corpus import PARTS, Corpus
from trueness.titles.work import TitlesOutcome, Work, carry_out, check_source_run

FOLDER = "titles"
"""Folder of what belongs to texts inside a store and the cache."""


class TitlesRunListener:
    """Hears how a campaign proceeds; subclass or duck-type it to show progress."""

    def begun(self, id_: str) -> None:
        """A run begins."""

    def heard(self, id_: str, event: Event) -> None:
        """A run got on; see `trueness.fit.titles.progress`."""

    def stored(self, id_: str, record: dict[str, Any]) -> None:
        """A run was stored."""

    def failed(self, id_: str, reason: str) -> None:
        """A run failed; its traceback is in the store."""

    def note(self, text: str) -> None:
        """Something else a reader should know."""


@dataclass(frozen=True)
class TitlesSummary:
    """Keys that were trained, reused, failed, and are still missing.

    `speaks` is False in all processes of torchrun but the first.
    """

    trained: list[str]
    reused: list[str]
    failed: list[str]
    missing: list[str]
    interrupted: bool = False
    speaks: bool = True


@dataclass(frozen=True)
class Options:
    """How a campaign is carried out; nothing here changes what is measured.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    workers : int, optional
        Processes on a CPU, one thread each, one per core by default; 0, and a single run, stay in
        this process.
    tokenizer : Path, optional
        File of the tokenizer, where specs name one.
    compiled : bool
        Whether the encoder is compiled: minutes at the start, faster updates on a GPU.
    restart : bool
        Whether checkpoints are ignored.
    every_epochs, every_minutes
        How often a checkpoint is written.
    retry : bool
        Whether runs that failed before are tried again.
    """

    device: str = "auto"
    workers: int | None = None
    tokenizer: Path | None = None
    compiled: bool = False
    restart: bool = False
    every_epochs: int = 1
    every_minutes: float = 5.0
    retry: bool = False
    checkpoint: Path | None = None


def run_titles(
    campaign: TitlesCampaign, corpus: Corpus, store: Store, *,
    options: Options | None = None, listener: TitlesRunListener | None = None,
) -> TitlesSummary:  # fmt: skip
    """Carry out what is missing of a campaign on titles.

    Baselines come first, then encoders, each after the runs that it starts from. Under torchrun the
    first process fits the baselines, then all train one encoder after the other together; no other
    call should work on the same campaign then.

    Parameters
    ----------
    campaign : TitlesCampaign
    corpus : Corpus
    store : Store
    options : Options, optional
    listener : TitlesRunListener, optional

    Returns
    -------
    TitlesSummary
        Ctrl-C returns it with `interrupted` set; what was finished is stored, the rest goes on
        from its checkpoint.

    Raises
    ------
    SpecError, StoreError, DataError
        Before anything trains.
    """
    options, listener = options or Options(), listener or TitlesRunListener()
    device = choose_device(options.device)
    _check(campaign, corpus, store, options)
    for entry in campaign.entries:
        precision_on(device, entry.spec)
    ranks, name = join_ranks(device.name)
    setting = Setting(replace(device, name=name), options.compiled, ranks)
    store.prepare()
    if ranks.first:
        store.write_campaign(campaign.name, {e.id: e.spec.key for e in campaign.entries})
    keep_memory()
    stage = _Stage(campaign, corpus, store, options, setting, listener)
    interrupted = False
    try:
        stage.carry_out()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        stage.release()
        ranks.close()
    keys = list(dict.fromkeys(e.spec.key for e in campaign.entries))
    over = {*stage.trained, *stage.failed}
    reused = [key for key in keys if key not in over and key in store]
    missing = [key for key in keys if key not in over and key not in reused]
    return TitlesSummary(stage.trained, reused, stage.failed, missing, interrupted, ranks.first)


def _check(campaign: TitlesCampaign, corpus: Corpus, store: Store, options: Options) -> None:
    """Refuse what could only fail later, when baselines are stored or hours are gone."""
    _check_name(campaign.name, store)
    if options.workers is not None and options.workers < 0:
        raise SpecError(f"{options.workers} workers; give 0 to stay in this process, or more")
    at_least("save_every", options.every_epochs, 1)
    if not options.every_minutes > 0:
        raise SpecError(f"save_minutes {options.every_minutes}: a number above 0 is needed")
    corpus.verify()
    for part in PARTS:
        corpus.part(part)  # refuses a label that is no class
    own = {entry.spec.key for entry in campaign.experiments}
    nouns = campaign.entries[0].spec.estimands.nouns
    for rows in {entry.spec.evaluation.min_rows for entry in campaign.entries}:
        judged_groups(corpus.part("validation").language, rows, nouns)
    for spec in (entry.spec for entry in campaign.entries):
        if spec.task.corpus != corpus.digest:
            raise SpecError(
                f"the spec is about corpus {spec.task.corpus}, {corpus.folder} is {corpus.digest}"
            )
        for key in sorted(spec.depends_on - own):
            if key not in store:
                raise SpecError(
                    f"{store.root}: run {key}, which is to teach or to lend its weights, is not "
                    "stored; give the whole key of a stored run"
                )
            check_source_run(spec, store.run(key), corpus.classes)
        if options.checkpoint is not None and not spec.is_baseline:
            load_checkpoint(options.checkpoint, spec, {"corpus": corpus.digest})


def _check_name(name: str, store: Store) -> None:
    """Refuse a name that a campaign of another task has in this store: ids would be mixed up."""
    keys = [key for some in store.campaigns().get(name, {}).values() for key in some]
    known = (store.run(key).spec.task.kind for key in keys if key in store)
    other = next((kind for kind in known if kind != "titles"), None)
    if other is not None:
        raise SpecError(
            f"{store.root}: a campaign {name!r} on {other} is there; call this one differently, or "
            "give another --store", "campaign_kind",
        )  # fmt: skip


@dataclass
class _Stage:
    """What a campaign still has to do, and what came of the rest."""

    campaign: TitlesCampaign
    corpus: Corpus
    store: Store
    options: Options
    setting: Setting
    listener: TitlesRunListener
    trained: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    claimed: set[str] = field(default_factory=set)

    def carry_out(self) -> None:
        """Work in waves: everything whose beginnings are stored, then what that makes possible."""
        pending = self._pending()
        while pending:
            ready = [e for e in pending if all(key in self.store for key in e.spec.depends_on)]
            baselines = [e for e in ready if e.spec.is_baseline]
            wave = baselines or ready
            if not wave:
                self._give_up(pending)
                return
            self._work(wave)
            self.setting.ranks.wait()  # for what the first one stores
            pending = [e for e in pending if e not in wave]

    def _give_up(self, pending: Sequence[TitlesEntry]) -> None:
        """Fail what begins with a run that failed; the rest waits for another process."""
        waiting = 0
        for entry in pending:
            lost = ", ".join(key for key in entry.spec.depends_on if key in self.failed)
            if lost:
                self._fail(entry, f"the run it begins with is not stored: {lost}")
            waiting += not lost
        if waiting:
            self.listener.note(
                f"{waiting} begin with runs that another process is at; the same command goes on "
                "when they are stored"
            )

    def _pending(self) -> list[TitlesEntry]:
        """One entry per key that is not stored; those that failed before are left out."""
        before = set() if self.options.retry else {*self.store.failures()}
        first = {e.spec.key: e for e in reversed(self.campaign.entries)}
        entries = [e for e in self.campaign.entries if first[e.spec.key] is e]
        missing = [e for e in entries if e.spec.key not in self.store]
        given_up = [e for e in missing if e.spec.key in before]
        if given_up:
            self.listener.note(
                f"{len(given_up)} failed before and are left out; --retry tries them again"
            )
            self.failed += [e.spec.key for e in given_up]
        return [e for e in missing if e not in given_up]

    def _work(self, wave: Sequence[TitlesEntry]) -> None:
        if wave[0].spec.is_baseline and not self.setting.ranks.first:
            return
        items = [self._item(entry.spec) for entry in wave]

        def begin(position: int) -> bool:
            entry = wave[position]
            alone = self.setting.ranks.world == 1
            if alone and not Leases(self.store).acquire(entry.spec.key):
                return False
            if self.setting.ranks.first:
                self.claimed.add(entry.spec.key)
                self.listener.begun(entry.id)
            return True

        def hear(position: int, event: Event) -> None:
            if self.setting.ranks.first:
                self.listener.heard(wave[position].id, event)

        with Pool(self._workers(len(items))) as pool:
            for position, answer in pool.map(carry_out, items, hear, begin):
                self._take(wave[position], answer)

    def _workers(self, items: int) -> int:
        """Processes for so many items; one item has all threads of this one."""
        if self.setting.device.name != "cpu" or self.setting.ranks.world > 1:
            return 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        wanted = cores if self.options.workers is None else self.options.workers
        return 0 if items == 1 else min(wanted, items)

    def _item(self, spec: TitlesSpec) -> Work:
        options, saving, tokenizer = self.options, None, None
        if not spec.is_baseline:
            path = options.checkpoint or self.store.root / "checkpoints" / f"{spec.key}.pt"
            saving = Saving(path, options.every_epochs, options.every_minutes, not options.restart)
            tokenizer = tokenizer_file(spec.task, self.corpus, options.tokenizer)
        cache = cache_folder() / FOLDER
        return Work(
            spec, self.corpus.folder, self.store.root, tokenizer, cache, self.setting, saving
        )

    def _take(self, entry: TitlesEntry, answer: TitlesOutcome | Failure) -> None:
        key = entry.spec.key
        try:
            if isinstance(answer, Failure):
                self._fail(entry, answer.reason)
            elif self.setting.ranks.first:
                self._keep(entry, answer)
        finally:
            if key in self.claimed:
                Leases(self.store).release(key)
                self.claimed.remove(key)

    def _keep(self, entry: TitlesEntry, outcome: TitlesOutcome) -> None:
        self.store.write(
            outcome.spec, outcome.record, outcome.predictions, outcome.history,
            outcome.parameters, outcome.files,
        )  # fmt: skip
        (self.store.root / "checkpoints" / f"{outcome.spec.key}.pt").unlink(missing_ok=True)
        self.trained.append(entry.spec.key)
        self.listener.stored(entry.id, outcome.record)

    def _fail(self, entry: TitlesEntry, reason: str) -> None:
        self.failed.append(entry.spec.key)
        if self.setting.ranks.first:
            self.store.write_failure(entry.spec, reason)
            self.listener.failed(entry.id, reason)

    def release(self) -> None:
        """Give up what is still claimed."""
        for key in self.claimed:
            Leases(self.store).release(key)


def tokenizer_file(task: TitlesTask, corpus: Corpus, given: Path | None) -> Path:
    """File of a task's tokenizer; one that is trained is kept in the cache of the user."""
    if task.tokenizer.kind == "file":
        tokenizer_of(task, corpus, given)  # refuses another one
        assert given is not None
        return given
    setting = task.tokenizer.model_dump_json()
    path = cache_folder() / FOLDER / f"tokenizer-{corpus.digest}-{_digest(setting)}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}")
        tokenizer_of(task, corpus, None).save(str(temporary))
        temporary.replace(path)
    return path


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
