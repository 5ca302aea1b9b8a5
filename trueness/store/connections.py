"""Connections of a process to PostgreSQL."""

from __future__ import annotations

import json
import os
from functools import partial

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from trueness.errors import StoreError, first_line
from trueness.places import Address, shown_url

WAIT_S = 10
"""Seconds that a connection may take."""
LOST_MS = 30_000
"""Milliseconds after which a server that says nothing is given up."""

ENGINES: dict[tuple[str, int], Engine] = {}
"""Address and number of a process -> its connections."""


def engine_of(root: Address) -> Engine:
    """Connections of this process to a database, shared by its stores."""
    mine = root.url, os.getpid()  # a process that was forked has none yet
    if mine not in ENGINES:
        ENGINES[mine] = _engine(root)
    return ENGINES[mine]


def _engine(root: Address) -> Engine:
    """Connections to a database.

    Raises
    ------
    StoreError
        With the code ``extra`` without its driver, ``store_place`` for an address that is none.
    """
    try:
        return create_engine(
            root.database, pool_pre_ping=True, pool_size=2, max_overflow=8,
            json_serializer=partial(json.dumps, allow_nan=False),
            connect_args={"connect_timeout": WAIT_S, "tcp_user_timeout": LOST_MS,
                          "prepare_threshold": None},
        )  # fmt: skip
    except ImportError:
        raise StoreError(
            f"{root}: PostgreSQL needs the postgres extra: pip install 'trueness[postgres]'",
            "extra",
        ) from None
    except (SQLAlchemyError, ValueError) as error:
        raise StoreError(f"{root}: {shown_url(first_line(error))}", "store_place") from None
