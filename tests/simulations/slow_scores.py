"""Promises about the difference of two precisions where scores keep their level for months.

Thirty alarms then lie in a few weeks and are worth three or four independent ones.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tests.simulations.experiments import Case, Experiment, Outcome, Promise
from tests.simulations.generators import (
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

MEMORY, TRUTHS = 0.995, 2000
SERIES, RARE, SHARED = 10, 0.05, 0.5
"""Of the panel: series, base rate, and how much of the log-volatility they share."""
PANEL = f"panel of {SERIES}, base rate {100 * RARE:.0f} %"
PAIRS = {"67 % both": (0.67, 0.67), "67 and 40 %": (0.67, 0.4), "30 % both": (0.3, 0.3)}
"""True precisions of both models at a fixed cut, nearly those at a number of alarms."""


def _panel(rng: np.random.Generator, n: int) -> NDArray[np.uint8]:
    """Labels of n days, the series of a day side by side, (n * series,)."""
    common, own = autoregressive(rng, n, 0.98), autoregressive(rng, (SERIES, n), 0.98)
    state = VOLATILITY * (SHARED**0.5 * common + (1 - SHARED) ** 0.5 * own)
    threshold = norm.isf(RARE) * np.hypot(1, VOLATILITY)
    return (state + rng.standard_normal((SERIES, n)) > threshold).T.ravel().astype(np.uint8)


def _drawn(rng: np.random.Generator, case: Case) -> tuple[Sample, Blocks]:
    """Days, and two models with the precisions of the case."""
    precisions = PAIRS[case.variant]
    if case.setting != PANEL:
        setting = SETTINGS[case.setting]
        one = planted(rng, setting, case.n, None, memory=MEMORY, models=2)
        y, noise, blocks, rate = one.y, one.scores, one.blocks, {}
    else:
        y, blocks = _panel(rng, case.n), _days_of(case.n)
        noise = autoregressive(rng, (2, SERIES, case.n), MEMORY).transpose(0, 2, 1).reshape(2, -1)
        rate = {"base_rate": RARE}
    leads = [lead_for(one, ALARMS / len(y), **rate) for one in precisions]
    return Sample(y, np.array(leads)[:, None] * y + noise), blocks


@lru_cache(maxsize=4)
def _days_of(n: int) -> Blocks:
    return Blocks.of(n * SERIES, time=np.repeat(np.arange(n), SERIES), length=20)


@lru_cache(maxsize=16)
def _truth(case: Case) -> float:
    """Difference of both precisions at the number of alarms: the mean over many samples."""
    if len(set(PAIRS[case.variant])) == 1:
        return 0.0
    rng, gap = np.random.default_rng(90_003), 0
    for _ in range(TRUTHS):
        one, _ = _drawn(rng, case)
        top = np.argpartition(one.scores, -ALARMS, axis=1)[:, -ALARMS:]
        hits = one.y[top].sum(axis=1, dtype=int)
        gap += int(hits[0] - hits[1])
    return gap / ALARMS / TRUTHS


def _judge(case: Case, rng: np.random.Generator) -> dict[str, Outcome]:
    one, blocks = _drawn(rng, case)
    both = precision_draws(one.y, one.scores, alarms=ALARMS, blocks=blocks)
    (found,) = simultaneous_contrasts([mean_difference(both[:1], both[1:])])
    truth = _truth(case)
    wrong = None if truth or found.p is None else found.verdict in ("better", "worse")
    return {
        "difference of two precisions@30, slow scores": covers(found.simultaneous, truth),
        "two equal models called different by precision@30, slow scores": wrong,
    }


SLOW = Experiment(
    "slow", "Differences of two precisions whose scores keep their level for months",
    (Promise("difference of two precisions@30, slow scores"),
     Promise("two equal models called different by precision@30, slow scores", 0.05, "error")),
    tuple(Case(setting, 3000, pair) for setting in ("sv", "sv_slow", PANEL) for pair in PAIRS),
    2000, _judge,
)  # fmt: skip
