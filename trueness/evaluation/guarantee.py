"""Certificates: a threshold whose precision is guaranteed, everything that was tested counted.

For each threshold the hypothesis "its precision is at most p" is tested on its alarms. Rejecting
with a familywise error of ``1 - confidence`` means: the probability that any certified threshold
has a precision of p or less is at most that. Angelopoulos, Bates, Candès, Jordan and Lei, "Learn
then Test: Calibrating Predictive Algorithms to Achieve Risk Control" (2021).

Two ways of sharing the error:

``fixed_sequence``
    Thresholds are tested one after another at the full level, up to the first that fails. Their
    order must be fixed in advance on *other* units (`sequence` does that on validation); an order
    that has seen the labels it is tested on guarantees nothing.
``holm``
    Needs no order and no other units, and pays for every threshold of every candidate. Holm, "A
    simple sequentially rejective multiple test procedure" (1979).

A certificate is valid only if future data resemble this sample: a market that changes is not
covered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from trueness.errors import at_least
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.design_effects import (
    INDEPENDENT,
    Dependence,
    dependence,
    precision_p_value,
)
from trueness.evaluation.inputs import (
    Input,
    InputError,
    as_logits,
    between,
    choice,
    labels_and_scores,
)
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.power import alarms_needed, binomial_tail
from trueness.evaluation.resampling import check_size
from trueness.evaluation.thresholds import Array, threshold_logits, threshold_sweep

Method: TypeAlias = Literal["fixed_sequence", "holm"]


class Candidate(NamedTuple):
    """What is to be certified.

    Attributes
    ----------
    y_true : (n,)
        Labels 0 and 1.
    y_score : (n,)
    thresholds : (m,)
        On the scale of the scores; they must not depend on these labels. In the order of the
        sequence, fixed on other units, or in any order for Holm.
    blocks : Blocks, optional
        Units whose hits depend on each other; without it all are independent.
    """

    y_true: ArrayLike
    y_score: ArrayLike
    thresholds: ArrayLike
    blocks: Blocks | None = None


@dataclass(frozen=True)
class ThresholdTest:
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
        Times over which hits may depend on each other.
    threshold : ThresholdTest or None
        The certified threshold with the most hits.
    closest : ThresholdTest or None
        Where none is certified: the one with the smallest p-value; None if no threshold raises an
        alarm.
    more_alarms : int or None
        Further alarms that would certify the closest one, with a power of 80 %, if the observed
        precision is the true one; None if no number is enough, 0 if one is certified.
    tested : tuple of ThresholdTest
        In the order of the thresholds given.
    """

    precision: float
    confidence: float
    method: Method
    hypotheses: int
    block: int
    threshold: ThresholdTest | None
    closest: ThresholdTest | None
    more_alarms: int | None
    tested: tuple[ThresholdTest, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


def sequence(
    y_true: ArrayLike, y_score: ArrayLike, thresholds: ArrayLike, precision: float, *,
    input: Input = "logit",
) -> Array:  # fmt: skip
    """Order of thresholds for a fixed sequence, from units that will not certify.

    Those that these units speak for most clearly come first: by the exact p-value, the one with
    more alarms first among equals. Any order fixed on other units keeps the guarantee; this one
    certifies often.

    Parameters
    ----------
    y_true, y_score : (n,)
        Labels and scores of the other part.
    thresholds : (m,) float64
        On the scale of the scores.
    precision : float
        In (0, 1).
    input : {"logit", "probability", "score"}
        What the scores are; see `as_logits` for what is refused.

    Returns
    -------
    (m,) float64
        The same thresholds, without repetition.

    Examples
    --------
    >>> y, score = [1, 1, 1, 0, 1, 0, 0, 0], [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    >>> sequence(y, score, [8.0, 6.0, 4.0], 0.5)
    array([6., 4., 8.])
    """
    distinct = _thresholds(thresholds)[::-1]
    labels, scores = labels_and_scores(y_true, y_score)
    alarms, hits = _counts(labels, as_logits(scores, input), threshold_logits(distinct, input))
    p = binomial_tail(hits, alarms, between("precision", precision))
    return distinct[np.lexsort((-alarms, p))]


def certify_many(
    candidates: Mapping[str, Candidate], precision: float, confidence: float = 0.95, *,
    method: Method = "fixed_sequence", looks: int = 1, call: int = 0, unseen_thresholds: int = 1,
    input: Input = "logit",
) -> dict[str, Certificate]:  # fmt: skip
    """Certify thresholds of several candidates together.

    Parameters
    ----------
    candidates : mapping of str to Candidate
    precision : float
        To be exceeded, in (0, 1).
    confidence : float
        In (0.5, 1).
    method : {"fixed_sequence", "holm"}
        See the head of this module. Each fixed sequence gets its share of the error, and passes
        over thresholds with so few alarms that even all hits would not do.
    looks : int
        Candidates that were evaluated on these units, seeds and epochs included, those given here
        among them; never counted as fewer than those given.
    call : int
        How many times a certificate was asked for on these units, this time included. The k-th call
        spends ``6 / (pi k)^2`` of the error, so that all calls together spend no more than it; a
        call that stays the only one may spend all of it with 0.
    unseen_thresholds : int
        Thresholds of each candidate that was evaluated and is not given here; as many as the
        longest list that is, if that is longer.
    input : {"logit", "probability", "score"}
        What scores and thresholds are; see `as_logits` for what is refused.

    Returns
    -------
    dict of str to Certificate

    Raises
    ------
    InputError
        With the codes of `threshold_sweep` and `dependence`, and ``range, choice, empty``.

    Examples
    --------
    >>> y = np.r_[np.ones(26), np.zeros(4), np.ones(4), np.zeros(66)]
    >>> score = np.linspace(3, -3, 100)
    >>> candidates = {"": Candidate(y, score, [score[29]])}
    >>> certificate = certify_many(candidates, 0.6)[""]
    >>> print(certificate.threshold.share, round(certificate.threshold.p_value, 4))
    87 % (69–96) · 26/30 0.0015
    >>> certify_many(candidates, 0.8)[""].more_alarms
    168
    """
    between("precision", precision)
    choice("method", method, get_args(Method))
    if not candidates:
        raise InputError("no candidates; at least one is needed", "empty")
    error = spent(1 - between("confidence", confidence, 0.5), call)
    unseen = max(0, at_least("looks", looks, 1) - len(candidates))
    shared = _fixed_sequences if method == "fixed_sequence" else _holm
    facts = {name: _Facts.every(one, precision, input) for name, one in candidates.items()}
    widest = max(unseen_thresholds, *(len(rows) for rows in facts.values()))
    hypotheses, tested = shared(
        facts, unseen * (widest if method == "holm" else 1), error, precision
    )
    lengths = {n: 1 if one.blocks is None else one.blocks.length for n, one in candidates.items()}
    return {
        name: _certificate(rows, precision, confidence, method, hypotheses, lengths[name])
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
    def every(cls, candidate: Candidate, precision: float, input: Input) -> list[_Facts]:
        """One for each threshold of a candidate."""
        y, scores = labels_and_scores(candidate.y_true, candidate.y_score)
        logits = as_logits(scores, input)
        cuts = threshold_logits(_thresholds(candidate.thresholds), input)
        blocks, facts = candidate.blocks or Blocks.of(len(y)), []
        check_size(blocks, len(y))
        for cut, n, k in zip(cuts, *_counts(y, logits, cuts), strict=True):
            depends = dependence(y, logits >= cut, blocks) if n else INDEPENDENT
            p = precision_p_value(int(k), int(n), precision, depends)
            facts.append(cls(float(cut), int(k), int(n), depends, p))
        return facts

    def tested(self, level: float, certified: bool) -> ThresholdTest:
        """With the verdict."""
        k, n = self.hits, self.alarms
        effective = self.depends.effective(n, level) if n else 0.0
        return ThresholdTest(
            self.cut, float(expit(self.cut)), k, n, Estimate.proportion(k, n), effective,
            self.depends, self.p_value, level, certified,
        )  # fmt: skip


def _fixed_sequences(
    facts: dict[str, list[_Facts]], unseen: int, error: float, precision: float
) -> tuple[int, dict[str, list[ThresholdTest]]]:
    """Each sequence at its share of the error, up to the first failure."""
    hypotheses = len(facts) + unseen
    level, tested = error / hypotheses, {}
    for name, rows in facts.items():
        able = [row for row in rows if precision**row.alarms <= level] or rows
        failed = next((i for i, row in enumerate(able) if row.p_value > level), len(able))
        tested[name] = [row.tested(level, i < failed) for i, row in enumerate(able[: failed + 1])]
    return hypotheses, tested


def _holm(
    facts: dict[str, list[_Facts]], unseen: int, error: float, precision: float
) -> tuple[int, dict[str, list[ThresholdTest]]]:
    """All thresholds of all candidates, p-values from the smallest up; unseen ones count as well.

    What is not given here can only have larger positions in the order, or smaller p-values that
    pass as well.
    """
    hypotheses = sum(len(rows) for rows in facts.values()) + unseen
    every = sorted((r.p_value, name, i) for name, rows in facts.items() for i, r in enumerate(rows))
    verdicts: dict[str, dict[int, ThresholdTest]] = {name: {} for name in facts}
    passed, level = True, error / hypotheses
    for position, (p, name, i) in enumerate(every):
        if passed:
            level = error / (hypotheses - position)
            passed = p <= level
        verdicts[name][i] = facts[name][i].tested(level, passed)
    return hypotheses, {name: [rows[i] for i in sorted(rows)] for name, rows in verdicts.items()}


def _certificate(
    rows: list[ThresholdTest], precision: float, confidence: float, method: Method, hypotheses: int,
    block: int,
) -> Certificate:  # fmt: skip
    best = max((r for r in rows if r.certified), key=lambda r: (r.hits, -r.alarms), default=None)
    open_ = [r for r in rows if r.alarms] if best is None else []
    closest = min(open_, key=lambda r: (r.p_value, -r.alarms), default=None)
    more = 0 if best else _further(closest, precision) if closest else None
    return Certificate(
        precision, confidence, method, hypotheses, block, best, closest, more, tuple(rows)
    )


def _further(one: ThresholdTest, precision: float) -> int | None:
    """Alarms that are missing at the observed precision, as dependent as those there are."""
    needed = alarms_needed(precision, one.hits / one.alarms, level=one.level)
    return None if needed is None else one.depends.further(one.alarms, needed, one.level)


def _thresholds(thresholds: ArrayLike) -> Array:
    """Distinct thresholds in the order given."""
    values = np.asarray(thresholds, np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise InputError("thresholds must be a list of at least one number", "thresholds")
    return values[np.sort(np.unique(values, return_index=True)[1])]


def _counts(
    y_true: ArrayLike, logits: Array, cuts: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Alarms and hits at each cut."""
    sweep = threshold_sweep(y_true, logits, input="score")
    last = np.searchsorted(-sweep.cut, -cuts, side="right")
    return np.append(0, sweep.alarms)[last], np.append(0, sweep.hits)[last]
