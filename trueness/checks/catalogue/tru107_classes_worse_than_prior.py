"""Probabilities of classes that are worse than the shares of the classes."""

import numpy as np

from trueness.checks.inputs import Array, CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import brier_finding

CHECK = Check("TRU107", "calibration worse than the prior", "warning", ("classes",))


def check(run: CheckInput) -> CheckResult:
    """A Brier score above that of the class shares of the training part, in clusters.

    The squared error is summed over the classes. Brier, "Verification of forecasts expressed in
    terms of probability" (1950).
    """
    labels = np.eye(len(run.measured.classes))[run.measured.y]
    own = ((run.probabilities - labels) ** 2).sum(axis=1)
    simple = ((_prior(run) - labels) ** 2).sum(axis=1)
    return brier_finding(CHECK, run, own, simple)


def _prior(run: CheckInput) -> Array:
    """Shares of the classes in the training part, (K,)."""
    if run.predictions.has("train"):
        counts = np.bincount(run.training.y, minlength=len(run.measured.classes))
    else:
        counts = np.array(run.fact("training")["classes"], np.float64)
    return counts / counts.sum()
