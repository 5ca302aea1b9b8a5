"""One run on titles, from its spec to its outcome; what a worker process does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from trueness.baselines import fit_titles_baseline
from trueness.checks import checked
from trueness.errors import SpecError
from trueness.evaluation.by_group import selection_scores
from trueness.fit.titles import (
    Report,
    Saving,
    Setting,
    TeacherTargets,
    TitlesData,
    TitlesFitted,
    fit_titles,
    load_data,
)
from trueness.judge.measured import measured
from trueness.predictions import Predictions
from trueness.spec.titles import TitlesSpec
from trueness.store import Run, Store
from trueness.text.corpus import Corpus, load_corpus
from trueness.text.tokens import load_tokenizer
from trueness.titles.classifier import TOKENIZER, Classifier, load_classifier
from trueness.titles.record import HISTORY, predictions_of, training_facts

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Work:
    """A spec and where everything is that its run reads; pickles."""

    spec: TitlesSpec
    corpus: Path
    store: Path
    tokenizer: Path | None
    cache: Path | None
    setting: Setting
    saving: Saving | None


@dataclass(frozen=True)
class TitlesOutcome:
    """A judged run, ready to be stored."""

    spec: TitlesSpec
    record: dict[str, Any]
    predictions: pl.DataFrame
    history: pl.DataFrame
    parameters: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def carry_out(work: Work, report: Report) -> TitlesOutcome:
    """Fit, then judge."""
    corpus = load_corpus(work.corpus)
    if work.spec.is_baseline:
        return _baseline(work.spec, corpus)
    assert work.tokenizer is not None
    tokenizer = load_tokenizer(work.tokenizer)
    data = load_data(work.spec.task, corpus, tokenizer=tokenizer, cache=work.cache)
    start, teacher = _warm_start(work, data), _teacher_targets(work, corpus, data)
    fitted = fit_titles(
        work.spec, data, work.setting,
        saving=work.saving, report=report, teacher=teacher, start=start,
    )  # fmt: skip
    return _network(fitted, corpus, data, work.tokenizer.read_bytes())


def _baseline(spec: TitlesSpec, corpus: Corpus) -> TitlesOutcome:
    rule, k = spec.evaluation, len(corpus.classes)

    def score(y: Index, predicted: Index, language: NDArray[np.str_]) -> float:
        return selection_scores(y, predicted, language, k, rule.min_rows)[rule.select_on]

    fit = fit_titles_baseline(spec, corpus, score)
    facts = {
        "parameters": 0, "chosen": fit.chosen, "seconds": fit.seconds, "device": "cpu",
        "precision": "float64", "data": {"digest": corpus.digest},
    }  # fmt: skip
    history = pl.DataFrame(schema=HISTORY)
    return _judged(spec, corpus, predictions_of(corpus, fit.logits), facts, history)


def _network(
    fitted: TitlesFitted, corpus: Corpus, data: TitlesData, tokenizer: bytes
) -> TitlesOutcome:
    facts = {
        "parameters": sum(w.size for w in fitted.parameters.values()),
        "best_epoch": fitted.best_epoch, "epochs": len(fitted.history),
        "seconds": fitted.seconds, "device": fitted.device, "precision": fitted.precision,
        "data": {"digest": corpus.digest, "tokenizer": data.digests["tokenizer"]},
    }  # fmt: skip
    history = pl.DataFrame(fitted.history, schema=HISTORY)
    made = _judged(fitted.spec, corpus, predictions_of(corpus, fitted.logits), facts, history)
    return replace(made, parameters=fitted.parameters, files={TOKENIZER: tokenizer})


def _judged(
    spec: TitlesSpec, corpus: Corpus, predictions: Predictions, facts: dict[str, Any],
    history: pl.DataFrame,
) -> TitlesOutcome:  # fmt: skip
    record = measured(spec, predictions) | {"notes": [], "training": training_facts(corpus)} | facts
    record |= checked(spec, record, predictions, history)
    return TitlesOutcome(spec, record, predictions.frame, history)


def check_source_run(spec: TitlesSpec, other: Run[TitlesSpec], classes: tuple[str, ...]) -> None:
    """Refuse a stored run that cannot do what a spec wants of it: teach, or lend its weights.

    Raises
    ------
    SpecError
    """
    if other.spec.is_baseline:
        raise SpecError(f"run {other.key} is a baseline; only encoders teach and lend weights")
    if tuple(other.record["classes"]) != classes:
        raise SpecError(
            f"run {other.key} knows other classes; it can neither teach nor lend weights"
        )
    if other.key == spec.recipe.start and other.spec.model != spec.model:
        raise SpecError(f"run {other.key} has another model; its weights do not fit")


def _stored(work: Work, key: str, classes: tuple[str, ...]) -> Classifier:
    """Classifier of another run."""
    other = Store(work.store).run(key)
    check_source_run(work.spec, other, classes)
    return load_classifier(other, work.setting.device)


def _warm_start(work: Work, data: TitlesData) -> dict[str, Tensor] | None:
    """Weights of the run that this one starts from."""
    if work.spec.recipe.start is None:
        return None
    other = _stored(work, work.spec.recipe.start, data.classes)
    if other.run.record["data"]["tokenizer"] != data.digests["tokenizer"]:
        raise SpecError(f"run {other.run.key} has another tokenizer; its weights do not fit")
    return dict(other.network.state_dict())


def _teacher_targets(work: Work, corpus: Corpus, data: TitlesData) -> TeacherTargets | None:
    """Logits of the teacher for the texts of its languages."""
    teacher = work.spec.loss.teacher
    if teacher is None:
        return None
    train = corpus.part("train")
    rows = np.flatnonzero(np.isin(train.language, teacher.languages))
    if not len(rows):
        raise SpecError(f"no training text is in {', '.join(teacher.languages)}; nothing to teach")
    other = _stored(work, teacher.run, data.classes)
    place = np.full(len(train), -1, np.int64)
    place[rows] = np.arange(len(rows))
    name = work.setting.device.name
    logits = torch.from_numpy(other.logits(train.texts[rows], work.cache)).half()
    return TeacherTargets(logits.to(name), torch.from_numpy(place).to(name))
