"""What the scores of one model are worth: ranking, alarms and hits, calibration; all Estimates.

A score is a logit; an alarm is raised where it exceeds a cut. Cuts by number or rate raise at most
that many alarms: scores tied at the boundary are left out, because no threshold could tell them
apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.calibration import BINS
from trueness.evaluation.inputs import (
    Input,
    InputError,
    as_logits,
    check_confidence,
    labels_and_scores,
)
from trueness.evaluation.intervals import Estimate, exact_bounds, percentile_interval
from trueness.evaluation.resampling import (
    Resampled,
    Resamples,
    SortedScores,
    auc_in_folds,
    check_size,
    number,
    ranking,
    resampled,
)
from trueness.evaluation.threads import in_threads

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def roc_auc(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Probability that a positive outranks a negative, ties counted half; NaN with one class only.

    Hanley and McNeil, "The meaning and use of the area under a ROC curve" (1982).

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    y_score : (n,)
        The larger, the likelier a positive.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    ranked = SortedScores.of(y_true, y_score)
    auc, _ = ranking(ranked, Resamples.of(np.ones((len(ranked.y), 1), np.uint8)))
    return float(auc[0])


def alarm_cut(y_score: ArrayLike, alarms: int) -> float:
    """Highest score that raises no alarm if at most `alarms` are wanted; alarm where score > cut.

    Examples
    --------
    >>> alarm_cut([3.0, 2.0, 2.0, 1.0], 2)
    2.0
    """
    score = np.asarray(y_score, np.float64)
    if alarms >= len(score):
        return -np.inf
    return float(np.sort(score)[len(score) - alarms - 1])


def precision_recall_curve(y_true: ArrayLike, y_score: ArrayLike) -> dict[str, Array]:
    """Alarms, hits, precision and recall at every distinct score, from the highest cut down.

    Parameters
    ----------
    y_true, y_score : (n,)
        As for `roc_auc`.

    Returns
    -------
    dict
        ``cut`` (m,): the lowest alarming score; ``alarms``, ``hits``, ``precision``, ``recall``
        (m,).
    """
    ranked = SortedScores.of(y_true, y_score)
    hits = np.cumsum(ranked.y[ranked.order])[ranked.ends - 1].astype(float)
    alarms = ranked.ends.astype(float)
    with np.errstate(invalid="ignore"):
        recall = hits / ranked.y.sum()
    return {
        "cut": ranked.score[ranked.order][ranked.ends - 1],
        "alarms": alarms,
        "hits": hits,
        "precision": hits / alarms,
        "recall": recall,
    }


# ------------------------------------------------------------------------------ everything of one


@dataclass(frozen=True)
class _Rule:
    """What is measured, and the resamples of n units."""

    resamples: Resamples
    budgets: dict[str, int]
    confidence: float
    probabilities: bool
    fold: Index | None
    made: dict[str, Any]


def measure(
    y_true: ArrayLike, y_score: ArrayLike, *, alarms: tuple[int, ...], alarm_rate_pct: float,
    confidence: float, blocks: Blocks, fold: Index | None = None, probabilities: bool = True,
    input: Input = "logit", chosen_on: str = "", measured_on: str = "",
) -> dict[str, Estimate]:  # fmt: skip
    """All estimates of one model on one part; see `measure_many`.

    Examples
    --------
    >>> y = np.tile([0, 0, 1, 0], 50)
    >>> found = measure(y, 2 * y - 1 + np.sin(np.arange(200)), alarms=(30,), alarm_rate_pct=5.0,
    ...                 confidence=0.95, blocks=Blocks.of(200, length=5))
    >>> print(found["precision@30"])
    100 % (88–100) · 30/30
    """
    (found,) = measure_many(
        y_true, [y_score], alarms=alarms, alarm_rate_pct=alarm_rate_pct, confidence=confidence,
        blocks=blocks, fold=fold, probabilities=probabilities, input=input, chosen_on=chosen_on,
        measured_on=measured_on,
    )  # fmt: skip
    return found


def measure_many(
    y_true: ArrayLike, scores: Iterable[ArrayLike], *, alarms: tuple[int, ...],
    alarm_rate_pct: float, confidence: float, blocks: Blocks, fold: Index | None = None,
    probabilities: bool = True, input: Input = "logit", chosen_on: str = "", measured_on: str = "",
    aucs: list[Resampled] | None = None,
) -> list[dict[str, Estimate]]:  # fmt: skip
    """All estimates of several models on the same units, side by side in threads.

    Parameters
    ----------
    y_true : (n,)
        Labels 0 and 1.
    scores : iterable of (n,)
    alarms : tuple of int
        Alarm budgets.
    alarm_rate_pct : float
        Share of units that may raise an alarm, percent.
    confidence : float
        Of every interval, in (0, 1).
    blocks : Blocks
        Of the bootstrap behind `auc`, `average_precision` and `calibration_error`.
    fold : (n,) int64, optional
        Fold of each unit; scores of different folds come from different fits.
    probabilities : bool
        Whether scores stand for probabilities; without, `input` does not matter.
    input : {"logit", "probability", "score"}
        What the scores are; see `as_logits` for what is refused.
    chosen_on, measured_on : str
        See Estimate.
    aucs : list of Resampled, optional
        Gets what `resampled_aucs` would say of each model, which costs nothing more here.

    Returns
    -------
    list of dict of str to Estimate
        ``base_rate, auc, auc_in_fold`` (mean of the AUCs inside each fold), ``average_precision,
        calibration_error``, and ``precision@X, recall@X`` for X in ``0.5`` (probability), ``30``
        (each budget), ``5%`` (the alarm rate). Where scores only rank, without
        ``calibration_error, precision@0.5, recall@0.5``.

    Raises
    ------
    InputError
        With the codes of `labels_and_scores` and `as_logits`, and ``range``, ``length``.
    """
    if not (0 < alarm_rate_pct <= 100 and all(budget >= 1 for budget in alarms)):
        raise InputError(
            "alarm budgets must be at least 1 and the rate in (0, 100] percent", "range"
        )
    check_confidence(confidence)
    several = fold is not None and len(np.unique(fold)) > 1
    budgets = {f"{alarm_rate_pct:g}%": int(blocks.n * alarm_rate_pct / 100)}
    rule = _Rule(
        Resamples.of(blocks.weights()), budgets | {str(budget): budget for budget in alarms},
        confidence, probabilities, fold if several else None,
        {"chosen_on": chosen_on, "measured_on": measured_on},
    )  # fmt: skip

    def one(score: ArrayLike) -> tuple[dict[str, Estimate], Array]:
        labels, values = labels_and_scores(y_true, score)
        check_size(blocks, len(labels))
        logits = as_logits(values, input) if probabilities else values
        return _measured(SortedScores.of_checked(labels, logits), rule)

    found = in_threads(one, scores)
    if aucs is not None:
        aucs += [resampled(auc, blocks.n, blocks.count) for _, auc in found]
    return [estimates for estimates, _ in found]


def _measured(ranked: SortedScores, rule: _Rule) -> tuple[dict[str, Estimate], Array]:
    """Estimates, and the AUC of the units as they are and of each resample."""
    auc, area = ranking(ranked, rule.resamples)
    in_fold = auc if rule.fold is None else auc_in_folds(ranked, rule.resamples, rule.fold)
    draws = {"auc": auc, "auc_in_fold": in_fold, "average_precision": area}
    counts = {"base_rate": (int(ranked.y.sum()), len(ranked.y))}
    raised = {name: ranked.above(budget) for name, budget in rule.budgets.items()}
    if rule.probabilities:
        draws["calibration_error"] = _calibration_errors(ranked, rule)
        raised = {"0.5": int((ranked.score >= 0).sum())} | raised
    hits = np.append(0, np.cumsum(ranked.y[ranked.order]))
    for name, k in raised.items():
        counts[f"precision@{name}"] = (int(hits[k]), k)
        counts[f"recall@{name}"] = (int(hits[k]), int(hits[-1]))
    shares = _shares(counts, rule)
    of_draws = {name: _resampled(values, rule, len(ranked.y)) for name, values in draws.items()}
    return {"base_rate": shares.pop("base_rate")} | of_draws | shares, auc


def _shares(counts: dict[str, tuple[int, int]], rule: _Rule) -> dict[str, Estimate]:
    """Proportions with their exact intervals."""
    k, n = np.array(list(counts.values())).T
    ends = zip(*(side.tolist() for side in exact_bounds(k, n, rule.confidence)), strict=True)
    return {
        name: Estimate(k / n if n else None, low, high, n, k, **rule.made)
        for (name, (k, n)), (low, high) in zip(counts.items(), ends, strict=True)
    }


def _resampled(values: Array, rule: _Rule, n: int) -> Estimate:
    """Value of the units as they are, and the percentile interval of the draws."""
    low, high = percentile_interval(values[1:], rule.confidence)
    return Estimate(number(values[0]), low, high, n, **rule.made)


def _calibration_errors(ranked: SortedScores, rule: _Rule) -> Array:
    """Equal-width calibration error under each column of the weights."""
    from trueness.evaluation.kernels import gaps_of_draws

    prob = expit(ranked.score)
    edges = np.linspace(0, 1, BINS + 1)[1:-1]  # a probability on an edge is in the bin above it
    ends = np.searchsorted(-prob[ranked.order], -edges[::-1], side="right")
    gaps = gaps_of_draws(
        rule.resamples.weights, ranked.y - prob, ranked.order, np.append(ends, len(prob))
    )
    return gaps / rule.resamples.total


def score_facts(
    y_score: ArrayLike, *, probabilities: bool = True, input: Input = "score"
) -> dict[str, Any]:
    """Range and spread of the probabilities of one model.

    Parameters
    ----------
    y_score : (n,)
    probabilities : bool
        Whether the scores stand for probabilities.
    input : {"logit", "probability", "score"}
        See `as_logits`; anything is taken as logits by default, as this only describes.

    Returns
    -------
    dict
        ``min, max, width``, the 5 and 95 % quantiles ``q05, q95``, the standard deviation ``std``,
        and ``state``: "collapsed", "narrow" or "healthy". Of scores that only rank the ``min, max,
        q05, q95`` as they are, and the state "ranks".

    Examples
    --------
    >>> score_facts([-3.0, 0.0, 3.0])["state"]
    'healthy'
    """
    score = labels_and_scores(np.zeros(len(np.asarray(y_score))), y_score)[1]
    values = expit(as_logits(score, input)) if probabilities else score
    least, most = float(values.min()), float(values.max())
    low, high = (float(q) for q in np.quantile(values, [0.05, 0.95]))
    ends = {"min": least, "max": most, "q05": low, "q95": high}
    if not probabilities:
        return ends | {"width": None, "std": None, "state": "ranks"}
    width = most - least
    state = "collapsed" if width < 0.2 else "healthy" if width > 0.5 else "narrow"
    return ends | {"width": width, "std": float(values.std()), "state": state}
