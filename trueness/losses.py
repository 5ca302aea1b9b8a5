"""Losses: pure functions of logits, one value per example, in one table.

Each takes logits (B,) and labels y (B,) of 0 and 1 as floats, and scalars by keyword (Python
numbers or 0-d tensors, so that members of a stack may differ), and returns (B,). All stay finite
for logits of +-80 and use masks instead of indexing, so that they vmap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

Scalar: TypeAlias = float | Tensor


def _softplus_pair(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(-ln p, -ln(1-p)) of a logit, both without overflow."""
    return F.softplus(-logits), F.softplus(logits)


def bce(logits: Tensor, y: Tensor) -> Tensor:
    """Binary cross-entropy, ``-[y ln p + (1-y) ln(1-p)]``.

    Examples
    --------
    >>> bce(torch.tensor([0.0, -80.0]), torch.tensor([1.0, 1.0]))
    tensor([ 0.6931, 80.0000])
    """
    cost_pos, cost_neg = _softplus_pair(logits)
    return y * cost_pos + (1 - y) * cost_neg


def weightedbce(logits: Tensor, y: Tensor, *, pos_weight: Scalar) -> Tensor:
    """Cross-entropy with positives counted `pos_weight` times.

    ``-[w y ln p + (1-y) ln(1-p)]``; shifts probabilities upwards for w > 1, w = 1 is `bce`.
    """
    cost_pos, cost_neg = _softplus_pair(logits)
    return pos_weight * y * cost_pos + (1 - y) * cost_neg


def labelsmoothing(logits: Tensor, y: Tensor, *, epsilon: Scalar) -> Tensor:
    """Cross-entropy against the target ``y (1 - epsilon) + (1 - y) epsilon``.

    After Szegedy et al., "Rethinking the Inception Architecture for Computer Vision" (2016).
    Squeezes probabilities inwards; epsilon = 0 is `bce`.
    """
    return bce(logits, y * (1 - epsilon) + (1 - y) * epsilon)


def asymmetricfocal(
    logits: Tensor, y: Tensor, *, gamma_pos: Scalar, gamma_neg: Scalar, alpha: Scalar
) -> Tensor:
    """Focal loss with one exponent per class.

    ``-alpha y (1-p)^g+ ln p - (1-alpha)(1-y) p^g- ln(1-p)``, after Ridnik et al., "Asymmetric Loss
    For Multi-Label Classification" (2021), without its probability shift. Equal exponents make it
    `focal`.
    """
    cost_pos, cost_neg = _softplus_pair(logits)
    # (1-p)^g = exp(-g * -ln(1-p)): smooth where a power of a vanishing probability is not
    positive = alpha * torch.exp(-gamma_pos * cost_neg) * cost_pos
    negative = (1 - alpha) * torch.exp(-gamma_neg * cost_pos) * cost_neg
    return y * positive + (1 - y) * negative


def focal(logits: Tensor, y: Tensor, *, gamma: Scalar, alpha: Scalar | None) -> Tensor:
    """Focal loss ``a_t (1 - p_t)^gamma (-ln p_t)``.

    Lin et al., "Focal Loss for Dense Object Detection" (2017). Pulls probabilities towards the
    middle as gamma grows. `alpha` weighs the positives, 1 - alpha the negatives; None leaves both
    at 1. gamma = 0 without alpha is `bce`; with alpha = 0.5 it is half of it.
    """
    if alpha is None:
        return 2 * asymmetricfocal(logits, y, gamma_pos=gamma, gamma_neg=gamma, alpha=0.5)
    return asymmetricfocal(logits, y, gamma_pos=gamma, gamma_neg=gamma, alpha=alpha)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "bce": bce,
    "weightedbce": weightedbce,
    "labelsmoothing": labelsmoothing,
    "focal": focal,
    "mildfocal": focal,
    "asymmetricfocal": asymmetricfocal,
}
