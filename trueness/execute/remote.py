"""What runs on the nodes of a Ray cluster: items, and the actor that passes on what they report."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trueness.execute.contract import Question, attempt
from trueness.execute.local import keep_memory

if TYPE_CHECKING:
    from trueness.fit.device import Device

LEAST_BYTES = 100_000
"""Of an array that is put into the object store, where items share it."""
REPORT_EVERY_S = 0.5
"""Seconds between two messages of an item; questions are asked at once."""
PATIENCE_S = 30.0
"""Seconds after which the actor answers although it heard nothing."""

Message = tuple[int, int | None, bytes]
"""Position of an item, number of its question if it is one, and the event, pickled."""


class Hub:
    """The actor between items and their caller; it knows messages as bytes alone."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._news = asyncio.Event()

    async def tell(self, position: int, events: Sequence[bytes]) -> None:
        """Keep events for the caller."""
        self._messages += [(position, None, event) for event in events]
        self._news.set()

    async def ask(self, position: int, event: bytes) -> Any:  # noqa: ANN401 - of a Question
        """What the caller answers to a question."""
        number = time.monotonic_ns()  # distinct, also from those before a restart of this actor
        self._asked[number] = asyncio.get_running_loop().create_future()
        self._messages.append((position, number, event))
        self._news.set()
        return await self._asked[number]

    async def answer(self, number: int, content: Any) -> None:  # noqa: ANN401
        """Answer a question."""
        asked = self._asked.pop(number, None)
        if asked is not None and not asked.done():
            asked.set_result(content)

    async def take(self) -> list[Message]:
        """What came since the last time, as soon as there is some or `wake` is called."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), PATIENCE_S)
        self._news.clear()
        result, self._messages = self._messages, []
        return result

    async def wake(self) -> None:
        """Let `take` answer now."""
        self._news.set()


# ------------------------------------------------------------------------------------------ parcels


class Packer:
    """Items as bytes; large arrays go to the object store, once for all items that hold them.

    Parameters
    ----------
    put : callable
        Puts an array into the object store and returns its reference.
    """

    def __init__(self, put: Callable[[Any], Any]) -> None:
        self._put = put
        self._known: dict[int, tuple[Any, Any]] = {}

    def pack(self, content: Any) -> tuple[bytes, list[Any]]:  # noqa: ANN401
        """Bytes of some content, and references of the arrays that it needs, in order."""
        file, places = io.BytesIO(), {}
        pickler = _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL)
        pickler.noted = lambda array: places.setdefault(self._reference(array), len(places))
        pickler.dump(content)
        return file.getvalue(), [*places]

    def _reference(self, array: Any) -> Any:  # noqa: ANN401
        if id(array) not in self._known:
            self._known[id(array)] = (array, self._put(array))  # kept, so that its id stays its own
        return self._known[id(array)][1]


class _Pickler(pickle.Pickler):
    noted: Callable[[Any], int]

    def persistent_id(self, obj: Any) -> int | None:  # noqa: ANN401
        if type(obj) is np.ndarray and obj.nbytes >= LEAST_BYTES and not obj.dtype.hasobject:
            return self.noted(obj)
        return None


class _Unpickler(pickle.Unpickler):
    arrays: Sequence[Any] = ()

    def persistent_load(self, pid: Any) -> Any:  # noqa: ANN401
        return self.arrays[pid]


def unpacked(parcel: bytes, arrays: Sequence[Any]) -> Any:  # noqa: ANN401
    """What was packed."""
    unpickler = _Unpickler(io.BytesIO(parcel))
    unpickler.arrays = [array.copy() for array in arrays]  # those of the store are read only
    return unpickler.load()


# -------------------------------------------------------------------------------------------- tasks


class _Reporter:
    """Tells the actor what an item reports, some of it at a time."""

    def __init__(self, hub: Any, position: int) -> None:  # noqa: ANN401 - an actor
        self.hub, self.position = hub, position
        self.events: list[bytes] = []
        self.reported_at = time.monotonic()

    def __call__(self, event: Any) -> Any:  # noqa: ANN401
        content = pickle.dumps(event)
        if isinstance(event, Question):
            self.flush()
            return _gotten(self.hub.ask.remote(self.position, content))
        self.events.append(content)
        if time.monotonic() - self.reported_at > REPORT_EVERY_S:
            self.flush()
        return None

    def flush(self) -> None:
        """Tell the rest, and wait until it is heard."""
        if self.events:
            events, self.events = self.events, []
            _gotten(self.hub.tell.remote(self.position, events))
        self.reported_at = time.monotonic()


def _gotten(reference: Any) -> Any:  # noqa: ANN401
    return import_module("ray").get(reference)


def work(
    parcel: bytes, hub: Any, position: int, folder: str, *arrays: Any  # noqa: ANN401
) -> tuple[str, Any]:  # fmt: skip
    """Carry an item out: what came of it, pickled, or the text of its failure."""
    _go_to(folder)
    keep_memory()
    report = _Reporter(hub, position)

    def answer() -> bytes:
        function, item = unpacked(parcel, arrays)
        return pickle.dumps(function(item, report), protocol=pickle.HIGHEST_PROTOCOL)

    result = attempt(answer, KeyboardInterrupt)
    report.flush()
    return result


def seen_device(name: str) -> Device:
    """The device of a name on this node, with the memory that is free on it now."""
    from trueness.fit.device import choose_device

    result = choose_device(name)
    return replace(result, free=result.free_bytes())


def is_there(path: str, folder: str) -> bool:
    """Whether this node sees a path."""
    _go_to(folder)
    return Path(path).exists()


def _go_to(folder: str) -> None:
    """Work where the caller does, if there is such a folder here, as local workers do."""
    with contextlib.suppress(OSError):
        os.chdir(folder)
