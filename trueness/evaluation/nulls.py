"""Whether the leader of a leaderboard is more than luck, and more than the best of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import betainc

from trueness.evaluation.inputs import InputError
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.selection import Contrast


@dataclass(frozen=True)
class TwoNulls:
    """Whether the leader of a leaderboard is more than luck, and more than the best of many.

    Attributes
    ----------
    alarms : Estimate
        The leader's hits of alarms.
    base_rate : float
        Share of positives among all days, in [0, 1].
    chance_p : float or None
        Probability that the best of `looked_at` guessers has as many hits; None without alarms.
    looked_at : int
        Runs among which the leader was found.
    siblings, tied, ahead : int
        Other candidates; those that the leader cannot be told from in AUC; those better than it.
    precision_tied : int or None
        Those that it cannot be told from in precision at the same number of alarms.
    baseline : Contrast or None
        Leader minus best baseline.
    beating, candidates : int
        Candidates better than the best baseline after correction, and all that were compared to it.
    alpha : float
        One minus the confidence.
    baseline_precision : Contrast or None
        Leader minus best baseline in precision at the same number of alarms.
    in_blocks : bool
        Whether `chance_p` knows that days depend on each other; else it takes them as independent.
    """

    alarms: Estimate
    base_rate: float
    chance_p: float | None
    looked_at: int
    siblings: int
    tied: int
    ahead: int
    precision_tied: int | None
    baseline: Contrast | None
    beating: int
    candidates: int
    alpha: float
    baseline_precision: Contrast | None = None
    in_blocks: bool = False

    @property
    def beats_chance(self) -> bool:
        """Whether guessing is refused."""
        return self.chance_p is not None and self.chance_p <= self.alpha

    @property
    def beats_siblings(self) -> bool:
        """Whether the leader is better than every other candidate."""
        return self.siblings > 0 and self.tied == self.ahead == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        against = {
            name: None if one is None else one.to_dict()
            for name, one in (
                ("baseline", self.baseline), ("baseline_precision", self.baseline_precision),
            )
        }  # fmt: skip
        yes = {"beats_chance": self.beats_chance, "beats_siblings": self.beats_siblings}
        return {**asdict(self), **against, **yes}


def chance_p(hits: int, alarms: int, base_rate: float, looked_at: int = 1) -> float:
    """Probability that the best of several guessers has at least so many hits.

    Exact binomial tail, days taken as independent, after Šidák: ``1 - (1 - p) ** looked_at``.

    Examples
    --------
    >>> round(chance_p(6, 7, 0.18), 6), round(chance_p(6, 7, 0.18, 183), 3)
    (0.000201, 0.036)
    """
    if not 0 <= hits <= alarms or not 0 <= base_rate <= 1 or looked_at < 1:
        raise InputError(
            f"{hits} hits of {alarms} alarms at a base rate of {base_rate} among {looked_at} "
            "runs: 0 <= hits <= alarms, a rate in [0, 1] and at least one run are needed", "counts",
        )  # fmt: skip
    p = 1.0 if hits == 0 else float(betainc(hits, alarms - hits + 1, base_rate))
    return sidak(p, looked_at)


def sidak(p: float, n_candidates: int) -> float:
    """Adjusted p-value of the smallest of so many: ``1 - (1 - p) ** n``.

    Šidák, "Rectangular confidence regions for the means of multivariate normal distributions"
    (1967).

    Examples
    --------
    >>> round(sidak(0.01, 10), 3)
    0.096
    """
    return 1.0 if p >= 1 else float(-np.expm1(n_candidates * np.log1p(-p)))


def two_nulls(
    alarms: Estimate,
    base_rate: float,
    looked_at: int,
    siblings: Sequence[Contrast],
    baseline: Contrast | None,
    against_baseline: Sequence[Contrast],
    confidence: float = 0.95,
    siblings_precision: Sequence[Contrast] | None = None,
    baseline_precision: Contrast | None = None,
    single_p: float | None = None,
) -> TwoNulls:
    """Compare a leader with chance, with its siblings, and with the best baseline.

    Parameters
    ----------
    alarms : Estimate
        Hits of alarms of the leader.
    base_rate : float
        In [0, 1].
    looked_at : int
        Runs among which the leader was found.
    siblings : sequence of Contrast
        Leader minus each other candidate, simultaneous, as of `contrasts_with_leader`.
    baseline : Contrast or None
        Leader minus the best baseline; one of `against_baseline`.
    against_baseline : sequence of Contrast
        Every candidate minus the best baseline, simultaneous.
    siblings_precision : sequence of Contrast, optional
        As `siblings`, in precision at the same number of alarms.
    baseline_precision : Contrast, optional
        As `baseline`, in precision at the same number of alarms.
    single_p : float, optional
        P-value of the leader's hits against the base rate before the correction for `looked_at`;
        that of independent days by default.
    """
    verdicts = [c.verdict for c in siblings]
    p = chance_p(alarms.k or 0, alarms.n, base_rate, looked_at) if alarms.n else None
    if p is not None and single_p is not None:
        p = sidak(single_p, looked_at)
    return TwoNulls(
        alarms, base_rate, p, looked_at,
        len(verdicts), _ties(siblings), verdicts.count("worse"),
        None if siblings_precision is None else _ties(siblings_precision),
        baseline, sum(c.verdict == "better" for c in against_baseline), len(against_baseline),
        1 - confidence, baseline_precision, p is not None and single_p is not None,
    )  # fmt: skip


def _ties(contrasts: Sequence[Contrast]) -> int:
    return sum(c.verdict in ("tied", "unknown") for c in contrasts)
