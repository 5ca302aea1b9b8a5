"""Processor time and memory of training with attention between columns: our loops, and torch's.

One step of a single network on the CPU, one thread, random series of the real width: AE-17 (100
columns), AE-19 and AE-20 (500 columns, 4 and 2 heads). "torch" is scaled_dot_product_attention
piece by piece, computed again in the backward pass, as an accelerator does it. The two take turns
in fresh processes; medians of processor time, which is proportional to the batch, and the largest
memory of the process.

    python benchmarks/attention.py [--rounds 3] [--batch 16] [--shapes AE-19,AE-20]

`--batch 128` is the published size; torch's way then takes minutes a step.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

SMALL = {"d_model": 64, "n_heads": 4, "d_ff": 256}
SHAPES = {
    "AE-17": (100, {"embedding": {"kind": "attention", "width": 32}}),
    "AE-19": (500, {"embedding": {"kind": "attention", "width": 16, "num_heads": 4}, **SMALL}),
    "AE-20": (
        500,
        {"embedding": {"kind": "attention", "width": 16, "num_heads": 2, "use_position": False},
         **SMALL},
    ),
}  # fmt: skip
WAYS = ("torch", "loops")


def measure(shape, way, batch):
    """Two steps in this process; the first compiles, or loads what was compiled."""
    import torch
    from fit import examples

    from trueness.fit import choose_device
    from trueness.fit.member import Member
    from trueness.fit.stack import Stack
    from trueness.models import columns
    from trueness.spec import Spec

    torch.set_num_threads(1)
    if way == "torch":
        columns._in_loops = lambda x: False
    n_features, model = SHAPES[shape]
    spec = Spec.model_validate({
        "task": {"kind": "market", "bars": "random"}, "model": {"kind": "patchtst", **model},
        "recipe": {"batch_size": batch, "precision": "float32"},
        "evaluation": {"protocol": "holdout"},
    })  # fmt: skip
    stack = Stack(examples(n_features, 4 * batch), [Member(spec, 0)], choose_device("cpu"))
    times = []
    for _ in range(2):
        began = time.process_time()
        stack.step()
        times.append(time.process_time() - began)
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
    print(json.dumps({"seconds": times[-1], "peak_mb": peak, "loss": float(stack.loss_sum)}))


def fresh(shape, way, batch):
    command = [sys.executable, __file__, "--one", shape, way, "--batch", str(batch)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(ran.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--one", nargs=2)
    arguments = parser.parse_args()
    if arguments.one:
        measure(*arguments.one, arguments.batch)
        return
    print(f"batches of {arguments.batch}; medians of {arguments.rounds}")
    print(f"{'shape':8}{'way':8}{'CPU s a step':>14}{'to torch':>10}{'peak MB':>9}{'loss':>12}")
    ways = arguments.ways.split(",")
    for shape in arguments.shapes.split(","):
        result = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way in ways:
                result[way].append(fresh(shape, way, arguments.batch))
        base = median(one["seconds"] for one in result[ways[0]])
        for way, ones in result.items():
            seconds = median(one["seconds"] for one in ones)
            peak = max(one["peak_mb"] for one in ones)
            print(f"{shape:8}{way:8}{seconds:14.2f}{base / seconds:10.2f}{peak:9,.0f}"
                  f"{ones[0]['loss']:12.6f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
