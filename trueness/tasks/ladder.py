"""What tasks with windows and a binary label share: the ladder of baselines, and counts."""

from __future__ import annotations

from trueness.examples import Examples
from trueness.spec import Spec
from trueness.spec.estimator import default_baselines


def ladder(spec: Spec, prefix: str) -> dict[str, Spec]:
    """Every rung on the inputs of a spec, by name."""
    return {
        f"{prefix}/{model.kind}": Spec(task=spec.task, model=model, evaluation=spec.evaluation)
        for model in default_baselines()
    }


def binary_counts(examples: Examples) -> list[dict[str, dict[str, int]]]:
    """For each fold: part -> examples and positives."""
    return [
        {part: {"n": n, "positives": positives} for part, (n, positives) in fold.items()}
        for fold in examples.counts()
    ]
