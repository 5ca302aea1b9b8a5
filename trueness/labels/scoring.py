"""A stored run on titles made to score further texts, whether it keeps its weights or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.attribution.words import check_same_scores, corpus_of
from trueness.errors import StoreError, TruenessError
from trueness.store import Run

Logits = Callable[[pl.Series], NDArray[Any]]
Scorer = Callable[[Run, str, Mapping[str, Any], str], Logits]


def scorer_of(run: Run, name: str, sources: Mapping[str, Any], device: str = "auto") -> Logits:
    """What gives logits (m, K) of texts (m,).

    Encoders keep their weights. n-grams and heads on vectors are fitted again on the corpus of the
    run, which takes seconds, and must give the stored scores.

    Parameters
    ----------
    run : Run
    name : str
        What the run is called.
    sources : mapping
        Corpus of the run as ``data``; that of the record without it.
    device : str

    Raises
    ------
    TruenessError
        With code ``not_titles``, ``no_weights`` for an engine that can do neither, ``no_data``,
        ``other_data`` for another corpus, ``not_reproduced`` for other scores than are stored.
    """
    if run.spec.task.kind != "titles":
        raise TruenessError(f"{name} is no run on titles", "not_titles")
    engine = run.spec.model.engine
    if engine not in SCORERS:
        raise StoreError(f"{name}: a {run.record['label']} keeps no weights and is not fitted "
                         "again here; choose another run", "no_weights")  # fmt: skip
    return SCORERS[engine][0](run, name, sources, device)


def keeps_weights(run: Run) -> bool:
    """Whether a run can score texts without being fitted again."""
    return not SCORERS.get(run.spec.model.engine, (None, True))[1]


def _encoder(run: Run, name: str, sources: Mapping[str, Any], device: str) -> Logits:
    from trueness.fit.device import choose_device
    from trueness.titles.classifier import load_classifier

    del name, sources
    return load_classifier(run, choose_device(device)).logits


def _linear(run: Run, name: str, sources: Mapping[str, Any], device: str) -> Logits:
    from trueness.baselines import fit_titles_baseline
    from trueness.engines.linear import selection_of

    del device
    corpus = corpus_of(run, name, sources)
    fit = fit_titles_baseline(run.spec, corpus, selection_of(run.spec, len(corpus.classes)))
    ids = corpus.part("validation").ids.cast(pl.String)
    check_same_scores(run, name, "validation", ids, fit.logits["validation"])
    return fit.fitted().logits


def _vectors(run: Run, name: str, sources: Mapping[str, Any], device: str) -> Logits:
    from trueness.engines.vectors import refitted_head
    from trueness.fit.device import choose_device

    if run.spec.depends_on:
        raise StoreError(f"{name} begins with other runs and is not fitted again here; choose "
                         "another run", "no_weights")  # fmt: skip
    corpus = corpus_of(run, name, sources)
    fitted, _ = refitted_head(run.spec, corpus, None, Path(), choose_device(device))
    titles = corpus.part("validation")
    ids = titles.ids.cast(pl.String)
    check_same_scores(run, name, "validation", ids, fitted.logits(titles.texts))
    return fitted.logits


SCORERS: dict[str, tuple[Scorer, bool]] = {
    "encoder": (_encoder, False), "linear": (_linear, True), "vectors": (_vectors, True),
}  # fmt: skip
"""Engine of a model -> what makes its runs score, and whether that fits them again."""


def probabilities_of(logits: NDArray[Any], languages: NDArray[np.str_], run: Run) -> NDArray[Any]:
    """Probabilities (n, K) at the temperature that a run fitted for each language."""
    from trueness.bundle.class_promise import temperatures_of

    return temperatures_of(run).probabilities(np.asarray(logits, np.float64), languages)
