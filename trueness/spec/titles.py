"""Runs on titles: which corpus, which encoder and head, which losses, and how they are fitted."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from trueness.spec.estimands import Estimands
from trueness.spec.keyed import ContentAddressed
from trueness.spec.shape import Bool, Family, Float, Fraction, Int, Shape
from trueness.spec.tuning import FullTuning, Tuning

Positive: TypeAlias = Annotated[Float, Field(gt=0)]


# ------------------------------------------------------------------------------------- task


class Tokenizer(Family):
    """How texts become tokens."""


class TrainedTokenizer(Tokenizer):
    """Byte-level BPE, trained on the train split."""

    kind: Literal["bpe"]
    vocabulary: Int = Field(32_000, ge=300, le=1_000_000)
    alpha: Annotated[Float, Field(ge=0, le=1)] = Field(
        1.0, description="languages are drawn with n**alpha texts; 1 takes all as they are"
    )
    min_frequency: Int = Field(2, ge=1)


class GivenTokenizer(Tokenizer):
    """A ``tokenizer.json`` from elsewhere, by the digest of its content."""

    kind: Literal["file"]
    digest: str = Field(min_length=1)


_TOKENIZER = TrainedTokenizer(kind="bpe")


class TitlesTask(Shape):
    """Texts in many languages, each of one class; the language is a slice, never an input."""

    kind: Literal["titles"]
    corpus: str = Field(min_length=1, description="digest of the corpus, its splits included")
    tokenizer: Tokenizer = _TOKENIZER
    max_tokens: Int = Field(256, ge=2, le=4096, description="longer texts are cut")


# ------------------------------------------------------------------------------------- model


class Head(Family):
    """What maps the pooled vector to the classes."""


class PlainHead(Head):
    """The published v1 head: dropout, linear, GELU, dropout, linear."""

    kind: Literal["plain"]
    dropout: Fraction = 0.1


class ResidualHead(Head):
    """The published v2 head: a normed residual block before the last linear map."""

    kind: Literal["residual"]
    hidden: Int = Field(768, ge=0, le=65536, description="0 is the width of the encoder")
    dropout: Fraction = 0.15
    residual: Bool = True
    norm_eps: Positive = 1e-6


class Projection(Shape):
    """The head of the contrastive loss: two linear maps on the pooled vector, unit length."""

    width: Int = Field(256, ge=1, le=65536)
    dropout: Fraction = 0.1


class TitlesModel(Family):
    """What gives texts their classes.

    Attributes
    ----------
    engine : str
        What fits it.
    is_network : bool
    seeded : bool
    begins_with : str or None
        Digest of the folder with the weights that it begins with.
    brings_tokenizer : bool
        Whether `task.tokenizer` is not read.
    encodes_once : bool
        Whether it is a head on vectors that never change.
    """

    engine: ClassVar[str]
    is_network: ClassVar[bool] = False
    seeded: ClassVar[bool] = True
    brings_tokenizer: ClassVar[bool] = False

    @property
    def begins_with(self) -> str | None:
        """None: with random numbers."""
        return None

    @property
    def encodes_once(self) -> bool:
        """Whether it is a head on vectors that never change."""
        return False

    def takes(self, other: TitlesModel) -> bool:
        """Whether it can begin with the trained weights of another model."""
        return self == other

    def in_words(self) -> list[str]:
        """What a label calls it."""
        return [self.kind]


class Encoder(TitlesModel):
    """Bidirectional pre-norm transformer with rotary positions, trained from scratch."""

    engine: ClassVar[str] = "encoder"
    is_network: ClassVar[bool] = True

    kind: Literal["encoder"]
    d_model: Int = Field(384, ge=2, le=65536)
    n_layers: Int = Field(10, ge=1, le=1000)
    n_heads: Int = Field(6, ge=1, le=1024)
    n_kv_heads: Int = Field(2, ge=1, le=1024)
    d_ff: Int = Field(1536, ge=1, le=10**6)
    dropout: Fraction = Field(0.1, description="of the embedding and of attention")
    drop_path: Fraction = Field(0.1, description="of the last block; rises linearly from 0")
    layer_scale: Positive = Field(0.01, description="at the start")
    norm_eps: Positive = 1e-6
    rope_base: Positive = 1e6
    pooler: Literal["mean", "first"] = "mean"
    head: Head = ResidualHead(kind="residual")
    projection: Projection | None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.d_model % self.n_heads or (self.d_model // self.n_heads) % 2:
            raise ValueError(
                f"n_heads {self.n_heads} must divide d_model {self.d_model} into even widths"
            )
        if self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_kv_heads {self.n_kv_heads} must divide n_heads {self.n_heads}")
        return self

    def in_words(self) -> list[str]:
        """Width, depth and head."""
        return ["encoder", f"d{self.d_model}", f"L{self.n_layers}", *_words(self.head)]


class Pretrained(TitlesModel):
    """An encoder that was trained elsewhere: a folder of transformers, with its own tokenizer.

    Weights are read from safetensors alone, and code from nowhere.
    """

    engine: ClassVar[str] = "encoder"
    is_network: ClassVar[bool] = True
    brings_tokenizer: ClassVar[bool] = True

    kind: Literal["pretrained"]
    of: str = Field(
        min_length=1,
        description="folder of the model, beside the campaign; a spec holds the digest of its "
        "content",
    )
    pooler: Literal["mean", "first"] = "mean"
    tune: Tuning = FullTuning(kind="full")
    head: Head = ResidualHead(kind="residual")
    projection: Projection | None = None
    norm_eps: Positive = Field(1e-6, description="of the projection")

    @property
    def begins_with(self) -> str:
        """The folder."""
        return self.of

    @property
    def encodes_once(self) -> bool:
        """Whether nothing of the encoder is trained."""
        return self.tune.encodes_once

    def takes(self, other: TitlesModel) -> bool:
        """Those of the same one, or of its heads on frozen vectors."""
        return self == other or (other.encodes_once and self.model_copy(
            update={"tune": getattr(other, "tune", None)}) == other)  # fmt: skip

    def in_words(self) -> list[str]:
        """Beginning of the digest, how it is tuned, and head."""
        pooler = [] if self.pooler == "mean" else [self.pooler]
        return [self.kind, self.of[:6], *pooler, *_words(self.tune), *_words(self.head)]


class LinearBaseline(TitlesModel):
    """A baseline: the majority class, or n-grams under a linear model."""

    engine: ClassVar[str] = "linear"

    kind: Literal["majority", "tfidf_logit", "tfidf_svm"]


# -------------------------------------------------------------------------------------- loss


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


# ------------------------------------------------------------------------------------ recipe


class TitlesRecipe(Shape):
    """How the weights are found.

    A batch holds `batch_size` texts of similar length, or as many as fit into `batch_tokens` with
    their padding; `grad_accum` batches make one update, whose gradient is the mean over all their
    texts. The rate rises over `warmup_steps` updates, then falls to `min_scale` of `learning_rate`.
    """

    learning_rate: Positive = 2e-4
    weight_decay: Float = Field(
        0.01, ge=0, description="of matrices only: not norms, biases, LayerScale, embeddings"
    )
    batch_size: Int = Field(64, ge=1, le=1_000_000)
    batch_tokens: Int | None = Field(None, ge=2, description="in place of batch_size")
    grad_accum: Int = Field(1, ge=1, le=10_000)
    bucket: Bool = Field(True, description="batches of texts of similar length")
    epochs: Int = Field(3, ge=1, le=10_000)
    patience: Int | None = Field(None, ge=1, description="epochs without a better score")
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    warmup_steps: Int = Field(2000, ge=0)
    min_scale: Annotated[Float, Field(gt=0, le=1)] = 0.05
    clip_norm: Positive | None = 1.0
    sampling_alpha: Annotated[Float, Field(ge=0, le=1)] = Field(
        1.0, description="languages are drawn in proportion to n ** alpha"
    )
    max_repeats: Positive = Field(20.0, description="most often a text is drawn in an epoch")
    ema: Annotated[Float, Field(gt=0, lt=1)] | None = Field(
        None, description="decay of the averaged weights, which are then the ones evaluated"
    )
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    start: str | None = Field(None, min_length=1, description="key of the run whose weights begin")


# -------------------------------------------------------------------------------- evaluation


class Slices(Shape):
    """How runs are chosen and measured, per language and class."""

    protocol: Literal["slices"] = "slices"
    select_on: Literal["macro_f1", "mean_group", "worst_group"] = Field(
        "mean_group", description="score on the validation part that picks the epoch"
    )
    min_rows: Int = Field(100, ge=1, description="texts a language needs to be a slice")
    confidence_pct: Float = Field(95.0, gt=50, lt=100)
    draws: Int = Field(1000, ge=100, le=100_000, description="of the bootstrap over clusters")


class TitlesSpec(ContentAddressed):
    """One run on titles, whole.

    Examples
    --------
    >>> spec = TitlesSpec.model_validate({
    ...     "task": {"kind": "titles", "corpus": "3b9c6f0d5a1e"},
    ...     "model": {"kind": "encoder", "head": "plain"},
    ... })
    >>> spec.label()
    'encoder d384 L10 plain'
    """

    references: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("loss", "teacher", "run"),
        ("recipe", "start"),
    )

    task: TitlesTask
    model: TitlesModel = Encoder(kind="encoder")
    loss: TitlesLoss = TitlesLoss()
    recipe: TitlesRecipe = TitlesRecipe()
    evaluation: Slices = Slices()
    seed: Int = Field(42, ge=0)

    @model_validator(mode="after")
    def _contrast_has_a_head(self) -> Self:
        if not self.model.is_network:
            return self
        projection = getattr(self.model, "projection", None)
        if (self.loss.contrastive is None) != (projection is None):
            raise ValueError(
                "loss.contrastive and model.projection go together; give both or neither"
            )
        return self

    @property
    def is_baseline(self) -> bool:
        """Whether the model is one of the baselines."""
        return not self.model.is_network

    @property
    def estimands(self) -> Estimands:
        """What is measured of it, and on which texts."""
        rule = self.evaluation
        return Estimands(
            kind="classes", headline="worst_group", measured_on="validation",
            chosen_on="validation", judged_on=("validation", "test"), sealed=("test",),
            confidence=rule.confidence_pct / 100, min_rows=rule.min_rows, draws=rule.draws,
            majority="en", nouns=("text", "language"),
        )  # fmt: skip

    @property
    def depends_on(self) -> set[str]:
        """Keys of the stored runs that teach this one or lend it their weights."""
        teacher = self.loss.teacher
        return {k for k in (teacher.run if teacher else None, self.recipe.start) if k is not None}

    def canonical(self) -> TitlesSpec:
        """Equal runs brought to one spelling.

        Loss identities are taken, and what a model never reads is left out.
        """
        if self.is_baseline:
            task = TitlesTask(kind="titles", corpus=self.task.corpus)
            update = {"task": task, "loss": TitlesLoss(), "recipe": TitlesRecipe(), "seed": 42}
            return self.model_copy(update=update)
        loss = self.loss.model_copy(update={"classification": self.loss.classification.identity()})
        task = {"tokenizer": _TOKENIZER} if self.model.brings_tokenizer else {}
        recipe = {"precision": "auto"} if self.model.encodes_once else {}
        return self.model_copy(update={
            "loss": loss, "task": self.task.model_copy(update=task),
            "recipe": self.recipe.model_copy(update=recipe),
        })  # fmt: skip

    def question(self) -> str:
        """What is predicted."""
        return f"Class of a title, corpus {self.task.corpus}"

    def protocol(self) -> str:
        """How texts are divided; the corpus says."""
        return ""

    def label(self) -> str:
        """Few words that tell runs of one campaign apart."""
        if self.is_baseline:
            return " ".join(self.model.in_words())
        read = self.canonical()
        loss, recipe, tokenizer = read.loss, self.recipe, read.task.tokenizer
        words = [*self.model.in_words(), *_words(loss.classification)]
        for part in (loss.class_weights, loss.groups):
            words += [] if part is None else _words(part)
        words += [] if loss.contrastive is None else ["contrast", *_words(loss.contrastive)]
        words += [] if loss.teacher is None else ["distilled"]
        words += [] if recipe.sampling_alpha == 1 else [f"sampled {recipe.sampling_alpha:g}"]
        words += [] if recipe.ema is None else [f"ema {recipe.ema:g}"]
        words += [] if recipe.start is None else ["second stage"]
        return " ".join([*words, *(_words(tokenizer) if tokenizer != _TOKENIZER else [])])


def _words(part: Shape) -> list[str]:
    """Kind, unless it is cross-entropy, and what is not at its default."""
    content = part.model_dump(exclude_defaults=True)
    kind = content.pop("kind", None)
    words = [] if kind in (None, "crossentropy") else [str(kind)]
    shown = {n: ",".join(v) if isinstance(v, tuple) else v for n, v in content.items()}
    return [*words, *(f"{name}={value}" for name, value in shown.items())]
