"""Certificates: thresholds whose precision is guaranteed, everything that was evaluated counted.

Every threshold of every candidate gets one exact lower bound of its precision, and all of these
bounds hold at once with the stated confidence. So each precision below a bound is certified, and
one may ask for as many precisions as one likes: the answers are all read from the same bounds.

The bound is that of Clopper and Pearson (1934) at the effective number of alarms, since hits depend
on each other, and at a level between Bonferroni's and the whole error, by how alike thresholds and
candidates are (see `simultaneous_bounds`). Thresholds must not depend on the labels; those at fixed
alarm rates do not.

Certifications one after another, of candidates that were not there before, spend the error in
batches: the k-th may spend ``6 / (pi k)^2`` of it, so that all there may ever be spend no more than
all of it. These are fractions of the error that is asked for, and a bound falls when the confidence
rises. So each confidence keeps its own promise: of all bounds ever shown at it, or at a higher one,
none lies above the truth with that confidence. A confidence that was chosen because it just
certifies has the meaning of a p-value.

A certificate is valid only if future data resemble this sample: a market that changes is not
covered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from trueness.errors import at_least
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.dependence import Dependence
from trueness.evaluation.design_effects import Residuals
from trueness.evaluation.influence import FEWEST, too_few
from trueness.evaluation.inputs import Input, InputError, as_logits, between, labels_and_scores
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.long_run import Window
from trueness.evaluation.power import alarms_needed
from trueness.evaluation.resampling import SortedScores, check_size
from trueness.evaluation.simultaneous_bounds import joint_level
from trueness.evaluation.threads import in_threads
from trueness.evaluation.thresholds import Array, threshold_logits

FEWEST_ALARMS = 5
"""Thresholds with fewer are left out: they certify nothing, and all others would pay for them."""


class Candidate(NamedTuple):
    """What is to be certified.

    Attributes
    ----------
    y_true : (n,)
        Labels 0 and 1, at least ten of each.
    y_score : (n,)
    thresholds : (m,)
        On the scale of the scores, in any order; they must not depend on these labels.
    blocks : Blocks, optional
        Units whose hits depend on each other; without it all are independent.
    """

    y_true: ArrayLike
    y_score: ArrayLike
    thresholds: ArrayLike
    blocks: Blocks | None = None


@dataclass(frozen=True)
class ThresholdBound:
    """The precision of one threshold and its lower bound.

    Attributes
    ----------
    cut : float
        Lowest score, a logit, that raises an alarm.
    probability : float
        The same as a probability.
    precision : Estimate
        Hits of alarms; ``low`` is the bound and ``high`` is 1.
    effective : float
        Independent alarms that say as much, at the level.
    depends : Dependence
        Design effect and number of independent blocks.
    """

    cut: float
    probability: float
    precision: Estimate
    effective: float
    depends: Dependence

    @property
    def bound(self) -> float:
        """Lower bound of the precision."""
        return self.precision.low or 0.0

    @property
    def hits(self) -> int:
        """Alarms whose label is 1."""
        return self.precision.k or 0

    @property
    def alarms(self) -> int:
        """Units with an alarm."""
        return self.precision.n


@dataclass(frozen=True)
class Certificate:
    """The answer for one candidate.

    Attributes
    ----------
    precision, confidence : float
        What was to be guaranteed, and how surely.
    level : float
        Error that each bound may make alone, so that all of them keep the confidence.
    hypotheses : int
        Bounds that hold at once, those counted that are not here.
    block : int
        Times over which hits may depend on each other.
    threshold : ThresholdBound or None
        Of those whose bound lies above the precision the one with the most hits.
    closest : ThresholdBound or None
        Where there is none: the one with the largest bound; None without any threshold.
    more_alarms : int or None
        Further alarms that would certify the closest one, with a power of 80 %, if the observed
        precision is the true one; None if no number is enough, 0 if one is certified.
    tested : tuple of ThresholdBound
        All of them, from the highest threshold down.
    """

    precision: float
    confidence: float
    level: float
    hypotheses: int
    block: int
    threshold: ThresholdBound | None
    closest: ThresholdBound | None
    more_alarms: int | None
    tested: tuple[ThresholdBound, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; the number of independent blocks is None where all units are."""
        content = asdict(self)
        for row in (*content["tested"], content["threshold"], content["closest"]):
            if row and not np.isfinite(row["depends"]["blocks"]):
                row["depends"] = row["depends"] | {"blocks": None}
        return content


@dataclass(frozen=True)
class FamilyBounds:
    """Bounds of all thresholds of some candidates, which hold at once.

    Attributes
    ----------
    confidence, level : float
    hypotheses : int
    bounds : mapping of str to tuple of ThresholdBound
        By candidate, from the highest threshold down.
    lengths : mapping of str to int
        Times per block of each candidate.
    """

    confidence: float
    level: float
    hypotheses: int
    bounds: Mapping[str, tuple[ThresholdBound, ...]]
    lengths: Mapping[str, int]

    def certificate(self, name: str, precision: float) -> Certificate:
        """Whether a threshold of a candidate exceeds a precision; asking is free.

        A bound that equals the precision does not exceed it.

        Raises
        ------
        InputError
            With the code ``range`` for a precision that is not in (0, 1).
        """
        between("precision", precision)
        rows = self.bounds[name]
        above = [row for row in rows if row.bound > precision]
        best = max(above, key=lambda row: (row.hits, -row.alarms), default=None)
        closest = None if best else max(rows, key=lambda r: (r.bound, r.alarms), default=None)
        more = 0 if best else None
        if closest is not None:
            more = _further(closest, precision, self.level)
        return Certificate(
            precision, self.confidence, self.level, self.hypotheses, self.lengths[name], best,
            closest, more, rows,
        )  # fmt: skip


def family_bounds(
    candidates: Mapping[str, Candidate], confidence: float = 0.95, *, batch: int = 0,
    further: int = 0, input: Input = "logit",
) -> FamilyBounds:  # fmt: skip
    """Lower bounds of the precisions of all thresholds of all candidates, which hold at once.

    Parameters
    ----------
    candidates : mapping of str to Candidate
        All that were evaluated on these units, on the same units in the same order.
    confidence : float
        In (0.5, 1).
    batch : int
        Which batch of candidates on these units it is, from 1; 0 for one that stays the only one
        and may spend the whole error.
    further : int
        Thresholds of candidates that were evaluated and are not here; the level is paid in full
        for each.
    input : {"logit", "probability", "score"}
        What scores and thresholds are; see `as_logits` for what is refused.

    Returns
    -------
    FamilyBounds

    Raises
    ------
    InputError
        With the codes of `labels_and_scores` and `as_logits`, and ``empty, thresholds, length,
        few, few_positives, range, number``.

    Examples
    --------
    >>> y = np.r_[np.ones(26), np.zeros(4), np.ones(4), np.zeros(66)]
    >>> score = np.linspace(3, -3, 100)
    >>> result = family_bounds({"a": Candidate(y, score, [score[29]])})
    >>> certificate = result.certificate("a", 0.6)
    >>> print(certificate.threshold.precision)
    87 % (72–100) · 26/30
    >>> result.certificate("a", 0.8).more_alarms
    168
    """
    if not candidates:
        raise InputError("no candidates; at least one is needed", "empty")
    alpha = (1 - between("confidence", confidence, 0.5)) * share_of_error(batch)
    unseen = at_least("further", further, 0)
    every = in_threads(lambda one: _thresholds_of(one, input), candidates.values())
    draws = [draw for thresholds in every for draw in thresholds.draws]
    level = joint_level(draws, alpha, unseen) or alpha
    hypotheses = len(draws) + unseen
    bounds = [thresholds.bounds(level) for thresholds in every]
    return FamilyBounds(
        confidence, level, hypotheses, dict(zip(candidates, bounds, strict=True)),
        {name: 1 if one.blocks is None else one.blocks.length for name, one in candidates.items()},
    )  # fmt: skip


def share_of_error(batch: int) -> float:
    """Fraction of the error that the k-th batch of candidates may spend; all of it for 0.

    The shares ``6 / (pi k)^2`` add up to one over all batches there may ever be.

    Examples
    --------
    >>> [round(share_of_error(batch), 4) for batch in (0, 1, 2, 3)]
    [1.0, 0.6079, 0.152, 0.0675]
    """
    return 1.0 if at_least("batch", batch, 0) == 0 else 6 / (np.pi * batch) ** 2


@dataclass(frozen=True)
class _Thresholds:
    """Thresholds of one candidate, before the level is known."""

    cut: list[float]
    hits: list[int]
    alarms: list[int]
    depends: list[Dependence]
    draws: Array

    def bounds(self, level: float) -> tuple[ThresholdBound, ...]:
        rows = zip(self.cut, self.hits, self.alarms, self.depends, strict=True)
        return tuple(
            ThresholdBound(
                cut, float(expit(cut)),
                Estimate(k / n, depends.bounds(k, n, level)[0], 1.0, n, k),
                depends.effective(n, level), depends,
            )
            for cut, k, n, depends in rows
        )  # fmt: skip


def _thresholds_of(one: Candidate, input: Input) -> _Thresholds:
    """Counts, dependence and joint draws at each threshold that has enough alarms."""
    y, scores = labels_and_scores(one.y_true, one.y_score)
    ranked = SortedScores.of_checked(y, as_logits(scores, input))
    blocks = one.blocks or Blocks.of(len(y))
    check_size(blocks, len(y))
    _check_enough(ranked, blocks)
    thresholds = threshold_logits(_falling(one.thresholds), input)
    alarms = np.searchsorted(-ranked.score[ranked.order], -thresholds, side="right")
    enough = alarms >= FEWEST_ALARMS
    counts = alarms[enough].tolist()
    residuals = Residuals.of(ranked, blocks)
    return _Thresholds(
        thresholds[enough].tolist(),
        np.append(0, np.cumsum(y[ranked.order], dtype=np.int64))[counts].tolist(),
        counts,
        [residuals.of_alarms(ranked, n, by_rank=False) for n in counts],
        _draws(ranked, counts, blocks),
    )


def _draws(ranked: SortedScores, counts: list[int], blocks: Blocks) -> Array:
    """Joint deviations of the precisions at given cuts, (m, draws): alarms owe their residuals."""
    moved = np.zeros((len(counts), blocks.items))
    for row, count in zip(moved, counts, strict=True):
        influence, raised = np.zeros(blocks.n), ranked.order[:count]
        influence[raised] = (ranked.y[raised] - ranked.y[raised].mean()) / count
        row[:] = blocks.totals(influence)
    window = Window.of(blocks)
    return window.draws(window.coloured(window.transform(moved)))


def _check_enough(ranked: SortedScores, blocks: Blocks) -> None:
    if too_few(ranked.y):
        raise InputError(
            f"{int(ranked.y.sum())} positives among {len(ranked.y)} units; at least {FEWEST} and "
            f"as many negatives are needed", "few_positives"
        )  # fmt: skip
    if blocks.few:
        raise InputError(
            f"{blocks.items} times or clusters are fewer than five blocks of {blocks.length}", "few"
        )


def _further(one: ThresholdBound, precision: float, level: float) -> int | None:
    """Alarms that are missing at the observed precision, as dependent as those there are."""
    needed = alarms_needed(precision, one.hits / one.alarms, level=level)
    return None if needed is None else one.depends.further(one.alarms, needed, level)


def _falling(thresholds: ArrayLike) -> Array:
    """Distinct thresholds, the highest first."""
    values = np.asarray(thresholds, np.float64)
    if values.ndim != 1 or not len(values) or np.isnan(values).any():
        raise InputError("thresholds must be a list of at least one number", "thresholds")
    return np.unique(values)[::-1]
