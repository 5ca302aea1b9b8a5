"""Random streams of a member: initial weights, batch order, dropout; each from its own seed.

A member's streams depend on the seed of its spec and on its fold alone, never on the stack around
it.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WEIGHTS, _ORDER, _DROPOUT, _MIXING = 0, 1, 2, 3
PURPOSES = 4
"""Streams of one phase; those of a further phase have further seeds."""


def _seed(seed: int, fold: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, fold, purpose])


class Streams:
    """Generators of one member, in one phase of its training."""

    def __init__(self, seed: int, fold: int, device: str, phase: int = 0) -> None:
        begin = phase * PURPOSES
        weights = _seed(seed, fold, begin + _WEIGHTS)
        self._weights = int(weights.generate_state(1, np.uint64)[0] >> 1)
        self._order = np.random.default_rng(_seed(seed, fold, begin + _ORDER))
        self._mixing = np.random.default_rng(_seed(seed, fold, begin + _MIXING))
        sequence = _seed(seed, fold, begin + _DROPOUT)
        self._bytes = np.random.SFC64(sequence)
        self._device = device
        if device != "cpu":
            state = int(sequence.generate_state(1, np.uint64)[0] >> 1)
            self._generator = torch.Generator(device).manual_seed(state)

    def weights(self) -> torch.Generator:
        """Generator of the initial weights, on CPU."""
        return torch.Generator().manual_seed(self._weights)

    def permutation(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Order of the next epoch."""
        return self._order.permutation(rows)

    def mixing(
        self, alpha: float, probability: float, shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Beta(alpha, alpha) numbers with `probability`, else 1."""
        weight = self._mixing.beta(alpha, alpha, shape)
        return np.where(self._mixing.random(shape) < probability, weight, 1).astype(np.float32)

    def draw(self, n_bytes: int) -> Tensor:
        """Random bytes (n,) uint8 on the member's device; n is a multiple of 8."""
        if self._device == "cpu":
            return torch.from_numpy(self._bytes.random_raw(n_bytes // 8).view(np.uint8))
        words = torch.empty(n_bytes // 8, dtype=torch.int64, device=self._device)
        return words.random_(-(2**63), None, generator=self._generator).view(torch.uint8)
