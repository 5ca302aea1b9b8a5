"""A store of many runs: listing the best of them, and writing by several processes at once.

Makes stores of as many runs as asked for (default 100,000) in a temporary folder: one run is
measured, the others are copies of it with other seeds and shares; files that are equal are linked.
With a PostgreSQL server installed, the same runs lie in a database too. Times fresh processes.

    PYTHONPATH=. python benchmarks/index.py [--runs 100000] [--writers 8] [--seconds 20]
"""

import argparse
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial

import numpy as np

from benchmarks.leaderboard import fill
from tests import servers
from trueness.evaluation import Estimate
from trueness.files import json_bytes, json_lines
from trueness.store import Store
from trueness.store.facts import facts_of

CHUNK = 2000
MOST_LINKS = 30_000
"""Names that one file gets; file systems have a limit."""
TRUENESS = "from trueness.cli import main; main()"
WRITER = """
import sys, time
from benchmarks.leaderboard import measured_run
from trueness.store import Store
from trueness.store.leases import Leases
store, writer = Store(sys.argv[1]), int(sys.argv[2])
spec, record, predictions, history, weights = measured_run()
print("ready", flush=True)
until = float(sys.stdin.readline())
leases, made = Leases(store), 0
while time.time() < until:
    own = spec.model_copy(update={"seed": 10_000_000 * (writer + 1) + made})
    assert leases.acquire(own.key)
    assert store.write(own, record, predictions, history, weights)
    leases.release(own.key)
    made += 1
print(made)
"""


def copies(run, runs):
    """Spec and record of runs that differ from one in seed and shares."""
    rng = np.random.default_rng(0)
    hits = rng.binomial(30, 0.25, runs)
    shares = {k: Estimate.proportion(int(k), 30).to_dict() for k in range(31)}
    for seed, k in enumerate(hits, 1000):
        spec = run.spec.model_copy(update={"seed": seed})
        written = dict(run.record["files"])
        estimates = {**run.record["estimates"], run.estimands.headline: shares[k]}
        text = spec_text(spec)
        written["spec.json"] = {"bytes": len(text), "sha256": digest(text)}
        record = {**run.record, "key": spec.key, "files": written, "estimates": estimates}
        yield spec, record, text


def spec_text(spec):
    lines = ",\n ".join(json_lines(spec.stored().model_dump(mode="json")))
    return f"{{\n {lines}\n}}\n".encode()


def digest(content):
    return hashlib.sha256(content).hexdigest()


def fill_folder(store, run, runs):
    same = [name for name in run.record["files"] if name != "spec.json"]
    source = run.folder
    for number, (spec, record, text) in enumerate(copies(run, runs)):
        folder = store.root / "runs" / spec.key
        folder.mkdir()
        (folder / "spec.json").write_bytes(text)
        (folder / "record.json").write_bytes(json_bytes(record))
        afresh = number % MOST_LINKS == 0
        for name in same:
            (shutil.copy if afresh else os.link)(source / name, folder / name)
        source = folder if afresh else source


def fill_database(store, run, runs):
    from trueness.store.tables import RUNS

    rows = []

    def insert():
        with store.kept._connection() as connection:
            connection.execute(RUNS.insert(), rows)
        rows.clear()

    for spec, record, text in copies(run, runs):
        rows.append({
            **facts_of(spec, record), "folder": run.folder.name,
            "record": json_bytes(record).decode(), "spec": text.decode(),
        })  # fmt: skip
        if len(rows) == CHUNK:
            insert()
    if rows:
        insert()


def seconds(*words):
    """Of the clock, and of a core."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", TRUENESS, *words], check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used


def writers(at, count, lasting):
    """Runs that processes store together, each with its lease, and how many a minute."""
    some = [
        subprocess.Popen([sys.executable, "-c", WRITER, at, str(i)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for i in range(count)
    ]  # fmt: skip
    for one in some:
        one.stdout.readline()
    began = time.time()
    for one in some:
        one.stdin.write(f"{began + lasting}\n")
        one.stdin.flush()
    made = sum(int(one.communicate()[0]) for one in some)
    return made, made / (time.time() - began) * 60


def measure(name, at, fill_with, arguments):
    store = Store(at)
    fill(store, 1, models=())
    (run,), _ = store.all_runs()
    began = time.perf_counter()
    fill_with(store, run, arguments.runs)
    report = partial(print, f"{name}:", flush=True)
    report(f"{arguments.runs:,} runs made in {time.perf_counter() - began:.0f} s")
    words = ("runs", "list", "--store", at)
    report("first list {:.2f} s, {:.2f} of a core".format(*seconds(*words)))
    times = np.array([seconds(*words) for _ in range(5)])
    wall, used = np.median(times, axis=0)
    low, high = times[:, 0].min(), times[:, 0].max()
    report(f"list {wall:.2f} s ({low:.2f} to {high:.2f}), {used:.2f} of a core")
    if arguments.writers:
        made, rate = writers(at, arguments.writers, arguments.seconds)
        report(f"{arguments.writers} writers, {made} runs, {rate:,.0f} a minute")
        report("list after them {:.2f} s, {:.2f} of a core".format(*seconds(*words)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", choices=["folder", "postgresql"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.only != "postgresql":
            measure("folder", f"{folder}/store", fill_folder, arguments)
        if arguments.only != "folder":
            with servers.postgres() as server:
                at = f"{server.database()}?files={folder}/files"
                measure("postgresql", at, fill_database, arguments)
                servers.forget_connections()


if __name__ == "__main__":
    main()
