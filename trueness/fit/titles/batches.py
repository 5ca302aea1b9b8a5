"""Which texts an epoch draws, in which batches and updates.

Everything follows from the recipe, the seed and the number of the epoch, so that the place in an
epoch is one number, and a run that is resumed draws what an uninterrupted one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.losses.groups import sampling_probabilities
from trueness.spec.titles import TitlesRecipe

Rows: TypeAlias = NDArray[np.int64]
SORTED_BATCHES = 100
"""Batches whose texts are sorted by length together; shorter stretches pad more."""


def drawn(language: NDArray[np.int64], recipe: TitlesRecipe, rng: np.random.Generator) -> Rows:
    """Rows of one epoch in random order; each once, or languages in proportion to ``n ** alpha``.

    A language that is drawn more often than it has texts repeats all of them equally often, up to
    one, and none more than `max_repeats` times. An epoch has as many texts as there are, or fewer
    where that limit holds.

    Parameters
    ----------
    language : (N,)
        Number of each text's language.
    """
    if recipe.sampling_alpha == 1:
        return rng.permutation(len(language))
    counts = np.bincount(language)
    wanted = sampling_probabilities(counts, recipe.sampling_alpha) * len(language)
    wanted = np.minimum(np.rint(wanted), recipe.max_repeats * counts).astype(np.int64)
    parts = []
    for code in np.flatnonzero(counts):
        rows = np.flatnonzero(language == code)
        whole, rest = divmod(int(wanted[code]), len(rows))
        parts += [np.tile(rows, whole), rng.permutation(rows)[:rest]]
    return rng.permutation(np.concatenate(parts))


def batched(rows: Rows, lengths: NDArray[np.int64], recipe: TitlesRecipe) -> list[Rows]:
    """Cut rows into batches of at most `batch_size` texts, or of `batch_tokens` padded tokens.

    A text longer than `batch_tokens` is a batch of its own.
    """
    if recipe.batch_tokens is None:
        return np.split(rows, range(recipe.batch_size, len(rows), recipe.batch_size))
    batches, start, longest = [], 0, 0
    for end, length in enumerate(lengths[rows].tolist()):
        longest = max(longest, length)
        if end > start and (end + 1 - start) * longest > recipe.batch_tokens:
            batches.append(rows[start:end])
            start, longest = end, length
    return [*batches, rows[start:]]


def epoch_updates(
    lengths: NDArray[np.int64], language: NDArray[np.int64], recipe: TitlesRecipe, seed: int,
    epoch: int,
) -> list[list[Rows]]:  # fmt: skip
    """Updates of an epoch, each a list of batches of rows; the last one may have fewer.

    Parameters
    ----------
    lengths, language : (N,)
        Tokens, and number of the language, of every text of the train part.
    epoch : int
        From 0.
    """
    rng = np.random.default_rng((seed, epoch))
    rows = drawn(language, recipe, rng)
    batches = _by_length(rows, lengths, recipe, rng) if recipe.bucket else None
    batches = batched(rows, lengths, recipe) if batches is None else batches
    step = recipe.grad_accum
    return [batches[start : start + step] for start in range(0, len(batches), step)]


def _by_length(
    rows: Rows, lengths: NDArray[np.int64], recipe: TitlesRecipe, rng: np.random.Generator
) -> list[Rows]:
    """Batches of texts of similar length, in random order."""
    size = recipe.batch_size
    if recipe.batch_tokens is not None:
        size = max(1, int(recipe.batch_tokens // max(lengths[rows].mean(), 1)))
    batches: list[Rows] = []
    for start in range(0, len(rows), SORTED_BATCHES * size):
        stretch = rows[start : start + SORTED_BATCHES * size]
        ordered = stretch[np.argsort(lengths[stretch], kind="stable")]
        batches += batched(ordered, lengths, recipe)
    return [batches[i] for i in rng.permutation(len(batches))]


def count_updates(
    lengths: NDArray[np.int64], language: NDArray[np.int64], recipe: TitlesRecipe, seed: int
) -> list[int]:
    """Updates of every epoch."""
    if recipe.batch_tokens is None and recipe.sampling_alpha == 1:
        batches = -(-len(lengths) // recipe.batch_size)
        return [-(-batches // recipe.grad_accum)] * recipe.epochs
    return [
        len(epoch_updates(lengths, language, recipe, seed, epoch)) for epoch in range(recipe.epochs)
    ]


def padded_share(updates: Sequence[Sequence[Rows]], lengths: NDArray[np.int64]) -> float:
    """Share of the tokens of some updates that are padding."""
    padded = sum(int(lengths[rows].max()) * len(rows) for update in updates for rows in update)
    real = sum(int(lengths[rows].sum()) for update in updates for rows in update)
    return 1 - real / padded
