"""Runs in a folder: one folder per key, written whole or not at all, of every kind of task.

    STORE/store.json             version of the layout
    STORE/runs/KEY/              spec.json  record.json  predictions.parquet  history.parquet
                                 model.safetensors
    STORE/failures/KEY.json      traceback of a run that failed, until it succeeds
    STORE/campaigns/NAME.json    which keys a campaign's ids stand for
    STORE/ledger.jsonl           every access to held-out results; see trueness.store.ledger
    STORE/index/                 derived numbers; may be deleted at any time
    STORE/checks.yaml            limits of the checks, if somebody moved them; written by hand
    STORE/mutes.json             findings that somebody muted, with reason and date
    STORE/annotations.json       tags and notes that somebody wrote at runs
    STORE/damaged/               unreadable run folders that a later run of the same key replaced

A run is written into a temporary folder and renamed. `record.json` names the size and digest of the
other files, so that a truncated one is noticed; damaged runs are reported and skipped, never
deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, Generic

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from typing_extensions import TypeVar

from trueness.errors import StoreError, first_line
from trueness.files import is_alive, locked, sha256_of, write_json, written_whole
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.spec.keyed import ContentAddressed
from trueness.spec.kinds import AnySpec, spec_class

VERSION = 4
FILES = ("predictions.parquet", "history.parquet", "spec.json")
"""Files that every run has."""
FIELDS = (
    "task", "created", "label", "parameters", "notes", "comparison_group", "units", "estimates",
    "seconds", "device", "precision", "data", "files",
)  # fmt: skip
"""What every record says."""
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
    """A run: its spec and its record; predictions, history and weights are read when asked for."""

    key: str
    spec: S
    record: dict[str, Any]
    folder: Path

    def _file(self, name: str) -> Path:
        path, expected = self.folder / name, self.record["files"][name]
        if sha256_of(path) != expected["sha256"]:
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

    @property
    def address(self) -> str:
        """Changes with the predictions."""
        return f"{self.key}-{self.record['files']['predictions.parquet']['sha256'][:12]}"

    def table(self) -> pl.DataFrame:
        """Stored predictions with every column."""
        return pl.read_parquet(self._file("predictions.parquet"), glob=False)

    def predictions(self) -> Predictions:
        """What the run says about its units.

        Raises
        ------
        StoreError
            If they are damaged.
        """
        rule: Estimands = self.spec.estimands  # ty: ignore[missing-attribute] - every spec has them
        scale = "logit" if rule.probabilities else "rank"
        return Predictions(self.table(), scale, tuple(self.record.get("classes", ())))

    def history(self) -> pl.DataFrame:
        """Losses, AUC, range of probabilities and alarm share per fold and epoch.

        Models that are not trained in epochs have no rows.
        """
        return pl.read_parquet(self._file("history.parquet"), glob=False)

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
        return load_file(self._file("model.safetensors"))


class Store:
    """Runs in a folder; opening reads nothing but the version, and creates nothing.

    Parameters
    ----------
    root : str or Path

    Raises
    ------
    StoreError
        If the folder was written by another version, or is a file.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.runs = self.root / "runs"
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root} is a file; give a folder for the store")
        self._check_version()

    def _check_version(self) -> None:
        path = self.root / "store.json"
        if not path.exists():
            if (self.root / "titles").is_dir():
                raise self._other_version(1)  # titles had a store of their own
            return
        try:
            version = json.loads(path.read_text())["version"]
        except (ValueError, KeyError, TypeError, OSError):
            version = None
        if not isinstance(version, int) or isinstance(version, bool):
            raise StoreError(
                f'{path} is damaged; it should hold {{"version": {VERSION}}}'
            ) from None
        if version != VERSION:
            raise self._other_version(version)

    def _other_version(self, version: int) -> StoreError:
        age = "a newer" if version > VERSION else "an older"
        return StoreError(
            f"{self.root} was written by {age} trueness (layout {version}, this one knows "
            f"{VERSION}); give another --store, or train its runs again",
            "store_version",
        )

    def prepare(self) -> None:
        """Create the folders and make sure that they can be written.

        Raises
        ------
        StoreError
            If they cannot.
        """
        try:
            for name in ("runs", "failures", "campaigns"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            if not (self.root / "store.json").exists():
                write_json(self.root / "store.json", {"version": VERSION})
            probe = self.runs / f".tmp-{uuid.uuid4().hex}"
            probe.mkdir()
            probe.rmdir()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError(
                f"{self.root}: cannot be written ({first_line(error)}); give another --store"
            ) from None
        self._sweep()

    def _sweep(self) -> None:
        """Remove temporary folders of processes that are gone."""
        for folder in self.runs.glob(".tmp-*-*"):
            pid = folder.name.split("-")[1]
            if pid.isdigit() and len(pid) < 10 and not is_alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)

    # -------------------------------------------------------------------------------------- writing

    def write(
        self,
        spec: AnySpec,
        record: dict[str, Any],
        predictions: pl.DataFrame,
        history: pl.DataFrame,
        parameters: dict[str, NDArray[np.float32]] | None = None,
        files: dict[str, bytes] | None = None,
    ) -> bool:
        """Store a run; return False if another process stored the same key first.

        `files` are further ones, by name.

        Raises
        ------
        StoreError
            If the disk refuses; nothing is left behind.
        """
        temporary = self.runs / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            temporary.mkdir()
            predictions.write_parquet(temporary / "predictions.parquet")
            if len(history):
                history.write_parquet(temporary / "history.parquet")
            else:
                (temporary / "history.parquet").write_bytes(_empty(tuple(history.schema.items())))
            if parameters:
                save_file(parameters, temporary / "model.safetensors")
            for name, content in (files or {}).items():
                (temporary / name).write_bytes(content)
            write_json(temporary / "spec.json", spec.stored().model_dump(mode="json"))
            written = {
                p.name: {"bytes": p.stat().st_size, "sha256": sha256_of(p)}
                for p in sorted(temporary.iterdir())
            }
            own = {"task": spec.task.kind, "key": spec.key, "files": written}
            write_json(temporary / "record.json", {**record, **own})
            won = self._place(temporary, spec.key)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError(f"{self.root}: cannot be written ({first_line(error)})") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        (self.root / "failures" / f"{spec.key}.json").unlink(missing_ok=True)
        return won

    def _place(self, temporary: Path, key: str) -> bool:
        """Rename a finished folder to its key; a damaged one there moves to ``damaged/`` first."""
        final = self.runs / key
        if final.exists() and isinstance(self._open(key), Problem):
            (self.root / "damaged").mkdir(exist_ok=True)
            final.rename(self.root / "damaged" / f"{key}-{uuid.uuid4().hex[:8]}")
        try:
            temporary.rename(final)
        except OSError:
            if not final.exists():
                raise
            return False
        return True

    def remove(self, key: str) -> None:
        """Remove a run, if it is there; ids of campaigns go on naming its key."""
        gone = self.runs / f".tmp-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with contextlib.suppress(FileNotFoundError):
            (self.runs / key).rename(gone)  # in one step: a run is whole or not there
        shutil.rmtree(gone, ignore_errors=True)

    def write_failure(self, spec: AnySpec, reason: str) -> None:
        """Keep the traceback of a run that failed; the campaign goes on."""
        content = {"key": spec.key, "spec": spec.model_dump(mode="json"), "reason": reason}
        write_json(self.root / "failures" / f"{spec.key}.json", content)

    def write_campaign(self, name: str, ids: dict[str, str]) -> None:
        """Remember which keys each id of a campaign has stood for, on top of what was known."""
        with locked(self.root / "campaigns" / ".lock"):
            known = self.campaigns().get(name, {})
            for id_, key in ids.items():
                known[id_] = [*(k for k in known.get(id_, []) if k != key), key]
            write_json(self.root / "campaigns" / f"{name}.json", known)

    # -------------------------------------------------------------------------------------- reading

    def __contains__(self, key: str) -> bool:
        return isinstance(self._open(key), Run)

    def run(self, key: str) -> Run[Any]:
        """Stored run of a key or of an unambiguous beginning of one.

        Raises
        ------
        StoreError
            If there is none, several, or the folder is damaged.
        """
        opened = self._open(only_key(key, self._keys(), str(self.root)))
        if isinstance(opened, Problem):
            raise StoreError(f"{self.runs / opened.name}: {opened.reason}")
        return opened

    def all_runs(self, most: int | None = None) -> tuple[list[Run[Any]], list[Problem]]:
        """Every usable run, and every folder that is not; `most` of them, in order of the keys."""
        opened = [self._open(key) for key in self._keys()[:most]]
        runs = [o for o in opened if isinstance(o, Run)]
        return runs, [o for o in opened if isinstance(o, Problem)]

    def read_index(self, name: str) -> dict[str, Any]:
        """Derived numbers kept under a name; empty if there are none or they are damaged."""
        try:
            content = json.loads((self.root / "index" / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def write_index(self, name: str, content: dict[str, Any]) -> None:
        """Keep derived numbers; a store that cannot be written does without."""
        with contextlib.suppress(OSError):
            (self.root / "index").mkdir(exist_ok=True)
            write_json(self.root / "index" / f"{name}.json", content)

    def read_arrays(self, name: str) -> tuple[list[str], dict[str, NDArray[Any]]]:
        """Derived numbers of many runs: their addresses, and arrays with a row for each.

        Empty if there are none or they are damaged.
        """
        try:
            with safe_open(self.root / "index" / f"{name}.safetensors", "numpy") as file:
                addresses = json.loads(file.metadata()["addresses"])
                return addresses, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return [], {}

    def write_arrays(
        self, name: str, addresses: list[str], arrays: dict[str, NDArray[Any]]
    ) -> None:
        """Keep derived numbers of many runs; a store that cannot be written does without."""
        with contextlib.suppress(OSError, SafetensorError):
            (self.root / "index").mkdir(exist_ok=True)
            path = self.root / "index" / f"{name}.safetensors"
            with written_whole(path, durable=False) as temporary:
                save_file(arrays, temporary, {"addresses": json.dumps(addresses)})

    def entries(self, name: str) -> list[dict[str, Any]]:
        """What people wrote into ``NAME.json``, the oldest first.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        path = self.root / f"{name}.json"
        try:
            content = json.loads(path.read_text()) if path.exists() else []
        except (OSError, ValueError):
            content = None
        if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
            raise StoreError(f"{path} is damaged; mend or remove it", "damaged")
        return content

    def change_entries(
        self, name: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> None:
        """Replace the entries of ``NAME.json`` by what `change` makes of them."""
        self.prepare()
        with locked(self.root / "campaigns" / ".lock"):
            write_json(self.root / f"{name}.json", change(self.entries(name)))

    def failures(self) -> dict[str, str]:
        """Last line of the traceback of each run that failed and has not succeeded since."""
        reasons = {}
        for path in sorted((self.root / "failures").glob("*.json")):
            try:
                reasons[path.stem] = json.loads(path.read_text())["reason"].strip().splitlines()[-1]
            except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError):
                reasons[path.stem] = f"{path} is damaged"
        return reasons

    def campaigns(self) -> dict[str, dict[str, list[str]]]:
        """Name of each campaign that was run here -> id -> keys, the latest last.

        Files that cannot be read are left out; they only hold names.
        """
        found = {}
        for path in sorted((self.root / "campaigns").glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                content = json.loads(path.read_text())
                if isinstance(content, dict):
                    found[path.stem] = {
                        id_: [str(key) for key in keys]
                        for id_, keys in content.items()
                        if isinstance(keys, list)
                    }
        return found

    def _keys(self) -> list[str]:
        if not self.runs.is_dir():
            return []
        return sorted(
            entry.name for entry in os.scandir(self.runs) if not entry.name.startswith(".")
        )

    def _open(self, key: str) -> Run[Any] | Problem:
        folder = os.path.join(self.runs, key)  # paths of 10,000 runs take a second as objects
        try:
            record = from_json(_content(f"{folder}/record.json"))
            read = spec_class(record["task"]).model_validate_json
            spec = read(_content(f"{folder}/spec.json"))
            _check_record(spec, record)
            for name, expected in record["files"].items():
                size = os.stat(f"{folder}/{name}").st_size
                if size != expected["bytes"]:
                    return Problem(
                        key, f"{name} has {size} bytes, {expected['bytes']} were written"
                    )
        except FileNotFoundError as error:
            return Problem(key, f"{Path(str(error.filename)).name} is missing")
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            return Problem(key, f"unreadable record or spec ({first_line(error)})")
        if spec.key != key:
            return Problem(key, f"its spec has the key {spec.key}")
        return Run(key, spec, record, self.runs / key)


def only_key(key: str, keys: Sequence[str], where: str) -> str:
    """The key that a word stands for."""
    found = [key] if key in keys else [k for k in keys if k.startswith(key)]
    if len(found) != 1:
        some = f" ({', '.join(found[:5])})" if key and found else ""
        what = f"{len(found)} runs begin with" if found else "no run has the id or key"
        raise StoreError(
            f"{where}: {what} {key!r}{some}; `trueness leaderboard` lists ids, with --json also "
            "keys", "no_run",
        )  # fmt: skip
    return found[0]


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


@cache
def _empty(schema: tuple[tuple[str, pl.DataType], ...]) -> bytes:
    """Parquet file without rows, as many runs have one."""
    content = BytesIO()
    pl.DataFrame(schema=dict(schema)).write_parquet(content)
    return content.getvalue()


def _check_record(spec: Any, record: dict[str, Any]) -> None:  # noqa: ANN401 - any kind of spec
    """Raise KeyError or TypeError unless a record has what its readers use."""
    missing = [name for name in FIELDS if name not in record]
    if missing:
        raise KeyError(f"no field {', '.join(missing)}")
    float(record["estimates"][spec.estimands.headline]["value"] or 0)
    record["data"].keys()
    for name in FILES:
        record["files"][name]["sha256"]
