"""Networks and baselines."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from trueness.spec.estimator import EstimatorModel
from trueness.spec.shape import Bool, Float, Fraction, Int, Shape, kind_from_name

Width: TypeAlias = Annotated[Int, Field(ge=2, le=65536)]
"""Numbers under a LayerNorm: a single one would become 0, whatever it was."""


class NoEmbedding(Shape):
    """Indicators go straight into the patches."""

    kind: Literal["none"]


class LinearEmbedding(Shape):
    """One affine map of all indicators of a day, LayerNorm, dropout."""

    kind: Literal["linear"]
    width: Width


class ProgressiveEmbedding(Shape):
    """Affine maps with LayerNorm, GELU and dropout, from width to width in one ratio."""

    kind: Literal["progressive"]
    width: Width
    num_layers: Int = Field(3, ge=1, le=64)


class BottleneckEmbedding(Shape):
    """Through few numbers and out again, beside a skip."""

    kind: Literal["bottleneck"]
    width: Width
    compression_ratio: Float = Field(
        0.25, gt=0, lt=1, description="narrowest place over columns or width, at least 4 numbers"
    )
    use_skip: Bool = True


class MultiheadEmbedding(Shape):
    """Several affine maps with LayerNorm, GELU and dropout, put together."""

    kind: Literal["multihead"]
    width: Width
    num_heads: Int = Field(4, ge=1, le=1024)
    head_dim: Width | None = Field(None, description="null: width // num_heads")
    combine_method: Literal["concat", "sum"] = "concat"

    @model_validator(mode="after")
    def _heads_are_there(self) -> Self:
        if self.head_dim is None and self.width < 2 * self.num_heads:
            raise ValueError(
                f"width {self.width} leaves less than 2 numbers for each of {self.num_heads} "
                f"heads; give head_dim, or at most {self.width // 2} heads"
            )
        if self.combine_method == "sum" and self.num_heads == 1:
            raise ValueError("one head has nothing to sum; choose concat or more heads")
        return self

    def identity(self) -> Self:
        """The same embedding with nothing written that is implied."""
        implied = self.head_dim == self.width // self.num_heads
        return self.model_copy(update={"head_dim": None}) if implied else self


class GatedResidualEmbedding(Shape):
    """Two maps with ELU between them, gated, beside a skip."""

    kind: Literal["gated_residual"]
    width: Width
    hidden_dim: Annotated[Int, Field(ge=1, le=262144)] | None = Field(
        None, description="null: 2 * width"
    )

    def identity(self) -> Self:
        """The same embedding with nothing written that is implied."""
        implied = self.hidden_dim == 2 * self.width
        return self.model_copy(update={"hidden_dim": None}) if implied else self


class AttentionEmbedding(Shape):
    """Columns as tokens that attend to each other within a day; slow for many columns."""

    kind: Literal["attention"]
    width: Width
    num_heads: Int = Field(4, ge=1)
    use_position: Bool = True

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        _must_divide(self.num_heads, self.width, "num_heads", "width")
        return self


class VariationalEmbedding(Shape):
    """A day as a normal distribution, sampled in training."""

    kind: Literal["variational"]
    width: Width
    beta: Float = Field(
        0.1, ge=0, description="weight of the Kullback-Leibler divergence in the training loss"
    )


def _must_divide(heads: int, width: int, heads_name: str, width_name: str) -> None:
    if width % heads:
        valid = [str(n) for n in range(1, width + 1) if width % n == 0]
        raise ValueError(
            f"{heads_name} {heads} does not divide {width_name} {width}; "
            f"choose from {', '.join(valid)}"
        )


Embedding: TypeAlias = Annotated[
    Annotated[
        NoEmbedding
        | LinearEmbedding
        | ProgressiveEmbedding
        | BottleneckEmbedding
        | MultiheadEmbedding
        | GatedResidualEmbedding
        | AttentionEmbedding
        | VariationalEmbedding,
        Field(discriminator="kind"),
    ],
    BeforeValidator(kind_from_name),
]


class PatchTST(Shape):
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
    is_network: ClassVar[bool] = True
    engine: ClassVar[Literal["stack", "estimators", "ensemble"]] = "stack"
    is_baseline: ClassVar[bool] = False
    seeded: ClassVar[bool] = True
    validates: ClassVar[bool] = True
    reference: ClassVar[str | None] = None
    depends_on: ClassVar[tuple[str, ...]] = ()

    def in_words(self) -> str:
        """Width, depth, and its embedding if it has one."""
        words = f"PatchTST d{self.d_model}×{self.n_layers}"
        if isinstance(self.embedding, NoEmbedding):
            return words
        return f"{words}, {_embedding_words(self.embedding)}"

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        _must_divide(self.n_heads, self.d_model, "n_heads", "d_model")
        return self


def _embedding_words(embedding: Shape) -> str:
    """``emb 16``, with its kind unless it is linear, and whatever is not at its default."""
    content = embedding.model_dump(exclude_defaults=True)
    width, kind = content.pop("width"), content.pop("kind")
    words = ["emb", *([] if kind == "linear" else [kind]), str(width)]
    return " ".join([*words, *(f"{name} {value}" for name, value in content.items())])


Model: TypeAlias = Annotated[
    Annotated[PatchTST | EstimatorModel, Field(discriminator="kind")],
    BeforeValidator(kind_from_name),
]
