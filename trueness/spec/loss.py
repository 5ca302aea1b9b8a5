"""What training minimises, with the identities between losses.

A new loss is a class here, and a function with its row in `trueness.losses.binary`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from trueness.spec.shape import Bool, Family, Float, no_bool

if TYPE_CHECKING:
    from trueness.spec import Spec

Prior: TypeAlias = Annotated[Float, Field(gt=0, lt=1)] | None
PRIOR = "base rate; null takes it from the fold's training days"
StopOn: TypeAlias = Literal["val_auc", "val_loss"]


class Loss(Family):
    """What training minimises: the mean over a batch of one value per example.

    Attributes
    ----------
    pairwise : bool
        Whether it compares the days of a batch with each other.
    stop_on : {"val_auc", "val_loss"}
        What its published runs were stopped on; ``val_auc`` for losses that were not in them.
        `recipe.stop_on` is what is obeyed: comparing losses wants one rule for all of them.
    """

    pairwise: ClassVar[bool] = False
    stop_on: ClassVar[StopOn] = "val_auc"

    def identity(self) -> Loss:
        """The simplest loss that is equal to this one."""
        return self

    @property
    def targets(self) -> tuple[float, float]:
        """Probabilities at which the loss of a negative and of a positive is least."""
        return 0.0, 1.0

    def check(self, of: Spec) -> None:
        """Refuse a spec in which it cannot be computed; raises ValueError."""
        if self.pairwise and of.recipe.batch_size == 1:
            raise ValueError(
                f"loss {self.kind} compares the {of.task.nouns[0]}s of a batch with each "
                "other; recipe.batch_size must be at least 2"
            )

    def in_words(self) -> str:
        """Kind and settings, as in ``focal 2/0.25``, for a label."""
        settings = self.model_dump(exclude={"kind"}, exclude_none=True).values()
        return f"{self.kind} {'/'.join(f'{value:g}' for value in settings)}".strip()


class Bce(Loss):
    """Binary cross-entropy."""

    kind: Literal["bce"]

    def in_words(self) -> str:
        """Nothing: it is the usual loss."""
        return ""


class WeightedBce(Loss):
    """Cross-entropy whose positives count `pos_weight` times."""

    kind: Literal["weightedbce"]
    pos_weight: Float = Field(1.0, gt=0)

    def identity(self) -> Loss:
        """Weight 1 is plain cross-entropy."""
        return Bce(kind="bce") if self.pos_weight == 1 else self


class LabelSmoothing(Loss):
    """Cross-entropy against targets epsilon and 1 - epsilon."""

    kind: Literal["labelsmoothing"]
    stop_on: ClassVar[StopOn] = "val_loss"
    epsilon: Float = Field(0.1, ge=0, le=1)

    def identity(self) -> Loss:
        """No smoothing is plain cross-entropy."""
        return Bce(kind="bce") if self.epsilon == 0 else self

    @property
    def targets(self) -> tuple[float, float]:
        """The smoothed labels."""
        return self.epsilon, 1 - self.epsilon


class Focal(Loss):
    """Focal loss; `alpha` None leaves the classes unweighted."""

    kind: Literal["focal"]
    gamma: Float = Field(2.0, ge=0)
    alpha: Annotated[Float, Field(ge=0, le=1)] | None = 0.25

    def identity(self) -> Loss:
        """Without focusing and class weights it is plain cross-entropy."""
        return Bce(kind="bce") if self.gamma == 0 and self.alpha is None else self


class MildFocal(Loss):
    """Focal loss under its published milder defaults."""

    kind: Literal["mildfocal"]
    gamma: Float = Field(0.75, ge=0)
    alpha: Annotated[Float, Field(ge=0, le=1)] | None = 0.5

    def identity(self) -> Loss:
        """It is the focal loss of the same parameters."""
        return Focal(kind="focal", gamma=self.gamma, alpha=self.alpha).identity()


class AsymmetricFocal(Loss):
    """Focal loss with one exponent per class."""

    kind: Literal["asymmetricfocal"]
    gamma_pos: Float = Field(1.0, ge=0)
    gamma_neg: Float = Field(2.0, ge=0)
    alpha: Annotated[Float, Field(ge=0, le=1)] = 0.5

    def identity(self) -> Loss:
        """Equal exponents make it the focal loss."""
        if self.gamma_pos != self.gamma_neg:
            return self
        return Focal(kind="focal", gamma=self.gamma_pos, alpha=self.alpha)


class SoftAuc(Loss):
    """Smoothed proportion of wrongly ordered pairs; a ranking loss, without a probability scale."""

    kind: Literal["softauc"]
    pairwise: ClassVar[bool] = True
    gamma: Float = Field(2.0, gt=0, description="steepness")


class WeightedSum(Loss):
    """`alpha` parts cross-entropy, the rest soft AUC."""

    kind: Literal["weightedsum"]
    pairwise: ClassVar[bool] = True
    alpha: Annotated[Float, Field(ge=0, le=1)] = 0.5
    gamma: Float = Field(2.0, gt=0, description="steepness of the soft AUC")

    def identity(self) -> Loss:
        """All of one part is that part."""
        if self.alpha == 1:
            return Bce(kind="bce")
        return SoftAuc(kind="softauc", gamma=self.gamma) if self.alpha == 0 else self


class EntropyReg(Loss):
    """Confidence penalty: cross-entropy less `sign` times `lambda_entropy` times the entropy."""

    kind: Literal["entropyreg"]
    stop_on: ClassVar[StopOn] = "val_loss"
    lambda_entropy: Float = Field(0.1, ge=0)
    sign: Annotated[Literal[1, -1], BeforeValidator(no_bool)] = Field(
        1, description="1, as published, rewards uncertain predictions; -1 penalises them"
    )

    def identity(self) -> Loss:
        """Without the penalty it is plain cross-entropy."""
        return Bce(kind="bce") if self.lambda_entropy == 0 else self


class VarianceReg(Loss):
    """Cross-entropy less `lambda_var` times the variance of a batch's probabilities."""

    kind: Literal["variancereg"]
    stop_on: ClassVar[StopOn] = "val_loss"
    lambda_var: Float = Field(0.5, ge=0)

    def identity(self) -> Loss:
        """Without the reward it is plain cross-entropy."""
        return Bce(kind="bce") if self.lambda_var == 0 else self


class CalibratedFocal(Loss):
    """Focal loss that ties the mean probability of a batch to its base rate."""

    kind: Literal["calibratedfocal"]
    stop_on: ClassVar[StopOn] = "val_loss"
    gamma: Float = Field(2.0, ge=0)
    alpha: Annotated[Float, Field(ge=0, le=1)] | None = 0.25
    lambda_cal: Float = Field(0.1, ge=0)
    temperature: Float = Field(1.0, gt=0, description="divides the gap between the two means")

    def identity(self) -> Loss:
        """Without the tie it is the focal loss."""
        if self.lambda_cal != 0:
            return self
        return Focal(kind="focal", gamma=self.gamma, alpha=self.alpha).identity()


class Poly(Loss):
    """Cross-entropy with `epsilon1` added to the first coefficient of its series."""

    kind: Literal["poly"]
    epsilon1: Float = Field(2.0, ge=-1)

    def identity(self) -> Loss:
        """Nothing added is plain cross-entropy."""
        return Bce(kind="bce") if self.epsilon1 == 0 else self


class Bootstrap(Loss):
    """Cross-entropy against a target between the label and the network's own answer."""

    kind: Literal["bootstrap"]
    beta: Annotated[Float, Field(ge=0, le=1)] = Field(0.8, description="weight of the label")
    hard: Bool = Field(False, description="the answer as 0 or 1, not as a probability")

    def identity(self) -> Loss:
        """All of the label is plain cross-entropy."""
        return Bce(kind="bce") if self.beta == 1 else self


class ForwardCorrection(Loss):
    """Cross-entropy of the probability that a label says 1 if labels are wrong at known rates."""

    kind: Literal["forwardcorrection"]
    noise_rate_0: Float = Field(0.1, ge=0, lt=0.5, description="of the zeros, labelled 1")
    noise_rate_1: Float = Field(0.1, ge=0, lt=0.5, description="of the ones, labelled 0")

    def identity(self) -> Loss:
        """Labels that are never wrong are plain cross-entropy."""
        return Bce(kind="bce") if self.noise_rate_0 == self.noise_rate_1 == 0 else self


class LogitAdjusted(Loss):
    """Cross-entropy of logits shifted by `tau` times the log-odds of the classes."""

    kind: Literal["logitadjusted"]
    tau: Float = Field(1.0, ge=0)
    prior: Prior = Field(None, description=PRIOR)

    def identity(self) -> Loss:
        """No shift, or one by the odds of equal classes, is plain cross-entropy."""
        return Bce(kind="bce") if self.tau == 0 or self.prior == 0.5 else self


class Ldam(Loss):
    """Cross-entropy that asks the rare class for a larger margin, on plain logits."""

    kind: Literal["ldam"]
    max_margin: Float = Field(0.5, ge=0, description="margin of the rare class, in logits")
    scale: Float = Field(1.0, gt=0)
    prior: Prior = Field(None, description=PRIOR)

    def identity(self) -> Loss:
        """No margin and no scale is plain cross-entropy; without a margin no prior is read."""
        if self.max_margin != 0:
            return self
        if self.scale == 1:
            return Bce(kind="bce")
        return self.model_copy(update={"prior": None})


class PartialAuc(Loss):
    """Pairs with the hardest negatives, up to a false-positive rate; a ranking loss."""

    kind: Literal["partialauc"]
    pairwise: ClassVar[bool] = True
    max_fpr: Float = Field(0.3, gt=0, le=1)


class TopPush(Loss):
    """Positives below a soft maximum of the negatives; a ranking loss."""

    kind: Literal["toppush"]
    pairwise: ClassVar[bool] = True
    temperature: Float = Field(0.1, ge=0.01, description="of the soft maximum, in logits")
