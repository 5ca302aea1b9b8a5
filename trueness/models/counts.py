"""Weights, work and memory of a network, found on a skeleton that allocates no numbers."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from trueness import spec
from trueness.models.embeddings import AttentionEmbedding
from trueness.models.noise import Noise, noise_per_example
from trueness.models.patchtst import PatchTST, build, patch_count

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
    return sum(m.weight.numel() for m in embedding.modules() if isinstance(m, nn.Linear))


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
