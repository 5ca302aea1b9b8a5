"""Channel-mixing patch transformer.

After Nie et al., "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers" (2023),
with all columns mixed in one token, and Kim et al., "Reversible Instance Normalization" (2022).
Returns logits. Attention is written out: with about ten patches it costs nothing, and the fused
kernel has no batching rule under `vmap` on CPU.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.models.embeddings import each_day, embed
from trueness.models.layers import (
    RevIN,
    affine,
    attention_projections,
    full_precision,
    linear,
    position_table,
)
from trueness.models.measuring import NetworkRow, measured_activation_bytes, on_meta
from trueness.models.noise import HEAD, DropoutSource, NoNoise
from trueness.spec import model as shapes

SPARE_POSITIONS = 10


class EncoderLayer(nn.Module):
    """Pre-norm attention and feed-forward block: (B, N, d) -> (B, N, d)."""

    def __init__(self, model: shapes.PatchTST, generator: torch.Generator) -> None:
        super().__init__()
        d, self.heads = model.d_model, model.n_heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = attention_projections(d, generator)
        self.up = linear(d, model.d_ff, generator)
        self.down = linear(model.d_ff, d, generator)

    def _attend(self, h: Tensor, noise: DropoutSource) -> Tensor:
        shape = (*h.shape[:-1], 3, self.heads, h.shape[-1] // self.heads)
        q, k, v = self.qkv(h).reshape(shape).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
        mixed = noise.drop(weights).to(v.dtype) @ v
        return self.out(mixed.transpose(1, 2).reshape(h.shape))

    def forward(self, h: Tensor, noise: DropoutSource) -> Tensor:
        """Two residual steps."""
        h = h + noise.drop(self._attend(self.norm1(h), noise))
        inner = noise.drop(F.gelu(self.up(self.norm2(h))))
        return h + noise.drop(self.down(inner))


class PatchTST(nn.Module):
    """Windows (B, L, C) to logits (B,)."""

    def __init__(
        self, model: shapes.PatchTST, n_features: int, context: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.model, width = model, model.embedding.width_of(n_features)
        self.rates = (model.dropout, model.head_dropout)
        self.samples = model.embedding.samples
        self.revin = RevIN(n_features) if model.revin else None
        self.embedding = embed(model.embedding, n_features, generator)
        n_patches = patch_count(model, context)
        self.patch = linear(model.patch_length * width, model.d_model, generator)
        rows = n_patches + SPARE_POSITIONS
        self.positions = position_table(rows, model.d_model, model.position_std, generator)
        self.layers = nn.ModuleList(EncoderLayer(model, generator) for _ in range(model.n_layers))
        self.norm = nn.LayerNorm(model.d_model)
        self.head = linear(n_patches * model.d_model, 1, generator)

    def forward(self, x: Tensor, noise: DropoutSource | None = None) -> Tensor:
        """Logits of a batch; `noise` switches dropout on."""
        noise, revin = noise or NoNoise(), self.revin
        x = x if revin is None else revin(x)
        if self.embedding is not None:
            x, revin = self.embedding(x, noise, revin), None
        patches = x.unfold(1, self.model.patch_length, self.model.stride)  # (B, N, E, p)
        h = affine(patches.transpose(2, 3).flatten(2), self.patch, revin)
        h = noise.drop(h + self.positions[: h.shape[1]])
        for layer in self.layers:
            h = layer(h, noise)
        h = noise.drop(self.norm(h).flatten(1), HEAD)
        # a bf16 logit has 8 bits: days would tie
        with full_precision(h):
            return self.head(h.to(self.head.weight.dtype)).squeeze(-1)


def patch_count(model: shapes.PatchTST, context: int) -> int:
    """Patches that a window of `context` rows is cut into."""
    return (context - model.patch_length) // model.stride + 1


def build(
    model: shapes.PatchTST, n_features: int, context: int, generator: torch.Generator
) -> PatchTST:
    """Whole network with initial weights drawn from `generator`, on CPU.

    Parameters
    ----------
    model : trueness.shapes.PatchTST
    n_features : int
        Columns of a window, C.
    context : int
        Rows of a window, L.
    generator : torch.Generator
        The only source of randomness.

    Examples
    --------
    >>> from trueness.spec.model import PatchTST as Shape
    >>> module = build(Shape(kind="patchtst"), 20, 80, torch.Generator().manual_seed(0))
    >>> module(torch.randn(4, 80, 20)).shape
    torch.Size([4])
    """
    return PatchTST(model, n_features, context, generator)


def multiply_adds(model: shapes.PatchTST, n_features: int, context: int) -> int:
    """Multiply-adds of one forward pass over one window.

    Linear maps times their uses. Attention between patches is left out, it is small; attention
    across columns is not, and counts.
    """
    embedding = _skeleton(model, n_features, context).embedding
    days = 0 if embedding is None else context * each_day(embedding, n_features)
    block = 4 * model.d_model**2 + 2 * model.d_model * model.d_ff
    patch = model.patch_length * model.embedding.width_of(n_features) * model.d_model
    return days + patch_count(model, context) * (patch + model.n_layers * block)


def activation_bytes(model: shapes.PatchTST, n_features: int, context: int) -> int:
    """What one more training example keeps; layers are alike, so two shallow networks tell it."""
    one, two = (
        _kept(model.model_copy(update={"n_layers": n}), n_features, context) for n in (1, 2)
    )
    return one + (model.n_layers - 1) * (two - one)


@lru_cache(maxsize=4096)
def _kept(model: shapes.PatchTST, n_features: int, context: int) -> int:
    return measured_activation_bytes(_skeleton(model, n_features, context), n_features, context)


def _skeleton(model: shapes.PatchTST, n_features: int, context: int) -> PatchTST:
    return cast(PatchTST, on_meta(build, model, n_features, context))


ROW = NetworkRow(build, multiply_adds=multiply_adds, activation_bytes=activation_bytes)
