"""Studies in a database: opened or found again, kept alive, and read back for analysis.

A trial belongs to the process that asked for it. While it is at work it sends heartbeats; when its
process is gone, at once on this machine and after a minute without a heartbeat on others, the trial
is closed and its parameters return to the queue.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import warnings
import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from trueness.errors import SpecError, StoreError
from trueness.files import locked
from trueness.owners import Owner, me
from trueness.places import shown_url
from trueness.search.definition import Search
from trueness.search.sampling import Sampler, make_sampler
from trueness.search.space import described

HEARTBEAT_S, GRACE_S = 15, 60
WAIT_S = 60
"""Seconds that a writer waits for another one, and a connection for its answer."""
OPENINGS = 5
"""Attempts to open a database while other processes make its tables."""
IN_THE_MAKING = ("already exists", "UNIQUE constraint", "duplicate key", "no such table", "locked")
"""What a database says while another process makes its tables."""
KEPT = ("forced", "seed", "instead_of")
"""Attributes that a trial hands on to the one that takes its place."""
COUNTED = (TrialState.COMPLETE, TrialState.RUNNING, TrialState.PRUNED, TrialState.FAIL)
FILE = "search.sqlite3"
"""Database of a store's studies, if no other is named."""


@dataclass(frozen=True)
class Opened:
    """A study and the storage that it lives in."""

    study: optuna.Study
    storage: RDBStorage

    def trial_id(self, number: int) -> int:
        """Address of a trial in the storage."""
        study_id = self.storage.get_study_id_from_name(self.study.study_name)
        return self.storage.get_trial_id_from_study_id_trial_number(study_id, number)

    @contextlib.contextmanager
    def alone(self) -> Generator[None]:
        """Keep other processes away from the queue of an SQLite file; servers lock by themselves.

        SQLite knows no ``SELECT ... FOR UPDATE``: two processes could take one queued trial.
        """
        file = self.storage.engine.url.database
        if self.storage.engine.name != "sqlite" or file is None or not Path(file).is_file():
            yield
            return
        with locked(Path(f"{file}.lock")):
            yield

    def ask(self) -> optuna.trial.Trial:
        """Next trial, from the queue or the sampler, marked as this process's own."""
        with _quiet(), self.alone():  # heartbeats are sent by `heartbeat`
            trial = self.study.ask()
            trial.set_user_attr("owner", me().to_dict())
            return trial

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in these states, all without any."""
        return self.study.get_trials(deepcopy=False, states=states or None)

    def completed(self) -> list[FrozenTrial]:
        """Trials that were carried out."""
        return self.trials(TrialState.COMPLETE)

    def best(self) -> list[FrozenTrial]:
        """Best trial, or all that are not dominated; one that breaks no constraint, if any."""
        done = self.completed()
        kept = [t for t in done if all(v <= 0 for v in t.constraints.values())] or done
        if len(self.study.directions) == 1:
            ordered = sorted(kept, key=lambda t: (t.values or [0.0])[0], reverse=True)
            return ordered[:1]
        front = {t.number for t in self.study.best_trials}
        return [t for t in kept if t.number in front]

    def counted(self) -> list[FrozenTrial]:
        """Trials that were carried out, pruned and failed ones included, or are at work."""
        every = self.trials(*COUNTED)
        return [t for t in every if t.state != TrialState.FAIL or "failure" in t.user_attrs]


def open_storage(url: str, *, must_exist: bool = False) -> RDBStorage:
    """Storage with a heartbeat, such as ``sqlite:///search.sqlite3`` or ``postgresql://...``.

    Parameters
    ----------
    url : str
    must_exist : bool
        Whether an SQLite file that is not there is refused instead of made; one that cannot be
        written is then read as it is.

    Raises
    ------
    StoreError
        If it does not answer, or would live in memory only.
    """
    if re.fullmatch(r"sqlite(\+\w+)?://(/(:memory:)?)?", url):
        raise StoreError(
            f"storage {shown_url(url)} lives in memory and is lost; give sqlite:///FILE"
        )
    file = _file_of(url)
    if must_exist and url.startswith("sqlite") and not file.is_file():
        raise StoreError(f"storage {shown_url(url)} does not answer: there is no file {file}")
    if must_exist and url.startswith("sqlite:///") and not os.access(file, os.W_OK):
        return _read_only(file)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    wait = {"timeout": WAIT_S} if url.startswith("sqlite") else {"connect_timeout": WAIT_S // 6}
    for attempt in range(OPENINGS):
        try:
            with _quiet():
                storage = RDBStorage(
                    url, engine_kwargs={"connect_args": wait}, heartbeat_interval=HEARTBEAT_S,
                    grace_period=GRACE_S,
                )  # fmt: skip
            if url.startswith("sqlite"):
                _write_ahead(storage)
            return storage
        except (
            SQLAlchemyError,
            ImportError,
            ValueError,
            RuntimeError,
            OSError,
            TypeError,
        ) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
            if attempt + 1 < OPENINGS and any(word in reason for word in IN_THE_MAKING):
                time.sleep(0.3 * (attempt + 1))
                continue
            raise StoreError(
                f"storage {shown_url(url)} does not answer: {shown_url(reason)}"
            ) from None
    raise AssertionError


def file_url(path: Path) -> str:
    """Address of an SQLite file, whatever characters its path has.

    Examples
    --------
    >>> file_url(Path("/stores/a?b/search.sqlite3"))
    'sqlite:////stores/a%3Fb/search.sqlite3'
    """
    return URL.create("sqlite", database=str(path)).render_as_string()


def _file_of(url: str) -> Path:
    """File that an address names; of no use for servers."""
    try:
        return Path(make_url(url).database or "")
    except ArgumentError:
        return Path(url.partition(":///")[2])


def _read_only(file: Path) -> RDBStorage:
    """Storage of an SQLite file that belongs to somebody else.

    Without a write-ahead log beside it, nobody is at work, and SQLite need not look for one.
    """
    calm = {} if Path(f"{file}-wal").exists() else {"immutable": "1"}
    url = URL.create(
        "sqlite", database=f"file:{quote(str(file))}", query={"mode": "ro", "uri": "true", **calm}
    )
    return RDBStorage(
        url.render_as_string(), skip_compatibility_check=True, skip_table_creation=True
    )


def _write_ahead(storage: RDBStorage) -> None:
    """Let SQLite write ahead: a commit costs a tenth, and survives the death of its process."""

    def ask_for_it(connection: Any, record: object) -> None:  # noqa: ANN401 - a driver's own
        del record
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    storage.engine.dispose()
    event.listen(storage.engine, "connect", ask_for_it)


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "Heartbeat of storage is supposed to be used with")
        yield


def open_study(
    search: Search, objective: Sequence[str], storage: RDBStorage, *, sampler: Sampler = "tpe",
    seed: int = 42, about: dict[str, Any] | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> Opened:  # fmt: skip
    """Study of a search, made with its forced extremes or found again.

    Parameters
    ----------
    search : Search
    objective : sequence of str
        One name per value that is maximised.
    storage : RDBStorage
        From `open_storage`.
    sampler : {"tpe", "gp", "random"}
    seed : int
        Of the sampler; a study that is found again goes on with another stream.
    about : dict, optional
        What else must be the same when the study is found again.
    pruner : BasePruner, optional
        From `make_pruner`; nothing is pruned by default.

    Raises
    ------
    SpecError
        If the storage holds a study of that name with another space, data or objective.
    """
    made = {
        "space": search.space.digest, "data": search.context.data.digest,
        "protocol": search.context.protocol, "recipe": search.context.recipe,
        "objective": " ".join(objective), **(about or {}),
    }  # fmt: skip
    with translate_errors(search.name):
        study = optuna.create_study(
            storage=storage, study_name=search.name, load_if_exists=True,
            directions=["maximize"] * len(objective),
        )  # fmt: skip
        known = study.user_attrs
        if "made" not in known and any(t.state != TrialState.WAITING for t in study.get_trials()):
            raise SpecError(
                f"the storage holds a study {search.name} that trueness did not make; give another "
                "--name, or another --storage"
            )
        _check_same(search.name, known.get("made", made), made)
        stream = seed if not study.get_trials(deepcopy=False) else _another(seed, study)
        study.sampler = make_sampler(sampler, stream)
        study.pruner = pruner or optuna.pruners.NopPruner()
        if "made" not in known:
            for which, parameters in search.forced():
                study.enqueue_trial(parameters, user_attrs={"forced": which}, skip_if_exists=True)
            study.set_user_attr("about", _about(search))
            study.set_user_attr("made", made)
    return Opened(study, storage)


@contextlib.contextmanager
def translate_errors(name: str) -> Generator[None]:
    """Say in one line that the storage of a study fails.

    Raises
    ------
    StoreError
        In place of what the database or its driver raises.
    """
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise StoreError(f"the storage of the study {name} fails: {shown_url(reason)}") from None


def _check_same(name: str, known: dict[str, Any], made: dict[str, Any]) -> None:
    for what in dict.fromkeys((*made, *known)):
        if known.get(what) != made.get(what):
            raise SpecError(
                f"the study {name} was made with another {what} ({known.get(what)}, now "
                f"{made.get(what)}); give another --name, or another --storage"
            )


def _about(search: Search) -> dict[str, Any]:
    """What the readers of a study need and its trials do not tell."""
    spec = search.spec(search.any_valid())
    return {
        "title": search.title, "budget": search.budget, "tier": getattr(spec.task, "tier", None),
        "horizon": getattr(spec.task, "horizon", None), "protocol": spec.evaluation.protocol,
        "sources": search.sources, "full_epochs": search.full_epochs,
        "shapes": [list(shape) for shape in search.shapes] or None,
        "leaves": {leaf.name: described(leaf) for leaf in search.space.leaves()},
    }  # fmt: skip


def _another(seed: int, study: optuna.Study) -> int:
    """Seed of a process that goes on with a study, or joins it."""
    return zlib.crc32(f"{seed} {len(study.get_trials(deepcopy=False))} {me().token}".encode())


# ------------------------------------------------------------------------------------ liveness


@contextlib.contextmanager
def heartbeat(opened: Opened, numbers: Sequence[int]) -> Generator[None]:
    """Tell the storage that these trials are still at work."""
    ids, over = [opened.trial_id(number) for number in numbers], threading.Event()

    def beat() -> None:
        while True:
            for trial_id in ids:
                with contextlib.suppress(SQLAlchemyError):  # the next beat may come through
                    opened.storage.record_heartbeat(trial_id)
            if over.wait(HEARTBEAT_S):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def requeue_orphans(opened: Opened) -> int:
    """Put trials back whose process is gone, and say how many other machines still work on.

    Call it while this process works on none.
    """
    with _quiet(), opened.alone():
        return _requeue_dead(opened)


def _requeue_dead(opened: Opened) -> int:
    elsewhere, silent = 0, _silent(opened)
    for trial in opened.trials(TrialState.RUNNING):
        owner = _owner_of(trial)
        if owner is None:
            gone = _is_old(trial)
        elif owner.is_here:
            gone = owner == me() or owner.is_gone  # one that is stopped or suspended is not
        else:
            gone = trial.number in silent
            elsewhere += not gone
        if gone:
            _give_back(opened.study, trial)
    return elsewhere


def _silent(opened: Opened) -> set[int]:
    """Numbers of the running trials without a heartbeat for a minute, by the database's clock."""
    study_id = opened.storage.get_study_id_from_name(opened.study.study_name)
    stale = opened.storage._get_stale_trial_ids(study_id)
    return {opened.storage.get_trial_number_from_id(trial_id) for trial_id in stale}


def _owner_of(trial: FrozenTrial) -> Owner | None:
    """Process that a trial belongs to; None if it was killed while it asked, or asks just now."""
    try:
        return Owner.from_dict(trial.user_attrs["owner"])
    except (KeyError, TypeError, ValueError):
        return None


def _is_old(trial: FrozenTrial) -> bool:
    """Whether a trial began more than a minute ago, or in the future by a wrong clock."""
    began = trial.datetime_start or datetime.now()
    return not 0 <= (datetime.now() - began).total_seconds() <= GRACE_S


def _give_back(study: optuna.Study, trial: FrozenTrial) -> None:
    """Close a trial, and queue its parameters; one process alone succeeds."""
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
        study.tell(trial.number, state=TrialState.FAIL)
        queue_again(study, trial)


def queue_again(study: optuna.Study, trial: FrozenTrial | optuna.trial.Trial) -> None:
    """Queue the parameters of a trial that was closed without being carried out."""
    if trial.params:
        kept = {n: v for n, v in trial.user_attrs.items() if n in KEPT}
        study.enqueue_trial(trial.params, user_attrs={"instead_of": trial.number, **kept})
