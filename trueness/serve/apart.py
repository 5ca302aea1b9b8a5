"""A call in a process of its own, which gives back its memory when it ends.

A new interpreter is started rather than a copy of the server: it imports nothing of whoever
started that, and shares no lock with its threads.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from trueness.errors import TruenessError

PROGRAM = "from trueness.serve.apart import answer; answer()"


class Apart:
    """Calls in processes of their own, which end with the server."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, call: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - any function
        """What a function of the package answers there.

        Raises
        ------
        TruenessError
            Whatever it refuses; with the code ``ended`` if its process was ended.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        written, _ = self._process.communicate(pickle.dumps((call, args)))
        if self._process.returncode or not written:
            raise TruenessError("the process that judged these runs was ended", "ended")
        answered, value = pickle.loads(written)
        if not answered:
            raise TruenessError(*value)
        return value

    def close(self) -> None:
        """End what is at work."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()


def answer() -> None:
    """Read a call, make it, write what it answers or refuses."""
    output, sys.stdout = sys.stdout.buffer, sys.stderr  # nobody else writes there
    call, args = pickle.loads(sys.stdin.buffer.read())
    try:
        result = True, call(*args)
    except TruenessError as error:
        result = False, (str(error), error.code)
    output.write(pickle.dumps(result))
    output.flush()
