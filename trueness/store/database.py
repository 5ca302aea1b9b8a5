"""A store in PostgreSQL: documents and records in tables, files of runs in a location beside it.

A run is there when its row is. Its files are written first, into a folder of a new name that
``uploads`` knows until the row is committed; what a killed process left is removed from there. So
nothing is half-written wherever a process dies or a connection is lost.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Table, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from trueness.errors import StoreError, first_line
from trueness.files import ABANDONED_S, cache_folder, json_bytes, remove, sweep, temporary
from trueness.owners import Owner, me
from trueness.places import Address, shown_url
from trueness.spec.kinds import AnySpec
from trueness.store.connections import engine_of
from trueness.store.facts import SCHEMA, facts_of
from trueness.store.folder import other_version
from trueness.store.objects import Objects
from trueness.store.run import Problem, Run, read_run
from trueness.store.tables import ABOUT, DOCUMENTS, EPOCHS, LEDGER, METADATA, NAME, RUNS

VERSION = 1
AT_ONCE = 5_000
"""Runs that are read with one statement."""


class Database:
    """Runs and documents in a database; opening reads nothing but the version.

    Parameters
    ----------
    root : Address

    Raises
    ------
    StoreError
        If it does not answer, with the code ``store_version`` if it is of another version, with
        ``files`` if the address names another location than the store has.
    """

    def __init__(self, root: Address) -> None:
        self.root = root
        self._own = threading.local()
        self._home = cache_folder() / "stores" / root.digest
        self.derived = self._home / "index"
        self._files: Objects | None = None
        self._find()

    def _find(self) -> None:
        """Read where files are, if the store was made."""
        with self._connection() as connection:
            if connection.scalar(select(func.to_regclass(f"{NAME}.about"))) is None:
                return
            result = connection.execute(select(ABOUT.c.version, ABOUT.c.files)).first()
        if result is None:
            raise StoreError(f"{self.root}: the table {NAME}.about is empty", "damaged")
        if result.version != VERSION:
            raise other_version(str(self.root), result.version, VERSION)
        if self.root.files is not None and Objects.at(self.root.files).location != result.files:
            raise StoreError(
                f"{self.root}: its files are in {result.files}; leave ?files= away", "files"
            )
        self._files = Objects(result.files)
        with contextlib.suppress(OSError):
            self._home.mkdir(parents=True, exist_ok=True)

    def exists(self) -> bool:
        """Whether a store was ever made there."""
        return self._files is not None

    @property
    def files(self) -> Objects:
        """Where the files of runs are.

        Raises
        ------
        StoreError
            With the code ``no_store`` if the store was never made.
        """
        if self._files is None:
            raise StoreError(f"{self.root} holds no store yet", "no_store")
        return self._files

    @property
    def checkpoints(self) -> Path:
        """Beside the files where that is a folder; else of this machine."""
        folder = None if self._files is None else self._files.folder
        return (folder or self._home) / "checkpoints"

    @property
    def folders(self) -> tuple[Path, ...]:
        """That of the files, if they are in one."""
        folder = None if self._files is None else self._files.folder
        return () if folder is None else (folder,)

    def prepare(self) -> None:
        """Make the tables, see that both sides can be written, and remove what was left.

        Raises
        ------
        StoreError
            If they cannot.
        """
        if self._files is None:
            self._make()
        self.files.probe()
        for folder in (self._scratch, self.checkpoints):
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
        self._sweep()

    def _make(self) -> None:
        if self.root.files is None:
            raise StoreError(
                f"{self.root} holds no store yet; say once where the files of runs go, with "
                "?files=FOLDER or ?files=s3://BUCKET/PREFIX behind the database", "files",
            )  # fmt: skip
        files = Objects.at(self.root.files)
        files.probe()
        with self.alone("about"), self._connection() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {NAME}"))
            METADATA.create_all(connection)
            if connection.execute(select(ABOUT)).first() is None:
                connection.execute(ABOUT.insert().values(version=VERSION, files=files.location))
        self._find()

    def _sweep(self) -> None:
        """Remove files of processes that are gone, and leases and checkpoints of stored runs."""
        for name in self.names("uploads"):
            quiet_s = self.quiet_s(f"uploads/{name}")
            with contextlib.suppress(FileNotFoundError):
                owner = Owner.from_dict(self.read(f"uploads/{name}"))
                if owner.is_gone or (not owner.is_here and (quiet_s or 0) > ABANDONED_S):
                    self._discard(name)
        leases, checkpoints = DOCUMENTS["leases"], list(self.checkpoints.iterdir())
        with self._connection() as connection:
            connection.execute(delete(leases).where(leases.c.name.in_(select(RUNS.c.key))))
            stems = [path.stem for path in checkpoints]
            stored = set(connection.scalars(select(RUNS.c.key).where(RUNS.c.key.in_(stems))))
        for path in checkpoints:
            if path.stem in stored:
                remove(path)

    @property
    def _scratch(self) -> Path:
        folder = self.files.folder
        return self._home / "scratch" if folder is None else folder / "runs"

    # ---------------------------------------------------------------------------------- connections

    @contextlib.contextmanager
    def _translate_errors(self) -> Generator[None]:
        """Say in one line that the database fails, without its password."""
        try:
            yield
        except SQLAlchemyError as error:
            raise self._failure(getattr(error, "orig", None) or error) from None

    def _failure(self, error: BaseException) -> StoreError:
        return StoreError(f"{self.root}: the database fails ({shown_url(first_line(error))})")

    @contextlib.contextmanager
    def _connection(self) -> Generator[Connection]:
        """A transaction: that of `alone` inside of it, else one of its own."""
        current: Connection | None = getattr(self._own, "connection", None)
        if current is not None:
            yield current
            return
        with self._translate_errors(), engine_of(self.root).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def alone(self, folder: str) -> Generator[None]:
        """Keep other processes from changing the documents of a folder; one transaction."""
        with self._connection() as connection:
            lock = func.hashtext(f"{NAME} {folder}")
            connection.execute(select(func.pg_advisory_xact_lock(lock)))
            before = getattr(self._own, "connection", None)
            self._own.connection = connection
            try:
                yield
            finally:
                self._own.connection = before

    # ------------------------------------------------------------------------------------ documents

    def read(self, name: str) -> dict[str, Any]:
        """A document, such as ``campaigns/demo.json``.

        Raises
        ------
        FileNotFoundError
        StoreError
        """
        if not self.exists():
            raise FileNotFoundError(name)
        table, own = _of(name)
        with self._connection() as connection:
            result = connection.execute(select(table.c.content).where(table.c.name == own)).first()
        if result is None:
            raise FileNotFoundError(name)
        return result.content

    def write(self, name: str, content: dict[str, Any], *, durable: bool = True) -> None:
        """Replace a document."""
        del durable
        table, own = _of(name)
        statement = insert(table).values(name=own, content=content)
        with self._connection() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["name"],
                    set_={"content": statement.excluded.content, "changed": func.clock_timestamp()},
                )
            )

    def drop(self, name: str) -> None:
        """Remove a document, if it is there, and lines of that name."""
        table, own = _of(name)
        with self._connection() as connection:
            connection.execute(delete(table).where(table.c.name == own))

    def put_aside(self, name: str) -> str:
        """Move what is damaged to where it can be looked at."""
        aside = f"damaged/{name.replace('/', '-')}-{uuid.uuid4().hex[:8]}"
        self.write(aside, self.read(name))
        self.drop(name)
        return f"{self.root}: {aside}"

    def aside(self) -> list[str]:
        """Names of what was put aside."""
        return self.names("damaged")

    def names(self, folder: str) -> list[str]:
        """Documents and folders in a folder, in order."""
        table, own = _of(f"{folder}/")
        if not self.exists():
            return []
        own_names = table.c.name.startswith(own, autoescape=True)
        with self._connection() as connection:
            result = list(connection.scalars(select(table.c.name).where(own_names)))
        return sorted({name.removeprefix(own).partition("/")[0] for name in result})

    def quiet_s(self, name: str) -> float | None:
        """Seconds since a document was written or touched, by the clock of the server."""
        table, own = _of(name)
        age = func.extract("epoch", func.clock_timestamp() - table.c.changed)
        with self._connection() as connection:
            result = connection.scalar(select(age).where(table.c.name == own))
        return None if result is None else float(result)

    def touch(self, name: str) -> None:
        """Note that somebody is behind a document still."""
        table, own = _of(name)
        with self._connection() as connection:
            connection.execute(
                table.update().where(table.c.name == own).values(changed=func.clock_timestamp())
            )

    def append(self, name: str, lines: Sequence[str], *, durable: bool = True) -> None:
        """Add lines to a document of lines."""
        del durable
        if not self.exists():
            raise FileNotFoundError(f"{self.root} holds no store yet")
        table, own = _of(name)
        with self._connection() as connection:
            connection.execute(table.insert(), [{"name": own, "line": line} for line in lines])

    def lines(self, name: str) -> list[str]:
        """Lines of a document of lines, the oldest first."""
        if not self.exists():
            return []
        table, own = _of(name)
        asked = select(table.c.line).where(table.c.name == own).order_by(table.c.number)
        with self._connection() as connection:
            return list(connection.scalars(asked))

    def by_hand(self, name: str) -> Path | None:
        """A file that somebody put among the files of runs by hand, if there is one."""
        if not self.exists():
            return None
        folder = self.files.folder
        path = (folder or self._home) / name
        result = path.exists() if folder is not None else self.files.get(name, path)
        return path if result else None

    # ----------------------------------------------------------------------------------------- runs

    def keys(self) -> list[str]:
        """Keys of all runs, in order."""
        return sorted(self.stamps())

    def open(self, key: str) -> Run[Any] | Problem:
        """A run, or why there is none."""
        return self.open_all([key])[0]

    def open_all(self, keys: Iterable[str]) -> list[Run[Any] | Problem]:
        """The same of many."""
        wanted, rows = list(keys), {}
        for start in range(0, len(wanted) if self.exists() else 0, AT_ONCE):
            some = RUNS.c.key.in_(wanted[start : start + AT_ONCE])
            asked = select(RUNS.c.key, RUNS.c.folder, RUNS.c.record, RUNS.c.spec).where(some)
            with self._connection() as connection:
                rows |= {row.key: row for row in connection.execute(asked)}
        return [
            self._read(key, rows[key]) if key in rows else Problem(key, "it is not there")
            for key in wanted
        ]

    def _read(self, key: str, row: Any) -> Run[Any] | Problem:  # noqa: ANN401 - of SQLAlchemy
        folder, name = self.files.folder, f"runs/{row.folder}"
        place = (folder or self._home) / name
        fetch = None if folder is not None else partial(_fetch, self.files, name, place)
        return read_run(key, row.record.encode(), row.spec.encode(), place, fetch)

    def stamp(self, key: str) -> int | None:
        """What changes with a run; None if there is none."""
        return self.stamps([key]).get(key)

    def stamps(self, keys: Sequence[str] | None = None) -> dict[str, int]:
        """Key of every run -> what changes with it; reads no run."""
        if not self.exists():
            return {}
        asked = select(RUNS.c.key, RUNS.c.number)
        asked = asked if keys is None else asked.where(RUNS.c.key.in_(keys))
        with self._connection() as connection:
            return {key: number for key, number in connection.execute(asked)}

    def watched(self) -> list[Any]:
        """What changes with whatever else a store shows."""
        tables = [DOCUMENTS[name] for name in ("campaigns", "failures", "notes")]
        if not self.exists():
            return []
        with self._connection() as connection:
            return [
                tuple(connection.execute(select(func.count(), func.max(t.c.changed))).one())
                for t in tables
            ]

    def facts(self) -> pl.DataFrame:
        """Facts of runs, from the columns of their table."""
        if not self.exists():
            return pl.DataFrame(schema=SCHEMA)
        names = ", ".join(f"{n}::text" if k == pl.Boolean else n for n, k in SCHEMA.items())
        asked = f"COPY (SELECT {names} FROM {RUNS.fullname}) TO STDOUT (FORMAT csv, NULL '\\N')"
        content = BytesIO()
        with self._connection() as connection:
            self._copy(connection, asked, content)
        if not content.tell():
            return pl.DataFrame(schema=SCHEMA)
        return pl.read_csv(content.getvalue(), has_header=False, schema=SCHEMA, null_values="\\N")

    def _copy(self, connection: Connection, asked: str, content: BytesIO) -> None:
        """Rows as text, in a third of the time that fetching them takes."""
        raw: Any = connection.connection.driver_connection
        try:
            with raw.cursor() as cursor, cursor.copy(asked) as rows:
                content.writelines(rows)
        except connection.dialect.loaded_dbapi.Error as error:
            raise self._failure(error) from None

    def scratch(self, key: str) -> Path:
        """A new folder for the files of a run that is being written."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        unfinished = temporary(self._scratch / key)
        unfinished.mkdir()
        return unfinished

    def place(self, unfinished: Path, spec: AnySpec, record: dict[str, Any]) -> bool:
        """Move the files to their location, and insert the row.

        Raises
        ------
        StoreError
            If the database or the location fails; what was left is removed by a later `prepare`.
        """
        key = spec.key
        if key in self.stamps([key]):
            if isinstance(self.open(key), Run):
                return False
            self._put_run_aside(key)
        folder = f"{key}-{uuid.uuid4().hex[:12]}"
        row = {
            **facts_of(spec, record), "folder": folder, "record": json_bytes(record).decode(),
            "spec": (unfinished / "spec.json").read_text(),
        }  # fmt: skip
        self.write(f"uploads/{folder}", me().to_dict())
        self.files.put(unfinished, f"runs/{folder}")
        uploads = DOCUMENTS["uploads"]
        with self._connection() as connection:
            made = insert(RUNS).values(row).on_conflict_do_nothing(index_elements=["key"])
            if won := connection.scalar(made.returning(RUNS.c.key)) is not None:
                connection.execute(delete(uploads).where(uploads.c.name == folder))
        if not won:
            self._discard(folder)
        return won

    def _put_run_aside(self, key: str) -> None:
        asked = delete(RUNS).where(RUNS.c.key == key)
        with self.alone("damaged"), self._connection() as connection:
            result = connection.execute(asked.returning(RUNS.c.folder, RUNS.c.record, RUNS.c.spec))
            for row in result.all():
                self.write(f"damaged/{row.folder}", dict(row._mapping))

    def remove_run(self, key: str) -> None:
        """Remove a run, if it is there."""
        gone = None
        with self.alone("uploads"), self._connection() as connection:
            asked = delete(RUNS).where(RUNS.c.key == key).returning(RUNS.c.folder)
            if (gone := connection.scalar(asked)) is not None:
                self.write(f"uploads/{gone}", me().to_dict())
        if gone is not None:
            self._discard(gone)

    def _discard(self, folder: str) -> None:
        """Remove files that no row names, then what knows of them."""
        self.files.remove(f"runs/{folder}")
        self.drop(f"uploads/{folder}")


def _of(name: str) -> tuple[Table, str]:
    """Table of a document, and its name there."""
    folder, separator, own = name.partition("/")
    if folder == "ledger.jsonl":
        return LEDGER, folder
    if not separator:
        return DOCUMENTS["notes"], name
    return (EPOCHS if own.endswith(".epochs") else DOCUMENTS[folder]), own


def _fetch(files: Objects, folder: str, place: Path, name: str) -> None:
    """Bring a file of a run into the cache."""
    if not files.get(f"{folder}/{name}", place / name):
        raise StoreError(
            f"{files.location}/{folder}/{name} is gone; `trueness runs delete` the run to make it "
            "again", "damaged",
        )  # fmt: skip
