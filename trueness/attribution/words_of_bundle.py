"""Which words move a run or a bundle on titles, in one text, in its own or in those of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trueness.attribution.asking import is_bundle
from trueness.attribution.word_effects import WordImportance
from trueness.attribution.words import (
    CONFIDENCE,
    Asked,
    left_out,
    mean_effects,
    of_text,
    word_importance,
)
from trueness.bundle.classifying import TitlesPredictor
from trueness.bundle.predicting import load
from trueness.callback import Callback
from trueness.errors import TruenessError
from trueness.store import AnyStore
from trueness.text.fields import NONE, markers_of

GIVEN = "given"
"""Part of the texts."""


def words_of(
    store: AnyStore, wanted: str, sources: Mapping[str, Any], asked: Asked, *, device: str = "auto",
    access: tuple[str, str] | None = None, callback: Callback | None = None,
) -> WordImportance:  # fmt: skip
    """Words that move the classes of a run, see `word_importance`, or of a bundle.

    A bundle, whatever its model, is asked about one text or about texts that need no label.

    Parameters
    ----------
    store : Store or MemoryStore
    wanted : str
        Id or key of a run, or the folder of a bundle.
    sources : mapping
        Corpus of a run, or texts for a bundle, as ``data``.
    asked : Asked
    device : str
    access : tuple of str, optional
        Verb and question for the ledger, of a run.
    callback : Callback, optional

    Raises
    ------
    TruenessError
        As `word_importance`; of a bundle with code ``not_titles``, ``no_data`` without texts,
        ``no_option`` for the test part, which it was fitted on, and those of
        `trueness.text.inputs.input_texts`.
    """
    if not is_bundle(wanted):
        return word_importance(store, wanted, sources, asked, device=device, access=access,
                               callback=callback)  # fmt: skip
    return _of_bundle(wanted, sources, asked, device, callback or Callback())


def _of_bundle(
    folder: str, sources: Mapping[str, Any], asked: Asked, device: str, callback: Callback
) -> WordImportance:
    predictor = load(folder, device=device)
    if not isinstance(predictor, TitlesPredictor):
        raise TruenessError(f"{folder} is not about titles: its inputs are columns, no words",
                            "not_titles")  # fmt: skip
    described = predictor.bundle.description
    about = (predictor.bundle.name, described["key"], described["label"])
    if asked.opened:
        raise TruenessError("--open-test is about runs: a bundle was fitted on the test part as "
                            "well; leave it out", "no_option")  # fmt: skip
    if asked.text is not None:
        classes = predictor.promise.classes
        return of_text(*about, predictor.logits, classes, asked, sources, predictor.recipe)
    read = predictor.load_if_given(sources)
    if read is None:
        raise TruenessError(f"{folder} was fitted on all texts of its corpus; give others as "
                            "--data FILE, or one as --text", "no_data")  # fmt: skip
    every = read.texts.filter(read.texts.str.len_chars() > 0)
    if not len(every):
        raise TruenessError("no row has a text", "no_text")
    rng = np.random.default_rng(asked.seed)
    chosen = every.gather(np.sort(rng.permutation(len(every))[: asked.most]))
    words, row, effects = left_out(predictor.logits, chosen.to_list(), predictor.logits(chosen),
                                   callback, about[0],
                                   fixed={*markers_of(predictor.recipe), NONE})  # fmt: skip
    cluster = chosen.rank("dense").to_numpy()
    classes = predictor.promise.classes
    result, n_evaluated = mean_effects(words, row, effects, cluster, classes, CONFIDENCE)
    return WordImportance(
        *about, GIVEN, len(chosen), len(every), len(set(words)), n_evaluated, CONFIDENCE, classes,
        result, None, asked.seed,
        (*read.notes, "texts that differ count as independent: where several are about one "
                      "product, intervals are too narrow"),
    )  # fmt: skip
