"""Area under the ROC curve of many members at once, on the training device."""

from __future__ import annotations

import torch
from torch import Tensor


def stacked_auc(logits: Tensor, y: Tensor, valid: Tensor) -> Tensor:
    """Probability that a positive outranks a negative, ties counted half; (K, n) -> (K,).

    NaN for members with one class only.

    Parameters
    ----------
    logits, y : (K, n) float32
    valid : (K, n) bool
        Entries that count; the rest pad members with fewer examples.

    Examples
    --------
    >>> logits, y = torch.tensor([[1.0, 2.0, 2.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    >>> stacked_auc(logits, y, valid=torch.ones(1, 3) > 0)
    tensor([0.7500])
    """
    score = logits.masked_fill(~valid, torch.inf)
    ordered, order = score.sort(dim=1)
    positive, negative = y * valid, (1 - y) * valid
    count = torch.nn.functional.pad(negative.gather(1, order).cumsum(1), (1, 0))
    below = count.gather(1, torch.searchsorted(ordered, score))
    upto = count.gather(1, torch.searchsorted(ordered, score, right=True))
    wins = (positive * (below + upto) / 2).sum(1)
    return wins / (positive.sum(1) * negative.sum(1))
