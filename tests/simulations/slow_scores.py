"""Promises about the difference of two precisions where scores keep their level for months.

Thirty alarms then lie in a few weeks and are worth three or four independent ones.
"""

from functools import lru_cache

import numpy as np
from scipy.stats import norm

from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.generators import (
    MEMORY,
    SETTINGS,
    VOLATILITY,
    Sample,
    autoregressive,
    lead_for,
    planted,
)
from tests.simulations.intervals import ALARMS, covers
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.joint_draws import precision_draws
from trueness.evaluation.resampling import mean_difference
from trueness.evaluation.selection import simultaneous_contrasts

SLOW_MEMORY, TRUTHS = 0.995, 2000
SERIES, RARE, SHARED, NOISE = 10, 0.05, 0.5, 2.0
"""Of the panel: series, base rate, how much of the log-volatility they share, noise of scores."""
PANEL = f"panel of {SERIES}, base rate {100 * RARE:.0f} %"
PAIRS = {"67 % both": (0.67, 0.67), "67 and 40 %": (0.67, 0.4), "30 % both": (0.3, 0.3)}
"""True precisions of both models at a fixed cut, nearly those at a number of alarms."""
SLOW_DIFFERENCE = "difference of two precisions@30, slow scores"
"""What is promised; of two equal models the rest are called different."""
FOLLOWING = "both follow volatility"


def _panel(rng: np.random.Generator, case: Case) -> Sample:
    """Days of several series, the series of a day side by side."""
    shape = (SERIES, case.n)
    state = SHARED**0.5 * autoregressive(rng, case.n, MEMORY)
    state = state + (1 - SHARED) ** 0.5 * autoregressive(rng, shape, MEMORY)
    event = VOLATILITY * state + rng.standard_normal(shape)
    y = event > norm.isf(RARE) * np.hypot(1, VOLATILITY)
    noise = autoregressive(rng, (2, *shape), SLOW_MEMORY)
    if case.variant == FOLLOWING:
        scores = state + NOISE * noise
    else:
        scores = _leads(case, y.size, RARE)[:, None, None] * y + noise
    by_day = scores.transpose(0, 2, 1).reshape(2, -1)
    return Sample(y.T.ravel().astype(np.uint8), by_day)


def _leads(case: Case, units: int, *base_rate: float) -> np.ndarray:
    return np.array([lead_for(one, ALARMS / units, *base_rate) for one in PAIRS[case.variant]])


def _drawn(rng: np.random.Generator, case: Case) -> Sample:
    """Days, and two models with the precisions of the case."""
    if case.setting == PANEL:
        return _panel(rng, case)
    one = planted(rng, SETTINGS[case.setting], case.n, None, memory=SLOW_MEMORY, models=2)
    return Sample(one.y, _leads(case, case.n)[:, None] * one.y + one.scores)


@lru_cache(maxsize=4)
def _blocks(n: int, series: int) -> Blocks:
    return Blocks.of(n * series, time=np.repeat(np.arange(n), series), length=20)


@lru_cache(maxsize=16)
def _truth(case: Case) -> float:
    """Difference of both precisions at the number of alarms: the mean over many samples."""
    if len(set(PAIRS.get(case.variant, ()))) < 2:
        return 0.0
    rng, gap = np.random.default_rng(90_003), 0
    for _ in range(TRUTHS):
        one = _drawn(rng, case)
        top = np.argpartition(one.scores, -ALARMS, axis=1)[:, -ALARMS:]
        hits = one.y[top].sum(axis=1, dtype=int)
        gap += int(hits[0] - hits[1])
    return gap / ALARMS / TRUTHS


def _judge(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    one = _drawn(rng, case)
    blocks = _blocks(case.n, len(one.y) // case.n)
    both = precision_draws(one.y, one.scores, alarms=ALARMS, blocks=blocks)
    (actual,) = simultaneous_contrasts([mean_difference(both[:1], both[1:])])
    return {SLOW_DIFFERENCE: covers(actual.simultaneous, _truth(case))}


SLOW = Experiment(
    "slow", "Differences of two precisions whose scores keep their level for months",
    (Promise(SLOW_DIFFERENCE),),
    tuple(Case(setting, 3000, pair) for setting, pairs in (
        ("sv", PAIRS), ("sv_slow", PAIRS), (PANEL, ("67 % both", "30 % both", FOLLOWING)))
        for pair in pairs),
    2000, _judge,
)  # fmt: skip
