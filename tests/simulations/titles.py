"""Promises about classifiers of texts: macro-F1 of many classes, and equal methods compared.

Texts come in clusters of the same class, which are hard or easy together; common classes hold many
of them, rare ones few.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.intervals import covers
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.slices import measure_slices

LARGE = 400_000
"""Texts of a sample that stands for all texts."""


@dataclass(frozen=True)
class Titles:
    """Texts of a number of classes in clusters of a number of texts."""

    classes: int
    cluster: int
    skill: float = 2.6


TITLES = {
    "24 classes, clusters of 3": Titles(24, 3),
    "24 classes, single texts": Titles(24, 1),
    "6 classes, clusters of 3": Titles(6, 3),
}


def texts(
    rng: np.random.Generator, kind: Titles, n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Classes (n,), logits (n, K) and clusters (n,)."""
    share = 1 / np.arange(1, kind.classes + 1) ** 0.7
    clusters = -(-n // kind.cluster)
    cluster = np.repeat(np.arange(clusters), kind.cluster)[:n]
    y = rng.choice(kind.classes, clusters, p=share / share.sum())[cluster]
    shared, own = rng.standard_normal((2, n, kind.classes), np.float32)
    noise = np.sqrt(0.5) * (shared[cluster] + own)
    logits = kind.skill * (kind.skill * np.eye(kind.classes, dtype=np.float32)[y] + noise)
    return y, logits + np.log(share / share.sum()), cluster


@lru_cache(maxsize=16)
def true_f1(kind: Titles) -> NDArray[np.float64]:
    """F1 of each class among all texts, (K,)."""
    y, logits, _ = texts(np.random.default_rng(90_005), kind, LARGE)
    predicted, k = logits.argmax(axis=1), kind.classes
    hits, own, said = (np.bincount(x, minlength=k) for x in (y[y == predicted], y, predicted))
    return 2 * hits / (own + said)


def counted(y: NDArray[np.int64], cluster: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """Classes that macro-F1 is promised for: five texts of two clusters at least, (K,)."""
    clusters = np.bincount(y[np.unique(cluster, return_index=True)[1]], minlength=classes)
    return (np.bincount(y, minlength=classes) >= 5) & (clusters >= 2)


def _macro_f1(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    kind = TITLES[case.setting]
    y, logits, cluster = texts(rng, kind, case.n)
    found = measure_slices(
        y, logits, None, Blocks.of(case.n, cluster=cluster),
        classes=[f"c{i}" for i in range(kind.classes)],
    )  # fmt: skip
    known = true_f1(kind)[counted(y, cluster, kind.classes)]
    return {"macro-F1": covers(found.overall.macro_f1, float(known.mean())) if len(known) else None}


TEXTS = Experiment(
    "titles", "Classifiers of texts", (Promise("macro-F1"),),
    tuple(Case(name, n) for name in TITLES for n in (100, 300, 1000)), 1000, _macro_f1,
)  # fmt: skip
