"""Runs in a folder: one folder per key, written whole or not at all, of every kind of task.

    STORE/store.json             version of the layout
    STORE/runs/KEY/              spec.json  record.json  predictions.parquet  history.parquet
                                 model.safetensors
    STORE/failures/KEY.json      traceback of a run that failed, until it succeeds
    STORE/campaigns/NAME.json    which keys a campaign's ids stand for; see trueness.store.campaigns
    STORE/ledger.jsonl           every access to held-out results; see trueness.store.ledger
    STORE/leases/KEY             which process trains a run now; see trueness.store.leases
    STORE/index/                 derived numbers; may be deleted at any time
    STORE/checks.yaml            limits of the checks, if somebody moved them; written by hand
    STORE/mutes.json             findings that somebody muted, with reason and date
    STORE/annotations.json       tags and notes that somebody wrote at runs
    STORE/damaged/               what cannot be read and was replaced since

A run is written into a temporary folder and renamed. Every JSON file begins with the digest of its
content, and `record.json` names size and digest of the other files, so that whatever changed is
noticed; damaged runs are reported and skipped, never deleted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import StoreError, first_line
from trueness.files import (
    foreign_json,
    json_lines,
    locked,
    read_json,
    remove,
    sha256_of,
    sweep,
    temporary,
    write_json,
    write_tensors,
)
from trueness.spec.kinds import AnySpec
from trueness.store.campaigns import Declared, put_aside, read_campaigns, write_campaign
from trueness.store.index import Index
from trueness.store.run import Problem, Run, open_run, other_size

VERSION = 7
Stamp: TypeAlias = tuple[int, int] | None
FOLDERS = ("runs", "failures", "campaigns", "leases", "status", "checkpoints")


class Store:
    """Runs in a folder; opening reads nothing but the version, and creates nothing.

    Parameters
    ----------
    root : str or Path
    remembers : bool
        Whether runs stay in memory, about 30 kB each, and are opened anew only when their record
        changed: for a process that reads a store again and again.

    Raises
    ------
    StoreError
        If the folder was written by another version, or is a file.
    """

    def __init__(self, root: str | Path, *, remembers: bool = False) -> None:
        self.root = Path(root)
        self._known: dict[str, tuple[Stamp, Run[Any] | Problem]] | None = {} if remembers else None
        self.runs = self.root / "runs"
        self.index = Index(self.root / "index")
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
            version = foreign_json(path)["version"]
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
            for name in FOLDERS:
                (self.root / name).mkdir(parents=True, exist_ok=True)
            if not (self.root / "store.json").exists():
                write_json(self.root / "store.json", {"version": VERSION})
            probe = temporary(self.runs / "probe")
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            raise StoreError(
                f"{self.root}: cannot be written ({first_line(error)}); give another --store"
            ) from None
        self._sweep()

    def _sweep(self) -> None:
        """Remove what processes that are gone left unfinished, and what stored runs do not need."""
        for folder in (self.root, *map(self.root.joinpath, (*FOLDERS, "index"))):
            sweep(folder)
        for name in ("status", "checkpoints"):
            for folder in (self.root / name).iterdir():
                sweep(folder)
        for name in ("checkpoints", "leases"):
            for path in (self.root / name).iterdir():
                if path.stem in self:
                    remove(path)

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
        unfinished = temporary(self.runs / spec.key)
        try:
            unfinished.mkdir()
            predictions.write_parquet(unfinished / "predictions.parquet")
            if len(history):
                history.write_parquet(unfinished / "history.parquet")
            else:
                (unfinished / "history.parquet").write_bytes(_empty(tuple(history.schema.items())))
            if parameters:
                write_tensors(unfinished / "model.safetensors", parameters)
            for name, content in (files or {}).items():
                (unfinished / name).write_bytes(content)
            stored = ",\n ".join(json_lines(spec.stored().model_dump(mode="json")))
            (unfinished / "spec.json").write_text(f"{{\n {stored}\n}}\n")
            written = {p.name: _size_and_digest(p) for p in sorted(unfinished.iterdir())}
            own = {"task": spec.task.kind, "key": spec.key, "files": written}
            write_json(unfinished / "record.json", {**record, **own})
            won = self._place(unfinished, spec.key, written)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError(f"{self.root}: cannot be written ({first_line(error)})") from None
        finally:
            remove(unfinished)
        (self.root / "failures" / f"{spec.key}.json").unlink(missing_ok=True)
        return won

    def _place(self, unfinished: Path, key: str, written: dict[str, dict[str, Any]]) -> bool:
        """Rename a finished folder to its key; a damaged one there moves to ``damaged/`` first."""
        final = self.runs / key
        if final.exists() and isinstance(self._open(key), Problem):
            put_aside(self.root, final)
        if (wrong := other_size(unfinished, written)) is not None:
            raise OSError(f"{wrong}, before the run was whole")
        try:
            unfinished.rename(final)
        except OSError:
            if not final.exists():
                raise
            return False
        return True

    def remove(self, key: str) -> None:
        """Remove a run, if it is there; ids of campaigns go on naming its key."""
        gone = temporary(self.runs / key)
        with contextlib.suppress(FileNotFoundError):
            (self.runs / key).rename(gone)  # in one step: a run is whole or not there
        remove(gone)

    def write_failure(self, spec: AnySpec, reason: str) -> None:
        """Keep the traceback of a run that failed; the campaign goes on."""
        content = {"key": spec.key, "spec": spec.model_dump(mode="json"), "reason": reason}
        write_json(self.root / "failures" / f"{spec.key}.json", content)

    def write_campaign(
        self, name: str, ids: Mapping[str, str], title: str = "", reference: str | None = None
    ) -> Path | None:
        """Remember which keys each id of a campaign has stood for, on top of what was known.

        Title and reference are those of this call. What was known and cannot be read any more is
        put aside; its new path is returned.
        """
        return write_campaign(self.root, name, ids, title, reference)

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
        problems = [o for o in opened if isinstance(o, Problem)]
        return runs, problems + self.campaign_problems()

    def entries(self, name: str) -> list[dict[str, Any]]:
        """What people wrote into ``NAME.json``, the oldest first.

        Raises
        ------
        StoreError
            If the file is damaged.
        """
        path = self.root / f"{name}.json"
        try:
            content = read_json(path).get("entries")
        except FileNotFoundError:
            return []
        if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
            raise StoreError(f"{path} is damaged; remove it", "damaged")
        return content

    def change_entries(
        self, name: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> None:
        """Replace the entries of ``NAME.json`` by what `change` makes of them."""
        self.prepare()
        with locked(self.root / "campaigns" / ".lock"):
            write_json(self.root / f"{name}.json", {"entries": change(self.entries(name))})

    def failures(self) -> dict[str, str]:
        """Last line of the traceback of each run that failed and has not succeeded since."""
        reasons = {}
        for path in sorted((self.root / "failures").glob("[!.]*.json")):
            try:
                reasons[path.stem] = read_json(path)["reason"].strip().splitlines()[-1]
            except FileNotFoundError:
                continue  # it succeeded just now
            except (StoreError, KeyError, IndexError, TypeError, AttributeError):
                reasons[path.stem] = f"{path} is damaged"
        return reasons

    def campaigns(self) -> dict[str, dict[str, list[str]]]:
        """Name of each campaign that was run here -> id -> keys, the latest last.

        Files that cannot be read are left out, and named by `all_runs`.
        """
        return {name: one.ids for name, one in read_campaigns(self.root)[0].items()}

    def declared(self, name: str) -> Declared:
        """What a campaign declared when it was run last; nothing if it is not known."""
        return read_campaigns(self.root)[0].get(name, Declared())

    def campaign_problems(self) -> list[Problem]:
        """Files of campaigns that cannot be read."""
        return read_campaigns(self.root)[1]

    def _keys(self) -> list[str]:
        if not self.runs.is_dir():
            return []
        return sorted(
            entry.name for entry in os.scandir(self.runs) if not entry.name.startswith(".")
        )

    def _open(self, key: str) -> Run[Any] | Problem:
        folder = os.path.join(self.runs, key)
        if self._known is None:
            return open_run(folder, key)
        stamp = _stamp(folder)
        known = self._known.get(key)
        if known is None or known[0] != stamp:
            known = self._known[key] = stamp, open_run(folder, key)
        return known[1]

    def state(self) -> dict[str, Stamp]:
        """Key of every run folder -> what changes with its record; reads no run."""
        runs = str(self.runs)
        return {key: _stamp(f"{runs}/{key}") for key in self._keys()}


def _stamp(folder: str) -> Stamp:
    """Time and size of the record of a run; None if there is none."""
    try:
        found = os.stat(f"{folder}/record.json")
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _size_and_digest(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


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


@cache
def _empty(schema: tuple[tuple[str, pl.DataType], ...]) -> bytes:
    """Parquet file without rows, as many runs have one."""
    content = BytesIO()
    pl.DataFrame(schema=dict(schema)).write_parquet(content)
    return content.getvalue()
