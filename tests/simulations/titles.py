"""Made-up titles whose true macro-F1 is known: languages, clusters of one class, several methods."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from trueness.evaluation.blocks import Blocks

NEXT = 0.6
"""Share of wrong predictions that name the next class; the others name any other one."""
WITHIN, BETWEEN = 0.5, 0.6
"""Correlation of the hits inside a cluster, and of the hits of two methods on one text."""


@dataclass(frozen=True)
class Titles:
    """A world of titles.

    Attributes
    ----------
    texts : tuple of int
        Texts of each language; the first is English.
    cluster : int
        Texts of one cluster.
    prior : (K,)
        How often a class occurs.
    right : (methods, languages, K)
        Probability that a text of the class is recognised.
    """

    texts: tuple[int, ...]
    cluster: int
    prior: np.ndarray
    right: np.ndarray

    @property
    def names(self):
        """Languages, English first."""
        return ["en", *(f"l{i}" for i in range(1, len(self.texts)))]

    def f1(self, method=0):
        """True F1 of each class in each language, (languages, K)."""
        k = len(self.prior)
        spread = np.full((k, k), (1 - NEXT) / (k - 1)) + NEXT * np.roll(np.eye(k), 1, axis=1)
        np.fill_diagonal(spread, 0)
        hit = self.prior * self.right[method]
        return 2 * hit / (self.prior + hit + (self.prior - hit) @ spread)

    def draw(self, rng):
        """Labels (n,), predictions (methods, n), languages (n,) and blocks."""
        k, methods = len(self.prior), len(self.right)
        language = np.repeat(np.arange(len(self.texts)), self.texts)
        place = np.concatenate([np.arange(n) // self.cluster for n in self.texts])
        cluster = np.unique(language * 10**6 + place, return_inverse=True)[1]
        y = rng.choice(k, cluster.max() + 1, p=self.prior)[cluster]
        n, inside = len(y), WITHIN * (self.cluster > 1)
        shared, own = (
            np.sqrt(BETWEEN) * rng.normal(size=size) + np.sqrt(1 - BETWEEN) * rng.normal(
                size=(methods, size))
            for size in (cluster.max() + 1, n)
        )  # fmt: skip
        latent = np.sqrt(inside) * shared[:, cluster] + np.sqrt(1 - inside) * own
        wrong = np.where(rng.random((methods, n)) < NEXT, 1, rng.integers(1, k, (methods, n)))
        hit = ndtr(latent) < self.right[:, language, y]
        predicted = np.where(hit, y, (y + wrong) % k)
        return y, predicted, np.array(self.names)[language], Blocks.of(n, cluster=cluster)


def falling(k, power=0.7):
    """Class frequencies with a long tail, (k,)."""
    share = 1 / np.arange(1, k + 1) ** power
    return share / share.sum()


def alike(texts, cluster, k=24, methods=1, right=0.8, prior=None):
    """Every method and every language recognises each class alike; classes differ."""
    each = np.clip(np.random.default_rng(1).normal(right, 0.08, k), 0.5, 0.97)
    shape = (methods, len(texts), k)
    prior = falling(k) if prior is None else prior
    return Titles(tuple(texts), cluster, prior, np.broadcast_to(each, shape).copy())
