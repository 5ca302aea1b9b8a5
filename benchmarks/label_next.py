"""Whether texts that label-next proposes help more than as many random ones.

    python benchmarks/label_next.py [--seeds 10] [--n 300]

A synthetic catalogue in seven languages is cut by products into 1,500 labelled texts, a pool and a
test part. n texts of the pool are labelled, chosen by each rule, and n-grams are fitted again.
Printed is macro-F1, and in brackets what it has more than with random texts: mean over the seeds
and its standard error.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
import polars as pl
from scipy.sparse import csr_array
from scipy.special import softmax
from sklearn.metrics import f1_score

from trueness.baselines.linear import LinearScores
from trueness.baselines.ngrams import Vectorizer
from trueness.labels import next_rows
from trueness.labels.next_rows import Pool, label_next
from trueness.text.signatures import TextSignatures
from trueness.text.synthetic import Catalogue

LABELLED, ROWS = 1500, 12_000
RULES = {"label-next": 0.05, "without rarity": 0.0, "square root": 0.5}
"""Rule -> power of the rarity of a language."""

MEASURES = ("mean of languages", "worst language", "all texts")


def catalogue(seed: int) -> pl.DataFrame:
    """Offers."""
    made = Catalogue(rows=ROWS, english_share=0.6, seed=seed)
    return pl.concat([batch.frame for piece in made.pieces() for batch in made.batches(piece)])


class World:
    """One catalogue, cut into three."""

    def __init__(self, seed: int) -> None:
        frame = catalogue(seed)
        self.texts, self.ids = frame["text"], frame["id"]
        self.language = frame["language"].to_numpy().astype(str)
        self.classes = tuple(frame["label"].unique().sort())
        self.y = np.array([self.classes.index(one) for one in frame["label"]])
        self.rng = np.random.default_rng(seed)
        order = self.rng.permutation(frame["cluster"].unique().sort().to_numpy())
        rank = dict(zip(order.tolist(), range(len(order)), strict=True))
        place = np.argsort([rank[one] for one in frame["cluster"]], kind="stable")
        self.labelled, self.pool, self.test = np.split(place, [LABELLED, ROWS * 5 // 8])
        _, self.x = Vectorizer.fitted(self.texts)

    def scores(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Scores of rows by n-grams that were fitted on others."""
        x = csr_array(self.x)
        model = LinearScores(x[rows], self.y[rows], len(self.classes), [x[others]],
                             loss="squared_hinge", seed=0)  # fmt: skip
        return model.fit(1e-5)[0]

    def measured(self, more: np.ndarray) -> tuple[float, ...]:
        """Macro-F1: mean over languages, the worst, and of all texts, with more labelled rows."""
        predicted = self.scores(np.concatenate([self.labelled, more]), self.test).argmax(axis=1)
        y, language = self.y[self.test], self.language[self.test]
        each = [f1_score(y[language == one], predicted[language == one], average="macro")
                for one in np.unique(language)]  # fmt: skip
        every = float(f1_score(y, predicted, average="macro"))
        return float(np.mean(each)), float(min(each)), every

    def proposed(self, n: int) -> np.ndarray:
        """Rows of the pool."""
        p = softmax(self.scores(self.labelled, self.pool) / 0.36, axis=1)
        pool = Pool(self.ids.gather(self.pool), self.texts.gather(self.pool),
                    self.language[self.pool], p, self.classes)  # fmt: skip
        known = TextSignatures.of(self.ids.gather(self.labelled), self.texts.gather(self.labelled))
        counts = Counter(self.language[self.labelled].tolist())
        result = label_next("", pool, counts, known, n).frame["id"]
        at = {one: i for i, one in enumerate(self.ids)}
        return np.array([at[one] for one in result])


def main() -> None:
    """Measure each rule on each seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--n", type=int, default=300)
    options = parser.parse_args()
    result: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(options.seeds):
        world = World(seed)
        result.setdefault("before", []).append(world.measured(world.pool[:0]))
        random = world.rng.choice(world.pool, options.n, replace=False)
        result.setdefault("random", []).append(world.measured(random))
        for name, power in RULES.items():
            next_rows.RARITY = power
            result.setdefault(name, []).append(world.measured(world.proposed(options.n)))
    for name, values in result.items():
        gain = np.array(values) - np.array(result["random"])
        error = gain.std(axis=0, ddof=1) / len(gain) ** 0.5
        mean = np.mean(values, axis=0)
        shown = ", ".join(
            f"{what} {m:.3f} ({g:+.3f} ± {e:.3f})"
            for what, m, g, e in zip(MEASURES, mean, gain.mean(axis=0), error, strict=True)
        )
        print(f"{name:16} {shown}")


if __name__ == "__main__":
    main()
