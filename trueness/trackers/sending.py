"""Stored runs sent to a tracker, each once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Protocol, TypeAlias, get_args

import polars as pl

from trueness.document import Column, Document, Sentence, Table, numbers
from trueness.errors import TruenessError, nearest
from trueness.judge.access import record_access
from trueness.judge.finding import find_run, find_runs, name_of
from trueness.judge.judgement import SCHEMA
from trueness.own import check_installed, translate_errors
from trueness.places import shown_url
from trueness.store import AnyStore, Run
from trueness.trackers.entry import Entry, Page, entry_of

Kind: TypeAlias = Literal["mlflow", "wandb", "tensorboard"]
NAMES: dict[Kind, str] = {
    "mlflow": "MLflow", "wandb": "Weights & Biases", "tensorboard": "TensorBoard",
}  # fmt: skip
TRACKERS: dict[Kind, tuple[str, str]] = {
    "mlflow": ("mlflow", "mlflow_runs:opened"),
    "wandb": ("wandb", "wandb_runs:opened"),
    "tensorboard": ("tensorboardX", "tensorboard_events:opened"),
}
"""Word -> the package that it needs, and what opens it in a module of this room."""
DEFAULT_EXPERIMENT = "trueness"
"""Of runs that belong to no campaign."""


class Tracker(Protocol):
    """An experiment of a tracker: what is known there, and how a run gets there."""

    def find(self, key: str) -> str | None:
        """Where the run with this key is; None if it is not there whole."""
        ...

    def log(self, entry: Entry) -> str:
        """Send a run, whole or not at all, and say where it is."""
        ...


Opener: TypeAlias = Callable[[str | None, str], Tracker]
"""From an address, the tracker's own default without one, and the name of an experiment."""


@dataclass(frozen=True)
class LoggedRun:
    """A run at a tracker: where it is, and whether it was sent now."""

    key: str
    name: str
    experiment: str
    address: str
    sent: bool


@dataclass(frozen=True)
class Logged:
    """What became of runs that were to be logged."""

    tracker: Kind
    uri: str | None
    runs: tuple[LoggedRun, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "log", "tracker": self.tracker, "uri": self.uri,
            "runs": [vars(one).copy() for one in self.runs],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per run."""
        return pl.DataFrame([vars(one) for one in self.runs], infer_schema_length=None)

    def document(self) -> Document:
        """What was sent, and what was there."""
        n_sent = sum(one.sent for one in self.runs)
        there = len(self.runs) - n_sent
        known = f", {there:,} there already" if there else ""
        columns = [
            Column("id", "text", 9), Column("key", "code", 8), Column("experiment", weight=5),
            Column("state", weight=7), Column("where", weight=6),
        ]  # fmt: skip
        rows = [
            [one.name, one.key, one.experiment, "sent" if one.sent else "there already",
             one.address]
            for one in self.runs
        ]  # fmt: skip
        verdict = f"{NAMES[self.tracker]}: {numbers.plural(n_sent, 'run')} sent{known}."
        parts = [Sentence(verdict, "verdict"), Table(columns, rows)]
        return Document(f"Runs in {NAMES[self.tracker]}", parts)


def send(
    store: AnyStore, wanted: Sequence[str], to: str, *, page: Page, campaign: str | None = None,
    uri: str | None = None, experiment: str | None = None,
) -> Logged:  # fmt: skip
    """Send stored runs to an experiment tracker; a run that is there already is not sent again.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : sequence of str
        Ids, keys or beginnings of keys.
    to : {"mlflow", "wandb", "tensorboard"}
    page : callable
        Makes HTML of the document of a run.
    campaign : str, optional
        All its runs instead.
    uri : str, optional
        A tracking URI of MLflow, or a folder; see the page on trackers.
    experiment : str, optional
        Its name there; that of the campaign of each run by default.

    Raises
    ------
    TruenessError
        With the code ``which_tracker``, ``own_missing`` if its package is not installed, or
        ``tracker`` for whatever it answers; if there is no such run.
    """
    if to not in get_args(Kind):
        raise TruenessError(f"--to {to}: {nearest(to, list(get_args(Kind)))}", "which_tracker")
    kind: Kind = to  # ty: ignore[invalid-assignment] - one of its words
    package, opener = TRACKERS[kind]
    runs = find_runs(store, wanted, campaign)
    check_installed(package)
    module, name = opener.split(":")
    opened: Opener = getattr(import_module(f"trueness.trackers.{module}"), name)
    trackers: dict[str, Tracker] = {}
    done: list[LoggedRun] = []
    for run in runs.values():
        there = experiment or campaign or _campaign_of(store, run)
        with _translate_errors(kind, uri):
            tracker = trackers.get(there) or trackers.setdefault(there, opened(uri, there))
            known = tracker.find(run.key)
        name = name_of(store, run)
        address = known or _sent(store, run, name, page, tracker, kind, uri)
        done.append(LoggedRun(run.key, name, there, shown_url(address), known is None))
    return Logged(kind, uri and shown_url(uri), tuple(done))


def _sent(
    store: AnyStore, run: Run, name: str, page: Page, tracker: Tracker, kind: Kind,
    uri: str | None,
) -> str:  # fmt: skip
    """Where a run is, sent now; the ledger records the evaluation."""
    record_access(store, [run], "log", kind)
    entry = entry_of(store, run, name, page)
    with _translate_errors(kind, uri):
        return tracker.log(entry)


def _campaign_of(store: AnyStore, run: Run) -> str:
    """The campaign that a run stands in, the first of several."""
    _, names = find_run(store, run.key)
    return next((name.rpartition("/")[0] for name in names if "/" in name), DEFAULT_EXPERIMENT)


@contextmanager
def _translate_errors(kind: Kind, uri: str | None) -> Generator[None]:
    """Turn whatever a tracker raises into one line that shows no password."""
    try:
        with translate_errors(f"{NAMES[kind]}{f' at {uri}' if uri else ''}", "tracker"):
            yield
    except TruenessError as error:
        raise TruenessError(shown_url(str(error)), error.code) from error.__cause__
