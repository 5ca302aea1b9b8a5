"""Predictions that are worth no more than one constant answer."""

import numpy as np

from trueness.checks.inputs import Array, CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.checks.words import above, difference_of, where
from trueness.evaluation.by_group import class_f1
from trueness.evaluation.intervals import Estimate, percentile_interval

CHECK = Check("TRU104", "no better than the majority class", "error", ("classes",))


def check(run: CheckInput) -> CheckResult:
    """Macro-F1 minus that of always answering the most frequent class, in clusters, not above 0.

    The most frequent class of the measured part is the best constant answer there is.
    """
    part, k = run.measured, len(run.measured.classes)
    labels, guesses = np.eye(k)[part.y], np.eye(k)[part.scores.argmax(axis=1)]
    majority = int(labels.sum(axis=0).argmax())
    rows = np.vstack([(labels * guesses).T, labels.T, guesses.T])

    def difference(sums: Array) -> Array:
        hits, texts, predictions = sums.reshape(3, k, -1)
        own = class_f1(np.stack([hits, texts, predictions])).mean(axis=0)
        total = texts.sum(axis=0)
        return own - 2 * texts[majority] / (texts[majority] + total) / k

    low, high = percentile_interval(run.resampled(rows, difference), run.rule.confidence)
    value = float(difference(rows.sum(axis=1, keepdims=True))[0])
    found = Estimate(value, low, high, len(part))
    if above(found, 0.0):
        return CHECK.clean()
    return CHECK.finding(
        f"{difference_of(run, found)} to always answering {part.classes[majority]} "
        f"{where(found, 0.0)}",
        difference=value, low=low, high=high,
    )  # fmt: skip
