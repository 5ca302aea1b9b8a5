"""Linear baselines of many classes beside scikit-learn: seconds and memory, each in its process.

    python benchmarks/many_classes.py [--sizes 500x10,5000x3]

Both see the same n-grams of the same titles, so many classes with so many rows each and half as
many again to be scored, and fit one penalty. scikit-learn's is
`SGDClassifier(loss="squared_hinge")`, one class against the rest, on the n-grams that occur. Memory
is what the process takes at its peak above what it took before.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import polars as pl

KINDS = ("ours, squared hinge", "ours, log loss", "scikit-learn, squared hinge")


def titles(classes: int, rows: int, seed: int) -> tuple[pl.Series, np.ndarray]:
    """Made-up titles: two words of the class, of 4 classes in common, and three of no class."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(classes), rows)
    words = np.array(["".join(chr(97 + d) for d in rng.integers(0, 26, 7)) for _ in range(classes)])
    common = words[rng.integers(0, classes, (len(y), 3))]
    texts = [" ".join([words[c], words[c // 4], *some]) for c, some in zip(y, common, strict=True)]
    return pl.Series(texts), y


def measured(kind: str, classes: int, rows: int) -> dict[str, float]:
    """Seconds, megabytes and the share of scored titles that are right."""
    from trueness.baselines.ngrams import Vectorizer

    texts, y = titles(classes, rows, 0)
    others, truth = titles(classes, max(1, rows // 2), 0)
    vectorizer, x = Vectorizer.fitted(texts)
    z = vectorizer.transform(others)
    before, began = _megabytes(), time.perf_counter()
    if kind.startswith("ours"):
        from trueness.baselines.linear import LinearScores

        loss = "softmax" if "log" in kind else "squared_hinge"
        (scores,) = LinearScores(x, y, classes, [z], loss=loss, seed=0).fit(1e-6)
        result = scores.argmax(axis=1)
    else:
        from sklearn.linear_model import SGDClassifier

        used = np.unique(x.indices)  # with all buckets, 5,000 classes take 52 GB
        model = SGDClassifier(loss="squared_hinge", alpha=1e-6, max_iter=5, tol=None)
        result = model.fit(x[:, used], y).predict(z[:, used])
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "megabytes": _megabytes() - before,
            "right": float((result == truth).mean())}  # fmt: skip


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each kind at each number of classes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default="500x10,5000x3", help="classes x rows of each")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for size in options.sizes.split(","):
        classes, rows = map(int, size.split("x"))
        if options.one:
            print(json.dumps(measured(options.one, classes, rows)))
            return
        print(f"{classes:,} classes, {classes * rows:,} titles")
        for kind in KINDS:
            command = [sys.executable, __file__, "--one", kind, "--sizes", size]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            one = json.loads(done.stdout)
            print(f"  {kind:<28} {one['seconds']:7.1f} s {one['megabytes']:7.0f} MB   "
                  f"{100 * one['right']:.0f} % right", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
