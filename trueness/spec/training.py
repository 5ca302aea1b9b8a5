"""What may be done to training examples beyond one pass of each per epoch.

Four switches of a recipe, all off by default: examples are changed at random (`Augmentation`), not
all of a batch count (`Selection`), not all are seen in every epoch (`Curriculum`), or the network
learns from the windows alone before it sees a label (`Pretraining`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from trueness.spec.shape import Bool, Family, Float, Fraction, Int, Shape

if TYPE_CHECKING:
    from trueness.spec import Spec

RETURNS = "return_1d"
"""Column of the returns from bar to bar, percent."""
TRANSFORMS = ("jitter", "scale", "timewarp", "mixup")
"""Transforms of a batch, in the order in which they are applied."""


class Augmentation(Shape):
    """Random changes of training windows after their columns are brought to one scale.

    Applied in the order of `TRANSFORMS`, each to a window with `probability`. A transform at 0 is
    off, and more than one may be on.
    """

    jitter: Float = Field(0.0, ge=0, description="deviation of added noise, in those of a column")
    scale: Fraction = Field(0.0, description="r: factor of a window from 1 - r to 1 + r")
    per_feature: Bool = Field(False, description="a factor for each column of a window")
    timewarp: Float = Field(
        0.0, ge=0, le=1, description="most that 4 knots of time move, in lengths of the window"
    )
    mixup: Float = Field(
        0.0, ge=0, description="a of the Beta(a, a) weight of a window against another, labels too"
    )
    probability: Float = Field(0.5, ge=0, le=1, description="that a transform meets a window")

    @property
    def strengths(self) -> dict[str, float]:
        """Number of each of `TRANSFORMS`, in their order."""
        return {
            "jitter": self.jitter, "scale": self.scale, "timewarp": self.timewarp,
            "mixup": self.mixup,
        }  # fmt: skip

    @property
    def active(self) -> tuple[str, ...]:
        """Transforms that are on."""
        return tuple(name for name, on in self.strengths.items() if on and self.probability)

    @property
    def structure(self) -> tuple[str, ...]:
        """Transforms that are on, and their kind; networks of one stack agree in it."""
        each = ("per_feature",) if self.per_feature and "scale" in self.active else ()
        return self.active + each

    @property
    def dials(self) -> tuple[float, ...]:
        """Numbers in which networks of one stack may differ."""
        return (*map(float, self.strengths.values()), float(self.probability))

    def identity(self) -> Augmentation:
        """Without what nothing reads."""
        if not self.active:
            return Augmentation()
        return self if "scale" in self.active else self.model_copy(update={"per_feature": False})

    def check(self, of: Spec) -> None:
        """Refuse transforms that mean nothing for the inputs; raises ValueError."""
        refused = [name for name in self.active if name not in of.model.transforms]
        if refused:
            raise ValueError(f"recipe.augmentation.{refused[0]}: a {of.model.kind} takes "
                             f"{', '.join(of.model.transforms) or 'none'}")  # fmt: skip
        if "timewarp" in self.active and of.task.context == 1:
            raise ValueError("recipe.augmentation.timewarp: windows of one row have no time")
        if self.active and not (of.model.normalises or of.task.scaled):
            raise ValueError(
                f"recipe.augmentation: the {of.model.kind} takes columns as they are, whose scales "
                "differ; let it bring them to one (revin, standardise)"
            )


class Selection(Family):
    """Which examples of a batch count, by what the network says about them."""

    @property
    def structure(self) -> str:
        """Equal for networks that may share a stack."""
        return self.kind

    def identity(self) -> Selection:
        """Without what nothing reads."""
        return self

    def at(self, epoch: int, epochs: int) -> tuple[float, float]:
        """Two numbers that it obeys in an epoch, 0 for the first."""
        del epoch, epochs
        return 0.0, 0.0

    def check(self, of: Spec) -> None:
        """Refuse a spec to which it cannot be applied; raises ValueError."""


class AllExamples(Selection):
    """Every example counts."""

    kind: Literal["none"]


class Confidence(Selection):
    """After a warm-up, examples whose label the network thinks improbable count less, or not."""

    kind: Literal["confidence"]
    threshold: Float = Field(
        0.7, gt=0, lt=1, description="labels of a probability below 1 - threshold are doubted"
    )
    mode: Literal["weight", "prune"] = "weight"
    weight_factor: Float = Field(0.1, ge=0, le=1, description="weight of what is doubted")
    warmup_epochs: Int = Field(5, ge=0)

    def identity(self) -> Selection:
        """Pruning reads no factor; a factor of 1 doubts nothing."""
        if self.mode == "prune":
            return self.model_copy(update={"weight_factor": 0.1})
        return AllExamples(kind="none") if self.weight_factor == 1 else self

    def at(self, epoch: int, epochs: int) -> tuple[float, float]:
        """Probability below which a label is doubted, and what such an example weighs."""
        del epochs
        factor = self.weight_factor if self.mode == "weight" else 0.0
        return (0.0, factor) if epoch < self.warmup_epochs else (1 - self.threshold, factor)


class CoTeaching(Selection):
    """Networks side by side; each leaves out the examples on which another one's loss is largest.

    The largest losses are those of each class: positives are rare, and would go first. What is left
    out grows over the first tenth of all epochs.
    """

    kind: Literal["coteaching"]
    forget_rate: Fraction = Field(0.2, description="of each class in a batch, left out in the end")

    def identity(self) -> Selection:
        """Nothing forgotten is no selection."""
        return AllExamples(kind="none") if self.forget_rate == 0 else self

    def at(self, epoch: int, epochs: int) -> tuple[float, float]:
        """What is left out in an epoch."""
        return self.forget_rate * min(1.0, epoch / (0.1 * epochs)), 0.0

    def check(self, of: Spec) -> None:
        """Somebody has to choose."""
        if of.model.side_by_side < 2:
            raise ValueError("recipe.selection coteaching lets networks choose for each other; "
                             "set model.networks to 2")  # fmt: skip


class Curriculum(Family):
    """Training begins with some of the examples, the easiest, and takes in the others by and by."""

    @property
    def warmup_epochs(self) -> int:
        """Epochs of another network that have to come first."""
        return 0

    @property
    def column(self) -> str | None:
        """Input that it reads."""
        return None

    @property
    def hardest(self) -> bool:
        """Whether the hardest come first."""
        return False

    def identity(self) -> Curriculum:
        """Without what nothing reads."""
        return self

    def proportion(self, epoch: int) -> float:
        """Of the training examples, in an epoch; 0 for the first."""
        del epoch
        return 1.0

    def check(self, of: Spec) -> None:
        """Refuse a spec to which it cannot be applied; raises ValueError."""


class WholeEpochs(Curriculum):
    """Every example in every epoch."""

    kind: Literal["none"]


class Gradual(Curriculum):
    """Examples in the order of their difficulty."""

    start: Float = Field(0.3, gt=0, le=1, description="proportion of examples in the first epoch")
    growth: Float = Field(0.1, ge=0, le=1, description="proportion added in each epoch")
    hardest_first: Bool = False

    @property
    def hardest(self) -> bool:
        """As written."""
        return self.hardest_first

    def identity(self) -> Curriculum:
        """All of them from the start is none."""
        return WholeEpochs(kind="none") if self.start == 1 else self

    def proportion(self, epoch: int) -> float:
        """It grows in a straight line."""
        return min(1.0, self.start + epoch * self.growth)


class ByScore(Gradual):
    """Difficulty by what a network of the same kind says once it was trained on all examples.

    `loss`: its cross-entropy; `confidence`: how far its probability is from 0 and from 1.
    """

    kind: Literal["loss", "confidence"]
    scored_after: Int = Field(5, ge=1, description="epochs of the network that scores")

    @property
    def warmup_epochs(self) -> int:
        """Epochs of the network that scores."""
        return self.scored_after


class ByVolatility(Gradual):
    """Difficulty by the standard deviation of the returns in a window."""

    kind: Literal["volatility"]
    returns: str = Field(RETURNS, min_length=1, description="input column of returns, percent")

    @property
    def column(self) -> str | None:
        """Input that it reads."""
        return self.returns

    def check(self, of: Spec) -> None:
        """Returns have to be there as they are."""
        must_have_returns(of, "recipe.curriculum")


class Pretraining(Family):
    """What a network learns from training windows, before it learns their labels."""

    @property
    def passes(self) -> int:
        """Times that it sees the training windows."""
        return 0

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Keys of runs that must be there first."""
        return ()

    def identity(self) -> Pretraining:
        """Without what nothing reads."""
        return self

    def check(self, of: Spec) -> None:
        """Refuse a spec to which it cannot be applied; raises ValueError."""


class NoPretraining(Pretraining):
    """Networks begin with random weights."""

    kind: Literal["none"]


class Stored(Pretraining):
    """Each fold begins with the weights of the same fold of a stored run.

    Of several runs, it is the one with the highest AUC on the validation part, over all folds.
    """

    kind: Literal["stored"]
    of: tuple[str, ...] = Field(
        min_length=1, max_length=64, description="ids of earlier experiments, or keys of runs"
    )

    @field_validator("of")
    @classmethod
    def _as_set(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(keys)))

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Runs among which it chooses."""
        return self.of


class Contrastive(Pretraining):
    """Two views of each window, with noise and dropout of their own, are brought together."""

    epochs: Int = Field(20, ge=1, le=10_000)
    noise: Float = Field(0.01, ge=0, description="of a view, in deviations of a column")

    @property
    def passes(self) -> int:
        """One for each view."""
        return 2 * self.epochs

    def check(self, of: Spec) -> None:
        """A network that has tokens, and others to compare with."""
        if not of.model.has_tokens:
            raise ValueError(f"recipe.pretraining: a {of.model.kind} has no tokens to learn from")
        if of.model.side_by_side > 1:
            raise ValueError("recipe.pretraining is of one network; leave out model.networks")
        if of.recipe.batch_size == 1:
            raise ValueError("recipe.pretraining compares windows of a batch; recipe.batch_size "
                             "must be at least 2")  # fmt: skip
        if self.noise and not (of.model.normalises or of.task.scaled):
            raise ValueError("recipe.pretraining.noise is in deviations of a column; set "
                             "model.revin, or noise to 0")  # fmt: skip


class SimClr(Contrastive):
    """NT-Xent on the mean over the patches."""

    kind: Literal["simclr"]
    temperature: Float = Field(0.1, gt=0)


class Ts2Vec(Contrastive):
    """NT-Xent on the mean over the patches and, by `lambda_temporal`, on each patch."""

    kind: Literal["ts2vec"]
    temperature: Float = Field(0.1, gt=0)
    lambda_temporal: Float = Field(0.5, ge=0)

    def identity(self) -> Pretraining:
        """Without the second part it is the other one."""
        if self.lambda_temporal:
            return self
        content = self.model_dump(exclude={"kind", "lambda_temporal"})
        return SimClr(kind="simclr", **content)


class Byol(Contrastive):
    """Predicts the view of a slowly moving copy of the network; nothing is pushed apart."""

    kind: Literal["byol"]
    momentum: Float = Field(0.99, ge=0, le=1, description="of the copy, per step")


def must_have_returns(of: Spec, where: str) -> None:
    """Refuse a task whose columns are no returns; raises ValueError."""
    if of.task.scaled:
        raise ValueError(f"{where}: columns of a table are scaled inside each fold, which leaves "
                         "no returns; choose another kind")  # fmt: skip
    if of.task.context < 3:
        raise ValueError(f"{where}: {of.task.context} returns have no volatility; "
                         "task.context must be at least 3")  # fmt: skip
