"""Runs on titles: which corpus, which encoder and head, which losses, and how they are fitted."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trueness.spec.estimands import Estimands
from trueness.spec.keyed import ContentAddressed
from trueness.spec.shape import Bool, Family, Float, Fraction, Int, Positive, Shape
from trueness.spec.titles_loss import TitlesLoss
from trueness.spec.tuning import FullTuning, Tuning

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

    of_data: ClassVar[tuple[str, ...]] = ("corpus",)

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
    sizes : tuple of str
        Fields of its architecture that a search scales.
    of_task : frozenset of str
        Fields of the task that are read beside the corpus.
    is_pretrained : bool
        Whether it begins with the weights of a folder, named by `of` and `digest`.
    """

    engine: ClassVar[str]
    sizes: ClassVar[tuple[str, ...]] = ()
    of_task: ClassVar[frozenset[str]] = frozenset()
    is_pretrained: ClassVar[bool] = False

    @property
    def is_network(self) -> bool:
        """Whether loss and recipe are read."""
        return False

    @property
    def seeded(self) -> bool:
        """Whether the seed is read."""
        return True

    @property
    def is_baseline(self) -> bool:
        """Whether it is one of the baselines; others are candidates."""
        return not self.is_network

    @property
    def encodes_once(self) -> bool:
        """Whether it is a head, in full precision, on vectors that never change."""
        return False

    if TYPE_CHECKING:

        @property
        def projection(self) -> Projection | None:
            """Head of the contrastive loss; of networks."""
            ...

    def as_read(self) -> Self:
        """The model without what only says where its files lie."""
        return self

    def takes(self, other: TitlesModel) -> bool:
        """Whether it can begin with the trained weights of another model."""
        return self.as_read() == other.as_read()

    def in_words(self) -> list[str]:
        """What it is called, and what tells it apart."""
        raise NotImplementedError


class Encoder(TitlesModel):
    """Bidirectional pre-norm transformer with rotary positions, trained from scratch."""

    engine: ClassVar[str] = "encoder"
    is_network: ClassVar[bool] = True
    of_task: ClassVar[frozenset[str]] = frozenset({"tokenizer", "max_tokens"})

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
    of_task: ClassVar[frozenset[str]] = frozenset({"max_tokens"})
    is_pretrained: ClassVar[bool] = True

    kind: Literal["pretrained"]
    of: str = Field(
        min_length=1, description="folder of the model, beside the campaign; not part of the key"
    )
    digest: str | None = Field(
        None, min_length=1, description="of config, weights and tokenizer; filled in"
    )
    pooler: Literal["mean", "first"] = "mean"
    tune: Tuning = FullTuning(kind="full")
    head: Head = ResidualHead(kind="residual")
    projection: Projection | None = None
    norm_eps: Positive = Field(1e-6, description="of the projection")

    @property
    def encodes_once(self) -> bool:
        """Whether nothing of the encoder is trained."""
        return self.tune.encodes_once

    def as_read(self) -> Self:
        """With the digest in place of where the folder lies."""
        return self if self.digest is None else self.model_copy(update={"of": self.digest})

    def takes(self, other: TitlesModel) -> bool:
        """Those of the same one, or of its heads on frozen vectors."""
        mine, theirs = self.as_read(), other.as_read()
        if theirs.encodes_once:
            mine = mine.model_copy(update={"tune": getattr(theirs, "tune", None)})
        return mine == theirs

    def in_words(self) -> list[str]:
        """Name of the folder, how it is tuned, and head."""
        return [self.kind, PurePath(self.of).name, *_words(self.tune), *_words(self.head)]


class LinearBaseline(TitlesModel):
    """A baseline: the majority class, or n-grams under a linear model."""

    engine: ClassVar[str] = "linear"

    kind: Literal["majority", "tfidf_logit", "tfidf_svm"]

    def in_words(self) -> list[str]:
        """Its kind."""
        return [self.kind]


class VectorHead(Family):
    """What maps the vector of a text to the classes."""


class LinearHead(VectorHead):
    """A linear map; its penalty, and the temperature of its scores, are chosen on validation."""

    kind: Literal["linear"]
    loss: Literal["softmax", "squared_hinge"] = Field(
        "softmax", description="log loss of all classes, or one class against the rest"
    )


class NetworkHead(VectorHead):
    """One hidden layer: linear, ReLU, dropout, linear; it reads loss and recipe.

    What the recipe does not say is that of the classifier of model2vec: a rate of 0.001 without a
    schedule, batches of 256, until 5 epochs bring no better score.
    """

    kind: Literal["network"]
    hidden: Int = Field(512, ge=1, le=65536)
    dropout: Fraction = 0.2


class Vectors(TitlesModel):
    """Vectors of tokens, words or texts that stay as they are, under a head that is trained."""

    engine: ClassVar[str] = "vectors"
    of_task: ClassVar[frozenset[str]] = frozenset({"max_tokens"})
    encodes_once: ClassVar[bool] = True
    projection: ClassVar[None] = None

    kind: Literal["vectors"]
    of: str = Field(
        "wordllama", min_length=1,
        description="wordllama, or a path beside the campaign: a folder of model2vec, FILE.vec "
        "(fastText), FILE.npy with one id per line in FILE.ids.txt; not part of the key",
    )  # fmt: skip
    digest: str | None = Field(
        None, min_length=1, description="form and digest of their content; filled in"
    )
    head: VectorHead = LinearHead(kind="linear")

    @property
    def is_network(self) -> bool:
        """Whether the head is one."""
        return isinstance(self.head, NetworkHead)

    @property
    def seeded(self) -> bool:
        """Whether the seed is read: by networks."""
        return self.is_network

    @property
    def is_baseline(self) -> bool:
        """Vectors of wordllama under a linear head with every field at its default."""
        own = (self.digest or "").startswith("wordllama ")
        return own and self.head == LinearHead(kind="linear")

    def as_read(self) -> Self:
        """Without the path: the digest says what lies there."""
        return self.model_copy(update={"of": "wordllama"})

    def in_words(self) -> list[str]:
        """Name, and what of the head is not at its default."""
        return ["vectors", PurePath(self.of).stem, *_words(self.head, usual="linear")]


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


_HEAD_RECIPE = {"learning_rate": 1e-3, "batch_size": 256, "epochs": 50, "patience": 5,
                "schedule": "constant", "warmup_steps": 0}  # fmt: skip
"""What a network head on vectors is trained by, where a spec says nothing else."""


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
    labelled: ClassVar[tuple[str, ...]] = (
        "model", "model.kind", "model.d_model", "model.n_layers", "model.head*", "model.of",
        "model.digest", "model.tune*",
        "loss.classification*", "loss.class_weights*", "loss.groups*", "loss.contrastive*",
        "recipe.sampling_alpha", "recipe.ema", "task.tokenizer*",
    )  # fmt: skip
    named_recipes: ClassVar[bool] = False

    task: TitlesTask
    model: TitlesModel = Encoder(kind="encoder")
    loss: TitlesLoss = TitlesLoss()
    recipe: TitlesRecipe = TitlesRecipe()
    evaluation: Slices = Slices()
    seed: Int = Field(42, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _recipe_of_heads(cls, content: Any) -> Any:  # noqa: ANN401 - whatever was written
        """A head on vectors has a recipe of its own, under what is written."""
        recipe = content.get("recipe", {}) if isinstance(content, dict) else None
        if not isinstance(recipe, dict) or not _has_network_head(content.get("model")):
            return content
        return {**content, "recipe": {**_HEAD_RECIPE, **recipe}}

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
        return self.model.is_baseline

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
        model, task = self.model.as_read(), self.task
        read = {name: getattr(task, name) for name in model.of_task}
        task = TitlesTask(kind="titles", corpus=task.corpus, **read)
        if not model.is_network:
            update = {"loss": TitlesLoss(), "recipe": TitlesRecipe(), "seed": 42}
            return self.model_copy(update={"task": task, "model": model, **update})
        loss = self.loss.model_copy(update={"classification": self.loss.classification.identity()})
        unread = {"precision": "auto"} if model.encodes_once else {}
        recipe = self.recipe.model_copy(update=unread)
        update = {"task": task, "model": model, "loss": loss, "recipe": recipe}
        return self.model_copy(update=update)

    def stored(self) -> TitlesSpec:
        """The canonical spec, which still says where the files of its model lie."""
        return self.canonical().model_copy(update={"model": self.model})

    def question(self) -> str:
        """What is predicted."""
        return f"Class of a title, corpus {self.task.corpus}"

    def protocol(self) -> str:
        """How texts are divided; the corpus says."""
        return ""

    def label(self) -> str:
        """Few words that tell runs of one campaign apart."""
        if not self.model.is_network:
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


def _has_network_head(model: Any) -> bool:  # noqa: ANN401 - whatever was written
    """Whether a model, as it was written, has a network as its head."""
    if isinstance(model, Vectors):
        return model.is_network
    head = model.get("head") if isinstance(model, dict) and model.get("kind") == "vectors" else None
    kind = head.get("kind") if isinstance(head, dict) else getattr(head, "kind", head)
    return kind == "network"


def _words(part: Shape, usual: str = "crossentropy") -> list[str]:
    """Kind, unless it is the usual one, and what is not at its default."""
    content = part.model_dump(exclude_defaults=True)
    kind = content.pop("kind", None)
    words = [] if kind in (None, usual) else [str(kind)]
    shown = {n: ",".join(v) if isinstance(v, tuple) else v for n, v in content.items()}
    return [*words, *(f"{name}={value}" for name, value in shown.items())]
