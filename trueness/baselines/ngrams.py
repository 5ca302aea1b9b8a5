"""n-grams of texts as sparse rows, and what a baseline on titles leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from trueness.baselines.fitted import Kept

Floats = NDArray[np.float32]
Kind = Mapping[str, Any]
MAX_CHARACTERS = 1000
"""Of a text; the rest is not read."""
NGRAMS: tuple[Kind, ...] = (
    {"analyzer": "char_wb", "ngram_range": [2, 5], "n_features": 2**20},
    {"analyzer": "word", "ngram_range": [1, 2], "n_features": 2**18,
     "token_pattern": r"(?u)\b\w+\b"},
)  # fmt: skip
"""Characters inside words, and words; each counted in so many buckets."""
ARRAYS = "ngrams.safetensors"


@dataclass(frozen=True)
class Vectorizer:
    """TF-IDF of n-grams of characters and of words.

    Counts enter as ``1 + log``, rarity is that of the texts it was fitted on, and each kind of
    n-gram has length 1. Salton and Buckley, "Term-weighting approaches in automatic text retrieval"
    (1988); buckets: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (2009).

    Attributes
    ----------
    kinds : tuple of mapping
        What each kind of n-gram is counted with.
    rarity : tuple of (buckets,) float32
        Of each kind.
    """

    kinds: tuple[Kind, ...]
    rarity: tuple[Floats, ...]

    @classmethod
    def fitted(cls, texts: pl.Series) -> tuple[Self, csr_array]:
        """From texts (n,), and their rows (n, buckets) float32.

        Examples
        --------
        >>> vectorizer, x = Vectorizer.fitted(pl.Series(["red shoe", "blue shoe"]))
        >>> x.shape, x.dtype, vectorizer.transform(pl.Series(["shoe"])).shape
        ((2, 1310720), dtype('float32'), (1, 1310720))
        """
        counts = [_counts(texts, kind) for kind in NGRAMS]
        weigh = [TfidfTransformer(sublinear_tf=True).fit(some) for some in counts]
        rows = [one.transform(some, copy=False) for one, some in zip(weigh, counts, strict=True)]
        rarity = tuple(np.asarray(one.idf_, np.float32) for one in weigh)
        return cls(NGRAMS, rarity), _joined(rows)

    def transform(self, texts: pl.Series) -> csr_array:
        """Rows (n, buckets) float32 of texts (n,)."""
        rows = []
        for kind, rarity in zip(self.kinds, self.rarity, strict=True):
            weigh = TfidfTransformer(sublinear_tf=True)
            weigh.idf_ = rarity
            rows.append(weigh.transform(_counts(texts, kind), copy=False))
        return _joined(rows)

    def counts(self, texts: pl.Series) -> csr_array:
        """How often each n-gram stands in texts (n,): (n, buckets) float32."""
        return _joined([_counts(texts, kind) for kind in self.kinds])


def counting(kind: Kind) -> dict[str, Any]:
    """What scikit-learn's ``HashingVectorizer`` is made with to count a kind of n-gram."""
    return {**kind, "ngram_range": tuple(kind["ngram_range"]), "lowercase": True, "norm": None,
            "alternate_sign": False}  # fmt: skip


def _counts(texts: pl.Series, kind: Kind) -> csr_array:
    counter = HashingVectorizer(dtype=np.float32, **counting(kind))
    return counter.transform(texts.str.slice(0, MAX_CHARACTERS).to_list())


def _joined(rows: Sequence[csr_array]) -> csr_array:
    return csr_array(hstack(rows, format="csr", dtype=np.float32))


# ------------------------------------------------------------------------------------------ fitted


class FittedTitles(Protocol):
    """What a baseline on titles leaves behind.

    Attributes
    ----------
    form : str
        Its row in `trueness.baselines.forms.TITLES_FORMS`.
    """

    form: ClassVar[str]

    def logits(self, texts: pl.Series) -> Floats:
        """Logits (n, K) of texts (n,)."""
        ...

    def kept(self) -> Kept:
        """What `opened` makes it from again."""
        ...

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From what `kept` gave."""
        ...


@dataclass(frozen=True)
class Prior:
    """The same logits (K,) for every text."""

    values: Floats
    form: ClassVar[str] = "prior"

    def logits(self, texts: pl.Series) -> Floats:
        """Logits (n, K)."""
        return np.tile(self.values, (len(texts), 1))

    def kept(self) -> Kept:
        """Its values, in settings."""
        return {"logits": self.values.tolist()}, {}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From its values."""
        del files
        return cls(np.asarray(settings["logits"], np.float32))


@dataclass(frozen=True)
class NGrams:
    """A linear classifier on n-grams.

    Attributes
    ----------
    vectorizer : Vectorizer
    columns : (m,) int64
        Buckets that have weights.
    weights : (m, K) float32
    bias : (K,) float32
    temperature : float
        Its scores are divided by it.
    """

    vectorizer: Vectorizer
    columns: NDArray[np.int64]
    weights: Floats
    bias: Floats
    temperature: float
    form: ClassVar[str] = "ngrams"

    def logits(self, texts: pl.Series) -> Floats:
        """Logits (n, K)."""
        x = self.vectorizer.transform(texts)[:, self.columns]
        return ((x @ self.weights + self.bias) / self.temperature).astype(np.float32)

    def kept(self) -> Kept:
        """Weights of the buckets that have some, and rarity of those that were seen."""
        from safetensors.numpy import save

        arrays = {"columns": self.columns, "weights": self.weights, "bias": self.bias}
        unseen = []
        for i, rarity in enumerate(self.vectorizer.rarity):
            unseen.append(float(rarity.max()))
            seen = np.flatnonzero(rarity < rarity.max())
            arrays |= {f"seen_{i}": seen, f"rarity_{i}": rarity[seen]}
        settings = {"kinds": [dict(kind) for kind in self.vectorizer.kinds], "unseen": unseen,
                    "temperature": self.temperature}  # fmt: skip
        return settings, {ARRAYS: save({n: np.ascontiguousarray(a) for n, a in arrays.items()})}

    @classmethod
    def opened(cls, settings: Mapping[str, Any], files: Mapping[str, bytes]) -> Self:
        """From what `kept` gave."""
        from safetensors.numpy import load

        arrays, rarity = load(files[ARRAYS]), []
        for i, (kind, unseen) in enumerate(zip(settings["kinds"], settings["unseen"], strict=True)):
            every = np.full(kind["n_features"], unseen, np.float32)
            every[arrays[f"seen_{i}"]] = arrays[f"rarity_{i}"]
            rarity.append(every)
        vectorizer = Vectorizer(tuple(settings["kinds"]), tuple(rarity))
        return cls(vectorizer, arrays["columns"], arrays["weights"], arrays["bias"],
                   float(settings["temperature"]))  # fmt: skip
