"""What tasks with windows and a binary label share."""

from __future__ import annotations

from trueness.examples import Examples
from trueness.spec import Spec
from trueness.spec.estimator import default_baselines


def baselines(spec: Spec) -> dict[str, Spec]:
    """Every baseline on the inputs of a spec, by name."""
    inputs = getattr(spec.task, "inputs", spec.task.kind)
    return {
        f"{inputs}/{model.kind}": Spec(task=spec.task, model=model, evaluation=spec.evaluation)
        for model in default_baselines()
    }


def examples_key(spec: Spec) -> str:
    """What windows and parts depend on."""
    return f"{spec.task.model_dump_json()} {spec.evaluation.model_dump_json()}"


def counts(examples: Examples) -> list[dict[str, dict[str, int]]]:
    """For each fold: part -> examples and positives."""
    return [
        {part: {"n": n, "positives": positives} for part, (n, positives) in fold.items()}
        for fold in examples.counts()
    ]
