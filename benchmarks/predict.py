"""How long a bundle takes: one new bar of 500 indicators cold, 10,000 rows of a table warm.

Cold calls stand beside a process that only imports the package that fitted the model, so that a
loaded machine shows in both. The bar is new, the machine has answered for the bars before; the
first call on a machine has to measure all of their windows. python benchmarks/predict.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trueness
from trueness.market import feature_table, synthetic_bars
from trueness.table import bundled

BARS = """\
campaign: predict
data: bars.csv
defaults:
  task: {tier: a500, context: 5, horizon: 2, long_gaps: impute_median}
  evaluation: {protocol: holdout}
  model:
    {kind: patchtst, patch_length: 3, stride: 1, d_model: 16, n_layers: 1, n_heads: 2, d_ff: 32}
  recipe: {epochs: 1, batch_size: 64, learning_rate: 1e-3}
experiments:
  - {id: network}
  - {id: logit, model: logit}
  - {id: forest, model: forest}
  - {id: boosting, model: boosting}
  - {id: lightgbm, model: lightgbm}
  - {id: xgboost, model: xgboost}
  - {id: catboost, model: catboost}
"""
ROWS = """\
campaign: admitted
data: known.csv
defaults:
  task: {kind: table, label: admitted_next_year, cluster: person, categories: [plan, site]}
  evaluation: {protocol: kfold, n_folds: 3}
experiments: [{id: rows_lightgbm, model: lightgbm}, {id: rows_boosting, model: boosting}]
"""
ROWS_RUNS = ("rows_lightgbm", "rows_boosting")
FITTED_BY = {
    "network": "torch", "logit": "sklearn.linear_model", "forest": "sklearn.ensemble",
    "boosting": "sklearn.ensemble", "lightgbm": "lightgbm", "xgboost": "xgboost",
    "catboost": "catboost",
}  # fmt: skip


def made(folder: Path, bars: int) -> None:
    """Bundles of both tasks."""
    series = synthetic_bars(bars)
    series.head(bars - 1).frame().write_csv("bars.csv")
    series.frame().write_csv("longer.csv")
    bundled().write_csv("known.csv")
    for name, text in (("bars", BARS), ("rows", ROWS)):
        Path(f"{name}.yaml").write_text(text)
        trueness.run(f"{name}.yaml", store="store", workers=0, progress=False, device="cpu")
    for run in (*FITTED_BY, *ROWS_RUNS):
        trueness.finalize(run, folder / run, store="store", device="cpu")


def emptied(cache: Path) -> None:
    """Remove what was measured; compiled code stays."""
    for file in cache.glob("measures-*"):
        file.unlink()


def seconds(words: list[str], times: int, before: Callable[[], object] = lambda: None) -> str:
    """Median seconds of a process, by the clock and of the processor; `before` is not counted."""
    clock, processor = [], []
    for _ in range(times):
        before()
        used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        clock.append(time.perf_counter() - began)
        processor.append(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime)
    return f"{statistics.median(clock):.2f} ({statistics.median(processor):.2f})"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    times = 2 if quick else 5
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        folder = Path(name)
        os.environ["TRUENESS_CACHE"] = str(folder / "cache")
        made(folder, 2000 if quick else 6000)
        cache, kept = folder / "cache", folder / "kept"
        feature_table(trueness.load_bars("bars.csv"), "a500", kept=True)  # as of yesterday's call
        shutil.copytree(cache, kept)

        def yesterday() -> None:
            shutil.rmtree(cache)
            shutil.copytree(kept, cache)

        print("one new bar, 500 indicators, cold: seconds by the clock (of the processor)")
        for run, package in FITTED_BY.items():
            words = ["-m", "trueness", "predict", run, "--data", "longer.csv", "--no-log"]
            new, first = (
                seconds(words, times, yesterday),
                seconds(words, times, partial(emptied, cache)),
            )
            bare = seconds(["-c", f"import {package}"], times)
            print(f"{run:10} {new}, first call here {first}; import {package} {bare}", flush=True)
        rows = bundled().head(10_000)
        print("10,000 rows of a table, after load: seconds")
        for run in ROWS_RUNS:
            bundle = trueness.load(folder / run)
            bundle.predict(rows.head(10))
            taken = []
            for _ in range(times):
                began = time.perf_counter()
                bundle.predict(rows)
                taken.append(time.perf_counter() - began)
            print(f"{run:14} {statistics.median(taken):.2f}")


if __name__ == "__main__":
    main()
