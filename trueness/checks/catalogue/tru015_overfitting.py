"""A ranking of the training part that is far better, and probabilities that believe in it."""

import numpy as np
from scipy.special import expit, stdtrit

from trueness.checks.inputs import Array, CheckInput, Missing, long_run_variance
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.evaluation.metrics import roc_auc
from trueness.predictions import Predictions

GAP = Limit("overfitting_gap", 0.15, "training AUC minus measured AUC that is still usual")
CHECK = Check("TRU015", "overfitting", "warning", ("binary",), (GAP,), version=2)


def check(run: CheckInput) -> CheckResult:
    """A mean training AUC far above the measured one and its interval, and overconfidence.

    A training part that is known by heart is no fault by itself: many a good model knows it.
    """
    measured = run.estimates.get("auc_in_fold", run.estimates["auc"])
    train = run.training
    parts = [train.only(train.fold == f) for f in np.unique(train.fold)]
    aucs = [roc_auc(p.y, p.score) for p in parts if 0 < p.y.mean() < 1]
    if not aucs or measured.value is None:
        raise Missing("one class only")
    known, (t, by_chance) = float(np.mean(aucs)), _overconfidence(run)
    gap, near = known - measured.value, measured.high is not None and known <= measured.high
    if gap <= run.limit(GAP) or near or t <= by_chance:
        return CHECK.clean()
    return CHECK.finding(
        f"AUC {numbers.decimal(known)} on the training {run.units}, {measured} on the measured "
        f"ones, {numbers.decimal(gap, 2)} apart, and their log-odds are spread too far, "
        f"t = {numbers.decimal(t, 1)}",
        train=known, measured=measured.value, gap=gap, t=t,
    )  # fmt: skip


def _overconfidence(run: CheckInput) -> tuple[float, float]:
    """How far measured log-odds are spread too far, in standard errors, and what chance reaches."""
    if not run.rule.probabilities or run.measured.scale != "logit":
        raise Missing("the scores only rank; they are no probabilities")
    against = slope_score(run.measured)
    variance, freedom = long_run_variance(against, run.blocks)
    t = -float(against.sum()) / variance**0.5 if variance > 0 else 0.0
    return t, float(stdtrit(freedom, (1 + run.rule.confidence) / 2))


def slope_score(part: Predictions) -> Array:
    """What each unit says against a calibration slope of 1, the intercept fitted; (n,).

    The sum is below 0 where log-odds are spread too far. Efficient score of the slope in a logistic
    regression of the labels on the log-odds; Cox, "Two further applications of a model for binary
    regression" (1958).
    """
    from scipy.optimize import brentq  # slow to load, and few verbs make findings anew

    score, y = part.score.astype(np.float64), part.y
    if not 0 < y.mean() < 1:
        raise Missing("one class only")
    reach = float(np.abs(score).max()) + 40
    shift = brentq(lambda a: float(expit(score + a).mean() - y.mean()), -reach, reach)
    prob = expit(score + shift)
    weight = prob * (1 - prob)
    return (y - prob) * (score - (weight * score).sum() / max(weight.sum(), 1e-300))
