"""Time and memory of a large panel: indicators of every series, then windows of all of them.

Synthetic series of one market each, seeded; without a volatility index a50 has 47 columns. Peak
memory is that of this process, read before and after. The examples are then pickled as they go to a
worker process: the series of windows goes by the name of its file.
"""

import argparse
import dataclasses
import os
import pickle
import resource
import tempfile
import time

from trueness.market import MarketData, Panel, market_examples, synthetic_bars
from trueness.spec.evaluation import Holdout
from trueness.spec.task import MarketTask

GB = 2**30


def peak():
    """Largest memory of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickers", type=int, default=100)
    parser.add_argument("--bars", type=int, default=8000)
    parser.add_argument("--tier", default="a50")
    args = parser.parse_args()
    os.environ["TRUENESS_CACHE"] = tempfile.mkdtemp(prefix="trueness-bench-")
    series = [
        dataclasses.replace(synthetic_bars(args.bars, seed=i), name=f"T{i:03}")
        for i in range(args.tickers)
    ]
    panel, before = Panel.of(series), peak()
    task = MarketTask(kind="market", bars=panel.digest, tier=args.tier)
    first, last = panel.first, panel.last
    at = [str(first + (last - first) * share // 100) for share in (80, 90)]
    rule = Holdout(protocol="holdout", val_start=at[0], test_start=at[1])
    began = time.perf_counter()
    examples = market_examples(task, rule, MarketData.of(panel))
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    market_examples(task, rule, MarketData.of(panel))
    again = time.perf_counter() - began
    rows, columns = examples.series.shape
    content = len(pickle.dumps(examples))
    print(f"{args.tickers} tickers x {args.bars:,} bars x {columns} columns: "
          f"{len(examples.y):,} windows of {examples.context} bars")  # fmt: skip
    print(f"indicators and examples {seconds:.1f} s, again {again:.1f} s")
    print(f"peak memory {peak() / GB:.2f} GB, before {before / GB:.2f} GB")
    print(f"series {rows * columns * 4 / GB:.2f} GB mapped; examples pickle to "
          f"{content / 2**20:.0f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
