"""Dropout and sampling whose randomness comes in from outside.

A network does not draw random numbers itself: it hands each dropout site to a `Noise` object, which
spends bytes that were drawn for this member beforehand. The same member sees the same bytes whether
it is trained alone or in a stack, so its result never depends on its neighbours. What a network
wants added to its loss takes the same way out.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from trueness.models.augmentation import Augment

BODY, HEAD = 0, 1
"""Positions of the two dropout rates of a network."""

NORMAL_BYTES = 3
"""Random bytes that one normal number costs."""


class DropoutSource(Protocol):
    """What a network's forward pass asks for at each dropout site."""

    def drop(self, h: Tensor, rate: int = BODY) -> Tensor:
        """Return `h` (B, ...) with some elements zeroed and the rest scaled up."""
        ...

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers in the shape of `like` (B, ...)."""
        ...

    def charge(self, cost: Tensor) -> None:
        """Add `cost` (B,) to the training loss of each example."""
        ...

    def weigh(self, weight: Tensor) -> None:
        """Let the training loss of each example count `weight` (B,) times."""
        ...

    def augment(self, x: Tensor) -> Tensor:
        """Windows (B, L, C) or rows (B, D), on one scale, as training sees them."""
        ...


class NoNoise:
    """Dropout and sampling switched off, nothing charged: evaluation."""

    def drop(self, h: Tensor, rate: int = BODY) -> Tensor:
        """Return `h` unchanged."""
        del rate
        return h

    def normal(self, like: Tensor) -> Tensor:
        """Return zeros, the mean."""
        return torch.zeros_like(like)

    def charge(self, cost: Tensor) -> None:
        """Ignore `cost`."""
        del cost

    def weigh(self, weight: Tensor) -> None:
        """Ignore `weight`."""
        del weight

    def augment(self, x: Tensor) -> Tensor:
        """Return `x` unchanged."""
        return x


class Noise:
    """Random bytes for one forward pass, handed out site by site.

    An element survives if its byte is at least ``level = round(256 * p)`` and is then multiplied by
    ``256 / (256 - level)``. NOTE[DIFF] rates are multiples of 1/256; the scale uses the rounded
    rate, so the expectation is exact.

    Parameters
    ----------
    draws : (B, M) uint8
        M bytes per example, M as `noise_per_example` says.
    level : (2,) uint8
        Rounded rates of body and head.
    scale : (2,) float32
    changes : Augment, optional
        What is done to windows.

    Attributes
    ----------
    used : int
        Bytes per example spent so far.
    penalty : (B,) float32
        What the network charged to each example.
    weight : (B,) float32
        What the network multiplies the loss of each example by.
    """

    def __init__(
        self, draws: Tensor, level: Tensor, scale: Tensor, changes: Augment | None = None
    ) -> None:
        self.draws, self.level, self.scale, self.changes = draws, level, scale, changes
        self.used = 0
        self.penalty = draws.new_zeros(len(draws), dtype=torch.float32)
        self.weight = torch.ones_like(self.penalty)

    def _spend(self, size: int) -> Tensor:
        part = self.draws[:, self.used : self.used + size]
        self.used += size
        return part

    def drop(self, h: Tensor, rate: int = BODY) -> Tensor:
        """Spend one byte per element of `h` (B, ...)."""
        part = self._spend(h[0].numel()).reshape(h.shape)
        keep = (part >= self.level[rate]).to(h.dtype)  # three times as fast as `where` on CPU
        return h * keep.mul_(self.scale[rate])

    def normal(self, like: Tensor) -> Tensor:
        """Normal quantiles of 2^24 equal steps, three bytes per number; none is beyond 5.5.

        With n of 0 to 2^24 - 1 from the bytes, ``u = (n + 0.5) / 2^24`` and the number is
        ``sqrt(2) erfinv(2 u - 1)``; ``2 u - 1`` is exact in float32.
        """
        return (math.sqrt(2) * torch.erfinv(self._signed(like))).to(like.dtype)

    def uniform(self, like: Tensor) -> Tensor:
        """Numbers between 0 and 1 in 2^24 equal steps, three bytes each."""
        return ((1 + self._signed(like)) / 2).to(like.dtype)

    def _signed(self, like: Tensor) -> Tensor:
        """Uniform numbers between -1 and 1, none of them at an end."""
        part = self._spend(NORMAL_BYTES * like[0].numel()).reshape(*like.shape, NORMAL_BYTES)
        high, middle, low = part.to(torch.int32).unbind(-1)
        odd = 2 * ((high * 256 + middle) * 256 + low) + 1 - 2**24
        return odd.to(torch.float32) / 2**24

    def charge(self, cost: Tensor) -> None:
        """Add `cost` (B,) to the penalty of each example."""
        self.penalty = self.penalty + cost

    def weigh(self, weight: Tensor) -> None:
        """Keep the weights; of networks side by side, all say the same."""
        self.weight = weight

    def augment(self, x: Tensor) -> Tensor:
        """Change the windows, if there is something to do to them."""
        return x if self.changes is None else self.changes(x, self)


class _Count:
    def __init__(self, changes: Augment | None) -> None:
        self.total, self.changes = 0, changes

    def drop(self, h: Tensor, rate: int = BODY) -> Tensor:
        del rate
        self.total += h[0].numel()
        return h

    def normal(self, like: Tensor) -> Tensor:
        self.total += NORMAL_BYTES * like[0].numel()
        return torch.zeros_like(like)

    uniform = normal

    def charge(self, cost: Tensor) -> None:
        del cost

    weigh = charge

    def augment(self, x: Tensor) -> Tensor:
        return x if self.changes is None else self.changes(x, self)


def noise_per_example(module: nn.Module, x: Tensor, changes: Augment | None = None) -> int:
    """Bytes that one training example costs, found by a pass over windows `x` (n, L, C)."""
    count = _Count(changes)
    with torch.no_grad():
        module(x, count)
    return count.total
