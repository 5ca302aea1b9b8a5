"""Planted wrong labels: how many of the first suspects are right, in which time, at which order.

    python benchmarks/audit_labels.py [--rows 10000] [--noise 0.05] [--seeds 3]

Labels of a synthetic catalogue without noise of its own are flipped to another class at random, row
by row. Printed are precision of the first hundred, share of the planted labels among as many as are
estimated to be wrong, the estimated share, and CPU seconds on one core; then the precision of the
first hundred in other orders of the same rows.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl
from scipy.special import softmax

from trueness.baselines.cross_fitting import cross_fitted
from trueness.evaluation.clusters import numbered
from trueness.evaluation.label_noise import LabelNoise, noise_in_clusters
from trueness.evaluation.macro_f1 import selection_scores
from trueness.labels.auditing import MODEL
from trueness.spec.titles import LinearBaseline, TitlesSpec, TitlesTask
from trueness.text.corpus import Titles
from trueness.text.synthetic import Catalogue

FIRST = 100


def planted(
    rows: int, noise: float, difficulty: float, seed: int
) -> tuple[Titles, tuple[str, ...], np.ndarray]:
    """Texts with planted labels, the classes, and which labels are wrong, (n,)."""
    made = Catalogue(rows=rows, english_share=0.5, noise=0.0, difficulty=difficulty, seed=seed)
    frame = pl.concat([batch.frame for piece in made.pieces() for batch in made.batches(piece)])
    classes = tuple(frame["label"].unique().sort())
    y = frame["label"].cast(pl.Enum(classes)).to_physical().cast(pl.Int64).to_numpy()
    rng = np.random.default_rng(seed)
    wrong = rng.random(rows) < noise
    y = np.where(wrong, (y + rng.integers(1, len(classes), rows)) % len(classes), y)
    language = frame["language"].to_numpy().astype(str)
    titles = Titles(frame["id"], frame["text"], y, language, np.ones(rows, np.float32),
                    frame["cluster"].to_numpy())  # fmt: skip
    return titles, classes, wrong


def probabilities(titles: Titles, classes: tuple[str, ...], model: str, folds: int) -> np.ndarray:
    """Out-of-fold probabilities (n, K)."""
    task = TitlesTask(kind="titles", corpus="planted")
    spec = TitlesSpec(task=task, model=LinearBaseline(kind=model))

    def score(y: object, predicted: object, language: object) -> float:
        return selection_scores(y, predicted, language, len(classes), 1)["macro_f1"]

    logits = cross_fitted(titles, classes, spec, score, folds=folds)
    return softmax(logits.astype(np.float64), axis=1)


def orders(result: LabelNoise) -> dict[str, np.ndarray]:
    """What suspects may be ranked by, (n,) each, largest first."""
    p, every = result.probabilities, np.arange(len(result.y))
    own, other = p[every, result.y], p[every, result.suggested]
    t = result.thresholds
    return {
        "margin": other - own, "given class alone": -own, "log-odds": np.log(other) - np.log(own),
        "margin over thresholds": (other - t[result.suggested]) - (own - t[result.y]),
        "share of thresholds": other / t[result.suggested] - own / t[result.y],
    }  # fmt: skip


def main() -> None:
    """Measure each seed and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--difficulty", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--model", default=MODEL)
    options = parser.parse_args()
    for seed in range(options.seeds):
        titles, classes, wrong = planted(options.rows, options.noise, options.difficulty, seed)
        began = time.process_time()
        p = probabilities(titles, classes, options.model, options.folds)
        result = LabelNoise.of(titles.y, p)
        seconds = time.process_time() - began
        (share,) = result.shares(np.zeros(len(p), np.int64), numbered(titles.cluster)[0], 1)
        ranked = np.argsort(-result.margin, kind="stable")
        recall = wrong[ranked[: result.number]].sum() / max(1, wrong.sum())
        inside = noise_in_clusters(titles.y, titles.cluster).noise
        hits = wrong[result.ranked()[:FIRST]].sum()
        print(f"seed {seed}: {hits} of the first {FIRST} are wrong "
              f"(chance {100 * wrong.mean():.1f}); {100 * recall:.0f} % of {wrong.sum()} planted "
              f"among the {result.number} estimated; suspects {share}; clusters "
              f"{inside}; {seconds:.1f} CPU s")  # fmt: skip
        print("   ", ", ".join(
            f"{name} {wrong[np.argsort(-values, kind='stable')[:FIRST]].sum()}"
            for name, values in orders(result).items()
        ))  # fmt: skip


if __name__ == "__main__":
    main()
