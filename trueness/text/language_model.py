"""Languages of short texts by the n-grams of a corpus, where the detector is not sure."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from trueness.text.corpus import Corpus

FEATURES = 2**15
"""Places that n-grams of characters are hashed to."""
LONGEST_GRAM = 4
SMOOTHING = 0.1
"""Occurrences that every place is given in every language."""
LEAST_ROWS = 50
"""Texts of a language that are enough to learn it from."""


@dataclass(frozen=True)
class LanguageModel:
    """Multinomial naive Bayes over hashed n-grams of one to four characters, inside words.

    After Cavnar and Trenkle, "N-Gram-Based Text Categorization" (1994).

    Attributes
    ----------
    languages : tuple of str
    weights : (L, places) float32
        Log probability of each place in a language.
    prior : (L,) float32
        Log share of the languages.

    Examples
    --------
    >>> texts = ["red shoe", "rote Schuhe"] * 50
    >>> model = LanguageModel.learned(texts, np.array(["en", "de"] * 50))
    >>> codes, p = model.predict(["Schuhe"])
    >>> codes.tolist(), bool(p[0] > 0.9)
    (['de'], True)
    """

    languages: tuple[str, ...]
    weights: NDArray[np.float32]
    prior: NDArray[np.float32]

    @classmethod
    def learned(cls, texts: list[str], languages: NDArray[np.str_]) -> Self:
        """From texts (n,) of known languages (n,)."""
        names, which = np.unique(languages, return_inverse=True)
        counts = _counts(texts)
        sums = np.stack([
            np.asarray(counts[which == i].sum(axis=0), np.float64).ravel()
            for i in range(len(names))
        ])  # fmt: skip
        smooth = sums + SMOOTHING
        weights = np.log(smooth / smooth.sum(axis=1, keepdims=True))
        prior = np.log(np.bincount(which) / len(which))
        return cls(tuple(names.tolist()), weights.astype(np.float32), prior.astype(np.float32))

    def predict(self, texts: list[str]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
        """Likeliest language of each text, (n,), and its probability, (n,)."""
        p = softmax(_counts(texts) @ self.weights.T.astype(np.float64) + self.prior, axis=1)
        return np.array(self.languages)[p.argmax(axis=1)], p.max(axis=1)

    def to_bytes(self) -> bytes:
        """Arrays without any code; weights in half precision."""
        file = io.BytesIO()
        np.savez_compressed(file, languages=np.array(self.languages), prior=self.prior,
                            weights=self.weights.astype(np.float16))  # fmt: skip
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Back from `to_bytes`.

        Raises
        ------
        ValueError, KeyError, OSError
            For anything else.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            names, weights, prior = (arrays[n] for n in ("languages", "weights", "prior"))
        if weights.shape != (len(names), FEATURES) or prior.shape != (len(names),):
            raise ValueError("weights of another shape")
        return cls(tuple(map(str, names)), weights.astype(np.float32), prior)


def language_model_of(corpus: Corpus) -> LanguageModel | None:
    """Learned from the training texts of a corpus; None where there is nothing to learn.

    That is so where fewer than two languages have enough texts, and where most languages were
    detected: its undetermined texts are judged as such, and have a threshold of their own.
    """
    if corpus.gate is not None:
        return None
    train = corpus.part("train")
    enough = [n for n, rows in Counter(train.language.tolist()).items()
              if rows >= LEAST_ROWS and n != "und"]  # fmt: skip
    kept = np.isin(train.language, enough)
    if len(enough) < 2:
        return None
    return LanguageModel.learned(train.texts.filter(kept).to_list(), train.language[kept])


def _counts(texts: list[str]) -> Any:  # noqa: ANN401 - a sparse matrix
    """Counts of hashed n-grams, (n, places), sparse."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(1, LONGEST_GRAM), n_features=FEATURES, norm=None,
        alternate_sign=False,
    ).transform(texts)  # fmt: skip
