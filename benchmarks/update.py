"""An update against training from nothing: the S&P 500 cut short, then 1, 20 and all new bars.

The last cut adds so many bars that blocks begin which no stored network knows.

    python benchmarks/update.py                 # demo, blocks of a year, 4,500 of 5,031 bars
    python benchmarks/update.py --epochs 10 --baselines
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from trueness.campaign import load_campaign
from trueness.execute import keep_memory
from trueness.market import load_bars
from trueness.runner import run
from trueness.store import Store


def carried_out(folder, rows, arguments, update=False, store="store"):
    """Seconds from the file to stored runs, the networks among them, and the store."""
    file = folder / f"bars-{rows}.csv"
    load_bars("sp500").head(rows).frame().write_csv(file)
    kept, began = Store(folder / store), time.perf_counter()
    campaign = load_campaign(
        arguments.campaign, data=file, protocol="walk_forward",
        settings={
            "recipe": {"epochs": arguments.epochs}, "evaluation": {"block_years": arguments.years},
        },
        store=kept, update=update,
    )  # fmt: skip
    if not arguments.baselines:
        campaign = replace(campaign, baselines=())
    summary = run(campaign, kept, device=arguments.device, workers=arguments.workers, update=update)
    assert not summary.failed
    specs = [e.spec for e in campaign.entries if e.spec.model.is_network]
    return time.perf_counter() - began, specs, kept


def same_to_the_bit(old, new):
    """Whether all rows of an old run stand in a new one with the same scores."""
    keys = ["fold", "split", "id", "y"]
    joined = old.table().join(new.table(), on=keys, how="left", maintain_order="left")
    return all(
        np.array_equal(
            joined[name].to_numpy().view(np.uint32),
            joined[f"{name}_right"].to_numpy().view(np.uint32),
        )
        for name in ("score", "score_last")
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--campaign", default="demo")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--years", type=int, default=1, help="of a block")
    parser.add_argument("--rows", type=int, default=4500)
    parser.add_argument("--new", type=int, nargs="+", default=[1, 20, 500])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--baselines", action="store_true", help="fit them as well")
    arguments = parser.parse_args()
    keep_memory()
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, old, store = carried_out(folder, arguments.rows, arguments)
        print(f"{arguments.rows} bars from nothing: {seconds:.1f} s, {len(old)} networks")
        for new in arguments.new:
            rows = arguments.rows + new
            updated, specs, _ = carried_out(folder, rows, arguments, update=True)
            scratch, fresh, _ = carried_out(folder, rows, arguments, store=f"nothing-{new}")
            assert [one.key for one in fresh] == [one.key for one in specs]
            runs = [store.run(spec.key) for spec in specs]
            kept = [same_to_the_bit(store.run(a.key), b) for a, b in zip(old, runs, strict=True)]
            trained = sum(len(one.record["trained_folds"]) for one in runs)
            folds = sum(len(one.record["folds"]) for one in runs)
            table.append({
                "new bars": new, "folds trained": f"{trained} of {folds}",
                "--update s": updated, "from nothing s": scratch, "ratio": scratch / updated,
                "old scores equal": all(kept),
            })  # fmt: skip
    with pl.Config(
        float_precision=1, tbl_hide_column_data_types=True, tbl_hide_dataframe_shape=True
    ):
        print(pl.DataFrame(table))


if __name__ == "__main__":
    main()
