"""Training on titles: texts per second against a plain loop, on the same texts in one run.

The plain loop is the published one: every text padded to 256 tokens, one matrix of scores per head
and layer, rotary tables anew in each layer, autocast, AdamW, the loss read back in every step. Ours
puts texts of similar length into a batch, pads to the longest, and calls fused kernels. Both train
a v1-sized encoder (width 384, 10 layers) on the synthetic catalogue. Rounds alternate; medians are
printed. Nothing is asserted.

    python benchmarks/text.py                                 this machine, all its cores
    python benchmarks/text.py --device cuda --batch 1024 --plain-batch 256 --compile
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time

os.environ.pop("OMP_NUM_THREADS", None)  # both may use every core

import torch
from torch import nn

from trueness.fit.device import choose_device
from trueness.fit.titles import Setting, load_data, tokenizer_of
from trueness.fit.titles.loop import _Training
from trueness.models import titles_flops
from trueness.spec.titles import TitlesSpec
from trueness.tasks.titles import SYNTHETIC_ROWS, synthetic_corpus

PADDED, WIDTH, LAYERS, HEADS, KV_HEADS, INNER = 256, 384, 10, 6, 2, 1536
PEAK_FLOPS = {"NVIDIA H200": 989e12}
"""Dense bf16 operations per second that the maker states."""


class PlainNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-6)


def plain_rotation(x):
    half = x.shape[-1] // 2
    rates = 1e6 ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(x.shape[-2], device=x.device)[:, None] * rates
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class PlainBlock(nn.Module):
    def __init__(self, drop_path):
        super().__init__()
        head = WIDTH // HEADS
        self.drop_path = drop_path
        self.norm1, self.norm2 = PlainNorm(), PlainNorm()
        self.q, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(WIDTH, KV_HEADS * head, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(WIDTH, INNER, bias=False) for _ in range(2))
        self.down = nn.Linear(INNER, WIDTH, bias=False)
        self.scale1, self.scale2 = (nn.Parameter(torch.full((WIDTH,), 0.01)) for _ in range(2))

    def attention(self, h, mask):
        def heads(x, n):
            return x.unflatten(-1, (n, -1)).transpose(1, 2)

        q, k, v = heads(self.q(h), HEADS), heads(self.k(h), KV_HEADS), heads(self.v(h), KV_HEADS)
        q, k = plain_rotation(q), plain_rotation(k)
        k, v = (x.repeat_interleave(HEADS // KV_HEADS, 1) for x in (k, v))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(~mask[:, None, None], -math.inf).float().softmax(-1)
        mixed = nn.functional.dropout(weights, 0.1).to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))

    def dropped(self, x):
        keep = 1 - self.drop_path
        return x * (torch.rand(len(x), 1, 1, device=x.device) < keep) / keep

    def forward(self, h, mask):
        h = h + self.scale1 * self.dropped(self.attention(self.norm1(h), mask))
        x = self.norm2(h)
        inner = self.down(nn.functional.silu(self.gate(x)) * self.up(x))
        return h + self.scale2 * self.dropped(inner)


class PlainEncoder(nn.Module):
    def __init__(self, vocabulary, classes):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.blocks = nn.ModuleList(PlainBlock(0.1 * i / (LAYERS - 1)) for i in range(LAYERS))
        self.norm_in, self.norm_out = PlainNorm(), PlainNorm()
        self.head = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(0.1),
            nn.Linear(WIDTH, classes),
        )  # fmt: skip

    def forward(self, tokens, mask):
        h = nn.functional.dropout(self.norm_in(self.embedding(tokens) * math.sqrt(WIDTH)), 0.1)
        for block in self.blocks:
            h = block(h, mask)
        real = mask[..., None].to(h.dtype)
        return self.head((self.norm_out(h) * real).sum(1) / real.sum(1).clamp(min=1e-6))


def plain_rate(data, device, batch, steps, dtype):
    """Texts per second of the plain loop."""
    train = data.parts["train"]
    model = PlainEncoder(data.width, len(data.classes)).to(device.name)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01)
    scaler = torch.GradScaler(device.name.split(":")[0], enabled=dtype == torch.float16)
    order = torch.randperm(len(train)).numpy()

    def step(turn):
        rows = order[turn * batch : (turn + 1) * batch]
        tokens, mask = map(torch.from_numpy, train.tokens.batch(rows, pad_to=PADDED))
        y = torch.from_numpy(train.y[rows]).to(device.name)
        with torch.autocast(device.name.split(":")[0], dtype=dtype):
            logits = model(tokens.to(device.name), mask.to(device.name))
            loss = nn.functional.cross_entropy(logits, y)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss.item()

    return timed(lambda turn: step(turn) and batch, steps, device)


def our_rate(data, spec, device, steps, compiled):
    """Texts per second of the engine."""
    training = _Training(spec, data, Setting(device, compiled), None, None)
    updates = training.updates()
    warm = 30 if compiled else 1
    for update in updates[:warm]:
        training.make(update)

    def step(turn):
        update = updates[(warm + turn) % len(updates)]
        training.make(update)
        return sum(map(len, update))

    return timed(step, steps, device)


def timed(step, steps, device):
    step(0)
    wait(device)
    began, texts = time.perf_counter(), 0
    for turn in range(1, steps + 1):
        texts += step(turn)
    wait(device)
    return texts / (time.perf_counter() - began)


def wait(device):
    if device.is_cuda:
        torch.cuda.synchronize()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=64, help="texts of our batches")
    parser.add_argument("--plain-batch", type=int, default=None, help="of the plain loop's")
    parser.add_argument("--steps", type=int, default=None, help="timed updates of ours")
    parser.add_argument("--plain-steps", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None, help="of both; all cores by default")
    parser.add_argument("--compile", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads or torch.get_num_threads())
    device = choose_device(chosen.device)
    steps = chosen.steps or (200 if device.is_cuda else 10)
    plain_steps = chosen.plain_steps or (50 if device.is_cuda else 2)
    corpus = synthetic_corpus(SYNTHETIC_ROWS)
    spec = TitlesSpec.model_validate({
        "task": {"kind": "titles", "corpus": corpus.digest},
        "model": {"kind": "encoder", "head": "plain"},
        "recipe": {"batch_size": chosen.batch},
    })  # fmt: skip
    data = load_data(spec.task, corpus, tokenizer=tokenizer_of(spec.task, corpus, None))
    dtype = torch.float16 if device.is_cuda else torch.bfloat16
    plain_batch = chosen.plain_batch or chosen.batch
    lengths = data.parts["train"].tokens.lengths
    print(f"{device.name}, {torch.get_num_threads()} threads; {len(lengths):,} texts of "
          f"{lengths.mean():.1f} tokens, vocabulary {data.width:,}")  # fmt: skip
    plain, ours = [], []
    for _ in range(chosen.rounds):
        plain.append(plain_rate(data, device, plain_batch, plain_steps, dtype))
        ours.append(our_rate(data, spec, device, steps, chosen.compile))
        print(f"  plain {plain[-1]:,.1f} texts/s, ours {ours[-1]:,.1f}, "
              f"ratio {ours[-1] / plain[-1]:.1f}", flush=True)  # fmt: skip
    rate = statistics.median(ours)
    flops = 3 * rate * titles_flops(spec.model, data.width, len(data.classes), lengths.mean())
    print(f"median: plain {statistics.median(plain):,.1f}, ours {rate:,.1f} texts/s, "
          f"{rate / statistics.median(plain):.1f} times; {flops / 1e12:.2f} TFLOP/s")  # fmt: skip
    if device.is_cuda:
        name = torch.cuda.get_device_name(device.name)
        if name in PEAK_FLOPS:
            print(f"{100 * flops / PEAK_FLOPS[name]:.1f} % of what {name} is said to reach in bf16")


if __name__ == "__main__":
    main()
