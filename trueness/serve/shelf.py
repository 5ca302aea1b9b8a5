"""The store as the server sees it: opened anew when it changes, read in the background at first."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trueness.errors import StoreError, TruenessError
from trueness.store import Problem, Run, Store

FRESH_S = 1.0
"""Seconds for which what was seen of the store is believed."""
WRITTEN = ("campaigns", "failures", "annotations.json", "mutes.json", "checks.yaml")
"""What else of a store changes its pages."""


@dataclass(frozen=True)
class View:
    """What the store held at one moment.

    Attributes
    ----------
    store : Store
    state : int
        Equal while nothing changed.
    runs : mapping of str to Run
        By key.
    problems : tuple of Problem
    ids : mapping of str to list of str
        Key -> ids that stand for it, each campaign's.
    campaigns : mapping
        Name -> id -> keys.
    seen : float
        When, on the monotonic clock.
    """

    store: Store
    state: int
    runs: Mapping[str, Run[Any]]
    problems: tuple[Problem, ...]
    ids: Mapping[str, list[str]]
    campaigns: Mapping[str, dict[str, list[str]]]
    seen: float = field(default_factory=time.monotonic)

    def name(self, key: str) -> str:
        """Ids of a run, or its key."""
        return " = ".join(self.ids.get(key, ())) or key

    def names(self) -> dict[str, str]:
        """What a run is called -> its key, of names that mean one run only."""
        called = Counter(self.name(key) for key in self.runs)
        return {self.name(key): key for key in self.runs if called[self.name(key)] == 1}

    def run(self, key: str) -> Run[Any]:
        """A run by its whole key.

        Raises
        ------
        StoreError
            With the code ``no_run``.
        """
        if key in self.runs:
            return self.runs[key]
        damaged = {one.name: one.reason for one in self.problems}
        if key in damaged:
            raise StoreError(f"the run {key[:40]} cannot be read: {damaged[key]}", "damaged")
        raise StoreError(f"no run {key[:40]!r} is stored here (any more)", "no_run")


class Reading(TruenessError):
    """The store is being read for the first time."""

    code = "reading"


class Shelf:
    """A store that pages look at.

    Parameters
    ----------
    root : Path
    patience_s : float
        How long a first page waits until it says that the store is being read.
    """

    def __init__(self, root: Path, patience_s: float = 0.2) -> None:
        self.root, self.patience_s = root, patience_s
        self._lock = threading.Lock()
        self._view: View | None = None
        self._store: Store | None = None
        self._reader: threading.Thread | None = None
        self._refusal: TruenessError | None = None

    def look(self) -> View:
        """What the store holds now.

        Raises
        ------
        StoreError
            If it cannot be read, or is of another version.
        Reading
            While it is read for the first time, if that takes longer than a page may.
        """
        if self._view is None:
            self._read_first()
        with self._lock:
            if self._view is None or time.monotonic() - self._view.seen > FRESH_S:
                self._view = self._looked(self._view)
            return self._view

    def _read_first(self) -> None:
        """Read every run once, in a thread of its own."""
        if self._reader is None or not self._reader.is_alive():
            self._refusal = None
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        self._reader.join(self.patience_s)
        if self._refusal is not None:
            raise self._refusal
        if self._reader.is_alive():
            raise Reading(f"The runs of {self.root} are being read.")

    def _read(self) -> None:
        try:
            view = self._looked(None)
        except TruenessError as error:
            self._refusal = error
            return
        with self._lock:
            self._view = view
        gc.freeze()  # runs stay: nothing of them is to be searched for cycles

    def _looked(self, known: View | None) -> View:
        """What is there now; what is known already if nothing changed."""
        store = self._opened()
        with contextlib.suppress(OSError):
            state = hash((frozenset(store.state().items()), *map(self._stamp, WRITTEN)))
            if known is not None and known.state == state and known.store is store:
                return View(store, state, known.runs, known.problems, known.ids, known.campaigns)
            return self._read_whole(store, state)
        raise StoreError(f"{self.root}: cannot be read now")

    def _opened(self) -> Store:
        """The store, with what it remembers; a new one where another folder took its place."""
        fresh = Store(self.root, remembers=True)  # raises if it is another version by now
        if self._store is None or not self.root.exists():
            self._store = fresh
        return self._store

    def _read_whole(self, store: Store, state: int) -> View:
        runs, problems = store.all_runs()
        campaigns = store.campaigns()
        ids: dict[str, list[str]] = {}
        for known in campaigns.values():
            for id_, keys in known.items():
                for key in keys:
                    if id_ not in ids.setdefault(key, []):
                        ids[key].append(id_)
        return View(store, state, {run.key: run for run in runs}, tuple(problems), ids, campaigns)

    def _stamp(self, name: str) -> int:
        try:
            return (self.root / name).stat().st_mtime_ns
        except OSError:
            return 0
