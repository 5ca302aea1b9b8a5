"""Losses of a stack: members that share a loss function are evaluated in one call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trueness.losses.binary import LOSSES
from trueness.spec.loss import Loss

PADDING = -1.0
"""Label of a row that only fills up a batch."""


class Objective:
    """Per-example losses of K members, each with its own loss and scalars.

    Parameters
    ----------
    losses : sequence of Loss
        One per member.
    base_rates : sequence of float
        Share of positives among each member's training examples, for losses that adjust to it.
    device : str
    """

    def __init__(self, losses: Sequence[Loss], base_rates: Sequence[float], device: str) -> None:
        scalars = [_scalars(one, rate) for one, rate in zip(losses, base_rates, strict=True)]
        rows: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for row, one in enumerate(losses):
            rows[(one.kind, *scalars[row])].append(row)
        self.groups = [
            _Group(kind, tuple(names), [scalars[r] for r in members], members, device)
            for (kind, *names), members in rows.items()
        ]

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        """Losses (K, B) of logits (K, B) and labels (K, B); a label of -1 is padding.

        Logits (K, B, h) are those of h networks in each: the mean of what each loses by itself.
        """
        if logits.dim() == 3:
            return torch.vmap(self, (2, None))(logits, y).mean(0)
        if len(self.groups) == 1:
            return self.groups[0](logits, y)
        out = torch.empty_like(logits)
        for group in self.groups:
            out = out.index_copy(0, group.rows, group(logits[group.rows], y[group.rows]))
        return out

    def apart(self, logits: Tensor, y: Tensor) -> Tensor:
        """Losses (K, B, h) of what each of h networks says, (K, B, h)."""
        return torch.vmap(self, (2, None), 2)(logits, y)


class _Group:
    """Members with the same loss function; `vmap` batches positional arguments only."""

    def __init__(
        self, kind: str, names: tuple[str, ...], scalars: list[dict[str, float]], rows: list[int],
        device: str,
    ) -> None:  # fmt: skip
        self.rows = torch.tensor(rows, device=device)
        self.values = [
            torch.tensor([one[name] for one in scalars], dtype=torch.float32, device=device)
            for name in names
        ]
        self.call = torch.vmap(_positional(LOSSES[kind], names))

    def __call__(self, logits: Tensor, y: Tensor) -> Tensor:
        return self.call(logits, y, *self.values)


def _positional(loss: Callable[..., Tensor], names: tuple[str, ...]) -> Callable[..., Tensor]:
    """The loss with its scalars by position."""

    def call(logits: Tensor, y: Tensor, *values: Tensor) -> Tensor:
        return loss(logits, y, **dict(zip(names, values, strict=True)))

    return call


def _scalars(loss: Loss, base_rate: float) -> dict[str, float]:
    """Numbers that a loss is called with; a prior that is left open is the base rate."""
    values = loss.model_dump(exclude={"kind"}, exclude_none=True)
    if "prior" in type(loss).model_fields and "prior" not in values:
        values["prior"] = base_rate
    return values
