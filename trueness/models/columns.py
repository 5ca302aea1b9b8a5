"""Self-attention across the columns of a day, in memory that grows with the columns only.

A column enters as one number, so its query, key and value are that number times a vector plus
another vector, both of the column: nothing of size (days, columns, width) has to be kept. Forward
and backward pass go over pieces of days, and the backward pass computes each piece again. A CPU
uses compiled loops, in float32 also where autocast is on; all else, and float64, torch's kernels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from trueness.models.column_kernels import gradients, mixtures
from trueness.models.layers import working_precision

PIECE = 2**23
"""Numbers of queries, keys and values together that a piece of days may have."""

UNFUSED = 32
"""Attention weights count one 32nd: where no fused kernel serves, a piece takes a gigabyte."""

MOST_DAYS = 2**15
"""CUDA's kernels take up to 65,535 rows."""


def attend_columns(x: Tensor, keep: Tensor, slope: Tensor, shift: Tensor, out: Tensor) -> Tensor:
    """Attention of every column to all columns of its day, and a linear map of the result.

    Parameters
    ----------
    x : (R, C)
        Days by columns.
    keep : (R or 1, h, C)
        Factors of the value rows, 0 where one is dropped; not differentiated.
    slope, shift : (C, 3, h, k)
        Query, key and value of column c in each of h heads are ``x[c] * slope[c] + shift[c]``.
    out : (e, C * h * k)
        Weight of the map that follows.

    Returns
    -------
    (R, e), in autocast's precision where it is on.
    """
    if torch.compiler.is_exporting():  # a graph has no pieces, nor a way back
        return _fused(x, keep, slope, shift, out, working_precision(x))
    one = [t[None] for t in (x, keep, slope, shift, out)]
    return _ColumnAttention.apply(*one, working_precision(x))[0]


def _attend(
    x: Tensor, keep: Tensor, slope: Tensor, shift: Tensor, out: Tensor, dtype: torch.dtype
) -> Tensor:
    """One piece of days of one network."""
    if not _in_loops(x):
        return _fused(x, keep, slope, shift, out, dtype)
    inputs = (t.numpy() for t in (x, keep, slope, shift))
    mixed = torch.from_numpy(mixtures(*inputs, torch.get_num_threads()))
    return (mixed.flatten(1) @ out.T).to(dtype)


def _in_loops(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32


def _fused(
    x: Tensor, keep: Tensor, slope: Tensor, shift: Tensor, out: Tensor, dtype: torch.dtype
) -> Tensor:
    """The same by torch, which can differentiate it."""
    tokens = (x[:, :, None, None, None] * slope + shift).to(dtype)
    q, k, v = tokens.permute(2, 0, 3, 1, 4)  # (R, h, C, k) each
    mixed = F.scaled_dot_product_attention(q, k, v * keep[..., None].to(dtype))
    return mixed.transpose(1, 2).flatten(1) @ out.to(dtype).T


def _gradients(part: list[Tensor], upstream: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Gradients of x, slope, shift and out from that of one piece's result (R, e)."""
    x, keep, slope, shift, out = part
    if not _in_loops(x):
        leaves = [t.detach().requires_grad_() for t in (x, slope, shift, out)]
        with torch.enable_grad():
            result = _fused(leaves[0], keep, *leaves[1:], dtype)
        return list(torch.autograd.grad(result, leaves, upstream))
    upstream = upstream.float()
    of_mixed = (upstream @ out).view(*x.shape, *slope.shape[2:])
    inputs = (t.numpy() for t in (x, keep, slope, shift, of_mixed))
    mixed, *matches = map(torch.from_numpy, gradients(*inputs, torch.get_num_threads()))
    return [*matches, upstream.T @ mixed.flatten(1)]


def _pieces(x: Tensor, slope: Tensor) -> Iterator[tuple[int, slice]]:
    """Network and days of each piece."""
    columns, _, heads, _ = slope.shape[1:]
    each_day = max(slope[0].numel(), heads * columns * columns // UNFUSED)
    step = min(MOST_DAYS, max(1, PIECE // each_day))
    for m in range(len(x)):
        for first in range(0, x.shape[1], step):
            yield m, slice(first, first + step)


def _part(inputs: Sequence[Tensor], m: int, days: slice) -> list[Tensor]:
    x, keep, *weights = inputs
    return [x[m, days], keep[m, days] if keep.shape[1] > 1 else keep[m], *(w[m] for w in weights)]


class _ColumnAttention(torch.autograd.Function):
    """`_attend` for M networks with weights of their own: every input has a leading M.

    Under `vmap` the mapped dimension becomes part of M, as the fused kernel has no batching rule.
    """

    @staticmethod
    def forward(*arguments: Any) -> Tensor:  # noqa: ANN401 - five tensors and a dtype
        """(M, R, C) to (M, R, e)."""
        *inputs, dtype = arguments
        x, slope, out = inputs[0], inputs[2], inputs[4]
        result = x.new_empty(*x.shape[:2], out.shape[1], dtype=dtype)
        for m, days in _pieces(x, slope):
            result[m, days] = _attend(*_part(inputs, m, days), dtype)
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ANN401
        """Keep the inputs, nothing else."""
        *tensors, ctx.dtype = inputs
        ctx.save_for_backward(*tensors)
        del output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """Compute every piece again and differentiate it."""
        inputs = [t.detach() for t in ctx.saved_tensors]
        sums = {i: torch.zeros_like(inputs[i]) for i in (0, 2, 3, 4)}
        for m, days in _pieces(inputs[0], inputs[2]):
            result = _gradients(_part(inputs, m, days), grad[m, days], ctx.dtype)
            for (i, total), new in zip(sums.items(), result, strict=True):
                total[(m, days) if i == 0 else m] += new
        return tuple(sums.get(i) for i in range(6))

    @staticmethod
    def vmap(
        info: Any,  # noqa: ANN401
        in_dims: tuple[int | None, ...],
        *arguments: Any,  # noqa: ANN401
    ) -> tuple[Tensor, int]:
        """Fold the K mapped networks into the M of each."""
        *inputs, dtype = arguments
        moved = [
            t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip(inputs, in_dims, strict=False)
        ]
        result = _ColumnAttention.apply(*(t.flatten(0, 1) for t in moved), dtype)
        return result.unflatten(0, (info.batch_size, -1)), 0
