"""Channel-mixing patch transformer.

After Nie et al., "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers" (2023),
with all columns mixed in one token, and Kim et al., "Reversible Instance Normalization" (2022).
Returns logits. Attention is written out: with about ten patches it costs nothing, and the fused
kernel has no batching rule under `vmap` on CPU.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

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
from trueness.models.measuring import (
    NetworkRow,
    map_weights,
    measured_activation_bytes,
    on_meta,
)
from trueness.models.noise import HEAD, DropoutSource, NoNoise
from trueness.models.regimes import Detector, decided
from trueness.models.scales import between
from trueness.models.tabm import pooled
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
        self.samples = model.embedding.samples or model.regime.kind != "none"
        self.revin = RevIN(n_features) if model.revin else None
        self.embedding = embed(model.embedding, n_features, generator)
        self.patches = model.patches(context)
        length, _, n_patches = self.patches[0]
        self.patch = linear(length * width, model.d_model, generator)
        rows = n_patches + SPARE_POSITIONS
        self.positions = position_table(rows, model.d_model, model.position_std, generator)
        self.layers = nn.ModuleList(EncoderLayer(model, generator) for _ in range(model.n_layers))
        self.norm = nn.LayerNorm(model.d_model)
        n_tokens = sum(count for _, _, count in self.patches)
        n_heads = model.regime.count if model.regime.decides("gated_head") else 1
        self.head = linear(n_tokens * model.d_model, n_heads, generator)
        self.finer = self._further_patches(width, generator)
        self.scales = between(model.multiscale, model.d_model, generator)
        self._regimes(n_features, generator)

    def _further_patches(self, width: int, generator: torch.Generator) -> nn.ModuleList | None:
        """Maps of the second and further lengths of patches, with positions of their own."""
        d, std = self.model.d_model, self.model.position_std
        if len(self.patches) == 1:
            return None
        n_sets = len(self.patches)
        self.scale_table = position_table(n_sets, d, std, generator)
        return nn.ModuleList(
            Patches(length * width, count, self.model, generator)
            for length, _, count in self.patches[1:]
        )

    def _regimes(self, n_features: int, generator: torch.Generator) -> None:
        regime = self.model.regime
        self.detector = None if regime.kind == "none" else Detector(regime, n_features)
        if self.model.regime.decides("embedding"):
            self.regimes = position_table(
                regime.count, self.model.d_model, self.model.position_std, generator
            )

    def tokens(self, x: Tensor, noise: DropoutSource) -> tuple[Tensor, Tensor | None]:
        """Tokens (B, N, d) as the encoder leaves them, and regimes (B, R) if there are any."""
        regime = None if self.detector is None else self.detector(x)
        revin = self.revin
        x = noise.augment(x if revin is None else revin(x))
        if self.embedding is not None:
            x, revin = self.embedding(x, noise, revin), None
        h = self._patched(x, noise, revin)
        if self.scales is not None:
            h = self.scales(h, noise)
        if regime is not None and self.model.regime.decides("embedding"):
            h = h + (regime @ self.regimes)[:, None]
        for layer in self.layers:
            h = layer(h, noise)
        return self.norm(h), regime

    def _patched(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Tokens (B, N, d) of one set of patches after the other."""
        h = affine(cut(x, *self.patches[0][:2]), self.patch, revin)
        h = h + self.positions[: h.shape[1]]
        if self.finer is not None:
            rest = [
                one(cut(x, length, stride), revin)
                for one, (length, stride, _) in zip(self.finer, self.patches[1:], strict=True)
            ]
            sets = [h, *rest]
            h = torch.cat([one + self.scale_table[k] for k, one in enumerate(sets)], 1)
        return noise.drop(h)

    def forward(self, x: Tensor, noise: DropoutSource | None = None) -> Tensor:
        """Logits of a batch; `noise` switches dropout on."""
        noise = noise or NoNoise()
        h, regime = self.tokens(x, noise)
        h = noise.drop(h.flatten(1), HEAD)
        if self.detector is not None and regime is not None:
            noise.weigh(regime @ self.detector.weight)
        # a bf16 logit has 8 bits: days would tie
        with full_precision(h):
            logits = self.head(h.to(self.head.weight.dtype))
            if logits.shape[-1] > 1 and regime is not None:
                return (logits * regime).sum(-1)
            return logits.squeeze(-1)


class Patches(nn.Module):
    """A further set of patches (B, N, p E) to tokens (B, N, d), with positions of its own."""

    def __init__(
        self, n_in: int, count: int, model: shapes.PatchTST, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.map = linear(n_in, model.d_model, generator)
        self.positions = position_table(count, model.d_model, model.position_std, generator)

    def forward(self, patches: Tensor, revin: RevIN | None) -> Tensor:
        """Tokens."""
        return affine(patches, self.map, revin) + self.positions


class SideBySide(nn.Module):
    """Networks that see the same windows; windows (B, L, C) to logits.

    (B, h) in training, each network with a loss of its own, and in evaluation (B,), the logit of
    their mean probability.
    """

    def __init__(
        self, model: shapes.PatchTST, n_features: int, context: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        made = (PatchTST(model, n_features, context, generator) for _ in range(model.networks))
        self.networks = nn.ModuleList(made)
        self.rates, self.samples = self.networks[0].rates, self.networks[0].samples

    def forward(self, x: Tensor, noise: DropoutSource | None = None) -> Tensor:
        """Logits of a batch; `noise` switches dropout on."""
        noise = noise or NoNoise()
        logits = torch.stack([network(x, noise) for network in self.networks], -1)
        return logits if self.training else pooled(logits)


def cut(x: Tensor, length: int, stride: int) -> Tensor:
    """Patches of windows, time-major: (B, L, E) -> (B, N, p E).

    They are laid out anew: without gradients a linear map of overlapping patches takes them one by
    one.
    """
    return x.unfold(1, length, stride).transpose(2, 3).flatten(2).contiguous()


def build(
    model: shapes.PatchTST, n_features: int, context: int, generator: torch.Generator
) -> nn.Module:
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
    make = PatchTST if model.networks == 1 else SideBySide
    return make(model, n_features, context, generator)


def statistics(
    model: shapes.PatchTST, windows: Iterable[Tensor], names: Sequence[str] = ()
) -> dict[str, Tensor]:
    """What the training windows, in pieces (b, L, C), decide of the regimes."""
    if model.regime.kind == "none":
        return {}
    result = decided(model.regime, windows, names)
    first = [""] if model.networks == 1 else [f"networks.{k}." for k in range(model.networks)]
    return {f"{one}detector.{name}": value for one in first for name, value in result.items()}


def multiply_adds(model: shapes.PatchTST, n_features: int, context: int) -> int:
    """Multiply-adds of one forward pass over one window.

    Linear maps times their uses. Attention between patches is left out, it is small; attention
    across columns is not, and counts.
    """
    skeleton = _skeleton(model.model_copy(update={"networks": 1}), n_features, context)
    embedding, d = skeleton.embedding, model.d_model
    days = 0 if embedding is None else context * each_day(embedding, n_features)
    width, sets = model.embedding.width_of(n_features), model.patches(context)
    block = 4 * d**2 + 2 * d * model.d_ff
    scales = 0 if skeleton.scales is None else map_weights(skeleton.scales)
    n_tokens = sum(count for _, _, count in sets)
    patches = sum(count * length * width * d for length, _, count in sets)
    return model.networks * (days + patches + n_tokens * (scales + model.n_layers * block))


def activation_bytes(model: shapes.PatchTST, n_features: int, context: int) -> int:
    """What one more training example keeps; layers are alike, so two shallow networks tell it."""
    one, two = (
        _kept(model.model_copy(update={"n_layers": n}), n_features, context) for n in (1, 2)
    )
    return one + (model.n_layers - 1) * (two - one)


@lru_cache(maxsize=4096)
def _kept(model: shapes.PatchTST, n_features: int, context: int) -> int:
    return measured_activation_bytes(_skeleton(model, n_features, context), n_features, context)


def _skeleton(model: shapes.PatchTST, n_features: int, context: int) -> Any:  # noqa: ANN401
    return on_meta(build, model, n_features, context)


ROW = NetworkRow(
    build, multiply_adds=multiply_adds, activation_bytes=activation_bytes, statistics=statistics
)
