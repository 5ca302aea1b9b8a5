"""A head on static vectors: what is fitted with one, and the linear one's fit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.baselines.dense import DenseLinear
from trueness.baselines.fitted import Kept
from trueness.baselines.titles import PARTS, Score, TitlesFit, chosen_penalty
from trueness.errors import StoreError
from trueness.spec.titles import LinearHead, TitlesSpec, Vectors
from trueness.text.corpus import Parts
from trueness.text.static.arrays import ArrayVectors
from trueness.text.static.tokens import TokenVectors

Floats = NDArray[np.float32]
Layer = tuple[Floats, Floats]
"""Weights (D, K) and intercepts (K,)."""
PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Of columns of one scale; each fit begins where that of the larger penalty ended."""
HEAD = "head.safetensors"
_PORTION = 8192


def scores_of(layers: tuple[Layer, ...], x: Floats) -> Floats:
    """Scores (n, K) of vectors (n, D): maps with a ReLU between them."""
    result = []
    for begin in range(0, len(x), _PORTION):
        rows = x[begin : begin + _PORTION]
        for i, (weights, bias) in enumerate(layers):
            rows = np.maximum(rows, 0) if i else rows
            rows = rows @ weights + bias
        result.append(rows)
    return np.concatenate([np.zeros((0, layers[-1][1].size), np.float32), *result])


@dataclass(frozen=True)
class VectorClassifier:
    """Vectors of tokens, and a head on them.

    Attributes
    ----------
    vectors : TokenVectors
    layers : tuple of (weights, intercepts)
    max_tokens : int
        Longer texts are cut.
    temperature : float
        Scores are divided by it.
    """

    vectors: TokenVectors
    layers: tuple[Layer, ...]
    max_tokens: int
    temperature: float = 1.0
    form: ClassVar[str] = "vectors"

    def logits(self, texts: pl.Series) -> Floats:
        """Logits (n, K)."""
        scores = scores_of(self.layers, self.vectors.encode(texts, self.max_tokens))
        return (scores / self.temperature).astype(np.float32)

    def kept(self) -> Kept:
        """Head, vectors and tokenizer."""
        from safetensors.numpy import save

        arrays = {f"{name}_{i}": np.ascontiguousarray(a)
                  for i, layer in enumerate(self.layers)
                  for name, a in zip(("weights", "bias"), layer, strict=True)}  # fmt: skip
        settings, files = self.vectors.kept()
        own = {"temperature": self.temperature, "max_tokens": self.max_tokens,
               "layers": len(self.layers)}  # fmt: skip
        return {**settings, **own}, {**files, HEAD: save(arrays)}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From what `kept` gave."""
        from safetensors.numpy import load

        arrays = load(files[HEAD])
        layers = tuple((arrays[f"weights_{i}"], arrays[f"bias_{i}"])
                       for i in range(settings["layers"]))  # fmt: skip
        return cls(TokenVectors.opened(settings, files), layers, int(settings["max_tokens"]),
                   float(settings["temperature"]))  # fmt: skip


def classifier_of(
    spec: TitlesSpec, vectors: TokenVectors | ArrayVectors, layers: tuple[Layer, ...],
    temperature: float = 1.0,
) -> VectorClassifier:  # fmt: skip
    """A head that new texts can be given to.

    Raises
    ------
    StoreError
        With code ``no_encoder`` for vectors that were given by the ids of texts.
    """
    if isinstance(vectors, ArrayVectors):
        raise StoreError("its vectors were given by the ids of the texts, so that new texts have "
                         "none; it can be judged, not used", "no_encoder")  # fmt: skip
    return VectorClassifier(vectors, layers, spec.task.max_tokens, temperature)


def fit_linear_head(
    spec: TitlesSpec, corpus: Parts, vectors: TokenVectors | ArrayVectors, score: Score
) -> TitlesFit:
    """Fit a linear head on the training texts; penalty and temperature are those of validation.

    Parameters
    ----------
    spec : TitlesSpec
        Of `Vectors` under a linear head.
    corpus : Parts
    vectors : TokenVectors or GivenVectors
    score : callable
        See `trueness.baselines.titles.fit_titles_baseline`.
    """
    model = spec.model
    assert isinstance(model, Vectors)
    assert isinstance(model.head, LinearHead)
    began, heads = time.perf_counter(), {}
    train, most = corpus.part("train"), spec.task.max_tokens
    linear = DenseLinear(vectors.of_titles(train, most), train.y, len(corpus.classes),
                         model.head.loss)  # fmt: skip
    others = {name: vectors.of_titles(corpus.part(name), most) for name in PARTS}

    def every() -> Iterator[tuple[float, dict[str, Floats]]]:
        for penalty in PENALTIES:
            heads[penalty] = linear.fit(penalty)
            yield penalty, {name: scores_of((heads[penalty],), x) for name, x in others.items()}

    penalty, temperature, logits = chosen_penalty(every(), corpus.part("validation"), score)
    words = f"penalty {penalty:g}, temperature {temperature:.2f}"
    return TitlesFit(
        spec, logits, words, time.perf_counter() - began,
        lambda: classifier_of(spec, vectors, (heads[penalty],), temperature),
    )  # fmt: skip
