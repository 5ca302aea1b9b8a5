"""A temperature per group, and the confidence below which a classifier should abstain.

Both are fitted on validation units and used on others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import binom

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.by_group import OTHER, check_lengths, group_units
from trueness.evaluation.class_draws import independent
from trueness.evaluation.clusters import clustered_shares, effective_clusters
from trueness.evaluation.inputs import InputError, between, check_confidence
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.slices import checked_logits

Array = NDArray[np.float64]
Index = NDArray[np.int64]
COLDEST, HOTTEST = 0.01, 100.0
STRENGTH = 8.0
"""Pull of a group towards the others, nats; as of a prior with standard deviation 0.25."""
SMALLEST_SLOPE = 1e-5
"""Of the mean log loss; below it rounding may end the search for temperatures."""
ACCEPTED_PCT = tuple(range(5, 101, 5))
"""Shares of the units, percent, at which a threshold is looked for."""


@dataclass(frozen=True)
class GroupTemperatures:
    """Temperatures that logits are divided by.

    Attributes
    ----------
    common : float
        Of groups that were not fitted: the geometric mean of the others.
    by_group : dict of str to float
    strength : float
        Of the pull towards the common one.
    """

    common: float
    by_group: dict[str, float]
    strength: float

    def apply(self, logits: object, group: object) -> Array:
        """Logits (n, K) divided by the temperature of their group (n,)."""
        values = np.asarray(logits, np.float64)
        check_lengths(logits=values, group=group)
        return values / self.of(group)[:, None]

    def probabilities(self, logits: object, group: object) -> Array:
        """Softmax of `apply`, (n, K)."""
        return softmax(self.apply(logits, group), axis=1)

    def of(self, group: object) -> Array:
        """Temperature of each of some groups (n,)."""
        names, which = np.unique(np.asarray(group), return_inverse=True)
        return np.array([self.by_group.get(n, self.common) for n in names.tolist()])[which]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(**{f.name: content[f.name] for f in fields(cls)})


def fit_group_temperatures(
    y: object, logits: object, group: object, *, strength: float = STRENGTH
) -> GroupTemperatures:
    """One temperature per group, pulled together: ``log T_g = log T + delta_g``.

    The smallest ``sum_i -log p_i(y_i) + strength * sum_g delta_g^2``. With a strength of 0 each
    group is fitted alone, with an infinite one all have the same temperature. Predictions do not
    change. Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017); the
    pull is that of a normal prior.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    logits : (n, K)
    group : (n,) str
    strength : float
        At least 0, nats.

    Returns
    -------
    GroupTemperatures
        In [0.01, 100].

    Raises
    ------
    InputError
        If shapes, labels or logits cannot be used, or no minimum is found.

    Examples
    --------
    >>> logits = np.log([[0.9, 0.1]] * 10)
    >>> y = np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 1])  # 7 of 10: ln(9) / T = ln(7 / 3)
    >>> round(fit_group_temperatures(y, logits, ["de"] * 10).by_group["de"], 3)
    2.593
    """
    if not strength >= 0:
        raise InputError(f"strength {strength}: at least 0 is needed", "range")
    labels, values = checked_logits(y, logits, np.asarray(logits).shape[-1])
    check_lengths(y=y, logits=logits, group=group)
    names, index = np.unique(np.asarray(group), return_inverse=True)
    together = np.isinf(strength)
    pieces = np.zeros_like(index) if together else index
    logs = _minimum(labels, values, pieces, 0.0 if together else strength)
    by_group = np.exp(logs[0] if together else logs) * np.ones(len(names))
    common = float(np.exp(logs.mean()))
    return GroupTemperatures(
        common, dict(zip(names.tolist(), by_group.tolist(), strict=True)), strength
    )


def _minimum(y: Index, logits: Array, index: Index, strength: float) -> Array:
    """Logarithms of the temperatures, one for each value of `index`."""
    n, groups, every = len(y), int(index.max()) + 1, np.arange(len(y))

    def cost(logs: Array) -> tuple[float, Array]:
        scaled = logits * np.exp(-logs)[index, None]
        log_p = log_softmax(scaled, axis=1)
        slope = scaled[every, y] - (np.exp(log_p) * scaled).sum(axis=1)
        pull = logs - logs.mean()
        value = strength * float(pull @ pull) - float(log_p[every, y].sum())
        return value / n, (np.bincount(index, slope, groups) + 2 * strength * pull) / n

    result = minimize(
        cost, np.zeros(groups), jac=True, method="L-BFGS-B",
        bounds=[(np.log(COLDEST), np.log(HOTTEST))] * groups,
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )  # fmt: skip
    if not result.success and np.abs(result.jac).max() > SMALLEST_SLOPE:
        raise InputError(
            f"no temperatures are found after {result.nit} steps: {result.message}", "no_minimum"
        )
    return result.x


# --------------------------------------------------------------------------------------- abstaining


@dataclass(frozen=True)
class AbstentionThreshold:
    """The smallest probability at which predictions of a group are accepted.

    Attributes
    ----------
    threshold : float or None
        A unit is accepted where its largest probability is at least this; None if no threshold
        will do, and the classifier abstains on the whole group.
    precision : Estimate
        Right ones among those accepted; certified, ``low`` is the bound and ``high`` is 1.
    accepted : Estimate
        Share of the units that is accepted.
    certified : bool
        Whether the bound was asked for; else the value is the best of several and optimistic.
    guaranteed : bool
        Whether the bound holds: it is certified on enough units.
    pooled : tuple of str
        Groups that share it: it holds for their units together, in these proportions, not for one
        of them by itself, nor for another group. Empty where it is of one group.
    """

    threshold: float | None
    precision: Estimate
    accepted: Estimate
    certified: bool
    guaranteed: bool
    pooled: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**asdict(self), "pooled": list(self.pooled)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        precision, share = (Estimate.from_dict(content[n]) for n in ("precision", "accepted"))
        sure = content["certified"], content["guaranteed"]
        return cls(content["threshold"], precision, share, *sure, tuple(content["pooled"]))


def abstention_thresholds(
    y: object, probabilities: object, group: object, blocks: Blocks | None = None, *,
    precision: float, confidence: float | None = 0.95, min_rows: int = 100,
) -> dict[str, AbstentionThreshold]:  # fmt: skip
    """For each group the threshold that accepts most units at the wanted precision.

    Thresholds are looked for at 5, 10, ..., 100 % of the units with the largest probabilities,
    places that do not depend on the labels. With a `confidence` they are tested in a fixed
    sequence, each at the whole error, until one fails: the lower bound of its precision does not
    reach the target. First comes the one that is likeliest to pass if the probabilities are right,
    so an order that no label enters; the threshold of a group keeps its promise with that
    confidence, for units like these, whether the probabilities are right or not. Maurer, Hothorn
    and Lehmacher, "Multiple comparisons in drug clinical trials and preclinical assays: a-priori
    ordered hypotheses" (1995). Without a confidence the observed precision decides.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    probabilities : (n, K)
        Rows sum to 1. Calibrated ones find more thresholds; no promise needs that.
    group : (n,) str
    blocks : Blocks, optional
        Which units depend on each other, see `clustered_shares`; none without.
    precision : float
        To be reached, in (0, 1).
    confidence : float or None
        In (0.5, 1).
    min_rows : int
        Groups with fewer units share the threshold "other". With as many units together it promises
        the precision for all of them in these proportions; to unseen groups, which take it too,
        nothing. Units of no group ("und") have a threshold of their own like any group.

    Returns
    -------
    dict of str to AbstentionThreshold
        The largest group first.

    Raises
    ------
    InputError
        If shapes, labels or probabilities cannot be used.

    Examples
    --------
    >>> y, p = np.zeros(400, int), np.linspace(0.5, 1, 400)
    >>> y[:100:2] = 1  # the lowest quarter is right half of the time
    >>> result = abstention_thresholds(y, np.c_[p, 1 - p], ["en"] * 400, precision=0.9)
    >>> print(result["en"].accepted)
    85 % (81–88) · 340/400
    """
    labels, values = checked_probabilities(y, probabilities, precision, confidence)
    blocks = Blocks.of(len(labels)) if blocks is None else blocks
    check_lengths(y=y, probabilities=probabilities, group=group, blocks=blocks.item)
    groups = group_units(group, len(labels), min_rows, undetermined=True)
    block = independent(blocks)
    hit, top = values.argmax(axis=1) == labels, values.max(axis=1)
    result = {}
    for g, name in enumerate(groups.slices):
        inside = groups.index == g
        units = RankedUnits(hit[inside], top[inside], block[inside])
        if confidence is None:
            one = units.observed(precision)
        else:
            one = units.certified(precision, confidence, enough=int(inside.sum()) >= min_rows)
        result[name] = one if name in groups.names else replace(one, pooled=tuple(groups.pooled))
    return result


def checked_probabilities(
    y: object, probabilities: object, precision: float, confidence: float | None
) -> tuple[Index, Array]:
    """Classes and probabilities of what thresholds are certified on.

    Raises
    ------
    InputError
        If they, or the precision and the confidence that are asked for, cannot be used.
    """
    between("precision", precision)
    if confidence is not None:
        check_confidence(confidence)
        if confidence <= 0.5:
            raise InputError(f"confidence {confidence} must lie between 0.5 and 1", "range")
    labels, values = checked_logits(y, probabilities, np.asarray(probabilities).shape[-1])
    if values.min() < 0 or not np.allclose(values.sum(axis=1), 1, atol=1e-4):
        raise InputError(
            "probabilities must not be negative and sum to 1; softmax logits first", "probabilities"
        )
    return labels, values


def accepted(
    probabilities: object, group: object, thresholds: dict[str, AbstentionThreshold]
) -> NDArray[np.bool_]:
    """Which predictions are accepted, (n,): those at the threshold of their group or above it.

    Groups without a threshold of their own have that of "other".
    """
    top = np.asarray(probabilities).max(axis=1)
    check_lengths(probabilities=probabilities, group=group)
    never = np.inf
    limits = {n: never if one.threshold is None else one.threshold for n, one in thresholds.items()}
    rest = limits.get(OTHER, never)
    return top >= np.array([limits.get(n, rest) for n in np.asarray(group).tolist()])


def guaranteed(group: object, thresholds: dict[str, AbstentionThreshold]) -> NDArray[np.bool_]:
    """Whose threshold keeps a promise, (n,): groups with their own, groups that were pooled.

    Groups that were not seen take the threshold of "other", which promises them nothing.
    """
    sure = {n: one.guaranteed for name, one in thresholds.items() for n in (one.pooled or (name,))}
    return np.array([sure.get(n, False) for n in np.asarray(group).tolist()], bool)


@dataclass(frozen=True)
class RankedUnits:
    """Which predictions of a group are right, their probabilities and clusters, (n,) each."""

    hit: NDArray[np.bool_]
    top: Array
    block: Index

    @property
    def thresholds(self) -> Array:
        """Where a threshold is looked for, ascending."""
        n, ranked = len(self.top), np.sort(self.top)[::-1]
        return np.unique([ranked[max(1, n * pct // 100) - 1] for pct in ACCEPTED_PCT])

    def observed(self, precision: float) -> AbstentionThreshold:
        """The smallest threshold whose observed precision is large enough."""
        for threshold in self.thresholds:
            share = self._precision(threshold, 0.95)
            if (share.value or 0.0) >= precision:
                return self._made(float(threshold), share, certified=False, enough=False)
        return self._made(None, Estimate.proportion(0, 0), certified=False, enough=False)

    def certified(self, precision: float, confidence: float, enough: bool) -> AbstentionThreshold:
        """The smallest of the thresholds that pass in a fixed sequence."""
        passed: dict[float, Estimate] = {}
        for threshold in self._likeliest_first(precision, confidence):
            share = self._precision(threshold, 2 * confidence - 1)
            if (share.low or 0.0) < precision:
                break
            passed[threshold] = replace(share, high=1.0)
        if not passed:
            return self._made(None, Estimate.proportion(0, 0), certified=True, enough=enough)
        lowest = min(passed)
        return self._made(lowest, passed[lowest], certified=True, enough=enough)

    def _likeliest_first(self, precision: float, confidence: float) -> list[float]:
        """Thresholds by falling probability to pass, were each unit right with its own; no labels.

        Trials are as many as the units would be worth if those of a cluster were all alike.
        """
        thresholds = self.thresholds
        passing = self.passing(thresholds, precision, 1 - confidence)
        return thresholds[np.lexsort([thresholds, -passing])].tolist()

    def passing(self, thresholds: Array, precision: float, error: float) -> Array:
        """Probability of each threshold to pass, were each unit right with its own; no labels."""
        some = self.top >= thresholds[:, None]
        trials = np.array([max(1, int(effective_clusters(self.block[one]))) for one in some])
        expected = np.array([self.top[one].mean() for one in some])
        needed = _fewest_hits(trials, precision, error)
        return np.where(needed <= trials, binom.sf(needed - 1, trials, expected), 0.0)

    def _precision(self, threshold: float, level: float) -> Estimate:
        some = self.top >= threshold
        cell = np.zeros(int(some.sum()), np.int64)
        (k,), (m,), (low,), (high,) = clustered_shares(
            self.hit[some], cell, self.block[some], 1, level
        )
        return Estimate(float(k / m), float(low), float(high), int(m), int(k))

    def _made(
        self, threshold: float | None, precision: Estimate, *, certified: bool, enough: bool
    ) -> AbstentionThreshold:
        accepted = Estimate.proportion(precision.n, len(self.top))
        return AbstentionThreshold(threshold, precision, accepted, certified, certified and enough)


def _fewest_hits(trials: Index, precision: float, error: float) -> Index:
    """Hits whose exact lower bound reaches a precision; one more than the trials if none does."""
    return (binom.isf(error, trials, precision) + 1).astype(np.int64)
