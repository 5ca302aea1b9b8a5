"""Texts per second that a small pretrained encoder encodes, beside transformers called plainly.

A BERT of random weights (width 64, 2 layers) in a local folder encodes 10,000 titles of the
synthetic catalogue. The plain way tokenises 64 texts at a time in the order in which they come and
pads them to their longest, as the usual loop does. Ours is what a frozen run does once: tokens,
batches of texts of similar length, vectors written to the cache; then what the next run does, which
reads them. Rounds alternate; medians per second of processor time are printed, so that with one
thread other programs do not count. Nothing is asserted.

    python benchmarks/pretrained.py
    python benchmarks/pretrained.py --width 384 --layers 6
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch

from trueness.fit.device import choose_device
from trueness.fit.titles.encoding import frozen_vectors
from trueness.models.pretrained import build_pretrained
from trueness.spec.titles import Pretrained, TitlesSpec
from trueness.tasks.titles import synthetic_corpus
from trueness.text.pretrained import open_folder
from trueness.text.tokens import load_tokenizer, train_tokenizer

ROWS, BATCH, ROUNDS, VOCABULARY = 10_000, 64, 5, 8000


def make_folder(path, texts, width, layers):
    import transformers

    transformers.logging.disable_progress_bar()
    tokenizer = train_tokenizer(texts, ["en"] * len(texts), vocabulary=VOCABULARY)
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=max(2, width // 64), intermediate_size=4 * width,
        max_position_embeddings=128,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers.BertModel(config).save_pretrained(path)
    tokenizer.save(str(path / "tokenizer.json"))
    return open_folder(path)


@torch.no_grad()
def plainly(network, tokenizer, texts, most):
    tokenizer.enable_truncation(most)
    tokenizer.enable_padding()
    result = []
    for start in range(0, len(texts), BATCH):
        some = tokenizer.encode_batch(texts[start : start + BATCH])
        ids = torch.tensor([one.ids for one in some])
        mask = torch.tensor([one.attention_mask for one in some], dtype=torch.bool)
        result.append(network.pooled(ids, mask))
    return torch.cat(result)


def timed(call):
    """What a call gives, and its seconds on the processor: other programs do not count."""
    began = time.process_time()
    result = call()
    return result, time.process_time() - began


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--width", type=int, default=64)
    arguments.add_argument("--layers", type=int, default=2)
    asked = arguments.parse_args()
    texts = synthetic_corpus(ROWS * 2).part("train").texts.head(ROWS)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "bert"
        folder.mkdir()
        opened = make_folder(folder, texts.to_list(), asked.width, asked.layers)
        model = Pretrained(kind="pretrained", of="bert", digest=opened.digest, tune="frozen")
        spec = TitlesSpec(task={"kind": "titles", "corpus": "x", "max_tokens": 48}, model=model)
        network = build_pretrained(model, folder, 2, torch.Generator()).eval()
        rates = {"plain loop": [], "encoded and kept": [], "read again": []}
        for number in range(ROUNDS):
            cache, tokenizer = Path(place) / str(number), load_tokenizer(opened.tokenizer)
            ours = frozen_vectors(spec, opened, tokenizer, choose_device("cpu"), cache)
            ours(texts.head(64))  # loads the encoder
            mine, seconds = timed(lambda ours=ours: ours(texts))
            rates["encoded and kept"].append(ROWS / seconds)
            rates["read again"].append(ROWS / timed(lambda ours=ours: ours(texts))[1])
            theirs, seconds = timed(
                lambda: plainly(network, load_tokenizer(opened.tokenizer), texts.to_list(), 48)
            )
            rates["plain loop"].append(ROWS / seconds)
        gap = float((torch.from_numpy(mine.copy()) - theirs).abs().max())
        threads = torch.get_num_threads()
        print(f"BERT d{asked.width} L{asked.layers}, {ROWS:,} titles, {threads} threads;", end=" ")
        print(f"vectors differ by up to {gap:.1g}")
        for name, values in rates.items():
            middle, low, high = statistics.median(values), min(values), max(values)
            print(f"{name:18} {middle:10,.0f} titles/s ({low:,.0f}–{high:,.0f}, {ROUNDS} rounds)")


if __name__ == "__main__":
    main()
