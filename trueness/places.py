"""Where a store is: a folder, or a PostgreSQL database whose address is never shown whole."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from trueness.errors import StoreError

SECRETS = "password|passwd|pwd|sslpassword|passphrase|token"
SCHEMES = ("postgresql", "postgresql+psycopg")


def shown_url(text: str) -> str:
    """An address, or a text that names some, without passwords.

    Examples
    --------
    >>> shown_url("postgresql://me:p@ss@host/db?sslpassword=x&application_name=y")
    'postgresql://me:***@host/db?sslpassword=***&application_name=y'
    """
    text = re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text)
    return re.sub(rf"(?i)({SECRETS})=[^&\s]*", r"\1=***", text)


@dataclass(frozen=True)
class Address:
    """A PostgreSQL database that holds a store; as text, without its password.

    Attributes
    ----------
    url : str
        As it was given, such as ``postgresql://me@host/db?files=s3://bucket/trueness``.

    Examples
    --------
    >>> where = Address("postgresql://me:secret@host/db?files=/shared/runs")
    >>> str(where), where.files
    ('postgresql://me:***@host/db', '/shared/runs')
    """

    url: str = field(repr=False)

    def __str__(self) -> str:
        """Without the password, and without where files go."""
        return shown_url(self._without_files("postgresql"))

    @property
    def files(self) -> str | None:
        """Where the files of runs are said to go; None if the address does not say it."""
        return dict(self._query()).get("files")

    @property
    def database(self) -> str:
        """Address for SQLAlchemy, with its password."""
        return self._without_files("postgresql+psycopg")

    @property
    def digest(self) -> str:
        """Equal for addresses of one database, whoever logs in."""
        parts = urlsplit(self.url)
        where = parts.netloc.rpartition("@")[2], parts.path, dict(self._query()).get("host", "")
        return hashlib.sha256(" ".join(where).encode()).hexdigest()[:12]

    def _query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    def _without_files(self, scheme: str) -> str:
        parts = urlsplit(self.url)
        rest = [(name, value) for name, value in self._query() if name != "files"]
        return urlunsplit((scheme, parts.netloc, parts.path, urlencode(rest, safe="/"), ""))


StoreLocation: TypeAlias = Path | Address


def place_of(text: str | StoreLocation) -> StoreLocation:
    """A place that somebody named.

    Raises
    ------
    StoreError
        With the code ``store_place`` for an address of something else.

    Examples
    --------
    >>> place_of("postgresql://host/db")
    Address()
    """
    if not isinstance(text, str):
        return text
    scheme, separator, _ = text.partition("://")
    if not separator:
        return Path(text)
    if scheme not in SCHEMES:
        raise StoreError(
            f"{shown_url(text)}: a store is a folder, or postgresql://USER@HOST/DATABASE whose "
            "?files= may name s3:// and the like", "store_place",
        )  # fmt: skip
    return Address(text)
