"""Servers of a store that stop, refuse, or are called by odd names, while a campaign is at work."""

import http.client
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlsplit

import pytest

from tests.conftest import BASELINES, TINY
from tests.servers import PATIENCE_S
from tests.test_cli import call, start
from tests.test_store import PREDICTIONS, _write
from trueness.market import synthetic_bars
from trueness.store import Store
from trueness.store.leases import Leases

pytestmark = pytest.mark.services
RUNS = len(BASELINES) + 2
WAITING = """
import pathlib, time

HERE = pathlib.Path(__file__).parent


class Waiting:
    def fit(self, x, y):
        (HERE / "begun").touch()
        until = time.monotonic() + 120
        while not (HERE / "go").exists() and time.monotonic() < until:
            time.sleep(0.05)
        self.mean = x.mean(axis=0)

    def decision_function(self, x):
        return (x - self.mean)[:, 0]

"""
OWN = "  - {id: W-1, priority: P2, model: {kind: estimator, of: 'own.py:Waiting'}}\n"


@pytest.fixture
def waiting(tmp_path):
    """A campaign whose last model waits until a file `go` is beside it."""
    synthetic_bars(1200).frame().write_csv(tmp_path / "bars.csv")
    (tmp_path / "own.py").write_text(WAITING)
    (tmp_path / "tiny.yaml").write_text(TINY + OWN + "data: bars.csv\n")
    return tmp_path / "tiny.yaml"


def _begun(path, process):
    """Wait until the campaign is in the middle."""
    until = time.monotonic() + PATIENCE_S
    while not path.with_name("begun").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)


def _refused(process):
    """What a command says that is refused in one line."""
    out, err = process.communicate(timeout=PATIENCE_S)
    notes = [line for line in err.splitlines() if line.startswith("trueness: ")]
    assert (process.returncode, out, len(notes)) == (2, "", 1), err
    assert "Traceback" not in err
    assert "hidden-word" not in err
    return notes[0]


def _completed(words, at, path):
    """What the same command comes to when its servers are back; nothing of the first is left."""
    before = set(Store(at).kept.keys())
    path.with_name("go").touch()
    process = start(*words)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    content, store = json.loads(out), Store(at)
    assert (content["failed"], content["missing"]) == ([], [])
    assert set(content["reused"]) == before
    runs, problems = store.all_runs()
    assert (len(runs), problems) == (RUNS + 1, [])
    assert all(len(one.table()) for one in runs)
    assert (Leases(store).holders(), store.kept.names("uploads")) == ([], [])
    return before


def test_a_database_that_is_stopped_in_the_middle_costs_nothing(
    database, postgres, waiting, tmp_path
):
    at = f"{database}?files={tmp_path}/files"
    words = ("run", waiting, "--workers", 0, "--store", at, "--json")
    process = start(*words)
    _begun(waiting, process)
    stored = set(Store(at).kept.keys())
    postgres.stop(signal.SIGQUIT)  # as if its machine lost power
    try:
        waiting.with_name("go").touch()
        assert "database" in _refused(process)
        assert "database" in _refused(start(*words))
    finally:
        postgres.start()
    assert _completed(words, at, waiting) == stored
    assert len(os.listdir(tmp_path / "files" / "runs")) == RUNS + 1


def test_a_database_that_is_back_before_it_is_asked_is_not_missed(
    database, postgres, waiting, tmp_path
):
    at = f"{database}?files={tmp_path}/files"
    process = start("run", waiting, "--workers", 0, "--store", at, "--json")
    _begun(waiting, process)
    postgres.stop()
    postgres.start()
    waiting.with_name("go").touch()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert (json.loads(out)["failed"], json.loads(out)["missing"]) == ([], [])
    assert len(Store(at).all_runs()[0]) == RUNS + 1


class _Proxy(BaseHTTPRequestHandler):
    """Passes requests on to a server, but those that write while it is told to refuse them."""

    protocol_version = "HTTP/1.1"
    target, refuses = "", False

    def _pass(self):
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        if type(self).refuses and self.command in ("PUT", "POST"):
            self._answer(403, [], b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
            return
        there = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=60)
        there.request(self.command, self.path, content, dict(self.headers))
        actual = there.getresponse()
        self._answer(actual.status, actual.getheaders(), actual.read(), actual)
        there.close()

    def _answer(self, status, headers, content, actual=None):
        self.send_response(status)
        kept = [(n, v) for n, v in headers if n.lower() not in ("transfer-encoding", "connection")]
        for name, value in kept:
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in kept):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, *words):
        pass


@pytest.fixture
def bucket(s3, monkeypatch):
    """Class of a proxy before the bucket, which the environment names; see `refuses`."""

    class Proxy(_Proxy):
        target = s3

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield Proxy
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_bucket_that_refuses_writes_in_the_middle_costs_nothing(database, bucket, waiting):
    at = f"{database}?files=s3://runs/{database[-8:]}"
    words = ("run", waiting, "--workers", 0, "--store", at, "--json")
    process = start(*words)
    _begun(waiting, process)
    stored = set(Store(at).kept.keys())
    bucket.refuses = True
    waiting.with_name("go").touch()
    assert "files cannot be reached" in _refused(process)
    assert set(Store(at).kept.keys()) == stored
    assert "files cannot be reached" in _refused(start(*words))  # before anything is trained
    bucket.refuses = False
    assert _completed(words, at, waiting) == stored


ODD = 'a\'b "c" %s %25 + ;-- é_'


def test_odd_names_of_database_user_password_files_and_campaign(
    postgres, s3, make_spec, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    quoted = ODD.replace('"', '""')
    postgres.run(f'CREATE DATABASE "{quoted}"')
    postgres.run(f'''CREATE ROLE "{quoted}" LOGIN SUPERUSER PASSWORD 'p@:/?#% hidden-word' ''')
    user, word = quote(ODD, safe=""), quote("p@:/?#% hidden-word", safe="")
    where = f"postgresql://{user}:{word}@127.0.0.1:{postgres.port}/{quote(ODD, safe='')}"
    for files in (tmp_path / "fi les %20+#é", f"s3://runs/pre fix+%é/{os.getpid()}"):
        at = f"{where}?files={quote(str(files), safe='')}"
        postgres.run("DROP SCHEMA IF EXISTS trueness CASCADE", quote(ODD, safe=""))
        store = Store(at)
        store.prepare()
        assert "hidden-word" not in str(store.root) + repr(store.root)
        for seed in range(2):
            assert _write(store, make_spec(seed=seed))
        store.write_campaign(ODD, {ODD: make_spec(seed=0).key, "100%": make_spec(seed=1).key})
        store.write_campaign("a_b", {"A": make_spec(seed=0).key})
        again = Store(where)
        assert again.declared(ODD).ids[ODD] == [make_spec(seed=0).key]
        assert [one.table().equals(PREDICTIONS) for one in again.all_runs()[0]] == [True, True]
        assert set(again.campaigns()) == {ODD, "a_b"}
        Leases(again).write_status(ODD, {"done": 0.0, "total": 1.0, "trained": 0, "failed": 0,
                                         "running": [ODD], "stage": "x", "began": "y"})  # fmt: skip
        assert [one["running"] for one in Leases(again).statuses(ODD)] == [[ODD]]
        assert Leases(again).statuses("a'b") == []
        Leases(again).write_status(ODD, None)
        for wrong in ("a'b", "%", "_", "\\", "../..", make_spec(seed=0).key + "'", "*"):
            status, out, err = call(capsys, "show", wrong, "--store", where)
            assert (status, out, err.count("\n")) == (2, "", 1), wrong
            assert "hidden-word" not in err
        again.remove(make_spec(seed=0).key)
        assert again.kept.names("uploads") == []
