"""Certificates: a threshold whose precision is guaranteed, everything that was looked at counted.

For each threshold the hypothesis "its precision is at most p" is tested on its alarms. Rejecting
with a familywise error of ``1 - confidence`` means: the probability that any certified threshold
has a precision of p or less is at most that. Angelopoulos, Bates, Candès, Jordan and Lei, "Learn
then Test: Calibrating Predictive Algorithms to Achieve Risk Control" (2021).

Two ways of sharing the error:

``fixed_sequence``
    Thresholds are tested one after another at the full level, up to the first that fails. Their
    order must be fixed in advance on *other* days (`sequence` does that on validation); an order
    that has seen the labels it is tested on guarantees nothing.
``holm``
    Needs no order and no other days, and pays for every threshold of every candidate. Holm, "A
    simple sequentially rejective multiple test procedure" (1979).

The guarantee speaks about days like those that were tested: a market that changes is not covered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from trueness.errors import TruenessError
from trueness.evaluation.dependence import (
    INDEPENDENT,
    Dependence,
    dependence,
    precision_p_value,
)
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.power import alarms_needed, at_least, between, binomial_tail
from trueness.evaluation.thresholds import Array, threshold_sweep

Method = Literal["fixed_sequence", "holm"]
METHODS = ("fixed_sequence", "holm")
Candidate: TypeAlias = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Labels (n,), scores (n,), thresholds (m,)."""


@dataclass(frozen=True)
class Verdict:
    """One threshold on the part that certifies.

    Attributes
    ----------
    cut : float
        Lowest score, a logit, that raises an alarm.
    probability : float
        The same as a probability.
    hits, alarms : int
    share : Estimate
        Observed precision with its exact interval.
    effective : float
        Independent alarms that say as much, at the level.
    depends : Dependence
        Design effect and effective number of blocks.
    p_value : float
        Of "the precision is at most p", not corrected.
    level : float
        What the p-value must not exceed.
    certified : bool
    """

    cut: float
    probability: float
    hits: int
    alarms: int
    share: Estimate
    effective: float
    depends: Dependence
    p_value: float
    level: float
    certified: bool


@dataclass(frozen=True)
class Certificate:
    """The answer for one candidate.

    Attributes
    ----------
    precision, confidence : float
        What was to be guaranteed, and how surely.
    method : {"fixed_sequence", "holm"}
    hypotheses : int
        Among how many the error is shared: candidates for a fixed sequence, thresholds times
        candidates for Holm.
    block : int
        Days over which hits may depend on each other.
    threshold : Verdict or None
        The certified threshold with the most hits.
    closest : Verdict or None
        Where none is certified: the one with the smallest p-value; None if no threshold raises an
        alarm.
    more_alarms : int or None
        Further alarms that would certify the closest one, with a power of 80 %, if the observed
        precision is the true one; None if no number is enough, 0 if one is certified.
    tested : tuple of Verdict
        In the order of the thresholds given.
    """

    precision: float
    confidence: float
    method: Method
    hypotheses: int
    block: int
    threshold: Verdict | None
    closest: Verdict | None
    more_alarms: int | None
    tested: tuple[Verdict, ...]

    def __str__(self) -> str:
        claim = (
            f"precision above {100 * self.precision:g} % at {100 * self.confidence:g} % confidence"
        )
        if self.threshold is not None:
            return f"{claim}: certified from probability {_facts(self.threshold)}"
        if self.closest is None:
            return f"{claim}: not certified, no threshold raises an alarm"
        more = self.more_alarms
        needs = (
            f"needs about {more:,} more alarms if the precision is the observed one"
            if more is not None
            else "no number of further alarms would do at the observed precision"
        )
        return f"{claim}: not certified, {needs}; closest from probability {_facts(self.closest)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def _facts(one: Verdict) -> str:
    worth = f" (there worth {one.effective:.1f} independent alarms)"
    return (
        f"{one.probability:.3f} on: {one.share}, p {one.p_value:.2g} against {one.level:.2g}"
        f"{worth if one.depends != INDEPENDENT else ''}"
    )


def sequence(y: ArrayLike, score: ArrayLike, thresholds: ArrayLike, precision: float) -> Array:
    """Order of thresholds for a fixed sequence, from days that will not certify.

    Those that these days speak for most clearly come first: by the exact p-value, the one with more
    alarms first among equals. Any order fixed on other days keeps the guarantee; this one certifies
    often.

    Parameters
    ----------
    y, score : (n,)
        Labels and logits of the other part.
    thresholds : (m,) float64
        Cuts, logits.
    precision : float

    Returns
    -------
    (m,) float64
        The same cuts, without repetition.

    Examples
    --------
    >>> y, score = [1, 1, 1, 0, 1, 0, 0, 0], [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    >>> sequence(y, score, [8.0, 6.0, 4.0], 0.5)
    array([6., 4., 8.])
    """
    cuts = _cuts(thresholds)[::-1]
    alarms, hits = _counts(y, score, cuts)
    p = binomial_tail(hits, alarms, between("precision", precision))
    return cuts[np.lexsort((-alarms, p))]


def certify(
    y: ArrayLike, score: ArrayLike, thresholds: ArrayLike, precision: float,
    confidence: float = 0.95, *, method: Method = "fixed_sequence", looks: int = 1, block: int = 1,
    call: int = 0,
) -> Certificate:  # fmt: skip
    """Certify one candidate; see `certify_many`. Asked for once, it has the whole error.

    Examples
    --------
    >>> y = np.r_[np.ones(26), np.zeros(4), np.ones(4), np.zeros(66)]
    >>> score = np.linspace(3, -3, 100)
    >>> print(certify(y, score, [score[29]], 0.6))
    precision above 60 % at 95 % confidence: certified from probability 0.776 on: 26/30 = 86.7 % [69.3, 96.2], p 0.0015 against 0.05
    >>> print(certify(y, score, [score[29]], 0.8))
    precision above 80 % at 95 % confidence: not certified, needs about 168 more alarms if the precision is the observed one; closest from probability 0.776 on: 26/30 = 86.7 % [69.3, 96.2], p 0.26 against 0.05
    """  # noqa: E501
    one = {"": (y, score, thresholds)}
    return certify_many(
        one, precision, confidence, method=method, looks=looks, block=block, call=call
    )[""]


def certify_many(
    candidates: Mapping[str, Candidate], precision: float, confidence: float = 0.95, *,
    method: Method = "fixed_sequence", looks: int = 1, block: int = 1, call: int = 0,
    unseen_thresholds: int = 1,
) -> dict[str, Certificate]:  # fmt: skip
    """Certify thresholds of several candidates together.

    Parameters
    ----------
    candidates : mapping of str to (y, score, thresholds)
        Labels (n,) of consecutive days, scores (n,), and thresholds (m,): in the order of the
        sequence, fixed on other days, or in any order for Holm. Thresholds must not depend on the
        labels of these days.
    precision : float
        To be exceeded, in (0, 1).
    confidence : float
        In (0.5, 1).
    method : {"fixed_sequence", "holm"}
        See the head of this module. Each fixed sequence gets its share of the error, and passes
        over thresholds with so few alarms that even all hits would not do.
    looks : int
        Candidates that were looked at on these days, seeds and epochs included, those given here
        among them; never counted as fewer than those given.
    block : int
        Days over which hits may depend on each other; 1 for independent days.
    call : int
        How many times a certificate was asked for on these days, this time included. The k-th call
        spends ``6 / (pi k)^2`` of the error, so that all calls together spend no more than it; a
        call that stays the only one may spend all of it with 0.
    unseen_thresholds : int
        Thresholds of each candidate that was looked at and is not given here; as many as the
        longest list that is, if that is longer.

    Returns
    -------
    dict of str to Certificate
    """
    between("precision", precision)
    if method not in METHODS:
        raise TruenessError(f"unknown method {method!r}; choose from {', '.join(METHODS)}")
    if not candidates:
        raise TruenessError("no candidates; at least one is needed")
    error = spent(1 - between("confidence", confidence, 0.5), call)
    unseen = max(0, at_least("looks", looks, 1) - len(candidates))
    shared = _fixed_sequences if method == "fixed_sequence" else _holm
    found = {name: _Facts.every(one, precision, block) for name, one in candidates.items()}
    widest = max(unseen_thresholds, *(len(rows) for rows in found.values()))
    hypotheses, tested = shared(
        found, unseen * (widest if method == "holm" else 1), error, precision
    )
    return {
        name: _certificate(rows, precision, confidence, method, hypotheses, block)
        for name, rows in tested.items()
    }


def spent(error: float, call: int) -> float:
    """Share of an error that the k-th call may spend; all of it for call 0.

    The shares ``6 / (pi k)^2`` add up to one over all calls there may ever be.

    Examples
    --------
    >>> [round(spent(0.05, call), 4) for call in (0, 1, 2, 3)]
    [0.05, 0.0304, 0.0076, 0.0034]
    """
    return error if call == 0 else error * 6 / (np.pi * at_least("call", call, 1)) ** 2


@dataclass(frozen=True)
class _Facts:
    """What one threshold shows, before any level is known."""

    cut: float
    hits: int
    alarms: int
    depends: Dependence
    p_value: float

    @classmethod
    def every(cls, candidate: Candidate, precision: float, block: int) -> list[_Facts]:
        """One for each threshold of a candidate."""
        y, score = np.asarray(candidate[0]), np.asarray(candidate[1])
        cuts, found = _cuts(candidate[2]), []
        for cut, n, k in zip(cuts, *_counts(y, score, cuts), strict=True):
            depends = dependence(y, score >= cut, block) if n else INDEPENDENT
            p = precision_p_value(int(k), int(n), precision, depends)
            found.append(cls(float(cut), int(k), int(n), depends, p))
        return found

    def tested(self, level: float, certified: bool) -> Verdict:
        """With the verdict."""
        k, n = self.hits, self.alarms
        effective = self.depends.effective(n, level) if n else 0.0
        return Verdict(
            self.cut, float(expit(self.cut)), k, n, Estimate.proportion(k, n), effective,
            self.depends, self.p_value, level, certified,
        )  # fmt: skip


def _fixed_sequences(
    found: dict[str, list[_Facts]], unseen: int, error: float, precision: float
) -> tuple[int, dict[str, list[Verdict]]]:
    """Each sequence at its share of the error, up to the first failure."""
    hypotheses = len(found) + unseen
    level, tested = error / hypotheses, {}
    for name, rows in found.items():
        able = [row for row in rows if precision**row.alarms <= level] or rows
        failed = next((i for i, row in enumerate(able) if row.p_value > level), len(able))
        tested[name] = [row.tested(level, i < failed) for i, row in enumerate(able[: failed + 1])]
    return hypotheses, tested


def _holm(
    found: dict[str, list[_Facts]], unseen: int, error: float, precision: float
) -> tuple[int, dict[str, list[Verdict]]]:
    """All thresholds of all candidates, p-values from the smallest up; unseen ones count as well.

    What is not given here can only have larger positions in the order, or smaller p-values that
    pass as well.
    """
    hypotheses = sum(len(rows) for rows in found.values()) + unseen
    every = sorted((r.p_value, name, i) for name, rows in found.items() for i, r in enumerate(rows))
    verdicts: dict[str, dict[int, Verdict]] = {name: {} for name in found}
    passed, level = True, error / hypotheses
    for position, (p, name, i) in enumerate(every):
        if passed:
            level = error / (hypotheses - position)
            passed = p <= level
        verdicts[name][i] = found[name][i].tested(level, passed)
    return hypotheses, {name: [rows[i] for i in sorted(rows)] for name, rows in verdicts.items()}


def _certificate(
    rows: list[Verdict], precision: float, confidence: float, method: Method, hypotheses: int,
    block: int,
) -> Certificate:  # fmt: skip
    best = max((r for r in rows if r.certified), key=lambda r: (r.hits, -r.alarms), default=None)
    open_ = [r for r in rows if r.alarms] if best is None else []
    closest = min(open_, key=lambda r: (r.p_value, -r.alarms), default=None)
    more = 0 if best else _further(closest, precision) if closest else None
    return Certificate(
        precision, confidence, method, hypotheses, block, best, closest, more, tuple(rows)
    )


def _further(one: Verdict, precision: float) -> int | None:
    """Alarms that are missing at the observed precision, as dependent as those there are."""
    needed = alarms_needed(precision, one.hits / one.alarms, level=one.level)
    return None if needed is None else one.depends.further(one.alarms, needed, one.level)


def _cuts(thresholds: ArrayLike) -> Array:
    """Distinct thresholds in the order given."""
    cuts = np.asarray(thresholds, np.float64)
    if cuts.ndim != 1 or not len(cuts) or np.isnan(cuts).any():
        raise TruenessError("thresholds must be a list of at least one number")
    return cuts[np.sort(np.unique(cuts, return_index=True)[1])]


def _counts(
    y: ArrayLike, score: ArrayLike, cuts: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Alarms and hits at each cut; labels and scores are checked on the way."""
    sweep = threshold_sweep(y, score)
    last = np.searchsorted(-sweep.cut, -cuts, side="right")
    return np.append(0, sweep.alarms)[last], np.append(0, sweep.hits)[last]
