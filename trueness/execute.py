"""Map a function over items, here or in local processes; knows nothing about experiments.

Workers are fresh processes with one thread each, which beats one process with many threads for
small networks. They ignore Ctrl-C and SIGHUP (the parent stops them), print no traceback and leave
when the parent dies. An item whose worker is killed is tried once more.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing as mp
import os
import pickle
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

from trueness import interrupts
from trueness.errors import SpecError

TRIES = 2
ASKED_EVERY_S = 1.0
"""Seconds after which a map that hears nothing looks whether it is to end."""
UNGUARDED = 78
"""Exit status of a worker that was about to run the script that started it."""
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


@dataclass(frozen=True)
class Failure:
    """An item whose function raised, or whose worker died twice; the text ends with the reason."""

    reason: str


@dataclass(frozen=True)
class Question:
    """An event whose item waits for an answer: `report` gives what `on_event` answers to it."""

    content: Any


def refuse_unguarded() -> None:
    """End a worker that runs the script which started it, because the script has no main guard."""
    if getattr(mp.current_process(), "_inheriting", False):
        os._exit(UNGUARDED)


class _TimeIsUp(BaseException):
    """Ends an item in this process; no error, so that no item catches it."""


@dataclass(frozen=True)
class _Heard:
    """Who hears of progress."""

    event: Callable[[int, Any], Any]
    start: Callable[[int], bool | None]


Function = Callable[[Any, Callable[[Any], Any]], Any]
"""Takes an item and a function that reports progress; both, and the answer, must pickle."""


def keep_memory() -> None:
    """Tell glibc to keep freed memory: training frees and takes the same large tensors every step.

    On Linux each return to the system costs page faults that double the step time of wide networks.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for option, value in (
            (-3, 1 << 30),
            (-1, (1 << 31) - 1),
            (-2, 1 << 26),
        ):  # mmap, trim, top pad
            libc.mallopt(option, value)


class Pool:
    """Worker processes that outlive one map; ``workers=0`` works in this process.

    Examples
    --------
    >>> with Pool(0) as pool:
    ...     list(pool.map(lambda item, report: item * item, [1, 2, 3]))
    [(0, 1), (1, 4), (2, 9)]
    """

    def __init__(self, workers: int) -> None:
        self.size = workers
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def start(self) -> None:
        """Start a first worker, so that what keeps them from working is known at once.

        Raises
        ------
        SpecError
            With the code ``no_main_guard`` if a worker would run the calling script again.
        """
        refuse_unguarded()
        if self.size and not self._workers:
            self._workers.append(_Worker())
            self._workers[0].wait_until_ready()

    def __exit__(self, *exception: object) -> None:
        self._stop_workers()

    def _stop_workers(self) -> None:
        for worker in self._workers:
            worker.stop()
        self._workers = []

    def map(
        self,
        function: Function,
        items: Sequence[Any],
        on_event: Callable[[int, Any], Any] | None = None,
        on_start: Callable[[int], bool | None] | None = None,
        until: float | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (position, answer or Failure) as items finish.

        `on_event` hears (position, progress) and answers a `Question`; `on_start` hears the
        position of an item about to begin, and if it answers False, the item is left out. At the
        time `until` of the monotonic clock the map ends, and what is not finished is given up.
        """
        heard = _Heard(
            on_event or (lambda position, event: None), on_start or (lambda position: None)
        )
        with interrupts.listening():
            if self.size == 0:
                yield from _map_here(function, items, heard, until)
            else:
                yield from self._map_workers(function, items, heard, until)

    def _map_workers(
        self, function: Function, items: Sequence[Any], heard: _Heard, until: float | None
    ) -> Iterator[tuple[int, Any]]:
        waiting = deque(range(len(items)))
        tries = [0] * len(items)
        while waiting or any(w.position is not None for w in self._workers):
            if until is not None and time.monotonic() >= until:
                self._stop_workers()
                return
            self._hand_out(function, items, waiting, tries, heard)
            busy = [w for w in self._workers if w.position is not None]
            if not busy:
                return  # the rest was left out
            left = ASKED_EVERY_S if until is None else max(0.0, until - time.monotonic())
            ready = wait([w.connection for w in busy], min(left, ASKED_EVERY_S))
            interrupts.check()
            for worker in (w for w in busy if w.connection in ready):
                position = worker.position
                assert position is not None
                kind, content = worker.receive()
                if kind == "ready":
                    continue
                if kind == "event":
                    answer = heard.event(position, content)
                    if isinstance(content, Question):
                        worker.answer(answer)
                    continue
                worker.position = None
                if kind == "died":
                    self._workers.remove(worker)
                    worker.stop()
                    if tries[position] < TRIES:
                        waiting.append(position)
                        continue
                yield position, Failure(content) if kind in ("died", "failed") else content

    def _hand_out(
        self, function: Function, items: Sequence[Any], waiting: deque[int], tries: list[int],
        heard: _Heard,
    ) -> None:  # fmt: skip
        while waiting:
            idle = next((w for w in self._workers if w.position is None), None)
            if idle is None:
                if len(self._workers) >= self.size:
                    return
                idle = _Worker()
                self._workers.append(idle)
            position = waiting.popleft()
            if not tries[position] and heard.start(position) is False:
                continue
            tries[position] += 1
            idle.send(position, (function, items[position]))


class _Worker:
    """One process, its end of the pipe, and the item it is busy with."""

    def __init__(self) -> None:
        context = mp.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.position: int | None = None
        with _environment(_ONE_THREAD), interrupts.held():
            self.process: SpawnProcess = context.Process(target=_serve, args=(theirs,), daemon=True)
            self.process.start()
        theirs.close()

    def send(self, position: int, work: tuple[Function, Any]) -> None:
        self.position = position
        with contextlib.suppress(BrokenPipeError):  # a dead worker shows at the next receive
            self.connection.send(work)

    def answer(self, content: Any) -> None:  # noqa: ANN401 - of a Question
        with contextlib.suppress(BrokenPipeError):
            self.connection.send(content)

    def wait_until_ready(self) -> None:
        try:
            self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            if self.process.exitcode == UNGUARDED:
                raise SpecError(
                    'worker processes import the script that starts them; put what it does under '
                    '`if __name__ == "__main__":`, or give workers=0', "no_main_guard",
                ) from None  # fmt: skip
            raise SpecError(
                f"a worker process ended with status {self.process.exitcode} before it began; "
                "give workers=0 to stay in this process", "no_worker",
            ) from None  # fmt: skip

    def receive(self) -> tuple[str, Any]:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return (
                "died",
                f"worker process died with status {self.process.exitcode}; is there enough memory?",
            )

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(connection: Connection) -> None:
    """Life of a worker: take work, do it, answer, until the parent closes the pipe."""
    interrupts.ignore()
    keep_memory()
    parent = mp.parent_process()
    assert parent is not None
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()

    def report(event: Any) -> Any:  # noqa: ANN401
        connection.send(("event", event))
        return connection.recv() if isinstance(event, Question) else None

    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        connection.send(("ready", None))
        while True:
            connection.send_bytes(_answer(connection.recv_bytes(), report))


def _answer(work: bytes, report: Callable[[Any], Any]) -> bytes:
    """What comes of an item, pickled; whatever is raised on the way is its failure."""

    def answer() -> bytes:
        function, item = pickle.loads(work)
        return bytes(ForkingPickler.dumps(("done", function(item, report))))

    kind, content = _attempt(answer, KeyboardInterrupt)  # by code of others: signals are ignored
    return content if kind == "done" else bytes(ForkingPickler.dumps((kind, content)))


def _attempt(call: Callable[[], Any], *also: type[BaseException]) -> tuple[str, Any]:
    """The one place where any error is caught: it becomes the record of a failed item."""
    try:
        return "done", call()
    except (Exception, SystemExit, *also):  # code of others may want to leave
        return "failed", traceback.format_exc()


def _map_here(
    function: Function, items: Sequence[Any], heard: _Heard, until: float | None
) -> Iterator[tuple[int, Any]]:
    for position, item in enumerate(items):

        def report(event: Any, position: int = position) -> Any:  # noqa: ANN401
            answer = heard.event(position, event)
            interrupts.check()
            if until is not None and time.monotonic() >= until:
                raise _TimeIsUp
            return answer

        if until is not None and time.monotonic() >= until:
            return
        if heard.start(position) is False:
            continue
        try:
            kind, content = _attempt(partial(function, item, report))
        except _TimeIsUp:
            return
        yield position, Failure(content) if kind == "failed" else content
