"""What a run on titles reads: tokens, classes and languages of every part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from trueness.errors import SpecError
from trueness.spec.titles import GivenTokenizer, TitlesTask, TrainedTokenizer
from trueness.text.corpus import Parts
from trueness.text.tokens import (
    Tokens,
    encode,
    load_tokenizer,
    tokenizer_digest,
    train_tokenizer,
    vocabulary_of,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PARTS = ("train", "validation", "test")
Vectorise: TypeAlias = Callable[[pl.Series], NDArray[np.float32]]
"""Texts (n,) to vectors (n, d)."""


@dataclass(frozen=True)
class Vectors:
    """Vectors (n, d) float32 of texts, which a frozen encoder made; each counts as one token."""

    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """One for each text, (n,)."""
        return np.ones(len(self.values), np.int64)

    def batch(self, rows: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Some vectors (B, d), and a mask (B, 1) of ones."""
        chosen = self.values[np.asarray(rows, np.int64)]
        return chosen, np.ones((len(chosen), 1), np.bool_)


Inputs: TypeAlias = Tokens | Vectors


@dataclass(frozen=True)
class Part:
    """Tokens or vectors, classes (n,), languages (n,) and clusters (n,) of one part of a corpus."""

    tokens: Inputs
    y: NDArray[np.int64]
    language: NDArray[np.str_]
    cluster: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class TitlesData:
    """All parts of a corpus as tokens, or as vectors.

    `languages` are those of the train part; `code` (n,) numbers them for its texts. `folder` holds
    the encoder that a run begins with.
    """

    parts: dict[str, Part]
    classes: tuple[str, ...]
    languages: tuple[str, ...]
    code: NDArray[np.int64]
    tokenizer: Tokenizer
    digests: dict[str, str]
    folder: Path | None = None

    @property
    def vocabulary(self) -> int:
        """Rows of an embedding of the tokenizer's ids."""
        return vocabulary_of(self.tokenizer)

    @property
    def width(self) -> int | None:
        """Numbers of a vector, where texts are vectors."""
        inputs = self.parts["train"].tokens
        return inputs.values.shape[1] if isinstance(inputs, Vectors) else None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Texts of each language and class in the train part, (G, K)."""
        k = len(self.classes)
        flat = np.bincount(self.code * k + self.parts["train"].y, minlength=len(self.languages) * k)
        return flat.reshape(-1, k)


def tokenizer_of(task: TitlesTask, corpus: Parts, file: Path | None) -> Tokenizer:
    """Tokenizer that a task asks for: trained on the train part, or read from a file.

    Raises
    ------
    SpecError
        If a file is needed and not given, or is another one.
    """
    asked = task.tokenizer
    if isinstance(asked, TrainedTokenizer):
        train = corpus.part("train")
        return train_tokenizer(
            train.texts,
            train.language,
            vocabulary=asked.vocabulary,
            alpha=asked.alpha,
            min_frequency=asked.min_frequency,
        )
    assert isinstance(asked, GivenTokenizer)
    if file is None:
        raise SpecError(f"the spec names the tokenizer {asked.digest}; give its file")
    tokenizer = load_tokenizer(file)
    if tokenizer_digest(tokenizer) != asked.digest:
        raise SpecError(
            f"{file} is the tokenizer {tokenizer_digest(tokenizer)}, not {asked.digest}"
        )
    return tokenizer


def load_data(
    task: TitlesTask, corpus: Parts, *, tokenizer: Tokenizer, cache: Path | None = None,
    folder: Path | None = None, vectors: Vectorise | None = None,
) -> TitlesData:  # fmt: skip
    """Encode every part of a corpus.

    Parameters
    ----------
    task : TitlesTask
    corpus : Parts
    tokenizer : Tokenizer
    cache : Path, optional
        Folder of tokens.
    folder : Path, optional
        That of a pretrained encoder.
    vectors : callable, optional
        Texts (n,) to vectors (n, d), which then stand in place of tokens.

    Raises
    ------
    SpecError
        If the corpus is not the one of the task.
    """
    if corpus.digest != task.corpus:
        raise SpecError(f"the spec is about corpus {task.corpus}, this one is {corpus.digest}")
    parts = {}
    for name in PARTS:
        titles = corpus.part(name)
        if vectors is not None:
            inputs: Inputs = Vectors(vectors(titles.texts))
        else:
            inputs = encode(titles.texts, tokenizer, max_tokens=task.max_tokens, cache=cache)
        parts[name] = Part(inputs, titles.y, titles.language, titles.cluster)
    languages, code = np.unique(parts["train"].language, return_inverse=True)
    return TitlesData(
        parts,
        corpus.classes,
        tuple(map(str, languages)),
        code.astype(np.int64),
        tokenizer,
        {"corpus": corpus.digest, "tokenizer": tokenizer_digest(tokenizer)},
        folder,
    )
