"""Promises about monitoring: a promise that is kept is rarely refuted, one that is broken soon is."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from tests.simulations.chances import MEMORIES
from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.generators import BASE_RATE, BLOCK, SETTINGS, lead_for, planted
from trueness.evaluation.confidence_sequence import (
    block_means,
    confidence_sequence,
    wealth_against,
)

DAYS, RATE, PROMISED, LEVEL = 504, 0.06, 0.6, 0.05
"""Two years of daily checks, share of days with an alarm, precision that was promised."""


def cut_for(precision: float) -> float:
    """Score from which an alarm is raised, so that so many days have one of that precision."""
    lead = lead_for(precision, RATE)

    def surplus(cut: float) -> float:
        return BASE_RATE * norm.sf(cut - lead) + (1 - BASE_RATE) * norm.sf(cut) - RATE

    return float(brentq(surplus, -5, 10))


def outcomes(
    case: Case, rng: np.random.Generator, precision: float
) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of the alarms of a model of a true precision, and the days of the alarms."""
    one = planted(
        rng, SETTINGS[case.setting], case.n, precision, memory=MEMORIES[case.variant],
        alarms=round(RATE * case.n),
    )  # fmt: skip
    days = np.flatnonzero(one.scores[0] > cut_for(precision))
    return one.y[days].astype(float), days


def is_refuted(x: np.ndarray, days: np.ndarray) -> bool:
    """Whether evidence ever reached 20, by means of blocks."""
    means, _ = block_means(x, days, BLOCK)
    return bool(wealth_against(means, PROMISED).max(initial=0) >= 1 / LEVEL)


def _watched(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    x, days = outcomes(case, rng, PROMISED)
    bounds = confidence_sequence(block_means(x, days, BLOCK)[0])
    actual: dict[str, Outcome] = {
        "a kept promise is refuted within two years": is_refuted(x, days),
        "bounds of the precision hold at all times": bool(
            (bounds.low <= PROMISED).all() and (bounds.high >= PROMISED).all()
        ),
    }
    for points in (10, 20, 30):
        fallen = outcomes(case, rng, PROMISED - points / 100)
        actual[f"a fall of {points} points is found within two years"] = is_refuted(*fallen)
    return actual


WATCHED = Experiment(
    "watched", "What monitoring says of a promise of 60 %, by daily checks",
    (Promise("a kept promise is refuted within two years", 0.05, "error"),
     Promise("bounds of the precision hold at all times"),
     *(Promise(f"a fall of {points} points is found within two years", 0.5, "power")
       for points in (10, 20, 30))),
    tuple(Case(setting, DAYS, scores) for setting in ("iid", "markov", "sv", "sv5")
          for scores in MEMORIES), 2000, _watched,
)  # fmt: skip
