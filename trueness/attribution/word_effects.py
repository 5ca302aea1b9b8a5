"""What leaving words out does to the classes of a model on titles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Document
from trueness.evaluation.intervals import Estimate
from trueness.judge.judgement import SCHEMA


@dataclass(frozen=True)
class WordEffect:
    """What leaving a word out does to a class.

    Attributes
    ----------
    word, label : str
    effect : Estimate
        Log-probability of the class with the word minus without it, mean over the texts with it;
        the interval holds for all words and classes that were judged at once. `n` counts texts.
    """

    word: str
    label: str
    effect: Estimate

    @property
    def moves(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.effect.low, self.effect.high
        return low is not None and high is not None and (low > 0 or high < 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"word": self.word, "label": self.label, "effect": self.effect.to_dict(),
                "moves": self.moves}  # fmt: skip


@dataclass(frozen=True)
class TextEffect:
    """One text.

    Attributes
    ----------
    text : str
    probability : dict of str to float
        Class -> its probability, the largest first.
    words : list of (word, dict of str to float)
        In the order of the text: class -> log-probability with the word minus without it.
    """

    text: str
    probability: dict[str, float]
    words: list[tuple[str, dict[str, float]]]

    @property
    def label(self) -> str:
        """The predicted class."""
        return next(iter(self.probability))


@dataclass(frozen=True)
class WordImportance:
    """Words that move the classes of a run, or those of one text.

    Attributes
    ----------
    name, key, label : str
    part : str
        Where the texts are from; empty for a text that was given.
    n, of : int
        Texts that were asked about, and that there are.
    words, judged : int
        Distinct words in them, and those in enough texts to be judged.
    confidence : float
    classes : tuple of str
    effects : list of WordEffect
        Those of every judged word and class, the surest first.
    text : TextEffect or None
    seed : int
    notes : tuple of str
    """

    name: str
    key: str
    label: str
    part: str
    n: int
    of: int
    words: int
    judged: int
    confidence: float
    classes: tuple[str, ...]
    effects: list[WordEffect]
    text: TextEffect | None = None
    seed: int = 0
    notes: tuple[str, ...] = ()

    def of_class(self, label: str) -> list[WordEffect]:
        """Words that move a class, the surest first."""
        return [one for one in self.effects if one.label == label and one.moves]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        text = None if self.text is None else {
            "text": self.text.text, "label": self.text.label, "probability": self.text.probability,
            "words": [{"word": w, "effect": e} for w, e in self.text.words],
        }  # fmt: skip
        return {
            "schema": SCHEMA, "kind": "word_importance", **vars(self),
            "classes": list(self.classes), "text": text, "notes": list(self.notes),
            "effects": [one.to_dict() for one in self.effects],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per word and class."""
        if self.text is not None:
            rows = [{"position": i + 1, "word": word, "class": label, "effect": effect}
                    for i, (word, each) in enumerate(self.text.words)
                    for label, effect in each.items()]  # fmt: skip
            schema = {"position": pl.Int64, "word": pl.String, "class": pl.String,
                      "effect": pl.Float64}  # fmt: skip
            return pl.DataFrame(rows, schema=schema)
        rows = [{"class": one.label, "word": one.word, "texts": one.effect.n,
                 "effect": one.effect.value, "low": one.effect.low, "high": one.effect.high,
                 "moves": one.moves} for one in self.effects]  # fmt: skip
        schema = {"class": pl.String, "word": pl.String, "texts": pl.Int64, "effect": pl.Float64,
                  "low": pl.Float64, "high": pl.Float64, "moves": pl.Boolean}  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    def document(self) -> Document:
        """What to show."""
        from trueness.attribution.words_document import document_of

        return document_of(self)
