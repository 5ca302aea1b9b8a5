"""Who hears of a training run, and how it is asked to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator
from types import FrameType


class TitlesListener:
    """Hears how a run proceeds; subclass or duck-type it to show progress."""

    def begin(self, label: str, updates: int, done: int) -> None:
        """A run of so many updates begins, `done` of them before an interruption."""

    def advance(self, updates: int, texts: int, loss: float) -> None:
        """So many updates over so many texts were made; mean loss of the texts of this epoch."""

    def epoch(self, row: dict[str, float]) -> None:
        """An epoch ended; its row of the history."""

    def note(self, text: str) -> None:
        """Something else a reader should know."""


class Stop:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        """Stop after this update; a second Ctrl-C stops at once."""
        del signum, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


@contextlib.contextmanager
def stop_on_interrupt() -> Generator[Stop]:
    """Turn Ctrl-C and SIGTERM into a wish, so that an update is never left half made."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop.ask) for number in signals]
    try:
        yield stop
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
