"""A temperature for each language, and cuts below which a classifier of texts should abstain.

Both are fitted on validation texts and used on others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from trueness.errors import TruenessError
from trueness.evaluation.by_language import OTHER, check_lengths, group_languages
from trueness.evaluation.clusters import check_confidence, clustered_shares
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.slices import checked_logits

Array = NDArray[np.float64]
Index = NDArray[np.int64]
COLDEST, HOTTEST = 0.01, 100.0
STRENGTH = 8.0
"""Pull of a language towards the others, nats; as of a prior with standard deviation 0.25."""
SMALLEST_SLOPE = 1e-5
"""Of the mean log loss; below it rounding may end the search for temperatures."""
ACCEPTED_PCT = tuple(range(5, 101, 5))
"""Shares of the texts, percent, at which an accepting cut is looked for."""


@dataclass(frozen=True)
class LanguageTemperatures:
    """Temperatures that logits are divided by.

    Attributes
    ----------
    common : float
        Of languages that were not fitted: the geometric mean of the others.
    by_language : dict of str to float
    strength : float
        Of the pull towards the common one.
    """

    common: float
    by_language: dict[str, float]
    strength: float

    def apply(self, logits: object, language: object) -> Array:
        """Logits (n, K) divided by the temperature of their language (n,)."""
        values = np.asarray(logits, np.float64)
        check_lengths(logits=values, language=language)
        return values / self._of(language)[:, None]

    def probabilities(self, logits: object, language: object) -> Array:
        """Softmax of `apply`, (n, K)."""
        return softmax(self.apply(logits, language), axis=1)

    def _of(self, language: object) -> Array:
        names, which = np.unique(np.asarray(language), return_inverse=True)
        return np.array([self.by_language.get(n, self.common) for n in names.tolist()])[which]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(**{f.name: content[f.name] for f in fields(cls)})


def fit_language_temperatures(
    y: object, logits: object, language: object, *, strength: float = STRENGTH
) -> LanguageTemperatures:
    """One temperature per language, pulled together: ``log T_l = log T + delta_l``.

    The smallest ``sum_i -log p_i(y_i) + strength * sum_l delta_l^2``. With a strength of 0 each
    language is fitted alone, with an infinite one all have the same temperature. Predictions do not
    change. Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks" (2017); the
    pull is that of a normal prior.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    logits : (n, K)
    language : (n,) str
    strength : float
        At least 0, nats.

    Returns
    -------
    LanguageTemperatures
        In [0.01, 100].

    Raises
    ------
    TruenessError
        If shapes, labels or logits cannot be used, or no minimum is found.

    Examples
    --------
    >>> logits = np.log([[0.9, 0.1]] * 10)
    >>> y = np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 1])  # 7 of 10: ln(9) / T = ln(7 / 3)
    >>> round(fit_language_temperatures(y, logits, ["de"] * 10).by_language["de"], 3)
    2.593
    """
    if not strength >= 0:
        raise TruenessError(f"strength {strength}: at least 0 is needed")
    labels, values = checked_logits(y, logits, np.asarray(logits).shape[-1])
    check_lengths(y=y, logits=logits, language=language)
    names, index = np.unique(np.asarray(language), return_inverse=True)
    together = np.isinf(strength)
    pieces = np.zeros_like(index) if together else index
    logs = _minimum(labels, values, pieces, 0.0 if together else strength)
    by_language = np.exp(logs[0] if together else logs) * np.ones(len(names))
    common = float(np.exp(logs.mean()))
    return LanguageTemperatures(
        common, dict(zip(names.tolist(), by_language.tolist(), strict=True)), strength
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

    found = minimize(
        cost, np.zeros(groups), jac=True, method="L-BFGS-B",
        bounds=[(np.log(COLDEST), np.log(HOTTEST))] * groups,
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 1000},
    )  # fmt: skip
    if not found.success and np.abs(found.jac).max() > SMALLEST_SLOPE:
        raise TruenessError(f"no temperatures are found after {found.nit} steps: {found.message}")
    return found.x


# --------------------------------------------------------------------------------------- abstaining


@dataclass(frozen=True)
class PrecisionCut:
    """The smallest probability at which predictions of a language are taken.

    Attributes
    ----------
    cut : float or None
        A text is taken where its largest probability is at least this; None if no cut will do, and
        every text of the language is left out.
    precision : Estimate
        Right ones among those taken; certified, ``low`` is the bound and ``high`` is 1.
    taken : Estimate
        Share of the texts that is taken.
    certified : bool
        Whether the bound was asked for; else the value is the best of several and optimistic.
    """

    cut: float | None
    precision: Estimate
    taken: Estimate
    certified: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        precision, taken = (Estimate.from_dict(content[n]) for n in ("precision", "taken"))
        return cls(content["cut"], precision, taken, content["certified"])


def precision_cuts(
    y: object, probabilities: object, language: object, cluster: object, *, precision: float,
    confidence: float | None = 0.95, min_rows: int = 100,
) -> dict[str, PrecisionCut]:  # fmt: skip
    """For each language the cut with the most texts whose precision is as wanted.

    Cuts are looked for at 5, 10, ..., 100 % of the texts with the largest probabilities, places
    that do not depend on the labels. With a `confidence`, a cut counts if the lower bound of its
    precision reaches the target at a twentieth of the error (Bonferroni), so that the cut of a
    language keeps its promise with that confidence, for texts like these. Without one the observed
    precision decides.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    probabilities : (n, K)
        Rows sum to 1; calibrated ones make cuts comparable, but no promise needs that.
    language : (n,) str
    cluster : (n,)
        See `clustered_shares`.
    precision : float
        To be reached, in (0, 1).
    confidence : float or None
        In (0, 1).
    min_rows : int
        Languages with fewer texts share the cut "other", which is also that of unseen languages.

    Returns
    -------
    dict of str to PrecisionCut
        The largest language first.

    Raises
    ------
    TruenessError
        If shapes, labels or probabilities cannot be used.

    Examples
    --------
    >>> y, p = np.zeros(400, int), np.linspace(0.5, 1, 400)
    >>> y[:100:2] = 1  # the lowest quarter is right half of the time
    >>> cuts = precision_cuts(y, np.c_[p, 1 - p], ["en"] * 400, np.arange(400), precision=0.9)
    >>> print(cuts["en"].taken)
    320/400 = 80.0 % [75.7, 83.8]
    """
    if not 0 < precision < 1:
        raise TruenessError(f"precision {precision} must lie between 0 and 1")
    if confidence is not None:
        check_confidence(confidence)
    labels, values = checked_logits(y, probabilities, np.asarray(probabilities).shape[-1])
    if values.min() < 0 or not np.allclose(values.sum(axis=1), 1, atol=1e-4):
        raise TruenessError("probabilities must not be negative and sum to 1; softmax logits first")
    check_lengths(y=y, probabilities=probabilities, language=language, cluster=cluster)
    slices, groups = group_languages(language, min_rows), np.asarray(cluster)
    hit, top = values.argmax(axis=1) == labels, values.max(axis=1)
    found = {}
    for g, name in enumerate(slices.slices):
        inside = slices.index == g
        found[name] = _cut(hit[inside], top[inside], groups[inside], precision, confidence)
    return found


def taken(
    probabilities: object, language: object, cuts: dict[str, PrecisionCut]
) -> NDArray[np.bool_]:
    """Which predictions are taken, (n,): those at the cut of their language or above it."""
    top = np.asarray(probabilities).max(axis=1)
    check_lengths(probabilities=probabilities, language=language)
    never = np.inf
    limits = {name: never if one.cut is None else one.cut for name, one in cuts.items()}
    rest = limits.get(OTHER, never)
    return top >= np.array([limits.get(n, rest) for n in np.asarray(language).tolist()])


def _cut(
    hit: NDArray[np.bool_], top: Array, cluster: NDArray[Any], precision: float,
    confidence: float | None,
) -> PrecisionCut:  # fmt: skip
    """The cut that takes the most; of the texts of one language."""
    n, ranked = len(top), np.sort(top)[::-1]
    level = 0.95 if confidence is None else 1 - 2 * (1 - confidence) / len(ACCEPTED_PCT)
    cuts = np.unique([ranked[max(1, n * pct // 100) - 1] for pct in ACCEPTED_PCT])
    for cut in cuts:
        some = top >= cut
        cell = np.zeros(int(some.sum()), np.int64)
        (k,), (m,), (low,), (high,) = clustered_shares(hit[some], cell, cluster[some], 1, level)
        if (k / m if confidence is None else low) >= precision:
            top_end = float(high) if confidence is None else 1.0
            share = Estimate(float(k / m), float(low), top_end, int(m), int(k))
            return PrecisionCut(
                float(cut), share, Estimate.proportion(int(m), n), confidence is not None
            )
    return PrecisionCut(None, Estimate.proportion(0, 0), Estimate.proportion(0, n), confidence is not None)
