"""A whole group of the campaign against a plain loop, side by side in one run, and the overhead.

    python benchmarks/campaign.py [--seeds 5] [--plain-seeds 1] [--epochs 10]

1. LF-P5 of `precision` (6 experiments) with 5 seeds for 10 epochs as `trueness run` does it:
   plan, stacks, judgement, store. The plain loop trains the same models on the same windows for the
   same epochs, one at a time, with a Dataset, a DataLoader, `nn.TransformerEncoder`, Adam and the
   loss in float32, using all cores. Its seeds cost the same each, so it may be measured on fewer
   (`--plain-seeds`) and scaled; the printed line says so. The baselines of the campaign are timed
   apart: the plain loop has none.
2. Everything outside training for all 183 experiments: reading the campaign, features, grouping,
   then judging and storing 183 runs with made-up scores and weights of the real size, and the
   leaderboard.

The first part prints the model-FLOP utilisation too, if --peak gives the peak of the device.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.pop("OMP_NUM_THREADS", None)  # the plain loop may use every core

import numpy as np
import torch
from fit import BATCH, Ordinary, Windows
from torch.utils.data import DataLoader

from trueness.callback import Callback
from trueness.campaign import Entry, load_campaign
from trueness.engines import Setting
from trueness.engines.stack import outcome_of, work_of
from trueness.execute import keep_memory
from trueness.fit import Fitted, FoldFit, choose_device
from trueness.judge.leaderboard import leaderboard
from trueness.models import build
from trueness.plan import plan
from trueness.runner import run
from trueness.store import Store


def shortened(campaign, epochs):
    """The campaign with so many epochs in every spec."""

    def short(entry):
        if entry.spec.is_baseline:
            return entry
        recipe = entry.spec.recipe.model_copy(update={"epochs": epochs})
        return Entry(entry.id, entry.priority, entry.spec.model_copy(update={"recipe": recipe}))

    return replace(campaign, experiments=tuple(map(short, campaign.experiments)))


# ----------------------------------------------------------------------------------- the plain loop


def plain_fit(data, spec, device):
    """Seconds of one model; data as arrays, everything else as most people write it."""
    torch.manual_seed(spec.seed)
    model = spec.model.model_dump()
    net = Ordinary(data.series.shape[1], model).to(device)
    adam = torch.optim.Adam(net.parameters(), lr=spec.recipe.learning_rate)
    epsilon = getattr(spec.loss, "epsilon", 0.0)
    loss = torch.nn.BCEWithLogitsLoss()
    train, validation = (Windows(data, data.members(part)) for part in ("train", "validation"))
    batches, held_out = DataLoader(train, BATCH, shuffle=True), DataLoader(validation, BATCH)
    began = time.perf_counter()
    for _ in range(spec.recipe.epochs):
        net.train()
        for x, y in batches:
            adam.zero_grad()
            target = y.to(device) * (1 - 2 * epsilon) + epsilon
            loss(net(x.to(device)), target).backward()
            adam.step()
        net.eval()
        with torch.no_grad():
            scores = torch.cat([net(x.to(device)) for x, _ in held_out])
        assert scores.isfinite().all()
    return time.perf_counter() - began


def processor_seconds():
    """Seconds of processor time of this process and of its workers that have ended."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, who))


class Stages(Callback):
    """When each stage began."""

    def __init__(self):
        self.began = {}

    def on_stage_start(self, stage, total):
        self.began[stage] = time.perf_counter()
        self.processor = processor_seconds()


def measure_group(arguments):
    device = choose_device()
    everything = load_campaign("precision", seeds=arguments.seeds)
    group = shortened(everything.select([], ["LF-P5"], []), arguments.epochs)
    with tempfile.TemporaryDirectory() as folder:
        store, stages = Store(folder), Stages()
        todo = plan(group, store)
        plain, before = 0.0, processor_seconds()
        for entry in group.experiments:
            if entry.spec.seed < 42 + arguments.plain_seeds:
                plain += plain_fit(todo.examples_of(entry.spec), entry.spec, device.name)
        scale = arguments.seeds / arguments.plain_seeds
        plain, plain_processor = plain * scale, (processor_seconds() - before) * scale
        summary = run(group, store, device=device.name, callback=stages)
        ended, processor = time.perf_counter(), processor_seconds() - stages.processor
        assert not summary.failed
        assert len(leaderboard(store, group.name).groups[0].candidates) == len(group.experiments)
    engine = ended - stages.began["networks"]
    flop = sum(
        work_of(e.spec, todo.examples_of(e.spec), arguments.epochs) for e in group.experiments
    )
    scaled = (
        ""
        if arguments.seeds == arguments.plain_seeds
        else (f" (measured on {arguments.plain_seeds} of {arguments.seeds} seeds, scaled)")
    )
    print(
        f"LF-P5 on {device.name}: 6 experiments, {arguments.seeds} seeds, {arguments.epochs} epochs"
    )
    print(f"  plain loop{scaled}: {plain:8.1f} s")
    print(f"  trueness, networks:  {engine:8.1f} s   ratio {plain / engine:.2f}")
    print(
        f"  processor time {plain_processor:.0f} s against {processor:.0f} s, baselines included: "
        f"ratio {plain_processor / processor:.2f} (less disturbed by other work on the machine)"
    )
    print(f"  trueness, baselines: {stages.began['networks'] - stages.began['baselines']:8.1f} s")
    print(f"  {flop / engine / 1e12:.3f} TFLOP/s of model arithmetic", end="")
    print(
        f", {100 * flop / engine / 1e12 / arguments.peak:.1f} % of peak" if arguments.peak else ""
    )


# ------------------------------------------------------------------------------------ the overhead


def made_up(spec, examples, device):
    """What a training would have left behind, without training."""
    rng = np.random.default_rng(spec.seed)
    module = build(spec.model, len(examples.features), examples.context, torch.Generator())
    weights = {n: p.detach().numpy() for n, p in module.named_parameters()}
    logit = (rng.standard_normal(len(examples.y)) - 1.5 + examples.y).astype(np.float32)
    row = {
        "train_loss": 0.5, "val_loss": 0.5, "val_auc": 0.7, "val_low": 0.1, "val_high": 0.9,
        "val_alarm_share": 0.1,
    }  # fmt: skip
    history = [{"epoch": float(e + 1), **row} for e in range(30)]
    fold = FoldFit(0, weights, history, [], 15, logit, logit)
    return Fitted(spec, [fold], "bf16", device.name, 1.0)


def measure_overhead():
    device, times = choose_device("cpu"), {}
    began = time.perf_counter()
    campaign = load_campaign("precision")
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.prepare()
        todo = plan(campaign, store)
        times["campaign, features, plan"] = time.perf_counter() - began
        began = time.perf_counter()
        setting = Setting(device, store.root)
        items = todo.jobs(todo.missing, setting)
        todo.size(setting, 2)
        times["grouping"] = time.perf_counter() - began
        store.write_campaign(campaign.name, {e.id: e.spec.key for e in campaign.entries})
        judging = storing = 0.0
        for spec in (spec for item in items for spec in item.specs):
            examples = todo.examples_of(spec)
            fitted = made_up(spec, examples, device)
            began = time.perf_counter()
            outcome = outcome_of(fitted, examples, Path())
            then = time.perf_counter()
            record = {**outcome.record, "data": {"bars": "sp500", "as_of": "", "digest": ""}}
            store.write(spec, record, outcome.predictions, outcome.history, outcome.parameters)
            judging, storing = judging + then - began, storing + time.perf_counter() - then
        times["judging, one process"], times["storing"] = judging, storing
        began = time.perf_counter()
        board = leaderboard(store, campaign.name)
        times["leaderboard"] = time.perf_counter() - began
        assert len(board.groups[0].candidates) == 175
    print("\neverything outside training, 183 experiments (175 runs):")
    for name, seconds in times.items():
        print(f"  {name:26}{seconds:8.2f} s")
    print(f"  {'in all':26}{sum(times.values()):8.2f} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plain-seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--peak", type=float, help="peak TFLOP/s of the device, for utilisation")
    parser.add_argument("--skip-overhead", action="store_true")
    parser.add_argument("--skip-group", action="store_true")
    arguments = parser.parse_args()
    keep_memory()
    if not arguments.skip_overhead:
        measure_overhead()
    if not arguments.skip_group:
        measure_group(arguments)


if __name__ == "__main__":
    main()
