"""Tokens of a window at more than one scale of time, before the encoder: (B, N, d) -> (B, N, d).

Written with linear maps and matrix products alone, which `vmap` batches without loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.models.layers import linear
from trueness.models.noise import DropoutSource
from trueness.spec import scales as shapes

KERNEL = 3
"""Tokens under a dilated convolution."""


def pooling(n_tokens: int, scale: int, device: torch.device | None = None) -> Tensor:
    """Matrix (ceil(N / scale), N) of the means over `scale` neighbours; the last may have fewer.

    Examples
    --------
    >>> pooling(3, 2).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    group = torch.arange(n_tokens, device=device) // scale
    member = (torch.arange(-(-n_tokens // scale), device=device)[:, None] == group).float()
    return member / member.sum(1, keepdim=True)


class HierarchicalPool(nn.Module):
    """Means at several scales, each repeated over its tokens, then fused."""

    def __init__(
        self, shape: shapes.HierarchicalPool, d_model: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.scales, self.fusion = shape.scales, shape.fusion
        n = len(shape.scales)
        if shape.fusion == "concat":
            self.map = linear(n * d_model, d_model, generator)
        if shape.fusion == "attention":
            self.logits = nn.Parameter(torch.zeros(n))

    def forward(self, h: Tensor, noise: DropoutSource) -> Tensor:
        """Tokens of the same shape."""
        del noise
        each = [_repeated_means(h, scale) for scale in self.scales]
        if self.fusion == "concat":
            return self.map(torch.cat(each, -1))
        if self.fusion == "sum":
            return torch.stack(each).sum(0)
        return (torch.stack(each, -1) * self.logits.softmax(0)).sum(-1)


def _repeated_means(h: Tensor, scale: int) -> Tensor:
    """Mean of its group in the place of each token; nearest up-sampling of the pooled tokens."""
    if scale == 1:
        return h
    n = h.shape[1]
    means = pooling(n, scale, h.device).to(h.dtype) @ h
    return means.repeat_interleave(scale, 1)[:, :n]


class DilatedConv(nn.Module):
    """Convolutions at several distances, GELU, a linear map of all, a skip, LayerNorm."""

    def __init__(self, shape: shapes.DilatedConv, d_model: int, generator: torch.Generator) -> None:
        super().__init__()
        self.rates = shape.dilation_rates
        self.convolutions = nn.ModuleList(
            linear(KERNEL * d_model, d_model, generator) for _ in self.rates
        )
        self.map = linear(len(self.rates) * d_model, d_model, generator)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, h: Tensor, noise: DropoutSource) -> Tensor:
        """Tokens of the same shape."""
        n, each = h.shape[1], []
        for rate, convolution in zip(self.rates, self.convolutions, strict=True):
            padded = F.pad(h, (0, 0, rate, rate))
            taps = [padded[:, at : at + n] for at in (0, rate, 2 * rate)]
            each.append(F.gelu(convolution(torch.cat(taps, -1))))
        return self.norm(h + noise.drop(self.map(torch.cat(each, -1))))


class CrossAttention(nn.Module):
    """Tokens as queries, means over their neighbours as keys and values; a skip, LayerNorm."""

    def __init__(
        self, shape: shapes.CrossAttention, d_model: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.scale, self.heads = shape.scale, shape.n_heads
        self.query = linear(d_model, d_model, generator)
        self.key_value = linear(d_model, 2 * d_model, generator)
        self.out = linear(d_model, d_model, generator)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, h: Tensor, noise: DropoutSource) -> Tensor:
        """Tokens of the same shape."""
        coarse = pooling(h.shape[1], self.scale, h.device).to(h.dtype) @ h
        q = self.query(h).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.key_value(coarse).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        mixed = noise.drop(weights).to(v.dtype) @ v
        return self.norm(h + noise.drop(self.out(mixed.transpose(1, 2).flatten(2))))


SCALES: dict[str, Callable[..., nn.Module] | None] = {
    "none": None,
    "hierarchical_pool": HierarchicalPool,
    "multi_patch": None,  # patches of several lengths; nothing is done to their tokens
    "dilated_conv": DilatedConv,
    "cross_attention": CrossAttention,
}
"""Kind -> module of its shape, the width and a generator; None where tokens stay as they are."""


def between(shape: shapes.Multiscale, d_model: int, generator: torch.Generator) -> nn.Module | None:
    """What stands between the patches and the encoder."""
    make = SCALES[shape.kind]
    return None if make is None else make(shape, d_model, generator)
