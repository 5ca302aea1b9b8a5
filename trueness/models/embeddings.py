"""Maps of a day's C columns to a vector of width e, between RevIN and the patches.

Each is called with windows (B, L, C), the source of its dropout, and RevIN where its affine step
is still to be done, and returns (B, L, e). The affine step is folded into every linear map that
reads the columns and written out where a column passes unmapped.

Parts are published one by one: gated residual unit after Lim et al., "Temporal Fusion Transformers"
(2021); attention after Vaswani et al., "Attention Is All You Need" (2017); sampling and its
Kullback-Leibler cost after Kingma and Welling, "Auto-Encoding Variational Bayes" (2014).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.models.columns import attend_columns
from trueness.models.layers import (
    RevIN,
    affine,
    attention_projections,
    full_precision,
    linear,
    position_table,
    rescaled,
)
from trueness.models.measuring import map_weights
from trueness.models.noise import DropoutSource
from trueness.spec import embedding as shapes


class LinearEmbedding(nn.Module):
    """Affine map, LayerNorm, dropout."""

    def __init__(
        self, embedding: shapes.LinearEmbedding, n_features: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.map = linear(n_features, embedding.width, generator)
        self.norm = nn.LayerNorm(embedding.width)

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        return noise.drop(self.norm(affine(x, self.map, revin)))


class ProgressiveEmbedding(nn.Module):
    """Steps of affine map, LayerNorm, GELU, dropout, whose widths shrink geometrically."""

    def __init__(
        self, embedding: shapes.ProgressiveEmbedding, n_features: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        widths = progressive_widths(n_features, embedding.width, embedding.num_layers)
        self.first, self.norm = linear(n_features, widths[0], generator), nn.LayerNorm(widths[0])
        self.later = nn.Sequential()
        for n_in, n_out in pairwise(widths):
            self.later.append(nn.Sequential(linear(n_in, n_out, generator), nn.LayerNorm(n_out)))

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        h = noise.drop(F.gelu(self.norm(affine(x, self.first, revin))))
        for step in self.later:
            h = noise.drop(F.gelu(step(h)))
        return h


def progressive_widths(n_features: int, width: int, steps: int) -> list[int]:
    """Widths after each step: the one before times (e / C)^(1 / steps), rounded down, at least e.

    Examples
    --------
    >>> progressive_widths(500, 16, 3)
    [158, 50, 16]
    """
    ratio, widths = (width / n_features) ** (1 / steps), [n_features]
    for _ in range(steps - 1):
        widths.append(max(math.floor(widths[-1] * ratio), width))
    return [*widths[1:], width]


class BottleneckEmbedding(nn.Module):
    """Through b = max(4, floor(min(C, e) * ratio)) numbers, beside a skip around them.

    Encoder: affine map, LayerNorm, GELU, dropout. Decoder: affine map, LayerNorm, dropout. The skip
    is an affine map, or nothing where C = e; LayerNorm of the sum.
    """

    def __init__(
        self, embedding: shapes.BottleneckEmbedding, n_features: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        width = embedding.width
        inner = latent_width(n_features, width, embedding.compression_ratio)
        self.down, self.norm1 = linear(n_features, inner, generator), nn.LayerNorm(inner)
        self.up, self.norm2 = linear(inner, width, generator), nn.LayerNorm(width)
        self.skip = self.norm3 = None
        if embedding.use_skip:
            self.skip = _skip(n_features, width, generator)
            self.norm3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        inner = noise.drop(F.gelu(self.norm1(affine(x, self.down, revin))))
        h = noise.drop(self.norm2(self.up(inner)))
        return h if self.norm3 is None else self.norm3(h + _around(x, self.skip, revin))


def latent_width(n_features: int, width: int, ratio: float) -> int:
    """Numbers in the narrowest place: max(4, floor(min(C, e) * ratio))."""
    return max(4, math.floor(min(n_features, width) * ratio))


def _skip(n_features: int, width: int, generator: torch.Generator) -> nn.Linear | None:
    return None if n_features == width else linear(n_features, width, generator)


def _around(x: Tensor, skip: nn.Linear | None, revin: RevIN | None) -> Tensor:
    """The columns mapped by `skip`, or as they are."""
    return rescaled(x, revin) if skip is None else affine(x, skip, revin)


class MultiheadEmbedding(nn.Module):
    """Heads of affine map, LayerNorm, GELU, dropout over all columns, then combined.

    "concat" maps all heads together to e. "sum" weighs the heads by a softmax of learned numbers
    and maps the sum, which equals the published sum of mapped heads as the weights sum to one; no
    map where the heads already have width e. LayerNorm and dropout at the end.
    """

    def __init__(
        self, embedding: shapes.MultiheadEmbedding, n_features: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        width, heads = embedding.width, embedding.num_heads
        each = embedding.head_dim or width // heads
        self.maps = linear(n_features, heads * each, generator)
        self.scale = nn.Parameter(torch.ones(heads, each))
        self.shift = nn.Parameter(torch.zeros(heads, each))
        self.share = self.combine = None
        if embedding.combine_method == "concat":
            self.combine = linear(heads * each, width, generator)
        else:
            self.share = nn.Parameter(torch.zeros(heads))
            self.combine = _skip(each, width, generator)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        h = affine(x, self.maps, revin).unflatten(-1, self.scale.shape)
        h = F.layer_norm(h, self.scale.shape[1:]) * self.scale + self.shift
        h = noise.drop(F.gelu(h))
        if self.share is not None:
            h = (h * self.share.softmax(0)[:, None]).sum(-2, keepdim=True)
        h = h.flatten(-2)
        return noise.drop(self.norm(h if self.combine is None else self.combine(h)))


class GatedResidualEmbedding(nn.Module):
    """LayerNorm(dropout(a * sigmoid(g)) + skip), a and g halves of a map of ELU of a map.

    The skip is an affine map, or nothing where C = e. There is no context to condition on.
    """

    def __init__(
        self, embedding: shapes.GatedResidualEmbedding, n_features: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        width = embedding.width
        hidden = embedding.hidden_dim or 2 * width
        self.inner = linear(n_features, hidden, generator)
        self.gate = linear(hidden, 2 * width, generator)
        self.skip = _skip(n_features, width, generator)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        gated = F.glu(self.gate(F.elu(affine(x, self.inner, revin))))
        return self.norm(noise.drop(gated) + _around(x, self.skip, revin))


class AttentionEmbedding(nn.Module):
    """Columns as tokens that attend to each other in a day, then affine map, LayerNorm, dropout.

    A token is the column's number mapped to width e plus a learned position of the column. Every
    map up to the queries, keys and values is one number times a vector per column, and the map out
    of the heads runs into the last map; `attend_columns` gets them multiplied out.

    NOTE[DIFF] Dropout drops whole value rows, per day, head and column, the same for all queries,
    instead of single attention weights: those of 500 columns would cost 1e10 random bytes a step.
    """

    def __init__(
        self, embedding: shapes.AttentionEmbedding, n_features: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        width, self.heads = embedding.width, embedding.num_heads
        self.token = linear(1, width, generator)
        self.positions = None
        if embedding.use_position:
            self.positions = position_table(n_features, width, 1.0, generator)
        self.qkv, self.out = attention_projections(width, generator)
        self.map = linear(n_features * width, width, generator)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        everything = x.new_ones(()).expand(*x.shape[:2], self.heads, x.shape[2])
        keep = noise.drop(everything)
        if keep is everything:
            keep = everything[:1, :1]
        with full_precision(x):  # small, and worth full precision
            slope, shift = self._per_column(x.shape[2], revin)
            out, bias = self._after()
        h = attend_columns(x.flatten(0, 1), keep.flatten(0, 1), slope, shift, out)
        return noise.drop(self.norm(h.unflatten(0, x.shape[:2]) + bias))

    def _per_column(self, n: int, revin: RevIN | None) -> tuple[Tensor, Tensor]:
        """Slope and shift (C, 3, h, e / h) of queries, keys and values."""
        slope = self.token.weight.T.expand(n, -1)
        shift = self.token.bias.expand(n, -1)
        if revin is not None:
            slope, shift = slope * revin.gamma[:, None], shift + slope * revin.beta[:, None]
        if self.positions is not None:
            shift = shift + self.positions
        heads = (3, self.heads, -1)
        return F.linear(slope, self.qkv.weight).unflatten(1, heads), self.qkv(shift).unflatten(
            1, heads
        )

    def _after(self) -> tuple[Tensor, Tensor]:
        """Weight (e, C * e) and bias (e,) of the map out of the heads and the last one together."""
        each = self.map.weight.unflatten(1, (-1, self.out.in_features))
        return (each @ self.out.weight).flatten(1), self.map.bias + each.sum(1) @ self.out.bias


class VariationalEmbedding(nn.Module):
    """A day as a normal distribution over z numbers: sampled in training, its mean otherwise.

    Affine map to C // 2 (2 below four columns), LayerNorm, GELU, dropout; affine maps to mean and
    log-variance of z = max(4, floor(min(C, e) / 4)) numbers; affine map to e, LayerNorm, dropout.
    The loss of an example grows by beta times the Kullback-Leibler divergence from the standard
    normal distribution, summed over the z numbers and averaged over the days.
    """

    def __init__(
        self, embedding: shapes.VariationalEmbedding, n_features: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        width, self.beta, shared = embedding.width, embedding.beta, max(2, n_features // 2)
        latent = latent_width(n_features, width, 0.25)
        self.shared, self.norm1 = linear(n_features, shared, generator), nn.LayerNorm(shared)
        self.mean, self.spread = (linear(shared, latent, generator) for _ in range(2))
        self.map, self.norm2 = linear(latent, width, generator), nn.LayerNorm(width)

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        h = noise.drop(F.gelu(self.norm1(affine(x, self.shared, revin))))
        exact = self.norm1.weight.dtype  # not autocast's: the cost is a difference
        mean, log_variance = self.mean(h).to(exact), self.spread(h).to(exact)
        latent = mean + (log_variance / 2).exp() * noise.normal(mean)
        cost = (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1) / 2
        noise.charge(self.beta * cost.mean(1))
        return noise.drop(self.norm2(self.map(latent)))


def embed(
    embedding: shapes.Embedding, n_features: int, generator: torch.Generator
) -> nn.Module | None:
    """Embedding of C = `n_features` columns with initial weights from `generator`, if there is one.

    A shape without a row in `EMBEDDINGS` leaves the columns as they are.
    """
    row = EMBEDDINGS.get(embedding.kind)
    return None if row is None else row(embedding, n_features, generator)


def each_day(embedding: nn.Module, n: int) -> int:
    """Multiply-adds of an embedding for one day of n columns: each linear map is used once.

    Attention of width e: 3 n e for queries, keys and values, which are numbers times vectors, n^2 e
    each for weights and mixtures, n e^2 for the last map, which the map out of the heads is part
    of.
    """
    if isinstance(embedding, AttentionEmbedding):
        e = embedding.map.out_features
        return 3 * n * e + 2 * n * n * e + n * e * e
    return map_weights(embedding)


EMBEDDINGS: dict[str, Any] = {
    "linear": LinearEmbedding,
    "progressive": ProgressiveEmbedding,
    "bottleneck": BottleneckEmbedding,
    "multihead": MultiheadEmbedding,
    "gated_residual": GatedResidualEmbedding,
    "attention": AttentionEmbedding,
    "variational": VariationalEmbedding,
}
