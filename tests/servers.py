"""Servers for tests, started from installed packages: PostgreSQL, and one that speaks S3."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest

PATIENCE_S = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(attempt):
    """Try until it works."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt()
        except (OSError, urllib.error.URLError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _programs():
    """Folder of initdb and postgres."""
    actual = [shutil.which("initdb"), *Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    places = [Path(one).parent for one in actual if one]
    place = next((one for one in places if (one / "postgres").exists()), None)
    if place is None:
        pytest.skip("no PostgreSQL server is installed")
    return place


class Postgres:
    """A server of this test run; passwords are asked of whoever is not `me`."""

    def __init__(self, home):
        self.programs, self.home, self.port = _programs(), home, free_port()
        self.options = {"cwd": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(home, "postgres", "postgres")
            self.options |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        command = [self.programs / "initdb", "-D", home / "data", "-U", "me", "--auth=trust", "-N"]
        subprocess.run(command, check=True, **self.options)
        (home / "data" / "pg_hba.conf").write_text(
            "host all me 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        self.start()

    def start(self):
        command = [
            self.programs / "postgres", "-D", self.home / "data", "-p", str(self.port), "-k",
            self.home, "-h", "127.0.0.1", "-F",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, **self.options)
        wait_for(lambda: self.run("SELECT 1"))

    def stop(self, how=signal.SIGINT):
        self.process.send_signal(how)
        self.process.wait(PATIENCE_S)

    def url(self, database="postgres", user="me"):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def run(self, statement, database="postgres"):
        """Rows of a statement, of a connection of its own."""
        import psycopg

        try:
            with psycopg.connect(self.url(database), autocommit=True) as connection:
                actual = connection.execute(statement)
                return actual.fetchall() if actual.description else []
        except psycopg.OperationalError as error:
            raise OSError(str(error)) from None

    def database(self):
        """Address of a new, empty database."""
        name = f"d{uuid.uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)


@contextlib.contextmanager
def postgres():
    pytest.importorskip("psycopg")
    home = Path(tempfile.mkdtemp(prefix="trueness-postgres-"))
    try:
        server = Postgres(home)
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(home)


def forget_connections():
    """Close those of this process."""
    from trueness.store.connections import ENGINES

    while ENGINES:
        ENGINES.popitem()[1].dispose()


@contextlib.contextmanager
def s3():
    """Address of a server that speaks S3, with a bucket `runs`; the environment names it."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto")
    port = free_port()
    names = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hidden-word", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    process = subprocess.Popen(
        [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        asked = urllib.request.Request(f"{names['AWS_ENDPOINT_URL']}/runs", method="PUT")
        wait_for(lambda: urllib.request.urlopen(asked, timeout=10).close())
        yield names["AWS_ENDPOINT_URL"]
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
