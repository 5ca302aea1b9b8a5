"""Promises about classifiers of texts: macro-F1 of many classes, of texts in clusters."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tests.evaluation.cases import compare_many
from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.intervals import covers
from tests.simulations.titles import alike
from trueness.evaluation import Contrast
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
    actual = measure_slices(
        y, np.eye(classes)[predicted], None, blocks, probabilities=False,
        classes=[f"c{i}" for i in range(classes)],
    )  # fmt: skip
    known = world.f1()[0][counted(y, blocks.item, classes)]
    return {
        "macro-F1": covers(actual.overall.macro_f1, float(known.mean())) if len(known) else None
    }


TEXTS = Experiment(
    "titles", "Classifiers of texts", (Promise("macro-F1"),),
    tuple(Case(name, n) for name in KINDS for n in (100, 300, 1000)), 1000, _macro_f1,
)  # fmt: skip


EQUAL = {
    "24 classes, six languages, clusters of 3": ((1500, 600, 400, 300, 200, 150), 3, 24),
    "24 classes, six small languages, clusters of 3": ((150,) * 6, 3, 24),
    "6 classes, four languages, single texts": ((600, 300, 200, 100), 1, 6),
}
"""Texts of each language, texts per cluster, classes."""
COMPARED = 5
"""Methods, none of them better than another."""


def _equal_methods(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    texts, size, classes = EQUAL[case.setting]
    y, predicted, language, blocks = alike(texts, size, classes, methods=COMPARED).draw(rng)
    actual = compare_many(
        y, dict(enumerate(predicted)), language, blocks, reference=0, n_classes=classes,
        draws=1000,
    )  # fmt: skip
    others = [one for name, one in actual.methods.items() if name]
    return {
        "5 equal methods: any differs in the mean of languages": _any_apart(
            one.against["mean_group"] for one in others
        ),
        "5 equal methods: any differs in the worst language": _any_apart(
            one.against["worst_group"] for one in others
        ),
        "5 equal methods: any differs in any language": _any_apart(
            contrast for one in others for contrast in one.groups_against.values()
        ),
    }


def _any_apart(contrasts: Iterable[Contrast]) -> bool:
    return any(one.verdict in ("better", "worse") for one in contrasts)


EQUAL_METHODS = Experiment(
    "equal_methods", "Classifiers of texts, equally good",
    tuple(Promise(f"5 equal methods: any differs in {where}", 0.05, "error")
          for where in ("the mean of languages", "the worst language", "any language")),
    tuple(Case(name, sum(texts)) for name, (texts, *_) in EQUAL.items()), 3000, _equal_methods,
)  # fmt: skip
