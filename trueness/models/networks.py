"""Every kind of network in one table, and what can be asked of any model.

A new network is a shape in `trueness.spec.model`, a module with its row, and a line in `NETWORKS`.
A model without a row has no weights: all its costs are 0.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from trueness.models import patchtst
from trueness.models.measuring import (
    NetworkRow,
    measured_activation_bytes,
    measured_multiply_adds,
    on_meta,
    weights,
)
from trueness.spec.model import Model

NETWORKS: dict[str, NetworkRow] = {
    "patchtst": patchtst.ROW,
}
"""Kind -> how it is made and what it costs."""
COPIES = 6
"""Tensors as large as the parameters: themselves, gradient, two moments, best epoch, working."""


def build(model: Model, n_features: int, context: int, generator: torch.Generator) -> nn.Module:
    """Whole network with initial weights drawn from `generator`, on CPU, set to evaluate.

    Parameters
    ----------
    model : trueness.spec.model.Model
        One that is a network.
    n_features : int
        Columns of a window, C.
    context : int
        Rows of a window, L.
    generator : torch.Generator
        The only source of randomness.

    Examples
    --------
    >>> shape = Model.validated("patchtst")
    >>> module = build(shape, 20, 80, torch.Generator().manual_seed(0))
    >>> module(torch.randn(4, 80, 20)).shape
    torch.Size([4])
    """
    return NETWORKS[model.kind].build(model, n_features, context, generator).eval()


def parameter_count(model: Model, n_features: int, context: int) -> int:
    """Trainable parameters; 0 for a model that is no network.

    Examples
    --------
    >>> base = {"kind": "patchtst", "revin": False, "embedding": {"kind": "linear", "width": 32}}
    >>> parameter_count(Model.validated(base), n_features=100, context=80)
    865889
    >>> parameter_count(Model.validated("forest"), n_features=100, context=80)
    0
    """
    return _parameter_count(_plain(model), n_features, context) if model.is_network else 0


def multiply_adds(model: Model, n_features: int, context: int) -> int:
    """Multiply-adds of one forward pass over one window; 0 for a model that is no network."""
    return _multiply_adds(_plain(model), n_features, context) if model.is_network else 0


def activation_bytes(model: Model, n_features: int, context: int) -> int:
    """Bytes that one more training example keeps for the backward pass, in float32; an estimate.

    0 for a model that is no network.

    Examples
    --------
    >>> activation_bytes(Model.validated("patchtst"), n_features=100, context=80) > 10**5
    True
    """
    return _activation_bytes(_plain(model), n_features, context) if model.is_network else 0


def member_bytes(parameters: int, batch: int, bytes_per_example: int) -> int:
    """Memory of one member in training: its tensors, and what a batch keeps for the way back."""
    return 4 * COPIES * parameters + batch * bytes_per_example


def _plain(model: Model) -> Model:
    """The model with all that decides no cost at its default, so that answers are kept for it."""
    fields = type(model).model_fields
    return model.model_copy(update={name: fields[name].default for name in model.shapeless})


def _skeleton(model: Model, n_features: int, context: int) -> nn.Module:
    return on_meta(NETWORKS[model.kind].build, model, n_features, context)


@lru_cache(maxsize=4096)
def _parameter_count(model: Model, n_features: int, context: int) -> int:
    return weights(_skeleton(model, n_features, context))


@lru_cache(maxsize=4096)
def _multiply_adds(model: Model, n_features: int, context: int) -> int:
    known = NETWORKS[model.kind].multiply_adds
    if known is not None:
        return known(model, n_features, context)
    return measured_multiply_adds(_skeleton(model, n_features, context), n_features, context)


@lru_cache(maxsize=4096)
def _activation_bytes(model: Model, n_features: int, context: int) -> int:
    known = NETWORKS[model.kind].activation_bytes
    if known is not None:
        return known(model, n_features, context)
    return measured_activation_bytes(_skeleton(model, n_features, context), n_features, context)
