"""Titles a second that become vectors of wordllama, beside its own way, and a linear head.

Titles are offers of the synthetic catalogue. Both ways take turns; the median of the rounds is
shown. Vectors that are kept are mapped from disk.

    python benchmarks/vectors.py [--titles 10000] [--rounds 3] [--threads 2]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np


def median_seconds(rounds, *steps):
    """Median seconds of each step, the steps taking turns."""
    times = np.zeros((rounds, len(steps)))
    for one in range(rounds):
        for which, step in enumerate(steps):
            began = time.perf_counter()
            step()
            times[one, which] = time.perf_counter() - began
    return np.median(times, axis=0)


def of_the_package():
    """The package's own encoder on its own files; its loader would ask the network."""
    import wordllama
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    folder = Path(wordllama.__file__).parent
    matrix = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"]
    words = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
    return WordLlamaInference(matrix, words)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--titles", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)
    from trueness.baselines.dense import DenseLinear
    from trueness.text.building import Plan, build
    from trueness.text.static.opening import open_vectors
    from trueness.text.synthetic import Catalogue

    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRUENESS_CACHE"] = folder
        plan = Plan(validation=0.1, test=0.1)
        train = build(Catalogue(rows=2 * options.titles), Path(folder) / "corpus", plan).part(
            "train"
        )
        texts, y = train.texts.head(options.titles), train.y[: options.titles]
        began = time.perf_counter()
        ours, theirs = open_vectors("wordllama", Path()), of_the_package()
        took, mean = time.perf_counter() - began, texts.str.len_chars().mean()
        print(
            f"{len(texts):,} titles, {mean:.0f} characters, on {options.threads} threads; opened "
            f"in {took:.1f} s"
        )
        ours.of_titles(train, 256)
        ours.encode(texts.head(10), 256)
        listed = texts.to_list()
        seconds = median_seconds(
            options.rounds, lambda: ours.encode(texts, 256), lambda: theirs.embed(listed),
            lambda: ours.of_titles(train, 256),
        )  # fmt: skip
        for name, rate in zip(
            ("encode", "encode, wordllama", "encode, kept"),
            np.array([len(texts), len(texts), len(train)]) / seconds, strict=True,
        ):  # fmt: skip
            print(f"{name:24}{rate:12,.0f} titles/s")
        apart = np.abs(ours.encode(texts, 4096) - theirs.embed(listed)).max()
        print(f"{'largest difference':24}{apart:12.1g}")
        x = ours.encode(texts, 256)
        (fit,) = median_seconds(1, lambda: DenseLinear(x, y, int(y.max()) + 1, "softmax").fit(1e-3))
        print(f"{'linear head, one fit':24}{fit:12.2f} s")


if __name__ == "__main__":
    main()
