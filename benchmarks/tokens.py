"""Titles a second through each step that every text passes, beside the plain way of doing it.

Titles are made up: words of four alphabets with Zipf's frequencies, nine of ten from the first, 60
characters on average. Each step and its plain form take turns; the median of the rounds is shown.

    python benchmarks/tokens.py [--titles 200000] [--rounds 3]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from trueness.text.duplicates import DuplicateFinder
from trueness.text.languages import detect
from trueness.text.splits import grouped_split
from trueness.text.tokens import encode, train_tokenizer

ALPHABETS = {
    "en": "etaoinshrdlucmfwypvbgk", "de": "enisratdhulcgmobwfkzäöüß", "ru": "оеаинтсрвлкмдпуяыьгзб",
    "ja": "日本人大年一国会中見行分東出者上事時靴赤",
}  # fmt: skip
SHARES = [0.88, 0.06, 0.04, 0.02]


def titles(n, seed=0):
    """Texts (n,) and their languages (n,)."""
    rng = np.random.default_rng(seed)
    words = {}
    for code, letters in ALPHABETS.items():
        weights = 1 / np.arange(1, len(letters) + 1)
        lengths = rng.integers(2, 4 if code == "ja" else 11, 30_000)
        pick = rng.choice(list(letters), lengths.sum(), p=weights / weights.sum())
        words[code] = np.array(["".join(w) for w in np.split(pick, np.cumsum(lengths)[:-1])])
    zipf = 1 / np.arange(1, 30_001)
    language = rng.choice(list(words), n, p=SHARES)
    counts = rng.integers(3, 15, n)
    drawn = np.split(rng.choice(30_000, counts.sum(), p=zipf / zipf.sum()), np.cumsum(counts)[:-1])
    texts = [" ".join(words[code][rows]) for code, rows in zip(language, drawn, strict=True)]
    return pl.Series(texts), language


def median_seconds(rounds, *steps):
    """Median seconds of each step, the steps taking turns."""
    times = np.zeros((rounds, len(steps)))
    for one in range(rounds):
        for which, step in enumerate(steps):
            began = time.perf_counter()
            step()
            times[one, which] = time.perf_counter() - began
    return np.median(times, axis=0)


def shingles(text):
    return {text[i : i + 5] for i in range(max(len(text) - 4, 1))}


def find_duplicates(texts):
    with tempfile.TemporaryDirectory() as folder:
        finder = DuplicateFinder(Path(folder))
        for begin in range(0, len(texts), 10_000):
            finder.add(texts[begin : begin + 10_000])
        return finder.clusters()


def find_duplicates_plainly(texts):
    """One MinHash object per text and an index of the library."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=0.8, num_perm=126, num_bands=21)
    for row, text in enumerate(texts):
        sketch = RMinHash(num_perm=126, seed=42)
        sketch.update(list(shingles(text.casefold())))
        index.query(sketch)
        index.insert(row, sketch)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--titles", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts, language = titles(options.titles)
    few = texts[: options.titles // 10]
    began = time.perf_counter()
    tokenizer = train_tokenizer(texts, language)
    took = time.perf_counter() - began
    tokens = encode(texts, tokenizer)
    print(
        f"{len(texts):,} titles, {texts.str.len_chars().mean():.0f} characters, "
        f"{tokens.lengths.mean():.1f} tokens each; vocabulary {tokenizer.get_vocab_size():,} "
        f"trained in {took:.1f} s"
    )
    find_duplicates(few[:10])  # compiles
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        encode(texts, tokenizer, cache=cache)
        steps = {
            "encode": (lambda: encode(texts, tokenizer), len(texts)),
            "encode, one by one": (lambda: [tokenizer.encode(t).ids for t in few], len(few)),
            "encode, kept": (lambda: encode(texts, tokenizer, cache=cache), len(texts)),
            "duplicates": (lambda: find_duplicates(texts), len(texts)),
            "duplicates, one by one": (lambda: find_duplicates_plainly(few), len(few)),
            "languages": (lambda: detect(few), len(few)),
            "split": (
                lambda: grouped_split(np.arange(len(texts)), tokens.lengths % 20, language),
                len(texts),
            ),
        }
        seconds = median_seconds(options.rounds, *(step for step, _ in steps.values()))
    rates = {n: size / s for (n, (_, size)), s in zip(steps.items(), seconds, strict=True)}
    for name, rate in rates.items():
        plain = rates.get(f"{name}, one by one")
        ratio = f"{rate / plain:7.1f} x one by one" if plain else ""
        print(f"{name:24}{rate:12,.0f} titles/s{ratio}")
    rows = np.random.default_rng(0).permutation(len(texts))[: 256 * 200].reshape(-1, 256)
    (batched,) = median_seconds(options.rounds, lambda: [tokens.batch(one) for one in rows])
    print(f"{'batches of 256':24}{rows.size / batched:12,.0f} titles/s")


if __name__ == "__main__":
    main()
