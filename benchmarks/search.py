"""What a search costs besides training, and what asking for several trials at once brings.

The first part runs trials on SQLite whose training is made up: weights, scores and history of a
real shape are judged and stored as always. The second trains the same trials twice on two workers:
one at a time, and in batches. On a machine that is shared, read the processor time.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from trueness.engines import stack as engine
from trueness.execute import Pool
from trueness.fit import Fitted, FoldFit
from trueness.market import synthetic_bars
from trueness.models import build
from trueness.search import Objective, Trainer, load_search, open_storage, open_study, search_trials
from trueness.search.trials import Result
from trueness.store import Store

SPACE = """\
search: bench
title: Small networks
data: bars.csv
space:
  task: {{context: 20}}
  model:
    kind: patchtst
    d_model: {{one_of: [16, 24, 32]}}
    n_layers: {{one_of: [1, 2, 3, 4]}}
    n_heads: {{one_of: [2, 4, 8]}}
    d_ff: 64
    patch_length: 5
    stride: 5
    dropout: {{one_of: [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}}
  recipe:
    epochs: {epochs}
    precision: float32
    learning_rate: {{between: [2e-6, 5e-4], log: true}}
    weight_decay: {{one_of: [0, 1e-5, 1e-4, 1e-3]}}
  evaluation: {{protocol: holdout, val_start: 1993-03-01, test_start: 1994-03-01}}
"""


def made_up(examples, specs, device, *_):
    """What a training would have left behind, without training."""
    fitted = []
    for spec in specs:
        rng = np.random.default_rng(int(spec.key, 16))
        module = build(spec.model, len(examples.features), examples.context, torch.Generator())
        weights = {n: p.detach().numpy() for n, p in module.named_parameters()}
        logit = (rng.standard_normal(len(examples.y)) - 1.5 + examples.y).astype(np.float32)
        row = {
            "train_loss": 0.5, "val_loss": 0.5, "val_auc": 0.7, "val_low": 0.1, "val_high": 0.9,
            "val_alarm_share": 0.1,
        }  # fmt: skip
        history = [{"epoch": float(e + 1), **row} for e in range(30)]
        fold = FoldFit(0, weights, history, [], 15, logit, logit)
        fitted.append(Fitted(spec, [fold], "float32", device.name, 1.0))
    return fitted


def searched(folder, name, epochs, trials, batch, pool=None, evaluate=None, sampler="tpe"):
    """Seconds per trial, (rounds, 2): on the wall, and of the processor in this process."""
    home = folder / name
    home.mkdir()
    synthetic_bars(1200).frame().write_csv(home / "bars.csv")
    (home / "bench.yaml").write_text(SPACE.format(epochs=epochs))
    search, store = load_search(home / "bench.yaml"), Store(home / "store")
    store.prepare()
    study = open_study(
        search, ("auc",), open_storage(f"sqlite:///{home / 'search.sqlite3'}"), sampler=sampler
    )
    trainer = Trainer(
        search, store, Objective(), device="cpu", workers=pool.size if pool else 0, pool=pool
    )
    search_trials(search, study, evaluate or trainer, trials=2, batch=2)
    rounds = []
    for there in range(2, 2 + trials, batch):
        began, worked = time.perf_counter(), time.process_time()
        outcome = search_trials(
            search, study, evaluate or trainer, trials=there + batch, batch=batch
        )
        rounds.append((time.perf_counter() - began, time.process_time() - worked))
        assert outcome.done == batch
    return np.array(rounds) / batch


def line(what, seconds):
    (wall, work), (most, _) = 1000 * np.median(seconds, 0), 1000 * np.quantile(seconds, 0.9, 0)
    print(
        f"{what:26}{wall:7.1f} ms per trial (median; nine in ten below {most:.0f}), "
        f"{work:6.1f} ms of the processor"
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--trained", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)

    def drawn(proposals):
        return [Result((float(rng.random()),)) for _ in proposals]

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sampler in ("random", "tpe", "gp"):
            asked = searched(
                folder, f"asked-{sampler}", 1, arguments.trials, 1, None, drawn, sampler
            )
            line(f"ask and tell, {sampler}", asked)
        true_fit, engine.fit_stack = engine.fit_stack, made_up
        whole = searched(folder, "whole", 1, arguments.trials, 1)
        engine.fit_stack = true_fit
        line("ask, judge, store, tell", whole)
        with Pool(2) as pool:
            single, batched = (
                searched(folder, name, arguments.epochs, arguments.trained, size, pool)[:, 0].mean()
                for name, size in (("single", 1), ("batched", 4))
            )
    print(
        f"{arguments.trained} trials of {arguments.epochs} epochs on 2 workers of "
        f"{os.cpu_count()} cores: one at a time {single:.2f} s per trial, four at a time "
        f"{batched:.2f} s, ratio {single / batched:.2f}"
    )


if __name__ == "__main__":
    main()
