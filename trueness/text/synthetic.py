"""A seeded catalogue of product offers in seven languages, for tests, demos and experiments.

The languages name the same things (`catalogue.tsv`) and share brands and model numbers, so that
what is learnt in one language can help in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.errors import DataError, at_least
from trueness.text.sources import RAW, Batch, Piece

_T = TypeVar("_T")

LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "ja")
CLASS_SHARES = {
    "Automotive": 0.11, "Baby": 0.05, "Books": 0.10, "Clothing": 0.36, "Home_and_Garden": 0.08,
    "Jewelry": 0.14, "Shoes": 0.10, "Toys_and_Games": 0.06,
}  # fmt: skip
"""Fractions of the products; six published classes keep their order of frequency."""
OTHER_SHARES = (0.33, 0.22, 0.16, 0.12, 0.10, 0.07)
"""Of the offers that are not English, by language."""
_OFFERS = (0.55, 0.25, 0.12, 0.08)  # of products with 1, 2, 3, 4 offers
_TRAITS = ("colour", "material", "quality", "audience")
_LISTED_AGAIN = 0.02  # products that stand in the catalogue twice, in two clusters
_MARKS = ("!", "***", "SALE", "(2)")
_IN_ENGLISH = 0.08  # things that other languages call by their English name
_PIECE_ROWS = 20_000
_BRANDS_PER_CLASS, _SHARED_BRANDS = 40, 160
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


@dataclass(frozen=True)
class Catalogue:
    """Offers of invented products; a cluster is a product with one to four offers.

    Parameters
    ----------
    rows : int
        Offers.
    english_share : float in [0, 1]
        Of the offers; the others follow `OTHER_SHARES`.
    noise : float in [0, 1]
        Fraction of the products whose label is another class than that of the words.
    difficulty : float in [0, 1]
        Fraction of the offers that do not name the thing; half of those name one of another class
        instead, as accessories do.
    seed : int
    """

    rows: int = 20_000
    english_share: float = 0.886
    noise: float = 0.02
    difficulty: float = 0.1
    seed: int = 42
    min_class_rows: int = 1
    max_bytes: None = None

    def __post_init__(self) -> None:
        at_least("rows", self.rows, 1, 10**9)
        at_least("seed", self.seed, 0)
        for name in ("english_share", "noise", "difficulty"):
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} {getattr(self, name)}: a fraction from 0 to 1 is needed")

    def prepared(self, folder: Path) -> Self:
        """The same catalogue."""
        del folder
        return self

    def provenance(self) -> dict[str, Any]:
        """Everything it is made from."""
        return {
            "kind": "synthetic", "rows": self.rows, "english_share": self.english_share,
            "noise": self.noise, "difficulty": self.difficulty, "seed": self.seed,
        }  # fmt: skip

    def pieces(self) -> list[Piece]:
        """Pieces of at most 20,000 offers, each with a random stream of its own."""
        begins = range(0, self.rows, _PIECE_ROWS)
        return [Piece(str(k), min(_PIECE_ROWS, self.rows - b)) for k, b in enumerate(begins)]

    def batches(self, piece: Piece) -> Iterator[Batch]:
        """Offers of a piece, product after product."""
        number, wanted = int(piece.name), int(piece.size)
        rng = np.random.default_rng([self.seed, number])
        writer = _Writer(rng, self)
        rows: list[tuple[str, str, str, str, int]] = []
        product = number * _PIECE_ROWS
        while len(rows) < wanted:
            offers = writer.product()[: wanted - len(rows)]
            rows += [
                (f"{piece.name}-{len(rows) + k}", text, label, language, product)
                for k, (text, label, language) in enumerate(offers)
            ]
            product += 1
        yield Batch(pl.DataFrame(rows, orient="row", schema=RAW), len(rows))


@cache
def vocabulary() -> dict[str, list[dict[str, str]]]:
    """Role or class -> words, each a mapping of language to word."""
    path = files("trueness.text") / "catalogue.tsv"
    table = pl.read_csv(path.read_bytes(), separator="\t", quote_char=None)
    words: dict[str, list[dict[str, str]]] = {}
    for row in table.iter_rows(named=True):
        words.setdefault(row.pop("role"), []).append(row)
    return words


@cache
def _brands(seed: int) -> dict[str, list[str]]:
    """Class -> brands: some sell in this class only, others in all."""
    rng = np.random.default_rng([seed, 2**31])
    size = _BRANDS_PER_CLASS * len(CLASS_SHARES) + _SHARED_BRANDS
    names: list[str] = ["".join(rng.choice(_SYLLABLES, 3)).title() for _ in range(size)]
    shared = names[:_SHARED_BRANDS]
    own = {
        label: names[_SHARED_BRANDS + k * _BRANDS_PER_CLASS :][:_BRANDS_PER_CLASS]
        for k, label in enumerate(CLASS_SHARES)
    }
    return {label: own[label] + shared for label in CLASS_SHARES}


class _Writer:
    """Writes products from one stream of random numbers."""

    def __init__(self, rng: np.random.Generator, catalogue: Catalogue) -> None:
        self.rng, self.catalogue = rng, catalogue
        self.brands, self.words = _brands(catalogue.seed), vocabulary()
        self.classes = list(CLASS_SHARES)
        self.class_shares = np.cumsum(list(CLASS_SHARES.values()))
        english = catalogue.english_share
        self.language_shares = np.cumsum([english, *((1 - english) * np.array(OTHER_SHARES))])
        self.offers = np.cumsum(_OFFERS)
        self.last: list[tuple[str, str, str]] = []

    def product(self) -> list[tuple[str, str, str]]:
        """Text, label and language of the offers of a new product, or of one listed again."""
        if self.last and self._happens(_LISTED_AGAIN):
            text, label, language = self.last[0]
            return [(f"{text} {self._any(_MARKS)}", label, language)]
        true = self._one_of(self.classes, self.class_shares)
        label = true
        if self._happens(self.catalogue.noise):
            label = self._any([name for name in self.classes if name != true])
        letters = "".join(chr(65 + k) for k in self.rng.integers(26, size=2))
        name = f"{self._any(self.brands[true])} {letters}{self.rng.integers(10, 10_000)}"
        thing = self._any(self.words[true])
        traits = [self._any(self.words[role]) for role in _TRAITS]
        self.last = [
            (self._text(true, language, name, thing, traits), label, language)
            for language in self._languages()
        ]
        return self.last

    def _languages(self) -> list[str]:
        """Language of each offer of a product."""
        count = self._one_of([1, 2, 3, 4], self.offers)
        return [self._one_of(LANGUAGES, self.language_shares) for _ in range(count)]

    def _text(
        self, true: str, language: str, name: str, thing: dict[str, str],
        traits: list[dict[str, str]],
    ) -> str:  # fmt: skip
        """Title and, at times, a description, as a shop of that language would write it."""
        named = not self._happens(self.catalogue.difficulty)
        words = [trait[language] for trait in traits if self._happens(0.5)]
        if named:
            spoken = "en" if self._happens(_IN_ENGLISH) else language
            words.append(thing[spoken])
        elif self._happens(0.5):
            other = self._any([label for label in self.classes if label != true])
            words.append(self._any(self.words[other])[language])
        self.rng.shuffle(words)
        if self._happens(0.3):
            words.append(str(self.rng.integers(1, 60)))
        title = " ".join([name, *words] if self._happens(0.8) else [*words, name])
        if self._happens(0.1):
            title = title.upper()
        if not self._happens(0.4):
            return title
        phrases = [self._any(self.words["phrase"])[language] for _ in range(2)]
        return f"{title}. {thing[language] + ': ' if named else ''}{', '.join(phrases)}."

    def _happens(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def _any(self, choices: Sequence[_T]) -> _T:
        return choices[int(self.rng.integers(len(choices)))]

    def _one_of(self, choices: Sequence[_T], cumulative: NDArray[np.float64]) -> _T:
        drawn = self.rng.random() * cumulative[-1]
        return choices[int(np.searchsorted(cumulative, drawn, side="right"))]
