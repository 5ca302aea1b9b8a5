"""A Ray cluster of three raylets: raylets, workers and drivers are killed, and nothing changes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests import clusters
from tests.clusters import (
    ESTIMATORS,
    assert_equal,
    campaign_of,
    fits,
    is_running,
    processes_in,
    results,
    wait_for,
)
from tests.test_cli import start
from tests.test_execute import die_unless_marked, square
from trueness.campaign import load_campaign
from trueness.errors import SpecError
from trueness.execute import Failure, Question, open_pool
from trueness.store import Store
from trueness.store.leases import Leases

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray closes neither its files nor its sockets
]
cluster, raylets = clusters.cluster, clusters.raylets
folder, local = clusters.folder, clusters.local

# -------------------------------------------------------------------------------------------- pools


def sums(item, report):
    number, array = item
    report(number)
    answer = report(Question(number))
    array += 1  # what comes from the object store can be written
    return number, answer, float(array.sum()), os.environ["OMP_NUM_THREADS"]


def test_a_pool_on_a_cluster_keeps_to_what_pools_promise(cluster, raylets, tmp_path):
    array, events, begun = np.zeros(50_000), [], []

    def on_event(position, event):
        events.append((position, event))
        return 10 * event.content if isinstance(event, Question) else None

    def begin(position):
        begun.append(position)
        return position != 3

    with open_pool("ray", None) as pool:
        assert pool.size == 3
        items = [(number, array) for number in range(6)]
        answers = dict(pool.map(sums, items, on_event, begin))
        assert answers == {n: (n, 10 * n, 50_000.0, "1") for n in (0, 1, 2, 4, 5)}
        assert begun == [0, 1, 2, 3, 4, 5]
        assert sorted(events, key=lambda pair: pair[0]) == [
            (n, event) for n in (0, 1, 2, 4, 5) for event in (n, Question(n))
        ]
        assert len(pool._packer._known) == 1
        answers = dict(pool.map(square, [1, 13, 2]))
        assert isinstance(answers[1], Failure)
        assert answers[1].reason.strip().endswith("ValueError: thirteen is refused")
        assert (answers[0][0], answers[2][0]) == (1, 4)
        answers = dict(pool.map(die_unless_marked, [str(tmp_path / "mark"), "fine", None]))
        assert answers[0] == answers[1] == "done"
        assert isinstance(answers[2], Failure)
        assert dict(pool.map(square, list(range(9)), until=time.monotonic())) == {}
        assert pool.sees(tmp_path)
        with pytest.raises(SpecError) as caught:
            pool.device("cuda")
        assert caught.value.code == "no_gpu"
        for wrong in ("mps", "cuda:1"):
            with pytest.raises(SpecError):
                pool.device(wrong)
        assert pool.device("auto").name == "cpu"
        with pytest.raises(SpecError) as caught:
            pool.check(lambda: [_Needs(bytes=10**15)])
        assert caught.value.code == "no_room"
        (tmp_path / "own").touch()
        handle = os.open(tmp_path / "own", os.O_RDONLY)
        os.dup2(handle, 900)  # a path that other processes do not see
        with pytest.raises(SpecError) as caught:
            pool.check(lambda: [_Needs(reads=(Path("/proc/self/fd/900"),))])
        os.close(handle)
        os.close(900)
        assert caught.value.code == "not_shared"


class _Needs:
    def __init__(self, **needs):
        vars(self).update(needs)


# ------------------------------------------------------------------------------------ whole commands


def test_a_campaign_whose_raylet_is_killed_equals_the_local_one(local, folder, raylets):
    driver = campaign_of(folder)
    at_work = lambda: [one for one in fits(folder, driver.pid) if one[2] in raylets]  # noqa: E731
    number, worker, raylet = wait_for(at_work, driver)[-1]
    os.kill(raylet, signal.SIGKILL)
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    content = json.loads(out)
    assert (content["failed"], content["missing"]) == ([], [])
    begun = Counter(one[0] for one in fits(folder, driver.pid))
    assert begun == {i: 1 + (i == number) for i in range(ESTIMATORS)}
    assert_equal(folder, local)
    assert Leases(Store(folder / "store")).holders() == []
    assert not is_running(worker)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_whose_raylet_is_killed_equals_the_local_one(raylets, tmp_path):
    here, there = (tmp_path / name for name in ("here", "there"))
    driver = start("run", "demo", "--store", here / "store", "--json")
    out, err = driver.communicate(timeout=500)
    assert driver.returncode == 0, err
    driver = start("run", "demo", "--store", there / "store", "--on", "ray", "--json")
    stored = lambda: len(list((there / "store" / "runs").glob("*")))  # noqa: E731
    wait_for(lambda: stored() >= 10, driver, 400)  # networks are at work on all raylets
    os.kill(raylets[0], signal.SIGKILL)
    out, err = driver.communicate(timeout=500)
    assert driver.returncode == 0, err
    assert json.loads(out)["failed"] == []
    assert len(results(there)) == 14
    assert_equal(there, here)


def test_a_campaign_whose_driver_is_killed_is_completed_by_the_same_command(local, folder, raylets):
    first = campaign_of(folder)
    wait_for(lambda: len(fits(folder, first.pid)) > 1, first)
    first.kill()
    first.communicate()
    there = set(results(folder))
    campaign = load_campaign(folder / "tiny.yaml")
    slow = {e.spec.model.params["number"]: e.spec.key for e in campaign.experiments
            if e.id.startswith("S-")}  # fmt: skip
    lost = {one for one in fits(folder, first.pid) if slow[one[0]] not in there}
    wait_for(lambda: not any(is_running(worker) for _, worker, _ in lost), seconds=60)
    second = campaign_of(folder)
    out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    content = json.loads(out)
    assert (content["failed"], content["missing"]) == ([], [])
    assert set(content["reused"]) == there
    begun = Counter(n for n, worker, _ in fits(folder, first.pid) if worker != second.pid)
    assert begun == {i: 1 + sum(i == one[0] for one in lost) for i in range(ESTIMATORS)}
    assert_equal(folder, local)


def test_ctrl_c_leaves_nothing_on_the_cluster(folder, raylets):
    driver = campaign_of(folder)
    wait_for(lambda: fits(folder, driver.pid), driver)
    driver.send_signal(signal.SIGINT)
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert json.loads(out)["interrupted"] is True
    assert Leases(Store(folder / "store")).holders() == []
    wait_for(
        lambda: not any(is_running(worker) for _, worker, _ in fits(folder, driver.pid)), seconds=30
    )


def test_a_search_through_the_client_server_equals_the_local_one(local, folder, raylets, cluster):
    words = ("search", "run", "small.yaml", "--trials", 12, "--batch", 3, "--json", "--store")
    here = start(*words, local / "searched", "--workers", 1, cwd=local)
    wanted, err = here.communicate(timeout=300)
    assert here.returncode == 0, err
    driver = start(*words, folder / "store", "--on", cluster.client, cwd=folder)
    there = folder / "store" / "runs"
    wait_for(lambda: len(list(there.glob("[0-9a-f]*"))) > 12, driver)
    os.kill(raylets[0], signal.SIGKILL)
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    actual, wanted = json.loads(out), json.loads(wanted)
    assert actual["best"] == wanted["best"]
    same = {r.key: r.table() for r in Store(local / "searched").all_runs()[0]}
    made = {r.key: r.table() for r in Store(folder / "store").all_runs()[0]}
    assert made.keys() == same.keys()
    assert all(table.equals(same[key]) for key, table in made.items())


def test_a_bundle_whose_models_are_fitted_there_equals_the_local_one(local, raylets, tmp_path):
    words = ("finalize", "T-01", "--seeds", 3, "--store", local / "store", "--json", "--out")
    both = []
    for name, more in (("here", ()), ("there", ("--on", "ray"))):
        process = start(*words, tmp_path / name, *more)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        both.append(json.loads(out)["files"])
    assert both[0] == both[1]
    assert sum(name.endswith("model.safetensors") for name in both[0]) == 3


# ---------------------------------------------------------------------------------- no shared disk

HIDING = ["unshare", "--mount", "bash", "-c"]
POSSIBLE = (
    shutil.which("unshare")
    and not subprocess.run([*HIDING, "true"], capture_output=True, check=False).returncode
)


@pytest.fixture
def blind(cluster, raylets, folder):
    """Number of a process that sees an empty folder where the campaign and the store are."""

    def alive():
        return sum(node["Alive"] for node in cluster.global_state.node_table())

    before = alive()
    command = f"mount -t tmpfs none {folder} && exec {Path(sys.executable).parent / 'ray'} start"
    options = (
        f"--address {cluster.address} --num-cpus 1 --object-store-memory {100 * 2**20} --block"
    )
    process = subprocess.Popen([*HIDING, f"{command} {options}"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    wait_for(lambda: alive() > before, process)
    yield process.pid
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(60)
    wait_for(lambda: alive() == before)


@pytest.mark.skipif(not POSSIBLE, reason="namespaces of mounts need privileges")
def test_nodes_need_not_see_the_store(local, folder, blind):
    words = ("run", folder / "tiny.yaml", "--store", folder / "store", "--on", "ray", "--json")
    refused = start(*words)
    out, err = refused.communicate(timeout=120)
    assert (refused.returncode, out, len(err.splitlines())) == (2, "", 1), err
    assert "slow.py" in err
    assert not (folder / "store").exists()
    process = start(*words, "--priority", "P1")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["missing"] == []
    assert_equal(folder, local, some=True)
    assert list(Path(f"/proc/{blind}/root{folder}").iterdir()) == []


# ----------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("on", "more"),
    [("ray://127.0.0.1:1", ()), ("ray", ("--device", "cuda")), ("ray", ("--workers", 0))],
)
def test_what_cannot_be_reached_is_refused_in_one_line(folder, raylets, on, more):
    process = start("run", folder / "tiny.yaml", "--store", folder / "store", "--on", on, *more)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out, len(err.splitlines())) == (2, "", 1), err
    assert not (folder / "store").exists()


@pytest.mark.parametrize("end", [None, signal.SIGINT, signal.SIGKILL])
def test_a_cluster_of_this_machine_ends_with_the_command(folder, monkeypatch, end):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    home = tempfile.mkdtemp(prefix="r", dir="/tmp")  # names of sockets are short
    monkeypatch.setenv("TMPDIR", home)
    words = ("run", "tiny.yaml", "--store", "store", "--on", "ray", "--workers", "2", "--json")
    code = "import sys; from trueness.cli import main; main()"
    driver = subprocess.Popen(
        [sys.executable, "-c", code, *words, *(["--id", "S-0"] if end is None else [])], text=True,
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    if end is not None:
        wait_for(lambda: fits(folder, driver.pid), driver)
        os.killpg(driver.pid, end)  # as a terminal does
    out, err = driver.communicate(timeout=300)
    if end == signal.SIGKILL:
        wait_for(lambda: not processes_in(home), seconds=60)
    else:
        assert driver.returncode == (0 if end is None else 130), err
        assert json.loads(out)["failed"] == []
        wait_for(lambda: not processes_in(home), seconds=10)
        assert os.listdir(home) == []
    shutil.rmtree(home)
