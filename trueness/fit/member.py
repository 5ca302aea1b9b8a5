"""One network of a stack: what it is, how far it has come, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.examples import Examples
from trueness.fit.device import Device
from trueness.fit.monitor import GRACE, TrainingWarning, is_broken, training_warnings
from trueness.fit.schedule import learning_rate
from trueness.fit.streams import Streams
from trueness.fit.weights import Weights
from trueness.spec import Spec


@dataclass(frozen=True)
class Member:
    """A spec in one fold."""

    spec: Spec
    fold: int


Prune: TypeAlias = Callable[[Member, dict[str, float]], bool]
"""Asked after each epoch of a member, with its row of history; True ends it without a result."""


@dataclass
class FoldFit:
    """What training one member left behind.

    `logit` and `logit_last` (N,) float32 are the scores of the best and of the last epoch for all
    examples of the member's fold, NaN for examples that play no part in it. `parameters` are the
    tensors of the module's state at the best epoch. `history` has one row per epoch, `warnings`
    says when training was unstable. An `inherited` fold was trained by an earlier run.
    """

    fold: int
    parameters: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    warnings: list[TrainingWarning]
    best_epoch: int
    logit: NDArray[np.float32]
    logit_last: NDArray[np.float32]
    inherited: bool = False


@dataclass
class Fitted:
    """A spec with all its folds, or the reason why one of them failed; none if it was pruned.

    `stacked` tells whether networks of its kind can be trained side by side in one pass.
    """

    spec: Spec
    folds: list[FoldFit]
    precision: str
    device: str
    seconds: float
    failure: str | None = None
    pruned: bool = False
    stacked: bool = True


def stackable(one: Spec) -> tuple[str, ...]:
    """Specs with equal answers have equal tensor shapes and data, and may share a stack."""
    return (
        one.task.model_dump_json(),
        one.evaluation.model_dump_json(),
        one.model.model_dump_json(exclude=set(one.model.shapeless)),
        f"{one.recipe.batch_size} {one.recipe.precision} {one.recipe.structure}",
    )


def precision_of(one: Spec, device: Device) -> str:
    """Precision of a spec on a device; networks of others are halved only if that is asked for."""
    wanted = one.recipe.precision
    return "float32" if wanted == "auto" and one.model.reference else device.precision(wanted)


@dataclass
class MemberState:
    """Progress of one member through its epochs."""

    member: Member
    streams: Streams
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    base_rate: float
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = -np.inf
    best_epoch: int = 0
    best_weights: Weights | None = None
    result: FoldFit | None = None
    failure: str | None = None
    pruned: bool = False
    seconds_before: float = 0.0
    order: NDArray[np.int64] | None = None
    """Training examples as a curriculum takes them in; None for all of them at once."""

    @classmethod
    def begin(cls, member: Member, examples: Examples, device: str) -> MemberState:
        """Start of a member on its fold of the examples."""
        inner = examples.members("validation", member.fold)
        return cls(
            member,
            Streams(member.spec.seed, member.fold, device),
            examples.members("train", member.fold),
            inner,
            float(examples.y[inner].mean()),
        )

    def count(self, epoch: int) -> int:
        """Examples of an epoch, 0 for the first."""
        if self.order is None:
            return len(self.train)
        proportion = self.member.spec.recipe.curriculum.proportion(epoch)
        return max(1, math.ceil(proportion * len(self.train) - 1e-9))

    @property
    def steps(self) -> int:
        """Batches of the epoch under way, the last partial one included."""
        return -(-self.count(len(self.history)) // self.member.spec.recipe.batch_size)

    @property
    def most_steps(self) -> int:
        """Batches of an epoch at most."""
        return -(-len(self.train) // self.member.spec.recipe.batch_size)

    @property
    def mean_steps(self) -> float:
        """Batches per epoch, over all epochs."""
        recipe = self.member.spec.recipe
        if self.order is None:
            return self.most_steps
        counts = [self.count(epoch) for epoch in range(recipe.epochs)]
        return sum(-(-n // recipe.batch_size) for n in counts) / recipe.epochs

    @property
    def is_over(self) -> bool:
        """Whether the member has left the training."""
        return self.result is not None or self.failure is not None or self.pruned

    def rate(self, step: int) -> float:
        """Learning rate of a step, 0 for the first."""
        return learning_rate(self.member.spec.recipe, self.mean_steps, step)

    def batches(self) -> NDArray[np.int64]:
        """Rows of the next epoch's batches, (steps, B); -1 pads the last one."""
        size, n = self.member.spec.recipe.batch_size, self.count(len(self.history))
        seen = self.train if self.order is None else self.order[:n]
        order = np.full(self.steps * size, -1, np.int64)
        order[:n] = self.streams.permutation(seen)
        return order.reshape(self.steps, size)

    def mixing(self) -> NDArray[np.float32]:
        """What each window of the next epoch's batches keeps under mixup, (steps, B)."""
        recipe = self.member.spec.recipe
        shape, how = (self.steps, recipe.batch_size), recipe.augmentation
        return self.streams.mixing(how.mixup, how.probability, shape)

    def judge(self, row: dict[str, float], weights: Weights, k: int) -> None:
        """Take in an epoch; keep row `k` of the weights if it is better by min_delta."""
        recipe = self.member.spec.recipe
        self.history.append({"epoch": float(len(self.history) + 1), **row})
        if not np.isfinite([row["train_loss"], row["val_loss"]]).all():
            (result,) = self.warnings()[-1:]
            where = f"epoch {result.epoch} of fold {self.member.fold + 1}"
            self.failure = f"the loss is not finite in {where}; {result.cause}"
            return
        by_loss = recipe.stop_on == "val_loss" or not np.isfinite(row["val_auc"])
        score = -row["val_loss"] if by_loss else row["val_auc"]
        if self.best_weights is None or score > self.best + recipe.min_delta:
            self.best, self.best_epoch = score, len(self.history)
            self.best_weights = weights.one(k)

    def ends(self, prune: Prune | None = None) -> bool:
        """Whether the epoch just judged was the last one; asks `prune` unless it failed."""
        over = self._is_last()
        if prune is not None and self.failure is None:
            self.pruned = prune(self.member, self.history[-1]) and not over
        return over or self.pruned

    def _is_last(self) -> bool:
        recipe, epoch = self.member.spec.recipe, len(self.history)
        if self.failure is not None or epoch >= recipe.epochs:
            return True
        if epoch - self.best_epoch >= recipe.patience:
            return True
        if recipe.guard == "continue" or epoch < GRACE:
            return False
        return is_broken(self.history, self.member.spec, self.base_rate)

    def warnings(self) -> list[TrainingWarning]:
        """When training was unstable so far."""
        return training_warnings(self.history, self.member.spec, self.base_rate)
