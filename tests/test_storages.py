"""Storages besides a local file: PostgreSQL with several processes, and Optuna Dashboard."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import optuna
import pytest

from tests.servers import PATIENCE_S, free_port, wait_for
from tests.test_cli import call, start
from tests.test_search import SMALL, size_of, worker
from trueness.market import synthetic_bars
from trueness.places import shown_url
from trueness.search import find_study, load_search, open_storage, open_study, search_trials


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storages")
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    (folder / "small.yaml").write_text(SMALL)
    return folder


# -------------------------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def server(postgres):
    """Address of an empty database for studies."""
    return postgres.database().replace("postgresql://", "postgresql+psycopg://")


@contextlib.contextmanager
def opened_storage(url):
    """A storage whose connections are closed in the end."""
    storage = open_storage(url)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.services
def test_two_processes_share_a_study_on_postgresql(server, folder):
    both = [worker(folder, server, 16, 0.05) for _ in range(2)]
    begun = []
    for process in both:
        out, err = process.communicate(timeout=180)
        assert process.returncode == 0, err
        begun.append([line.split()[1] for line in out.splitlines()])
    assert all(begun)
    together = [key for keys in begun for key in keys]
    with opened_storage(server) as storage:
        actual = find_study(storage, "small")
    assert sorted(together) == sorted(t.user_attrs["key"] for t in actual.completed)
    assert len(set(together)) == len(together) == 16


@pytest.mark.services
def test_trials_of_a_killed_process_return_on_postgresql(server, folder):
    text = SMALL.replace("search: small", "search: killed")
    (folder / "killed.yaml").write_text(text)
    process = worker(folder, server, 16, 600, "killed")
    keys = {process.stdout.readline().split()[1] for _ in range(2)}
    process.send_signal(signal.SIGKILL)
    process.communicate()
    search = load_search(folder / "killed.yaml")
    with opened_storage(server) as storage:
        opened = open_study(search, ("auc",), storage)
        assert len(opened.trials(optuna.trial.TrialState.RUNNING)) == 2
        outcome = search_trials(search, opened, size_of, trials=10)
        assert outcome.done == len(opened.completed()) == 10
        assert not opened.trials(optuna.trial.TrialState.RUNNING)
        assert keys <= {t.user_attrs["key"] for t in opened.completed()}


@pytest.mark.services
def test_a_real_search_keeps_its_study_on_postgresql(server, folder, tmp_path):
    def called(*words):
        process = start("search", *words, "--store", tmp_path / "store", "--json")
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    status, out, err = called(
        "run", folder / "small.yaml", "--trials", 3, "--workers", 0, "--name", "real",
        "--storage", server,
    )  # fmt: skip
    assert status == 0, err
    assert json.loads(out)["trials"] == 3
    assert not (tmp_path / "store" / "search.sqlite3").exists()
    status, out, err = called("analyze", "real", "--storage", server)
    assert (status, json.loads(out)["studies"][0]["n_trials"]) == (0, 3), err
    gone = f"{server.rpartition('/')[0]}/nothing".replace("me@", "me:secret@")
    status, _, err = called("analyze", "real", "--storage", gone)
    assert (status, "does not answer" in err, len(err.strip().splitlines())) == (2, True, 1)
    assert "secret" not in err


# --------------------------------------------------------------------------------------- dashboard


@contextlib.contextmanager
def dashboard(url, home):
    """Optuna Dashboard on a storage, as the guide opens it; yields a function that reads its API."""
    port = free_port()
    command = [Path(sys.executable).parent / "optuna-dashboard", url, "--port", str(port)]
    process = subprocess.Popen(
        command, env={**os.environ, "HOME": str(home)}, cwd=home, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def read(path):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.load(answer)

    try:
        wait_for(lambda: read("/api/studies"))
        yield read
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)


@pytest.mark.slow
def test_optuna_dashboard_shows_a_study(folder, tmp_path):
    pytest.importorskip("optuna_dashboard")
    url = f"sqlite:///{tmp_path / 'search.sqlite3'}"
    search = load_search(folder / "small.yaml")
    opened = open_study(search, ("auc",), open_storage(url))
    search_trials(search, opened, size_of, trials=8)
    with dashboard(url, tmp_path) as read:
        (study,) = read("/api/studies")["study_summaries"]
        assert study["study_name"] == "small"
        trials = read(f"/api/studies/{study['study_id']}")["trials"]
    shown = {t["number"]: t for t in trials if t["state"] == "Complete"}
    assert len(shown) == 8
    for trial in opened.completed():
        one = shown[trial.number]
        assert [float(v) for v in one["values"]] == trial.values
        assert {p["name"]: p["param_external_value"] for p in one["params"]} == {
            name: str(value) for name, value in trial.params.items()
        }


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host/db", "postgresql://me:s3@cret@host/db",
        "postgresql://me:s3/cret@host/db", "postgresql://me:@s3cret:@host:1/db",
        "postgresql://host/db?user=me&password=s3cret", "postgresql://host/db?SSLPassword=s3cret&a=b",
        "connection to server failed: postgresql+psycopg://me:s3cret@host/db refused",
        "host=h password=s3cret dbname=d",
    ],
)  # fmt: skip
def test_no_form_of_a_password_is_shown(url):
    assert "cret" not in shown_url(url)
    assert "host" in shown_url(url)


@pytest.mark.services
def test_studies_of_a_store_in_postgresql_live_beside_it(database, folder, tmp_path, capsys):
    at = ("--store", f"{database}?files={tmp_path}/files", "--json")
    status, out, err = call(capsys, "search", "run", folder / "small.yaml", "--trials", 2,
                            "--workers", 0, "--name", "beside", *at)  # fmt: skip
    assert status == 0, err
    status, out, err = call(capsys, "search", "analyze", "beside", *at)
    assert (status, json.loads(out)["studies"][0]["n_trials"]) == (0, 2), err
