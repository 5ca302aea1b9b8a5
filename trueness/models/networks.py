"""Every kind of network in one table, and what can be asked of any model.

A new network is a shape in `trueness.spec.model`, a module with its row, and a line in `NETWORKS`.
A model without a row has no weights: all its costs are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from trueness.models import foreign, patchtst, tabm
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
    "tabm": tabm.ROW,
    "module": foreign.ROW,
}
"""Kind -> how it is made and what it costs."""
MEASURES: dict[str, Callable[[nn.Module, int, int], int]] = {
    "parameters": lambda module, n_features, context: weights(module),
    "multiply_adds": measured_multiply_adds,
    "activation_bytes": measured_activation_bytes,
}
"""Cost -> how it is found where the row does not tell."""
COPIES = 6
"""Tensors as large as the parameters: themselves, gradient, two moments, best epoch, working."""


HERE = Path()


def build(
    model: Model,
    n_features: int,
    context: int,
    generator: torch.Generator,
    base_folder: Path = HERE,
) -> nn.Module:
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
    base_folder : Path
        Folder of own files.

    Examples
    --------
    >>> shape = Model.validated("patchtst")
    >>> module = build(shape, 20, 80, torch.Generator().manual_seed(0))
    >>> module(torch.randn(4, 80, 20)).shape
    torch.Size([4])
    """
    return _row(model, base_folder).build(model, n_features, context, generator).eval()


def parameter_count(model: Model, n_features: int, context: int, base_folder: Path = HERE) -> int:
    """Trainable parameters; 0 for a model that is no network.

    A network of others is tried here, as in everything that asks for a cost of it.

    Raises
    ------
    SpecError
        If a network of others cannot be trained; see `trueness.models.foreign`.

    Examples
    --------
    >>> base = {"kind": "patchtst", "revin": False, "embedding": {"kind": "linear", "width": 32}}
    >>> parameter_count(Model.validated(base), n_features=100, context=80)
    865889
    >>> parameter_count(Model.validated("forest"), n_features=100, context=80)
    0
    """
    return _cost("parameters", model, n_features, context, base_folder)


def multiply_adds(model: Model, n_features: int, context: int, base_folder: Path = HERE) -> int:
    """Multiply-adds of one forward pass over one window; 0 for a model that is no network."""
    return _cost("multiply_adds", model, n_features, context, base_folder)


def activation_bytes(model: Model, n_features: int, context: int, base_folder: Path = HERE) -> int:
    """Bytes that one more training example keeps for the backward pass, in float32; an estimate.

    0 for a model that is no network.

    Examples
    --------
    >>> activation_bytes(Model.validated("patchtst"), n_features=100, context=80) > 10**5
    True
    """
    return _cost("activation_bytes", model, n_features, context, base_folder)


def stacks(model: Model, n_features: int, context: int, base_folder: Path = HERE) -> bool:
    """Whether networks of this kind can be trained side by side in one pass."""
    known = _row(model, base_folder).stacks
    return known is None or known(model, n_features, context)


def statistics(
    model: Model, windows: Iterable[Tensor], names: Sequence[str] = ()
) -> dict[str, Tensor]:
    """Tensors that training windows, in pieces (b, L, C), and names of columns (C,) decide."""
    known = NETWORKS[model.kind].statistics
    return {} if known is None else known(model, windows, names)


def member_bytes(parameters: int, batch: int, bytes_per_example: int) -> int:
    """Memory of one member in training: its tensors, and what a batch keeps for the way back."""
    return 4 * COPIES * parameters + batch * bytes_per_example


def _row(model: Model, base_folder: Path) -> NetworkRow:
    row = NETWORKS[model.kind]
    return row if row.at is None else row.at(base_folder)


def _cost(name: str, model: Model, n_features: int, context: int, base_folder: Path) -> int:
    """A cost, asked of the model with all that decides none at its default: answers are kept."""
    if not model.is_network:
        return 0
    fields = type(model).model_fields
    plain = model.model_copy(update={name: fields[name].default for name in model.shapeless})
    return _kept_cost(name, plain, n_features, context, base_folder)


@lru_cache(maxsize=4096)
def _kept_cost(name: str, model: Model, n_features: int, context: int, base_folder: Path) -> int:
    row = _row(model, base_folder)
    known = getattr(row, name)
    if known is not None:
        return known(model, n_features, context)
    return MEASURES[name](on_meta(row.build, model, n_features, context), n_features, context)
