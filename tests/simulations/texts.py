"""Promises about classifiers of texts: macro-F1 of many classes, of texts in clusters."""

import numpy as np
from numpy.typing import NDArray

from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.intervals import covers
from tests.simulations.titles import alike
from trueness.evaluation.slices import measure_slices

KINDS = {
    "24 classes, clusters of 3": (24, 3),
    "24 classes, single texts": (24, 1),
    "6 classes, clusters of 3": (6, 3),
}
"""Classes, and texts per cluster."""


def counted(y: NDArray[np.int64], cluster: NDArray[np.int64], classes: int) -> NDArray[np.bool_]:
    """Classes that macro-F1 is promised for: five texts of two clusters at least, (K,)."""
    clusters = np.bincount(y[np.unique(cluster, return_index=True)[1]], minlength=classes)
    return (np.bincount(y, minlength=classes) >= 5) & (clusters >= 2)


def _macro_f1(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    classes, size = KINDS[case.setting]
    world = alike((case.n,), size, classes)
    y, (predicted,), _, blocks = world.draw(rng)
    found = measure_slices(
        y, np.eye(classes)[predicted], None, blocks, probabilities=False,
        classes=[f"c{i}" for i in range(classes)],
    )  # fmt: skip
    known = world.f1()[0][counted(y, blocks.item, classes)]
    return {"macro-F1": covers(found.overall.macro_f1, float(known.mean())) if len(known) else None}


TEXTS = Experiment(
    "titles", "Classifiers of texts", (Promise("macro-F1"),),
    tuple(Case(name, n) for name in KINDS for n in (100, 300, 1000)), 1000, _macro_f1,
)  # fmt: skip
