"""Random changes of a batch of training windows, after their columns are brought to one scale.

Um et al., "Data Augmentation of Wearable Sensor Data for Parkinson's Disease Monitoring using
Convolutional Neural Networks" (2017), for noise, factors and warped time; Zhang et al., "mixup:
Beyond Empirical Risk Minimization" (2018). A network asks its source of noise to apply them, see
`trueness.models.noise`; whatever is drawn comes from the bytes of its member.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from trueness.spec.training import TRANSFORMS

KNOTS = 4
"""Of time, between the first row of a window and its last."""


class Draws(Protocol):
    """Where random numbers come from."""

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers in the shape of `like` (B, ...)."""
        ...

    def uniform(self, like: Tensor) -> Tensor:
        """Numbers from 0 to 1 in the shape of `like` (B, ...)."""
        ...


@dataclass(frozen=True)
class Augment:
    """What is done to windows (B, L, C), or to rows (B, D).

    Attributes
    ----------
    structure : tuple of str
        See `trueness.spec.training.Augmentation`.
    dials : (len(TRANSFORMS) + 1,) float32
        Strength of each transform, and the probability of all.
    weight : (B,) float32
        What each window keeps under mixup, 1 for those that keep all.
    partner : (B,) int64
        The window that takes the rest.
    """

    structure: tuple[str, ...]
    dials: Tensor
    weight: Tensor
    partner: Tensor

    def __call__(self, x: Tensor, draws: Draws) -> Tensor:
        """Windows of the same shape."""
        for name, transform in _TRANSFORMS.items():
            if name in self.structure:
                x = transform(self, x, draws)
        return x

    def strength(self, name: str, x: Tensor, draws: Draws) -> Tensor:
        """That of a transform for each window, (B, 1, ...): 0 for those that it does not meet."""
        drawn = draws.uniform(x.flatten(1)[:, 0])
        met = (drawn < self.dials[-1]).to(x.dtype) * self.dials[TRANSFORMS.index(name)]
        return met.reshape(-1, *[1] * (x.dim() - 1))


def _jitter(how: Augment, x: Tensor, draws: Draws) -> Tensor:
    """X + N(0, deviation)."""
    return x + how.strength("jitter", x, draws) * draws.normal(x)


def _scale(how: Augment, x: Tensor, draws: Draws) -> Tensor:
    """X * U(1 - r, 1 + r), one factor per window, or per column of a window."""
    like = x[:, 0] if x.dim() == 3 else x
    each = draws.uniform(like if "per_feature" in how.structure else like[:, :1])
    factor = 2 * each - 1 if x.dim() == 2 else (2 * each - 1)[:, None]
    return x * (1 + how.strength("scale", x, draws) * factor)


def _timewarp(how: Augment, x: Tensor, draws: Draws) -> Tensor:
    """Rows at warped times, linearly between those at hand.

    `KNOTS` evenly spaced times move by up to the strength, are kept inside and in order; between
    them time runs evenly, and the two ends stay.
    """
    moved = 2 * draws.uniform(x[:, :1, 0].expand(-1, KNOTS)) - 1
    even = torch.linspace(0, 1, KNOTS + 2, device=x.device, dtype=x.dtype)
    inner = even[1:-1] + how.strength("timewarp", x, draws)[:, :, 0] * moved
    inner = inner.clamp(0, 1).sort(1).values
    ends = torch.zeros_like(inner[:, :1])
    knots = torch.cat([ends, inner, ends + 1], 1)
    rows = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)
    between = rows * (KNOTS + 1) / (x.shape[1] - 1)
    from_knots = (1 - (between[:, None] - torch.arange(KNOTS + 2, device=x.device)).abs()).clamp(
        min=0
    )
    times = knots @ from_knots.T * (x.shape[1] - 1)  # (B, L)
    return (1 - (times[..., None] - rows).abs()).clamp(min=0) @ x


def _mixup(how: Augment, x: Tensor, draws: Draws) -> Tensor:
    """A part of each window and the rest of its partner."""
    del draws
    weight = how.weight.to(x.dtype).reshape(-1, *[1] * (x.dim() - 1))
    return weight * x + (1 - weight) * x[how.partner]


Transform: TypeAlias = Callable[[Augment, Tensor, Draws], Tensor]
_TRANSFORMS: dict[str, Transform] = {
    "jitter": _jitter, "scale": _scale, "timewarp": _timewarp, "mixup": _mixup,
}  # fmt: skip
"""In the order of `TRANSFORMS`."""
