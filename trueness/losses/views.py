"""Losses of two views of each window, which bring them together: no label is read.

Each takes points of both views, the first view of all windows above the second of all. Rows that
only pad a short batch count neither as anchors nor as what these are compared with.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def ntxent(z: Tensor, near: Tensor, real: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy of two views, ().

    Mean over the anchors of ``ln(sum_a exp(s_ia)) - s_ij`` with ``s = z_i . z_j / temperature``: j
    is the other view of the anchor, a runs over it and over both views of all windows that are not
    near. Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations"
    (2020).

    Parameters
    ----------
    z : (2 B, D) float32
        Points, of any length.
    near : (B, B) bool
        Pairs of windows that are not compared, as they share rows; true on the diagonal.
    real : (B,) bool
        False for padding.
    temperature : float > 0

    Examples
    --------
    >>> z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    >>> both = torch.tensor([True, True])
    >>> ntxent(z, torch.eye(2).bool(), both, temperature=0.5)
    tensor(0.0360)
    >>> ntxent(z, torch.ones(2, 2).bool(), both, temperature=0.5)
    tensor(0.)
    """
    return ntxent_in_time(z[:, None], near, real, temperature)


def ntxent_in_time(z: Tensor, near: Tensor, real: Tensor, temperature: float) -> Tensor:
    """The same for every time of every window, ().

    An anchor is compared with its own time in the other view, with the other times of its window,
    and with all times of windows that are not near. After Yue et al., "TS2Vec: Towards Universal
    Representation of Time Series" (2022), whose two losses take these apart.

    Parameters
    ----------
    z : (2 B, N, D) float32
        Points of N times of each window.
    near, real, temperature
        See `ntxent`.
    """
    views, n = z.shape[:2]
    points = F.normalize(z.float(), dim=-1).flatten(0, 1)
    similar = points @ points.T / temperature
    window = torch.arange(views, device=z.device).remainder(views // 2).repeat_interleave(n)
    place = torch.arange(len(points), device=z.device)
    itself = place[:, None] == place
    partner = place.roll(len(points) // 2)[:, None] == place
    known = real[window]
    compared = ~near[window][:, window] | (window[:, None] == window)
    compared = compared & known & ~itself & (~_same_time(place, window, n) | partner)
    log_sum = similar.masked_fill(~compared, -torch.inf).logsumexp(1)
    each = log_sum - (similar * partner).sum(1)
    return torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)


def _same_time(place: Tensor, window: Tensor, n: int) -> Tensor:
    """Pairs of points of one time of one window."""
    time = place.remainder(n)
    return (time[:, None] == time) & (window[:, None] == window)


def byol(predicted: Tensor, target: Tensor, real: Tensor) -> Tensor:
    """Twice one less the cosine of a prediction and the other view's point, (), from 0 to 4.

    Grill et al., "Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning" (2020).

    Parameters
    ----------
    predicted, target : (2 B, D) float32
        Of the network, and of its slow copy, which gets no gradient.
    real : (B,) bool

    Examples
    --------
    >>> z = torch.eye(2)
    >>> byol(z, z, torch.tensor([True])), byol(z, z.flip(0), torch.tensor([True]))
    (tensor(2.), tensor(0.))
    """
    known = torch.cat([real, real])
    other = target.detach().float().roll(len(real), 0)
    cosine = (F.normalize(predicted.float(), dim=-1) * F.normalize(other, dim=-1)).sum(1)
    return torch.where(known, 2 - 2 * cosine, 0.0).sum() / known.sum().clamp(min=1)
