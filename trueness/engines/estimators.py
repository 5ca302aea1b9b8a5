"""Everything that is fitted to columns: baselines, boosting, any classifier with fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from trueness.baselines import check_estimator, fit_estimator
from trueness.engines import Cost, Inputs, Job, Outcome, Report, Setting, Step
from trueness.engines.recorded import facts_of, make_outcome, predictions_of
from trueness.examples import Examples
from trueness.own import own_files
from trueness.spec import Spec


class Estimators:
    """See `trueness.engines.Engine`; a job is one spec, all folds."""

    stage: ClassVar[str] = "estimators"
    alone: ClassVar[bool] = False
    ranked: ClassVar[bool] = False

    def check(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting, store: Any) -> None:  # noqa: ANN401
        """Refuse folds without both classes, and code that cannot do what an estimator does."""
        del store
        for spec in specs:
            check_estimator(inputs(spec), spec, setting.folder)

    def cost(self, spec: Spec, inputs: Examples, folder: Path) -> Cost:
        """Next to nothing."""
        del spec, folder
        return Cost(0, len(inputs.features), 0.0)

    def jobs(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting) -> list[Job]:
        """One for each spec."""
        return [
            Job("estimators", (spec,), (inputs(spec), setting.folder), fits=inputs(spec).n_folds,
                reads=own_files(spec.model, setting.folder))
            for spec in specs
        ]  # fmt: skip

    def rates(self, jobs: Sequence[Job], setting: Setting) -> None:
        """Not tried."""

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Fit every fold, then judge."""
        (spec,), (examples, folder) = job.specs, job.content
        fit = fit_estimator(examples, spec, folder)
        report(Step(job.work))
        predictions = predictions_of(examples, list(fit.logits), list(fit.logits))
        facts = {
            "chosen": fit.chosen, "seconds": fit.seconds, "device": "cpu", "precision": "float64",
        }  # fmt: skip
        return [make_outcome(spec, predictions, facts_of(spec, examples) | facts)]
