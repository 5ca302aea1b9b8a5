"""Self-attention across the columns of a day, in memory that grows with the columns only.

A column enters as one number, so its query, key and value are that number times a vector plus
another vector, both of the column: nothing of size (days, columns, width) has to be kept. Forward
and backward pass go over pieces of days, and the backward pass computes each piece again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

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
        return _attend(x, keep, slope, shift, out, working_precision(x))
    one = [t[None] for t in (x, keep, slope, shift, out)]
    return _ColumnAttention.apply(*one, working_precision(x))[0]


def _attend(
    x: Tensor, keep: Tensor, slope: Tensor, shift: Tensor, out: Tensor, dtype: torch.dtype
) -> Tensor:
    """One piece of days of one network."""
    tokens = (x[:, :, None, None, None] * slope + shift).to(dtype)
    q, k, v = tokens.permute(2, 0, 3, 1, 4)  # (R, h, C, k) each
    mixed = F.scaled_dot_product_attention(q, k, v * keep[..., None].to(dtype))
    return mixed.transpose(1, 2).flatten(1) @ out.to(dtype).T


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
        inputs, wanted = ctx.saved_tensors, [i for i in (0, 2, 3, 4) if ctx.needs_input_grad[i]]
        sums = {i: torch.zeros_like(inputs[i]) for i in wanted}
        for m, days in _pieces(inputs[0], inputs[2]):
            part = [t.detach() for t in _part(inputs, m, days)]
            with torch.enable_grad():
                leaves = [part[i].requires_grad_() for i in wanted]
                result = _attend(*part, ctx.dtype)
            for i, new in zip(
                wanted, torch.autograd.grad(result, leaves, grad[m, days]), strict=True
            ):
                total = sums[i][m, days] if i == 0 else sums[i][m]
                total += new
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
