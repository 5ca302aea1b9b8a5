"""Start-up and reading: `trueness --help`, and a leaderboard over 1,000 stored runs.

Makes a store of as many runs as asked for (default 1,000) in a temporary folder, each a whole run
with predictions, and times fresh processes. `--help` is compared with a bare interpreter.

    python benchmarks/leaderboard.py [--runs 1000] [--rounds 5]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from trueness.checks import checked
from trueness.judge.measured import measured
from trueness.predictions import Predictions
from trueness.spec import Spec
from trueness.store import Store


def units_and_history():
    rng = np.random.default_rng(0)
    y = (rng.random(422) < 0.18).astype(np.uint8)
    days = np.datetime64("2023-04-27") + np.arange(422)
    units = pl.DataFrame({
        "split": ["validation"] * 422, "fold": [0] * 422, "id": days.astype(str), "time": days,
        "y": y,
    })  # fmt: skip
    history = pl.DataFrame({"fold": [0] * 30, "epoch": list(range(1, 31)), "val_auc": [0.7] * 30})
    return units, history


def measured_run(model="patchtst", seed=0):
    """What a store keeps of a run whose estimates come from random scores over 422 days."""
    units, history = units_and_history()
    scores = np.random.default_rng(seed).standard_normal(422) + units["y"].to_numpy()
    spec = Spec.model_validate({
        "task": {"kind": "market", "bars": "benchmark"},
        "model": {"kind": model},
        "evaluation": {"protocol": "holdout"},
        "seed": seed,
    })  # fmt: skip
    predictions = Predictions(units.with_columns(score=scores))
    record = measured(spec, predictions) | {
        "parameters": 800_000,
        "features": [f"x{i}" for i in range(50)],
        "notes": [],
        "folds": [{"train": [7204, 1777], "validation": [422, 76]}],
        "device": "cpu",
        "precision": "float32",
        "chosen": ["benchmark"],
        "seconds": 1.0,
        "data": {"name": "benchmark", "as_of": "2024-12-31", "digest": "benchmark"},
    }
    record |= checked(spec, record, predictions)
    return spec, record, predictions.frame, history, {"w": np.zeros(100, np.float32)}


def fill(store, runs, models=("one_feature", "logit", "forest")):
    """Whole runs, the first of them baselines."""
    store.prepare()
    ids = {}
    for seed in range(runs):
        spec, *rest = measured_run(models[seed] if seed < len(models) else "patchtst", seed)
        store.write(spec, *rest)
        ids[f"B-{seed:04d}"] = spec.key
    store.write_campaign("benchmark", ids)


def median_seconds(rounds, *arguments):
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    trueness = "from trueness.cli import main; main()"
    with tempfile.TemporaryDirectory() as folder:
        fill(Store(Path(folder) / "store"), arguments.runs)
        cases = {
            "bare interpreter": ("-c", "pass"),
            "trueness --help": ("-c", trueness, "--help"),
            f"leaderboard, {arguments.runs} runs": (
                "-c", trueness, "leaderboard", "--store", f"{folder}/store",
            ),
            f"leaderboard --json, {arguments.runs} runs": (
                "-c", trueness, "leaderboard", "--store", f"{folder}/store", "--json",
            ),
        }  # fmt: skip
        first = median_seconds(1, *cases[f"leaderboard, {arguments.runs} runs"])
        print(
            f"first leaderboard, which computes the differences to the best baseline: {first:.2f} s"
        )
        times = {case: median_seconds(arguments.rounds, *call) for case, call in cases.items()}
    base = times["bare interpreter"]
    for case, seconds in times.items():
        print(f"{case:34}{seconds:7.2f} s{seconds / base:8.1f} x bare")


if __name__ == "__main__":
    main()
