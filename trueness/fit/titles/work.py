"""Work of training an encoder: of batches as they are made, or of what a sample of texts tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueness.fit.titles.batches import Rows, epoch_updates
from trueness.models import titles_flops, titles_training_bytes
from trueness.spec.titles import Encoder, TitlesSpec

PASSES = 3
"""A training step takes as many forward passes: one forward, two backward."""
Sizes = tuple[int, int]
"""Vocabulary and number of classes."""


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
    spec: TitlesSpec, lengths: NDArray[np.int64], language: NDArray[np.int64], sizes: Sizes,
    epochs: int,
) -> float:  # fmt: skip
    """GFLOP of so many epochs, their padding included; scoring is left out.

    Parameters
    ----------
    spec : TitlesSpec
        Of an encoder.
    lengths, language : (N,)
        Tokens, and number of the language, of every text of the train part.
    sizes : Sizes
    epochs : int
    """
    made = (epoch_updates(lengths, language, spec.recipe, spec.seed, e) for e in range(epochs))
    return sum(_gflop(spec, updates, lengths, sizes) for updates in made)


def _gflop(
    spec: TitlesSpec, updates: Sequence[Sequence[Rows]], lengths: NDArray[np.int64], sizes: Sizes
) -> float:
    assert isinstance(spec.model, Encoder)
    batches = [rows for update in updates for rows in update]
    longest = np.array([lengths[rows].max() for rows in batches])
    each = titles_flops(spec.model, *sizes, longest)
    return float(PASSES * each @ np.array([len(rows) for rows in batches])) / 1e9


def expected_gflop(spec: TitlesSpec, some: Sampled, sizes: Sizes) -> float:
    """GFLOP of all epochs of the recipe, by batches of a sample."""
    one = gflop_of(spec, some.lengths, some.language, sizes, 1)
    return one * spec.recipe.epochs * some.total / len(some.lengths)


def training_bytes(spec: TitlesSpec, some: Sampled, sizes: Sizes) -> int:
    """Memory of training with a batch of the longest texts of a sample; an estimate."""
    assert isinstance(spec.model, Encoder)
    longest, recipe = int(some.lengths.max()), spec.recipe
    rows = recipe.batch_size
    if recipe.batch_tokens is not None:
        rows = max(1, recipe.batch_tokens // longest)
    return titles_training_bytes(
        spec.model, *sizes, rows=min(rows, some.total), tokens=longest,
        averaged=recipe.ema is not None,
    )  # fmt: skip
