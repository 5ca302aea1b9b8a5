"""What a classifier says of texts: its surest errors first, or others; which classes it mixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document import Document
from trueness.errors import TruenessError, nearest
from trueness.evaluation.clusters import clustered_shares, numbered
from trueness.evaluation.intervals import Estimate
from trueness.judge.judgement import SCHEMA
from trueness.predictions import Predictions

Array = NDArray[np.float64]
PAIRS = 10
"""Pairs of classes that are told."""
LISTED = {
    "wrong": "The surest errors", "right": "Right texts, the surest first",
    "all": "Texts, the surest first", "unsure": "The least sure texts",
    "near": "Near-duplicates of training texts",
}  # fmt: skip
"""Which texts are listed -> title of their table."""


@dataclass(frozen=True)
class Asked:
    """Which texts are meant; empty fields mean any.

    Attributes
    ----------
    language : str
    either : str
        Class that is given or predicted.
    given, predicted : str
    search : str
        Part of the text, upper or lower case.
    show : str
        Which of them are listed, a key of `LISTED`.
    """

    language: str = ""
    either: str = ""
    given: str = ""
    predicted: str = ""
    search: str = ""
    show: str = "wrong"

    def __str__(self) -> str:
        shown = "" if self.show == "wrong" else self.show
        record = {"language": self.language, "class": self.either, "given": self.given,
                "predicted": self.predicted, "search": self.search, "show": shown}  # fmt: skip
        return ", ".join(f"{name} {value}" for name, value in record.items() if value)

    def check(self, classes: Sequence[str], languages: Sequence[str]) -> None:
        """Refuse names that the run does not know.

        Raises
        ------
        TruenessError
            With code ``no_class``, ``no_language`` or ``no_list``.
        """
        if self.show not in LISTED:
            raise TruenessError(f"no list {self.show!r}; {nearest(self.show, list(LISTED))}",
                                "no_list")  # fmt: skip
        for name in (self.either, self.given, self.predicted):
            if name and name not in classes:
                raise TruenessError(f"no class {name!r}; {nearest(name, list(classes))}",
                                    "no_class")  # fmt: skip
        if self.language and self.language not in languages:
            raise TruenessError(f"no text in {self.language!r}; choose from "
                                f"{', '.join(sorted(languages))}", "no_language")  # fmt: skip

    @property
    def inside(self) -> pl.Expr:
        """Whether a text is in that language, of those classes, and holds what is searched."""
        given, predicted = pl.col("given"), pl.col("predicted")
        wanted = [
            (self.language, pl.col("language") == self.language),
            (self.either, (given == self.either) | (predicted == self.either)),
            (self.given, given == self.given),
            (self.predicted, predicted == self.predicted),
            (self.search, pl.col("text").str.to_lowercase().str.contains(self.search.lower(),
                                                                         literal=True)),
        ]  # fmt: skip
        return pl.all_horizontal(pl.lit(True), *(one for name, one in wanted if name))

    def listed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Texts that are asked for, in the order in which they are listed.

        Parameters
        ----------
        frame : polars.DataFrame
            The columns of `Errors.frame` but for the words; those of neighbours for ``near`` alone.
        """
        wrong = pl.col("given") != pl.col("predicted")
        kept, by = self.inside, ["probability"]
        if self.show in ("wrong", "right"):
            kept &= wrong if self.show == "wrong" else ~wrong
        elif self.show == "near":
            kept, by = kept & pl.col("near_similarity").is_not_null(), ["near_similarity", *by]
        return frame.filter(kept).sort(by, descending=self.show != "unsure", maintain_order=True)


@dataclass(frozen=True)
class Mixed:
    """A pair of classes.

    Attributes
    ----------
    given, predicted : str
    share : Estimate
        Of the texts of the given class, those that are predicted as the other one.
    """

    given: str
    predicted: str
    share: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"given": self.given, "predicted": self.predicted, "share": self.share.to_dict()}


@dataclass(frozen=True)
class Errors:
    """Errors of a run on one part.

    Attributes
    ----------
    name, key, label, part : str
    asked : Asked
    wrong : Estimate
        Share of wrong ones among the texts that were asked for.
    pairs : list of Mixed
        The most frequent ones; their intervals are not adjusted for the choice.
    frame : polars.DataFrame
        A row per error, the surest first, or per text that is listed in their place: id,
        language, text, given, predicted, probability (of the predicted class),
        probability_given, cluster, of the most similar training text near_id, near_text,
        near_label, near_similarity, and words, those that decided, where they are known.
    top : int
        Texts that are shown.
    notes : tuple of str
    """

    name: str
    key: str
    label: str
    part: str
    asked: Asked
    wrong: Estimate
    pairs: list[Mixed]
    frame: pl.DataFrame
    top: int
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "errors", "name": self.name, "key": self.key,
            "label": self.label, "part": self.part, "asked": vars(self.asked),
            "wrong": self.wrong.to_dict(), "pairs": [one.to_dict() for one in self.pairs],
            "notes": list(self.notes), "errors": self.frame.to_dicts(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per text that is listed."""
        return self.frame

    def document(self) -> Document:
        """What to show."""
        from trueness.judge.errors_document import document_of

        return document_of(self)

    def with_columns(self, *columns: pl.Series, notes: Sequence[str] = ()) -> Errors:
        """The same with more known of each error."""
        return replace(self, frame=self.frame.with_columns(*columns),
                       notes=(*self.notes, *notes))  # fmt: skip


def errors_of(
    run: tuple[str, str, str], part: str, rows: Predictions, texts: pl.DataFrame,
    probabilities: Array, asked: Asked, top: int,
) -> Errors:  # fmt: skip
    """Errors among predictions; of near-duplicates all texts, until their neighbours are known.

    Parameters
    ----------
    run : tuple of str
        Name, key and label.
    part : str
    rows : Predictions
        Of the n texts of the part, with languages as groups.
    texts : polars.DataFrame
        Columns id, text; every id of the rows.
    probabilities : (n, K)
        Calibrated.
    asked : Asked
    top : int

    Raises
    ------
    TruenessError
        With code ``no_class``, ``no_language`` or ``no_list``.
    """
    every = answered(rows, texts, probabilities)
    language, given, predicted = (every[n].to_numpy() for n in ("language", "given", "predicted"))
    asked.check(rows.classes, np.unique(language).tolist())
    inside = every.with_columns(inside=asked.inside.fill_null(value=False))["inside"].to_numpy()
    wrong = inside & (given != predicted)
    cluster = numbered(every["cluster"].to_numpy())[0]
    result = (replace(asked, show="all") if asked.show == "near" else asked).listed(every)
    sides = rows.y, probabilities.argmax(axis=1)
    spoken = (language == asked.language) | (not asked.language)
    pairs = _pairs(*sides, cluster, np.array(rows.classes), (spoken, wrong))
    return Errors(*run, part, asked, _share(wrong, inside, cluster), pairs, result, top)


def answered(rows: Predictions, texts: pl.DataFrame, probabilities: Array) -> pl.DataFrame:
    """A row per text of a part, in its order: the columns of `Errors.frame` but for neighbours.

    Parameters
    ----------
    rows : Predictions
        Of the n texts of the part, with languages as groups.
    texts : polars.DataFrame
        Columns id, text; every id of the rows.
    probabilities : (n, K)
        Calibrated.
    """
    classes, every = np.array(rows.classes), np.arange(len(rows))
    predicted = probabilities.argmax(axis=1)
    result = pl.DataFrame({
        "id": rows.id,
        "language": rows.group if rows.group is not None else np.full(len(rows), ""),
        "given": classes[rows.y], "predicted": classes[predicted],
        "probability": probabilities[every, predicted],
        "probability_given": probabilities[every, rows.y],
        "cluster": rows.frame["cluster"] if "cluster" in rows else pl.Series(every),
    })  # fmt: skip
    result = result.join(texts, on="id", how="left", maintain_order="left")
    return result.select("id", "language", "text", pl.exclude("id", "language", "text"))


def _share(hit: NDArray[np.bool_], mask: NDArray[np.bool_], cluster: Any) -> Estimate:  # noqa: ANN401
    """Share of hits among some texts, the interval over clusters."""
    n = int(mask.sum())
    if not n:
        return Estimate(None, None, None, 0, 0)
    cell = np.zeros(n, np.int64)
    (k,), _, (low,), (high,) = clustered_shares(hit[mask], cell, cluster[mask], 1)
    return Estimate(int(k) / n, float(low), float(high), n, int(k))


def _pairs(
    y: Any, predicted: Any, cluster: Any, classes: NDArray[np.str_],  # noqa: ANN401
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> list[Mixed]:  # fmt: skip
    """Most frequent pairs of classes among the errors."""
    inside, wrong = sides
    pairs, counts = np.unique(np.stack([y[wrong], predicted[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:PAIRS]
    return [
        Mixed(str(classes[a]), str(classes[b]),
              _share(wrong & (y == a) & (predicted == b), inside & (y == a), cluster))
        for a, b in pairs[:, order].T.tolist()
    ]  # fmt: skip
