"""Runs by key, of every kind of task, in a folder or in PostgreSQL; see `trueness.store.folder`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import StoreError, first_line
from trueness.files import json_lines, remove, sha256_of, write_tensors
from trueness.places import Address, StoreLocation, place_of
from trueness.spec.kinds import AnySpec
from trueness.store.campaigns import Declared, read_campaigns, write_campaign
from trueness.store.folder import Folder
from trueness.store.index import Index
from trueness.store.run import Problem, Run

if TYPE_CHECKING:
    from trueness.store.database import Database

    Kept: TypeAlias = Folder | Database


class Store:
    """Runs and what belongs to them; opening reads nothing but the version, and creates nothing.

    Parameters
    ----------
    root : str, Path or Address
        A folder, or ``postgresql://USER@HOST/DATABASE``, with ``?files=`` where the first call says
        where the files of runs go: a folder, or any location that fsspec knows.
    remembers : bool
        Whether runs stay in memory, about 30 kB each, and are opened anew only when their record
        changed: for a process that reads a store again and again.

    Raises
    ------
    StoreError
        If it was written by another version, is a file, or does not answer.
    """

    def __init__(self, root: str | StoreLocation, *, remembers: bool = False) -> None:
        self.root: StoreLocation = place_of(root)
        self._known: dict[str, tuple[object, Run[Any] | Problem]] | None = {} if remembers else None
        self.kept: Kept = _kept(self.root)
        self.index = Index(self.kept.derived)

    @property
    def checkpoints(self) -> Path:
        """Folder in which fits that were interrupted leave what they had."""
        return self.kept.checkpoints

    @property
    def folders(self) -> tuple[Path, ...]:
        """Those that another machine has to see to read its runs."""
        return self.kept.folders

    def exists(self) -> bool:
        """Whether a store was ever made there."""
        return self.kept.exists()

    def prepare(self) -> None:
        """Make the store if it is not there, see that it can be written, and sweep it.

        Raises
        ------
        StoreError
            If it cannot.
        """
        self.kept.prepare()

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
        unfinished = None
        try:
            unfinished = self.kept.scratch(spec.key)
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
            whole = {**record, "task": spec.task.kind, "key": spec.key, "files": written}
            won = self.kept.place(unfinished, spec, whole)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StoreError(f"{self.root}: cannot be written ({first_line(error)})") from None
        finally:
            if unfinished is not None:
                remove(unfinished)
        self.kept.drop(f"failures/{spec.key}.json")
        return won

    def remove(self, key: str) -> None:
        """Remove a run, if it is there; ids of campaigns go on naming its key."""
        self.kept.remove_run(key)

    def write_failure(self, spec: AnySpec, reason: str) -> None:
        """Keep the traceback of a run that failed; the campaign goes on."""
        reason = reason.encode("utf-8", "backslashreplace").decode()  # code of others wrote it
        content = {"key": spec.key, "spec": spec.model_dump(mode="json"), "reason": reason}
        self.kept.write(f"failures/{spec.key}.json", content)

    def write_campaign(
        self,
        name: str,
        ids: Mapping[str, str],
        title: str = "",
        reference: str | None = None,
        baselines: Collection[str] = (),
    ) -> Path | str | None:
        """Remember which keys each id of a campaign has stood for, on top of what was known.

        Title and reference are those of this call; `baselines` are those of the ids that are no
        experiments. What was known and cannot be read any more is
        put aside; its new path is returned.
        """
        return write_campaign(self.kept, name, ids, title, reference, baselines)

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
        opened = self._open(only_key(key, self.kept.keys(), str(self.root)))
        if isinstance(opened, Problem):
            raise StoreError(f"{self.root}/runs/{opened.name}: {opened.reason}")
        return opened

    def all_runs(self, most: int | None = None) -> tuple[list[Run[Any]], list[Problem]]:
        """Every usable run, and every folder that is not; `most` of them, in order of the keys."""
        opened = self._open_all(self.kept.keys()[:most])
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
        try:
            content = self.kept.read(f"{name}.json").get("entries")
        except FileNotFoundError:
            return []
        if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
            raise StoreError(f"{self.root}/{name}.json is damaged; remove it", "damaged")
        return content

    def change_entries(
        self, name: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> None:
        """Replace the entries of ``NAME.json`` by what `change` makes of them."""
        self.prepare()
        with self.kept.alone("campaigns"):
            self.kept.write(f"{name}.json", {"entries": change(self.entries(name))})

    def failures(self) -> dict[str, str]:
        """Last line of the traceback of each run that failed and has not succeeded since."""
        reasons = {}
        for name in self._documents("failures"):
            key = name.removesuffix(".json")
            try:
                content = self.kept.read(f"failures/{name}")
                reasons[key] = content["reason"].strip().splitlines()[-1]
            except FileNotFoundError:
                continue  # it succeeded just now
            except (StoreError, KeyError, IndexError, TypeError, AttributeError):
                reasons[key] = f"{self.root}/failures/{name} is damaged"
        return reasons

    def facts(self) -> pl.DataFrame:
        """A row per usable run with the columns of `trueness.store.facts.SCHEMA`; opens none.

        A folder keeps them in its index, for which runs that are new or changed are opened once.
        """
        return self.kept.facts()

    def campaigns(self) -> dict[str, dict[str, list[str]]]:
        """Name of each campaign that was run here -> id -> keys, the latest last.

        Files that cannot be read are left out, and named by `all_runs`.
        """
        return {name: one.ids for name, one in read_campaigns(self.kept)[0].items()}

    def declared(self, name: str) -> Declared:
        """What a campaign declared when it was run last; nothing if it is not known."""
        return read_campaigns(self.kept)[0].get(name, Declared())

    def campaign_problems(self) -> list[Problem]:
        """Files of campaigns that cannot be read."""
        return read_campaigns(self.kept)[1]

    def _documents(self, folder: str) -> list[str]:
        return [name for name in self.kept.names(folder) if name.endswith(".json")]

    def _open(self, key: str) -> Run[Any] | Problem:
        if self._known is None:
            return self.kept.open(key)
        stamp = self.kept.stamp(key)
        known = self._known.get(key)
        if known is None or known[0] != stamp:
            known = self._known[key] = stamp, self.kept.open(key)
        return known[1]

    def _open_all(self, keys: Sequence[str]) -> list[Run[Any] | Problem]:
        if self._known is None:
            return self.kept.open_all(keys)
        stamps, known = self.kept.stamps(), self._known
        fresh = [key for key in keys if key not in known or known[key][0] != stamps.get(key)]
        for key, opened in zip(fresh, self.kept.open_all(fresh), strict=True):
            self._known[key] = stamps.get(key), opened
        return [self._known[key][1] for key in keys]

    def state(self) -> int:
        """Equal while no run, campaign, failure, note or limit changed; reads none of them."""
        return hash((frozenset(self.kept.stamps().items()), *self.kept.watched()))


def _kept(root: StoreLocation) -> Kept:
    if not isinstance(root, Address):
        return Folder(root)
    from trueness.store.database import Database

    return Database(root)


def _size_and_digest(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def only_key(key: str, keys: Sequence[str], where: str) -> str:
    """The key that a word stands for."""
    result = [key] if key in keys else [k for k in keys if k.startswith(key)]
    if len(result) != 1:
        some = f" ({', '.join(result[:5])})" if key and result else ""
        what = f"{len(result)} runs begin with" if result else "no run has the id or key"
        raise StoreError(
            f"{where}: {what} {key!r}{some}; `trueness leaderboard` lists ids, with --json also "
            "keys", "no_run",
        )  # fmt: skip
    return result[0]


@cache
def _empty(schema: tuple[tuple[str, pl.DataType], ...]) -> bytes:
    """Parquet file without rows, as many runs have one."""
    content = BytesIO()
    pl.DataFrame(schema=dict(schema)).write_parquet(content)
    return content.getvalue()
