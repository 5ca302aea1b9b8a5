"""The store: one folder per run key, written whole or not at all.

    STORE/store.json             version of the layout
    STORE/runs/KEY/              spec.json  record.json  predictions.parquet  history.parquet
                                 model.safetensors
    STORE/failures/KEY.json      traceback of a run that failed, until it succeeds
    STORE/campaigns/NAME.json    which keys a campaign's ids stand for
    STORE/ledger.jsonl           every look at validation and test; see trueness.ledger
    STORE/index/                 derived numbers; may be deleted at any time
    STORE/checks.yaml            limits of the checks, if somebody moved them; written by hand
    STORE/mutes.json             findings that somebody muted, with reason and date
    STORE/damaged/               unreadable run folders that a later run of the same key replaced

A run is written into a temporary folder and renamed. `record.json` names the size and digest of the
other files, so that a truncated one is noticed; damaged runs are reported and skipped, never
deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file
from typing_extensions import TypeVar

from trueness.errors import StoreError
from trueness.spec import Spec
from trueness.spec.keyed import Keyed
from trueness.spec.titles import TitlesSpec

VERSION = 1
FILES = ("predictions.parquet", "history.parquet", "spec.json")
"""Files that every run has."""
S = TypeVar("S", bound=Keyed, default=Spec)


@dataclass(frozen=True)
class Kind(Generic[S]):
    """What the runs of a store are: the class of their specs, and what their records must say."""

    spec: type[S]
    fields: tuple[str, ...]
    estimate: str
    """One that every record has."""
    listed: str
    """What shows ids."""


MARKET = Kind(
    Spec,
    (
        "created", "label", "parameters", "features", "notes", "folds", "arena", "estimates",
        "scores", "findings", "seconds", "device", "precision", "data", "files",
    ),
    "auc",
    "`trueness leaderboard --json` lists both",
)  # fmt: skip
TITLES = Kind(
    TitlesSpec,
    (
        "created", "label", "parameters", "classes", "notes", "arena", "estimates", "slices",
        "seconds", "device", "precision", "data", "files",
    ),
    "mean_language",
    "`trueness text runs` lists both",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """A run folder that cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Run(Generic[S]):
    """A stored run: its spec and its record.

    Predictions, history and weights are read when asked for.
    """

    key: str
    spec: S
    record: dict[str, Any]
    folder: Path

    def _file(self, name: str) -> Path:
        path, expected = self.folder / name, self.record["files"][name]
        if _sha(path) != expected["sha256"]:
            raise StoreError(
                f"{path}: content differs from what was written; "
                f"remove {self.folder} to run it again"
            )
        return path

    def predictions(self) -> pl.DataFrame:
        """One row per example and fold.

        Columns split, fold, when, group, y, logit, logit_last and y_mirror, the label of the
        opposite touch; for titles split, id, language, cluster, y, logits (K,).
        """
        return pl.read_parquet(self._file("predictions.parquet"))

    def history(self) -> pl.DataFrame:
        """Losses, AUC, range of probabilities and alarm share per fold and epoch.

        Baselines have no rows.
        """
        return pl.read_parquet(self._file("history.parquet"))

    def parameters(self) -> dict[str, NDArray[np.float32]]:
        """Weights of the best epoch, named ``foldF.NAME``.

        Raises
        ------
        StoreError
            For baselines, which store none.
        """
        if "model.safetensors" not in self.record["files"]:
            raise StoreError(f"{self.key}: a baseline stores no weights")
        return load_file(self._file("model.safetensors"))


class Store(Generic[S]):
    """Runs in a folder; opening reads nothing but the version, and creates nothing.

    Parameters
    ----------
    root : str or Path
    kind : Kind
        What its runs are; runs on the market by default.

    Raises
    ------
    StoreError
        If the folder was written by a newer version, or is a file.
    """

    def __init__(self, root: str | Path, kind: Kind[S] | None = None) -> None:
        self.kind = cast("Kind[S]", MARKET) if kind is None else kind
        self.root = Path(root)
        self.runs = self.root / "runs"
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"{self.root} is a file; give a folder for the store")
        self._check_version()

    def _check_version(self) -> None:
        path = self.root / "store.json"
        if not path.exists():
            return
        try:
            version = json.loads(path.read_text())["version"]
        except (ValueError, KeyError, TypeError, OSError):
            version = None
        if not isinstance(version, int) or isinstance(version, bool):
            raise StoreError(
                f'{path} is damaged; it should hold {{"version": {VERSION}}}'
            ) from None
        if version > VERSION:
            raise StoreError(
                f"{self.root} was written by a newer trueness (layout {version}, "
                f"this one knows {VERSION}); upgrade trueness or give another --store"
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
                f"{self.root}: cannot be written ({_reason(error)}); give another --store"
            ) from None
        self._sweep()

    def _sweep(self) -> None:
        """Remove temporary folders of processes that are gone."""
        for folder in self.runs.glob(".tmp-*-*"):
            pid = folder.name.split("-")[1]
            if pid.isdigit() and len(pid) < 10 and not alive(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)

    # -------------------------------------------------------------------------------------- writing

    def write(
        self,
        spec: S,
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
            history.write_parquet(temporary / "history.parquet")
            if parameters:
                save_file(parameters, temporary / "model.safetensors")
            for name, content in (files or {}).items():
                (temporary / name).write_bytes(content)
            write_json(temporary / "spec.json", spec.canonical().model_dump(mode="json"))
            written = {
                p.name: {"bytes": p.stat().st_size, "sha256": _sha(p)}
                for p in sorted(temporary.iterdir())
            }
            write_json(temporary / "record.json", {**record, "key": spec.key, "files": written})
            won = self._place(temporary, spec.key)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError(f"{self.root}: cannot be written ({_reason(error)})") from None
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

    def write_failure(self, spec: S, reason: str) -> None:
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

    def run(self, key: str) -> Run[S]:
        """Stored run of a key or of an unambiguous beginning of one.

        Raises
        ------
        StoreError
            If there is none, several, or the folder is damaged.
        """
        keys = self._keys()
        found = [key] if key in keys else [k for k in keys if k.startswith(key)]
        if len(found) != 1:
            some = f" ({', '.join(found[:5])})" if key and found else ""
            what = f"{len(found)} runs begin with" if found else "no run has the id or key"
            raise StoreError(f"{self.root}: {what} {key!r}{some}; {self.kind.listed}")
        opened = self._open(found[0])
        if isinstance(opened, Problem):
            raise StoreError(f"{self.runs / opened.name}: {opened.reason}")
        return opened

    def all_runs(self, most: int | None = None) -> tuple[list[Run[S]], list[Problem]]:
        """Every usable run, and every folder that is not; `most` of them, in order of the keys."""
        opened = [self._open(key) for key in self._keys()[:most]]
        return [o for o in opened if isinstance(o, Run)], [
            o for o in opened if isinstance(o, Problem)
        ]

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

    def mutes(self) -> list[dict[str, Any]]:
        """Mutes of findings, the oldest first.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        path = self.root / "mutes.json"
        try:
            content = json.loads(path.read_text()) if path.exists() else []
        except (OSError, ValueError):
            content = None
        if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
            raise StoreError(f"{path} is damaged; mend or remove it")
        return content

    def change_mutes(
        self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """Replace the mutes by what `change` makes of them; one writer at a time."""
        self.prepare()
        with locked(self.root / "campaigns" / ".lock"):
            changed = change(self.mutes())
            write_json(self.root / "mutes.json", changed)
        return changed

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

    def _open(self, key: str) -> Run[S] | Problem:
        folder = self.runs / key
        try:
            record = json.loads((folder / "record.json").read_text())
            spec = self.kind.spec.model_validate_json((folder / "spec.json").read_text())
            self._check_record(record)
            for name, expected in record["files"].items():
                size = (folder / name).stat().st_size
                if size != expected["bytes"]:
                    return Problem(
                        key, f"{name} has {size} bytes, {expected['bytes']} were written"
                    )
        except FileNotFoundError as error:
            return Problem(key, f"{Path(str(error.filename)).name} is missing")
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            first = str(error).strip().splitlines()[0]
            return Problem(key, f"unreadable record or spec ({first})")
        if spec.key != key:
            return Problem(key, f"its spec has the key {spec.key}")
        return Run(key, spec, record, folder)

    def _check_record(self, record: dict[str, Any]) -> None:
        """Raise KeyError or TypeError unless a record has what its readers use."""
        missing = [name for name in self.kind.fields if name not in record]
        if missing:
            raise KeyError(f"no field {', '.join(missing)}")
        float(record["estimates"][self.kind.estimate]["value"] or 0)
        for name in FILES:
            record["files"][name]["sha256"]


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip().splitlines()[0]


@contextlib.contextmanager
def locked(path: Path) -> Generator[None]:
    """Hold a file lock where the system has them; one writer at a time."""
    try:
        import fcntl
    except ImportError:  # Windows: a lost name is made again by the next run
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_json(
    path: Path, content: dict[str, Any] | list[dict[str, Any]], *, durable: bool = True
) -> None:
    """Replace a file in one step; one that is not `durable` may be lost with the power."""
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    with temporary.open("w") as file:
        json.dump(content, file, indent=1, allow_nan=False)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
