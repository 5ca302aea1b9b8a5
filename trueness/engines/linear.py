"""Linear baselines on titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.baselines import fit_titles_baseline
from trueness.checks import checked
from trueness.engines import Cost, Inputs, Job, Outcome, Report, Setting, Step
from trueness.evaluation.by_group import checked_groups
from trueness.evaluation.macro_f1 import selection_scores
from trueness.judge.levels import measured_levels
from trueness.judge.measured import measured
from trueness.predictions import Predictions
from trueness.spec.titles import TitlesSpec
from trueness.tasks.titles import predictions_of, training_facts
from trueness.text.corpus import PARTS, Corpus, load_corpus
from trueness.text.signatures import FILE, TextSignatures

HISTORY = {
    "epoch": pl.Int64, "updates": pl.Int64, "skipped": pl.Int64, "train_loss": pl.Float64,
    "val_loss": pl.Float64, "macro_f1": pl.Float64, "mean_group": pl.Float64,
    "worst_group": pl.Float64, "padded": pl.Float64, "seconds": pl.Float64,
}  # fmt: skip
Index = NDArray[np.int64]


class Linear:
    """See `trueness.engines.Engine`; a job is one spec."""

    stage: ClassVar[str] = "baselines"
    alone: ClassVar[bool] = True
    ranked: ClassVar[bool] = False

    def check(
        self,
        specs: Sequence[TitlesSpec],
        inputs: Inputs,
        setting: Setting,
        store: Any,  # noqa: ANN401
    ) -> None:
        """Refuse a corpus with a label that is no class, or without a language to judge by."""
        del setting, store
        for corpus in {id(inputs(spec)): inputs(spec) for spec in specs}.values():
            for part in PARTS:
                corpus.part(part)
        for rows, spec in {spec.evaluation.min_rows: spec for spec in specs}.items():
            languages = inputs(spec).part("validation").language
            checked_groups(languages, rows, spec.estimands.nouns)

    def cost(self, spec: TitlesSpec, inputs: Corpus, folder: Path) -> Cost:
        """Next to nothing."""
        del spec, inputs, folder
        return Cost(0, None, 0.0)

    def jobs(self, specs: Sequence[TitlesSpec], inputs: Inputs, setting: Setting) -> list[Job]:
        """One for each spec."""
        del setting
        return [
            Job("linear", (spec,), inputs(spec).folder, reads=(inputs(spec).folder,))
            for spec in specs
        ]

    def rates(self, jobs: Sequence[Job], setting: Setting) -> None:
        """Not tried."""

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Fit, then judge."""
        (spec,), corpus = job.specs, load_corpus(job.content)
        fit = fit_titles_baseline(spec, corpus, selection_of(spec, len(corpus.classes)))
        report(Step(job.work))
        facts = {
            "parameters": 0, "chosen": fit.chosen, "seconds": fit.seconds, "device": "cpu",
            "precision": "float64",
        }  # fmt: skip
        history = pl.DataFrame(schema=HISTORY)
        return [titles_outcome(spec, corpus, predictions_of(corpus, fit.logits), facts, history)]


def selection_of(spec: TitlesSpec, k: int) -> Callable[[Index, Index, NDArray[np.str_]], float]:
    """What a spec selects on, of K classes: (classes, predicted classes, languages) -> score."""
    rule = spec.evaluation

    def score(y: Index, predicted: Index, language: NDArray[np.str_]) -> float:
        return selection_scores(y, predicted, language, k, rule.min_rows)[rule.select_on]

    return score


def titles_outcome(
    spec: TitlesSpec, corpus: Corpus, predictions: Predictions, facts: dict[str, Any],
    history: pl.DataFrame,
) -> Outcome:  # fmt: skip
    """A run on titles, judged; it keeps signatures of the texts, against which others are held."""
    record = measured(spec, predictions) | {"notes": [], "training": training_facts(corpus)} | facts
    if levels := measured_levels(predictions, spec.estimands, corpus.joiner):
        record |= {"joiner": corpus.joiner, "levels": levels}
    record |= checked(spec, record, predictions, history)
    kept = {FILE: TextSignatures.of_corpus(corpus).to_bytes()}
    return Outcome(spec, record, predictions.frame, history, files=kept)
