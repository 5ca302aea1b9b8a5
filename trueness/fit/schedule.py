"""Learning rate of every step."""

from __future__ import annotations

import numpy as np

from trueness.spec.recipe import Recipe


def learning_rate(recipe: Recipe, steps_per_epoch: float, step: int) -> float:
    """Learning rate of a step: linear warm-up, then constant or a half cosine down to zero."""
    total = recipe.epochs * steps_per_epoch
    warmup = total * recipe.warmup_pct / 100
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = (step - warmup) / max(1.0, total - warmup)
    return recipe.learning_rate * 0.5 * (1 + float(np.cos(np.pi * done)))
