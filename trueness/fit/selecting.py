"""Which examples of a batch count, by what networks say about them at this moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor


def doubted(logits: Tensor, each: Tensor, y: Tensor, real: Tensor, choice: Tensor) -> Tensor:
    """Less weight for labels to which the network gives a low probability.

    Parameters
    ----------
    logits, each : (K, B, h) float32
        Of h networks in each of K members, and what each loses.
    y : (K, B) float32
    real : (K, B) bool
        False for padding.
    choice : (K, 2) float32
        Probability below which a label is doubted, and what such an example weighs.

    Returns
    -------
    (K, B, h) float32
        Weights; all 1 where none would remain.
    """
    del each
    with torch.no_grad():
        p, label = torch.sigmoid(logits.float()), y[..., None]
        agreement = p * label + (1 - p) * (1 - label)
        below, factor = choice[:, None, None, 0], choice[:, None, None, 1]
        weight = torch.where(agreement < below, factor, 1.0) * real[..., None]
        return torch.where((weight > 0).any(1, keepdim=True), weight, real[..., None].float())


def chosen_by_another(
    logits: Tensor, each: Tensor, y: Tensor, real: Tensor, choice: Tensor
) -> Tensor:
    """The smallest losses of each class in the eyes of the network before.

    Han et al., "Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels"
    (2018), which does not part the classes.

    Parameters
    ----------
    logits, each, y, real
        See `doubted`.
    choice : (K, 2) float32
        Proportion of each class that is left out, rounded down, and nothing.

    Returns
    -------
    (K, B, h) float32
        1 for those that count.
    """
    del logits
    with torch.no_grad():
        kept = torch.zeros_like(each, dtype=torch.float32)
        for label in (0.0, 1.0):
            mine = ((y == label) & real)[..., None]
            order = torch.where(mine, each.float(), torch.inf).argsort(dim=1, stable=True)
            rank = order.argsort(dim=1)
            count = mine.sum(1, keepdim=True)
            left = count - (count * choice[:, None, None, 0] + 1e-6).floor()
            kept = kept + ((rank < left) & mine)
        return kept.roll(1, 2)


Choose: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
SELECTIONS: dict[str, Choose | None] = {
    "none": None,
    "confidence": doubted,
    "coteaching": chosen_by_another,
}
"""Kind -> weights of the examples; None where all count alike."""
