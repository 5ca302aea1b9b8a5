"""Ray clusters for tests, a campaign that tells where its models are fitted, and what it came to."""

import contextlib
import gc
import os
import signal
import time
import warnings
from pathlib import Path

import pytest

from tests.conftest import TINY
from tests.servers import free_port
from tests.test_cli import start
from tests.test_search import SMALL
from trueness.campaign import load_campaign
from trueness.market import synthetic_bars
from trueness.runner import run
from trueness.store import Store

ROOT = Path(__file__).resolve().parents[1]
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
SLOW = """
import os, pathlib, time

HERE = pathlib.Path(__file__).parent


class Slow:
    def __init__(self, number=0):
        self.number = number

    def fit(self, x, y):
        with open(HERE / "log", "a") as log:
            log.write(f"{self.number} {os.getpid()} {os.getppid()}\\n")
        if (HERE / "slow").exists():
            time.sleep(2)
        self.mean = x.mean(axis=0)

    def decision_function(self, x):
        return (x - self.mean)[:, self.number]
"""
ESTIMATORS = 5


@contextlib.contextmanager
def started(**more):
    """A cluster of a raylet with one CPU, and a client server at `cluster.client`."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        from ray.cluster_utils import Cluster

        port = free_port()
        head = {**NODE, "include_dashboard": False, "ray_client_server_port": port, **more}
        made = Cluster(initialize_head=True, head_node_args=head)
        made.client = f"ray://127.0.0.1:{port}"
        try:
            yield made
        finally:
            made.shutdown()
            del made
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # else pytest tells of them when it ends, and fails
                gc.collect()


def kill_all_of(cluster):
    """End all processes of a cluster at once, as if its machines lost power."""
    names = cluster.head_node.get_session_dir_path(), cluster.address
    workers = workers_of(raylet_of(node) for node in (cluster.head_node, *cluster.worker_nodes))
    for number in {*processes_in(names[0]), *processes_in(names[1]), *workers}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster():
    """A cluster that all tests of a module share."""
    with started() as made:
        yield made


@pytest.fixture
def raylets(cluster, monkeypatch):
    """Numbers of the processes of the two raylets that are not the head's; both live."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(**NODE)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    actual = {raylet_of(node): node for node in cluster.worker_nodes}
    yield list(actual)
    for number, node in actual.items():
        if not is_running(number):
            cluster.remove_node(node, allow_graceful=False)


def raylet_of(node):
    return node.all_processes["raylet"][0].process.pid


def is_running(number):
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def processes_in(home):
    """Numbers of the processes whose command names a folder."""
    actual = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            actual += [int(path.parent.name)] if home.encode() in path.read_bytes() else []
    return actual


def workers_of(raylets, word=b"ray::"):
    """Numbers of the processes under raylets that are called so: ``ray::work`` is at an item."""
    parents, actual = {*raylets}, []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
            named = (path.parent / "cmdline").read_bytes().startswith(word)
            actual += [int(path.parent.name)] if parent in parents and named else []
    return actual


def wait_for(actual, driver=None, seconds=240):
    deadline = time.monotonic() + seconds
    while not (value := actual()):
        assert time.monotonic() < deadline
        assert driver is None or driver.poll() is None, driver.communicate()[1]
        time.sleep(0.05)
    return value


def written(folder):
    """A campaign of two networks and of estimators that tell where they are fitted."""
    folder.mkdir()
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    own = "".join(
        f"  - {{id: S-{i}, priority: P2, model: {{kind: estimator, of: 'slow.py:Slow', params: {{number: {i}}}}}}}\n"
        for i in range(ESTIMATORS)
    )
    (folder / "slow.py").write_text(SLOW)
    (folder / "tiny.yaml").write_text(TINY + own + "data: bars.csv\n")
    (folder / "small.yaml").write_text(SMALL)
    return folder


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Folder with the store of the campaign as this process makes it."""
    folder = written(tmp_path_factory.mktemp("local") / "made")
    campaign = load_campaign(folder / "tiny.yaml")
    assert run(campaign, Store(folder / "store"), device="cpu", workers=0).failed == []
    return folder


@pytest.fixture
def folder(tmp_path):
    made = written(tmp_path / "made")
    (made / "slow").touch()
    return made


def fits(folder, driver):
    """(number, worker, raylet) of the fits that were begun elsewhere than in a driver."""
    if not (folder / "log").exists():
        return []
    lines = [tuple(map(int, line.split())) for line in (folder / "log").read_text().splitlines()]
    return list(dict.fromkeys(line for line in lines if line[1] != driver))


def results(folder):
    """Key -> what was computed: predictions, history, and the rest as text."""
    runs, problems = Store(folder / "store").all_runs()
    assert problems == []
    return {one.key: (one.table(), one.history(), _rest(one)) for one in runs}


def _rest(one):
    kept = "model.safetensors" in one.record["files"]
    weights = {n: w.tobytes() for n, w in one.parameters().items()} if kept else {}
    return repr([one.record["estimates"], one.record["folds"], sorted(weights.items())])


def assert_equal(folder, other, *, some=False):
    """The same runs came to the same; of some of them, where others are missing."""
    actual, wanted = results(folder), results(other)
    assert actual.keys() <= wanted.keys() if some else actual.keys() == wanted.keys()
    for key, (table, history, rest) in actual.items():
        assert table.equals(wanted[key][0]), key
        assert history.equals(wanted[key][1]), key
        assert rest == wanted[key][2], key


def campaign_of(folder, on="ray"):
    return start("run", folder / "tiny.yaml", "--store", folder / "store", "--on", on, "--json")
