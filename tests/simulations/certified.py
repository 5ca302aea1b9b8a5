"""Promises about certificates: lower bounds at thresholds that hold at once.

Fifteen thresholds of each model, at fixed alarm rates among all days, from 0.5 to 10 %.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tests.simulations.experiments import Case, Experiment, Outcome, Promise, cases
from tests.simulations.generators import LARGE, SETTINGS, Setting, sample
from trueness.evaluation.guarantee import Candidate, FamilyBounds, family_bounds

RATES, MODELS = np.geomspace(0.005, 0.1, 15), 14
NOISE = {"iid": 0.4, "spread": 0.4, "hard": 0.4, "regime": 1.3, "over5": 0.4, "over5ar": 0.4}
"""Standard deviation of the noise in scores: 56 to 77 % of the highest 1 % are positive."""
BATCHES = 3
"""Batches of models, one after another on the same days."""


@dataclass(frozen=True)
class _Thresholds:
    """Thresholds, rising, and the true precision above each, (15,)."""

    cut: NDArray[np.float64]
    precision: NDArray[np.float64]


@lru_cache(maxsize=16)
def _thresholds(setting: Setting) -> _Thresholds:
    whole = sample(np.random.default_rng(90_006), setting, LARGE, (NOISE[setting.name],))
    order = np.argsort(-whole.scores[0])
    hits = np.cumsum(whole.y[order], dtype=np.int64)
    counts = (RATES[::-1] * LARGE).astype(int)
    return _Thresholds(whole.scores[0][order[counts - 1]], hits[counts - 1] / counts)


def _truth(setting: Setting, cut: float) -> float:
    known = _thresholds(setting)
    return float(known.precision[np.argmin(np.abs(known.cut - cut))])


def _valid(actual: FamilyBounds, setting: Setting) -> bool:
    """Whether no bound lies above the true precision of its threshold."""
    return all(
        row.bound <= _truth(setting, row.cut) for rows in actual.bounds.values() for row in rows
    )


def _family(rng: np.random.Generator, setting: Setting, n: int) -> dict[str, Candidate]:
    one = sample(rng, setting, n, (NOISE[setting.name],) * MODELS)
    cut = _thresholds(setting).cut
    return {str(i): Candidate(one.y, score, cut, one.blocks) for i, score in enumerate(one.scores)}


def _bounds(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    setting = SETTINGS[case.setting]
    every = _family(rng, setting, case.n)
    alone = family_bounds({"0": every["0"]}, input="score")
    together = family_bounds(every, input="score")
    batches = [
        family_bounds(dict(list(every.items())[k::BATCHES]), batch=k + 1, input="score")
        for k in range(BATCHES)
    ]
    return {
        "bounds of 15 thresholds, 1 model": _valid(alone, setting),
        "bounds of 15 thresholds, 14 models": _valid(together, setting),
        "bounds of 15 thresholds, 14 models in 3 batches":
            all(_valid(one, setting) for one in batches),
    }  # fmt: skip


def _power(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    """Whether a precision that is exceeded is certified, of any threshold of any model."""
    every, precision = _family(rng, SETTINGS[case.setting], case.n), float(case.variant)
    families = {"1 model": {"0": every["0"]}, "14 models": every}
    return {
        f"certified, {who}": any(
            bound.certificate(name, precision).threshold is not None for name in some
        )
        for who, some in families.items()
        for bound in [family_bounds(some, input="score")]
    }


CERTIFICATES = (
    Experiment(
        "certificates", "Certificates",
        (Promise("bounds of 15 thresholds, 1 model"), Promise("bounds of 15 thresholds, 14 models"),
         Promise("bounds of 15 thresholds, 14 models in 3 batches")),
        cases(tuple(NOISE), (1000, 3000)), 300, _bounds,
    ),
    Experiment(
        "certificate_power", "Certificates of precisions that are exceeded",
        tuple(Promise(f"certified, {who}", 0.5, "power") for who in ("1 model", "14 models")),
        tuple(Case(setting, 3000, p) for setting, p in (
            ("iid", "0.45"), ("spread", "0.45"), ("regime", "0.35"), ("regime", "0.45"),
            ("over5", "0.35"), ("over5", "0.45"))),
        300, _power,
    ),
)  # fmt: skip
