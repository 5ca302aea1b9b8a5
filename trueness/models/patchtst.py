"""Channel-mixing patch transformer.

After Nie et al., "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers" (2023),
with all columns mixed in one token, and Kim et al., "Reversible Instance Normalization" (2022).
Returns logits. Attention is written out: with about ten patches it costs nothing, and the fused
kernel has no batching rule under `vmap` on CPU.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness import spec
from trueness.models.noise import HEAD, DropoutSource, NoNoise

SPARE_POSITIONS = 10


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Affine map with torch's default initial distribution, drawn from `generator`."""
    layer = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


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


class LinearEmbedding(nn.Module):
    """Affine map of a day's columns, LayerNorm, dropout: (B, L, C) -> (B, L, e)."""

    def __init__(self, n_features: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.map = _linear(n_features, width, generator)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, noise: DropoutSource, revin: RevIN | None) -> Tensor:
        """Embed each day."""
        return noise.drop(self.norm(_affine(x, self.map, revin)))


def _affine(x: Tensor, layer: nn.Linear, revin: RevIN | None) -> Tensor:
    return layer(x) if revin is None else F.linear(x, *revin.fold(layer))


class EncoderLayer(nn.Module):
    """Pre-norm attention and feed-forward block: (B, N, d) -> (B, N, d)."""

    def __init__(self, model: spec.PatchTST, generator: torch.Generator) -> None:
        super().__init__()
        d, self.heads = model.d_model, model.n_heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv = _linear(d, 3 * d, generator)
        with torch.no_grad():
            nn.init.xavier_uniform_(self.qkv.weight, generator=generator)
            self.qkv.bias.zero_()
        self.out = _linear(d, d, generator)
        with torch.no_grad():
            self.out.bias.zero_()
        self.up = _linear(d, model.d_ff, generator)
        self.down = _linear(model.d_ff, d, generator)

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
        self, model: spec.PatchTST, n_features: int, context: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.model, width = model, n_features
        self.revin = RevIN(n_features) if model.revin else None
        self.embedding = None
        if isinstance(model.embedding, spec.LinearEmbedding):
            width = model.embedding.width
            self.embedding = LinearEmbedding(n_features, width, generator)
        n_patches = patch_count(model, context)
        self.patch = _linear(model.patch_length * width, model.d_model, generator)
        positions = torch.empty(n_patches + SPARE_POSITIONS, model.d_model)
        self.positions = nn.Parameter(positions.normal_(0, model.position_std, generator=generator))
        self.layers = nn.ModuleList(EncoderLayer(model, generator) for _ in range(model.n_layers))
        self.norm = nn.LayerNorm(model.d_model)
        self.head = _linear(n_patches * model.d_model, 1, generator)

    def forward(self, x: Tensor, noise: DropoutSource | None = None) -> Tensor:
        """Logits of a batch; `noise` switches dropout on."""
        noise, revin = noise or NoNoise(), self.revin
        x = x if revin is None else revin(x)
        if self.embedding is not None:
            x, revin = self.embedding(x, noise, revin), None
        patches = x.unfold(1, self.model.patch_length, self.model.stride)  # (B, N, E, p)
        h = _affine(patches.transpose(2, 3).flatten(2), self.patch, revin)
        h = noise.drop(h + self.positions[: h.shape[1]])
        for layer in self.layers:
            h = layer(h, noise)
        h = noise.drop(self.norm(h).flatten(1), HEAD)
        # a bf16 logit has 8 bits: days would tie
        with torch.autocast(h.device.type, enabled=False):
            return self.head(h.to(self.head.weight.dtype)).squeeze(-1)


def patch_count(model: spec.PatchTST, context: int) -> int:
    """Patches that a window of `context` rows is cut into."""
    return (context - model.patch_length) // model.stride + 1


def parameter_count(model: spec.PatchTST, n_features: int, context: int) -> int:
    """Trainable parameters, exact, without building the module.

    Examples
    --------
    >>> base = {"kind": "patchtst", "revin": False, "embedding": {"kind": "linear", "width": 32}}
    >>> parameter_count(spec.PatchTST.model_validate(base), n_features=100, context=80)
    865889
    """
    d, f, n = model.d_model, model.d_ff, patch_count(model, context)
    width, total = n_features, 2 * n_features * model.revin
    if isinstance(model.embedding, spec.LinearEmbedding):
        width = model.embedding.width
        total += n_features * width + 3 * width
    total += model.patch_length * width * d + d + (n + SPARE_POSITIONS) * d
    total += model.n_layers * (4 * d * d + 9 * d + 2 * d * f + f) + 2 * d
    return total + n * d + 1


def multiply_adds(model: spec.PatchTST, n_features: int, context: int) -> float:
    """Multiply-adds by weights of one forward pass over one window; attention itself left out."""
    width, embedding = n_features, 0
    if isinstance(model.embedding, spec.LinearEmbedding):
        width = model.embedding.width
        embedding = context * n_features * width
    block = 4 * model.d_model**2 + 2 * model.d_model * model.d_ff
    patch = model.patch_length * width * model.d_model
    return embedding + patch_count(model, context) * (patch + model.n_layers * block)


def build(
    model: spec.PatchTST, n_features: int, context: int, generator: torch.Generator
) -> PatchTST:
    """Whole network with initial weights drawn from `generator`, on CPU.

    Parameters
    ----------
    model : trueness.spec.PatchTST
    n_features : int
        Columns of a window, C.
    context : int
        Rows of a window, L.
    generator : torch.Generator
        The only source of randomness.

    Examples
    --------
    >>> module = build(spec.PatchTST(kind="patchtst"), 20, 80, torch.Generator().manual_seed(0))
    >>> module(torch.randn(4, 80, 20)).shape
    torch.Size([4])
    """
    return PatchTST(model, n_features, context, generator)
