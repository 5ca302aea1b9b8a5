"""Stores in a real PostgreSQL, with files in a folder or behind a server that speaks S3."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import BASELINES
from tests.servers import PATIENCE_S, forget_connections, free_port
from tests.stores import aged
from tests.test_cli import call, start
from tests.test_store import PREDICTIONS, _write
from trueness.errors import StoreError
from trueness.owners import me
from trueness.store import Store
from trueness.store.leases import Leases

pytestmark = pytest.mark.services


@pytest.fixture
def remote(database, s3, tmp_path, monkeypatch):
    """A store whose files are behind S3."""
    monkeypatch.setenv("TRUENESS_CACHE", str(tmp_path / "cache"))
    store = Store(f"{database}?files=s3://runs/{database[-8:]}")
    store.prepare()
    return store


def _held_objects(store):
    from fsspec.core import url_to_fs

    there, path = url_to_fs(store.kept.files.location, use_listings_cache=False)
    return {name.rpartition("/")[2] for name in there.find(f"{path}/runs")}


def test_files_behind_s3_are_fetched_once_and_checked(remote, make_spec, tmp_path):
    spec = make_spec()
    assert _write(remote, spec)
    assert not _write(remote, spec)
    run = Store(remote.root).run(spec.key)
    assert run.table().equals(PREDICTIONS)
    path = run.file("predictions.parquet")
    written = path.stat().st_mtime_ns
    assert run.file("predictions.parquet").stat().st_mtime_ns == written
    path.write_bytes(b"damaged")
    assert run.table().equals(PREDICTIONS)
    remote.kept.files.remove(f"runs/{path.parent.name}")
    path.unlink()
    with pytest.raises(StoreError) as error:
        run.table()
    assert error.value.code == "damaged"
    remote.remove(spec.key)
    assert (remote.kept.keys(), _held_objects(remote)) == ([], set())
    assert remote.kept.names("uploads") == []


WRITER = """
import sys
from tests.test_store import HISTORY, PREDICTIONS, RECORD
from trueness.spec import Spec
from trueness.store import Store
from trueness.store.objects import Objects
store = Store(sys.argv[1])
put = Objects.put
def slow(self, local, name):
    put(self, local, name)
    print("put", flush=True)
    sys.stdin.read()
Objects.put = slow
spec = Spec.model_validate({"task": {"kind": "market", "bars": "x"}, "evaluation": {"protocol": "holdout"}})
store.write(spec, RECORD, PREDICTIONS, HISTORY)
"""


def test_what_a_killed_writer_put_behind_s3_is_swept(remote):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, remote.root.url], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "put\n"
        remote.prepare()  # it lives: nothing of it is swept
        assert (len(_held_objects(remote)), remote.all_runs()) == (3, ([], []))
        process.kill()
    remote.prepare()
    assert (_held_objects(remote), remote.kept.names("uploads")) == (set(), [])


def test_uploads_of_other_machines_are_swept_after_a_day(remote):
    for name, seconds in (("k-a", 10), ("k-b", 2 * 86_400)):
        remote.kept.write(f"uploads/{name}", {**me().to_dict(), "machine": "0" * 12})
        aged(remote, f"uploads/{name}", seconds)
    remote.prepare()
    assert remote.kept.names("uploads") == ["k-a"]


def test_a_damaged_row_is_put_aside_when_its_run_is_made_again(remote, postgres, make_spec):
    spec = make_spec()
    _write(remote, spec)
    postgres.run("UPDATE trueness.runs SET record = '{'", remote.root.url.partition("?")[0][-13:])
    runs, (problem,) = remote.all_runs()
    assert (runs, problem.name, spec.key in remote) == ([], spec.key, False)
    assert _write(remote, spec, {"label": "new"})
    assert remote.run(spec.key).record["label"] == "new"
    assert len(remote.kept.aside()) == 1


def test_every_cut_of_the_connection_leaves_a_whole_store(database, postgres, make_spec, tmp_path):
    """Connections are ended from outside before every statement of a run's way in turn."""
    from sqlalchemy import event

    from trueness.store.connections import engine_of

    name = database.rpartition("/")[2]
    store = Store(f"{database}?files={tmp_path}/files")
    store.prepare()
    count, fatal, refused, stored = 0, 0, 0, 0

    def before(*_):
        nonlocal count
        count += 1
        if count == fatal:
            postgres.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != "
                f"pg_backend_pid() AND datname = '{name}'"
            )

    event.listen(engine_of(store.root), "before_cursor_execute", before)
    for fatal in range(1, 14):
        count, spec = 0, make_spec(seed=fatal)
        try:
            assert Leases(store).acquire(spec.key)
            _write(store, spec)
            Leases(store).release(spec.key)
        except StoreError:
            refused += 1
        stored += spec.key in store
        runs, problems = store.all_runs()
        assert (len(runs), problems) == (stored, [])
        assert all(run.table().equals(PREDICTIONS) for run in runs)
    assert refused >= 5
    assert stored >= 1
    event.remove(engine_of(store.root), "before_cursor_execute", before)


# ----------------------------------------------------------------------------------- command line


def _outcome(capsys, store, *words):
    forget_connections()
    status, out, err = call(capsys, *(words or ("leaderboard",)), "--store", store)
    assert "hidden-word" not in out + err
    return status, len(err.strip().splitlines()), err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda url, name: url.replace(f"/{name}", "/nothing"), "does not exist"),
        (lambda url, _: url.replace("me@", "you:hidden-word@"), "password authentication failed"),
        (lambda url, _: url.replace(url.split("/")[2], f"me:hidden-word@127.0.0.1:{free_port()}"), "refused"),
        (lambda url, _: f"{url}?files=s3://nowhere/x", "files cannot be reached"),
        (lambda url, _: f"{url}?files=s3://me:hidden-word@runs/x", "without credentials"),
        (lambda url, _: f"{url}?files=nothing://runs/x", "files cannot be reached"),
        (lambda url, _: f"{url}?files=/proc/nowhere", "files cannot be reached"),
        (lambda url, _: url, "?files="),
        (lambda url, _: url.replace("postgresql", "mysql"), "a store is a folder"),
        (lambda url, _: url.replace("127.0.0.1", "127.0.0.1:x"), "postgresql://"),
    ],
)  # fmt: skip
def test_places_that_are_none_are_one_line(
    database, postgres, s3, capsys, tiny, change, words, monkeypatch
):
    postgres.run("DROP ROLE IF EXISTS you")
    postgres.run("CREATE ROLE you LOGIN PASSWORD 'other'")
    at = change(database, database.rpartition("/")[2])
    status, lines, err = _outcome(capsys, at, "run", tiny, "--workers", 0)
    assert (status, lines) == (2, 1), err
    assert words in err
    name = database.rpartition("/")[2]
    assert postgres.run("SELECT to_regnamespace('trueness')", name) == [(None,)]


def test_stores_of_other_versions_and_places_are_refused(remote, postgres, capsys, tmp_path):
    url = remote.root.url
    status, lines, err = _outcome(capsys, f"{url.partition('?')[0]}?files={tmp_path}")
    assert (status, lines, "leave ?files= away" in err) == (2, 1, True)
    assert _outcome(capsys, url.partition("?")[0])[0] == 0
    postgres.run("UPDATE trueness.about SET version = 99", url.partition("?")[0].rpartition("/")[2])
    status, lines, err = _outcome(capsys, url)
    assert (status, lines, "newer" in err) == (2, 1, True)
    with pytest.raises(StoreError) as error:
        Store(url)
    assert error.value.code == "store_version"


@pytest.mark.parametrize("package", ["psycopg", "s3fs"])
def test_a_missing_package_is_one_line(database, s3, tiny, package):
    script = f"import sys; sys.modules[{package!r}] = None; from trueness.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "run", tiny, "--workers", "0", "--store",
         f"{database}?files=s3://runs/x"], capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1), done.stderr
    assert package in done.stderr or "postgres extra" in done.stderr


def _json(words, **how):
    process = start(*words, "--json", **how)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return json.loads(out)


def _estimates(board):
    text = json.dumps(board["groups"], sort_keys=True)
    return [
        (model["key"], model["estimates"])
        for group in json.loads(text) for model in group["models"]
    ]  # fmt: skip


def test_a_campaign_is_the_same_in_a_folder_and_in_a_database(database, s3, tiny, tmp_path):
    at = f"{database}?files=s3://runs/{database[-8:]}"
    there = _json(("run", tiny, "--workers", 0, "--store", at))
    here = _json(("run", tiny, "--workers", 0, "--store", tmp_path / "store"))
    assert sorted(there["trained"]) == sorted(here["trained"])
    assert len(there["trained"]) == len(BASELINES) + 2
    assert _estimates(there) == _estimates(here)
    again = _json(("run", tiny, "--workers", 0, "--store", database))
    assert (again["trained"], len(again["reused"])) == ([], len(BASELINES) + 2)
    shown = _json(("show", again["reused"][0], "--store", database))
    assert "hidden-word" not in json.dumps(shown)


def test_two_processes_share_a_campaign_and_one_is_killed(database, tiny, tmp_path):
    at = f"{database}?files={tmp_path}/files"
    Store(at).prepare()
    words = ("run", tiny, "--workers", 0, "--store", at, "--json")
    both = [start(*words) for _ in range(2)]
    until = time.monotonic() + PATIENCE_S
    while not Store(at).kept.keys() and time.monotonic() < until:
        time.sleep(0.1)
    both[0].send_signal(signal.SIGKILL)
    both[0].communicate()
    both[1].communicate(timeout=PATIENCE_S)
    last = _json(words[:-1])
    assert last["failed"] == []
    assert len(Store(at).all_runs()[0]) == len(BASELINES) + 2
    assert Leases(Store(at)).holders() == []
    assert Store(at).kept.names("uploads") == []
    assert len(os.listdir(tmp_path / "files" / "runs")) == len(BASELINES) + 2


def test_who_may_only_read_looks_at_runs_and_is_told(remote, postgres, make_spec, capsys):
    from trueness.judge.ranking import ranking

    _write(remote, make_spec())
    name = remote.root.url.partition("?")[0].rpartition("/")[2]
    postgres.run("DROP ROLE IF EXISTS reader")
    postgres.run("CREATE ROLE reader LOGIN PASSWORD 'hidden-word'")
    postgres.run("GRANT USAGE ON SCHEMA trueness TO reader", name)
    postgres.run("GRANT SELECT ON ALL TABLES IN SCHEMA trueness TO reader", name)
    url = postgres.url(name, "reader:hidden-word")
    reading = Store(url)
    assert reading.run(make_spec().key).table().equals(PREDICTIONS)
    assert "permission denied" in ranking(reading, verb="runs list").notes[-1]
    with pytest.raises(StoreError) as error:
        reading.write_campaign("c", {"A": "1"})
    assert "hidden-word" not in str(error.value)
    status, lines, err = _outcome(capsys, url, "runs", "tag", make_spec().key, "a")
    assert (status, lines) == (2, 1), err
    postgres.run("DROP OWNED BY reader", name)
    postgres.run("DROP ROLE reader")
