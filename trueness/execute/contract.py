"""What every pool keeps to."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from trueness.fit.device import Device

ASKED_EVERY_S = 1.0
"""Seconds after which a map that hears nothing looks whether it is to end."""
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

Function = Callable[[Any, Callable[[Any], Any]], Any]
"""Takes an item and a function that reports progress; both, and the answer, must pickle."""


@dataclass(frozen=True)
class Failure:
    """An item whose function raised, or whose worker kept dying; the text ends with the reason."""

    reason: str


@dataclass(frozen=True)
class Question:
    """An event whose item waits for an answer: `report` gives what `on_event` answers to it."""

    content: Any


@dataclass(frozen=True)
class Callbacks:
    """Who hears of progress."""

    event: Callable[[int, Any], Any]
    start: Callable[[int], bool | None]

    @classmethod
    def of(
        cls,
        on_event: Callable[[int, Any], Any] | None,
        on_start: Callable[[int], bool | None] | None,
    ) -> Callbacks:
        """Nobody where none is given."""
        return cls(on_event or (lambda position, event: None), on_start or (lambda position: None))


class AnyPool(Protocol):
    """Where items are carried out.

    An item may say what it needs: ``bytes`` of memory; ``reads``, files and folders besides what
    it carries; ``here``, if it belongs beside the caller, wherever others are carried out.
    """

    @property
    def size(self) -> int:
        """Items that are carried out at once; 0 means one in this process."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...

    def start(self) -> None:
        """Find out at once what keeps workers from working."""
        ...

    def device(self, name: str) -> Device:
        """The device of a name where items are carried out; they get it from then on.

        Raises
        ------
        SpecError
            If it is not there.
        """
        ...

    def sees(self, path: Path) -> bool:
        """Whether every worker reads the same file or folder under this path."""
        ...

    def check(self, items: Callable[[], Sequence[Any]]) -> None:
        """Refuse items that could never begin; they are made only where that can happen.

        Raises
        ------
        SpecError
        """
        ...

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
        """Yield (position, answer or Failure) as items finish.

        Parameters
        ----------
        function : callable
        items : sequence
        on_event : callable, optional
            Hears (position, progress) and answers a `Question`.
        on_start : callable, optional
            Hears the position of an item about to begin; if it answers False, it is left out.
        until : float, optional
            Time of the monotonic clock at which the map ends; what is not finished is given up.
        alone : bool
            Whether an item takes all threads that there are for one.
        """
        ...


def attempt(call: Callable[[], Any], *also: type[BaseException]) -> tuple[str, Any]:
    """The one place where any error is caught: it becomes the record of a failed item."""
    try:
        return "done", call()
    except (Exception, SystemExit, *also):  # code of others may want to leave
        return "failed", traceback.format_exc()
