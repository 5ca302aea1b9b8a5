"""Which texts of a file to label next, for a run or a bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from trueness.bundle.alarms import find_bundle
from trueness.bundle.classifying import TitlesPredictor
from trueness.bundle.format import LABELLED, Bundle
from trueness.errors import TruenessError, at_least
from trueness.judge.access import record_access
from trueness.judge.finding import named_run
from trueness.judge.parts import unrecorded_notes
from trueness.labels.next_rows import LabelNext, Pool, label_next
from trueness.labels.other_corpus import signatures_of
from trueness.labels.scoring import probabilities_of, scorer_of
from trueness.store import AnyStore
from trueness.text.inputs import InputTexts, input_texts
from trueness.text.languages import detect_with_prior
from trueness.text.signatures import FILE, TextSignatures


@dataclass(frozen=True)
class Texts:
    """A file of texts, and how it is read; see `trueness.text.inputs.input_texts`."""

    data: Any
    columns: tuple[str, ...] = ()
    language_column: str | None = None
    id_column: str | None = None

    def read(self, recorded: Mapping[str, Any], known: Collection[str]) -> InputTexts:
        """The texts; columns that the corpus came from are `recorded`, its languages `known`."""
        return input_texts(
            self.data, self.columns, language_column=self.language_column,
            id_column=self.id_column, recipe=recorded.get("columns", {}), known=known,
        )  # fmt: skip


def propose(
    store: AnyStore, wanted: str, texts: Texts, n: int, *, sources: Mapping[str, Any] | None = None,
    device: str = "auto", access: tuple[str, str] | None = None,
) -> LabelNext:  # fmt: skip
    """Texts to label next, for a run or a bundle.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id or key of a run on titles, or the folder of a bundle of one.
    texts : Texts
    n : int
    sources : mapping, optional
        Corpus of a run as ``data``, where it has to be fitted again.
    device : str
    access : tuple of str, optional
        Verb and question for the ledger, of a run.

    Raises
    ------
    TruenessError
        With code ``number``, ``not_titles``, ``no_weights``, ``no_signatures``, or those of
        `input_texts`.
    """
    at_least("n", n, 1)
    bundle = find_bundle(store, wanted)
    if bundle is not None:
        return _of_bundle(bundle, texts, n, device)
    name, run = named_run(store, wanted)
    if run.spec.task.kind != "titles":
        raise TruenessError(f"{name} is no run on titles", "not_titles")
    known, rows = signatures_of(run), run.predictions().part(run.estimands.measured_on)
    groups = rows.group
    assert groups is not None
    counts = dict(Counter(groups.tolist()))
    read = texts.read(run.record["data"], counts)
    logits = scorer_of(run, name, sources or {}, device)
    language = read.languages
    if language is None:
        language = detect_with_prior(read.texts.to_list(), counts)
    p = probabilities_of(logits(read.texts), language, run)
    pool = Pool(_ids(read), read.texts, language, p, tuple(run.record["classes"]))
    result = label_next(name, pool, counts, known, n)
    notes = unrecorded_notes(record_access(store, [run], *access)) if access else ()
    return replace(result, notes=(*read.notes, *result.notes, *notes))


def _of_bundle(bundle: Bundle, texts: Texts, n: int, device: str) -> LabelNext:
    if bundle.task != "titles":
        raise TruenessError(f"{bundle.folder} is no bundle on titles", "not_titles")
    predictor = TitlesPredictor(bundle, device)
    promise = predictor.promise
    read = texts.read(bundle.description["data"], promise.languages)
    answers = predictor.predict(read)
    files = bundle.files(LABELLED)
    known = TextSignatures.from_bytes(files[FILE]) if files else None
    language = answers.frame["language"].to_numpy().astype(np.str_)
    pool = Pool(_ids(read), read.texts, language, predictor.probabilities(read), promise.classes)
    result = label_next(bundle.name, pool, promise.languages, known, n)
    unknown = "the bundle does not know the labelled texts: none was compared with them"
    return replace(result, notes=(*read.notes, *result.notes, *[unknown] * (known is None)))


def _ids(read: InputTexts) -> pl.Series:
    """Ids that are given, else the numbers of the rows, from 1."""
    if read.ids is not None:
        return pl.Series(read.ids, dtype=pl.String)
    return pl.Series([str(i + 1) for i in range(len(read.texts))], dtype=pl.String)
