"""The folder of a bundle: a description, and files that it names with their digests."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, Field, ValidationError, model_validator

from trueness.errors import StoreError, TruenessError, first_line
from trueness.evaluation.drift import KNOTS, LEAST_TIMES, lengths_of
from trueness.files import (
    read_json,
    remove,
    replace_folder,
    restore_folder,
    sweep,
    temporary,
    write_json,
)
from trueness.spec.kinds import spec_class

NETWORK, ENCODER = "network", "encoder"
"""Forms of members that torch scores; the others are `trueness.baselines.column_forms.FORMS`."""
WEIGHTS = "model.safetensors"
VERSION = 5
"""Of the format; a bundle of another one is refused."""
DESCRIPTION, LOG = "bundle.json", "log.jsonl"
LABELLED, LANGUAGES, MEASURES = "labelled", "languages", "measures"
"""Folders: of a bundle on titles, what is kept of the labelled texts, and the language model; of
one on bars, measures of their closes."""
DAWN = np.datetime64("0001-01-01")
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
_PART = r"[^/\x00]*[^/\x00.][^/\x00]*"  # of a path: neither empty, nor . or ..
Inside = Annotated[str, Field(pattern=rf"^{_PART}(/{_PART})*$")]


class _Estimate(BaseModel, strict=True):
    value: Finite | None
    low: Finite | None
    high: Finite | None
    n: Count
    k: Count | None


class _Threshold(BaseModel, strict=True):
    score: Finite
    precision: _Estimate
    recall: _Estimate
    certified: Finite | None
    per_year: Finite | None


class _Promise(BaseModel, strict=True):
    measured_on: str
    n: Count
    positives: Count
    threshold: _Threshold
    base_rate: _Estimate
    slope: Finite | None
    intercept: Finite | None
    asked: Finite | None
    notes: list[str]


class _Temperatures(BaseModel, strict=True):
    common: Annotated[Finite, Field(gt=0)]
    by_group: dict[str, Annotated[Finite, Field(gt=0)]]
    strength: Finite


class _Abstention(BaseModel, strict=True):
    threshold: Finite | None
    precision: _Estimate
    accepted: _Estimate
    certified: bool
    guaranteed: bool


class _Level(BaseModel, strict=True):
    depth: Annotated[int, Field(ge=1)]
    classes: Annotated[list[str], Field(min_length=2)]
    of: list[Count]
    thresholds: dict[str, _Abstention]


class _ClassPromise(BaseModel, strict=True):
    measured_on: str
    n: Count
    classes: Annotated[list[str], Field(min_length=2)]
    precision: Finite | None
    base_rate: _Estimate
    temperatures: _Temperatures
    thresholds: dict[str, _Abstention]
    joiner: str | None
    parents: list[_Level]
    languages: dict[str, Count]
    certifiable: dict[str, Finite]
    notes: list[str]


class _Member(BaseModel, strict=True):
    spec: dict[str, Any]
    form: str
    settings: dict[str, Any]
    prepared: dict[str, Any]
    folder: str
    features: list[str]


class _File(BaseModel, strict=True):
    sha256: str


class _Refit(BaseModel, strict=True):
    until: str | None
    fitted: str


class _Data(BaseModel, strict=True):
    lineage: str = ""
    lengths: dict[str, Count] = {}
    lineages: dict[str, str] = {}
    as_of: str | None = None


class _Wander(BaseModel, strict=True):
    mean: Finite
    squares: Annotated[list[Annotated[Finite, Field(ge=0)]], Field(min_length=1)]
    skews: list[Finite]


class _Reference(BaseModel, strict=True):
    knots: Annotated[list[Finite], Field(min_length=KNOTS, max_length=KNOTS)]
    times: Annotated[int, Field(ge=LEAST_TIMES)]
    shift: _Wander
    spread: _Wander

    @model_validator(mode="after")
    def _every_length_is_there(self) -> Self:
        sizes = {len(one) for two in (self.shift, self.spread) for one in (two.squares, two.skews)}
        if len(sizes) > 1 or not sizes <= {1, len(lengths_of(self.times))}:
            raise ValueError("other stretches than of so many times")
        return self


class _Drift(BaseModel, strict=True):
    features: dict[str, _Reference]
    score: _Reference | None


class _Description(BaseModel, strict=True):
    """What every description holds."""

    format: int
    key: str
    name: str
    task: str
    data: _Data
    horizon: Count
    block: Annotated[int, Field(ge=1)]
    members: Annotated[list[_Member], Field(min_length=1)]
    promise: _Promise | _ClassPromise
    refit: _Refit
    ranges: dict[str, Annotated[list[Finite], Field(min_length=2, max_length=2)]]
    files: dict[Inside, _File]
    drift: _Drift | None = None

    @model_validator(mode="after")
    def _is_of_its_task(self) -> Self:
        if (self.task == "titles") != isinstance(self.promise, _ClassPromise):
            raise ValueError(f"the promise is none of a bundle on {self.task}")
        return self

    @model_validator(mode="after")
    def _bars_are_known_again(self) -> Self:
        named = self.data.lengths and self.data.lineages and self.data.lineage and self.data.as_of
        if self.task == "market" and not (named and np.datetime64(self.refit.until or "") >= DAWN):
            raise ValueError("no series, or no time up to which it was fitted")
        return self


@dataclass(frozen=True)
class Member:
    """One fitted model of a bundle; the logits of all are averaged.

    Attributes
    ----------
    spec : spec
    form : str
        ``network``, or a row of `trueness.baselines.column_forms.FORMS`.
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
        content = b"" if path.is_fifo() else path.read_bytes()  # a pipe would never end
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
        With code ``no_bundle``, ``newer``, ``older``, ``damaged``, or ``foreign_file`` for one that
        nobody vouches for.
    """
    folder = Path(path)
    restore_folder(folder.resolve())
    if not (folder / DESCRIPTION).is_file():
        raise StoreError(
            f"{folder}: no bundle is there ({DESCRIPTION} is missing); `trueness finalize RUN "
            f"--out {folder}` makes one", "no_bundle",
        )  # fmt: skip
    try:
        description = read_json(folder / DESCRIPTION)
    except StoreError as error:
        raise StoreError(f"{error}; make the bundle again", "damaged") from None
    version = description.get("format")
    if isinstance(version, int) and version > VERSION:
        raise StoreError(f"{folder}: format {version} is of a newer trueness, this one reads "
                         f"{VERSION}; update trueness", "newer")  # fmt: skip
    if isinstance(version, int) and version < VERSION:
        raise StoreError(f"{folder}: format {version} is of an older trueness, this one reads "
                         f"{VERSION}; make the bundle again", "older")  # fmt: skip
    bundle = Bundle(folder, description)
    try:
        _Description.model_validate(description)
        _ = bundle.members
    except ValidationError as error:
        note = error.errors()[0]
        where = ".".join(map(str, note["loc"]))
        raise StoreError(f"{folder / DESCRIPTION}: {where}: {note['msg']}", "damaged") from None
    except (TruenessError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / DESCRIPTION}: {first_line(error)}", "damaged") from None
    _check_no_other_files(bundle)
    return bundle


def _check_no_other_files(bundle: Bundle) -> None:
    """Refuse links, and files that neither the description names nor answering writes."""
    own = {DESCRIPTION, LOG, f"{LOG}.lock", *bundle.description["files"]}
    for place, folders, files in os.walk(bundle.folder):
        for name in sorted((*folders, *files)):
            path = Path(place) / name
            other = name in files and path.relative_to(bundle.folder).as_posix() not in own
            if other or path.is_symlink():
                raise StoreError(f"{path}: is {'no file of the bundle' if other else 'a link'}; "
                                 "remove it, or make the bundle again", "foreign_file")  # fmt: skip


def write_bundle(out: Path, description: dict[str, Any], files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle whole or not at all; an older one in its place is replaced.

    Raises
    ------
    StoreError
        With code ``out`` if something else is there, or it cannot be written.
    """
    from trueness.judge.measured import environment  # loads what answering does not need

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
        parent = next(one for one in out.resolve().parents if one.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise StoreError(f"{out}: cannot be written, because {parent} is no folder that takes "
                             "files", "out")  # fmt: skip
        return
    if not out.is_dir():
        raise StoreError(f"{out} is a file; give a folder for the bundle", "out")
    if (out / LOG).exists():
        raise StoreError(f"{out} has predicted already, and its log is what it is monitored by; "
                         "give another folder", "logged")  # fmt: skip
    own = {DESCRIPTION, "members", LABELLED, LANGUAGES, MEASURES, f"{LOG}.lock"}
    foreign = {one.name for one in out.iterdir()} - own
    if foreign or (any(out.iterdir()) and not (out / DESCRIPTION).is_file()):
        what = f"{min(foreign)}, which is no part of a bundle" if foreign else "no bundle"
        raise StoreError(f"{out} holds {what}; give a new folder", "out")
