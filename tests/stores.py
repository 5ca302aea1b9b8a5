"""Stores of both kinds, for tests of what holds for each."""

import os
import time

import pytest

from tests import servers
from trueness.places import Address
from trueness.store import Store

KINDS = ["folder", pytest.param("postgresql", marks=pytest.mark.services)]


def named(store):
    """What names a store on a command line."""
    return store.root.url if isinstance(store.root, Address) else str(store.root)


def aged(store, name, seconds):
    """Let a document be as old as that."""
    if not isinstance(store.root, Address):
        os.utime(store.root / name, (time.time() - seconds,) * 2)
        return
    from sqlalchemy import func, text

    from trueness.store.database import _of

    table, own = _of(name)
    with store.kept._connection() as connection:
        connection.execute(
            table.update()
            .where(table.c.name == own)
            .values(changed=func.clock_timestamp() - text(f"interval '{seconds} seconds'"))
        )


@pytest.fixture(scope="session")
def postgres():
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def s3():
    with servers.s3() as address:
        yield address


@pytest.fixture
def database(postgres):
    """Address of a new, empty database; connections to it are closed in the end."""
    yield postgres.database()
    servers.forget_connections()


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    """An empty store of each kind."""
    if request.param == "folder":
        made = Store(tmp_path / "store")
    else:
        made = Store(f"{request.getfixturevalue('database')}?files={tmp_path}/files")
    made.prepare()
    return made
