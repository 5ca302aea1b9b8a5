"""Judging scores that were made elsewhere: from a table to a corrected leaderboard.

Two clocks stand beside each other, of the wall and of the processor: where the second is the
smaller one by far, the machine was busy with other things. The ratio is that of the processor's
seconds to those of one AUC with its joint draws.

    python benchmarks/judge.py --models 1000 --times 6000
"""

import argparse
import datetime as dt
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.joint_draws import auc_draws
from trueness.judge.external import judge_table
from trueness.judge.leaderboard import leaderboard
from trueness.judge.tables import Columns, score_table
from trueness.store import MemoryStore, Store

BOUND = 10.0
"""Seconds for 1,000 models on 6,000 times with 1,000 draws on two cores, from file to verdict."""


def write_scores(path, models, times):
    """A wide table: a rare event, and models that know a little of it."""
    rng = np.random.default_rng(0)
    y = (rng.random(times) < 0.1).astype(np.int8)
    first = dt.date(2000, 1, 1)
    days = pl.date_range(first, first + dt.timedelta(times - 1), eager=True)
    skill = rng.uniform(0, 1, models)
    scores = {
        f"model {i}": 1 / (1 + np.exp(2 - skill[i] * y - rng.standard_normal(times)))
        for i in range(models)
    }
    pl.DataFrame({"date": days, "y": y} | scores).write_parquet(path)


class Steps:
    """Times of steps, and a table of them."""

    def __init__(self):
        self.rows = []

    def time(self, name, call):
        began, busy = time.perf_counter(), time.process_time()
        result = call()
        wall = time.perf_counter() - began
        self.rows.append((name, wall, time.process_time() - busy))
        return result

    def show(self, unit):
        for name, wall, busy in self.rows:
            print(f"{name:44}{wall:8.2f} s{busy:8.2f} s of processors{busy / unit:9.1f} x")


def one_auc(times, rounds=20):
    """Seconds of a processor for one AUC with 1,000 joint draws, the noise made already."""
    rng = np.random.default_rng(0)
    y, blocks = (rng.random(times) < 0.1).astype(np.uint8), Blocks.of(times, length=20)
    scores = list(rng.standard_normal((rounds, times)))
    auc_draws(y, scores[:1], blocks=blocks)
    began = time.process_time()
    auc_draws(y, scores, blocks=blocks)
    return (time.process_time() - began) / rounds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--times", type=int, default=6000)
    arguments = parser.parse_args()
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        write_scores(path, arguments.models, arguments.times)
        unit = one_auc(arguments.times)
        columns, baselines = Columns("y", time="date"), ["model 0"]
        table = steps.time("read and check the table", lambda: score_table(path, columns))
        steps.time(
            "judge in memory: measures, checks, verdict",
            lambda: judge_table(table, baselines=baselines, store=MemoryStore()),
        )
        in_memory = sum(wall for _, wall, _ in steps.rows)
        store = Store(Path(folder) / "store")
        board = steps.time(
            "judge into a new store",
            lambda: judge_table(table, baselines=baselines, store=store, name="many"),
        )
        steps.time(
            "judge again: every run is there",
            lambda: judge_table(table, baselines=baselines, store=store, name="many"),
        )
        steps.time("leaderboard of the store", lambda: leaderboard(store, "many"))
        steps.time("what is shown of it", board.document)
    print(
        f"{arguments.models} models, {arguments.times} times, 1,000 draws; "
        f"x: one AUC, {1e3 * unit:.1f} ms"
    )
    steps.show(unit)
    full = arguments.models >= 1000 and arguments.times >= 6000
    bound = f" (at most {BOUND:.0f} s wanted)" if full else ""
    print(f"{'from file to verdict, in memory':44}{in_memory:8.2f} s{bound}")


if __name__ == "__main__":
    main()
