"""The loss of a batch: losses of examples, mixed, weighed, and counted or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trueness.fit.changes import Mixture
from trueness.fit.objective import PADDING, Objective
from trueness.fit.selecting import SELECTIONS


@dataclass(frozen=True)
class Answer:
    """What K networks say in training about B windows each.

    Attributes
    ----------
    logits : (K, B) or (K, B, h)
        Of networks whose h members are trained side by side.
    penalty : (K, B)
        What each network charges for an example.
    weight : (K, B)
        How often it lets its loss count.
    """

    logits: Tensor
    penalty: Tensor
    weight: Tensor


def batch_loss(
    objective: Objective, answer: Answer, y: Tensor, real: Tensor, mixture: Mixture | None,
    selection: str, choice: Tensor,
) -> Tensor:  # fmt: skip
    """Mean loss (K,) over the real examples that count.

    Parameters
    ----------
    objective : Objective
    answer : Answer
    y : (K, B) float32
    real : (K, B) bool
        False for padding.
    mixture : Mixture, optional
    selection : str
        A key of `trueness.fit.selecting.SELECTIONS`.
    choice : (K, 2) float32
    """
    labels = torch.where(real, y, PADDING)
    choose = SELECTIONS[selection]
    if choose is None:
        each = _mixed(objective, answer.logits, labels, mixture)
        return ((each * answer.weight + answer.penalty) * real).sum(1) / real.sum(1)
    logits = answer.logits if answer.logits.dim() == 3 else answer.logits[..., None]
    each = _mixed(objective.apart, logits, labels, mixture)
    counted = choose(logits, each, y, real, choice)
    lost = (each * counted * answer.weight[..., None]).sum(1) / counted.sum(1).clamp(min=1e-12)
    return lost.mean(1) + (answer.penalty * real).sum(1) / real.sum(1)


def _mixed(
    losses: Callable[[Tensor, Tensor], Tensor], logits: Tensor, y: Tensor, mixture: Mixture | None
) -> Tensor:
    """Losses against the own label and, as far as windows are mixed, against the partner's."""
    if mixture is None:
        return losses(logits, y)
    own, other = (losses(logits, one) for one in (y, y.gather(1, mixture.partner)))
    weight = mixture.weight if own.dim() == 2 else mixture.weight[..., None]
    return weight * own + (1 - weight) * other
