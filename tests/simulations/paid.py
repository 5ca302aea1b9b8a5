"""Promises about the mean return of alarms, which often come in few runs."""

import numpy as np
from scipy.stats import norm

from tests.simulations.chances import MEMORIES
from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.generators import BLOCK, MEMORY, VOLATILITY, autoregressive
from tests.simulations.intervals import covers
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.means import masked_mean

RATE, LEVEL, CONFIDENCE = 0.03, 0.2, 0.95
"""Share of days with an alarm; deviation of the mean return that lasts, of daily deviations."""
HORIZONS = {"one day": 1, "five days": 5}
MEAN, LEAD = "mean return of alarms", "mean return of alarms minus that of all days"


def returns_of(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Returns (n,) over the days of a horizon: a level that moves slowly, and slow volatility."""
    days = HORIZONS[case.setting]
    n = case.n + days
    level, state = autoregressive(rng, (2, n), MEMORY)
    daily = LEVEL * level + np.exp(VOLATILITY * state) * rng.standard_normal(n)
    return np.convolve(daily, np.ones(days), "valid")[: case.n]


def _paid(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    """Alarms that know nothing of returns: what both estimate is 0."""
    returns = returns_of(case, rng)
    mask = autoregressive(rng, case.n, MEMORIES[case.variant]) > norm.isf(RATE)
    if not mask.any():
        return {MEAN: None, LEAD: None}
    blocks = Blocks.of(case.n, time=np.arange(case.n), length=BLOCK)
    own = masked_mean(returns, mask, blocks)
    lead = own.minus(masked_mean(returns, np.ones(case.n, bool), blocks))
    return {
        MEAN: covers(own.estimate(CONFIDENCE), 0.0), LEAD: covers(lead.estimate(CONFIDENCE), 0.0),
    }  # fmt: skip


PAID = Experiment(
    "paid", "Mean return of the alarms of a model that knows nothing",
    (Promise(MEAN), Promise(LEAD)),
    tuple(Case(horizon, n, scores) for horizon in HORIZONS for n in (504, 3000)
          for scores in MEMORIES), 2000, _paid,
)  # fmt: skip
