"""What so many units can tell: errors, smallest differences, alarms that are needed, chance.

Everything here is known before anything is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainc, betaincinv, ndtri

from trueness.errors import at_least
from trueness.evaluation.inputs import InputError, between

POWER = 0.8
MOST = 10**9
"""Days, alarms or candidates that anything is computed for."""
MOST_ALARMS = 20_000
"""An alarm on every session of eighty years."""


def _above(power: float, level: float) -> float:
    """Power that a test can be planned for; one without any difference has its error level."""
    if not level < between("power", power):
        raise InputError(
            f"power {power:g} must lie above the error level of the test, {level:g}", "range"
        )
    return float(power)


def binomial_tail(k: ArrayLike, n: ArrayLike, p: ArrayLike) -> NDArray[np.float64]:
    """Probability of k hits or more in n trials that hit with probability p.

    The p-value of "precision <= p" given k hits of n alarms: the one-sided test that Clopper and
    Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial"
    (1934), invert. Fractions of trials are taken by the same integral, for effective sizes.

    Parameters
    ----------
    k, n : array_like of float
        Hits and trials, 0 <= k <= n.
    p : array_like of float
        In (0, 1).

    Returns
    -------
    float64
        In [0, 1], broadcast over the arguments.

    Examples
    --------
    >>> float(binomial_tail(6, 7, 0.5))
    0.0625
    """
    k, n, p = (np.asarray(value, np.float64) for value in (k, n, p))
    if not ((k >= 0) & (k <= n)).all():
        raise InputError("hits must lie between 0 and the number of trials", "counts")
    if not ((p > 0) & (p < 1)).all():
        raise InputError("the probability of a hit must lie between 0 and 1", "range")
    inside = betainc(np.where(k > 0, k, 1.0), n - k + 1, p)
    return np.where(k > 0, inside, 1.0)


def auc_standard_error(auc: float, positives: int, negatives: int) -> float:
    """Standard error of an AUC whose scores are not at hand, by an exponential model of them.

    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve" (1982). Units count as independent.

    Parameters
    ----------
    auc : float
        In [0, 1]; 0 or 1 have no error.
    positives, negatives : int
        Units of either class, at least one.

    Examples
    --------
    >>> round(auc_standard_error(0.7, 76, 346), 3)
    0.036
    """
    a = float(auc)
    if not 0 <= a <= 1:
        raise InputError(f"AUC {auc} must lie in [0, 1]", "range")
    m, n = at_least("positives", positives, 1, MOST), at_least("negatives", negatives, 1, MOST)
    both_positive, both_negative = a / (2 - a), 2 * a * a / (1 + a)
    spread = (m - 1) * (both_positive - a * a) + (n - 1) * (both_negative - a * a)
    return float(np.sqrt(max(0.0, a * (1 - a) + spread) / (m * n)))


def critical_hits(n: ArrayLike, p: float, level: float) -> NDArray[np.int64]:
    """Fewest hits of n alarms that reject "precision <= p" at a level; n + 1 if none do.

    Examples
    --------
    >>> critical_hits([2, 10, 30], 0.6, 0.05)
    array([ 3,  9, 23])
    """
    n = np.asarray(n, np.int64)
    z = -ndtri(between("level", level))
    middle = n * p + z * np.sqrt(n * p * (1 - p)) + (1 - 2 * p) * (z * z - 1) / 6  # Cornish-Fisher
    low, high = np.zeros_like(n), n + 1  # `low` never rejects, `high` always does
    guess, step = np.floor(middle).astype(np.int64) - 1, 3
    while (high - low > 1).any():
        k = np.clip(guess, low, high - 1)
        rejects = binomial_tail(k, n, p) <= level
        low, high = np.where(rejects, low, k), np.where(rejects, k, high)
        guess, step = (k + step, 0) if step else ((low + high) // 2, 0)
    return high


def detectable_precision(
    alarms: int, precision: float, *, level: float = 0.05, power: float = POWER
) -> float | None:
    """Lowest true precision that so many alarms show to lie above `precision`; None if none can.

    One-sided exact binomial test.

    Parameters
    ----------
    alarms : int
    precision : float
        What is to be exceeded, in (0, 1): the base rate, or the precision to certify.
    level : float
        Error probability of the test, already shared among everything that is tested.
    power : float

    Examples
    --------
    >>> round(detectable_precision(30, 0.18), 2)
    0.39
    >>> detectable_precision(5, 0.6) is None
    True
    """
    n, p = at_least("alarms", alarms, 1, MOST), between("precision", precision)
    _above(power, between("level", level))
    k = int(critical_hits(n, p, level))
    return None if k > n else float(betaincinv(k, n - k + 1, power))


def alarms_needed(
    precision: float, truth: float, *, level: float = 0.05, power: float = POWER
) -> int | None:
    """Fewest alarms that certify "precision above p" with the stated power if `truth` is true.

    Exact binomial test. Hits are whole, so the power of a few more alarms may dip below again. None
    if the truth does not lie above p, or if more than about `MOST_ALARMS` are needed.

    Parameters
    ----------
    precision : float
        To certify, in (0, 1).
    truth : float
        True precision, in (0, 1].
    level, power : float

    Examples
    --------
    >>> alarms_needed(0.6, 0.7), alarms_needed(0.6, 0.8), alarms_needed(0.6, 0.6)
    (143, 36, None)
    """
    p, level = between("precision", precision), between("level", level)
    between("power", power)
    if not p < truth <= 1:
        return None
    spread = -ndtri(level) * np.sqrt(p * (1 - p)) + ndtri(power) * np.sqrt(truth * (1 - truth))
    rough = (max(spread, 0.0) / (truth - p)) ** 2
    if rough > MOST_ALARMS:
        return None
    margin = 5 * np.sqrt(rough) + np.log(level) / np.log(p) + 100
    n = np.arange(max(1, int(0.8 * rough - margin)), int(1.25 * rough + margin))
    k = critical_hits(n, p, level)
    reached = binomial_tail(np.minimum(k, n), n, min(truth, np.nextafter(1, 0))) >= power
    enough = np.flatnonzero(reached & (k <= n))
    return int(n[enough[0]]) if len(enough) else None


def chance_of_best(
    k: int, n: int, precision: float, *, models: int = 1, alarms: Sequence[int] | None = None
) -> float:
    """Probability that the best of several models shows k hits of n or better by chance alone.

    All have the same true precision and independent alarms. Models on the same days are alike, and
    the best of them then has fewer chances: take this as the largest value it can have.

    Parameters
    ----------
    k, n : int
        The share that was, or would be, shown.
    precision : float
        True precision of every model, in (0, 1).
    models : int
        With n alarms each.
    alarms : sequence of int, optional
        Alarms of every model in place of `models`; each shows "k of n or better" when its own
        share is at least k / n.

    Examples
    --------
    >>> round(chance_of_best(6, 7, 0.4), 3), round(chance_of_best(6, 7, 0.4, models=183), 2)
    (0.019, 0.97)
    """
    n, k = at_least("alarms", n, 1, MOST), at_least("hits", k, 0, MOST)
    p, times = between("precision", precision), at_least("models", models, 1, MOST)
    if k > n:
        raise InputError(f"{k} hits of {n} is no proportion", "counts")
    each = np.array([n]) if alarms is None else _alarms(alarms)
    tail = binomial_tail(-((-k * each) // n), each, p)
    if (tail == 1).any():
        return 1.0
    return float(-np.expm1((times if alarms is None else 1) * np.log1p(-tail).sum()))


def _alarms(alarms: Sequence[int]) -> NDArray[np.int64]:
    """Alarms of every model; whole numbers of at least 1."""
    each = np.asarray(alarms)
    if each.ndim != 1 or not len(each) or each.dtype.kind not in "iuf":
        raise InputError("alarms of the models: a list of whole numbers is needed", "type")
    if not ((each >= 1) & (each <= MOST) & (each == np.floor(each))).all():
        raise InputError(
            f"every model needs at least 1 alarm, a whole number up to {MOST:,}", "range"
        )
    return each.astype(np.int64)


def best_hits_by_chance(
    n: int, precision: float, *, models: int = 1, probability: float = 0.5
) -> int:
    """Most hits of n that the best of several equal models reaches with a probability, by chance.

    Examples
    --------
    >>> best_hits_by_chance(30, 0.18), best_hits_by_chance(30, 0.18, models=183)
    (5, 12)
    """
    between("probability", probability)
    low, high = 0, at_least("alarms", n, 1, MOST) + 1  # `low` is reached, `high` is not
    while high - low > 1:
        k = (low + high) // 2
        likely = chance_of_best(k, n, precision, models=models) >= probability
        low, high = (k, high) if likely else (low, k)
    return low
