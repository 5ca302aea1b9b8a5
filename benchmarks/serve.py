"""The workbench over a large store: first bytes of every page, memory, and what listening costs.

Makes a store in a temporary folder: small campaigns on bars, titles and a table, a study, a bundle,
and as many copies of one run as asked for (default 10,000). Starts `trueness serve` as a process
and asks for every page: the first time, while its judgement is made, and again when it is there.
Then trains the same small campaign with and without clients that listen to the stream of events.

    PYTHONPATH=. python benchmarks/serve.py [--runs 10000] [--rounds 5] [--clients 100]
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import re
import resource
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.index import fill_folder
from benchmarks.leaderboard import fill
from trueness.market import synthetic_bars
from trueness.store import Store
from trueness.text.building import Plan, build
from trueness.text.tables import Columns, Table

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
BARS = """\
campaign: bars
data: {folder}/bars.csv
defaults:
  task: {{context: 20}}
  evaluation: {{protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}}
  model: {{kind: patchtst, d_model: 8, n_layers: 1, n_heads: 2, d_ff: 16, patch_length: 5,
          stride: 5}}
  recipe: {{epochs: {epochs}, batch_size: 64, learning_rate: 1e-3, precision: float32}}
experiments:
  - {{id: T-01..T-04, grid: {{model.dropout: [0.0, 0.1, 0.2, 0.3]}}}}
"""
WORDS = """\
campaign: words
data: {folder}/corpus
defaults:
  task: {{kind: titles, tokenizer: {{kind: bpe, vocabulary: 300}}, max_tokens: 16}}
  evaluation: {{min_rows: 20, draws: 100}}
experiments:
  - {{id: W-01, model: {{kind: tfidf_logit}}}}
  - {{id: W-02, model: {{kind: encoder, d_model: 16, n_layers: 1, n_heads: 2, n_kv_heads: 1,
     d_ff: 32}}, recipe: {{epochs: 1, batch_size: 64}}}}
"""
ROWS = """\
campaign: rows
data: {folder}/rows.csv
defaults:
  task: {{kind: table, label: y, time: day, context: 1}}
experiments: [{{id: R-01, model: logit}}]
"""


# --------------------------------------------------------------------------------------- the store


def trueness(folder, *words):
    command = [sys.executable, "-m", "trueness", *map(str, words)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def write_data(folder):
    rng = np.random.default_rng(0)
    synthetic_bars(1200).frame().write_csv(folder / "bars.csv")
    x, days = rng.normal(size=400), np.datetime64("2020-01-01") + np.arange(400)
    y = (x + rng.normal(size=400) > 0.8).astype(int)
    pl.DataFrame({"x": x, "day": pl.Series(days), "y": y}).write_csv(folder / "rows.csv")
    label, kinds = rng.integers(0, 3, 3000), np.array(["wine", "shoe", "hat"])
    word = np.where(rng.random(3000) < 0.8, label, rng.integers(0, 3, 3000))
    pl.DataFrame({
        "id": [f"t{i}" for i in range(3000)], "label": kinds[label],
        "text": [f"a {kinds[k]} of colour {i} number {i * i}" for i, k in enumerate(word)],
        "language": rng.choice(["en", "de", "fr"], 3000),
    }).write_csv(folder / "texts.csv")  # fmt: skip
    columns = Columns(id="id", text=("text",), label="label", language="language")
    build(Table(folder / "texts.csv", columns), folder / "corpus", Plan(0.3, 0.2))


def make(folder, runs):
    """A store of every kind of run, and copies of one."""
    write_data(folder)
    for name, text in (("bars", BARS), ("words", WORDS), ("rows", ROWS)):
        (folder / f"{name}.yaml").write_text(text.format(folder=folder, epochs=3))
        trueness(folder, "run", f"{name}.yaml", "--workers", 0)
    trueness(folder, "search", "run", "logit", "--trials", 4, "--seeds", 1, "--data", "bars.csv",
             "--name", "one")  # fmt: skip
    trueness(folder, "finalize", "R-01", "--out", "bundle")
    store, small = Store(folder / "store"), Store(folder / "one")
    fill(small, 1, models=())
    (run,), _ = small.all_runs()
    shutil.copytree(run.folder, store.root / "runs" / run.key)
    if runs:
        fill_folder(store, run, runs)
    return run


# -------------------------------------------------------------------------------------- the server


class Server:
    """`trueness serve` of a folder, as a process."""

    def __init__(self, folder, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trueness", "serve", "--port", "0", *words], cwd=folder,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        said = self.process.stderr.readline()
        self.port = int(re.search(r":(\d+)/", said)[1])

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.communicate()

    def get(self, place):
        """Seconds until the first byte of an answer, its status, its text."""
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        began = time.perf_counter()
        asked.request("GET", place)
        answer = asked.getresponse()
        seconds = time.perf_counter() - began
        text = answer.read().decode()
        asked.close()
        return seconds, answer.status, text

    @property
    def cpu_s(self):
        """Processor time of the server, without that of processes that it started."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S

    @property
    def peak_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


@dataclass
class Timing:
    name: str
    first_ms: float
    first_cpu_ms: float
    again_ms: list[float]
    cpu_ms: float
    waited_s: float


def waits(text):
    return "<body data-waits" in text


def timing(server, name, place, rounds, patience_s=600):
    """The first call, the wait until its judgement is there, then calls again."""
    before = server.cpu_s
    first, status, text = server.get(place)
    first_cpu, began = server.cpu_s - before, time.perf_counter()
    assert status == 200, (place, status)
    while waits(text) and time.perf_counter() - began < patience_s:
        time.sleep(0.5)
        text = server.get(place)[2]
    waited, before, again = time.perf_counter() - began, server.cpu_s, []
    for _ in range(rounds):
        again.append(1000 * server.get(place)[0])
    cpu = 1000 * (server.cpu_s - before) / rounds
    return Timing(name, 1000 * first, 1000 * first_cpu, again, cpu, waited)


def pages_of(store, run):
    """Name and address of every page, those of the large group last."""
    runs = store.all_runs()[0]
    campaigns = store.campaigns()
    (bars,), (words,) = campaigns["bars"]["T-01"], campaigns["words"]["W-01"]
    group = run.record["comparison_group"]
    some = [one.key for one in runs if one.record["comparison_group"] == group][:6]
    six = "&".join(f"run={key}" for key in some)
    several = "&".join(f"run={key}" for key in campaigns_keys(campaigns, "bars")[:4])
    board = "/leaderboard"
    return [
        ("home", "/"), ("features", f"/features?run={bars}"), ("one feature",
         f"/features?run={bars}&feature={store.run(bars).record['features'][3]}"),
        ("features, any run", "/features"), ("titles", "/titles"),
        ("titles, a language", f"/titles?run={words}&language=de"),
        ("texts", f"/run/{words}/texts"), ("texts, all, page 3",
         f"/run/{words}/texts?show=all&page=3"),
        ("one text", f"/run/{words}/text?n=5"), ("studies", "/studies"),
        ("one study", "/studies?name=one"), ("bundles", "/bundles"), ("one bundle", "/bundles/1"),
        ("prices", f"/run/{bars}/prices"), ("small run", f"/run/{bars}"),
        ("compare 4, small", f"/compare?{several}"), ("thresholds", f"/run/{run.key}/thresholds"),
        ("files", f"/run/{run.key}/files"), ("training", "/running/0123456789ab"),
        ("compare 2", f"/compare?run={some[0]}&run={some[1]}"), ("compare 6", f"/compare?{six}"),
        (board[1:], board), ("sorted by auc", f"{board}?sort=auc&order=ascending"),
        ("sorted by a setting", f"{board}?sort=recipe.learning_rate"),
        ("sorted by id", f"{board}?sort=id"), ("filtered", f"{board}?where=precision%4015%3E0.3"),
        ("filtered by a setting", f"{board}?where=loss.kind%3Dbce"),
        ("baselines", f"{board}?kind=baselines"),
        ("searched", f"{board}?search={some[2][:3]}"), ("page 150", f"{board}?page=150"),
        ("columns", f"{board}?columns=seed&columns=model.dropout&columns=created"),
        ("grouped by seed", f"{board}?by=seed"), ("grouped by loss", f"{board}?by=loss"),
        ("small group", f"{board}?campaign=bars"), ("run", f"/run/{run.key}"),
    ]  # fmt: skip


def campaigns_keys(campaigns, name):
    return [keys[-1] for keys in campaigns[name].values()]


def measure_pages(folder, run, rounds):
    began = time.perf_counter()
    with Server(folder, "--bundles", "bundle") as server:
        while waits(server.get("/")[2]):
            time.sleep(0.2)
        print(f"store read in {time.perf_counter() - began:.1f} s, start of the server included; "
              f"{server.cpu_s:.1f} s of a core, {server.peak_mb:.0f} MB", flush=True)  # fmt: skip
        print(f"{'first byte, ms':22}{'first':>7}{'core':>6}{'again':>7}{'highest':>9}{'core':>6}"
              f"{'judged in, s':>14}{'peak, MB':>10}")  # fmt: skip
        for name, place in pages_of(Store(folder / "store"), run):
            t = timing(server, name, place, rounds)
            print(f"{t.name:22}{t.first_ms:7.0f}{t.first_cpu_ms:6.0f}{np.median(t.again_ms):7.0f}"
                  f"{max(t.again_ms):9.0f}{t.cpu_ms:6.0f}{t.waited_s:14.1f}{server.peak_mb:10.0f}",
                  flush=True)  # fmt: skip
        print(f"peak memory of the server: {server.peak_mb:.0f} MB")
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process, judging included: {children:.0f} MB", flush=True)


# ------------------------------------------------------------------------------ clients that listen


@contextlib.contextmanager
def listening(server, clients, places):
    """Clients of streams of events, which `train` reads."""
    some, reader = [], selectors.DefaultSelector()
    for i in range(clients):
        one = socket.create_connection(("127.0.0.1", server.port))
        place = places[i % len(places)]
        one.sendall(f"GET {place} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        one.setblocking(False)
        reader.register(one, selectors.EVENT_READ)
        some.append(one)
    yield reader
    for one in some:
        one.close()


def train(folder, store, reader):
    """Train a campaign into a new store; seconds of the clock and of a core, bytes that came."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = [sys.executable, "-m", "trueness", "run", "bars-long.yaml", "--workers", "0"]
    process = subprocess.Popen(
        [*words, "--store", store, "--retry"], cwd=folder, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    came = 0
    while process.poll() is None:
        for key, _ in reader.select(0.2) if reader.get_map() else ():
            with contextlib.suppress(BlockingIOError):
                came += len(key.fileobj.recv(1 << 20))
        if not reader.get_map():
            time.sleep(0.2)
    assert process.returncode == 0
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, used, came


def measure_listeners(folder, clients, rounds, epochs):
    (folder / "bars-long.yaml").write_text(
        BARS.format(folder=folder, epochs=epochs).replace("campaign: bars", "campaign: long")
    )
    result = {0: [], clients: []}
    for turn in range(2 * rounds):
        count = clients if turn % 2 else 0
        store = folder / f"long-{turn}"
        Store(store).prepare()
        with Server(folder, "--store", str(store)) as server:
            server.get("/")
            with listening(server, count, ["/events/home"]) as reader:
                before = server.cpu_s
                wall, used, came = train(folder, str(store), reader)
                result[count].append((wall, used, server.cpu_s - before, came, server.peak_mb))
        shutil.rmtree(store)
    print("\ntraining while clients listen, medians of "
          f"{rounds} rounds: seconds, of a core, of the server, MB sent")  # fmt: skip
    medians = {n: np.median(np.array(some), axis=0) for n, some in result.items()}
    for n, (wall, used, served, came, peak) in medians.items():
        print(f"{n:4} clients {wall:8.2f}{used:8.2f}{served:8.3f}{came / 1e6:8.2f}   "
              f"server: {100 * served / wall:.2f} % of a core, {peak:.0f} MB")  # fmt: skip
    none, many = medians[0], medians[clients]
    slower = 100 * (many[:3] / none[:3] - 1)
    print(f"slower by {slower[0]:+.1f} % of the clock, {slower[1]:+.1f} % of a core of training")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000, help="5 at least")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--only", choices=["pages", "clients"])
    parser.add_argument("--folder", type=Path, help="keep the store there, and use it again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "bundle").exists():
            began = time.perf_counter()
            make(folder, arguments.runs)
            print(f"{arguments.runs:,} runs made in {time.perf_counter() - began:.0f} s",
                  flush=True)  # fmt: skip
        (run,), _ = Store(folder / "one").all_runs()
        if arguments.only != "clients":
            measure_pages(folder, run, arguments.rounds)
        if arguments.only != "pages":
            measure_listeners(folder, arguments.clients, arguments.rounds, arguments.epochs)


if __name__ == "__main__":
    main()
