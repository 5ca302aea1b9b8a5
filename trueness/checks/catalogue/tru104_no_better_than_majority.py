"""Predictions that are worth no more than one constant answer, or than guessing."""

import numpy as np

from trueness.checks.inputs import Array, CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import above, difference_of, where
from trueness.evaluation.by_group import class_f1
from trueness.evaluation.intervals import Estimate, percentile_interval

CHECK = Check("TRU104", "no better than the majority class", "error", ("classes",))


def check(run: CheckInput) -> CheckResult:
    """Macro-F1 that is not above what no knowledge of the units reaches.

    That is the larger of two: the most frequent class of the measured part as the only answer, and
    the same predictions dealt out at random.
    """
    part, k = run.measured, len(run.measured.classes)
    labels, guesses = np.eye(k)[part.y], np.eye(k)[part.scores.argmax(axis=1)]
    rows = np.vstack([(labels * guesses).T, labels.T, guesses.T])

    def difference(sums: Array) -> Array:
        return gain_in_macro_f1(sums.reshape(3, k, -1))

    low, high = percentile_interval(run.resampled(rows, difference), run.rule.confidence)
    value = float(difference(rows.sum(axis=1, keepdims=True))[0])
    result = Estimate(value, low, high, len(part))
    if above(result, 0.0):
        return CHECK.clean()
    return CHECK.finding(
        f"{difference_of(run, result)} to the most frequent class or guessing {where(result, 0.0)}",
        difference=value, low=low, high=high,
    )  # fmt: skip


def gain_in_macro_f1(counts: Array) -> Array:
    """Macro-F1 minus the larger of those of a constant answer and of predictions at random.

    Parameters
    ----------
    counts : (3, K, draws)
        Hits, units and predictions of each class.

    Returns
    -------
    (draws,) float64

    Examples
    --------
    >>> guessed = np.array([[25.0, 25.0], [50.0, 50.0], [50.0, 50.0]])[..., None]
    >>> constant = np.array([[60.0, 0.0], [60.0, 40.0], [100.0, 0.0]])[..., None]
    >>> gain_in_macro_f1(guessed), gain_in_macro_f1(constant)
    (array([0.]), array([0.]))
    """
    _, units, predictions = counts
    n = units.sum(axis=0)
    guessed = class_f1(np.stack([units * predictions / n, units, predictions])).mean(axis=0)
    most = units.max(axis=0)
    constant = 2 * most / (most + n) / len(units)
    return class_f1(counts).mean(axis=0) - np.maximum(guessed, constant)
