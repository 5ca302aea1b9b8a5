"""Weights and work of a title classifier, found on a skeleton that allocates no numbers."""

from __future__ import annotations

from functools import lru_cache

import torch

from trueness.models.encoder import TitleClassifier, build_titles
from trueness.models.measuring import META, map_weights, weights
from trueness.models.pretrained import build_heads
from trueness.spec import titles


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
    model: titles.Encoder, vocabulary: int, n_classes: int, tokens_per_row: float
) -> float:
    """Floating-point operations of one forward pass over one text; a training step takes 3 times.

    Matrix products, two operations per multiply-add: linear maps and both products of attention.
    Lookups, norms and everything else by element are left out, as is usual for the utilisation of
    a device (Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022).

    Parameters
    ----------
    model : trueness.spec.titles.Encoder
    vocabulary, n_classes : int
    tokens_per_row : float
        Positions of the row, padding included if the work on it is to count.

    Examples
    --------
    >>> v2 = titles.Encoder(kind="encoder")
    >>> round(titles_flops(v2, 32_000, 6, tokens_per_row=32) / 1e9, 2)
    1.4
    """
    module = _titles_skeleton(model, vocabulary, n_classes)
    each_token = sum(map_weights(block) for block in module.blocks)
    attention = 2 * model.n_layers * model.d_model * tokens_per_row**2
    return 2.0 * (tokens_per_row * each_token + attention + map_weights(module.head))


def heads_parameter_count(model: titles.Pretrained, width: int, n_classes: int) -> int:
    """Parameters of the heads on the vectors (B, width) of a pretrained encoder."""
    with META:
        return weights(build_heads(model, width, n_classes, torch.Generator("cpu")))


def encoder_bytes(
    every: int, trained: int, *, layers: int, width: int, inner: int, tokens: float
) -> int:
    """Bytes that training an encoder takes at most, about: weights, optimizer, activations.

    Everything in float32. Of each weight that is trained there are its gradient, two moments, and
    the best so far; of each position and layer, eight vectors of the encoder's width and three of
    the feed-forward's wait for the backward pass. Attention is fused and keeps no scores.

    Parameters
    ----------
    every, trained : int
        Weights.
    layers, width, inner : int
        Blocks that gradients pass, and their widths.
    tokens : float
        Positions of a batch.
    """
    return int(4 * (every + 4 * trained + tokens * layers * (8 * width + 3 * inner)))
