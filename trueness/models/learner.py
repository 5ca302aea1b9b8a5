"""A network with what it needs to learn from windows without labels, and loses afterwards."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.models.layers import linear
from trueness.models.noise import DropoutSource
from trueness.spec import training as shapes

POINT = 128
"""Width of a projected point, D, as published."""
EPSILON = 1e-5


class Points(NamedTuple):
    """What becomes of windows (B, L, C).

    Attributes
    ----------
    mean : (B, D)
        Projection of the mean over the tokens.
    tokens : (B, N, D)
        Projections of the tokens; N is 0 where nothing reads them.
    predicted : (B, D)
        Prediction of the other view's point; D is 0 where nothing reads it.
    """

    mean: Tensor
    tokens: Tensor
    predicted: Tensor


class BatchNorm(nn.Module):
    """Columns (n, D) by mean and deviation of the batch, padding left out; nothing is remembered.

    Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
    Covariate Shift" (2015), in training.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """(n, D) -> (n, D) in float32; `real` (n,) is 0 for padding."""
        x, share = x.float(), (real / real.sum().clamp(min=1))[:, None]
        centred = x - (x * share).sum(0)
        variance = (centred.square() * share).sum(0)
        return centred * (variance + EPSILON).rsqrt() * self.gain + self.bias


class Head(nn.Module):
    """Linear, batch normalisation, ReLU, linear: (n, d) -> (n, D)."""

    def __init__(self, n_in: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.up, self.norm = linear(n_in, hidden, generator), BatchNorm(hidden)
        self.down = linear(hidden, POINT, generator)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Points, which are not of unit length."""
        return self.down(F.relu(self.norm(self.up(x), real)))


class Learner(nn.Module):
    """A network and its heads; the network's parameters come first."""

    def __init__(
        self, encoder: nn.Module, width: int, pretraining: shapes.Pretraining,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder = encoder
        self.head = Head(width, width, generator)
        self.in_time = bool(getattr(pretraining, "lambda_temporal", 0.0))
        self.predictor = Head(POINT, POINT, generator) if pretraining.kind == "byol" else None

    def forward(self, x: Tensor, noise: DropoutSource, real: Tensor) -> Points:
        """Points of windows (B, L, C); `real` (B,) is 0 for padding."""
        tokens, _ = cast(Any, self.encoder).tokens(x, noise)
        mean = self.head(tokens.mean(1), real)
        nothing = mean[:, :0]
        each = nothing[:, None]
        if self.in_time:
            n = tokens.shape[1]
            each = self.head(tokens.flatten(0, 1), real.repeat_interleave(n)).unflatten(0, (-1, n))
        predicted = nothing if self.predictor is None else self.predictor(mean, real)
        return Points(mean, each, predicted)
