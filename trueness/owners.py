"""Which process something belongs to, identified across hosts, containers and restarts."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import uuid
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Owner:
    """A process.

    Attributes
    ----------
    host : str
        Name of its machine, for people; containers may share one.
    machine : str
        Digest of the host, its last start and the namespace of process numbers: where it is equal,
        equal numbers mean equal processes.
    pid : int
    started : str
        When the process began, in ticks since the machine did; empty where that is not known.
    token : str
        Random, another one for every process.
    """

    host: str
    machine: str
    pid: int
    started: str
    token: str

    @classmethod
    def from_dict(cls, content: Any) -> Owner:  # noqa: ANN401 - whatever a file holds
        """From `to_dict`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is something else.
        """
        words = [content[name] for name in ("host", "machine", "started", "token")]
        pid = content["pid"]
        if not all(isinstance(word, str) for word in words) or type(pid) is not int:
            raise TypeError("an owner has words and a process number")
        return cls(words[0], words[1], pid, words[2], words[3])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    @property
    def is_here(self) -> bool:
        """Whether this process can see whether that one lives."""
        return self.machine == me().machine

    @property
    def is_gone(self) -> bool:
        """Whether that process is known to have ended; False where it cannot be seen."""
        return self.is_here and self.started != _started(self.pid)

    @property
    def text(self) -> str:
        """Such as ``process 17 on alpha``."""
        return f"process {self.pid} on {self.host}"


def me() -> Owner:
    """The process that asks."""
    return _owner(os.getpid())


@lru_cache(maxsize=1)
def _owner(pid: int) -> Owner:
    host = platform.node()
    return Owner(host, _machine(host), pid, _started(pid) or "", uuid.uuid4().hex[:12])


def _machine(host: str) -> str:
    start = _first_line("/proc/sys/kernel/random/boot_id") or str(uuid.getnode())
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return hashlib.sha256(f"{host} {start} {space}".encode()).hexdigest()[:12]


def _started(pid: int) -> str | None:
    """When a process of this machine began, empty if nobody says; None if there is none."""
    if not 0 < pid < 2**31:
        return None
    if os.path.exists("/proc/self/stat"):
        fields = _first_line(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if fields:
            return None if fields[0] in "ZX" else fields[19]
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return ""
    return ""


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").partition("\n")[0]
    except OSError:
        return ""


def peak_memory() -> int | None:
    """Most memory that this process has held, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
