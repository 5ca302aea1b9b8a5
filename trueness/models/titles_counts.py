"""Weights and work of a title classifier, found on a skeleton that allocates no numbers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from trueness.models.encoder import TitleClassifier, build_titles
from trueness.models.measuring import FEW, META, map_weights, saved_bytes, weights
from trueness.models.pretrained import build_heads
from trueness.spec import titles

Tokens = TypeVar("Tokens", float, NDArray[np.int64])
BYTES_A_WEIGHT = 20
"""In training: weight, gradient, both moments of AdamW, and the best epoch's copy, in float32."""


@lru_cache(maxsize=64)
def _titles_skeleton(model: titles.Encoder, vocabulary: int, n_classes: int) -> TitleClassifier:
    with META:
        return build_titles(model, vocabulary, n_classes, torch.Generator("cpu"))


def titles_parameter_count(model: titles.Encoder, vocabulary: int, n_classes: int) -> int:
    """Trainable parameters of the network that `build_titles` would make.

    Examples
    --------
    >>> v1 = titles.Encoder.model_validate({"kind": "encoder", "head": "plain"})
    >>> titles_parameter_count(v1, vocabulary=151_669, n_classes=6)
    80034054
    """
    return weights(_titles_skeleton(model, vocabulary, n_classes))


def titles_flops(
    model: titles.Encoder, vocabulary: int, n_classes: int, tokens_per_row: Tokens
) -> Tokens:
    """Floating-point operations of one forward pass over one text; a training step takes 3 times.

    Matrix products, two operations per multiply-add: linear maps and both products of attention.
    Lookups, norms and everything else by element are left out, as is usual for the utilisation of
    a device (Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022).

    Parameters
    ----------
    model : trueness.spec.titles.Encoder
    vocabulary, n_classes : int
    tokens_per_row : float or (n,)
        Positions of the row, padding included if the work on it is to count; or those of n rows.

    Examples
    --------
    >>> v2 = titles.Encoder(kind="encoder")
    >>> round(titles_flops(v2, 32_000, 6, tokens_per_row=32) / 1e9, 2)
    1.4
    """
    module = _titles_skeleton(model, vocabulary, n_classes)
    each_token = sum(map_weights(block) for block in module.blocks)
    attention = 2 * model.n_layers * model.d_model * tokens_per_row**2
    total: Any = 2.0 * (tokens_per_row * each_token + attention + map_weights(module.head))
    return total


def titles_training_bytes(
    model: titles.Encoder, vocabulary: int, n_classes: int, *, rows: int, tokens: int,
    averaged: bool = False,
) -> int:  # fmt: skip
    """Memory of training in float32: what each weight holds, and what one batch keeps; an estimate.

    What a batch keeps is what torch saves in a pass with dropout, measured on tensors without
    numbers as by `trueness.models.measuring.measured_activation_bytes`. Attention counts with all
    its weights, which fused kernels need not keep; half precision needs about half.

    Parameters
    ----------
    model : trueness.spec.titles.Encoder
    vocabulary, n_classes : int
    rows, tokens : int
        Texts of a batch, and positions of each.
    averaged : bool
        Whether averaged weights are kept as well.

    Examples
    --------
    >>> small = titles.Encoder(kind="encoder", d_model=64, n_layers=2, n_heads=2, d_ff=96)
    >>> each = [titles_training_bytes(small, 500, 6, rows=n, tokens=16) for n in (0, 1, 2)]
    >>> each[2] - each[1] == each[1] - each[0] > 0
    True
    """
    each = BYTES_A_WEIGHT + 4 * averaged
    kept = _kept_a_row(model, n_classes, max(1, tokens))
    return titles_parameter_count(model, vocabulary, n_classes) * each + rows * kept


@lru_cache(maxsize=64)
def _kept_a_row(model: titles.Encoder, n_classes: int, tokens: int) -> int:
    """Bytes that one more text of a batch keeps for the backward pass."""
    module = _titles_skeleton(model, 2, n_classes).train()
    few, more = (
        torch.zeros(rows, tokens, dtype=torch.int64, device=META) for rows in (FEW, FEW + 1)
    )
    return _kept(module, more) - _kept(module, few)


def _kept(module: TitleClassifier, tokens: torch.Tensor) -> int:
    return saved_bytes(lambda: module(tokens, torch.ones_like(tokens, dtype=torch.bool)))


def heads_parameter_count(model: titles.Pretrained, width: int, n_classes: int) -> int:
    """Parameters of the heads on the vectors (B, width) of a pretrained encoder."""
    with META:
        return weights(build_heads(model, width, n_classes, torch.Generator("cpu")))


def pretrained_training_bytes(
    every: int, trained: int, *, layers: int, width: int, inner: int, positions: int,
    averaged: bool = False,
) -> int:  # fmt: skip
    """The same of a pretrained encoder, counted by its sizes: it is built to be trained alone.

    Of each position and layer, eight vectors of the encoder's width and three of the feed-forward's
    wait for the backward pass; attention is fused and keeps no scores.

    Parameters
    ----------
    every, trained : int
        Weights.
    layers, width, inner : int
        Blocks that gradients pass, and their widths.
    positions : int
        Of a batch, padding included.
    averaged : bool
        Whether averaged weights are kept as well.
    """
    each = BYTES_A_WEIGHT + 4 * averaged
    fixed = 4 * (every - trained)
    return fixed + trained * each + 4 * positions * layers * (8 * width + 3 * inner)
