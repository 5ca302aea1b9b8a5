"""Models of texts that others trained: the digest of their files, and where these lie.

A spec holds the digest, which is part of its key, and where the files lay, which is not.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from trueness.errors import DataError, SpecError, StoreError
from trueness.files import cache_folder, read_json, sha256_of, write_json

DIGITS = 12
"""Hexadecimal digits of a digest."""


class Digested(Protocol):
    """What was looked into."""

    @property
    def digest(self) -> str:
        """Of its content."""
        ...


Inspected = TypeVar("Inspected", bound=Digested)


def content_digest(place: Path, files: Sequence[Path]) -> str:
    """Digest of files with their names, the same wherever they lie; read only if they changed.

    Where they lie is remembered in the cache of the user, for `located`.

    Parameters
    ----------
    place : Path
        File or folder that a spec names.
    files : sequence of Path

    Returns
    -------
    str
        12 hexadecimal digits.

    Raises
    ------
    OSError
    """
    where = str(place.resolve())
    stamps = [[file.name, *_stamp(file)] for file in files]
    alias = hashlib.sha256(where.encode()).hexdigest()[:24]
    for note in _notes().glob(f"{alias}-*.json"):
        with contextlib.suppress(OSError, StoreError):
            known = read_json(note)
            if known["stamps"] == stamps:
                return known["digest"]
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name} {sha256_of(file)}\n".encode())
    digest = total.hexdigest()[:DIGITS]
    with contextlib.suppress(OSError, StoreError):  # then they are read again
        _notes().mkdir(parents=True, exist_ok=True)
        note = _notes() / f"{alias}-{digest}.json"
        write_json(note, {"place": where, "stamps": stamps, "digest": digest}, durable=False)
    return digest


def located(of: str, digest: str, inspect: Callable[[str], Inspected]) -> Inspected:
    """Content of a digest: where it is said to lie, or where it was seen last on this machine.

    Parameters
    ----------
    of : str
        Name or place that a spec gives.
    digest : str
        The last word of it are the digits.
    inspect : callable
        Place to what lies there; refuses with a `DataError`.

    Raises
    ------
    DataError
        With code ``other_files`` if other content lies there by now, ``no_files`` if none is
        known.
    """
    refused, other = "", ""
    for place in [of, *_seen(digest.rpartition(" ")[2])]:
        try:
            result = inspect(place)
        except DataError as error:
            refused = refused or str(error)
            continue
        if result.digest == digest:
            return result
        other = other or f"{place} holds {result.digest}, the run is on {digest}"
    named = "name where they lie in a campaign and list it (trueness list FILE)"
    if other:
        raise DataError(f"{other}; put its files back, or {named}", "other_files")
    raise DataError(f"the files of {of}, {digest}, are not known here ({refused}); {named}",
                    "no_files")  # fmt: skip


def pinned_digest(model: Any) -> str:  # noqa: ANN401 - of titles
    """Digest that a model holds.

    Raises
    ------
    SpecError
        With code ``own_unpinned`` if it holds none.
    """
    if model.digest is None:
        raise SpecError(f"model.of {model.of}: the digest of its files is not part of the key; "
                        "a campaign fills it in", "own_unpinned")  # fmt: skip
    return model.digest


def _notes() -> Path:
    """Where places are remembered."""
    return cache_folder() / "foreign"


def _seen(digits: str) -> list[str]:
    """Places at which content was seen."""
    places = []
    for note in sorted(_notes().glob(f"*-{digits}.json")):
        with contextlib.suppress(OSError, StoreError):
            places.append(read_json(note)["place"])
    return places


def _stamp(file: Path) -> list[int]:
    """Changes when a file is written."""
    facts = file.stat()
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino]
