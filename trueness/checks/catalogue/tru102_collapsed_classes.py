"""Nearly the same answer for every text."""

import numpy as np

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers

ELSEWHERE = Limit(
    "collapsed_classes", 0.1,
    "predictions outside the most frequent answer, over texts outside it, that are enough",
)  # fmt: skip
SPREAD = Limit(
    "collapsed_spread", 0.05,
    "mean distance of the probabilities from their mean, over that of the labels, that is enough",
)  # fmt: skip
CHECK = Check("TRU102", "collapsed scores", "error", ("classes",), (ELSEWHERE, SPREAD))


def check(run: CheckInput) -> CheckResult:
    """One class is predicted almost always, or probabilities hardly differ between texts.

    The distance is total variation. Where scores only rank, predictions alone are looked at.
    """
    part, k = run.measured, len(run.measured.classes)
    predicted = np.bincount(part.scores.argmax(axis=1), minlength=k) / len(part)
    share = np.bincount(part.y, minlength=k) / len(part)
    top = int(predicted.argmax())
    spread = 1.0
    if part.scale == "logit":
        prob = run.probabilities
        moved = 0.5 * np.abs(prob - prob.mean(axis=0)).sum(axis=1).mean()
        spread = float(moved / max(1 - (share**2).sum(), 1e-12))
    elsewhere = float((1 - predicted[top]) / max(1 - share[top], 1e-12))
    if elsewhere >= run.limit(ELSEWHERE) and spread >= run.limit(SPREAD):
        return CHECK.clean()
    return CHECK.finding(
        f"{numbers.percent(float(predicted[top]))} % of the {run.units} are predicted as "
        f"{part.classes[top]}, {numbers.percent(float(share[top]))} % are; probabilities differ "
        f"between {run.units} by {numbers.percent(spread)} % of what labels do",
        predicted=predicted[top], share=share[top], spread=spread,
    )  # fmt: skip
