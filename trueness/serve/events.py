"""What changes while a page is open: one reader per topic, however many listen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from trueness.errors import TruenessError

EVERY_S = 1.0
"""Seconds between two looks at what may have changed."""
ALIVE_S = 15.0
"""Seconds after which a client hears that the server is there, though nothing changed."""
MOST = 500
"""Clients that may listen at once."""

Make = Callable[[], dict[str, str]]
"""Makes the places of a page anew: name -> HTML."""


class TooManyListeners(TruenessError):
    """More clients than the server listens for."""

    code = "too_many"


@dataclass
class Topic:
    """One subject, and who listens to it."""

    listeners: set[asyncio.Queue[bytes]] = field(default_factory=set)
    latest: bytes = b""
    task: asyncio.Task[None] | None = None


class Events:
    """Streams of server-sent events.

    Whatever is made is made once for all who listen, in a thread, and only while somebody does;
    a client that is slow misses what is between, never the latest.
    """

    def __init__(self, every_s: float = EVERY_S) -> None:
        self.every_s = every_s
        self.topics: dict[str, Topic] = {}

    async def listen(self, name: str, make: Make) -> AsyncIterator[bytes]:
        """Messages of a topic, the present one first.

        Raises
        ------
        TooManyListeners
        """
        topic = self.topics.setdefault(name, Topic())
        queue: asyncio.Queue[bytes] = asyncio.Queue(1)
        if topic.latest:
            queue.put_nowait(topic.latest)
        topic.listeners.add(queue)
        if topic.task is None or topic.task.done():
            topic.task = asyncio.create_task(self._follow(topic, make))
        try:
            yield b"retry: 2000\n\n"
            while True:
                try:
                    yield await asyncio.wait_for(queue.get(), ALIVE_S)
                except TimeoutError:
                    yield b": here\n\n"
        finally:
            topic.listeners.discard(queue)
            if not topic.listeners:
                topic.task.cancel()
                self.topics.pop(name, None)

    def check(self) -> None:
        """Refuse one more client than can be served.

        Raises
        ------
        TooManyListeners
        """
        if sum(len(topic.listeners) for topic in self.topics.values()) >= MOST:
            raise TooManyListeners(f"more than {MOST} pages listen; close some of them")

    async def _follow(self, topic: Topic, make: Make) -> None:
        """Look again and again; tell everybody of what changed."""
        while True:
            message = _message(await asyncio.to_thread(make))
            if message != topic.latest:
                topic.latest = message
                for queue in topic.listeners:
                    if queue.full():
                        queue.get_nowait()
                    queue.put_nowait(message)
            await asyncio.sleep(self.every_s)


def _message(places: dict[str, str]) -> bytes:
    r"""One event; its data are one line.

    Examples
    --------
    >>> _message({"now": "<p>a\nb</p>"})
    b'data: {"now": "<p>a\\nb</p>"}\n\n'
    """
    return f"data: {json.dumps(places)}\n\n".encode()
