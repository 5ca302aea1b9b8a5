import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trueness.errors import SpecError
from trueness.execute import Failure, Pool, open_pool
from trueness.execute.remote import Packer, unpacked


def square(item, report):
    report(("half", item))
    if item == 13:
        raise ValueError("thirteen is refused")
    return item * item, os.getpid(), os.environ["OMP_NUM_THREADS"]


def die_unless_marked(item, report):
    """Dies the first time it sees a marker path, works the second time; always dies without one."""
    if item is None:
        os.kill(os.getpid(), signal.SIGKILL)
    if item != "fine" and not Path(item).exists():
        Path(item).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_item_is_answered_once(workers, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    events = []
    with Pool(workers) as pool:
        answers = dict(pool.map(square, list(range(8)), lambda i, e: events.append((i, e))))
    assert {i: a[0] for i, a in answers.items()} == {i: i * i for i in range(8)}
    assert sorted(events) == [(i, ("half", i)) for i in range(8)]
    pids = {a[1] for a in answers.values()}
    assert (os.getpid() in pids) == (workers == 0)
    assert {a[2] for a in answers.values()} == {"1"}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_fails_its_item_alone(workers, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with Pool(workers) as pool:
        answers = dict(pool.map(square, [1, 13, 2]))
    assert isinstance(answers[1], Failure)
    assert answers[1].reason.strip().endswith("ValueError: thirteen is refused")
    assert (answers[0][0], answers[2][0]) == (1, 4)


def test_a_killed_worker_is_replaced_and_its_item_tried_again(tmp_path):
    with Pool(2) as pool:
        answers = dict(pool.map(die_unless_marked, [str(tmp_path / "mark"), "fine", None]))
    assert answers[0] == answers[1] == "done"
    assert isinstance(answers[2], Failure)
    assert "died with status -9" in answers[2].reason


def test_a_pool_serves_several_maps_with_the_same_processes(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with Pool(1) as pool:
        first, second = (dict(pool.map(square, [2]))[0][1] for _ in range(2))
    assert first == second


ORPHAN = """
import sys, time
from tests.test_execute import sleeper
from trueness.execute import Pool
with Pool(1) as pool:
    for _ in pool.map(sleeper, [None], lambda i, pid: print(pid, flush=True)):
        pass
"""


def sleeper(item, report):
    report(os.getpid())
    time.sleep(60)


def test_workers_leave_when_the_parent_is_killed():
    root = Path(__file__).resolve().parents[1]
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, cwd=root
    )
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() or _is_zombie(worker):
            return
        time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its parent by ten seconds")


def _is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _reports(item, report):
    for _ in range(2000):
        report(item)
        time.sleep(0.01)
    return item


@pytest.mark.parametrize("workers", [0, 1])
def test_an_interrupt_that_python_loses_ends_the_map_all_the_same(workers):
    lost = []

    def on_event(position, event):
        if not lost:
            lost.append(position)
            with contextlib.suppress(KeyboardInterrupt):  # as in a finaliser
                signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Pool(workers) as pool:
        list(pool.map(_reports, [1], on_event))
    assert lost == [0]
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("on", "workers", "code"),
    [
        ("rai", None, "on"),
        ("ray://", None, "on"),
        ("ray://127.0.0.1", None, "on"),
        ("ray://127.0.0.1:port", None, "on"),
        ("ray://127.0.0.1:1/job", None, "on"),
        ("ray", 0, "on"),
        ("ray", None, "own_missing"),
    ],
)
def test_places_that_are_none_are_refused_before_anything_starts(monkeypatch, on, workers, code):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(SpecError) as caught:
        open_pool(on, workers)
    assert caught.value.code == code


def test_a_cluster_is_no_place_under_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SpecError) as caught:
        open_pool("ray")
    assert caught.value.code == "torchrun"


def test_parcels_hold_large_arrays_once():
    store, large, small = [], np.arange(20_000.0), np.arange(3)
    packer = Packer(lambda array: store.append(array) or len(store) - 1)
    parcels = [packer.pack((name, large, {"same": large}, small)) for name in ("a", "b")]
    assert [references for _, references in parcels] == [[0], [0]]
    assert all(len(parcel) < large.nbytes / 10 for parcel, _ in parcels)
    frozen = large.copy()
    frozen.flags.writeable = False  # as the object store gives it
    name, whole, nested, rest = unpacked(parcels[1][0], [frozen])
    assert name == "b"
    assert nested["same"] is whole
    assert whole.flags.writeable
    np.testing.assert_array_equal(whole, large)
    np.testing.assert_array_equal(rest, small)
