"""Promises about probabilities: consistency bands, and the interval of the calibration error."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from tests.simulations.experiments import Case, Experiment, Outcome, Promise, cases
from tests.simulations.generators import LARGE, SETTINGS, Setting, sample
from tests.simulations.intervals import covers
from trueness.evaluation.calibration import expected_calibration_error, reliability_diagram_data
from trueness.evaluation.metrics import measure

Array = NDArray[np.float64]
POINTS = 400
"""Places of the score between which its true probability is interpolated."""
SHIFT = 0.5
"""Log-odds by which the probabilities of a model are wrong."""


@lru_cache(maxsize=16)
def _map(setting: Setting) -> tuple[Array, Array]:
    """Scores, rising, and the probability of a positive at each, (400,) each."""
    whole = sample(np.random.default_rng(90_003), setting, LARGE)
    order = np.argsort(whole.scores[0])
    groups = np.array_split(order, POINTS)
    score = np.array([whole.scores[0][some].mean() for some in groups])
    return score, np.array([whole.y[some].mean() for some in groups])


def true_probability(setting: Setting, score: Array) -> Array:
    """Probability of a positive given the score alone, (n,)."""
    return np.clip(np.interp(score, *_map(setting)), 1e-4, 1 - 1e-4)


@lru_cache(maxsize=16)
def _shifted_error(setting: Setting) -> float:
    """Calibration error of the wrong probabilities among all days."""
    whole = sample(np.random.default_rng(90_004), setting, LARGE)
    prob = expit(logit(true_probability(setting, whole.scores[0])) + SHIFT)
    return expected_calibration_error(whole.y, prob)


def _calibration(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    setting = SETTINGS[case.setting]
    one = sample(rng, setting, case.n)
    prob = true_probability(setting, one.scores[0])
    bins = reliability_diagram_data(one.y, prob, strategy="quantile", bands=0.95, blocks=one.blocks)
    share = bins["positive_share"]
    wrong, right = (
        measure(
            one.y, logit(prob) + shift, alarms=(30,), alarm_rate_pct=5, confidence=0.95,
            blocks=one.blocks, input="score",
        )["calibration_error"]
        for shift in (SHIFT, 0.0)
    )  # fmt: skip
    return {
        "bins of true probabilities inside their bands":
            (bins["band_low"] <= share) & (share <= bins["band_high"]),
        "calibration error of wrong probabilities": covers(wrong, _shifted_error(setting)),
        "calibration error of true probabilities": covers(right, 0.0),
    }  # fmt: skip


CALIBRATION = Experiment(
    "calibration", "Calibration",
    (Promise("bins of true probabilities inside their bands"),
     Promise("calibration error of wrong probabilities"),
     Promise("calibration error of true probabilities")),
    cases(("iid", "regime", "spread", "over5", "over5ar"), (422, 3000)), 500, _calibration,
)  # fmt: skip
