"""Seconds per tier of indicators on 8,038 daily bars, and the peak memory of the whole catalogue.

Each tier is computed from nothing, in a fresh process, compiled code loaded from its cache; with
`--cold` the whole catalogue is first computed once with an empty cache. Bars are made up (a random
walk of the real length), with a volatility index.

    python benchmarks/features.py [--rounds 3] [--cold]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

ROWS = 8038


def measure(tier):
    """Time one tier in this process."""
    import dataclasses

    import numpy as np

    from trueness.market.bars import Volatility
    from trueness.market.indicators import feature_table
    from trueness.market.synthetic import synthetic_bars

    bars = dataclasses.replace(synthetic_bars(ROWS, seed=1), name="random walk")
    index = Volatility(
        "made", bars.dates, 15 + 5 * np.abs(np.random.default_rng(0).standard_normal(ROWS))
    )
    began = time.perf_counter()
    table = feature_table(bars, tier, index)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "columns": len(table.names), "peak_mb": peak}))


def fresh(tier, environment):
    command = [sys.executable, __file__, "--tier", tier]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(ran.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--tier")
    arguments = parser.parse_args()
    if arguments.tier:
        measure(arguments.tier)
        return
    from trueness.market import TIERS

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    print(f"{'tier':8}{'columns':>8}{'median s':>10}{'min s':>8}{'peak MB':>9}")
    if arguments.cold:
        with tempfile.TemporaryDirectory() as folder:
            first = fresh(TIERS[-1], {**environment, "NUMBA_CACHE_DIR": folder})
        print(f"{TIERS[-1]:8}{first['columns']:8}{first['seconds']:10.2f}   first time, compiling")
    for tier in TIERS:
        runs = [fresh(tier, environment) for _ in range(arguments.rounds + 1)][1:]
        seconds = sorted(run["seconds"] for run in runs)
        print(
            f"{tier:8}{runs[0]['columns']:8}{seconds[len(seconds) // 2]:10.3f}{seconds[0]:8.3f}"
            f"{max(run['peak_mb'] for run in runs):9.0f}"
        )


if __name__ == "__main__":
    main()
