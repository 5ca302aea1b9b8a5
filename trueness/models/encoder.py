"""Bidirectional text encoder with a classifier on top, as published.

Pre-norm transformer over token ids with rotary positions (Su et al., "RoFormer: Enhanced
Transformer with Rotary Position Embedding", 2021), grouped queries (Ainslie et al., "GQA: Training
Generalized Multi-Query Transformer Models from Multi-Head Checkpoints", 2023), SwiGLU (Shazeer,
"GLU Variants Improve Transformer", 2020), RMSNorm (Zhang & Sennrich, "Root Mean Square Layer
Normalization", 2019), LayerScale (Touvron et al., "Going deeper with Image Transformers", 2021) and
stochastic depth (Huang et al., "Deep Networks with Stochastic Depth", 2016).

Padding stands on the right and is seen by nobody: logits of a text depend neither on its batch nor
on the length it is padded to. Under autocast, matrix products are taken in half precision;
the residual stream, norms, pooling and heads stay in float32. Dropout and dropped paths draw
from torch's global generator in training mode.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.models.heads import HEADS, Projection, classified, pooled_positions, projected
from trueness.models.layers import UnsetEmbedding, UnsetLinear
from trueness.spec import titles

INITIAL_STD = 0.02
"""Deviation of embeddings and maps of the encoder at the start; heads have torch's default."""


def _normal(layer: nn.Linear | nn.Embedding, generator: torch.Generator) -> None:
    if not layer.weight.is_meta:  # there it would do nothing but import for a second
        with torch.no_grad():
            layer.weight.normal_(0, INITIAL_STD, generator=generator)


def _matrix(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Linear map without bias, normal numbers at the start."""
    layer = UnsetLinear(n_in, n_out, bias=False)
    _normal(layer, generator)
    return layer


def rotary_tables(
    length: int, width: int, base: float, *, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, width / 2) of the angles ``t base^(-2 i / width)``."""
    rates = base ** (-torch.arange(0, width, 2, dtype=dtype, device=device) / width)
    angles = torch.arange(length, dtype=dtype, device=device)[:, None] * rates
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Each pair (i, i + width / 2) of the last axis turned by the angle of its position.

    Parameters
    ----------
    x : (B, T, H, width)
    cos, sin : (T, width / 2)

    Returns
    -------
    (B, T, H, width)
        In the type of `x`.
    """
    first, second = x.chunk(2, -1)
    cos, sin = cos[:, None], sin[:, None]
    turned = torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
    return turned.to(x.dtype)


def drop_path(h: Tensor, rate: float, training: bool) -> Tensor:
    """Zero whole rows of `h` (B, ...) and scale the others by ``1 / (1 - rate)``."""
    if not training or rate == 0:
        return h
    kept = torch.rand(len(h), *[1] * (h.dim() - 1), device=h.device) >= rate
    return h * (kept / (1 - rate)).to(h.dtype)


class Attention(nn.Module):
    """Attention of grouped queries, (B, T, d) -> (B, T, d); no biases.

    The maps to queries, keys and values are one matrix, in this order.
    """

    def __init__(self, model: titles.Encoder, generator: torch.Generator) -> None:
        super().__init__()
        self.queries, self.groups = model.n_heads, model.n_kv_heads
        self.width, self.dropout = model.d_model // model.n_heads, model.dropout
        rows = (self.queries + 2 * self.groups) * self.width
        self.qkv = _matrix(model.d_model, rows, generator)
        self.out = _matrix(model.d_model, model.d_model, generator)

    def forward(self, h: Tensor, visible: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Mix the `visible` (B, 1, 1, T) positions."""
        heads = self.qkv(h).unflatten(-1, (-1, self.width))
        turning, v = heads.split((self.queries + self.groups, self.groups), 2)
        q, k = rotate(turning, cos, sin).split((self.queries, self.groups), 2)
        if q.is_cuda:  # with a mask, the fused kernels there want as many keys as queries
            k, v = (part.repeat_interleave(self.queries // self.groups, 2) for part in (k, v))
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=visible, dropout_p=dropout, enable_gqa=q.shape[1] != k.shape[1]
        )
        return self.out(mixed.transpose(1, 2).flatten(2))


class SwiGLU(nn.Module):
    """``W_down (SiLU(W_gate x) * W_up x)``, (B, T, d) -> (B, T, d); gate and up are one matrix."""

    def __init__(self, model: titles.Encoder, generator: torch.Generator) -> None:
        super().__init__()
        self.gate_up = _matrix(model.d_model, 2 * model.d_ff, generator)
        self.down = _matrix(model.d_ff, model.d_model, generator)

    def forward(self, h: Tensor) -> Tensor:
        """Each position by itself."""
        gate, up = self.gate_up(h).chunk(2, -1)
        return self.down(F.silu(gate) * up)


class EncoderBlock(nn.Module):
    """Two residual steps (B, T, d) -> (B, T, d), each scaled and sometimes left out."""

    def __init__(self, model: titles.Encoder, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        d, self.drop_path = model.d_model, rate
        self.norm1, self.norm2 = (nn.RMSNorm(d, model.norm_eps) for _ in range(2))
        self.attention = Attention(model, generator)
        self.feed_forward = SwiGLU(model, generator)
        self.scale1, self.scale2 = (
            nn.Parameter(torch.full((d,), model.layer_scale)) for _ in range(2)
        )

    def forward(self, h: Tensor, visible: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Attention, then feed-forward."""
        mixed = self.attention(self.norm1(h), visible, cos, sin)
        h = h + self.scale1 * drop_path(mixed, self.drop_path, self.training)
        inner = self.feed_forward(self.norm2(h))
        return h + self.scale2 * drop_path(inner, self.drop_path, self.training)


class TitleClassifier(nn.Module):
    """Token ids (B, T) to logits (B, K), by way of one vector (B, d) per text."""

    def __init__(
        self, model: titles.Encoder, vocabulary: int, n_classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.model, d = model, model.d_model
        self.embedding = UnsetEmbedding(vocabulary, d)
        _normal(self.embedding, generator)
        self.norm_in, self.norm_out = (nn.RMSNorm(d, model.norm_eps) for _ in range(2))
        last = max(model.n_layers - 1, 1)
        self.blocks = nn.ModuleList(
            EncoderBlock(model, model.drop_path * i / last, generator)
            for i in range(model.n_layers)
        )
        self.head = HEADS[model.head.kind](model.head, d, n_classes, generator)
        self.projection = None
        if model.projection is not None:
            self.projection = Projection(d, model.norm_eps, model.projection, generator)

    def _encode(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One normed vector per position (B, T, d); those of padding mean nothing."""
        # the factor outlives the norm only beside its epsilon; it is kept as published
        h = self.norm_in(math.sqrt(self.model.d_model) * self.embedding(tokens))
        h = F.dropout(h, self.model.dropout, self.training)
        width, dtype = self.model.d_model // self.model.n_heads, h.dtype
        precise = torch.promote_types(dtype, torch.float32)
        cos, sin = rotary_tables(
            tokens.shape[1], width, self.model.rope_base, dtype=precise, device=h.device
        )
        # a text without tokens sees its padding: of no key at all, some kernels make NaN
        visible = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        for block in self.blocks:
            h = block(h, visible, cos, sin)
        return self.norm_out(h)

    def pooled(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """One vector per text: the mean over its tokens, or the first, as the spec says.

        Parameters
        ----------
        tokens : (B, T) int
            Ids below the vocabulary; any id where there is padding.
        mask : (B, T) bool
            True where a token stands. A text without any is pooled to zeros by the mean.

        Returns
        -------
        (B, d) float32
        """
        return pooled_positions(self._encode(tokens, mask), mask, self.model.pooler)

    def classify(self, pooled: Tensor) -> Tensor:
        """Logits (B, K) of pooled vectors (B, d), in full precision."""
        return classified(self.head, pooled)

    def project(self, pooled: Tensor) -> Tensor:
        """Points (B, D) of unit length for the contrastive loss, in full precision.

        Raises
        ------
        SpecError
            If the spec has no projection.
        """
        return projected(self.projection, pooled)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, K) float32 of padded texts; see `pooled` for the shapes."""
        return self.classify(self.pooled(tokens, mask))

    def rates(self) -> dict[str, float]:
        """Fraction of the learning rate by name, where it is not 1: none."""
        return {}


def build_titles(
    model: titles.Encoder, vocabulary: int, n_classes: int, generator: torch.Generator
) -> TitleClassifier:
    """Whole network with initial weights drawn from `generator`, on CPU.

    Encoder, head and projection draw in this order: with or without a projection, the same seed
    gives the same encoder and head.

    Parameters
    ----------
    model : trueness.spec.titles.Encoder
    vocabulary : int
        Token ids, V.
    n_classes : int
        K.
    generator : torch.Generator
        The only source of randomness.

    Examples
    --------
    >>> small = titles.Encoder(kind="encoder", d_model=64, n_layers=2, n_heads=2, d_ff=96)
    >>> module = build_titles(small, 500, 6, torch.Generator().manual_seed(0))
    >>> tokens = torch.tensor([[5, 17, 3], [8, 0, 0]])
    >>> module(tokens, mask=torch.tensor([[True, True, True], [True, False, False]])).shape
    torch.Size([2, 6])
    """
    return TitleClassifier(model, vocabulary, n_classes, generator)
