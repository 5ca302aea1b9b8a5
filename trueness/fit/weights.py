"""What the members of a stack consist of: weights that are trained, and tensors that are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Weights:
    """Weights of K networks of one shape, row by row.

    Attributes
    ----------
    theta : (K, P) float32
        Trained ones, one after another.
    fixed : dict of str to (K, ...)
        Buffers and frozen parameters.
    """

    theta: Tensor
    fixed: dict[str, Tensor]

    def __getitem__(self, rows: slice | Tensor | list[int]) -> Weights:
        """Some of the networks."""
        return Weights(self.theta[rows], {name: t[rows] for name, t in self.fixed.items()})

    def one(self, k: int) -> Weights:
        """A copy of one network, on its own."""
        copied = {name: t[k : k + 1].clone() for name, t in self.fixed.items()}
        return Weights(self.theta[k : k + 1].detach().clone(), copied)


def gathered(rows: Sequence[Weights], device: str) -> Weights:
    """Weights of several networks in one, on a device."""
    fixed = {n: torch.cat([one.fixed[n] for one in rows]).to(device) for n in rows[0].fixed}
    return Weights(torch.cat([one.theta for one in rows]).to(device), fixed)


class Layout:
    """Where the tensors of a module lie in `Weights`.

    Parameters
    ----------
    module : nn.Module
        Any of the networks: all have the same tensors.
    """

    def __init__(self, module: nn.Module) -> None:
        self.shapes = {n: p.shape for n, p in module.named_parameters() if p.requires_grad}
        self.sizes = [shape.numel() for shape in self.shapes.values()]
        self.stored = tuple(module.state_dict())

    def row(self, module: nn.Module) -> Weights:
        """Weights of one module, K = 1, on their own."""
        named = dict(module.named_parameters())
        theta = torch.cat([named[name].detach().flatten() for name in self.shapes])
        others = [*named.items(), *module.named_buffers()]
        fixed = {n: t.detach().clone()[None] for n, t in others if n not in self.shapes}
        return Weights(theta[None], fixed)

    def named(self, weights: Weights) -> dict[str, Tensor]:
        """Tensors by name, each (K, *shape)."""
        pieces = weights.theta.split(self.sizes, dim=1)
        k = len(weights.theta)
        trained = {
            name: piece.reshape(k, *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }
        return trained | weights.fixed

    def arrays(self, weights: Weights) -> dict[str, NDArray[Any]]:
        """What is stored of one network: enough to load it into a module that is built again."""
        named = self.named(weights)
        return {name: named[name][0].cpu().numpy() for name in self.stored if name in named}

    def loaded(self, arrays: Mapping[str, NDArray[Any]], other: Weights) -> Weights:
        """Weights (K = 1) of `arrays`; what is not stored is that of `other`, K = 1."""
        device = other.theta.device
        stored = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        theta = torch.cat([stored[name].flatten() for name in self.shapes])[None]
        fixed = {name: stored[name][None] if name in stored else tensor
                 for name, tensor in other.fixed.items()}  # fmt: skip
        return Weights(theta, fixed)
