"""Which labels of a corpus are suspect, by models that saw neither the row nor its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from trueness.attribution.words import corpus_of
from trueness.baselines.cross_fitting import FOLDS, cross_fitted
from trueness.callback import Callback
from trueness.document.numbers import plural
from trueness.errors import DataError, TruenessError, at_least
from trueness.evaluation.label_noise import LabelNoise, noise_in_clusters
from trueness.evaluation.macro_f1 import selection_scores
from trueness.judge.access import record_access, record_data_access
from trueness.judge.finding import named_run
from trueness.judge.parts import unrecorded_notes
from trueness.labels.audit import (
    FEWEST,
    LabelAudit,
    LabelledRows,
    contradictions_of,
    eligible_rows,
    parts_counted,
    slice_shares,
    suspects_of,
)
from trueness.spec.titles import LinearBaseline, TitlesSpec, TitlesTask
from trueness.store import AnyStore
from trueness.text.corpus import DESCRIPTION, PARTS, Corpus, load_corpus

MODEL = "tfidf_svm"
"""n-grams that audit a corpus: of the two they have more planted noise right."""
FEWEST_CLUSTERS = 20
VERB = "audit-labels"


@dataclass(frozen=True)
class Audited:
    """What is to be audited.

    Attributes
    ----------
    name : str
    corpus : Corpus
    spec : TitlesSpec
        Of the model that is fitted in each fold.
    label : str
        Of the model.
    key : str
        Of the run; empty for a corpus.
    """

    name: str
    corpus: Corpus
    spec: TitlesSpec
    label: str
    key: str = ""


def audited(store: AnyStore, wanted: str, sources: Mapping[str, Any]) -> Audited:
    """A corpus under n-grams, or a run whose model can be fitted in every fold.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Folder of a corpus, or id or key of a run.
    sources : mapping
        Corpus of the run as ``data``; that of its record without it.

    Raises
    ------
    TruenessError
        With code ``ambiguous``, ``not_titles``, ``not_linear``, ``no_data``, ``other_data``.
    """
    if (Path(wanted) / DESCRIPTION).is_file():
        if wanted in {id_ for ids in store.campaigns().values() for id_ in ids}:
            raise TruenessError(f"{wanted} is a run and the folder of a corpus; write ./{wanted} "
                                "for the latter", "ambiguous")  # fmt: skip
        corpus = load_corpus(wanted)
        task = TitlesTask(kind="titles", corpus=corpus.digest)
        spec = TitlesSpec(task=task, model=LinearBaseline(kind=MODEL))
        return Audited(corpus.folder.resolve().name, corpus, spec, MODEL)
    name, run = named_run(store, wanted)
    if run.spec.task.kind != "titles":
        raise TruenessError(f"{name} is no run on titles", "not_titles")
    if run.spec.model.engine != "linear" or run.spec.model.kind == "majority":
        raise TruenessError(
            f"{name}: a {run.record['label']} is not fitted again in every fold; n-grams are: give "
            "the folder of the corpus, or a run of tfidf_logit or tfidf_svm", "not_linear",
        )  # fmt: skip
    return Audited(name, corpus_of(run, name, sources), run.spec, run.record["label"], run.key)


def labelled_rows(corpus: Corpus, opened: bool) -> LabelledRows:
    """Texts of train and validation, and of the sealed test part if it was opened."""
    names = PARTS if opened else PARTS[:2]
    some = {name: corpus.part(name) for name in names}
    titles = list(some.values())
    joined = type(titles[0])(
        *(pl.concat([getattr(one, n) for one in titles]) for n in ("ids", "texts")),
        *(np.concatenate([getattr(one, n) for one in titles])
          for n in ("y", "language", "confidence", "cluster")),
    )  # fmt: skip
    part = np.repeat(list(some), [len(one) for one in titles])
    return LabelledRows(joined, part, corpus.classes)


def audit_labels(
    store: AnyStore, wanted: str, sources: Mapping[str, Any], *, folds: int = FOLDS, seed: int = 0,
    opened: bool = False, top: int = 20, record: bool = False, callback: Callback | None = None,
) -> LabelAudit:  # fmt: skip
    """Labels that are suspect, by confident learning on out-of-fold scores.

    Every row is scored by a model that saw neither it nor others of its cluster. Suspects are
    ranked by the probability of the suggested class minus that of the given one; on planted noise
    this order was at least as good as those by the given class alone, by log-odds, and by margins
    over class thresholds (benchmarks/audit_labels.py).

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Folder of a corpus, or id or key of a run on one whose model is linear.
    sources : mapping
        Corpus of a run as ``data``; that of its record without it.
    folds, seed : int
        Of the cross-fitting.
    opened : bool
        Labels of the sealed test part as well.
    top : int
        Suspects and clusters that are shown.
    record : bool
        Write the access into the ledger of the store.
    callback : Callback, optional

    Raises
    ------
    TruenessError
        With code ``number``, ``few_clusters``, or those of `audited`.
    """
    at_least("top", top, 1), at_least("folds", folds, 2, 50), at_least("seed", seed, 0)
    about = audited(store, wanted, sources)
    rows = labelled_rows(about.corpus, opened)
    clusters = len(np.unique(rows.titles.cluster))
    if clusters < max(FEWEST_CLUSTERS, folds):
        raise DataError(f"{about.name}: {plural(clusters, 'cluster')} of texts are too few to "
                        f"score them out of {folds} folds", "few_clusters")  # fmt: skip
    notes = _recorded(store, about, opened, f"{folds} folds seed {seed}") if record else ()
    p = _scores(about, rows, (folds, seed), callback or Callback())
    return audit_of(about, rows, p, folds, top, (*_notes(opened), *notes))


def audit_of(
    about: Audited, rows: LabelledRows, p: NDArray[np.float64], folds: int, top: int,
    notes: tuple[str, ...] = (),
) -> LabelAudit:  # fmt: skip
    """What out-of-fold probabilities (n, K) say of rows."""
    eligible, contradictions = eligible_rows(rows), contradictions_of(rows)
    noise = LabelNoise.of(rows.titles.y[eligible], p[eligible])
    counts = np.bincount(rows.titles.y[~eligible], minlength=len(rows.classes))
    unjudged = {rows.classes[i]: int(counts[i]) for i in np.flatnonzero(counts)}
    whole, by_class, by_language = slice_shares(rows, noise, eligible)
    return LabelAudit(
        about.name, about.corpus.digest, about.label, folds, parts_counted(rows.part),
        noise.number, whole, noise_in_clusters(rows.titles.y, rows.titles.cluster), by_class,
        by_language,
        suspects_of(rows, noise, eligible, contradictions), contradictions, unjudged, top,
        (*_few(unjudged), *notes),
    )  # fmt: skip


def _scores(
    about: Audited, rows: LabelledRows, how: tuple[int, int], callback: Callback
) -> NDArray[np.float64]:
    folds, seed = how

    def score(y: Any, predicted: Any, language: Any) -> float:  # noqa: ANN401 - arrays
        return selection_scores(y, predicted, language, len(rows.classes), 1)["macro_f1"]

    callback.on_stage_start("cross-fitting", folds)
    logits = cross_fitted(rows.titles, rows.classes, about.spec, score, folds=folds, seed=seed,
                          on_progress=lambda n: callback.on_progress(n, about.label))  # fmt: skip
    return softmax(logits.astype(np.float64), axis=1)


def _recorded(store: AnyStore, about: Audited, opened: bool, question: str) -> tuple[str, ...]:
    """Write the access down; notes if it could not be."""
    part = "test" if opened else "validation"
    if not about.key:
        return unrecorded_notes(
            record_data_access(store, about.corpus.digest, part, VERB, question, opened=opened)
        )
    run = store.run(about.key)
    return unrecorded_notes(record_access(store, [run], VERB, question, part=part, opened=opened))


def _few(unjudged: Mapping[str, int]) -> list[str]:
    if not unjudged:
        return []
    texts, classes = sum(unjudged.values()), plural(len(unjudged), "class", "classes")
    are = plural(texts, "text is", "texts are")
    return [f"{are} not judged: of {classes} in fewer than {FEWEST} clusters"]


def _notes(opened: bool) -> list[str]:
    sealed = "" if opened else "the test part is sealed and was left out; "
    return [
        f"{sealed}labels that are corrected by what n-grams say make n-grams look better where "
        "they are measured: accept what you have read, not what is ranked first"
    ]
