"""Seconds per epoch and model: the engine against an ordinary one-model loop, in one run.

The ordinary loop is what most people write: a Dataset of windows, a DataLoader,
`nn.TransformerEncoder`, Adam, BCE on logits, float32, PyTorch's own number of threads. The engine
is measured as K = 1, 8 and 32 in this process, and as the product uses the machine: one process per
core with one thread each, and bf16 where the processor has it.

    python benchmarks/fit.py [--rounds 3] [--quick]

Prints medians and ratios (ordinary loop = 1; larger is faster). The engine's time includes the
scores of all examples under the best and the last weights, which it keeps and the ordinary loop
does not. Models are FE-06 and FE-50 of the published study, on random series of the real size.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.pop("OMP_NUM_THREADS", None)  # the ordinary loop may use every core

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from trueness.examples import Examples
from trueness.execute import Pool, keep_memory
from trueness.fit import choose_device, fit_stack
from trueness.spec import Spec

SHAPES = {
    "FE-06": (100, {"embedding": {"kind": "linear", "width": 32}}),
    "FE-50": (
        500,
        {"embedding": {"kind": "linear", "width": 16}, "d_model": 64, "n_heads": 4, "d_ff": 256},
    ),
}
CONTEXT, PATCH, STRIDE, BATCH, DROPOUT = 80, 16, 8, 128, 0.5
EPOCHS = 3


def examples(n_features, n_train):
    rng = np.random.default_rng(0)
    n = n_train + 422
    parts = np.full((1, n), 1, np.int8)
    parts[0, n_train:] = 2
    return Examples(
        series=rng.standard_normal((n + CONTEXT - 1, n_features)).astype(np.float32),
        start=np.arange(n),
        context=CONTEXT,
        y=(rng.random(n) < 0.2).astype(np.uint8),
        when=np.datetime64("2000-01-01") + np.arange(n),
        group=None,
        parts=parts,
        features=tuple(f"x{i}" for i in range(n_features)),
    )


def specs(model, k, precision="auto"):
    one = {
        "task": {"kind": "market", "bars": "random"},
        "model": {"kind": "patchtst", **model},
        "recipe": {"epochs": EPOCHS, "patience": EPOCHS, "precision": precision},
        "evaluation": {"protocol": "holdout"},
    }
    return [Spec.model_validate({**one, "seed": seed}) for seed in range(k)]


# -------------------------------------------------------------------------------- the ordinary loop


class Windows(Dataset):
    def __init__(self, data, rows):
        self.series, self.y, self.rows = (
            torch.from_numpy(data.series),
            torch.from_numpy(data.y),
            rows,
        )

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        row = self.rows[i]
        return self.series[row : row + CONTEXT], self.y[row].float()


class Ordinary(nn.Module):
    def __init__(self, n_features, model):
        super().__init__()
        d, heads, ff = model.get("d_model", 128), model.get("n_heads", 8), model.get("d_ff", 512)
        width, n_patches = model["embedding"]["width"], (CONTEXT - PATCH) // STRIDE + 1
        self.gamma, self.beta = (
            nn.Parameter(torch.ones(n_features)),
            nn.Parameter(torch.zeros(n_features)),
        )
        self.embed = nn.Sequential(
            nn.Linear(n_features, width), nn.LayerNorm(width), nn.Dropout(DROPOUT)
        )
        self.patch, self.position = (
            nn.Linear(PATCH * width, d),
            nn.Parameter(torch.randn(n_patches, d) * 0.02),
        )
        layer = nn.TransformerEncoderLayer(
            d, heads, ff, DROPOUT, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 4, nn.LayerNorm(d), enable_nested_tensor=False)
        self.drop, self.head = nn.Dropout(DROPOUT), nn.Linear(n_patches * d, 1)

    def forward(self, x):
        x = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-5) * self.gamma + self.beta
        x = self.embed(x).unfold(1, PATCH, STRIDE).transpose(2, 3).flatten(2)
        return self.head(self.encoder(self.drop(self.patch(x) + self.position)).flatten(1)).squeeze(
            -1
        )


def ordinary_epochs(data, model, device):
    torch.manual_seed(0)
    net = Ordinary(data.series.shape[1], model).to(device)
    adam, loss = torch.optim.Adam(net.parameters(), lr=1e-4), nn.BCEWithLogitsLoss()
    train, validation = (Windows(data, data.members(part)) for part in ("train", "validation"))
    batches, held_out = DataLoader(train, BATCH, shuffle=True), DataLoader(validation, BATCH)
    began = time.perf_counter()
    for _ in range(EPOCHS):
        net.train()
        for x, y in batches:
            adam.zero_grad()
            cost = loss(net(x.to(device)), y.to(device))
            cost.backward()
            adam.step()
        net.eval()
        with torch.no_grad():
            scores = torch.cat([net(x.to(device)) for x, _ in held_out])
        assert scores.isfinite().all()
    return (time.perf_counter() - began) / EPOCHS


# ------------------------------------------------------------------------------------------- engine


def engine_epochs(data, model, device, k, precision):
    began = time.perf_counter()
    fitted = fit_stack(data, specs(model, k, precision), device)
    elapsed = time.perf_counter() - began
    assert all(f.failure is None for f in fitted)
    return elapsed / (k * EPOCHS)


def worker_item(item, report):
    data, model, device = item
    (fitted,) = fit_stack(data, specs(model, 1), device, width=1)
    return fitted.failure


def product_epochs(pool, data, model, device, k):
    began = time.perf_counter()
    for _, failure in pool.map(worker_item, [(data, model, device)] * k):
        assert failure is None, failure
    return (time.perf_counter() - began) / (k * EPOCHS)


def measure(name, rounds, n_train, device, pool, cores):
    n_features, model = SHAPES[name]
    data = examples(n_features, n_train)
    cases = {"ordinary loop": lambda: ordinary_epochs(data, model, device.name)}
    for k in (1, 8, 32):
        cases[f"engine, K = {k}, float32"] = lambda k=k: engine_epochs(
            data, model, device, k, "float32"
        )
    cases["engine, K = 1"] = lambda: engine_epochs(data, model, device, 1, "auto")
    if device.name == "cpu":
        cases[f"product: {cores} processes"] = lambda: product_epochs(
            pool, data, model, device, 2 * cores
        )
        list(pool.map(worker_item, [(data, model, device)] * cores))  # start and warm the workers
    times = {case: [] for case in cases}
    for _ in range(rounds):
        for case, call in cases.items():
            if ", K = 1" not in case and "engine" in case and device.name == "cpu" and times[case]:
                continue  # wide stacks are slow on a CPU: once is enough
            times[case].append(call())
    base, steps = np.median(times["ordinary loop"]), -(-n_train // BATCH)
    print(
        f"\n{name} on {device.name}: {n_features} columns, {n_train} training windows, "
        f"{steps} steps per epoch"
    )
    print(f"{'':28}{'s per epoch':>12}{'ms per step':>13}{'ratio':>8}")
    for case, values in times.items():
        median = np.median(values)
        print(f"{case:28}{median:12.2f}{1000 * median / steps:13.1f}{base / median:8.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer training windows")
    arguments = parser.parse_args()
    keep_memory()
    cores = len(os.sched_getaffinity(0))
    names = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    with Pool(cores) as pool:
        for device in map(choose_device, names):
            for shape in SHAPES:
                measure(
                    shape, arguments.rounds, 1280 if arguments.quick else 2560, device, pool, cores
                )


if __name__ == "__main__":
    main()
