"""which unlabelled texts to label next: unsure, in rare languages, unlike what is labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document import Cell, Column, Document, Items, Sentence, Table
from trueness.document.numbers import count, decimal, percent, plural
from trueness.judge.errors_document import cut
from trueness.judge.judgement import SCHEMA
from trueness.text.corpus import UNDETERMINED
from trueness.text.signatures import TextSignatures, similarity

Array = NDArray[np.float64]
ALIKE = 0.65
"""Estimated similarity from which a text says what another one says already."""
SHOWN = 20
RARITY = 0.05
"""Power of how much rarer a language is than the most frequent one; see benchmarks/label_next.py.

Margins of unsure texts differ little, so that a small one suffices.
"""


@dataclass(frozen=True)
class LabelNext:
    """Texts to label next, the highest score first.

    Attributes
    ----------
    name : str
        Of the run or bundle that was asked.
    n : int
        Texts that were given.
    near_labelled, near_chosen : int
        Texts that were passed over because they are like a labelled or a chosen one.
    frame : polars.DataFrame
        id, language, text, suggested, probability, second, probability_second, unsure, weight,
        score, reason, label (empty).
    notes : tuple of str
    """

    name: str
    n: int
    near_labelled: int
    near_chosen: int
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "label_next", "name": self.name, "n": self.n,
            "near_labelled": self.near_labelled, "near_chosen": self.near_chosen,
            "notes": list(self.notes), "rows": self.frame.to_dicts(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per text; `label` is to be filled."""
        return self.frame

    def document(self) -> Document:
        """How many, in which languages, then the first."""
        by_language = self.frame["language"].value_counts(sort=True).rows()
        languages = ", ".join(f"{name} {n}" for name, n in by_language)
        verdict = (
            f"{plural(len(self.frame), 'text')} of {count(self.n)} are proposed for labelling: "
            f"{languages}."
        )
        passed = (f"passed over: {count(self.near_labelled)} like a labelled text, "
                  f"{count(self.near_chosen)} like one that is proposed")  # fmt: skip
        return Document(f"Texts to label next for {self.name}", [
            Sentence(verdict, "verdict"), Items([passed, *self.notes]), self._table(),
        ])  # fmt: skip

    def _table(self) -> Table:
        columns = [
            Column("text", weight=9), Column("language", "code", 7), Column("reason", weight=8),
            Column("score", "number", 5, 2), Column("id", "code", 3),
        ]  # fmt: skip
        shown = self.frame.head(SHOWN)
        rows: list[list[Cell]] = [
            [cut(row["text"]), row["language"], row["reason"], row["score"], row["id"]]
            for row in shown.iter_rows(named=True)
        ]
        more = len(self.frame) - len(shown)
        return Table(columns, rows, note=f"{count(more)} more; --csv FILE writes all." * (more > 0))


@dataclass(frozen=True)
class Pool:
    """Texts that may be labelled.

    Attributes
    ----------
    ids, texts : polars.Series of String, (m,)
    language : (m,) str
    probabilities : (m, K)
    classes : tuple of K str
    """

    ids: pl.Series
    texts: pl.Series
    language: NDArray[np.str_]
    probabilities: Array
    classes: tuple[str, ...]


def language_weights(
    language: NDArray[np.str_], labelled: Mapping[str, int]
) -> NDArray[np.float64]:
    """How much more a text of each language counts, (m,), at least 1.

    A small power of how many times more labelled texts the most frequent language has. One without
    any counts like the rarest one that has some, undetermined texts count once.

    Examples
    --------
    >>> some = np.array(["en", "it", "fi", "und"])
    >>> language_weights(some, {"en": 400, "it": 100}).round(3).tolist()
    [1.0, 1.072, 1.072, 1.0]
    """
    counts = {name: n for name, n in labelled.items() if name != UNDETERMINED and n} or {"": 1}
    most, least = max(counts.values()), min(counts.values())
    weight = {name: (most / counts.get(name, least)) ** RARITY
              for name in np.unique(language).tolist()}  # fmt: skip
    weight[UNDETERMINED] = 1.0
    return np.array([weight[one] for one in language.tolist()])


def label_next(
    name: str, pool: Pool, labelled: Mapping[str, int], known: TextSignatures | None, n: int
) -> LabelNext:
    """Texts to label next.

    The score is one minus the margin between the two most probable classes (Scheffer, Decomain and
    Wrobel, "Active Hidden Markov Models for Information Extraction", 2001), times the weight of the
    language. Texts are taken by their score, without those like a labelled text or like one that
    was taken before.

    Parameters
    ----------
    name : str
    pool : Pool
        m texts.
    labelled : mapping
        Labelled texts of each language, all of them or a part that is drawn like them.
    known : TextSignatures, optional
        Of the labelled texts.
    n : int
        Texts that are wanted.
    """
    order = np.argsort(-pool.probabilities, axis=1, kind="stable")[:, :2]
    first, second = np.take_along_axis(pool.probabilities, order, axis=1).T
    weight = language_weights(pool.language, labelled)
    score = (1 - (first - second)) * weight
    own = TextSignatures.of(pool.ids, pool.texts)
    near = np.zeros(len(own), bool) if known is None else known.nearest(own, ALIKE)[0] >= 0
    empty = (pool.texts.str.len_chars() == 0).to_numpy()
    ranked = np.argsort(-np.where(near | empty, -np.inf, score), kind="stable")
    chosen, passed = _apart(own, ranked[: len(own) - int((near | empty).sum())], n)
    names = np.array(pool.classes)
    frame = pl.DataFrame({
        "id": pool.ids.gather(chosen), "language": pool.language[chosen],
        "text": pool.texts.gather(chosen), "suggested": names[order[chosen, 0]],
        "probability": first[chosen], "second": names[order[chosen, 1]],
        "probability_second": second[chosen], "unsure": 1 - (first - second)[chosen],
        "weight": weight[chosen], "score": score[chosen],
    })  # fmt: skip
    reasons = [_reason(row, labelled) for row in frame.iter_rows(named=True)]
    frame = frame.with_columns(reason=pl.Series(reasons, dtype=pl.String), label=pl.lit(""))
    notes = [f"{plural(int(empty.sum()), 'row')} without a text"] * bool(empty.any())
    return LabelNext(name, len(own), int((near & ~empty).sum()), passed, frame, tuple(notes))


def _apart(own: TextSignatures, ranked: NDArray[np.int64], n: int) -> tuple[NDArray[np.int64], int]:
    """First texts of a ranking that are unlike each other, and how many were passed over."""
    chosen, passed = list[int](), 0
    for row in ranked.tolist():
        if len(chosen) == n:
            break
        taken = own.sketch[chosen]
        if len(chosen) and similarity(taken, own.sketch[row][None]).max() >= ALIKE:
            passed += 1
        else:
            chosen.append(row)
    return np.array(chosen, np.int64), passed


def _reason(row: Mapping[str, Any], labelled: Mapping[str, int]) -> str:
    unsure = (f"{row['suggested']} {decimal(row['probability'], 2)} or {row['second']} "
              f"{decimal(row['probability_second'], 2)}")  # fmt: skip
    if row["weight"] == 1:
        return unsure
    share = labelled.get(row["language"], 0) / sum(labelled.values())
    return f"{unsure}; {percent(share)} % of the labelled texts are in {row['language']}"
