"""Several hosts on one store: namespaces of process numbers with one host name, and pid 1 in each."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import BASELINES
from trueness.store import Store
from trueness.store.leases import Leases

ALONE = ["unshare", "--pid", "--fork", "--mount-proc"]
POSSIBLE = (
    shutil.which("unshare")
    and not subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode
)
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not POSSIBLE, reason="namespaces of processes need privileges"),
]

WRITER = """
import sys
import numpy as np, polars as pl
from tests.test_store import HISTORY, PREDICTIONS, RECORD, WEIGHTS
from trueness.spec import Spec
from trueness.store import Store

store, first, n = Store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
task = {"kind": "market", "bars": "0123456789ab", "context": 20}
model = {"kind": "patchtst", "d_model": 8, "n_layers": 1, "n_heads": 2, "d_ff": 16,
         "patch_length": 5, "stride": 5}
for seed in range(first, first + n):
    store.prepare()
    spec = Spec.model_validate({"task": task, "model": model, "seed": seed,
                                "evaluation": {"protocol": "holdout"}})
    assert store.write(spec, RECORD, PREDICTIONS, HISTORY, WEIGHTS)
    runs, problems = store.all_runs(most=5)
    assert not problems, problems
"""
RUN = "import sys; from trueness.cli import main; main()"


def _both(script, first, second):
    """Two processes, each the first one of its namespace; what they print."""
    processes = [
        subprocess.Popen([*ALONE, sys.executable, "-c", script, *map(str, arguments)], text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for arguments in (first, second)
    ]  # fmt: skip
    notes = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], [err for _, err in notes]
    return [out for out, _ in notes]


@pytest.mark.parametrize(
    "n", [100, pytest.param(2500, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])]
)
def test_hosts_that_write_at_once_lose_nothing_and_sweep_nothing(tmp_path, n):
    Store(tmp_path / "store").prepare()
    _both(WRITER, (tmp_path / "store", 0, n), (tmp_path / "store", n, n))
    runs, problems = Store(tmp_path / "store").all_runs()
    assert (len(runs), problems) == (2 * n, [])
    assert len(os.listdir(tmp_path / "store" / "runs")) == 2 * n


def test_hosts_with_one_name_train_nothing_twice(tiny, tmp_path):
    words = ("run", tiny, "--store", tmp_path / "store", "--json", "--workers", 0)
    answers = [json.loads(out) for out in _both(RUN, words, words)]
    first, second = (set(answer["trained"]) for answer in answers)
    assert first & second == set()
    store = Store(tmp_path / "store")
    assert len(store.all_runs()[0]) <= len(BASELINES) + 2
    assert first | second == {run.key for run in store.all_runs()[0]}
    assert all(answer["failed"] == [] for answer in answers)
    assert Leases(store).holders() == []
