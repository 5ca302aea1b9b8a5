"""Probabilities that are worse than the base rate."""

import numpy as np

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import brier_finding

CHECK = Check("TRU011", "calibration worse than the prior", "warning", ("binary",))


def check(run: CheckInput) -> CheckResult:
    """A Brier score above that of the training base rate, with all of its interval.

    Brier, "Verification of forecasts expressed in terms of probability" (1950).
    """
    part, train = run.measured, run.training
    prior = np.full(len(part), np.nan)
    for f in np.unique(part.fold):
        if (train.fold == f).any():
            prior[part.fold == f] = train.y[train.fold == f].mean()
    if np.isnan(prior).any():
        raise Missing("a fold has no training part")
    own, simple = (run.probabilities - part.y) ** 2, (prior - part.y) ** 2
    return brier_finding(CHECK, run, own, simple)
