"""Weights, work and memory of a network, found on a skeleton that allocates no numbers."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

import trueness.spec as spec
from trueness.models.embeddings import AttentionEmbedding
from trueness.models.encoder import TitleClassifier, build_titles
from trueness.models.noise import Noise, noise_per_example
from trueness.models.patchtst import PatchTST, build, patch_count
from trueness.spec import titles

META = torch.device("meta")
COPIES = 6
"""Tensors as large as the parameters: themselves, gradient, two moments, best epoch, working."""
SHAPELESS: dict[str, float] = {"dropout": 0.0, "head_dropout": 0.0, "position_std": 1.0}
"""Fields that decide neither weights nor work nor memory, at one value."""


def _skeleton(model: spec.PatchTST, n_features: int, context: int) -> PatchTST:
    with META:
        return build(model, n_features, context, torch.Generator("cpu"))


def parameter_count(model: spec.PatchTST, n_features: int, context: int) -> int:
    """Trainable parameters of the network that `build` would make.

    Examples
    --------
    >>> base = {"kind": "patchtst", "revin": False, "embedding": {"kind": "linear", "width": 32}}
    >>> parameter_count(spec.PatchTST.model_validate(base), n_features=100, context=80)
    865889
    """
    return _parameter_count(model.model_copy(update=SHAPELESS), n_features, context)


@lru_cache(maxsize=4096)
def _parameter_count(model: spec.PatchTST, n_features: int, context: int) -> int:
    return sum(p.numel() for p in _skeleton(model, n_features, context).parameters())


def multiply_adds(model: spec.PatchTST, n_features: int, context: int) -> int:
    """Multiply-adds of one forward pass over one window.

    Linear maps times their uses. Attention between patches is left out, it is small; attention
    across columns is not, and counts.
    """
    return _multiply_adds(model.model_copy(update=SHAPELESS), n_features, context)


@lru_cache(maxsize=4096)
def _multiply_adds(model: spec.PatchTST, n_features: int, context: int) -> int:
    width, each_day = n_features, 0
    if not isinstance(model.embedding, spec.NoEmbedding):
        width = model.embedding.width
        embedding = _skeleton(model, n_features, context).embedding
        assert embedding is not None
        each_day = _each_day(embedding, n_features)
    block = 4 * model.d_model**2 + 2 * model.d_model * model.d_ff
    patch = model.patch_length * width * model.d_model
    return context * each_day + patch_count(model, context) * (patch + model.n_layers * block)


def _each_day(embedding: nn.Module, n: int) -> int:
    """Multiply-adds of an embedding for one day of n columns: each linear map is used once.

    Attention of width e: 3 n e for queries, keys and values, which are numbers times vectors, n^2 e
    each for weights and mixtures, n e^2 for the last map, which the map out of the heads is part
    of.
    """
    if isinstance(embedding, AttentionEmbedding):
        e = embedding.map.out_features
        return 3 * n * e + 2 * n * n * e + n * e * e
    return _map_weights(embedding)


def activation_bytes(model: spec.PatchTST, n_features: int, context: int) -> int:
    """Bytes that one more training example keeps for the backward pass, in float32; an estimate.

    What torch saves in a forward pass over two examples with dropout, less what it saves for one:
    tensors made of weights alone cancel. Layers are alike, so two small networks tell what a deep
    one keeps. Random bytes and working memory are not in it. Half precision needs about half.

    Examples
    --------
    >>> activation_bytes(spec.PatchTST(kind="patchtst"), n_features=100, context=80) > 10**5
    True
    """
    shallow = [model.model_copy(update={**SHAPELESS, "n_layers": n}) for n in (1, 2)]
    one, two = (_activation_bytes(m, n_features, context) for m in shallow)
    return one + (model.n_layers - 1) * (two - one)


@lru_cache(maxsize=4096)
def _activation_bytes(model: spec.PatchTST, n_features: int, context: int) -> int:
    module = _skeleton(model, n_features, context)
    one, two = (torch.empty(n, context, n_features, device=META) for n in (1, 2))
    noise_bytes = noise_per_example(module, one)
    return _saved_bytes(module, two, noise_bytes) - _saved_bytes(module, one, noise_bytes)


def member_bytes(parameters: int, batch: int, bytes_per_example: int) -> int:
    """Memory of one member in training: its tensors, and what a batch keeps for the way back."""
    return 4 * COPIES * parameters + batch * bytes_per_example


def _saved_bytes(module: nn.Module, x: Tensor, noise_bytes: int) -> int:
    """Bytes of all tensors that a training pass over `x` saves, each storage once."""
    saved: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[id(storage)] = storage  # held, so that no other gets its id
        return tensor

    draws = torch.empty(len(x), noise_bytes, dtype=torch.uint8, device=x.device)
    rates = torch.empty(2, device=x.device)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(x, Noise(draws, rates.to(torch.uint8), rates))
    return sum(storage.nbytes() for storage in saved.values())


@lru_cache(maxsize=64)
def _titles_skeleton(model: titles.Encoder, vocabulary: int, n_classes: int) -> TitleClassifier:
    with META:
        return build_titles(model, vocabulary, n_classes, torch.Generator("cpu"))


def _weights(*modules: nn.Module | None) -> int:
    return sum(p.numel() for m in modules if m is not None for p in m.parameters())


def titles_parameter_split(
    model: titles.Encoder, vocabulary: int, n_classes: int
) -> dict[str, int]:
    """Trainable parameters of a title classifier by part.

    Returns
    -------
    dict of str to int
        ``embedding, blocks, norms`` (after the embedding and at the end), ``head, projection``.
        The first three are the backbone.

    Examples
    --------
    >>> v1 = titles.Encoder.model_validate({"kind": "encoder", "head": "plain"})
    >>> titles_parameter_split(v1, vocabulary=151_669, n_classes=6)["blocks"]
    21642240
    """
    module = _titles_skeleton(model, vocabulary, n_classes)
    return {
        "embedding": _weights(module.embedding),
        "blocks": _weights(module.blocks),
        "norms": _weights(module.norm_in, module.norm_out),
        "head": _weights(module.head),
        "projection": _weights(module.projection),
    }


def titles_parameter_count(model: titles.Encoder, vocabulary: int, n_classes: int) -> int:
    """Trainable parameters of the network that `build_titles` would make.

    Examples
    --------
    >>> v1 = titles.Encoder.model_validate({"kind": "encoder", "head": "plain"})
    >>> titles_parameter_count(v1, vocabulary=151_669, n_classes=6)
    80034054
    """
    return _weights(_titles_skeleton(model, vocabulary, n_classes))


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
    each_token = sum(_map_weights(block) for block in module.blocks)
    attention = 2 * model.n_layers * model.d_model * tokens_per_row**2
    return 2.0 * (tokens_per_row * each_token + attention + _map_weights(module.head))


def _map_weights(module: nn.Module) -> int:
    """Weights of all linear maps, biases left out."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))
