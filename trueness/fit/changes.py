"""What augmentation needs to know of the living members of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trueness.fit.member import MemberState
from trueness.models.augmentation import Augment


@dataclass(frozen=True)
class Mixture:
    """How the windows of K batches are mixed.

    Attributes
    ----------
    weight : (K, B) float32
        What each window keeps.
    partner : (K, B) int64
        The window that takes the rest: the next of the batch, whose order is random.
    """

    weight: Tensor
    partner: Tensor

    @classmethod
    def none(cls, real: Tensor) -> Mixture:
        """Each window keeps all of itself."""
        partner = torch.arange(real.shape[1], device=real.device).expand_as(real)
        return cls(torch.ones_like(partner, dtype=torch.float32), partner)

    @classmethod
    def of(cls, weight: Tensor, real: Tensor) -> Mixture:
        """Each real window with the next one, the last with the first; padding with itself."""
        place = torch.arange(real.shape[1], device=real.device).expand_as(real)
        after = torch.where(place + 1 < real.sum(1, keepdim=True), place + 1, 0)
        partner = torch.where(real, after, place)
        return cls(weight[:, : real.shape[1]], partner)


class Changes:
    """Transforms that all members share, and each one's numbers; row k belongs to member k."""

    def __init__(self, states: Sequence[MemberState], device: str) -> None:
        augmentations = [state.member.spec.recipe.augmentation for state in states]
        self.structure = augmentations[0].structure
        self.mixes = "mixup" in self.structure
        self.device = device
        self.dials = torch.tensor([one.dials for one in augmentations], device=device)
        recipe = states[0].member.spec.recipe
        steps = max(state.most_steps for state in states) if self.mixes else 0
        self.weights = torch.ones(len(states), steps, recipe.batch_size, device=device)

    def counted(self, n: int) -> Augment | None:
        """Transforms of n windows that change nothing, to count what they draw."""
        if not self.structure:
            return None
        places = torch.arange(n, device=self.device)
        dials = torch.zeros_like(self.dials[0])
        return Augment(self.structure, dials, torch.ones_like(places, dtype=torch.float32), places)

    def begin_epoch(self, row: int, state: MemberState) -> None:
        """Draw how the batches of a member's next epoch are mixed."""
        if self.mixes:
            drawn = torch.from_numpy(state.mixing())
            self.weights[row, : state.steps] = drawn.to(self.device)

    def of_batch(self, cursor: Tensor) -> Tensor | None:
        """What the windows (K, B) of each member's next batch keep; None without mixing."""
        if not self.mixes:
            return None
        return self.weights[torch.arange(len(cursor), device=self.device), cursor]

    def keep(self, rows: Tensor) -> None:
        """Forget the members that are not in `rows`."""
        self.dials, self.weights = self.dials[rows], self.weights[rows]
