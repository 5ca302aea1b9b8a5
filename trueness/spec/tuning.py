"""Which weights of a pretrained encoder of titles are trained."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from trueness.errors import SpecError
from trueness.spec.shape import Family, Float, Fraction, Int

UpToOne: TypeAlias = Annotated[Float, Field(gt=0, le=1)]


class Tuning(Family):
    """Which weights of a pretrained encoder are trained; those of the head always are.

    Attributes
    ----------
    encodes_once : bool
        Whether the vectors of texts never change, so that they are made once.
    whole : bool
        Whether what is trained is all of the encoder, which then needs its folder no more.
    extras : tuple of str
        Packages that it needs besides transformers.
    passes : int
        Times the work of a forward pass through the encoder that a training step takes.
    """

    encodes_once: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    extras: ClassVar[tuple[str, ...]] = ()
    passes: ClassVar[int] = 0

    def parameters(self, maps: Mapping[str, tuple[int, ...]], every: int) -> int:
        """Weights of the encoder that are trained, or stand beside it.

        Parameters
        ----------
        maps : mapping of str to (int, int)
            Shapes (out, in) of its linear maps by name.
        every : int
            Weights that it has.
        """
        del maps, every
        return 0


class Frozen(Tuning):
    """None: every text is encoded once, and its vector kept by content."""

    encodes_once: ClassVar[bool] = True

    kind: Literal["frozen"]


class FullTuning(Tuning):
    """All, each layer at a lower rate than the one above it."""

    whole: ClassVar[bool] = True
    passes: ClassVar[int] = 3

    kind: Literal["full"]
    rate: UpToOne = Field(0.1, description="of the last layer, as a fraction of learning_rate")
    layer_decay: UpToOne = Field(0.9, description="rate of a layer, of that of the one above it")

    def parameters(self, maps: Mapping[str, tuple[int, ...]], every: int) -> int:
        """All."""
        del maps
        return every


class Lora(Tuning):
    """Low-rank matrices beside linear maps, which stay as they are (LoRA)."""

    extras: ClassVar[tuple[str, ...]] = ("peft",)
    passes: ClassVar[int] = 2

    kind: Literal["lora"]
    rank: Int = Field(8, ge=1, le=65536)
    alpha: Annotated[Float, Field(gt=0)] = Field(
        16.0, description="the product is scaled by alpha / rank"
    )
    dropout: Fraction = Field(0.0, description="of what the matrices read")
    targets: tuple[str, ...] = Field(
        (), description="last parts of the names of linear maps, such as query; all without any"
    )
    rate: UpToOne = Field(1.0, description="of the last layer, as a fraction of learning_rate")
    layer_decay: UpToOne = Field(1.0, description="rate of a layer, of that of the one above it")

    def parameters(self, maps: Mapping[str, tuple[int, ...]], every: int) -> int:
        """Two matrices for each chosen map.

        Raises
        ------
        SpecError
            As `chosen`.
        """
        del every
        return sum(self.rank * sum(maps[name]) for name in self.chosen(maps))

    def chosen(self, maps: Collection[str]) -> list[str]:
        """Names of the linear maps that get matrices, of those of an encoder.

        Raises
        ------
        SpecError
            With code ``no_target`` for a target that is the end of none.

        Examples
        --------
        >>> Lora(kind="lora", targets=("query",)).chosen(["layer.0.query", "layer.0.key"])
        ['layer.0.query']
        """
        ends = {name: _ends(name, self.targets) for name in maps}
        for word in self.targets:
            if not any(word in result for result in ends.values()):
                known = sorted({name.rpartition(".")[2] for name in maps})
                raise SpecError(
                    f"model.tune.targets: no linear map is called {word}; they are called "
                    f"{', '.join(known)}", "no_target",
                )  # fmt: skip
        return [name for name, result in ends.items() if result or not self.targets]


def _ends(name: str, words: Collection[str]) -> list[str]:
    """Words that are the last parts of a dotted name."""
    return [word for word in words if f".{name}".endswith(f".{word}")]
