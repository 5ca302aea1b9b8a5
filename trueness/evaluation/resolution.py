"""What so many units can show: the smallest differences that the tests of a leaderboard find.

The three questions that a leaderboard answers about its leader have three tests, and each finds a
true difference of some size in four of five samples: that it is better than chance (joint circular
shifts), than the best baseline, than every other candidate (simultaneous intervals of joint draws).
The sizes are computed from these tests themselves, on the labels at hand or on simulated ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from trueness.evaluation.power import POWER
from trueness.evaluation.rearranged import Chance
from trueness.evaluation.resampling import Resampled
from trueness.evaluation.selection import largest_of_pairs, max_t_critical

Array = NDArray[np.float64]
STEPS = 1000
"""Precisions between the base rate and 1 that are tried."""


@dataclass(frozen=True)
class Resolution:
    """Smallest true differences that are found with the stated power; None where none is.

    Attributes
    ----------
    precision, auc : float or None
        Of one model that is better than chance: its precision at the alarm budget, and its AUC.
    baseline, siblings : float or None
        AUC differences of a leader to the best baseline, and to every other candidate.
    median_hits, upper_hits : int or None
        Hits that the best of all candidates has half of the time, and rarely, if none of them knows
        anything of the labels.
    power : float
    """

    precision: float | None
    auc: float | None
    baseline: float | None
    siblings: float | None
    median_hits: int | None
    upper_hits: int | None
    power: float = POWER

    def scaled(self, factor: float) -> Resolution:
        """With errors so many times as large, as of more or fewer units."""
        auc = None if self.auc is None else 0.5 + (self.auc - 0.5) * factor
        apart = [None if x is None else x * factor for x in (self.baseline, self.siblings)]
        return replace(self, auc=auc, baseline=apart[0], siblings=apart[1])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def resolution(
    positives: int, n: int, place: int, aucs: Sequence[Resampled], baselines: Sequence[Resampled],
    precision: Resampled, chances: tuple[Chance, Chance], confidence: float = 0.95,
    power: float = POWER,
) -> Resolution:  # fmt: skip
    """What the units can show about a leader among its companions.

    Parameters
    ----------
    positives, n : int
        Of the units.
    place : int
        Of the leader among the models of `chances`.
    aucs, baselines : sequences of Resampled
        Joint draws of the candidates, the leader first, and of the baselines.
    precision : Resampled
        Of the leader, at the alarm budget.
    chances : (Chance, Chance)
        Of the alarms and of the ranks of all models that were tested.
    confidence, power : float

    Returns
    -------
    Resolution
    """
    of_alarms, of_ranks = chances
    hits = [float(np.quantile(of_alarms.highest, q)) for q in (0.5, confidence)]
    base, pairs = positives / n, positives * (n - positives)
    best_by_chance = [int(np.floor(base * precision.n + one + 1e-9)) for one in hits]
    by_rank = of_ranks.needed(place, confidence) / pairs
    return Resolution(
        _precision(of_alarms, place, precision, base, confidence, power),
        _below_one(0.5 + by_rank + float(ndtri(power)) * aucs[0].error),
        _apart(aucs[0], baselines, _largest_to(aucs, baselines), confidence, power),
        _apart(aucs[0], aucs[1:], largest_of_pairs(aucs), confidence, power),
        *(best_by_chance if np.isfinite(hits).all() else (None, None)), power,
    )  # fmt: skip


def _below_one(value: float) -> float | None:
    return value if value < 1 else None


def _precision(
    chance: Chance, place: int, drawn: Resampled, base: float, confidence: float, power: float
) -> float | None:
    """Lowest true precision that the shifts find."""
    if not drawn.n or not chance.spread[0, place]:
        return None
    truths = base + (1 - base) * np.arange(1, STEPS) / STEPS
    spread = np.sqrt(drawn.dependence.effect * truths * (1 - truths) / drawn.n)
    needed = chance.needed(place, confidence) / drawn.n + ndtri(power) * spread
    result = np.flatnonzero(truths - base >= needed)
    return float(truths[result[0]]) if len(result) else None


def _largest_to(aucs: Sequence[Resampled], baselines: Sequence[Resampled]) -> Array:
    """Largest studentised deviation of a candidate from a baseline, in each draw."""
    if not baselines:
        return np.full(len(aucs[0].draws), np.nan)
    draws = np.array([one.draws - one.value for one in aucs])
    largest = np.zeros(draws.shape[1])
    for one in baselines:
        moved = draws - (one.draws - one.value)
        error = np.maximum(moved.std(axis=1, keepdims=True, ddof=1), 1e-12)
        largest = np.maximum(largest, np.abs(moved / error).max(axis=0))
    return largest


def _apart(
    leader: Resampled, others: Sequence[Resampled], largest: Array, confidence: float, power: float
) -> float | None:
    """Lead over the best of the others with which all intervals leave out 0 in so many samples.

    Others that lie lower, as they do here, are left behind by more than that. Another sample would
    estimate another standard error as well.
    """
    others = [one for one in others if np.isfinite(one.draws).all()]
    if not others or not np.isfinite(largest).any():
        return None
    critical = max_t_critical(largest, leader.freedom, confidence)
    best = max(one.value for one in others)
    needed, freedom = np.full(len(leader.draws), -np.inf), leader.freedom
    estimated = np.random.default_rng(0).chisquare(freedom, len(leader.draws)) / freedom
    for one in others:
        moved = (leader.draws - leader.value) - (one.draws - one.value)
        error = float(moved.std(ddof=1))
        needed = np.maximum(
            needed, critical * error * np.sqrt(estimated) - moved - (best - one.value)
        )
    value = float(np.quantile(needed, power))
    return value if np.isfinite(value) else None
