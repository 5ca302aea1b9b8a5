"""What remains of a difference when it was one of many: joint resampling, and the two nulls.

The days are resampled once for all models, so that every comparison sees the same days. The
simultaneous intervals are those of the studentised maximum: White, "A Reality Check for Data
Snooping" (2000); Romano and Wolf, "Stepwise Multiple Testing as Formalized Data Snooping" (2005),
its first step, so that the verdict is what the interval shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtr, stdtrit

from trueness.errors import TruenessError
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import _number
from trueness.evaluation.resampling import Resampled, mean_difference, resampled_aucs

Array = NDArray[np.float64]
Verdict: TypeAlias = Literal["better", "worse", "tied", "unknown"]
SMALLEST_ERROR = 1e-12
"""Standard errors below it are rounding: the two rank the days alike."""
SMALLEST_PAIR_ERROR = 1e-9
"""The same where it comes from a covariance; one pair of days moves an AUC by more."""


@dataclass(frozen=True)
class Contrast:
    """A difference with the interval it has alone, and the one it has among its companions."""

    pointwise: Estimate
    simultaneous: Estimate

    @property
    def verdict(self) -> Verdict:
        """Better or worse if the simultaneous interval leaves 0 out; unknown if there is none."""
        low, high = self.simultaneous.low, self.simultaneous.high
        if low is None or high is None:
            return "unknown"
        return "better" if low > 0 else "worse" if high < 0 else "tied"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**asdict(self), "verdict": self.verdict}


def simultaneous_contrasts(
    differences: Sequence[Resampled], confidence: float = 0.95
) -> list[Contrast]:
    """Pointwise and simultaneous intervals of differences that were resampled together.

    All simultaneous intervals cover their differences at once with about the stated confidence:
    ``d ± c s`` with s the standard error over the draws and c the quantile of the largest
    ``|d* - d| / s`` of a draw. A difference that no resample moves from 0 is exactly [0, 0].

    NOTE[DIFF]: with few blocks the draws scatter too little (20 blocks: 9 % errors instead of 5 %);
    c is stretched from the normal to Student's quantile of as many blocks.

    Examples
    --------
    >>> same = Resampled(0.0, np.zeros(100), 500, 25)
    >>> simultaneous_contrasts([same])[0].verdict
    'tied'
    """
    _check_confidence(confidence)
    if not differences:
        return []
    values, draws = _together(differences)
    error = draws.std(axis=1, ddof=1) if draws.shape[1] > 1 else np.full(len(values), np.nan)
    moving = error > SMALLEST_ERROR
    critical = 0.0
    if moving.any():
        t = np.abs(draws[moving] - values[moving, None]) / error[moving, None]
        largest = float(np.quantile(t.max(axis=0), confidence))
        critical = stretched(largest, min(d.blocks for d in differences))
    return _contrasts(differences, error, critical, confidence, len(differences))


def contrasts_with_leader(
    candidates: Sequence[Resampled],
    leader: int,
    confidence: float = 0.95,
    critical: float | None = None,
) -> list[Contrast]:
    """Leader minus each other candidate, corrected for the leader being the best of the same days.

    Who leads is chance too, so the critical value is that of all pairs of candidates, not only of
    those with this leader: no candidate of equal worth is told from whichever one leads, with about
    the stated confidence. Tukey, "The problem of multiple comparisons" (1953); the range statistic
    of Hansen, Lunde and Nason, "The Model Confidence Set" (2011), its first step.

    Parameters
    ----------
    candidates : sequence of Resampled
        On the same resampled days.
    leader : int
        Position of the leader among them.
    confidence : float
        In (0, 1).
    critical : float, optional
        `critical_of_pairs` of the same candidates, if it is known.

    Returns
    -------
    list of Contrast
        In the order of the other candidates; ``n_candidates`` is the number of candidates.
    """
    _check_confidence(confidence)
    if not 0 <= leader < len(candidates):
        raise TruenessError(f"no candidate {leader} among {len(candidates)} to be the leader")
    own = candidates[leader]
    found = [mean_difference([own], [o]) for i, o in enumerate(candidates) if i != leader]
    values, draws = _together(candidates)
    few = draws.shape[1] < 2
    error = np.full(len(values), np.nan) if few else (draws[leader] - draws).std(axis=1, ddof=1)
    if critical is None:
        critical = critical_of_pairs(candidates, confidence)
    return _contrasts(found, np.delete(error, leader), critical, confidence, len(candidates))


def critical_of_pairs(candidates: Sequence[Resampled], confidence: float = 0.95) -> float:
    """Standard errors by which the differences of all pairs deviate at most, at that confidence.

    0 if no resample moves any of them, or fewer than two resamples are defined.
    """
    _check_confidence(confidence)
    values, draws = _together(candidates)
    if draws.shape[1] < 2 or len(values) < 2:
        return 0.0
    largest = float(np.quantile(_largest_among_pairs(values, draws), confidence))
    return stretched(largest, min(c.blocks for c in candidates)) if largest else 0.0


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise TruenessError(f"confidence {confidence} must lie between 0 and 1")


def _together(statistics: Sequence[Resampled]) -> tuple[Array, Array]:
    """Values (m,) and the draws (m, draws) in which all of them are defined."""
    draws = np.array([s.draws for s in statistics])
    return np.array([s.value for s in statistics]), draws[:, np.isfinite(draws).all(axis=0)]


def _largest_among_pairs(values: Array, draws: Array) -> Array:
    """Largest studentised deviation of a difference of two, for each draw, (draws,)."""
    deviation = draws - values[:, None]
    spread = np.cov(draws)
    square = spread.diagonal() + spread.diagonal()[:, None] - 2 * spread
    moving = square > SMALLEST_PAIR_ERROR**2
    scale = np.divide(1.0, np.sqrt(np.abs(square)), out=np.zeros_like(square), where=moving)
    largest = np.zeros(draws.shape[1])
    for start in range(0, draws.shape[1], 128):  # so many draws stay in the cache
        part = np.ascontiguousarray(deviation[:, start : start + 128])
        top, room = largest[start : start + 128], np.empty_like(part)
        for i in range(len(part) - 1):
            t = np.subtract(part[i + 1 :], part[i], out=room[i + 1 :])
            t *= scale[i, i + 1 :, None]
            np.maximum(top, np.abs(t, out=t).max(axis=0), out=top)
    return largest


def _contrasts(
    differences: Sequence[Resampled], error: Array, critical: float, confidence: float, of: int
) -> list[Contrast]:
    return [
        Contrast(d.estimate(confidence), _at_once(d, critical * e, of))
        for d, e in zip(differences, error, strict=True)
    ]


def stretched(critical: float, blocks: int) -> float:
    """Quantile of a mean of few blocks whose spread is estimated, from the normal one."""
    return float(-stdtrit(blocks - 1, ndtr(-critical)) * np.sqrt(blocks / (blocks - 1)))


def _at_once(difference: Resampled, half: float, companions: int) -> Estimate:
    """Difference ± half; no interval if it is undefined, or away from 0 without any spread."""
    value, n = _number(difference.value), difference.n
    still = half <= SMALLEST_ERROR
    if value is None or not np.isfinite(half) or (still and abs(value) > SMALLEST_ERROR):
        return Estimate(value, None, None, n, n_candidates=companions)
    half = 0.0 if still else half
    return Estimate(value, value - half, value + half, n, n_candidates=companions)


def simultaneous_differences(
    y: object,
    scores: Sequence[Sequence[object]],
    references: Sequence[Sequence[object]],
    *,
    block: int,
    confidence: float = 0.95,
) -> list[Contrast]:
    """AUC of each candidate minus that of its reference, corrected for their number.

    Parameters
    ----------
    y : (n,)
        Labels in time order.
    scores, references : m sequences of (n,) arrays
        Replicates (seeds) of each candidate and of what it is compared to; their AUCs are averaged.
    block : int
        Days per block of the bootstrap.
    confidence : float
        Of the pointwise, and of all simultaneous intervals together, in (0, 1).

    Returns
    -------
    list of m Contrast
    """
    if len(scores) != len(references):
        raise TruenessError(f"{len(references)} references for {len(scores)} candidates")
    distinct = {id(s): s for group in (*scores, *references) for s in group}
    known = dict(zip(distinct, resampled_aucs(y, distinct.values(), block=block), strict=True))
    found = [
        mean_difference([known[id(s)] for s in ours], [known[id(s)] for s in theirs])
        for ours, theirs in zip(scores, references, strict=True)
    ]
    return simultaneous_contrasts(found, confidence)


# ------------------------------------------------------------------------------------ the two nulls


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
        raise TruenessError(
            f"{hits} hits of {alarms} alarms at a base rate of {base_rate} among {looked_at} "
            "runs: 0 <= hits <= alarms, a rate in [0, 1] and at least one run are needed"
        )
    p = 1.0 if hits == 0 else float(betainc(hits, alarms - hits + 1, base_rate))
    return among(p, looked_at)


def among(p: float, looked_at: int) -> float:
    """Smallest of so many p-values, by Sidak.

    Examples
    --------
    >>> round(among(0.01, 10), 3)
    0.096
    """
    return 1.0 if p >= 1 else float(-np.expm1(looked_at * np.log1p(-p)))


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
        p = among(single_p, looked_at)
    return TwoNulls(
        alarms, base_rate, p, looked_at,
        len(verdicts), _ties(siblings), verdicts.count("worse"),
        None if siblings_precision is None else _ties(siblings_precision),
        baseline, sum(c.verdict == "better" for c in against_baseline), len(against_baseline),
        1 - confidence, baseline_precision, p is not None and single_p is not None,
    )  # fmt: skip


def _ties(contrasts: Sequence[Contrast]) -> int:
    return sum(c.verdict in ("tied", "unknown") for c in contrasts)
