"""Whole clusters and drivers that die in the middle: the same command goes on where they ended."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from tests import clusters
from tests.clusters import (
    ESTIMATORS,
    assert_equal,
    campaign_of,
    fits,
    kill_all_of,
    raylet_of,
    results,
    started,
    wait_for,
    workers_of,
)
from tests.conftest import BASELINES
from tests.test_cli import start
from trueness.campaign import Campaign, Entry
from trueness.runner import run
from trueness.search import load_search
from trueness.store import Store
from trueness.store.leases import Leases

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray closes neither its files nor its sockets
]
cluster, raylets = clusters.cluster, clusters.raylets
folder, local = clusters.folder, clusters.local


@pytest.fixture
def impatient(monkeypatch):
    """Drivers that give a cluster up after five seconds."""
    monkeypatch.setenv("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "5")


def refused(driver, seconds=90):
    """What a command says that ends in one line."""
    out, err = driver.communicate(timeout=seconds)
    notes = [line for line in err.splitlines() if line.startswith("trueness: ")]
    assert (driver.returncode, out, len(notes)) == (2, "", 1), err
    assert "Traceback" not in err
    return notes[0]


# ---------------------------------------------------------------------------- clusters that are gone


@pytest.mark.parametrize("through", ["node", "client"])
def test_a_campaign_whose_cluster_dies_goes_on_at_another(
    cluster, local, folder, monkeypatch, impatient, through
):
    def on(one):
        monkeypatch.setenv("RAY_ADDRESS", one.address)
        return "ray" if through == "node" else one.client

    with started() as doomed:
        first = campaign_of(folder, on(doomed))
        wait_for(lambda: len(fits(folder, first.pid)) > 1, first)
        kill_all_of(doomed)
        assert "is gone" in refused(first)
    store, stored = Store(folder / "store"), set(results(folder))
    assert stored
    assert (Leases(store).holders(), store.failures()) == ([], {})
    (folder / "slow").unlink()
    second = campaign_of(folder, on(cluster))
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    content = json.loads(out)
    assert (content["failed"], content["missing"]) == ([], [])
    assert set(content["reused"]) == stored
    begun = Counter(one[0] for one in fits(folder, first.pid) if one[1] != second.pid)
    assert sorted(begun) == [*range(ESTIMATORS)]
    assert begun.total() == ESTIMATORS + 1  # what was in flight
    assert_equal(folder, local)


IDLE = """
import sys

from tests.test_execute import square
from trueness.errors import SpecError
from trueness.execute import open_pool

with open_pool("ray" if sys.argv[1] == "node" else sys.argv[1]) as pool:
    print([answer[0] for _, answer in pool.map(square, [2])], flush=True)
    sys.stdin.readline()
    for call in (pool.start, lambda: [*pool.map(square, [3])]) if sys.argv[2] == "again" else ():
        try:
            call()
        except SpecError as error:
            print(error.code)
print("left")
"""


@pytest.mark.parametrize(
    ("through", "then", "said"),
    [("node", "leave", []), ("node", "again", ["cluster_gone"] * 2),
     ("client", "leave", []), ("client", "again", ["cluster_gone"] * 2)],
)  # fmt: skip
def test_a_cluster_that_is_shut_down_while_nothing_runs(
    monkeypatch, impatient, through, then, said
):
    with started() as doomed:
        monkeypatch.setenv("RAY_ADDRESS", doomed.address)
        monkeypatch.setenv("PYTHONPATH", str(clusters.ROOT))
        driver = subprocess.Popen(
            [sys.executable, "-c", IDLE, through if through == "node" else doomed.client, then],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert driver.stdout.readline() == "[4]\n"
    out, err = driver.communicate("\n", timeout=90)
    assert driver.returncode == 0, err
    assert out.splitlines() == [*said, "left"]
    assert "Traceback" not in err


@pytest.mark.parametrize("on", ["ray", "ray://{}"])
def test_an_address_where_nobody_listens_is_refused_in_one_line(folder, monkeypatch, on):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert "127.0.0.1:1" in refused(campaign_of(folder, on.format("127.0.0.1:1")))
    assert not (folder / "store").exists()


# ------------------------------------------------------------------------------ drivers that are gone


def killed(words, raylets, store, when, **how):
    """Records of what a driver stored that is killed once `when` holds, and what was in flight."""
    driver = start(*words, **how)
    wait_for(lambda: when() and workers_of(raylets, b"ray::work"), driver, 900)
    driver.kill()
    driver.communicate()
    wait_for(lambda: not workers_of(raylets, b"ray::work"), seconds=60)  # no task is left behind
    stored = {key: stamp(store, key) for key in sorted(Store(store).kept.keys())}
    return stored, {one.key for one in Leases(Store(store)).holders()} - stored.keys()


def stamp(store, key):
    actual = (store / "runs" / key / "record.json").stat()
    return actual.st_ino, actual.st_mtime_ns


def completed(words, store, stored, held, **how):
    """What the same command comes to; only what was in flight was begun twice."""
    driver = start(*words, **how)
    out, err = driver.communicate(timeout=900)
    assert driver.returncode == 0, err
    assert {key: stamp(store, key) for key in stored} == stored
    assert held <= set(Store(store).kept.keys())
    assert (Leases(Store(store)).holders(), Store(store).failures()) == ([], {})
    return json.loads(out)


def raylets_of(cluster):
    return [raylet_of(node) for node in (cluster.head_node, *cluster.worker_nodes)]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_demo_whose_driver_is_killed_equals_the_local_one(cluster, raylets, tmp_path):
    here, there = (tmp_path / name for name in ("here", "there"))
    local = start("run", "demo", "--store", here / "store", "--json")
    _, err = local.communicate(timeout=900)
    assert local.returncode == 0, err
    words, store = ("run", "demo", "--on", "ray", "--json", "--store"), there / "store"
    networks = lambda: len(list((store / "runs").glob("[0-9a-f]*"))) >= 10  # noqa: E731
    stored, held = killed((*words, store), raylets_of(cluster), store, networks)
    content = completed((*words, store), store, stored, held)
    assert (content["failed"], content["missing"]) == ([], [])
    assert set(content["reused"]) == stored.keys()
    assert 1 <= len(held) <= 4
    assert_equal(there, here)


def test_a_search_whose_driver_is_killed_goes_on_and_its_trials_equal_local_ones(
    cluster, raylets, local, folder
):
    words = ("search", "run", "small.yaml", "--trials", 12, "--batch", 3, "--json", "--store")
    here, store = local / "searched", folder / "store"
    process = start(*words, here, "--workers", 1, cwd=local)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    words = (*words, store, "--on", "ray")
    trials = lambda: len(list((store / "runs").glob("[0-9a-f]*"))) > 12  # noqa: E731
    stored, held = killed(words, raylets_of(cluster), store, trials, cwd=folder)
    content = completed(words, store, stored, held, cwd=folder)
    assert (content["trials"], content["distinct"]) == (12, 12)
    assert 1 <= len(held) <= 3
    same = {one.key for one in Store(here).all_runs()[0]}
    assert stored.keys() | held <= same  # the sampler goes on otherwise after a trial that was lost
    train_locally([one.spec for one in Store(store).all_runs()[0] if one.key not in same], local)
    wanted = {one.key: one.table() for one in Store(here).all_runs()[0]}
    made = {one.key: one.table() for one in Store(store).all_runs()[0]}
    assert len(made) == len(BASELINES) + 12
    assert all(table.equals(wanted[key]) for key, table in made.items())


def train_locally(specs, folder):
    search = load_search(folder / "small.yaml")
    entries = tuple(Entry(spec.key, "search", spec) for spec in specs)
    campaign = Campaign("others", "", search.context.kind, (), entries, search.context.data)
    run(campaign, Store(folder / "searched"), device="cpu", workers=0)
