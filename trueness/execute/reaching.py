"""Whether a cluster answers at an address, and what its errors say in one line."""

from __future__ import annotations

import os
import socket
import time
from urllib.parse import urlsplit

from trueness import interrupts
from trueness.errors import SpecError, first_line

CONNECT_S = 10.0
"""Seconds in which an address must answer at first."""
LOOK_S = 2.0
"""Seconds in which it must answer later on, and between two looks."""
GRACE = "RAY_CLIENT_RECONNECT_GRACE_PERIOD"
"""Ray's setting of how many seconds a lost connection may take to come back."""
GRACE_S = "30"
"""What it is where nobody set it, as in Ray."""


class Watch:
    """Looks whether the head of a cluster is still there.

    Calls of Ray wait for a head that is gone without an end, or end the process after a minute;
    who looks first is spared both.

    Parameters
    ----------
    address : str
        Where the head listens; one without a port is taken to answer.
    place : str
        What messages say where it is, such as ``at 192.0.2.10:6379``.
    """

    def __init__(self, address: str, place: str) -> None:
        self.address, self.place = address, place
        self._grace = float(os.environ.get(GRACE, GRACE_S))
        self._looked, self._silent_since = -LOOK_S, 0.0

    def is_silent(self, *, anew: bool = False) -> bool:
        """Whether nobody answers; as of the last two seconds, or anew.

        Raises
        ------
        SpecError
            With code ``cluster_gone`` once that has lasted for the grace period.
        """
        now = time.monotonic()
        if anew or now - self._looked >= LOOK_S:
            answers = _refusal(self.address, LOOK_S) is None
            self._looked = time.monotonic()
            self._silent_since = 0.0 if answers else self._silent_since or now
        if self._silent_since and now - self._silent_since >= self._grace:
            raise self.gone()
        return bool(self._silent_since)

    def wait(self) -> None:
        """Go on when somebody answers.

        Raises
        ------
        SpecError
            With code ``cluster_gone`` if nobody does for the grace period.
        """
        while self.is_silent(anew=True):
            interrupts.check()
            time.sleep(LOOK_S / 4)

    def gone(self) -> SpecError:
        """What to say when the cluster is gone."""
        return SpecError(f"the Ray cluster {self.place} is gone; what was finished is stored; "
                         "run the same command to resume", "cluster_gone")  # fmt: skip


def check_answers(address: str) -> None:
    """Refuse an address where nobody listens; Ray would ask for half a minute, or end the process.

    Raises
    ------
    SpecError
        With code ``no_cluster``.
    """
    refusal = _refusal(address, CONNECT_S)
    if refusal is not None:
        raise SpecError(f"no Ray cluster answers at {address}: {first_line(refusal)}", "no_cluster")


def _refusal(address: str, seconds: float) -> OSError | None:
    """Why nobody answers at an address; None where somebody does, or where it names no port."""
    place = urlsplit(address if "//" in address else f"//{address}")
    if place.hostname is None or place.port is None:
        return None  # auto, local
    try:
        socket.create_connection((place.hostname, place.port), seconds).close()
    except OSError as error:
        return error
    return None


def message_of(error: BaseException) -> str:
    r"""What an error says in one line; Ray begins some with words that name nothing.

    Examples
    --------
    >>> message_of(ConnectionError("Initialization failure from server:\nTraceback ...\nwhy"))
    'Initialization failure from server: why'
    """
    details = getattr(error, "details", None)  # of gRPC
    line = str(details()) if callable(details) else first_line(error)
    return f"{line} {last_line(error)}" if line.endswith(":") else line


def last_line(error: BaseException) -> str:
    """Last line of what an error says."""
    return str(error).strip().splitlines()[-1]
