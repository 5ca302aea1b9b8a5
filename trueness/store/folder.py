"""A store in a folder: documents are JSON files, a run is a folder of its own.

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
import time
import uuid
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from trueness.errors import StoreError, first_line
from trueness.files import (
    TEMPORARY,
    foreign_json,
    locked,
    read_json,
    remove,
    sweep,
    temporary,
    write_json,
    written_whole,
)
from trueness.spec.kinds import AnySpec
from trueness.store.facts import SCHEMA, facts_of
from trueness.store.run import Problem, Run, Written, open_run, other_size

VERSION = 7
FOLDERS = ("runs", "failures", "campaigns", "leases", "status", "checkpoints")
WATCHED = ("campaigns", "failures", "annotations.json", "mutes.json", "checks.yaml")
"""What else than runs changes what a store shows."""
CLOCK = ".lock"
INDEXED = pl.Schema({**SCHEMA, "changed": pl.Int64, "bytes": pl.Int64})
"""Columns of the index of runs: their facts, and the stamp of the record that they are from."""
Stamp = tuple[int, int] | None


class Folder:
    """Runs and documents in a folder; opening reads nothing but the version, and creates nothing.

    Parameters
    ----------
    root : Path

    Raises
    ------
    StoreError
        If the folder was written by another version, or is a file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs = root / "runs"
        self.derived = root / "index"
        self.checkpoints = root / "checkpoints"
        self.folders: tuple[Path, ...] = (root,)
        if root.exists() and not root.is_dir():
            raise StoreError(f"{root} is a file; give a folder for the store")
        self._check_version()

    def _check_version(self) -> None:
        path = self.root / "store.json"
        if not path.exists():
            if (self.root / "titles").is_dir():
                raise other_version(str(self.root), 1)  # titles had a store of their own
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
            raise other_version(str(self.root), version)

    def exists(self) -> bool:
        """Whether a store was ever made there."""
        return (self.root / "store.json").exists()

    def prepare(self) -> None:
        """Create the folders and make sure that they can be written; sweep them.

        Raises
        ------
        StoreError
            If they cannot.
        """
        try:
            for name in FOLDERS:
                (self.root / name).mkdir(parents=True, exist_ok=True)
            if not self.exists():
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
                if isinstance(self.open(path.stem), Run):
                    remove(path)

    # ------------------------------------------------------------------------------------ documents

    def read(self, name: str) -> dict[str, Any]:
        """A document, such as ``campaigns/demo.json``.

        Raises
        ------
        FileNotFoundError
        StoreError
            With the code ``damaged``.
        """
        return read_json(self.root / name)

    def write(self, name: str, content: dict[str, Any], *, durable: bool = True) -> None:
        """Replace a document in one step."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content, durable=durable)

    def drop(self, name: str) -> None:
        """Remove a document, and its folder inside of ``status`` if that is empty now."""
        path = self.root / name
        path.unlink(missing_ok=True)
        if path.parent.parent != self.root and path.parent != self.root:
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def put_aside(self, name: str) -> Path:
        """Move what is damaged to where it can be looked at."""
        path = self.root / name
        (self.root / "damaged").mkdir(exist_ok=True)
        aside = self.root / "damaged" / f"{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}"
        path.rename(aside)
        return aside

    def aside(self) -> list[str]:
        """Names of what was put aside."""
        return self.names("damaged")

    def names(self, folder: str) -> list[str]:
        """Documents and folders in a folder, in order."""
        try:
            result = [entry.name for entry in os.scandir(self.root / folder)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in result if not name.startswith((TEMPORARY, ".")))

    def quiet_s(self, name: str) -> float | None:
        """Seconds since a document was written or touched, by the clock of the file system."""
        try:
            return self._now() - (self.root / name).stat().st_mtime
        except OSError:
            return None

    def touch(self, name: str) -> None:
        """Note that somebody is behind a document still."""
        os.utime(self.root / name)

    def _now(self) -> float:
        """Time of the file system, which gives the documents theirs."""
        clock = self.root / "leases" / CLOCK
        try:
            os.utime(clock)
            return clock.stat().st_mtime
        except OSError:
            return time.time()

    @contextlib.contextmanager
    def alone(self, folder: str) -> Generator[None]:
        """Keep other processes from changing the documents of a folder."""
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        with locked(self.root / folder / CLOCK):
            yield

    def append(self, name: str, lines: Sequence[str], *, durable: bool = True) -> None:
        """Add lines to a document of lines; with `durable`, they are on the disk then.

        Raises
        ------
        OSError
        """
        path = self.root / name
        if not durable:
            with path.open("a") as file:
                file.writelines(f"{line}\n" for line in lines)
            return
        text = "".join(f"{line}\n" for line in lines)
        with locked(path.with_name(f".{path.name}.lock")), path.open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                torn = file.read(1) != b"\n"  # somebody was killed in the middle of a line
                text = "\n" * torn + text
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def lines(self, name: str) -> list[str]:
        """Lines of a document of lines; none if it is not there.

        Raises
        ------
        OSError
        """
        try:
            text = (self.root / name).read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return []
        return [line for line in text.split("\n") if line.strip()]

    def by_hand(self, name: str) -> Path | None:
        """A file that somebody wrote by hand, if there is one."""
        path = self.root / name
        return path if path.exists() else None

    # ----------------------------------------------------------------------------------------- runs

    def keys(self) -> list[str]:
        """Keys of all run folders, usable or not, in order."""
        return self.names("runs")

    def open(self, key: str) -> Run[Any] | Problem:
        """A run, or why there is none."""
        return open_run(os.path.join(self.runs, key), key)

    def open_all(self, keys: Iterable[str]) -> list[Run[Any] | Problem]:
        """The same of many."""
        return [self.open(key) for key in keys]

    def stamp(self, key: str) -> Stamp:
        """What changes with the record of a run; None if there is none."""
        return _stamp(f"{self.runs}/{key}/record.json")

    def stamps(self) -> dict[str, Stamp]:
        """Key of every run folder -> what changes with its record; reads no run."""
        return {key: self.stamp(key) for key in self.keys()}

    def facts(self) -> pl.DataFrame:
        """Facts of usable runs, from the index; runs that changed since are opened once."""
        path, stamps = self.derived / "runs.parquet", self.stamps()
        now = pl.DataFrame(
            [(key, *stamp) for key, stamp in stamps.items() if stamp is not None],
            {"key": pl.String, "changed": pl.Int64, "bytes": pl.Int64}, orient="row",
        )  # fmt: skip
        try:
            known = pl.read_parquet(path, glob=False).cast(dict(INDEXED)).select(INDEXED.names())
        except FileNotFoundError:
            known = pl.DataFrame(schema=INDEXED)
        except (OSError, pl.exceptions.PolarsError):
            remove(path)
            known = pl.DataFrame(schema=INDEXED)
        kept = known.join(now, on=["key", "changed", "bytes"], how="semi")
        missing = now.join(kept, on="key", how="anti").rows()
        if missing or len(kept) < len(known):
            opened = zip(missing, self.open_all([row[0] for row in missing]), strict=True)
            rows = [
                {**facts_of(run.spec, run.record), "changed": changed, "bytes": size}
                for (_, changed, size), run in opened
                if isinstance(run, Run)
            ]
            kept = pl.concat([kept, pl.DataFrame(rows, INDEXED)])
            with contextlib.suppress(OSError):
                self.derived.mkdir(exist_ok=True)
                with written_whole(path, durable=False) as unfinished:
                    kept.write_parquet(unfinished)
        return kept.select(SCHEMA.names())

    def watched(self) -> list[Stamp]:
        """What changes with whatever else a store shows."""
        return [_stamp(f"{self.root}/{name}") for name in WATCHED]

    def scratch(self, key: str) -> Path:
        """A new folder for the files of a run that is being written."""
        unfinished = temporary(self.runs / key)
        unfinished.mkdir()
        return unfinished

    def place(self, unfinished: Path, spec: AnySpec, record: dict[str, Any]) -> bool:
        """Rename a finished folder to its key; a damaged one there moves to ``damaged/`` first.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        write_json(unfinished / "record.json", record)
        key, final = spec.key, self.runs / spec.key
        if final.exists() and isinstance(self.open(key), Problem):
            self.put_aside(f"runs/{key}")
        written: Written = record["files"]
        if (wrong := other_size(unfinished, written)) is not None:
            raise OSError(f"{wrong}, before the run was whole")
        try:
            unfinished.rename(final)
        except OSError:
            if not final.exists():
                raise
            return False
        return True

    def remove_run(self, key: str) -> None:
        """Remove a run, if it is there."""
        gone = temporary(self.runs / key)
        with contextlib.suppress(FileNotFoundError):
            (self.runs / key).rename(gone)  # in one step: a run is whole or not there
        remove(gone)


def _stamp(path: str) -> Stamp:
    """Time and size of a file; None if there is none."""
    try:
        result = os.stat(path)
    except OSError:
        return None
    return result.st_mtime_ns, result.st_size


def other_version(where: str, version: int, known: int = VERSION) -> StoreError:
    """What to say of a store of another version."""
    age = "a newer" if version > known else "an older"
    return StoreError(
        f"{where} was written by {age} trueness (layout {version}, this one knows {known}); "
        "give another --store, or train its runs again",
        "store_version",
    )
