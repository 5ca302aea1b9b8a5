"""More than one scale of time between the patches of a window and the encoder."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from trueness.spec.embedding import must_divide
from trueness.spec.shape import Family, Int

Sizes: TypeAlias = Annotated[tuple[Annotated[Int, Field(ge=1, le=100_000)], ...],
                             Field(min_length=1, max_length=16)]  # fmt: skip


class Multiscale(Family):
    """What becomes of the tokens of a window before the encoder sees them."""

    def identity(self) -> Multiscale:
        """The same with nothing written that is implied."""
        return self

    def check(self, n_tokens: int, d_model: int, context: int) -> None:
        """Refuse tokens too few, or a width that it does not fit; raises ValueError."""

    def patches(self, length: int, stride: int) -> tuple[tuple[int, int], ...]:
        """Length and stride of every set of patches, given those of the network."""
        return ((length, stride),)


class OneScale(Multiscale):
    """Tokens as they are."""

    kind: Literal["none"]


class HierarchicalPool(Multiscale):
    """Means over neighbouring tokens, repeated to the old number and put together."""

    kind: Literal["hierarchical_pool"]
    scales: Sizes = Field((1, 2, 4), description="tokens under one mean; the last may be fewer")
    fusion: Literal["concat", "sum", "attention"] = Field(
        "concat", description="a linear map of all, their sum, or a sum with learned weights"
    )

    @field_validator("scales")
    @classmethod
    def _as_set(cls, scales: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(scales)))

    def identity(self) -> Multiscale:
        """The tokens alone, not mapped, are no scales."""
        alone = self.scales == (1,) and self.fusion != "concat"
        return OneScale(kind="none") if alone else self

    def check(self, n_tokens: int, d_model: int, context: int) -> None:
        """At least one token under a mean."""
        del d_model, context
        if max(self.scales) > n_tokens:
            raise ValueError(f"model.multiscale.scales: {max(self.scales)} is more than the "
                             f"{n_tokens} tokens of a window")  # fmt: skip


class MultiPatch(Multiscale):
    """Patches of several lengths, each with half its length as stride, all tokens of one encoder.

    They take the place of `patch_length` and `stride`.
    """

    kind: Literal["multi_patch"]
    patch_sizes: Sizes = (8, 16)

    @field_validator("patch_sizes")
    @classmethod
    def _as_set(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(sizes)))

    def check(self, n_tokens: int, d_model: int, context: int) -> None:
        """A window holds at least one patch of each."""
        del n_tokens, d_model
        if max(self.patch_sizes) > context:
            raise ValueError(f"model.multiscale.patch_sizes: {max(self.patch_sizes)} is longer "
                             f"than task.context {context}")  # fmt: skip

    def patches(self, length: int, stride: int) -> tuple[tuple[int, int], ...]:
        """One set per size."""
        del length, stride
        return tuple((size, max(1, size // 2)) for size in self.patch_sizes)


class DilatedConv(Multiscale):
    """Convolutions over three tokens at several distances, beside a skip.

    At a distance of all tokens or more, the outer two of the three are empty.
    """

    kind: Literal["dilated_conv"]
    dilation_rates: Sizes = (1, 2, 4, 8)

    @field_validator("dilation_rates")
    @classmethod
    def _as_set(cls, rates: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(rates)))


class CrossAttention(Multiscale):
    """Tokens attend to the means over `scale` neighbouring tokens, beside a skip."""

    kind: Literal["cross_attention"]
    n_heads: Int = Field(4, ge=1)
    scale: Int = Field(2, ge=2, le=100_000)

    def check(self, n_tokens: int, d_model: int, context: int) -> None:
        """Heads divide the width, and there are tokens to take a mean of."""
        del context
        must_divide(self.n_heads, d_model, "model.multiscale.n_heads", "d_model")
        if self.scale > n_tokens:
            raise ValueError(f"model.multiscale.scale: {self.scale} is more than the {n_tokens} "
                             "tokens of a window")  # fmt: skip
