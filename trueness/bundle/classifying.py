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

from trueness.baselines.forms import TITLES_FORMS
from trueness.bundle.class_promise import ClassPromise
from trueness.bundle.format import ENCODER, Bundle, Member
from trueness.bundle.log import PREDICTION, append, differing, read_log
from trueness.bundle.oddities import check_sources
from trueness.document import Cell, Column, Document, Items, Sentence, Style, Table
from trueness.document.numbers import count, percent, plural
from trueness.errors import DataError, TruenessError, at_least
from trueness.evaluation.by_group import OTHER
from trueness.evaluation.group_calibration import guaranteed
from trueness.judge.judgement import SCHEMA
from trueness.own import translate_errors
from trueness.tasks.titles import LANGUAGES_FILE
from trueness.text.fields import first_marker, titles_only
from trueness.text.inputs import InputTexts, input_texts
from trueness.text.language_model import LanguageModel
from trueness.text.languages import detect, detect_with_prior
from trueness.text.pretrained import CONFIG, TOKENIZER, WEIGHTS

ANSWERED, UNCERTIFIED, ABSTAINS = "answered", "answered, not certified", "abstains"
PORTION = 8192
"""Texts that are classified at once."""
SHOWN, ROWS_SHOWN = 60, 20
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
        model says it), calibrated, answer ("answered", "answered, not certified", "abstains"), odd;
        with a `top` of 3 also label_2, calibrated_2, label_3, calibrated_3.
    texts : polars.Series of String, (n,)
        As they were classified.
    top : int
        Classes that are named for each text.
    notes : tuple of str
    """

    bundle: Bundle
    promise: ClassPromise
    frame: pl.DataFrame
    texts: pl.Series
    top: int = 1
    notes: tuple[str, ...] = ()

    def logged(self) -> Labelled:
        """The same, written down, with a note on texts that the log answers otherwise.

        Raises
        ------
        StoreError
            See `trueness.bundle.log.append`.
        """
        texts = pl.Series("text", [_digest(text) for text in self.texts])
        message = self.frame.select(OWN).with_columns(texts)
        lines = message.unique("id", maintain_order=True).to_dicts()
        append(self.bundle, PREDICTION, lines)
        other = differing(read_log(self.bundle), lines)
        note = (f"{plural(len(other), 'text')} answered otherwise before; the log keeps what was "
                "said then") if other else ""  # fmt: skip
        return replace(self, notes=(*self.notes, note)) if note else self

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
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
            [Sentence(self._headline(), "verdict"), Items([*self.promise.summary(), *self.notes]),
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
            sure += "" if row["answer"] == ANSWERED else ", not certified"
            rest = [f"{row[label]} {percent(row[p])} %" for label, p in further(self.top)]
            why = f"; {row['odd']}" * bool(row["odd"])
            return f"{row['label']}{sure}{'; then ' * bool(rest)}{', '.join(rest)}{why}."
        kept, unsure = int((answers == ANSWERED).sum()), int((answers == UNCERTIFIED).sum())
        more = f", {count(unsure)} more without a certificate" if unsure else ""
        parents = int((~self.frame["label"].is_in(self.promise.classes)).sum())
        above = f", {count(parents)} of them by a parent of the class" if parents else ""
        return f"{count(kept)} of {plural(n, 'text')} answered{more}{above}."

    def _table(self) -> Table:
        columns = [Column("text", weight=3), Column("language", "code", 5),
                   Column("label", weight=9), Column("calibrated\nprobability", "number", 7),
                   Column("answer", weight=8),
                   *(Column(f"class {i}", weight=6) for i in range(2, 1 + self.top)),
                   Column("odd", weight=2)]  # fmt: skip
        shown = self.frame.head(ROWS_SHOWN)
        texts = self.texts.str.slice(0, SHOWN)
        cells: list[list[Cell]] = [
            [text, row["language"], row["label"], row["calibrated"], row["answer"],
             *(f"{row[label]} {percent(row[p])} %" for label, p in further(self.top)),
             row["odd"] or None]
            for text, row in zip(texts, shown.iter_rows(named=True), strict=False)
        ]  # fmt: skip
        styles: list[Style] = ["muted" if one == ABSTAINS else "" for one in shown["answer"]]
        note = more_rows(len(self.frame) - len(shown)).strip()
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
    def language_model(self) -> LanguageModel | None:
        """Tells languages where the detector is not sure; None without one."""
        folder, name = LANGUAGES_FILE.split("/")
        content = self.bundle.files(folder).get(name)
        if content is None:
            return None
        with translate_errors(
            f"{self.bundle.folder}: {LANGUAGES_FILE} cannot be opened", "damaged"
        ):
            return LanguageModel.from_bytes(content)

    @cached_property
    def promise(self) -> ClassPromise:
        """What was learnt on the validation part."""
        return ClassPromise.from_dict(self.bundle.description["promise"])

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Columns that the corpus came from."""
        return self.bundle.description["data"].get("columns", {})

    def load(self, sources: Mapping[str, Any]) -> InputTexts:
        """Texts: `data`, and how they are read.

        Raises
        ------
        TruenessError
            With code ``no_source`` for a source that texts do not take; those of `input_texts`.
        """
        present = {name: value for name, value in sources.items() if value is not None}
        taken = ("data", "text_columns", "language_column", "id_column", "separator")
        check_sources("titles", present, taken)
        return input_texts(
            present["data"], present.get("text_columns", ()), recipe=self.recipe,
            known=self.promise.languages, language_column=present.get("language_column"),
            id_column=present.get("id_column"), separator=present.get("separator"),
        )  # fmt: skip

    def load_if_given(self, sources: Mapping[str, Any]) -> InputTexts | None:
        """The same; None without `data`.

        Raises
        ------
        TruenessError
            As `load`.
        """
        return None if sources.get("data") is None else self.load(sources)

    def logits(self, texts: pl.Series) -> NDArray[np.float64]:
        """Mean logits (n, K) of the members."""
        k, result = len(self.promise.classes), []
        for one in self.opened:
            with translate_errors(f"{self.bundle.folder} cannot score", "damaged"):
                logits = np.asarray(one.logits(texts), np.float64)
                if logits.shape != (len(texts), k) or not np.isfinite(logits).all():
                    raise ValueError("a finite score per class is needed")
            result.append(logits)
        return np.mean(result, axis=0)

    def predict(self, data: InputTexts, since: Any = None, top: int = 1) -> Labelled:  # noqa: ANN401
        """Answers for texts.

        Languages are detected where they are not given. They choose temperature and threshold,
        never the label.

        Parameters
        ----------
        data : GivenTexts
        since : None
        top : int
            Classes that are named for each text, the likeliest first; at most K.

        Raises
        ------
        TruenessError
            With code ``since``: texts have no time; ``number`` for another `top`.
        DataError
            With code ``columns`` if a column of the table cannot be kept beside the answer.
        """
        if since is not None:
            raise TruenessError("texts have no time, so that none is the first to be answered; "
                                "leave out since", "since")  # fmt: skip
        n, top = len(data.texts), at_least("top", top, 1, len(self.promise.classes))
        parts = [self._portion(data, slice(i, min(i + PORTION, n)), top)
                 for i in range(0, n, PORTION)]  # fmt: skip
        frame = _hconcat(data.table, pl.concat(parts))
        notes = (*data.notes, *self._notes(frame))
        return Labelled(self.bundle, self.promise, frame, data.texts, top, notes)

    def probabilities(self, data: InputTexts) -> NDArray[np.float64]:
        """Calibrated probabilities (n, K)."""
        return self.promise.probabilities(self.logits(data.texts), self.languages(data))

    def languages(self, data: InputTexts, rows: slice = slice(None)) -> NDArray[np.str_]:
        """Codes of some texts: those that were given, else detected ones."""
        if data.languages is not None:
            return data.languages[rows]
        titles = titles_only(data.texts[rows], first_marker(self.recipe)).to_list()
        gate = self.bundle.description["data"].get("gate")
        if gate is not None:  # as the texts were detected that the thresholds are of
            return detect(titles, gate=gate)[0]
        return detect_with_prior(titles, self.promise.languages, self.language_model)

    def _portion(self, data: InputTexts, rows: slice, top: int) -> pl.DataFrame:
        texts, codes = data.texts[rows], self.languages(data, rows)
        logits = self.logits(texts)
        raw, scaled = softmax(logits, axis=1), self.promise.probabilities(logits, codes)
        label, sure, answer = self.answers(texts, scaled, codes)
        ids = [_id_of(text, code) for text, code in zip(texts, codes, strict=True)]
        return pl.DataFrame({
            "id": ids if data.ids is None else data.ids[rows], "language": codes,
            "label": label, "score": self._of_label(raw, label),
            "calibrated": sure, "answer": answer,
            "odd": self._odd(codes, _empty(texts), self._backed_off(label, scaled, codes)),
            **self._further(logits, scaled, top),
        })  # fmt: skip

    def answers(
        self, texts: pl.Series, probabilities: NDArray[np.float64], codes: NDArray[np.str_]
    ) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.str_]]:
        """Label of each text, its probability, and whether it is answered.

        Parameters
        ----------
        texts : polars.Series of String, (n,)
        probabilities : (n, K)
            Calibrated.
        codes : (n,) str
            Languages.
        """
        level, label, sure = self._answered(probabilities, codes)
        return label, sure, np.where(_empty(texts), ABSTAINS, self._answers(level, codes))

    def _further(
        self, logits: NDArray[np.float64], scaled: NDArray[np.float64], top: int
    ) -> dict[str, Any]:
        """Second and further classes, with their calibrated probabilities."""
        ranked, every = np.argsort(-logits, axis=1, kind="stable"), np.arange(len(logits))
        names, result = np.array(self.promise.classes), {}
        for place, (label, p) in enumerate(further(top), 1):
            result |= {label: names[ranked[:, place]], p: scaled[every, ranked[:, place]]}
        return result

    def _answered(
        self, scaled: NDArray[np.float64], codes: NDArray[np.str_]
    ) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float64]]:
        """Level of each answer, its class, and its calibrated probability."""
        if self.promise.precision is not None:
            return self.promise.backed_off(scaled, codes)
        names = np.array(self.promise.classes)[scaled.argmax(axis=1)]
        return np.zeros(len(codes), np.int64), names, scaled.max(axis=1)

    def _of_label(
        self, probabilities: NDArray[np.float64], label: NDArray[np.str_]
    ) -> NDArray[np.float64]:
        """Probability of a class, or of all below a parent, (n,)."""
        promise = self.promise
        below = {name: [promise.is_right(name, leaf) for leaf in promise.classes]
                 for name in np.unique(label).tolist()}  # fmt: skip
        chosen = np.array([below[name] for name in label.tolist()]).reshape(probabilities.shape)
        return (probabilities * chosen).sum(axis=1)

    def _answers(self, level: NDArray[np.int64], codes: NDArray[np.str_]) -> NDArray[np.str_]:
        promise = self.promise
        if promise.precision is None:
            return np.full(len(codes), ANSWERED)
        sure = np.zeros(len(codes), bool)
        for place, thresholds in enumerate((promise.thresholds, *promise.parents)):
            sure |= (level == place) & guaranteed(codes, thresholds)
        return np.where(level >= 0, np.where(sure, ANSWERED, UNCERTIFIED), ABSTAINS)

    def _backed_off(
        self, label: NDArray[np.str_], scaled: NDArray[np.float64], codes: NDArray[np.str_]
    ) -> list[str]:
        """Why a text is answered by a parent of the class; empty where it is not."""
        promise, note = self.promise, [""] * len(codes)
        for i in np.flatnonzero(~np.isin(label, promise.classes)).tolist():
            thresholds = promise.thresholds
            cut = (thresholds.get(codes[i]) or thresholds[OTHER]).threshold
            needs = "none is sure enough" if cut is None else f"{percent(cut)} % is needed"
            likeliest = promise.classes[int(scaled[i].argmax())]
            note[i] = f"{likeliest} has {percent(float(scaled[i].max()))} %, {needs}"
        return note

    def _odd(
        self, codes: NDArray[np.str_], empty: NDArray[np.bool_], backed_off: list[str]
    ) -> list[str]:
        known = {*self.promise.languages, "und"}
        return [
            "no text" if blank else "; ".join(filter(None, [
                "" if code in known else f"no text in {code} was in training", why,
            ]))
            for code, blank, why in zip(codes.tolist(), empty.tolist(), backed_off, strict=True)
        ]  # fmt: skip

    def _notes(self, frame: pl.DataFrame) -> list[str]:
        blank = int((frame["odd"] == "no text").sum())
        unseen = sorted(set(frame["language"]) - {*self.promise.languages, "und"})
        notes = [f"{plural(blank, 'row')} without a text"] * bool(blank)
        return notes + [f"no text in {', '.join(unseen)} was in training"] * bool(unseen)


def _empty(texts: pl.Series) -> NDArray[np.bool_]:
    return (texts.str.len_chars() == 0).to_numpy()


def further(top: int) -> list[tuple[str, str]]:
    """Columns of the second and further classes.

    Examples
    --------
    >>> further(3)
    [('label_2', 'calibrated_2'), ('label_3', 'calibrated_3')]
    """
    return [(f"label_{i}", f"calibrated_{i}") for i in range(2, 1 + top)]


def _opened(bundle: Bundle, member: Member, classes: tuple[str, ...], device: str) -> Any:  # noqa: ANN401
    files = bundle.files(member.folder)
    with translate_errors(f"{bundle.folder}: {member.folder} cannot be opened", "damaged"):
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


def more_rows(n: int) -> str:
    """How many rows a table leaves out, and where they are; empty for none."""
    return f" … {count(n)} more; --csv FILE has all." if n > 0 else ""


def _id_of(text: str, language: str) -> str:
    """Of a text that has no id; equal texts are one."""
    return _digest(f"{language}\n{text}")


def _digest(text: str) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _hconcat(table: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Answers to the right of the table they are about."""
    names = {c: f"given_{c}" for c in table.columns if c in answers.columns}
    for name in names.values():
        if name in table.columns:
            raise DataError(f"there is a column {name!r} already; rename it", "columns")
    return pl.concat([table.rename(names), answers], how="horizontal")
