"""What the scores of one run are worth: ranking, alarms and hits, calibration; each an Estimate.

A score is a logit; an alarm is raised where it exceeds a cut. Cuts by number or rate raise at most
that many alarms: scores tied at the boundary are left out, because no threshold could tell them
apart.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trueness.errors import TruenessError
from trueness.evaluation.calibration import expected_calibration_error, weighted_calibration_error
from trueness.evaluation.intervals import Estimate, block_weights, percentile_interval

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]


def _checked(y: object, score: object) -> tuple[Labels, Array]:
    """Labels as uint8 and scores as float64, (n,) each, n >= 1; anything else is refused."""
    labels, scores = np.asarray(y), np.asarray(score)
    if labels.ndim != 1 or scores.ndim != 1 or np.ma.isMaskedArray(y) or np.ma.isMaskedArray(score):
        raise TruenessError("labels and scores must be plain arrays of one dimension")
    if len(labels) != len(scores):
        raise TruenessError(f"{len(scores)} scores for {len(labels)} labels")
    if not len(labels):
        raise TruenessError("no examples; at least one is needed")
    if scores.dtype.kind not in "fiu":
        raise TruenessError(f"scores are {scores.dtype}; real numbers are needed")
    if not np.isin(labels, (0, 1)).all():
        raise TruenessError("labels must be 0 or 1")
    scores = scores.astype(np.float64)
    if not np.isfinite(scores).all():
        raise TruenessError(f"{int((~np.isfinite(scores)).sum())} scores are not finite")
    return labels.astype(np.uint8), scores


def roc_auc(y: Labels, score: Array) -> float:
    """Probability that a positive outranks a negative, ties counted half; NaN with one class only.

    Hanley and McNeil, "The meaning and use of the area under a ROC curve" (1982).

    Examples
    --------
    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    y, score = _checked(y, score)
    return float(_weighted_auc(y, score, np.ones((1, len(y)), np.float32))[0])


def _tie_groups(score: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order by falling score, and the last position of each group of equal scores."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    return order, ends


def average_precision(y: Labels, score: Array) -> float:
    """Mean of the precision over the recall steps; NaN without positives.

    ``sum (R_i - R_{i-1}) P_i`` over the distinct scores, from the highest down.

    Examples
    --------
    >>> round(average_precision(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])), 3)
    0.833
    """
    y, score = _checked(y, score)
    return float(_weighted_ap(y, score, np.ones((1, len(y)), np.float32))[0])


def _weighted_ap(y: Labels, score: Array, weights: NDArray[np.float32]) -> Array:
    order, ends = _tie_groups(score)
    sorted_weights = weights[:, order].astype(np.float64)
    hits = np.cumsum(sorted_weights * y[order], axis=1)[:, ends]
    alarms = np.cumsum(sorted_weights, axis=1)[:, ends]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(alarms > 0, hits / alarms, 0.0)
        return (np.diff(hits, axis=1, prepend=0) * precision).sum(axis=1) / hits[:, -1]


def _weighted_auc(y: Labels, score: Array, weights: NDArray[np.float32]) -> Array:
    """AUC for each row of weights (draws, n); exact, as counts of days below 2**24 are."""
    of_negatives, of_positives = (np.ascontiguousarray(weights[:, y == c].T) for c in (0, 1))
    negatives, positives = score[y == 0], score[y == 1]
    order = np.argsort(negatives, kind="stable")
    below = np.zeros((len(order) + 1, len(weights)), np.float32)
    np.cumsum(of_negatives[order], axis=0, out=below[1:])
    low, high = (np.searchsorted(negatives[order], positives, side) for side in ("left", "right"))
    beaten = (below[low].astype(np.float64) + below[high]) / 2  # ties count half
    won = np.einsum("ij,ij->j", of_positives.astype(np.float64), beaten)
    with np.errstate(invalid="ignore"):
        return won / (of_positives.sum(axis=0, dtype=np.float64) * below[-1])


def _auc_in_fold(
    y: Labels, score: Array, fold: NDArray[np.int64], weights: NDArray[np.float32]
) -> Array:
    """Mean of the AUCs inside each fold that has both classes, for each row of weights."""
    parts = [fold == f for f in np.unique(fold)]
    inside = [_weighted_auc(y[p], score[p], weights[:, p]) for p in parts if 0 < y[p].mean() < 1]
    with np.errstate(invalid="ignore"):
        return np.mean(inside, axis=0) if inside else np.full(len(weights), np.nan)


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def alarm_cut(score: Array, alarms: int) -> float:
    """Highest score that raises no alarm if at most `alarms` are wanted; alarm where score > cut.

    Examples
    --------
    >>> alarm_cut(np.array([3.0, 2.0, 2.0, 1.0]), 2)
    2.0
    """
    if alarms >= len(score):
        return -np.inf
    return float(np.sort(score)[len(score) - alarms - 1])


def precision_recall_curve(y: Labels, score: Array) -> dict[str, Array]:
    """Alarms, hits, precision and recall at every distinct score, from the highest cut down.

    Returns
    -------
    dict
        ``cut`` (m,): the lowest alarming score; ``alarms``, ``hits``, ``precision``, ``recall``
        (m,).
    """
    y, score = _checked(y, score)
    order, ends = _tie_groups(score)
    hits, alarms = np.cumsum(y[order])[ends].astype(float), (ends + 1).astype(float)
    with np.errstate(invalid="ignore"):
        recall = hits / y.sum()
    return {
        "cut": score[order][ends],
        "alarms": alarms,
        "hits": hits,
        "precision": hits / alarms,
        "recall": recall,
    }


def measure(
    y: Labels, score: Array, *, alarms: tuple[int, ...], alarm_rate_pct: float, confidence: float,
    block: int, fold: NDArray[np.int64] | None = None, chosen_on: str = "", measured_on: str = "",
) -> dict[str, Estimate]:  # fmt: skip
    """All estimates of one run on one part.

    Parameters
    ----------
    y : (n,) uint8
        In time order.
    score : (n,) float64
        Logits.
    alarms : tuple of int
        Alarm budgets.
    alarm_rate_pct : float
        Share of days that may raise an alarm, percent.
    confidence : float
        Of every interval, in (0, 1).
    block : int
        Days per block of the bootstrap behind `auc`, `average_precision` and `calibration_error`.
    fold : (n,) int64, optional
        Fold of each day; scores of different folds come from different fits.

    Returns
    -------
    dict of str to Estimate
        ``base_rate, auc, auc_in_fold`` (mean of the AUCs inside each fold), ``average_precision,
        calibration_error``, and ``precision@X, recall@X`` for X in ``0.5`` (probability), ``30``
        (each budget), ``5%`` (the alarm rate).
    """
    y, score = _checked(y, score)
    if not (0 < alarm_rate_pct <= 100 and all(budget >= 1 for budget in alarms)):
        raise TruenessError("alarm budgets must be at least 1 and the rate in (0, 100] percent")
    estimate = partial(Estimate, chosen_on=chosen_on, measured_on=measured_on)
    share = partial(
        Estimate.proportion, confidence=confidence, chosen_on=chosen_on, measured_on=measured_on
    )
    n, positives, prob = len(y), int(y.sum()), expit(score)
    weights, whole = block_weights(n, block), np.ones((1, n), np.float32)
    fold = np.zeros(n, np.int64) if fold is None else fold
    result = {"base_rate": share(positives, n)}
    for name, value, draws in (
        ("auc", roc_auc(y, score), _weighted_auc(y, score, weights)),
        (
            "auc_in_fold",
            float(_auc_in_fold(y, score, fold, whole)[0]),
            _auc_in_fold(y, score, fold, weights),
        ),
        ("average_precision", average_precision(y, score), _weighted_ap(y, score, weights)),
        (
            "calibration_error",
            expected_calibration_error(prob, y),
            weighted_calibration_error(prob, y, weights),
        ),
    ):
        low, high = percentile_interval(draws, confidence)
        result[name] = estimate(_number(value), low, high, n)
    cuts = {"0.5": 0.0, f"{alarm_rate_pct:g}%": alarm_cut(score, int(n * alarm_rate_pct / 100))}
    cuts |= {str(budget): alarm_cut(score, budget) for budget in alarms}
    for name, cut in cuts.items():
        raised = score >= cut if name == "0.5" else score > cut
        hits = int(y[raised].sum())
        shares = {"precision": (hits, int(raised.sum())), "recall": (hits, positives)}
        for what, (k, of) in shares.items():
            result[f"{what}@{name}"] = share(k, of)
    return result


def score_facts(score: Array) -> dict[str, Any]:
    """Range and spread of the probabilities of one run.

    Returns
    -------
    dict
        ``min, max, width``, the 5 and 95 % quantiles ``q05, q95``, the standard deviation ``std``,
        and ``state``: "collapsed", "narrow" or "healthy".
    """
    _, score = _checked(np.zeros(len(score)), score)
    prob = expit(score)
    width = float(prob.max() - prob.min())
    low, high = np.quantile(prob, [0.05, 0.95])
    return {
        "min": float(prob.min()), "max": float(prob.max()), "width": width,
        "q05": float(low), "q95": float(high), "std": float(prob.std()),
        "state": "collapsed" if width < 0.2 else "healthy" if width > 0.5 else "narrow",
    }  # fmt: skip
