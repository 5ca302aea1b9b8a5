"""What a run on titles reads: tokens, classes and languages of every part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import SpecError
from trueness.fit.titles.rows import Rows, VectorRows
from trueness.spec.titles import GivenTokenizer, TitlesTask, TrainedTokenizer
from trueness.text.corpus import Parts
from trueness.text.tokens import (
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
class Part:
    """Inputs, classes (n,), languages (n,) and clusters (n,) of one part of a corpus."""

    tokens: Rows
    y: NDArray[np.int64]
    language: NDArray[np.str_]
    cluster: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class TitlesData:
    """All parts of a corpus as tokens, or as vectors.

    `languages` are those of the train part; `code` (n,) numbers them for its texts. `width` is the
    number of ids that tokens may have, or that of the values of a vector. `folder` holds the
    encoder that a run begins with, if it reads tokens.
    """

    parts: dict[str, Part]
    classes: tuple[str, ...]
    languages: tuple[str, ...]
    code: NDArray[np.int64]
    width: int
    digests: dict[str, str]
    folder: Path | None = None

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

    def rows(texts: pl.Series) -> Rows:
        if vectors is not None:
            return VectorRows(vectors(texts))
        return encode(texts, tokenizer, max_tokens=task.max_tokens, cache=cache)

    made = {name: rows(corpus.part(name).texts) for name in PARTS}
    first = made["train"]
    if isinstance(first, VectorRows):
        width, folder = first.values.shape[1], None
    else:
        width = vocabulary_of(tokenizer)
    return data_of(corpus, made, width, {"tokenizer": tokenizer_digest(tokenizer)}, folder)


def data_of(
    corpus: Parts, rows: Mapping[str, Rows], width: int, digests: Mapping[str, str],
    folder: Path | None = None,
) -> TitlesData:  # fmt: skip
    """Inputs of every part of a corpus, with classes and languages.

    Parameters
    ----------
    corpus : Parts
    rows : mapping of str to Rows
        Inputs by part.
    width : int
    digests : mapping of str to str
        Of what the inputs were made with.
    folder : Path, optional
        See `TitlesData`.
    """
    parts = {}
    for name, some in rows.items():
        titles = corpus.part(name)
        parts[name] = Part(some, titles.y, titles.language, titles.cluster)
    languages, code = np.unique(parts["train"].language, return_inverse=True)
    return TitlesData(parts, corpus.classes, tuple(map(str, languages)), code.astype(np.int64),
                      width, {"corpus": corpus.digest, **digests}, folder)  # fmt: skip
