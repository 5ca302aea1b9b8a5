"""Vectors of tokens; that of a text is the mean over its tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from trueness.errors import DataError
from trueness.text.corpus import Parts, Titles
from trueness.text.encodings import encoded, kept_vectors
from trueness.text.tokens import Tokens, coder_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = NDArray[np.float32]
MATRIX, TOKENIZER = "vectors.safetensors", "tokenizer.json"
FEW_KNOWN = 0.5
"""Share of the words of a corpus below which a note tells it."""
_LOOKED_AT = 4000
"""Training texts whose words are looked up for it, about."""


@dataclass(frozen=True)
class TokenVectors:
    """A tokenizer and a vector for each of its tokens.

    Arora et al., "A Simple but Tough-to-Beat Baseline for Sentence Embeddings" (2017), without the
    weights where the model has none of its own.

    Attributes
    ----------
    digest : str
        Form, and 12 hexadecimal digits of the content.
    tokenizer : Tokenizer
        Adds no special tokens.
    matrix : (V + 1, D) float16 or float32
        The last row is that of no token: zeros.
    counted : (V + 1,) bool
        Tokens that enter the mean; the rows of others are zeros.
    normalize : bool
        Whether the mean is brought to length 1.
    repeated : int
        Words of the file that stand there once more, and do not count again.
    """

    digest: str
    tokenizer: Tokenizer
    matrix: NDArray[Any]
    counted: NDArray[np.bool_]
    normalize: bool = False
    repeated: int = 0

    @classmethod
    def of(
        cls, digest: str, tokenizer: str, matrix: NDArray[Any], unknown: int | None = None,
        normalize: bool = False, repeated: int = 0,
    ) -> Self:  # fmt: skip
        """From the text of a ``tokenizer.json`` and the vectors (V, D) of its tokens.

        Parameters
        ----------
        digest, tokenizer : str
        matrix : (V, D)
        unknown : int, optional
            Token that does not count.
        normalize : bool
        repeated : int

        Raises
        ------
        DataError
            With code ``vectors`` if a token has no vector, or one is not finite.
        """
        plain = _plain(tokenizer)
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise DataError(f"{digest}: the vectors are an array {matrix.shape}; tokens by numbers "
                            "are needed", "vectors")  # fmt: skip
        _check_vocabulary(plain, len(matrix), digest)
        if not (finite := np.isfinite(matrix).all(axis=1)).all():
            raise DataError(f"{digest}: {int((~finite).sum()):,} vectors hold numbers that are not "
                            f"finite, first token {int(finite.argmin())}", "vectors")  # fmt: skip
        kind = np.float16 if matrix.dtype == np.float16 else np.float32
        rows = np.zeros((len(matrix) + 1, matrix.shape[1]), kind)
        rows[:-1] = matrix
        counted = np.ones(len(rows), bool)
        for none in {-1} if unknown is None else {-1, unknown}:
            counted[none], rows[none] = False, 0
        return cls(digest, plain, rows, counted, normalize, repeated)

    @property
    def width(self) -> int:
        """Numbers of a vector, D."""
        return self.matrix.shape[1]

    @property
    def pad(self) -> int:
        """Token of a text that has none."""
        return len(self.matrix) - 1

    @cached_property
    def _rows(self) -> Floats:
        return self.matrix.astype(np.float32, copy=False)

    def encode(self, texts: pl.Series, max_tokens: int) -> Floats:
        """Vectors (n, D) of texts (n,); zeros where no token counts.

        Examples
        --------
        >>> from tokenizers import Tokenizer, models, pre_tokenizers
        >>> words = Tokenizer(models.WordLevel({"red": 0, "shoe": 1}, unk_token="red"))
        >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> some = TokenVectors.of("words", words.to_str(), np.eye(2, dtype=np.float32))
        >>> some.encode(pl.Series(["red shoe", "shoe", ""]), 8).tolist()
        [[0.5, 0.5], [0.0, 1.0], [0.0, 0.0]]
        """
        return encoded(lambda some: self._mean(some, max_tokens), texts, self.width)

    def check(self, corpus: Parts, max_tokens: int) -> list[str]:
        """What is odd about these vectors for a corpus.

        Raises
        ------
        DataError
            With code ``vectors_unknown`` if they know no token of the training texts.
        """
        notes = []
        if self.repeated:
            notes.append(f"{self.repeated:,} words stand in the vectors again; the first counts")
        if self.counted[: self.pad].all():
            return notes
        texts = corpus.part("train").texts
        some = texts.gather_every(max(1, len(texts) // _LOOKED_AT)).to_list()
        tokens = self.ids(some, max_tokens).ids
        known = float(self.counted[tokens].mean()) if len(tokens) else 0.0
        if not known:
            raise DataError(f"{self.digest}: the vectors know no word of {len(some):,} training "
                            "texts; give those of their languages", "vectors_unknown")  # fmt: skip
        if known < FEW_KNOWN:
            notes.append(f"the vectors know {100 * known:.1f} % of the words of {len(some):,} "
                         "training texts; others do not count")  # fmt: skip
        return notes

    def of_titles(self, titles: Titles, max_tokens: int) -> Floats:
        """The same of a part of a corpus, kept and mapped from disk."""
        key = f"{self.digest} {max_tokens} {self.normalize}"
        return kept_vectors(key, titles.texts, lambda t: self._mean(t, max_tokens), self.width)

    def ids(self, texts: list[str], max_tokens: int) -> Tokens:
        """Tokens of texts; `pad` once where there are none."""
        coder = self._coders.get(max_tokens) or self._coders.setdefault(
            max_tokens, coder_of(self.tokenizer, max_tokens)
        )
        result = [one.ids or [self.pad] for one in coder.encode_batch_fast(texts)]
        ends = np.cumsum([0, *map(len, result)])
        ids = np.fromiter(chain.from_iterable(result), np.int32, int(ends[-1]))
        return Tokens(ids, ends, self.pad, max_tokens)

    @cached_property
    def _coders(self) -> dict[int, Tokenizer]:
        return {}

    def _mean(self, texts: list[str], max_tokens: int) -> Floats:
        tokens = self.ids(texts, max_tokens)
        ones, shape = np.ones(len(tokens.ids), np.float32), (len(texts), len(self.matrix))
        counts = csr_array((ones, tokens.ids, tokens.offsets), shape=shape)
        total = counts @ self.counted.astype(np.float32)
        mean = (counts @ self._rows) / np.maximum(total, 1)[:, None]
        length = np.linalg.norm(mean, axis=1, keepdims=True) if self.normalize else None
        return mean if length is None else mean / np.maximum(length, np.float32(1e-32))

    # ------------------------------------------------------------------------------------ files

    def kept(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """What `opened` makes it from again."""
        from safetensors.numpy import save

        arrays = {"matrix": np.ascontiguousarray(self.matrix), "counted": self.counted}
        settings = {"vectors": self.digest, "normalize": self.normalize}
        return settings, {MATRIX: save(arrays), TOKENIZER: self.tokenizer.to_str().encode()}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From what `kept` gave."""
        from safetensors.numpy import load
        from tokenizers import Tokenizer

        arrays = load(files[MATRIX])
        tokenizer = Tokenizer.from_buffer(files[TOKENIZER])
        _check_vocabulary(tokenizer, len(arrays["matrix"]) - 1, settings["vectors"])
        return cls(settings["vectors"], tokenizer, arrays["matrix"], arrays["counted"],
                   bool(settings["normalize"]))  # fmt: skip


def _check_vocabulary(tokenizer: Tokenizer, vectors: int, digest: str) -> None:
    """Refuse a token without a row, which would be read from beyond the matrix."""
    vocabulary = 1 + max(tokenizer.get_vocab().values(), default=-1)
    if vocabulary > vectors:
        raise DataError(f"{digest}: {vocabulary:,} tokens and {vectors:,} vectors; give those of "
                        "one model", "vectors")  # fmt: skip


def _plain(text: str) -> Tokenizer:
    """A tokenizer that adds, cuts and pads nothing."""
    from tokenizers import Tokenizer

    content = json.loads(text)
    return Tokenizer.from_str(json.dumps({
        **content, "post_processor": None, "truncation": None, "padding": None,
    }))  # fmt: skip


def unknown_of(tokenizer: str) -> int | None:
    """Token that stands for what a tokenizer does not know, by its ``tokenizer.json``."""
    from tokenizers import Tokenizer

    model = json.loads(tokenizer)["model"]
    if (name := model.get("unk_token")) is not None:
        return Tokenizer.from_str(tokenizer).token_to_id(name)
    return model.get("unk_id")


def read_text(path: Path) -> str:
    """UTF-8 text of a file.

    Raises
    ------
    DataError
        With code ``no_vectors``.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise DataError(f"{path}: {reason}", "no_vectors") from None
