"""One stored run: its spec and record, checked when it is opened; the rest when it is asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.numpy import load_file
from typing_extensions import TypeVar

from trueness.errors import StoreError, first_line
from trueness.files import checked_json, sha256_of
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.spec.keyed import ContentAddressed
from trueness.spec.kinds import spec_class

FILES = ("predictions.parquet", "history.parquet", "spec.json")
"""Files that every run has."""
FIELDS = (
    "task", "created", "label", "parameters", "notes", "comparison_group", "units", "estimates",
    "seconds", "device", "precision", "data", "files",
)  # fmt: skip
"""What every record says."""
Written: TypeAlias = dict[str, dict[str, Any]]
"""Name of each file of a run -> its ``bytes`` and ``sha256``."""
S = TypeVar("S", bound=ContentAddressed, default=Any)


@dataclass(frozen=True)
class Problem:
    """A run folder that cannot be used, and why."""

    name: str
    reason: str

    def to_dict(self) -> dict[str, str]:
        """Plain types for JSON."""
        return {"name": self.name, "reason": self.reason}


@dataclass(frozen=True)
class Run(Generic[S]):
    """A run: its spec and its record; predictions, history and weights are read when asked for.

    Attributes
    ----------
    key : str
    spec : Spec
    record : dict
    folder : Path
        Of its files.
    fetch : callable, optional
        Brings a file of that name into the folder, where that is no more than a cache.
    """

    key: str
    spec: S
    record: dict[str, Any]
    folder: Path
    fetch: Callable[[str], None] | None = field(default=None, kw_only=True, repr=False)

    def file(self, name: str) -> Path:
        """A file of the run, as it was written.

        Raises
        ------
        StoreError
            With the code ``damaged`` if it changed since.
        """
        path, expected = self.folder / name, self.record["files"][name]["sha256"]
        if self.fetch is not None and _digest(path) != expected:
            self.fetch(name)
        if _digest(path) != expected:
            raise StoreError(
                f"{path}: content differs from what was written; "
                f"remove {self.folder} to run it again",
                "damaged",
            )
        return path

    @cached_property
    def candidate(self) -> str:
        """Equal for runs that are seeds of one candidate."""
        return self.spec.candidate

    @cached_property
    def estimands(self) -> Estimands:
        """What is measured of it; in a panel a unit is one bar of one series."""
        rule: Estimands = self.spec.estimands  # ty: ignore[missing-attribute] - every spec has them
        if len(self.record["data"].get("series", ())) < 2:
            return rule
        unit, series = rule.nouns
        return replace(rule, nouns=(f"{series}-{unit}", series))

    @property
    def address(self) -> str:
        """Changes with the predictions."""
        return f"{self.key}-{self.record['files']['predictions.parquet']['sha256'][:12]}"

    def table(self) -> pl.DataFrame:
        """Stored predictions with every column."""
        return pl.read_parquet(self.file("predictions.parquet"), glob=False)

    def predictions(self) -> Predictions:
        """What the run says about its units.

        Raises
        ------
        StoreError
            If they are damaged.
        """
        rule = self.estimands
        scale = "logit" if rule.probabilities else "rank"
        return Predictions(self.table(), scale, tuple(self.record.get("classes", ())))

    def history(self) -> pl.DataFrame:
        """Losses, AUC, range of probabilities and alarm share per fold and epoch.

        Models that are not trained in epochs have no rows.
        """
        return pl.read_parquet(self.file("history.parquet"), glob=False)

    def parameters(self) -> dict[str, NDArray[np.float32]]:
        """Weights of the best epoch, named ``foldF.NAME``.

        Raises
        ------
        StoreError
            For models that store none.
        """
        if "model.safetensors" not in self.record["files"]:
            raise StoreError(
                f"{self.key}: a {self.record['label']} stores no weights", "no_weights"
            )
        return load_file(self.file("model.safetensors"))


def _digest(path: Path) -> str | None:
    """Digest of a file; None if it is not there."""
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return None


def open_run(folder: str, key: str) -> Run[Any] | Problem:
    """Run in a folder, or why there is none: spec and record as they were written, sizes of files.

    The folder is a string: paths of 10,000 runs take a second as objects.
    """
    try:
        record, written = _content(f"{folder}/record.json"), _content(f"{folder}/spec.json")
        run = read_run(key, record, written, Path(folder))
        wrong = None if isinstance(run, Problem) else other_size(folder, run.record["files"])
    except FileNotFoundError as error:
        return Problem(key, f"{Path(str(error.filename)).name} is missing")
    except OSError as error:
        return Problem(key, f"unreadable record or spec ({first_line(error)})")
    return run if wrong is None else Problem(key, wrong)


def read_run(
    key: str, record: bytes, written: bytes, folder: Path,
    fetch: Callable[[str], None] | None = None,
) -> Run[Any] | Problem:  # fmt: skip
    """Run of a record and a spec as they were written, or why there is none."""
    try:
        content = checked_json(record)
        if hashlib.sha256(written).hexdigest() != content["files"]["spec.json"]["sha256"]:
            return Problem(key, "spec.json differs from what was written")
        spec = spec_class(content["task"]).model_validate_json(written)
        _check_record(spec, content)
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Problem(key, f"unreadable record or spec ({first_line(error)})")
    if spec.key != key:
        return Problem(key, f"its spec has the key {spec.key}")
    return Run(key, spec, content, folder, fetch=fetch)


def other_size(folder: str | Path, files: dict[str, dict[str, Any]]) -> str | None:
    """Which of some files has another size than was written, if one has.

    Raises
    ------
    FileNotFoundError
        If one is missing.
    """
    for name, expected in files.items():
        size = os.stat(os.path.join(folder, name)).st_size
        if size != expected["bytes"]:
            return f"{name} has {size} bytes, {expected['bytes']} were written"
    return None


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _check_record(spec: Any, record: dict[str, Any]) -> None:  # noqa: ANN401 - any kind of spec
    """Raise KeyError or TypeError unless a record has what its readers use."""
    missing = [name for name in FIELDS if name not in record]
    if missing:
        raise KeyError(f"no field {', '.join(missing)}")
    float(record["estimates"][spec.estimands.headline]["value"] or 0)
    record["data"].keys()
    for name in FILES:
        record["files"][name]["sha256"]
