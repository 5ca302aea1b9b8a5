"""Map a function over items in this process or in others of this machine.

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
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from trueness import interrupts
from trueness.errors import SpecError
from trueness.execute.contract import (
    ASKED_EVERY_S,
    ONE_THREAD,
    Callbacks,
    Failure,
    Function,
    Question,
    attempt,
)

if TYPE_CHECKING:
    from trueness.fit.device import Device

TRIES = 2
UNGUARDED = 78
"""Exit status of a worker that was about to run the script that started it."""


def refuse_unguarded() -> None:
    """End a worker that runs the script which started it, because the script has no main guard."""
    if getattr(mp.current_process(), "_inheriting", False):
        os._exit(UNGUARDED)


class _TimeIsUp(BaseException):
    """Ends an item in this process; no error, so that no item catches it."""


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


def pool_size(workers: int | None, jobs: int = sys.maxsize) -> int:
    """Processes to start: those asked for, or one per core, but none without work."""
    cores = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return min(len(cores) if workers is None else workers, jobs)


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

    def device(self, name: str) -> Device:
        """The device of a name on this machine."""
        from trueness.fit.device import choose_device

        return choose_device(name)

    def sees(self, path: Path) -> bool:
        """Whether workers read what is there: they always do."""
        del path
        return True

    def check(self, items: Callable[[], Sequence[Any]]) -> None:
        """Refuse nothing: whatever there is can begin here."""

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
        *,
        alone: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """See `trueness.execute.AnyPool`."""
        callbacks = Callbacks.of(on_event, on_start)
        with interrupts.listening():
            if self.size == 0 or alone:
                yield from map_here(function, items, callbacks, until)
            else:
                yield from self._map_workers(function, items, callbacks, until)

    def _map_workers(
        self, function: Function, items: Sequence[Any], callbacks: Callbacks, until: float | None
    ) -> Iterator[tuple[int, Any]]:
        waiting = deque(range(len(items)))
        tries = [0] * len(items)
        while waiting or any(w.position is not None for w in self._workers):
            if until is not None and time.monotonic() >= until:
                self._stop_workers()
                return
            self._hand_out(function, items, waiting, tries, callbacks)
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
                    answer = callbacks.event(position, content)
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
        callbacks: Callbacks,
    ) -> None:  # fmt: skip
        while waiting:
            idle = next((w for w in self._workers if w.position is None), None)
            if idle is None:
                if len(self._workers) >= self.size:
                    return
                idle = _Worker()
                self._workers.append(idle)
            position = waiting.popleft()
            if not tries[position] and callbacks.start(position) is False:
                continue
            tries[position] += 1
            idle.send(position, (function, items[position]))


class _Worker:
    """One process, its end of the pipe, and the item it is busy with."""

    def __init__(self) -> None:
        context = mp.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.position: int | None = None
        with _environment(ONE_THREAD), interrupts.held():
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

    kind, content = attempt(answer, KeyboardInterrupt)  # by code of others: signals are ignored
    return content if kind == "done" else bytes(ForkingPickler.dumps((kind, content)))


def map_here(
    function: Function, items: Sequence[Any], callbacks: Callbacks, until: float | None
) -> Iterator[tuple[int, Any]]:
    """Carry items out in this process, one after the other."""
    for position, item in enumerate(items):

        def report(event: Any, position: int = position) -> Any:  # noqa: ANN401
            answer = callbacks.event(position, event)
            interrupts.check()
            if until is not None and time.monotonic() >= until:
                raise _TimeIsUp
            return answer

        if until is not None and time.monotonic() >= until:
            return
        if callbacks.start(position) is False:
            continue
        try:
            kind, content = attempt(partial(function, item, report))
        except _TimeIsUp:
            return
        yield position, Failure(content) if kind == "failed" else content
