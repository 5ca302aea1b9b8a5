"""Work of training on titles: of batches as they are made, or of what a sample of texts tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.fit.titles.batches import epoch_updates
from trueness.spec.titles import TitlesSpec

Flops: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Positions of texts (n,), padding included, to operations of a training step on each, (n,)."""


@dataclass(frozen=True)
class Sampled:
    """Tokens and language of some of N texts of the train part, evenly spaced.

    Attributes
    ----------
    lengths, language : (n,)
    total : int
        N.
    """

    lengths: NDArray[np.int64]
    language: NDArray[np.int64]
    total: int


def gflop_of(
    spec: TitlesSpec, lengths: NDArray[np.int64], language: NDArray[np.int64], step: Flops,
    epochs: int,
) -> float:  # fmt: skip
    """GFLOP of so many epochs, their padding included; scoring is left out.

    Parameters
    ----------
    spec : TitlesSpec
        Of a network.
    lengths, language : (N,)
        Tokens, and number of the language, of every text of the train part.
    step : callable
    epochs : int
    """
    total = 0.0
    for epoch in range(epochs):
        updates = epoch_updates(lengths, language, spec.recipe, spec.seed, epoch)
        batches = [rows for update in updates for rows in update]
        longest = np.array([lengths[rows].max() for rows in batches])
        total += float(step(longest) @ np.array([len(rows) for rows in batches]))
    return total / 1e9


def expected_gflop(spec: TitlesSpec, some: Sampled, step: Flops) -> float:
    """GFLOP of all epochs of the recipe, by batches of a sample."""
    one = gflop_of(spec, some.lengths, some.language, step, 1)
    return one * spec.recipe.epochs * some.total / len(some.lengths)
