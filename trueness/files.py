"""Files written whole or not at all, JSON that notices damage, locks, digests, the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Generator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueness.errors import StoreError, TruenessError, first_line
from trueness.owners import Owner, me

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]

TEMPORARY = ".tmp-"
"""How names of unfinished files and folders begin."""
ABANDONED_S = 86_400
"""Seconds without a change after which an unfinished file of another machine is removed."""
MOST_BYTES = 1 << 30
"""Largest JSON file that is read."""
LARGEST = 2**63
"""Whole numbers of JSON lie below it."""
DIGEST = "sha256"
MOST_NAMES = 10_000
"""Names of a folder among which the one that was meant is looked for."""


def no_such_file(path: Path) -> str:
    """That a file is missing, and what is called nearly so in its folder, if anything is."""
    from difflib import get_close_matches

    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, MOST_NAMES)]
    except OSError:
        names = []
    close = "".join(get_close_matches(path.name, names, n=1, cutoff=0.75))
    return f"{path}: no such file" + f"; did you mean {path.parent / close}?" * bool(close)


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


# ------------------------------------------------------------------------------ unfinished files


def temporary(path: Path) -> Path:
    """A new name beside `path` for what becomes it; `sweep` finds whose it was."""
    own = me()
    words = (own.machine, str(own.pid), own.started or "0", uuid.uuid4().hex[:8])
    return path.with_name(TEMPORARY + "-".join(words))


def sweep(folder: Path) -> None:
    """Remove what is unfinished in a folder and will stay so.

    That of processes of this machine that are gone, and of others what did not change for a day.
    """
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name.startswith(TEMPORARY) and _is_abandoned(entry):
                remove(Path(entry.path))


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def replace_folder(unfinished: Path, place: Path) -> None:
    """Move a finished folder to its place; what was there is removed, or stays if that fails.

    A process that is killed in between leaves the earlier one beside it, for `restore_folder`.
    """
    old = _earlier(place)
    if place.exists():
        place.rename(old)
    try:
        unfinished.rename(place)
    except OSError:
        restore_folder(place)
        raise
    remove(old)


def restore_folder(place: Path) -> None:
    """Put back what stood at a place before `replace_folder` was killed, or remove it."""
    old = _earlier(place)
    if old.exists() and not place.exists():
        old.rename(place)
    remove(old)


def _earlier(place: Path) -> Path:
    return place.with_name(f".{place.name}.earlier")


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    words = entry.name.removeprefix(TEMPORARY).split("-")
    with contextlib.suppress(ValueError):
        machine, pid, started, _ = words
        owner = Owner("", machine, int(pid), "" if started == "0" else started, "")
        if owner.is_here:
            return owner.is_gone
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED_S
    except OSError:
        return False


def check_path(path: Path) -> None:
    """Refuse a file that cannot be written: no folder, no right, or not a file.

    Raises
    ------
    TruenessError
        With the code ``output_path``.
    """
    folder, taken = path.parent, path.exists() and not path.is_file()
    if taken or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise TruenessError(
            f"{path}: the file cannot be written there; give one in an existing folder",
            "output_path",
        )


@contextlib.contextmanager
def written_whole(path: Path, *, durable: bool = True) -> Generator[Path]:
    """Path of a temporary file beside `path`, which replaces it if the block succeeds.

    With `durable`, the content is on the disk before it does; without, it may be lost with the
    power. Whatever goes wrong, `path` holds what it held before and nothing is left behind.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with written_whole(path) as unfinished:
    ...     _ = unfinished.write_text("all of it")
    >>> path.read_text()
    'all of it'
    """
    unfinished = temporary(path)
    try:
        yield unfinished
        if durable:
            sync(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> None:
    """Replace a text file, UTF-8, in one step.

    Raises
    ------
    StoreError
        If it cannot be written.
    """
    path = Path(path)
    try:
        with written_whole(path, durable=False) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the file cannot be written ({first_line(error)})") from None


def write_tensors(path: Path, tensors: Tensors, about: dict[str, str] | None = None) -> None:
    """Write a safetensors file that `read_tensors` can check.

    Who may read its folder's other files may read it too.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    words = about or {}
    path.touch()
    mode = path.stat().st_mode  # the library's own is for the owner alone
    try:
        save_file(dict(tensors), path, {**words, DIGEST: _digest_of(tensors, words)})
    except SafetensorError as error:
        raise OSError(first_line(error)) from None
    path.chmod(mode)


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors of a file that `write_tensors` wrote, and what was noted with them.

    Raises
    ------
    OSError
    ValueError
        If they differ from what was written.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # of a kind that numpy lacks
        raise ValueError(first_line(error)) from None
    if about.pop(DIGEST, "") != _digest_of(tensors, about):
        raise ValueError("content differs from what was written")
    return tensors, about


def _digest_of(tensors: Tensors, about: dict[str, str]) -> str:
    result = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        result.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        result.update(tensor.data if tensor.flags.c_contiguous else tensor.tobytes())
    return result.hexdigest()


# ------------------------------------------------------------------------------------------ JSON


def write_json(path: Path, content: dict[str, Any], *, durable: bool = True) -> None:
    """Replace a JSON file in one step; `read_json` notices whatever changes in it later."""
    with written_whole(path, durable=durable) as unfinished:
        unfinished.write_bytes(json_bytes(content))


def json_bytes(content: dict[str, Any]) -> bytes:
    r"""JSON of a dictionary, a line per field, headed by the digest of all that follows it.

    Raises
    ------
    ValueError
        For NaN and infinite numbers.

    Examples
    --------
    >>> json_bytes({"a": [1, 2]}).split(b"\n")[2:]
    [b' "a": [1, 2]', b'}', b'']
    """
    lines = ",\n ".join(json_lines(content))
    rest = f" {lines}\n}}\n".encode() if lines else b"}\n"
    return b"%s%s\n%s" % (_head(rest), b"," * bool(lines), rest)


def json_lines(content: dict[str, Any]) -> list[str]:
    """Fields of a dictionary as JSON, NaN refused."""
    one = partial(json.dumps, allow_nan=False)
    return [f"{one(str(name))}: {one(value)}" for name, value in content.items()]


def _head(rest: bytes) -> bytes:
    return b'{\n "%s": "%s"' % (DIGEST.encode(), hashlib.sha256(rest).hexdigest().encode())


HEAD = len(_head(b""))


def read_json(path: Path | str) -> dict[str, Any]:
    """Content of a file that `write_json` wrote.

    Raises
    ------
    FileNotFoundError
    StoreError
        With the code ``damaged`` if it cannot be read, or differs from what was written.
    """
    try:
        return checked_json(_bytes(path))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is damaged ({first_line(error)})", "damaged") from None


def checked_json(written: bytes) -> dict[str, Any]:
    """Content of what `json_bytes` made.

    Raises
    ------
    ValueError
        If it is something else.
    """
    from pydantic_core import from_json

    head, rest = written[:HEAD], written[HEAD:]
    rest = rest[2:] if rest.startswith(b",\n") else rest[1:]
    if head != _head(rest):
        raise ValueError("content differs from what was written")
    content = from_json(written)
    del content[DIGEST]
    return content


def foreign_json(path: Path | str, *, nan: bool = False) -> Any:  # noqa: ANN401 - whatever it holds
    """Content of a JSON file that somebody else wrote; with `nan`, numbers may be none.

    Raises
    ------
    OSError
    ValueError
        If it is no JSON, is nested too deeply, or has numbers that are none or beyond all bounds.
    """
    from pydantic_core import from_json

    content = from_json(_bytes(path).removeprefix(b"\xef\xbb\xbf"), allow_inf_nan=nan)
    pending = [content]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending += one.values()
        elif isinstance(one, list):
            pending += one
        elif isinstance(one, int if nan else int | float) and not abs(one) < LARGEST:
            raise ValueError(f"a number beyond all bounds, {str(one)[:20]}")
    return content


def _bytes(path: Path | str) -> bytes:
    with open(path, "rb") as file:
        if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
            raise ValueError(f"{size:,} bytes; at most {MOST_BYTES:,} are read")
        return file.read()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
