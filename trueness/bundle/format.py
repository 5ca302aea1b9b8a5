"""The folder of a bundle: a description, and files that it names with their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from trueness.errors import StoreError, first_line
from trueness.files import (
    read_json,
    remove,
    replace_folder,
    restore_folder,
    sweep,
    temporary,
    write_json,
)
from trueness.judge.measured import environment
from trueness.spec.kinds import spec_class

VERSION = 1
"""Of the format; a bundle of a newer one is refused."""
DESCRIPTION, LOG = "bundle.json", "log.jsonl"
FIELDS = ("format", "key", "task", "data", "members", "promise", "refit", "files")
"""What every description holds."""


@dataclass(frozen=True)
class Member:
    """One fitted model of a bundle; the logits of all are averaged.

    Attributes
    ----------
    spec : spec
    form : str
        ``network``, or a row of `trueness.baselines.fitted.FORMS`.
    settings, prepared : mapping
        Plain values that it is opened with, and that its rows are prepared with.
    folder : str
        Of its files, inside the bundle.
    features : tuple of str
    """

    spec: Any
    form: str
    settings: Mapping[str, Any]
    prepared: Mapping[str, Any]
    folder: str
    features: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for the description."""
        return {
            "spec": self.spec.model_dump(mode="json"), "form": self.form,
            "settings": dict(self.settings), "prepared": dict(self.prepared),
            "folder": self.folder, "features": list(self.features),
        }  # fmt: skip


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes
    ----------
    folder : Path
    description : dict
        As `write_bundle` wrote it.
    """

    folder: Path
    description: dict[str, Any]

    @property
    def task(self) -> str:
        """Kind of its task."""
        return self.description["task"]

    @property
    def name(self) -> str:
        """Ids of the run that it was made from, or its key."""
        return self.description["name"]

    @property
    def log(self) -> Path:
        """Where predictions are written down."""
        return self.folder / LOG

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """Fitted models, opened by `trueness.bundle.members`."""
        kind = spec_class(self.task)
        return tuple(
            Member(
                kind.model_validate(one["spec"]), one["form"], one["settings"], one["prepared"],
                one["folder"], tuple(one["features"]),
            )
            for one in self.description["members"]
        )  # fmt: skip

    def files(self, folder: str) -> dict[str, bytes]:
        """Files of a member by name, each as it was written.

        Raises
        ------
        StoreError
            With code ``damaged``.
        """
        prefix = f"{folder}/"
        return {
            name.removeprefix(prefix): _verified(self.folder / name, facts["sha256"])
            for name, facts in self.description["files"].items() if name.startswith(prefix)
        }  # fmt: skip


def _verified(path: Path, digest: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; make the bundle again", "damaged") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise StoreError(f"{path}: differs from what was written; make the bundle again", "damaged")
    return content


def open_bundle(path: str | Path) -> Bundle:
    """Open the folder of a bundle; its files are read and verified when they are needed.

    Raises
    ------
    StoreError
        With code ``no_bundle``, ``newer`` or ``damaged``.
    """
    folder = Path(path)
    restore_folder(folder.resolve())
    if not (folder / DESCRIPTION).is_file():
        raise StoreError(
            f"{folder}: no bundle is there ({DESCRIPTION} is missing); `trueness finalize RUN "
            f"--out {folder}` makes one", "no_bundle",
        )  # fmt: skip
    description = read_json(folder / DESCRIPTION)
    version = description.get("format")
    if isinstance(version, int) and version > VERSION:
        raise StoreError(f"{folder}: format {version} is of a newer trueness, this one reads up to "
                         f"{VERSION}; update trueness", "newer")  # fmt: skip
    lacking = [name for name in FIELDS if name not in description]
    if lacking:
        raise StoreError(f"{folder / DESCRIPTION}: {lacking[0]} is missing", "damaged")
    bundle = Bundle(folder, description)
    try:
        _ = bundle.members
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{folder / DESCRIPTION}: {first_line(error)}", "damaged") from None
    return bundle


def write_bundle(out: Path, description: dict[str, Any], files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle whole or not at all; an older one in its place is replaced.

    Raises
    ------
    StoreError
        With code ``out`` if something else is there, or it cannot be written.
    """
    place = out.resolve()
    restore_folder(place)
    check_free(out)
    unfinished = temporary(place)
    whole = {
        "format": VERSION, "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(), **description,
        "files": {name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
                  for name, content in files.items()},
    }  # fmt: skip
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        sweep(place.parent)
        for name, content in files.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        unfinished.mkdir(parents=True, exist_ok=True)
        write_json(unfinished / DESCRIPTION, whole)
        replace_folder(unfinished, place)
    except OSError as error:
        raise StoreError(f"{out}: cannot be written ({first_line(error)})", "out") from None
    finally:
        remove(unfinished)
    return open_bundle(out)


def check_free(out: Path) -> None:
    """Refuse a folder that a bundle may not replace.

    Raises
    ------
    StoreError
        With code ``out``; ``logged`` for a bundle that has predicted: its log would be lost.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise StoreError(f"{out} is a file; give a folder for the bundle", "out")
    if (out / LOG).exists():
        raise StoreError(f"{out} has predicted already, and its log is what it is monitored by; "
                         "give another folder", "logged")  # fmt: skip
    if any(out.iterdir()) and not (out / DESCRIPTION).is_file():
        raise StoreError(f"{out} is no bundle and not empty; give a new folder", "out")
