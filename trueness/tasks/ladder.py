"""What tasks with windows and a binary label share: the ladder of baselines, and counts."""

from __future__ import annotations

from typing import get_args

from trueness.examples import Examples
from trueness.spec import Spec
from trueness.spec.model import Baseline


def ladder(spec: Spec, prefix: str) -> dict[str, Spec]:
    """Every rung on the inputs of a spec, by name."""
    kinds = get_args(Baseline.model_fields["kind"].annotation)
    return {
        f"{prefix}/{kind}": Spec(
            task=spec.task, model=Baseline(kind=kind), evaluation=spec.evaluation
        )
        for kind in kinds
    }


def binary_counts(examples: Examples) -> list[dict[str, dict[str, int]]]:
    """For each fold: part -> examples and positives."""
    return [
        {part: {"n": n, "positives": positives} for part, (n, positives) in fold.items()}
        for fold in examples.counts()
    ]
