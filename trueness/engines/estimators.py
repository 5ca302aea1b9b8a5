"""Classifiers of scikit-learn on windows: the ladder of baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import polars as pl

from trueness.baselines import fit_baseline
from trueness.checks import checked
from trueness.engines import Cost, Inputs, Job, Outcome, Report, Setting, Step
from trueness.engines.recorded import HISTORY, facts_of, predictions_of
from trueness.examples import Examples
from trueness.judge.measured import measured
from trueness.spec import Spec


class Estimators:
    """See `trueness.engines.Engine`; a job is one spec, all folds."""

    stage: ClassVar[str] = "baselines"
    alone: ClassVar[bool] = False
    ranked: ClassVar[bool] = False

    def check(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting, store: Any) -> None:  # noqa: ANN401
        """Nothing that the task does not refuse."""

    def cost(self, spec: Spec, inputs: Examples) -> Cost:
        """Next to nothing."""
        del spec
        return Cost(0, len(inputs.features), 0.0)

    def jobs(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting) -> list[Job]:
        """One for each spec."""
        del setting
        return [Job("estimators", (spec,), inputs(spec)) for spec in specs]

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Fit every fold, then judge."""
        (spec,), examples = job.specs, job.content
        fit = fit_baseline(examples, spec)
        report(Step(job.work))
        predictions = predictions_of(examples, list(fit.logits), list(fit.logits))
        record = facts_of(spec, examples) | measured(spec, predictions)
        record |= {
            "chosen": fit.chosen,
            "seconds": fit.seconds,
            "device": "cpu",
            "precision": "float64",
        }
        record |= checked(spec, record, predictions)
        return [Outcome(spec, record, predictions.frame, pl.DataFrame(schema=HISTORY))]
