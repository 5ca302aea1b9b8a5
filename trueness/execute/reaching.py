"""Whether a cluster answers at an address, and what its errors say in one line."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from trueness.errors import SpecError, first_line

CONNECT_S = 10.0
"""Seconds in which an address must answer."""


def check_answers(address: str) -> None:
    """Refuse an address where nobody listens; Ray would ask for half a minute, or end the process.

    Raises
    ------
    SpecError
        With code ``no_cluster``.
    """
    place = urlsplit(address if "//" in address else f"//{address}")
    if place.hostname is None or place.port is None:
        return  # auto, local
    try:
        socket.create_connection((place.hostname, place.port), CONNECT_S).close()
    except OSError as error:
        raise SpecError(f"no Ray cluster answers at {address}: {first_line(error)}",
                        "no_cluster") from None  # fmt: skip


def message_of(error: BaseException) -> str:
    r"""What an error says in one line; Ray begins some with words that name nothing.

    Examples
    --------
    >>> message_of(ConnectionError("Initialization failure from server:\nTraceback ...\nwhy"))
    'Initialization failure from server: why'
    """
    line = first_line(error)
    return f"{line} {last_line(error)}" if line.endswith(":") else line


def last_line(error: BaseException) -> str:
    """Last line of what an error says."""
    return str(error).strip().splitlines()[-1]
