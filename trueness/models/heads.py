"""Heads on the pooled vector of a text: two classifiers, and the projection of a contrastive loss.

Sizes as published. Heads start from torch's default uniform distribution, unlike
the encoder below them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trueness.errors import SpecError
from trueness.models.layers import full_precision, linear
from trueness.spec import titles


def plain_head(
    head: titles.PlainHead, d_model: int, n_classes: int, generator: torch.Generator
) -> nn.Sequential:
    """The v1 head, (B, d) -> (B, K): dropout, linear, GELU, dropout, linear."""
    return nn.Sequential(
        nn.Dropout(head.dropout),
        linear(d_model, d_model, generator),
        nn.GELU(),
        nn.Dropout(head.dropout),
        linear(d_model, n_classes, generator),
    )


class ResidualHead(nn.Module):
    """The v2 head, (B, d) -> (B, K): ``r = norm(x)``, ``W3 norm(r + W2 GELU(W1 r))``, biases.

    Dropout follows the GELU, W2 and the second norm.
    """

    def __init__(
        self, head: titles.ResidualHead, d_model: int, n_classes: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        hidden = head.hidden or d_model
        self.residual = head.residual
        self.norm_in = nn.RMSNorm(d_model, head.norm_eps)
        self.up = linear(d_model, hidden, generator)
        self.down = linear(hidden, d_model, generator)
        self.norm_out = nn.RMSNorm(d_model, head.norm_eps)
        self.out = linear(d_model, n_classes, generator)
        self.drop = nn.Dropout(head.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pooled vectors."""
        normed = self.norm_in(x)
        inner = self.drop(self.down(self.drop(F.gelu(self.up(normed)))))
        inner = inner + normed if self.residual else inner
        return self.out(self.drop(self.norm_out(inner)))


class Projection(nn.Module):
    """The v3 projection, (B, d) -> (B, D) of unit length: norm, linear, GELU, dropout, linear."""

    def __init__(
        self, d_model: int, norm_eps: float, projection: titles.Projection,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        super().__init__()
        self.map = nn.Sequential(
            nn.RMSNorm(d_model, norm_eps),
            linear(d_model, projection.width, generator),
            nn.GELU(),
            nn.Dropout(projection.dropout),
            linear(projection.width, projection.width, generator),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Points on the unit sphere."""
        return F.normalize(self.map(x), dim=-1)


def pooled_positions(h: Tensor, mask: Tensor, pooler: str) -> Tensor:
    """Vectors of positions (B, T, d) to one per text (B, d): the first, or the mean of the real.

    Parameters
    ----------
    h : (B, T, d)
    mask : (B, T) bool
        True where a token stands. A text without any is pooled to zeros by the mean.
    pooler : {"mean", "first"}
    """
    if pooler == "first":
        return h[:, 0]
    real = mask[:, :, None].to(h.dtype)
    return (h * real).sum(1) / real.sum(1).clamp(min=1)


def classified(head: nn.Module, pooled: Tensor) -> Tensor:
    """Logits (B, K) of pooled vectors (B, d), in full precision."""
    with full_precision(pooled):  # a bf16 logit has 8 bits
        return head(pooled)


def projected(projection: nn.Module | None, pooled: Tensor) -> Tensor:
    """Points (B, D) of unit length for the contrastive loss, in full precision.

    Raises
    ------
    SpecError
        If there is no projection.
    """
    if projection is None:
        raise SpecError("this model has no projection; set model.projection")
    with full_precision(pooled):
        return projection(pooled)


HEADS: dict[str, Callable[..., nn.Module]] = {"plain": plain_head, "residual": ResidualHead}
