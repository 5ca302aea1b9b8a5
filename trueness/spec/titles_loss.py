"""What training on titles minimises: a classification loss, weights, and what is added to it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trueness.spec.shape import Family, Float, Fraction, Int, Positive, Shape


class Classification(Family):
    """Loss of one text."""

    def identity(self) -> Classification:
        """The simplest loss that is equal to this one."""
        return self


class CrossEntropy(Classification):
    """Softmax cross-entropy, with label smoothing."""

    kind: Literal["crossentropy"]
    smoothing: Fraction = 0.0


class FocalCrossEntropy(Classification):
    """Cross-entropy times ``alpha (1 - p)^gamma``.

    As published the factor multiplies the smoothing as well, which then no longer holds the
    confidence back; with ``smooth="beside"`` the smoothing stands beside the focal term.
    """

    kind: Literal["focal"]
    gamma: Float = Field(1.5, ge=0)
    alpha: Positive = 1.0
    smoothing: Fraction = 0.0
    smooth: Literal["product", "beside"] = "product"

    def identity(self) -> Classification:
        """Without focusing it is cross-entropy; without smoothing there is nothing to place."""
        if self.gamma == 0:
            return CrossEntropy(kind="crossentropy", smoothing=self.smoothing)
        return self if self.smoothing else self.model_copy(update={"smooth": "product"})


class AdjustedCrossEntropy(Classification):
    """Cross-entropy of logits shifted by `tau` times the log prior of the classes.

    ``given="language"`` takes the prior inside a text's language, pulled towards that of all
    languages by `shrinkage` pseudo-texts.
    """

    kind: Literal["logitadjusted"]
    tau: Float = Field(1.0, ge=0)
    given: Literal["all", "language"] = "all"
    shrinkage: Float = Field(100.0, ge=0)
    smoothing: Fraction = 0.0

    def identity(self) -> Classification:
        """No shift is plain cross-entropy; the common prior reads no shrinkage."""
        if self.tau == 0:
            return CrossEntropy(kind="crossentropy", smoothing=self.smoothing)
        return self if self.given == "language" else self.model_copy(update={"shrinkage": 100.0})


class MarginCrossEntropy(Classification):
    """LDAM: cross-entropy that asks class c for a margin in proportion to ``n_c ** -1/4``."""

    kind: Literal["ldam"]
    max_margin: Float = Field(0.5, ge=0, description="margin of the rarest class, in logits")
    scale: Positive = 1.0
    smoothing: Fraction = 0.0

    def identity(self) -> Classification:
        """No margin and no scale is plain cross-entropy."""
        if self.max_margin == 0 and self.scale == 1:
            return CrossEntropy(kind="crossentropy", smoothing=self.smoothing)
        return self


class GeneralisedCrossEntropy(Classification):
    """``(1 - p^q) / q``: between cross-entropy and absolute error, for labels with noise."""

    kind: Literal["gce"]
    q: Annotated[Float, Field(gt=0, le=1)] = 0.7


class ClassWeights(Shape):
    """Weights of the classes: inverse to their number, or to their effective number."""

    kind: Literal["balanced", "effective"]
    beta: Annotated[Float, Field(ge=0, lt=1)] = Field(0.999, description="of the effective number")


class Groups(Family):
    """How much each group of texts counts."""


class LanguageWeights(Groups):
    """Weights of the languages in proportion to ``n ** (alpha - 1)``."""

    kind: Literal["weights"]
    alpha: Annotated[Float, Field(ge=0, le=1)] = 0.5
    low: Positive = 0.2
    high: Positive = 10.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} must not exceed high {self.high}")
        return self


class GroupDro(Groups):
    """Group DRO: the weight of a group of texts grows with its loss."""

    kind: Literal["dro"]
    over: Literal["language", "language_label"] = "language"
    eta: Positive = 0.01
    adjustment: Float = Field(0.0, ge=0, description="C of the small-group term C / sqrt(n)")


class Contrastive(Shape):
    """Supervised contrastive loss on the projections, added with a weight.

    ``positives="label"`` is the published form. ``positives="cross_language"`` counts a positive
    of another language `cross_weight` times, and every positive inversely to how often its
    language stands in the batch.
    """

    weight: Positive = 0.1
    temperature: Positive = 0.05
    positives: Literal["label", "cross_language"] = "label"
    cross_weight: Positive = 2.0
    memory: Int = Field(0, ge=0, le=10**6, description="projections of earlier batches kept")


class Distillation(Shape):
    """KL to a frozen stored run on the texts of some languages, ``weight T² KL(teacher, own)``."""

    run: str = Field(min_length=1, description="key of the stored run that teaches")
    weight: Positive = 0.5
    temperature: Positive = 2.0
    languages: tuple[str, ...] = Field(("en",), min_length=1)


class TitlesLoss(Shape):
    """What training minimises: a classification loss, weights, and what is added to it."""

    classification: Classification = CrossEntropy(kind="crossentropy")
    class_weights: ClassWeights | None = None
    groups: Groups | None = None
    contrastive: Contrastive | None = None
    teacher: Distillation | None = None
