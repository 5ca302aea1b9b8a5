import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trueness.execute import Failure, Pool


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

    def hear(position, event):
        if not lost:
            lost.append(position)
            with contextlib.suppress(KeyboardInterrupt):  # as in a finaliser
                signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Pool(workers) as pool:
        list(pool.map(_reports, [1], hear))
    assert lost == [0]
    assert signal.getsignal(signal.SIGINT) is before
