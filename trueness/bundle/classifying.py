"""A bundle on texts asked about new ones: label, probability, answered or not, what is odd."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from trueness.baselines.ngrams import TITLES_FORMS
from trueness.bundle.class_promise import ClassPromise
from trueness.bundle.format import Bundle, Member
from trueness.bundle.log import PREDICTION, append, differing, read_log
from trueness.bundle.members import ENCODER
from trueness.document import Cell, Column, Document, Items, Sentence, Style, Table
from trueness.document.numbers import count, percent, plural
from trueness.errors import DataError, TruenessError
from trueness.evaluation.group_calibration import accepted, guaranteed
from trueness.judge.judgement import SCHEMA
from trueness.own import answering
from trueness.text.given import GivenTexts, given_texts
from trueness.text.languages import detect_among
from trueness.text.pretrained import CONFIG, TOKENIZER, WEIGHTS

ANSWERED, UNCERTIFIED, ABSTAINS = "answered", "answered, not certified", "abstains"
PORTION = 8192
"""Texts that are classified at once."""
SHOWN, ROWS_SHOWN = 60, 40
"""Characters of a text, and texts, in a table."""
OWN = ("id", "language", "label", "score", "calibrated", "answer", "odd")
"""Columns of an answer; others are those of the table that was given."""


@dataclass(frozen=True)
class Labelled:
    """Answers of a bundle on texts, a row each, in the order of the texts.

    Attributes
    ----------
    bundle : Bundle
    promise : ClassPromise
    frame : polars.DataFrame
        Columns of the table that was given, and id, language, label, score (probability as the
        model says it), calibrated, answer ("answered", "answered, not certified", "abstains"), odd.
    texts : polars.Series of String, (n,)
        As they were classified.
    notes : tuple of str
    """

    bundle: Bundle
    promise: ClassPromise
    frame: pl.DataFrame
    texts: pl.Series
    notes: tuple[str, ...] = ()

    def logged(self) -> Labelled:
        """The same, written down, with a note on texts that the log answers otherwise.

        Raises
        ------
        StoreError
            See `trueness.bundle.log.append`.
        """
        lines = self.frame.select(OWN).unique("id", maintain_order=True).to_dicts()
        append(self.bundle, PREDICTION, lines)
        other = differing(read_log(self.bundle), lines)
        told = (f"{plural(len(other), 'text')} answered otherwise before; the log keeps what was "
                "said then") if other else ""  # fmt: skip
        return replace(self, notes=(*self.notes, told)) if told else self

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "labels", "bundle": str(self.bundle.folder),
            "key": self.bundle.description["key"], "name": self.bundle.name,
            "precision": self.promise.precision, "notes": list(self.notes),
            "rows": self.frame.to_dicts(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per text."""
        return self.frame

    def document(self) -> Document:
        """How many were answered, then a table of the first."""
        return Document(
            f"Labels by {self.bundle.name}",
            [Sentence(self._headline(), "verdict"), Items([*self.promise.told(), *self.notes]),
             self._table()],
        )  # fmt: skip

    def _headline(self) -> str:
        n = len(self.frame)
        answers = self.frame["answer"]
        if n == 1:
            row = self.frame.row(0, named=True)
            if row["answer"] == ABSTAINS:
                return f"Abstains{': ' + row['odd'] if row['odd'] else ''}."
            sure = f", calibrated probability {percent(row['calibrated'])} %"
            return f"{row['label']}{sure}{'' if row['answer'] == ANSWERED else ', not certified'}."
        kept, unsure = int((answers == ANSWERED).sum()), int((answers == UNCERTIFIED).sum())
        more = f", {count(unsure)} more without a certificate" if unsure else ""
        return f"{count(kept)} of {plural(n, 'text')} answered{more}."

    def _table(self) -> Table:
        columns = [Column("text", weight=3), Column("language", "code", 5),
                   Column("label", weight=9), Column("calibrated\nprobability", "number", 7),
                   Column("answer", weight=8),
                   Column("odd", weight=2)]  # fmt: skip
        shown = self.frame.head(ROWS_SHOWN)
        texts = self.texts.str.slice(0, SHOWN)
        cells: list[list[Cell]] = [
            [text, row["language"], row["label"], row["calibrated"], row["answer"],
             row["odd"] or None]
            for text, row in zip(texts, shown.iter_rows(named=True), strict=False)
        ]  # fmt: skip
        styles: list[Style] = ["muted" if one == ABSTAINS else "" for one in shown["answer"]]
        more = len(self.frame) > len(shown)
        note = f"The first {len(shown)} of {count(len(self.frame))} texts." if more else ""
        return Table(columns, cells, note=note, styles=styles)


@dataclass(frozen=True)
class TitlesPredictor:
    """A bundle on texts whose files were read: it answers again and again.

    Attributes
    ----------
    bundle : Bundle
    device : str
    """

    bundle: Bundle
    device: str = "auto"

    @cached_property
    def opened(self) -> list[Any]:
        """Members that give logits of texts; torch is loaded for encoders alone."""
        return [_opened(self.bundle, member, self.promise.classes, self.device)
                for member in self.bundle.members]  # fmt: skip

    @cached_property
    def promise(self) -> ClassPromise:
        """What was learnt on the validation part."""
        return ClassPromise.from_dict(self.bundle.description["promise"])

    def load(self, sources: Mapping[str, Any]) -> GivenTexts:
        """Texts: `data`, and how they are read.

        Raises
        ------
        TruenessError
            With code ``no_source`` for a source that texts do not take; those of `given_texts`.
        """
        given = {name: value for name, value in sources.items() if value is not None}
        taken = ("data", "text_columns", "language_column", "id_column", "separator")
        if other := sorted(set(given) - set(taken)):
            raise TruenessError(f"a bundle on titles takes no {other[0]}", "no_source")
        recipe = self.bundle.description["data"].get("columns", {}).get("text", ())
        return given_texts(
            given["data"], given.get("text_columns", ()), recipe=recipe,
            language_column=given.get("language_column"), id_column=given.get("id_column"),
            separator=given.get("separator"),
        )  # fmt: skip

    def load_if_given(self, sources: Mapping[str, Any]) -> GivenTexts | None:
        """The same; None without `data`.

        Raises
        ------
        TruenessError
            As `load`.
        """
        return None if sources.get("data") is None else self.load(sources)

    def logits(self, texts: pl.Series) -> NDArray[np.float64]:
        """Mean logits (n, K) of the members."""
        k, found = len(self.promise.classes), []
        for one in self.opened:
            with answering(f"{self.bundle.folder} cannot score", "damaged"):
                logits = np.asarray(one.logits(texts), np.float64)
                if logits.shape != (len(texts), k) or not np.isfinite(logits).all():
                    raise ValueError("a finite score per class is needed")
            found.append(logits)
        return np.mean(found, axis=0)

    def predict(self, data: GivenTexts, since: Any = None) -> Labelled:  # noqa: ANN401
        """Answers for texts.

        Languages are detected where they are not given. They choose temperature and threshold,
        never the label.

        Raises
        ------
        TruenessError
            With code ``since``: texts have no time.
        DataError
            With code ``columns`` if a column of the table cannot be kept beside the answer.
        """
        if since is not None:
            raise TruenessError("texts have no time, so that none is the first to be answered; "
                                "leave out since", "since")  # fmt: skip
        n = len(data.texts)
        parts = [self._portion(data, slice(i, min(i + PORTION, n))) for i in range(0, n, PORTION)]
        frame = _beside(data.table, pl.concat(parts))
        notes = (*data.notes, *self._notes(frame))
        return Labelled(self.bundle, self.promise, frame, data.texts, notes)

    def probabilities(self, data: GivenTexts) -> NDArray[np.float64]:
        """Calibrated probabilities (n, K)."""
        codes = self._languages(data, slice(None))
        return self.promise.probabilities(self.logits(data.texts), codes)

    def temperatures(self, data: GivenTexts) -> NDArray[np.float32]:
        """What logits are divided by, (n,): that of the language of each text."""
        codes, known = self._languages(data, slice(None)), self.promise.temperatures
        return np.array([known.by_group.get(one, known.common) for one in codes], np.float32)

    def _languages(self, data: GivenTexts, rows: slice) -> NDArray[np.str_]:
        if data.languages is not None:
            return data.languages[rows]
        return detect_among(data.texts[rows].to_list(), self.promise.languages)

    def _portion(self, data: GivenTexts, rows: slice) -> pl.DataFrame:
        texts, codes = data.texts[rows], self._languages(data, rows)
        logits = self.logits(texts)
        raw, scaled = softmax(logits, axis=1), self.promise.probabilities(logits, codes)
        best, every = logits.argmax(axis=1), np.arange(len(texts))
        empty = (texts.str.len_chars() == 0).to_numpy()
        answer = np.where(empty, ABSTAINS, self._answers(scaled, codes))
        ids = [_id_of(text, code) for text, code in zip(texts, codes, strict=True)]
        return pl.DataFrame({
            "id": ids if data.ids is None else data.ids[rows], "language": codes,
            "label": np.array(self.promise.classes)[best], "score": raw[every, best],
            "calibrated": scaled[every, best], "answer": answer,
            "odd": self._odd(codes, empty),
        })  # fmt: skip

    def _answers(self, scaled: NDArray[np.float64], codes: NDArray[np.str_]) -> NDArray[np.str_]:
        promise = self.promise
        if promise.precision is None:
            return np.full(len(codes), ANSWERED)
        sure = np.where(guaranteed(codes, promise.thresholds), ANSWERED, UNCERTIFIED)
        return np.where(accepted(scaled, codes, promise.thresholds), sure, ABSTAINS)

    def _odd(self, codes: NDArray[np.str_], empty: NDArray[np.bool_]) -> list[str]:
        known = {*self.promise.languages, "und"}
        return [
            "no text" if blank else "" if code in known else f"no text in {code} was in training"
            for code, blank in zip(codes.tolist(), empty.tolist(), strict=True)
        ]  # fmt: skip

    def _notes(self, frame: pl.DataFrame) -> list[str]:
        blank = int((frame["odd"] == "no text").sum())
        unseen = sorted(set(frame["language"]) - {*self.promise.languages, "und"})
        notes = [f"{plural(blank, 'row')} without a text"] * bool(blank)
        return notes + [f"no text in {', '.join(unseen)} was in training"] * bool(unseen)


def _opened(bundle: Bundle, member: Member, classes: tuple[str, ...], device: str) -> Any:  # noqa: ANN401
    files = bundle.files(member.folder)
    with answering(f"{bundle.folder}: {member.folder} cannot be opened", "damaged"):
        if member.form != ENCODER:
            return TITLES_FORMS[member.form].opened(member.settings, files)
        from safetensors.numpy import load
        from tokenizers import Tokenizer

        from trueness.fit.device import choose_device
        from trueness.titles.classifier import Classifier

        tokenizer = Tokenizer.from_buffer(files[TOKENIZER])
        precision = member.settings["precision"]
        source = json.loads(files[CONFIG]) if CONFIG in files else None
        return Classifier.of(member.spec, precision, load(files[WEIGHTS]), tokenizer, classes,
                             choose_device(device), source)  # fmt: skip


def _id_of(text: str, language: str) -> str:
    """Of a text that has no id: 16 hexadecimal digits of its digest; equal texts are one."""
    return hashlib.sha256(f"{language}\n{text}".encode()).hexdigest()[:16]


def _beside(table: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Answers to the right of the table they are about."""
    names = {c: f"given_{c}" for c in table.columns if c in answers.columns}
    for name in names.values():
        if name in table.columns:
            raise DataError(f"there is a column {name!r} already; rename it", "columns")
    return pl.concat([table.rename(names), answers], how="horizontal")
