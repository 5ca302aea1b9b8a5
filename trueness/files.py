"""Files written whole or not at all, locks between processes, digests, the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

from trueness.errors import StoreError, first_line


def cache_folder() -> Path:
    """Where computed things are kept that could be computed again.

    ``TRUENESS_CACHE``, or a folder of the user's cache.
    """
    if own := os.environ.get("TRUENESS_CACHE"):
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trueness"
    except RuntimeError:
        raise StoreError("no home folder is known; name one in TRUENESS_CACHE", "no_home") from None


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold a lock file; one process at a time."""
    from filelock import FileLock

    with FileLock(path, thread_local=False):
        yield


@contextlib.contextmanager
def written_whole(path: Path, *, durable: bool = True) -> Generator[Path]:
    """Path of a temporary file beside `path`, which replaces it if the block succeeds.

    With `durable`, the content is on the disk before it does; without, it may be lost with the
    power. Whatever goes wrong, `path` holds what it held before and nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with written_whole(path) as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> path.read_text()
    'all of it'
    """
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Replace a text file, UTF-8, in one step.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    path = Path(path)
    try:
        with written_whole(path, durable=False) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the file cannot be written ({first_line(error)})") from None


def write_json(path: Path, content: dict[str, Any] | list[Any], *, durable: bool = True) -> None:
    """Replace a JSON file in one step; a line per field or item, which is written fast."""
    with written_whole(path, durable=durable) as temporary:
        temporary.write_text(_lines(content))


def _lines(content: dict[str, Any] | list[Any]) -> str:
    """JSON of a dictionary or a list, NaN refused.

    Examples
    --------
    >>> print(_lines({"a": [1, 2], "b": None}))
    {
     "a": [1, 2],
     "b": null
    }
    """
    one = partial(json.dumps, allow_nan=False)
    if isinstance(content, dict):
        lines, ends = [f"{one(str(name))}: {one(value)}" for name, value in content.items()], "{}"
    else:
        lines, ends = list(map(one, content)), "[]"
    body = ",\n ".join(lines)
    return f"{ends[0]}\n {body}\n{ends[1]}" if lines else ends


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
