"""Supervised contrastive loss over label, or label and language, with a memory of past batches."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

NOBODY = -1
"""Label, language and row of an empty place in the memory; row of a text that has none."""


class Points(NamedTuple):
    """Projected texts: ``z`` (M, D) of unit length, ``y`` (M,), ``language`` (M,), int64.

    ``row`` (M,) int64 tells which text each is, so that none is compared with itself.
    """

    z: Tensor
    y: Tensor
    language: Tensor
    row: Tensor | None = None


class CrossBatchMemory(nn.Module):
    """The last `size` projections and what is known of them, as further columns of `supcon`.

    Wang et al., "Cross-Batch Memory for Embedding Learning" (2020). They hold no gradient, and were
    projected by slightly older weights. All state is in buffers, so ``state_dict`` holds the
    memory whole.

    Parameters
    ----------
    size : int
        Places, M.
    width : int
        Of a projection, D.

    Examples
    --------
    >>> memory = CrossBatchMemory(size=3, width=2)
    >>> memory.push(torch.eye(2), torch.tensor([4, 5]), torch.tensor([0, 1]))
    >>> memory.points().y
    tensor([ 4,  5, -1])
    """

    z: Tensor
    y: Tensor
    language: Tensor
    row: Tensor
    position: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("z", torch.zeros(size, width))
        self.register_buffer("y", torch.full((size,), NOBODY))
        self.register_buffer("language", torch.full((size,), NOBODY))
        self.register_buffer("row", torch.full((size,), NOBODY))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    def points(self) -> Points:
        """What is remembered; empty places have label and language -1.

        To be read before the batch at hand is pushed, which would else be compared with itself.
        """
        return Points(self.z, self.y, self.language, self.row)

    @torch.no_grad()
    def push(self, z: Tensor, y: Tensor, language: Tensor, row: Tensor | None = None) -> None:
        """Take in a batch (B, D), (B,), (B,), (B,) in place of the oldest; of a larger, its end."""
        size = len(self.y)
        taken = [part[-size:] for part in (z, y, language, _rows(row, y))]
        places = (self.position + torch.arange(len(taken[0]), device=self.y.device)) % size
        for buffer, part in zip((self.z, self.y, self.language, self.row), taken, strict=True):
            buffer[places] = part.to(buffer.dtype)
        self.position.add_(len(taken[0]))


def supcon(
    z: Tensor, y: Tensor, *, temperature: float, language: Tensor | None = None,
    cross_weight: float = 1.0, memory: Points | None = None, row: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Supervised contrastive loss of each anchor, and which anchors have one.

    ``-sum_j w_ij (s_ij - ln sum_a exp s_ia) / sum_j w_ij`` with ``s = z_i . z_j / temperature``, j
    over the other points with the anchor's label and a over all other points of the pool, which is
    the batch and the memory. Khosla et al., "Supervised Contrastive Learning" (2020), the form with
    the sum outside. Without `language` all w are 1, as published; with it,
    ``w_ij = cross_weight^[l_i != l_j] / n(l_j)``, n counting the texts of a language in the pool.

    Parameters
    ----------
    z : (B, D) float32 or float64
        Points of unit length.
    y : (B,) int64
    temperature : float > 0
    language : (B,) int64 >= 0, optional
    cross_weight : float > 0
        How often a positive of another language counts.
    memory : Points, optional
        Further points to compare with, which are no anchors; label and language -1 mark an
        empty place.
    row : (B,) int64, optional
        Number of each text. Other points of the pool with the anchor's number, that is the same
        text drawn twice or remembered from before, are left out: it would only find itself.

    Returns
    -------
    loss : (B,)
        0 where there is no positive.
    anchor : (B,) bool
        Whether there is one. The loss of the batch is the mean over these.

    Notes
    -----
    NOTE[DIFF]: the published form clips s to +-20, which kills gradients at temperatures below
    0.05, and normalises z a second time; here the log-sum-exp is exact and nothing is clipped.

    Examples
    --------
    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> loss, anchor = supcon(z, torch.tensor([0, 0, 1]), temperature=0.5)
    >>> loss, anchor
    (tensor([0.0181, 0.0181, 0.0000]), tensor([ True,  True, False]))
    """
    pool, others = _pool(z, y, language, memory, row)
    weights = _positive_weights(y, language, pool, others, cross_weight).to(z.dtype)
    with torch.autocast(z.device.type, enabled=False):
        similar = z @ pool.z.to(z.dtype).T / temperature
    log_sum = similar.masked_fill(~others, -torch.inf).logsumexp(1, keepdim=True)
    anchor = (weights > 0).any(1)
    loss = torch.where(weights > 0, weights * (log_sum - similar), 0.0).sum(1)
    return loss, anchor


def _pool(
    z: Tensor, y: Tensor, language: Tensor | None, memory: Points | None, row: Tensor | None
) -> tuple[Points, Tensor]:
    """All P points to compare with, and for each anchor which are there and not itself (B, P)."""
    rows = _rows(row, y)
    language = torch.zeros_like(y) if language is None else language
    others = ~torch.eye(len(y), dtype=torch.bool, device=y.device) & _apart(rows, rows)
    if memory is None:
        return Points(z, y, language), others
    there = (memory.y != NOBODY) & _apart(rows, _rows(memory.row, memory.y))
    pool = Points(
        torch.cat((z, memory.z)), torch.cat((y, memory.y)), torch.cat((language, memory.language))
    )
    return pool, torch.cat((others, there), 1)


def _rows(row: Tensor | None, y: Tensor) -> Tensor:
    return torch.full_like(y, NOBODY) if row is None else row


def _apart(rows: Tensor, others: Tensor) -> Tensor:
    """Whether texts (B,) and others (P,) are not known to be the same, (B, P)."""
    return (rows[:, None] != others) | (others == NOBODY)


def _positive_weights(
    y: Tensor, language: Tensor | None, pool: Points, others: Tensor, cross_weight: float
) -> Tensor:
    """Weights (B, P) float32 of each anchor's positives, of sum 1 if there are any, else 0."""
    weights = ((y[:, None] == pool.y) & others).to(torch.float32)
    if language is not None:
        row = pool.language - NOBODY  # from 0
        crossing = torch.where(language[:, None] == pool.language, 1.0, cross_weight)
        weights = weights * crossing / torch.bincount(row)[row]
    total = weights.sum(1, keepdim=True)
    return weights / torch.where(total > 0, total, 1.0)
