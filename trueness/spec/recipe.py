"""How the weights are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from trueness.errors import SpecError, nearest
from trueness.spec.loss import Bce, Loss, StopOn
from trueness.spec.shape import Float, Int, Shape
from trueness.spec.training import (
    AllExamples,
    Augmentation,
    Curriculum,
    NoPretraining,
    Pretraining,
    Selection,
    WholeEpochs,
)

if TYPE_CHECKING:
    from trueness.spec import Spec


class Recipe(Shape):
    """How the weights are found; defaults as published.

    The best epoch's weights are the ones evaluated. An epoch is better if `stop_on` improves by
    more than `min_delta`; after `patience` epochs without that, training ends.
    """

    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: Float = Field(1e-4, gt=0)
    weight_decay: Float = Field(
        0.0, ge=0, description="L2 in the gradient for adam, decoupled for adamw"
    )
    batch_size: Int = Field(128, ge=1, le=100_000)
    epochs: Int = Field(50, ge=1)
    patience: Int = Field(15, ge=1)
    min_delta: Float = Field(0.001, ge=0)
    stop_on: StopOn = "val_auc"
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_pct: Float = Field(0.0, ge=0, le=100, description="of all steps, with a rising rate")
    clip_norm: Annotated[Float, Field(gt=0)] | None = None
    precision: Literal["auto", "float32", "bf16"] = "auto"
    guard: Literal["continue", "stop"] = Field(
        "continue", description="whether training ends once it is broken"
    )
    augmentation: Augmentation = Augmentation()
    selection: Selection = AllExamples(kind="none")
    curriculum: Curriculum = WholeEpochs(kind="none")
    pretraining: Pretraining = NoPretraining(kind="none")

    def identity(self) -> Recipe:
        """The same recipe with nothing written that is not read."""
        parts = ("augmentation", "selection", "curriculum", "pretraining")
        return self.model_copy(update={name: getattr(self, name).identity() for name in parts})

    def check(self, of: Spec) -> None:
        """Refuse a spec to which it cannot be applied; raises ValueError."""
        if of.model.is_network:
            for part in (self.augmentation, self.selection, self.curriculum, self.pretraining):
                part.check(of)

    @property
    def structure(self) -> str:
        """What networks of one stack agree in besides batch and precision; empty as published."""
        parts = (*self.augmentation.structure, self.selection.structure,
                 self.pretraining.canonical_text())  # fmt: skip
        return " ".join(part for part in parts if part not in ("none", NOTHING))

    def in_words(self) -> str:
        """What a label says of it: the switches that are on."""
        changes = [f"{n} {value:g}" for n, value in self.augmentation.strengths.items() if value]
        parts = {"": self.selection, "curriculum by ": self.curriculum,
                 "pre-trained by ": self.pretraining}  # fmt: skip
        named = [f"{word}{one.kind}" for word, one in parts.items() if one.kind != "none"]
        return ", ".join([*changes, *named])

    @property
    def passes(self) -> int:
        """Times that training windows are seen at most, those before the first epoch included."""
        return self.epochs + self.curriculum.warmup_epochs + self.pretraining.passes


NOTHING = NoPretraining(kind="none").canonical_text()

RECIPES: dict[str, dict[str, Any]] = {
    "published": {},
    "fair": {
        "optimizer": "adamw",
        "learning_rate": 3e-4,
        "weight_decay": 1e-2,
        "schedule": "cosine",
        "warmup_pct": 5.0,
        "clip_norm": 1.0,
    },
}
"""Recipes by name: the published one, and one that treats all losses alike."""
SEEDS = {"published": 1, "fair": 5}
"""Replicates that a named recipe asks for."""


def named_recipe(name: str, loss: Loss) -> dict[str, Any]:
    """Fields of a named recipe for a loss.

    The published recipe stops some losses on the validation loss and others on the AUC, so it
    compares stopping rules along with losses; ``fair`` stops all of them on the AUC.

    Examples
    --------
    >>> named_recipe("published", Loss.validated("labelsmoothing"))
    {'stop_on': 'val_loss'}
    """
    if name not in RECIPES:
        raise SpecError(f"unknown recipe {name!r}; {nearest(name, list(RECIPES))}")
    stop_on = loss.stop_on if name == "published" else Bce.stop_on
    return {**RECIPES[name], "stop_on": stop_on}
