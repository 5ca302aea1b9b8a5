"""A training step recorded as a CUDA graph and replayed: hundreds of launches become one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UP = 3
"""Runs before recording, as libraries set themselves up on first use."""


class Graph:
    """Replays a step whose tensors keep their places.

    Parameters
    ----------
    step : callable
        Takes tensors or None; changes its state in place and returns nothing.
    state : callable
        Tensors that `step` changes, so that warming up leaves no trace.
    """

    def __init__(self, step: Callable[..., None], state: Callable[[], list[Tensor]]) -> None:
        self.step, self.state = step, state
        self.static: list[Tensor | None] = []
        self.recorded: tuple[object, ...] = ()

    def __call__(self, *inputs: Tensor | None) -> None:
        """One step; recorded anew whenever a shape or a tensor of the state is another one."""
        places = tuple(t.data_ptr() for t in self.state())
        signature = (places, tuple(None if t is None else t.shape for t in inputs))
        if signature != self.recorded:
            self._record(inputs)
            self.recorded = signature
        for kept, tensor in zip(self.static, inputs, strict=True):
            if kept is not None and tensor is not None:
                kept.copy_(tensor)
        self.graph.replay()

    def _record(self, inputs: tuple[Tensor | None, ...]) -> None:
        self.static = [None if t is None else t.clone() for t in inputs]
        before = [t.clone() for t in self.state()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.step(*self.static)
        torch.cuda.current_stream().wait_stream(side)
        for tensor, old in zip(self.state(), before, strict=True):
            tensor.copy_(old)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step(*self.static)
