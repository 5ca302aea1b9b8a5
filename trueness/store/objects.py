"""Files of runs in any location that fsspec knows: a folder, ``s3://``, ``gs://`` and others."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trueness.errors import StoreError, first_line
from trueness.files import remove, written_whole

EXTRAS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
"""Protocol -> the package that speaks it."""
REFUSALS = (
    ("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"),
    ("aiohttp", "ClientError"), ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)  # fmt: skip
"""Modules and their errors that are no `OSError`."""


@dataclass(frozen=True)
class Objects:
    """A location; folders in it are written once and never changed.

    Attributes
    ----------
    location : str
        A whole path, or an address without credentials: those come from the environment.
    """

    location: str

    @classmethod
    def at(cls, text: str) -> Objects:
        """A location that somebody named; a path is made whole.

        Raises
        ------
        StoreError
            With the code ``files`` if it is none.
        """
        if "://" not in text:
            return cls(str(Path(text).expanduser().resolve()))
        if "@" in text.partition("://")[2].partition("/")[0]:
            raise StoreError(
                "files=: give a location without credentials; they are read from the environment, "
                "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", "files",
            )  # fmt: skip
        return cls(text.rstrip("/"))

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one of this machine."""
        return None if "://" in self.location else Path(self.location)

    @contextmanager
    def _translate_errors(self) -> Generator[Any]:
        """The file system, whose refusals become one line.

        Raises
        ------
        StoreError
            With the code ``files``.
        """
        try:
            from fsspec.core import url_to_fs

            yield url_to_fs(self.location, use_listings_cache=False)[0]
        except ImportError:
            package = EXTRAS.get(self.location.partition("://")[0], "a package of fsspec's list")
            raise StoreError(f"{self.location}: {package} is not installed", "extra") from None
        except (OSError, ValueError, *_refusals()) as error:
            raise StoreError(
                f"{self.location}: files cannot be reached ({first_line(error)})", "files"
            ) from None

    def probe(self) -> None:
        """See that files can be written; a folder is made, a bucket is not.

        Raises
        ------
        StoreError
            With the code ``files``.
        """
        with self._translate_errors() as there:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            there.pipe_file(f"{self.location}/.probe", b"1")
            there.rm_file(f"{self.location}/.probe")

    def put(self, local: Path, name: str) -> None:
        """Move the files of a local folder into a new one.

        Raises
        ------
        StoreError
            With the code ``files``.
        """
        with self._translate_errors() as there:
            if self.folder is not None:
                local.rename(self.folder / name)
                return
            for path in sorted(local.iterdir()):
                there.put_file(str(path), f"{self.location}/{name}/{path.name}")

    def get(self, name: str, place: Path) -> bool:
        """Copy a file to a local one; False if it is not there.

        Raises
        ------
        StoreError
            With the code ``files``.
        """
        with self._translate_errors() as there:
            if not there.exists(f"{self.location}/{name}"):
                return False
            place.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(place, durable=False) as unfinished:
                there.get_file(f"{self.location}/{name}", str(unfinished))
            return True

    def remove(self, name: str) -> None:
        """Remove a folder, if it is there.

        Raises
        ------
        StoreError
            With the code ``files``.
        """
        if self.folder is not None:
            remove(self.folder / name)
            return
        with self._translate_errors() as there:
            if there.exists(f"{self.location}/{name}"):
                there.rm(f"{self.location}/{name}", recursive=True)


def _refusals() -> list[type[Exception]]:
    """Errors of the packages that are loaded."""
    loaded = [(sys.modules.get(module), name) for module, name in REFUSALS]
    return [getattr(module, name) for module, name in loaded if module is not None]
