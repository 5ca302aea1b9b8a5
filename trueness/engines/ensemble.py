"""Means of the logits of stored runs: nothing is trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from trueness.baselines import fit_ensemble
from trueness.engines import Cost, Inputs, Job, Outcome, Report, Setting, Step
from trueness.engines.recorded import facts_of, make_outcome
from trueness.examples import Examples
from trueness.spec import Spec
from trueness.store import Store


class Average:
    """See `trueness.engines.Engine`; a job is one spec."""

    stage: ClassVar[str] = "ensembles"
    alone: ClassVar[bool] = True
    ranked: ClassVar[bool] = False

    def check(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting, store: Any) -> None:  # noqa: ANN401
        """Members are looked for when they are due: a campaign may train them first."""

    def cost(self, spec: Spec, inputs: Examples, folder: Path) -> Cost:
        """Next to nothing."""
        del spec, folder
        return Cost(0, len(inputs.features), 0.0)

    def jobs(self, specs: Sequence[Spec], inputs: Inputs, setting: Setting) -> list[Job]:
        """One for each spec."""
        return [
            Job("ensemble", (spec,), (inputs(spec), setting.store), fits=0, here=True)
            for spec in specs
        ]

    def rates(self, jobs: Sequence[Job], setting: Setting) -> None:
        """Not tried."""

    def fit(self, job: Job, report: Report) -> list[Outcome]:
        """Average, then judge."""
        (spec,), (examples, root) = job.specs, job.content
        began, store = time.perf_counter(), Store(root)
        members = {key: store.run(key).predictions() for key in spec.model.of}
        predictions = fit_ensemble(spec, members)
        report(Step(job.work))
        facts = {
            "seconds": time.perf_counter() - began, "device": "cpu", "precision": "float32",
            "members": list(spec.model.of),
        }  # fmt: skip
        return [make_outcome(spec, predictions, facts_of(spec, examples) | facts)]
