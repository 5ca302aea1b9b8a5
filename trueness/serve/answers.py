"""Judgements that take longer than a page may: asked once, kept while the store is the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trueness.errors import TruenessError
from trueness.serve.apart import Apart

KEPT = 64
HERE_MOST = 400
"""Runs of a store up to which they are judged inside of the server."""
PATIENCE_S = 0.15
"""Seconds that a page waits for a judgement before it says that it is being made."""


def is_large(n: int) -> bool:
    """Whether a store of so many runs is judged by a process of its own."""
    return n > HERE_MOST


@dataclass(frozen=True)
class Answer:
    """What is known of a question now.

    Attributes
    ----------
    value : object
        None while there is none.
    stale : bool
        Whether the store changed since it was made, and a new one is on its way.
    refusal : TruenessError or None
        Why there is none.
    """

    value: Any = None
    stale: bool = False
    refusal: TruenessError | None = None

    @property
    def pending(self) -> bool:
        """Whether it is being made."""
        return self.value is None and self.refusal is None


class Answers:
    """Makes judgements one after the other; small ones here, large ones in a process of its own.

    A process that ends gives back its memory: judging 10,000 runs needs 2 GB for two minutes. It
    takes longer to start than a page may take, so that no page waits for it.
    """

    def __init__(self, patience_s: float = PATIENCE_S, most: int = KEPT) -> None:
        self.patience_s, self.most = patience_s, most
        self._lock = threading.Lock()
        self._asked: OrderedDict[Hashable, tuple[Hashable, Future[Any]]] = OrderedDict()
        self._done: OrderedDict[Hashable, Any] = OrderedDict()
        self._here, self._waiting = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._apart = Apart()

    def ask(
        self, question: Hashable, state: Hashable, call: Callable[..., Any], *args: Any,  # noqa: ANN401
        apart: bool = False,
    ) -> Answer:  # fmt: skip
        """Answer of a question about a state of the store, as far as it is known.

        Parameters
        ----------
        question, state : hashable
            The answer is kept until the state is another one.
        call : callable
            Makes it from `args`; both must pickle if `apart`.
        apart : bool
            Whether in a process of its own.
        """
        with self._lock:
            known = self._asked.get(question)
            if known is None or (known[0] != state and known[1].done()):
                known = state, (
                    self._waiting.submit(self._apart, call, *args) if apart
                    else self._here.submit(call, *args)
                )  # fmt: skip
                self._asked[question] = known
            self._asked.move_to_end(question)
            while len(self._asked) > self.most:
                self._done.pop(self._asked.popitem(last=False)[0], None)
        return self._known(question, known[1], known[0] == state, 0.0 if apart else self.patience_s)

    def _known(
        self, question: Hashable, future: Future[Any], current: bool, patience_s: float
    ) -> Answer:  # fmt: skip
        try:
            value = future.result(patience_s)
        except TimeoutError:
            return Answer(self._done.get(question), stale=True)
        except TruenessError as error:
            return Answer(refusal=error)
        self._done[question] = value
        return Answer(value, stale=not current)

    def close(self) -> None:
        """Give up what is not finished."""
        for pool in (self._here, self._waiting):
            pool.shutdown(wait=False, cancel_futures=True)
        self._apart.close()
