"""Logits of many texts, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trueness.fit.device import Device
from trueness.fit.parallel import Ranks
from trueness.fit.titles.rows import Rows
from trueness.text.tokens import length_batches

BATCH_TOKENS = 16_384
"""Padded tokens that are scored at once."""


@torch.no_grad()
def logits_of(
    forward: Callable[[Tensor, Tensor], Tensor], tokens: Rows, n_classes: int, device: Device,
    precision: str, ranks: Ranks | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Logits (n, K) of every text; or whatever else a network makes of it, (n, K).

    Parameters
    ----------
    forward : callable
        Tokens (B, T) and mask (B, T) to logits (B, K); in evaluation mode already.
    tokens : Tokens, or vectors in their place
    n_classes : int
    device : Device
    precision : str
        As in training.
    ranks : Ranks, optional
        Processes that share the work; all of them get all logits.
    """
    ranks = Ranks() if ranks is None else ranks
    out = torch.zeros(len(tokens), n_classes)
    for rows in ranks.share(list(length_batches(tokens.lengths, BATCH_TOKENS))):
        ids, mask = tokens.batch(rows)
        with device.autocast(precision):
            scores = forward(
                torch.from_numpy(ids).to(device.name), torch.from_numpy(mask).to(device.name)
            )
        out[torch.from_numpy(rows)] = scores.float().cpu()
    if ranks.world > 1:
        shared = out.to(device.name)
        ranks.all_reduce_([shared])
        out = shared.cpu()
    return out.numpy()
