"""Pieces that networks share: the initialised linear map, and what brings columns to one scale."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UnsetLinear(nn.Linear):
    """Affine map whose numbers its maker sets, which spares drawing them twice."""

    def reset_parameters(self) -> None:
        """Draw nothing."""


class UnsetEmbedding(nn.Embedding):
    """Embedding whose numbers its maker sets."""

    def reset_parameters(self) -> None:
        """Draw nothing."""


def linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Affine map with torch's default initial distribution, drawn from `generator`."""
    layer = UnsetLinear(n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    if not layer.weight.is_meta:  # there it would do nothing but import for a second
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def attention_projections(width: int, generator: torch.Generator) -> tuple[nn.Linear, nn.Linear]:
    """Maps into queries, keys and values and out of the heads, with torch's initial values.

    Drawn as in `torch.nn.MultiheadAttention`: Xavier for the three inner maps together, no bias.
    """
    qkv = linear(width, 3 * width, generator)
    if not qkv.weight.is_meta:
        nn.init.xavier_uniform_(qkv.weight, generator=generator)
    out = linear(width, width, generator)
    for layer in (qkv, out):
        nn.init.zeros_(layer.bias)
    return qkv, out


def position_table(
    rows: int, width: int, deviation: float, generator: torch.Generator
) -> nn.Parameter:
    """Learned positions (rows, width), normal numbers at the start."""
    table = torch.empty(rows, width)
    if not table.is_meta:
        table.normal_(0, deviation, generator=generator)
    return nn.Parameter(table)


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """Weights that gradients reach, by name."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def working_precision(x: Tensor) -> torch.dtype:
    """Type in which products of `x` are taken: autocast's where it is on."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return x.dtype
    return torch.get_autocast_dtype(x.device.type)


def full_precision(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Context without autocast on the device of `x`; the meta device knows no autocast."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return contextlib.nullcontext()  # nothing to switch off, nor to leave in an exported graph
    return torch.autocast(x.device.type, enabled=False)


class RevIN(nn.Module):
    """Each column of a window shifted and scaled by its own mean and sample deviation, then affine.

    The affine step is folded into the linear map that follows: ``A (gamma z + beta) + b`` is
    computed as ``(A gamma) z + (A beta + b)``, which spares several passes over the widest tensor
    of the network.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(n_features))
        self.beta = nn.Parameter(torch.zeros(n_features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, C) -> (B, L, C), without the affine step."""
        centred = x - x.mean(1, keepdim=True)
        deviation = (centred.square().sum(1, keepdim=True) / (x.shape[1] - 1)).sqrt() + 1e-5
        return centred / deviation

    def fold(self, layer: nn.Linear) -> tuple[Tensor, Tensor]:
        """Weight and bias of `layer` with the affine step inside.

        Inputs of `layer` repeat the C columns.
        """
        weight = layer.weight.unflatten(1, (-1, len(self.gamma)))
        bias = layer.bias + (weight.sum(1) * self.beta).sum(1)
        return (weight * self.gamma).flatten(1), bias


def affine(x: Tensor, layer: nn.Linear, revin: RevIN | None) -> Tensor:
    """`layer` after the affine step of `revin`, in one map."""
    return layer(x) if revin is None else F.linear(x, *revin.fold(layer))


def rescaled(x: Tensor, revin: RevIN | None) -> Tensor:
    """The affine step of `revin` alone, where no linear map follows; x (B, L, C)."""
    return x if revin is None else x * revin.gamma + revin.beta


LEAST_DEVIATION = 1e-6
"""Deviation of a column, over its largest absolute value, below which it counts as constant."""


class Standardised(nn.Module):
    """Columns (..., D) shifted and scaled by numbers that training leaves as they are.

    They are 0 and 1 until `standardisation` of the training windows is put in their place.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return (x - self.shift) / self.scale


def standardisation(pieces: Iterable[Tensor]) -> dict[str, Tensor]:
    """Mean and deviation of every column, for the `Standardised` that a network calls `columns`.

    Sums are taken in float64 after Chan, Golub and LeVeque, "Algorithms for Computing the Sample
    Variance" (1983). A constant column is only shifted.

    Parameters
    ----------
    pieces : iterable of (b, D)

    Examples
    --------
    >>> standardisation([torch.tensor([[1.0, 7.0]]), torch.tensor([[3.0, 7.0]])])["columns.scale"]
    tensor([1., 1.])
    """
    n, mean, square, largest = 0, *(torch.zeros(()) for _ in range(3))
    for piece in pieces:
        columns = piece.double()
        gap, total = columns.mean(0) - mean, n + len(columns)
        square = square + columns.var(0, correction=0) * len(columns)
        square = square + gap.square() * n * len(columns) / total
        mean, n = mean + gap * len(columns) / total, total
        largest = torch.maximum(largest.to(columns), columns.abs().amax(0))
    deviation = (square / n).sqrt()
    scale = torch.where(deviation > LEAST_DEVIATION * largest, deviation, 1.0)
    return {"columns.shift": mean.float(), "columns.scale": scale.float()}
