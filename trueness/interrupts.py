"""The wish to end: one flag for Ctrl-C, SIGTERM and SIGHUP, which loops ask for.

An exception that a handler raises while an object is finalised is printed and forgotten by Python.
The flag stays, so that loops see it at their next turn; under the command line the exception is
raised again besides.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any, NoReturn

SIGNALS = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if (number := getattr(signal, name, None)) is not None
)  # fmt: skip
SAME_S = 0.2
"""Seconds within which a repeated signal is the same wish: launchers pass on what both got."""
AGAIN_S = 0.02
"""Seconds after which a forgotten exception is raised again."""
AT_ONCE = "ended at once; what was finished is stored"


class _Wish:
    """Which signal asked for an end, and what happens then."""

    def __init__(self) -> None:
        self.earlier: dict[int, Any] = {}
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.number: int | None = None
        self.at, self.patient = 0.0, 0
        self.ends_process = self.is_repeated = self.is_known = False
        self.earlier = {}

    def check(self) -> None:
        """Raise if there is one; a loop knows of it then."""
        if self.number is not None:
            self.is_known = True
            raise KeyboardInterrupt

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Handler of all signals."""
        repeated, self.is_repeated = self.is_repeated, False
        if self.number is None:
            self.number, self.at = number, time.monotonic()
            if self.patient:
                return
        elif not repeated:
            if time.monotonic() - self.at < SAME_S:
                return
            if self.ends_process and number == signal.SIGINT:
                end(AT_ONCE)
        if callable(handler := self.earlier.get(number)):
            handler(number, frame)
        raise KeyboardInterrupt

    def forgotten(self, result: sys.UnraisableHookArgs, otherwise: Callable[[Any], object]) -> None:
        """Raise an interrupt again that was raised where nobody could catch it."""
        if not issubclass(result.exc_type, KeyboardInterrupt) or self.number is None:
            otherwise(result)
            return
        timer = threading.Timer(AGAIN_S, self._again)
        timer.daemon = True
        timer.start()

    def _again(self) -> None:
        if not self.is_known:
            self.is_repeated = True
            if sys.platform == "win32":
                _thread.interrupt_main()
            else:  # wakes a sleeping thread, too
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


_wish = _Wish()


def end(words: str) -> NoReturn:
    """End the process and its workers at once, whatever they are at."""
    with contextlib.suppress(OSError):
        cursor = "\x1b[?25h\n" if os.isatty(2) else ""  # a progress bar hides it
        os.write(2, f"{cursor}trueness: {words}\n".encode())
    if "multiprocessing" in sys.modules:
        for child in sys.modules["multiprocessing"].active_children():
            child.kill()
    os._exit(status())


def check() -> None:
    """Raise KeyboardInterrupt if somebody asked for an end, also where Python lost it."""
    _wish.check()


def is_asked() -> bool:
    """Whether somebody asked for an end."""
    return _wish.number is not None


def status() -> int:
    """Status of a process that a signal ended: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP."""
    return 128 + (_wish.number or signal.SIGINT)


@contextlib.contextmanager
def listening(*, command: bool = False) -> Generator[None]:
    """Hear signals in the block; the outermost one counts.

    Parameters
    ----------
    command : bool
        Whether the process is there for the block alone: SIGTERM and SIGHUP end it as Ctrl-C does,
        unless they are ignored, and a second Ctrl-C ends it at once. Else only those are heard that
        Python handles already, and their handlers are called.
    """
    if threading.current_thread() is not threading.main_thread() or _wish.earlier:
        yield
        return
    result = {number: signal.getsignal(number) for number in SIGNALS}
    _wish.earlier = {
        number: handler for number, handler in result.items()
        if callable(handler) or (command and handler == signal.SIG_DFL)
    }  # fmt: skip
    _wish.ends_process, hook = command, sys.unraisablehook
    for number in _wish.earlier:
        signal.signal(number, _wish.on_signal)
    if command:
        sys.unraisablehook = lambda result: _wish.forgotten(result, hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in _wish.earlier.items():
            signal.signal(number, handler)
        _wish.forget()


@contextlib.contextmanager
def held() -> Generator[None]:
    """Keep signals back in the block; a process that is started there begins without them."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore() -> None:
    """Leave Ctrl-C and SIGHUP to the process that started this one; SIGTERM ends it quietly."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def leave_to_the_system() -> None:
    """End silently by whatever arrives while Python takes itself down."""
    for number in SIGNALS:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def patiently() -> Generator[None]:
    """Only take note of the first signal, so that no step of a loop is left half done."""
    with listening():
        _wish.patient += 1
        try:
            yield
        finally:
            _wish.patient -= 1
