"""Maps of a day's columns to a vector, in front of the patches."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from trueness.spec.shape import Bool, Family, Float, Int

Width: TypeAlias = Annotated[Int, Field(ge=2, le=65536)]
"""Numbers under a LayerNorm: a single one would become 0, whatever it was."""


class Embedding(Family):
    """What becomes of the C columns of a day before they go into the patches.

    Attributes
    ----------
    compiles : bool
        Whether the compiler can trace its backward pass.
    samples : bool
        Whether it draws random numbers in training, without any dropout too.
    """

    compiles: ClassVar[bool] = True
    samples: ClassVar[bool] = False

    def width_of(self, n_columns: int) -> int:
        """Numbers of a day that go into the patches."""
        return n_columns

    def identity(self) -> Self:
        """The same embedding with nothing written that is implied."""
        return self

    def in_words(self) -> str:
        """What a label says of it."""
        return ""


class NoEmbedding(Embedding):
    """Indicators go straight into the patches."""

    kind: Literal["none"]


class MappedEmbedding(Embedding):
    """A map of a day's columns to a vector."""

    width: Width

    def width_of(self, n_columns: int) -> int:
        """Its own width, whatever the number of columns."""
        del n_columns
        return self.width

    def in_words(self) -> str:
        """``emb 16``, with its kind unless it is linear, and whatever is not at its default."""
        content = self.model_dump(exclude_defaults=True, exclude={"width", "kind"})
        words = ["emb", *([] if self.kind == "linear" else [self.kind]), str(self.width)]
        return " ".join([*words, *(f"{name} {value}" for name, value in content.items())])


class LinearEmbedding(MappedEmbedding):
    """One affine map of all indicators of a day, LayerNorm, dropout."""

    kind: Literal["linear"]


class ProgressiveEmbedding(MappedEmbedding):
    """Affine maps with LayerNorm, GELU and dropout, from width to width in one ratio."""

    kind: Literal["progressive"]
    num_layers: Int = Field(3, ge=1, le=64)


class BottleneckEmbedding(MappedEmbedding):
    """Through few numbers and out again, beside a skip."""

    kind: Literal["bottleneck"]
    compression_ratio: Float = Field(
        0.25, gt=0, lt=1, description="narrowest place over columns or width, at least 4 numbers"
    )
    use_skip: Bool = True


class MultiheadEmbedding(MappedEmbedding):
    """Several affine maps with LayerNorm, GELU and dropout, put together."""

    kind: Literal["multihead"]
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


class GatedResidualEmbedding(MappedEmbedding):
    """Two maps with ELU between them, gated, beside a skip."""

    kind: Literal["gated_residual"]
    hidden_dim: Annotated[Int, Field(ge=1, le=262144)] | None = Field(
        None, description="null: 2 * width"
    )

    def identity(self) -> Self:
        """The same embedding with nothing written that is implied."""
        implied = self.hidden_dim == 2 * self.width
        return self.model_copy(update={"hidden_dim": None}) if implied else self


class AttentionEmbedding(MappedEmbedding):
    """Columns as tokens that attend to each other within a day; slow for many columns."""

    kind: Literal["attention"]
    compiles: ClassVar[bool] = False  # its piecewise backward pass breaks the tracing
    num_heads: Int = Field(4, ge=1)
    use_position: Bool = True

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        must_divide(self.num_heads, self.width, "num_heads", "width")
        return self


class VariationalEmbedding(MappedEmbedding):
    """A day as a normal distribution, sampled in training."""

    kind: Literal["variational"]
    samples: ClassVar[bool] = True
    beta: Float = Field(
        0.1, ge=0, description="weight of the Kullback-Leibler divergence in the training loss"
    )


def must_divide(heads: int, width: int, heads_name: str, width_name: str) -> None:
    """Refuse a number of heads that does not divide a width; raises ValueError."""
    if width % heads:
        valid = [str(n) for n in range(1, width + 1) if width % n == 0]
        raise ValueError(
            f"{heads_name} {heads} does not divide {width_name} {width}; "
            f"choose from {', '.join(valid)}"
        )
