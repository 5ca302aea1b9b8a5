"""Disks that are full, read-only or gone: one line, exit code 2, and the same command goes on."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from trueness.store import Store

pytestmark = pytest.mark.processes

JUDGE = "import sys; from trueness.cli import main; main()"
SIZES = [0, 4, 64, 500, 2_000, 8_000, 20_000, 60_000]
"""Bytes that a file may have."""
MORE = np.unique(np.geomspace(1, 200_000, 40).astype(int)).tolist()


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("disks") / "scores.csv"
    y = (rng.random(600) < 0.2).astype(int)
    days = pl.date_range(pl.date(2020, 1, 1), pl.date(2021, 8, 22), eager=True)
    pl.DataFrame({"day": days, "y": y, "good": y + rng.normal(size=600)}).write_csv(path)
    return path


def _leaderboard(scores, store, **how):
    return subprocess.run(
        [sys.executable, "-c", JUDGE, "judge", scores, "--label", "y", "--time", "day", "--scale",
         "rank", "--store", store, "--json"],
        capture_output=True, text=True, check=False, **how,
    )  # fmt: skip


def _is_one_line(done):
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("trueness: "), done.stderr


def _goes_on(scores, store):
    done = _leaderboard(scores, store)
    assert done.returncode == 0, done.stderr
    runs, problems = Store(store).all_runs()
    assert (len(runs), problems) == (1, [])
    left = [p for p in store.rglob("*") if p.name.startswith(".tmp-")]
    assert left == []


def _sizes(scores, folder, sizes):
    for size in sizes:
        store = folder / str(size)
        done = _leaderboard(
            scores, store,
            preexec_fn=lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        )  # fmt: skip
        if done.returncode:
            _is_one_line(done)
        _goes_on(scores, store)


def test_files_that_may_not_grow(scores, tmp_path):
    _sizes(scores, tmp_path, SIZES)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_files_that_may_not_grow_at_forty_sizes(scores, tmp_path):
    _sizes(scores, tmp_path, MORE)


@contextlib.contextmanager
def _disk(folder, options):
    """A small file system; skipped where none can be mounted."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder],
                          capture_output=True, check=False)  # fmt: skip
    if done.returncode:
        pytest.skip("mounting needs privileges")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=False)


def _mounted(scores, folder, options):
    with _disk(folder, options) as disk:
        done = _leaderboard(scores, disk / "store")
        if done.returncode:
            _is_one_line(done)
        else:
            assert Store(disk / "store").all_runs()[1] == []
        subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=4000", disk], check=True)
        _goes_on(scores, disk / "store")


@pytest.mark.parametrize("options", ["size=8k", "size=40k", "size=100k", "nr_inodes=4",
                                     "nr_inodes=12", "nr_inodes=20"])  # fmt: skip
def test_a_full_disk_and_one_without_inodes(scores, tmp_path, options):
    _mounted(scores, tmp_path / "disk", options)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_full_disk_at_forty_sizes(scores, tmp_path):
    for size in range(4, 164, 4):
        _mounted(scores, tmp_path / f"{size}", f"size={size}k")


def test_a_disk_that_is_read_only(scores, tmp_path):
    with _disk(tmp_path / "disk", "size=8m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        _is_one_line(_leaderboard(scores, disk / "store"))


RUN = """
import sys
from trueness.cli import main
from trueness.recorder import RunRecorder
import shutil, pathlib
stored = RunRecorder._keep

def gone(self, outcome):
    shutil.rmtree(sys.argv[-1])
    stored(self, outcome)

RunRecorder._keep = gone
main(sys.argv[1:])
"""


def test_a_store_that_is_deleted_while_it_is_written(tiny, tmp_path):
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", RUN, "run", tiny, "--workers", "0", "--store", store],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("trueness: ")]
    assert "Traceback" not in done.stderr
    if store.exists():
        shutil.rmtree(store)
    assert os.listdir(tmp_path)
