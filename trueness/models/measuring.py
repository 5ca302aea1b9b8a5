"""What a network costs, measured on a module: weights, multiply-adds, memory of training.

Nothing here knows a kind of network; `trueness.models.networks` has the table of kinds. Modules may
lie on the meta device, which allocates no numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from trueness.models.noise import Noise, noise_per_example

META = torch.device("meta")
FEW = 2
"""Windows of the smaller of two passes; statistics over a batch need two."""

Build: TypeAlias = Callable[[Any, int, int, torch.Generator], nn.Module]
"""Shape, columns C, rows L and source of randomness to a module (B, L, C) -> (B,)."""
Count: TypeAlias = Callable[[Any, int, int], int]
"""Shape, columns and rows to a number."""


def on_meta(build: Build, model: Any, n_features: int, context: int) -> nn.Module:  # noqa: ANN401
    """Module without numbers, set to evaluate."""
    with META:
        return build(model, n_features, context, torch.Generator("cpu")).eval()


@dataclass(frozen=True)
class NetworkRow:
    """A kind of network: how it is made, and what cannot be found by measuring it.

    Attributes
    ----------
    build : callable
        Module with initial weights, (B, L, C) to logits (B,). In training it may return (B, h): the
        logits of h members of which each has its own loss. Its attribute `rates` has the rates of
        its dropout sites, and `samples` says whether it draws even where all of them are 0.
    parameters, multiply_adds, activation_bytes : callable, optional
        Costs by shape, columns and rows, where they are not measured on a module without numbers.
    stacks : callable, optional
        Whether `torch.func` takes it; all do by default.
    statistics : callable, optional
        Tensors by name that are decided before training: of the shape, of the training windows in
        pieces (b, L, C), and of the names of their columns.
    at : callable, optional
        The row of a network whose code lies in a folder.
    """

    build: Build
    parameters: Count | None = None
    multiply_adds: Count | None = None
    activation_bytes: Count | None = None
    stacks: Callable[[Any, int, int], bool] | None = None
    statistics: Callable[[Any, Iterable[Tensor], Sequence[str]], dict[str, Tensor]] | None = None
    at: Callable[[Path], NetworkRow] | None = None


def weights(*modules: nn.Module | None) -> int:
    """Trainable parameters."""
    parameters = (p for m in modules if m is not None for p in m.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad)


def map_weights(module: nn.Module) -> int:
    """Weights of all linear maps, biases left out."""
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Linear))


def measured_multiply_adds(module: nn.Module, n_features: int, context: int) -> int:
    """Multiply-adds of a forward pass over one window, as torch counts those of matrix products."""
    few, more = (_flops(module, x) for x in _windows(module, n_features, context))
    return (more - few) // 2


def _flops(module: nn.Module, x: Tensor) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        with torch.backends.mkldnn.flags(enabled=False), counter:  # fused, an LSTM is not counted
            module(x)
    return counter.get_total_flops()


def measured_activation_bytes(module: nn.Module, n_features: int, context: int) -> int:
    """Bytes that one more training example keeps for the backward pass, in float32; an estimate.

    What torch saves in a forward pass with dropout over one example more: tensors made of weights
    alone cancel. Random bytes and working memory are not in it. Half precision needs about half.
    """
    few, more = _windows(module, n_features, context)
    module.train()
    noise_bytes = noise_per_example(module, few)
    return _saved_bytes(module, more, noise_bytes) - _saved_bytes(module, few, noise_bytes)


def _windows(module: nn.Module, n_features: int, context: int) -> tuple[Tensor, Tensor]:
    """Two batches whose sizes differ by one, where the module lies."""
    where = next((p.device for p in module.parameters()), torch.device("cpu"))
    few, more = (torch.zeros(n, context, n_features, device=where) for n in (FEW, FEW + 1))
    return few, more


def _saved_bytes(module: nn.Module, x: Tensor, noise_bytes: int) -> int:
    """Bytes of all tensors that a training pass over `x` saves, each storage once."""
    draws = torch.zeros(len(x), noise_bytes, dtype=torch.uint8, device=x.device)
    size = len(cast(tuple[float, ...], module.rates))
    level = torch.zeros(size, dtype=torch.uint8, device=x.device)
    noise = Noise(draws, level, torch.ones(size, device=x.device))
    return saved_bytes(lambda: module(x, noise))


def saved_bytes(forward: Callable[[], object]) -> int:
    """Bytes of all tensors that a pass saves for the backward pass, each storage once."""
    saved: dict[int, torch.UntypedStorage] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[id(storage)] = storage  # held, so that no other gets its id
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        forward()
    return sum(storage.nbytes() for storage in saved.values())
