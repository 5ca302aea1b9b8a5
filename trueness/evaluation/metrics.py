"""What the scores of one model are worth: ranking, alarms and hits, calibration; all Estimates.

A score is a logit; an alarm is raised where it exceeds a cut. Cuts by number or rate raise at most
that many alarms: scores tied at the boundary are left out, because no threshold could tell them
apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.calibration import BINS
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.influence import (
    auc_in_fold_influence,
    auc_influence,
    average_precision_influence,
    linear,
    perfect_bound,
    too_few,
    with_draws,
)
from trueness.evaluation.inputs import (
    Input,
    InputError,
    as_logits,
    check_confidence,
    labels_and_scores,
)
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.long_run import Window
from trueness.evaluation.resampling import Resampled, SortedScores, check_size
from trueness.evaluation.threads import in_threads
from trueness.shares import percent_of

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
    return auc_influence(SortedScores.of(y_true, y_score))[0]


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
    """What is measured of n units, and how they depend on each other."""

    blocks: Blocks
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
    >>> result = measure(y, 2 * y - 1 + np.sin(np.arange(200)), alarms=(30,), alarm_rate_pct=5.0,
    ...                 confidence=0.95, blocks=Blocks.of(200, length=5))
    >>> print(result["precision@30"])
    100 % (87–100) · 30/30
    """
    (result,) = measure_many(
        y_true, [y_score], alarms=alarms, alarm_rate_pct=alarm_rate_pct, confidence=confidence,
        blocks=blocks, fold=fold, probabilities=probabilities, input=input, chosen_on=chosen_on,
        measured_on=measured_on,
    )  # fmt: skip
    return result


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
        Units that depend on each other.
    fold : (n,) int64, optional
        Fold of each unit; scores of different folds come from different fits.
    probabilities : bool
        Whether scores stand for probabilities; without, `input` does not matter.
    input : {"logit", "probability", "score"}
        What the scores are; see `as_logits` for what is refused.
    chosen_on, measured_on : str
        See Estimate.
    aucs : list of Resampled, optional
        Gets what `auc_draws` would say of each model.

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
    if fold is not None and len(fold) != blocks.n:
        raise InputError(f"{len(fold)} folds for {blocks.n} units", "length")
    several = fold is not None and len(np.unique(fold)) > 1
    budgets = {f"{alarm_rate_pct:g}%": percent_of(blocks.n, alarm_rate_pct)}
    rule = _Rule(
        blocks, budgets | {str(budget): budget for budget in alarms}, confidence, probabilities,
        fold if several else None, {"chosen_on": chosen_on, "measured_on": measured_on},
    )  # fmt: skip

    def one(score: ArrayLike) -> tuple[dict[str, Estimate], Resampled, Array]:
        labels, values = labels_and_scores(y_true, score)
        check_size(blocks, len(labels))
        logits = as_logits(values, input) if probabilities else values
        return _measured(SortedScores.of_checked(labels, logits), rule)

    result = in_threads(one, scores)
    if aucs is not None:
        aucs += with_draws([auc for _, auc, _ in result], [each for *_, each in result], blocks)
    return [estimates for estimates, *_ in result]


def _measured(ranked: SortedScores, rule: _Rule) -> tuple[dict[str, Estimate], Resampled, Array]:
    """Estimates, and the AUC with its influences."""
    few = too_few(ranked.y)
    statistics = {"auc": auc_influence(ranked)}
    if rule.fold is not None:
        statistics["auc_in_fold"] = auc_in_fold_influence(ranked, rule.fold)
    statistics["average_precision"] = average_precision_influence(ranked)
    drawn = {
        name: linear(value, influence, rule.blocks, few=few)
        for name, (value, influence) in statistics.items()
    }
    result = {name: _estimate(one, ranked, rule) for name, one in drawn.items()}
    result = {
        "auc": result["auc"],
        "auc_in_fold": result.get("auc_in_fold", result["auc"]),
    } | result
    if rule.probabilities:
        result["calibration_error"] = _calibration_error(ranked, rule, few)
    shares = _shares(ranked, rule)
    auc, influence = drawn["auc"], statistics["auc"][1]
    return {"base_rate": shares.pop("base_rate")} | result | shares, auc, influence


def _estimate(drawn: Resampled, ranked: SortedScores, rule: _Rule) -> Estimate:
    """Interval on the scale of log-odds; a perfect ranking gets the bound that it has."""
    result = drawn.proportion(rule.confidence)
    if drawn.value in (0.0, 1.0) and np.isfinite(drawn.error):
        bound = perfect_bound(ranked.y, rule.blocks, rule.confidence)
        low, high = (bound, 1.0) if drawn.value == 1 else (0.0, 1 - bound)
        result = Estimate(drawn.value, low, high, drawn.n)
    return replace(result, **rule.made)


def _shares(ranked: SortedScores, rule: _Rule) -> dict[str, Estimate]:
    """Proportions with exact intervals of their effective sample sizes."""
    y, blocks = ranked.positive, rule.blocks
    everything, hits = np.ones(len(y), bool), np.append(0, np.cumsum(ranked.y[ranked.order]))
    residuals = Residuals.of(ranked, blocks)
    base = of_share(y, everything, blocks)
    shares = {"base_rate": base.estimate(int(hits[-1]), len(y), rule.confidence, **rule.made)}
    raised = {name: (ranked.above(budget), True) for name, budget in rule.budgets.items()}
    if rule.probabilities:
        raised = {"0.5": (int((ranked.score >= 0).sum()), False)} | raised
    for name, (count, by_rank) in raised.items():
        alarm = np.zeros(len(y), bool)
        alarm[ranked.order[:count]] = True
        depends, k = residuals.of_alarms(ranked, count, by_rank=by_rank), int(hits[count])
        shares[f"precision@{name}"] = depends.estimate(k, count, rule.confidence, **rule.made)
        shares[f"recall@{name}"] = of_share(alarm, y, blocks).estimate(
            k, int(hits[-1]), rule.confidence, **rule.made
        )
    return shares


def _calibration_error(ranked: SortedScores, rule: _Rule, few: bool) -> Estimate:
    """Equal-width calibration error with Student's interval, less what chance alone brings.

    Its influences are those of the signed gaps of the bins. Even true probabilities have gaps: of
    a normal one with error s, ``s sqrt(2 / pi)`` on average, which is taken off the lower end.
    """
    n, prob = len(ranked.y), expit(ranked.score)
    edges = np.arange(1, BINS) / BINS  # a probability on an edge is in the bin above it
    bins, rest = np.searchsorted(edges, prob, side="right"), ranked.y - prob
    gaps = np.bincount(bins, rest, BINS)
    value, each = float(np.abs(gaps).sum() / n), np.sign(gaps)[bins] * rest / n
    if few or rule.blocks.few:
        return Estimate(value, None, None, n, **rule.made)
    window = Window.of(rule.blocks)
    variance = float(window.variance(rule.blocks.totals(each - each.mean())))
    effect = max(1.0, variance / max(float(each.var() * n), 1e-300))
    expected = np.sqrt(effect * np.bincount(bins, prob * (1 - prob), BINS))
    chance, half = expected.sum() * np.sqrt(2 / np.pi) / n, window.critical(rule.confidence)
    low, high = value - chance - half * variance**0.5, value + half * variance**0.5
    return Estimate(value, float(max(0, low)), float(min(1, high)), n, **rule.made)


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
