"""What a stored run has wrong: texts with their neighbours and words, or alarms and positives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.attribution.words import corpus_of, left_out
from trueness.callback import Callback
from trueness.document.numbers import decimal
from trueness.errors import TruenessError, at_least
from trueness.judge.access import record_access
from trueness.judge.errors import Asked, Errors, answered, errors_of
from trueness.judge.finding import named_run
from trueness.judge.parts import unrecorded_notes
from trueness.labels.binary_errors import BinaryErrors, binary_errors
from trueness.labels.scoring import (
    SCORERS,
    Logits,
    keeps_weights,
    probabilities_of,
    scorer_of,
)
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run
from trueness.text.corpus import Titles
from trueness.text.duplicates import jaccard, normalised
from trueness.text.fields import NONE, markers_of
from trueness.text.signatures import TextSignatures

NEAR = 0.65
"""Estimated similarity from which a training text is shown beside an error."""
TOP = 20
"""Errors that are shown without being asked for more."""
WORDS = 3
"""Words of a text that are told."""


@dataclass(frozen=True)
class How:
    """How errors are looked at.

    Attributes
    ----------
    asked : Asked
    top : int
        Errors that are shown, and whose words are told.
    opened : bool
        The sealed test part in place of the validation part.
    refit : bool
        Fit n-grams again, which keep no weights in a run, to tell words.
    device : str
    """

    asked: Asked = field(default_factory=Asked)
    top: int = TOP
    opened: bool = False
    refit: bool = False
    device: str = "auto"

    def check_about_texts(self, name: str) -> None:
        """Refuse what is about texts.

        Raises
        ------
        TruenessError
            With code ``no_option``.
        """
        if str(self.asked) or self.opened or self.refit:
            raise TruenessError(
                f"{name} has a binary label and no texts; leave out languages, classes, --search, "
                "--show, --open-test and --refit", "no_option",
            )  # fmt: skip


def errors(
    store: AnyStore, wanted: str, sources: Mapping[str, Any], how: How | None = None, *,
    access: tuple[str, str] | None = None, callback: Callback | None = None,
) -> Errors | BinaryErrors:  # fmt: skip
    """Errors of a run, the surest first, or others of its texts.

    Of titles any model whose predictions are stored. Near-duplicates are those of the training
    texts; words are told where the run keeps weights: what leaving one out takes from the predicted
    class more than from the given one (see `trueness.attribution.words`). Of a binary label: false
    alarms and missed positives at its largest alarm budget.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id or key.
    sources : mapping
        Corpus as ``data``; that of the record without it.
    how : How, optional
    access : tuple of str, optional
        Verb and question for the ledger.
    callback : Callback, optional

    Raises
    ------
    TruenessError
        With code ``no_data``, ``other_data``, ``no_class``, ``no_language``, ``number``,
        ``no_list``, ``sealed``, ``no_option``, and of a binary label those of `binary_errors`.
    """
    how = how or How()
    name, run = named_run(store, wanted)
    at_least("top", how.top, 1)
    if run.spec.task.kind != "titles":
        how.check_about_texts(name)
        return binary_errors(store, name, run, how.top, access)
    corpus = corpus_of(run, name, sources)
    part = "test" if how.opened else run.estimands.measured_on
    titles, rows = corpus.part(part), run.predictions().part(part)
    how.asked.check(rows.classes, np.unique(titles.language).tolist())
    scorer = _scorer(run, name, sources, how)
    recorded = record_access(store, [run], *access, part=part, opened=how.opened) if access else ""
    result = errors_of((name, run.key, run.record["label"]), part, rows, _texts(titles),
                      _probabilities(run, rows), how.asked, how.top)  # fmt: skip
    near = neighbour_columns(result.frame, corpus.part("train"), corpus.classes)
    result = result.with_columns(*near, notes=unrecorded_notes(recorded))
    if how.asked.show == "near":
        result = replace(result, frame=how.asked.listed(result.frame))
    return _worded(result, scorer, run, callback or Callback())


def every_text(run: Run, name: str) -> pl.DataFrame:
    """Every text of the part that a run on titles is measured on, with what was said of it.

    Parameters
    ----------
    run : Run
    name : str
        What the run is called.

    Returns
    -------
    polars.DataFrame
        A row per text: the columns of `trueness.judge.errors.Errors.frame` but for the words.

    Raises
    ------
    TruenessError
        With code ``no_data`` or ``other_data``.
    """
    corpus = corpus_of(run, name, {})
    part = run.estimands.measured_on
    rows = run.predictions().part(part)
    result = answered(rows, _texts(corpus.part(part)), _probabilities(run, rows))
    return result.with_columns(*neighbour_columns(result, corpus.part("train"), corpus.classes))


def _texts(titles: Titles) -> pl.DataFrame:
    return pl.DataFrame({"id": titles.ids.cast(pl.String), "text": titles.texts}).unique("id")


def _probabilities(run: Run, rows: Predictions) -> NDArray[np.float64]:
    assert rows.group is not None
    return probabilities_of(rows.scores, rows.group, run)


def _scorer(run: Run, name: str, sources: Mapping[str, Any], how: How) -> Logits | None:
    """What scores texts, if that is cheap or was asked for."""
    return scorer_of(run, name, sources, how.device) if keeps_weights(run) or how.refit else None


def neighbour_columns(
    frame: pl.DataFrame, train: Titles, classes: Sequence[str]
) -> list[pl.Series]:
    """The most similar training text of each text, where one is similar.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns id, text.
    train : Titles
    classes : sequence of str
        Names of the labels of the training texts.

    Returns
    -------
    list of polars.Series
        near_similarity, near_label, near_text, near_id.
    """
    known = TextSignatures.of(train.ids, train.texts)
    row, _ = known.nearest(TextSignatures.of(frame["id"], frame["text"]), NEAR)
    at = pl.Series([None if one < 0 else one for one in row.tolist()], dtype=pl.Int64)
    texts = train.texts.gather(at)
    pairs = zip(normalised(frame["text"]), texts, strict=True)
    alike = [None if other is None else jaccard(one, normalised([other])[0])
             for one, other in pairs]  # fmt: skip
    label = pl.Series(classes, dtype=pl.String).gather(pl.Series(train.y).gather(at))
    return [
        pl.Series("near_similarity", alike, dtype=pl.Float64), label.alias("near_label"),
        texts.alias("near_text"), train.ids.cast(pl.String).gather(at).alias("near_id"),
    ]  # fmt: skip


def _worded(result: Errors, scorer: Logits | None, run: Run, callback: Callback) -> Errors:
    """With the words that decided those that are shown."""
    if scorer is None:
        why = f"a {run.record['label']} keeps no weights in its run, so that words cannot be shown"
        again = "; --refit fits it again" * (run.spec.model.engine in SCORERS)
        return result.with_columns(notes=[f"{why}{again}"])
    shown, classes = result.frame.head(result.top), run.record["classes"]
    note: list[str | None] = [None] * len(result.frame)
    if len(shown):
        texts, column = shown["text"].to_list(), {name: k for k, name in enumerate(classes)}
        base = scorer(shown["text"])
        fixed = {*markers_of(run.record["data"].get("columns", {})), NONE}
        words, row, effects = left_out(scorer, texts, base, callback, run.key, keep_forms=True,
                                       fixed=fixed)  # fmt: skip
        sides = [[column[one] for one in shown[side]] for side in ("predicted", "given")]
        every = np.arange(len(row))
        predicted, given = (np.array(one)[row] for one in sides)
        moved = effects[every, predicted]
        moved = moved - np.where(given == predicted, 0.0, effects[every, given])
        note[: len(shown)] = [_words(words, moved, row == i) for i in range(len(shown))]
    return result.with_columns(pl.Series("words", note, dtype=pl.String))


def _words(words: list[str], moved: NDArray[np.float64], mine: NDArray[np.bool_]) -> str:
    """Words that speak most for the predicted class, against another one that is given."""
    at = np.flatnonzero(mine & (moved > 0))
    first = at[np.argsort(-moved[at], kind="stable")][:WORDS]
    return ", ".join(f"{words[i]} {decimal(moved[i], 1, signed=True)}" for i in first)
