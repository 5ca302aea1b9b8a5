"""What is trained: networks and baselines.

A new network is a class here, a module with its row in `trueness.models`, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, JsonValue, model_validator

from trueness.spec.embedding import Embedding, NoEmbedding, must_divide
from trueness.spec.regime import NoRegime, Regime
from trueness.spec.scales import Multiscale, OneScale
from trueness.spec.shape import Bool, Family, Float, Fraction, Int
from trueness.spec.training import TRANSFORMS

if TYPE_CHECKING:
    from trueness.spec import Spec

Engine: TypeAlias = Literal["stack", "estimators", "ensemble"]
Inputs: TypeAlias = Annotated[
    Literal["last", "summary", "window"],
    Field(description="a window as its last row; as that and its column means; or all of its rows"),
]


class Model(Family):
    """Whatever can be fitted and asked for scores.

    Attributes
    ----------
    engine : {"stack", "estimators", "ensemble"}
        What fits it.
    is_network : bool
        Whether the recipe and the loss are read.
    shapeless : frozenset of str
        Fields that decide neither a weight's shape nor work nor memory: networks that differ in
        them alone may share a stack.
    rates : tuple of str
        Those among them that belong to the training rather than to the network.
    sizes : tuple of str
        Fields that a budget of parameters decides; none where no budget can.
    transforms : tuple of str
        Transforms of an augmentation that mean something for its inputs.
    has_tokens : bool
        Whether it can learn from windows without labels.
    """

    engine: ClassVar[Engine]
    is_network: ClassVar[bool] = False
    shapeless: ClassVar[frozenset[str]] = frozenset()
    rates: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[tuple[str, ...]] = ()
    transforms: ClassVar[tuple[str, ...]] = ()
    has_tokens: ClassVar[bool] = False

    @property
    def normalises(self) -> bool:
        """Whether it brings its columns to one scale."""
        return False

    @property
    def side_by_side(self) -> int:
        """Networks in one, each with a loss of its own."""
        return 1

    @property
    def columns_read(self) -> tuple[str, ...]:
        """Inputs that it needs by name."""
        return ()

    @property
    def reference(self) -> str | None:
        """Code of others that it needs, as `trueness.own` loads it."""
        return None

    @property
    def is_baseline(self) -> bool:
        """Whether the others have to beat it."""
        return False

    @property
    def seeded(self) -> bool:
        """Whether the seed is read."""
        return True

    @property
    def validates(self) -> bool:
        """Whether it chooses anything on the validation part."""
        return True

    @property
    def choices(self) -> int:
        """Versions among which the validation part chooses."""
        return 1

    @property
    def probed(self) -> bool:
        """Whether it is tried on a few examples before anything trains."""
        return False

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Keys of runs that must be there first."""
        return ()

    @property
    def compiles(self) -> bool:
        """Whether the compiler can trace its backward pass."""
        return True

    def identity(self) -> Self:
        """The same model with nothing written that is implied."""
        return self

    def check(self, of: Spec) -> None:
        """Refuse a spec of which it cannot be a part; raises ValueError."""

    def in_words(self) -> str:
        """What a label calls it."""
        return self.kind


class Network(Model):
    """A network that gradients train."""

    engine: ClassVar[Engine] = "stack"
    is_network: ClassVar[bool] = True


class PatchTST(Network):
    """Channel-mixing patch transformer; defaults as published."""

    kind: Literal["patchtst"]
    d_model: Int = Field(128, ge=2, le=65536)
    n_layers: Int = Field(4, ge=1, le=1024)
    n_heads: Int = Field(8, ge=1)
    d_ff: Int = Field(512, ge=1, le=262144)
    patch_length: Int = Field(16, ge=1)
    stride: Int = Field(8, ge=1)
    dropout: Fraction = 0.5
    head_dropout: Fraction = 0.0
    revin: Bool = True
    position_std: Float = Field(0.02, ge=0)
    embedding: Embedding = NoEmbedding(kind="none")
    multiscale: Multiscale = OneScale(kind="none")
    regime: Regime = NoRegime(kind="none")
    networks: Int = Field(
        1, ge=1, le=64, description="side by side; their probabilities are averaged"
    )

    shapeless: ClassVar[frozenset[str]] = frozenset({"dropout", "head_dropout", "position_std"})
    rates: ClassVar[tuple[str, ...]] = ("dropout", "head_dropout")
    sizes: ClassVar[tuple[str, ...]] = ("d_model", "n_layers", "n_heads", "d_ff")
    transforms: ClassVar[tuple[str, ...]] = TRANSFORMS
    has_tokens: ClassVar[bool] = True

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        must_divide(self.n_heads, self.d_model, "n_heads", "d_model")
        return self

    @property
    def compiles(self) -> bool:
        """Whether its embedding does."""
        return self.embedding.compiles

    @property
    def normalises(self) -> bool:
        """By the mean and deviation of a window."""
        return self.revin

    @property
    def side_by_side(self) -> int:
        """Networks."""
        return self.networks

    @property
    def columns_read(self) -> tuple[str, ...]:
        """That of its regimes."""
        return () if self.regime.column is None else (self.regime.column,)

    def patches(self, context: int) -> tuple[tuple[int, int, int], ...]:
        """Length, stride and number of the patches of a window, for every scale."""
        sets = self.multiscale.patches(self.patch_length, self.stride)
        return tuple((length, step, (context - length) // step + 1) for length, step in sets)

    def identity(self) -> Self:
        """With the simplest spelling of its parts; several scales replace its patches."""
        parts = ("embedding", "multiscale", "regime")
        update = {name: getattr(self, name).identity() for name in parts}
        if len(self.multiscale.patches(0, 0)) > 1:
            fields = type(self).model_fields
            update |= {name: fields[name].default for name in ("patch_length", "stride")}
        return self.model_copy(update=update)

    def check(self, of: Spec) -> None:
        """A window holds at least one patch, and more than its mean."""
        context = of.task.context
        n_tokens = (context - self.patch_length) // self.stride + 1
        if n_tokens < 1 and len(self.patches(context)) == 1:
            raise ValueError(
                f"model.patch_length {self.patch_length} is longer than task.context {context}"
            )
        self.multiscale.check(n_tokens, self.d_model, context)
        self.regime.check(of)
        if self.revin and of.task.context == 1:
            raise ValueError("model.revin takes the mean of a window from it, which leaves nothing "
                             "of windows of one row; set it to false")  # fmt: skip

    def in_words(self) -> str:
        """Width, depth and embedding."""
        own = f"PatchTST d{self.d_model}×{self.n_layers}"
        rest = [part.kind for part in (self.multiscale, self.regime) if part.kind != "none"]
        several = [f"{self.networks} networks"] if self.networks > 1 else []
        return ", ".join(filter(None, [own, self.embedding.in_words(), *rest, *several]))


class TabM(Network):
    """Many perceptrons in one, for the columns of a window; defaults as published."""

    kind: Literal["tabm"]
    k: Int = Field(32, ge=1, le=4096, description="perceptrons, which share most weights")
    n_blocks: Int = Field(3, ge=1, le=64)
    d_block: Int = Field(512, ge=1, le=65536)
    dropout: Fraction = 0.1
    inputs: Inputs = "summary"

    shapeless: ClassVar[frozenset[str]] = frozenset({"dropout"})
    rates: ClassVar[tuple[str, ...]] = ("dropout",)
    transforms: ClassVar[tuple[str, ...]] = ("jitter", "scale", "mixup")

    @property
    def normalises(self) -> bool:
        """By the training windows."""
        return True

    @property
    def side_by_side(self) -> int:
        """Perceptrons."""
        return self.k

    def in_words(self) -> str:
        """Width, depth and number of perceptrons."""
        rest = [] if self.inputs == "summary" else [f"inputs {self.inputs}"]
        return ", ".join([f"TabM d{self.d_block}×{self.n_blocks}, k {self.k}", *rest])


class Module(Network):
    """Any `torch.nn.Module` that maps windows (B, L, C) to logits (B,) or (B, 1).

    Its class, or a function that makes one, gets `params` by keyword, and of `n_features` (C) and
    `context` (L) those that are names of its arguments and do not stand in `params`.
    """

    kind: Literal["module"]
    of: str = Field(min_length=1, description="package.Class, or file.py:Class beside the campaign")
    params: dict[str, JsonValue] = Field({}, description="arguments of the class")
    standardise: Bool = Field(
        True, description="columns by their mean and deviation in the training windows of a fold"
    )
    version: str | None = Field(
        None, min_length=1, description="of the package, or the digest of an own file; filled in"
    )

    transforms: ClassVar[tuple[str, ...]] = TRANSFORMS

    @property
    def normalises(self) -> bool:
        """By the training windows, unless it takes them as they are."""
        return self.standardise

    def __hash__(self) -> int:
        """By its text: a mapping has none."""
        return hash(self.canonical_text())

    @property
    def reference(self) -> str:
        """Its class."""
        return self.of

    @property
    def probed(self) -> bool:
        """Nobody here has seen its code."""
        return True

    @property
    def compiles(self) -> bool:
        """Nobody here has seen its code."""
        return False

    def in_words(self) -> str:
        """Name of the class, and its arguments."""
        name = self.of.replace(":", ".").rpartition(".")[2]
        raw = [] if self.standardise else ["raw columns"]
        return ", ".join([name, *raw, *(f"{name} {value}" for name, value in self.params.items())])
