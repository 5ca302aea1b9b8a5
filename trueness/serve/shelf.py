"""The store as the server sees it: opened anew when it changes, read in the background at first."""

from __future__ import annotations

import gc
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from trueness.errors import StoreError, TruenessError, first_line
from trueness.places import StoreLocation
from trueness.store import Problem, Run, Store

FRESH_S = 1.0
"""Seconds for which what was seen of the store is believed."""
COST = 0.02
"""Share of a core that looking at the store may take: a large one is believed for longer."""
AGAIN_S = 0.05
"""Seconds that a page waits to see what changed; a large store is shown as it was a moment ago."""


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
    """

    store: Store
    state: int
    runs: Mapping[str, Run[Any]]
    problems: tuple[Problem, ...]
    ids: Mapping[str, list[str]]
    campaigns: Mapping[str, dict[str, list[str]]]

    def name(self, key: str) -> str:
        """Ids of a run, or its key."""
        return " = ".join(self.ids.get(key, ())) or key

    def ids_of(self, campaign: str) -> dict[str, list[str]]:
        """Key -> ids that stand for it in one campaign."""
        result: dict[str, list[str]] = {}
        for id_, keys in self.campaigns.get(campaign, {}).items():
            for key in keys:
                result.setdefault(key, []).append(id_)
        return result

    @cached_property
    def names(self) -> dict[str, str]:
        """What a run is called -> its key, of names that mean one run only."""
        names = {key: self.name(key) for key in self.runs}
        called = Counter(names.values())
        return {name: key for key, name in names.items() if called[name] == 1}

    def place_of(self, text: str) -> str | None:
        """Address of the run that a text names; None if it names none, or several."""
        key = text if text in self.runs else self.names.get(text)
        return f"/run/{key}" if key else None

    @cached_property
    def groups(self) -> dict[str, list[Run[Any]]]:
        """Comparison groups, the largest first."""
        result: dict[str, list[Run[Any]]] = {}
        for run in self.runs.values():
            result.setdefault(run.record["comparison_group"], []).append(run)
        return dict(sorted(result.items(), key=lambda item: -len(item[1])))

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
    root : Path or Address
    patience_s : float
        How long a first page waits until it says that the store is being read.
    prepare : callable, optional
        Called with the first view, so that no page waits for what all of them need.
    """

    def __init__(
        self,
        root: StoreLocation,
        patience_s: float = 0.2,
        prepare: Callable[[View], object] = lambda view: view.names,
    ) -> None:
        self.root, self.patience_s, self._prepare = root, patience_s, prepare
        self._lock = threading.Lock()
        self._view: View | None = None
        self._store: Store | None = None
        self._thread: threading.Thread | None = None
        self._refusal: TruenessError | None = None
        self._seen, self._fresh_s = -math.inf, FRESH_S

    def current_view(self) -> View:
        """What the store holds now, or held a moment ago if it takes long to see what changed.

        Raises
        ------
        StoreError
            If it cannot be read, or is of another version.
        Reading
            While it is read for the first time, if that takes longer than a page may.
        """
        if time.monotonic() - self._seen > self._fresh_s:
            self._reader(first=self._view is None)
        if self._refusal is not None:
            raise self._refusal
        if self._view is None:
            raise Reading(f"The runs of {self.root} are being read.")
        return self._view

    def _reader(self, first: bool) -> None:
        """See in a thread what changed, unless one is at it, and wait for it a while."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._read, daemon=True)
                self._thread.start()
        self._thread.join(self.patience_s if first else AGAIN_S)

    def _read(self) -> None:
        try:
            first, before = self._view is None, time.thread_time()
            view = self._looked(self._view)
            if first:
                self._prepare(view)
            elif view is self._view:
                self._fresh_s = max(FRESH_S, (time.thread_time() - before) / COST)
            self._view, self._refusal = view, None
        except TruenessError as error:
            self._refusal = error
        self._seen = time.monotonic()
        gc.freeze()  # runs stay: nothing of them is to be searched for cycles

    def _looked(self, known: View | None) -> View:
        """What is there now; what is known already if nothing changed."""
        store = self._opened()
        try:
            state = store.state()
            if known is not None and known.state == state and known.store is store:
                return known
            return self._read_whole(store, state)
        except OSError as error:
            raise StoreError(f"{self.root}: cannot be read now ({first_line(error)})") from None

    def _opened(self) -> Store:
        """The store, with what it remembers; a new one where another folder took its place."""
        fresh = Store(self.root, remembers=True)  # raises if it is another version by now
        if self._store is None or not (fresh.exists() and self._store.exists()):
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
