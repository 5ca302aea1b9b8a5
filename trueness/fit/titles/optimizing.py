"""Rates, decay groups and averaged weights of a run on titles."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trueness.models.layers import trained
from trueness.models.titles_networks import TitleNetwork
from trueness.spec.titles import TitlesRecipe

BETAS, EPSILON = (0.9, 0.999), 1e-8


def rate_factor(update: int, total: int, recipe: TitlesRecipe) -> float:
    """Share of `learning_rate` in an update, counted from 0, of `total`.

    Rises linearly over the warm-up, whose first update already has ``1 / (warm-up + 1)`` of the
    rate, then falls to `min_scale` along a cosine or an exponential, or stays.

    NOTE[DIFF]: the published first update had practically no rate; it was one step lost.

    Examples
    --------
    >>> recipe = TitlesRecipe(warmup_steps=1, min_scale=0.1)
    >>> [round(rate_factor(t, 4, recipe), 3) for t in range(4)]
    [0.5, 1.0, 0.775, 0.325]
    """
    warmup = min(recipe.warmup_steps, total - 1)
    if update < warmup:
        return (update + 1) / (warmup + 1)
    done, floor = (update - warmup) / max(total - warmup, 1), recipe.min_scale
    if recipe.schedule == "cosine":
        return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2
    return floor**done if recipe.schedule == "exponential" else 1.0


def decay_groups(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Trained parameters with and without weight decay: matrices decay, embeddings and vectors not.

    Norms, biases and LayerScale are vectors. Rows of an embedding that no text touches would
    shrink without a gradient.
    """
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    every: list[Tensor] = list(trained(model).values())
    decayed = [p for p in every if p.ndim >= 2 and id(p) not in tables]
    kept = {id(p) for p in decayed}
    return decayed, [p for p in every if id(p) not in kept]


def make_optimizer(model: TitleNetwork, recipe: TitlesRecipe) -> torch.optim.AdamW:
    """Fused AdamW that decays matrices only, each weight at its fraction of the rate.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).
    """
    rates = model.rates()
    share = {id(p): rates.get(name, 1.0) for name, p in trained(model).items()}
    groups = []
    for weights, decay in zip(decay_groups(model), (recipe.weight_decay, 0.0), strict=True):
        for rate in sorted({share[id(p)] for p in weights}, reverse=True):
            own = [p for p in weights if share[id(p)] == rate]
            groups.append({"params": own, "weight_decay": decay, "lr": rate * recipe.learning_rate})
    return torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON, fused=True)


class Average:
    """Exponential moving average of the weights, unbiased from the first update on.

    Parameters
    ----------
    model : Module
    decay : float
        Share of the old average that stays.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: torch.zeros_like(p) for name, p in trained(model).items()}

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take in the weights after an update."""
        self.updates += 1
        new = [p.detach() for p in trained(model).values()]
        torch._foreach_lerp_(list(self.weights.values()), new, 1 - self.decay)

    def current(self) -> dict[str, Tensor]:
        """The average, by name."""
        share = 1 - self.decay**self.updates
        return {name: weight / share for name, weight in self.weights.items()}
