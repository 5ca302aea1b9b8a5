"""What a training run tells, and how it is asked to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Literal, TypeAlias

Event: TypeAlias = (
    tuple[Literal["begin"], str, int, int]
    | tuple[Literal["advance"], int, int, float]
    | tuple[Literal["epoch"], dict[str, float]]
    | tuple[Literal["note"], str]
)
"""What is told.

* ``begin``: label, updates in all, updates made before
* ``advance``: updates, texts of the epoch so far, their mean loss
* ``epoch``: its row of the history
* ``note``: something a reader should know
"""
Report: TypeAlias = Callable[[Event], None]


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
