"""Scores that do not look at the inputs."""

import numpy as np
from scipy.special import expit

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers

STD = Limit("constant_std", 1e-6, "standard deviation of the probabilities that is too small")
TIED = Limit("tied_share", 0.9, "proportion of units with the commonest score that is too large")
CHECK = Check("TRU007", "constant scores", "error", ("binary",), (STD, TIED))


def check(run: CheckInput) -> CheckResult:
    """The same score for all units of a fold, or for almost all."""
    part, prob, tied, square = run.measured, expit(run.measured.score), 0, 0.0
    for f in np.unique(part.fold):
        inside = part.fold == f
        tied += int(np.unique(part.score[inside], return_counts=True)[1].max())
        square += float(prob[inside].var()) * int(inside.sum())
    share, std = tied / len(prob), (square / len(prob)) ** 0.5
    narrow = run.rule.probabilities and std <= run.limit(STD)
    if not narrow and share < run.limit(TIED):
        return CHECK.clean()
    return CHECK.finding(
        f"{numbers.count(tied)} of {run.count(len(prob))} share the most frequent score of their "
        f"fold; the standard deviation of the probabilities inside folds is {std:.1g}",
        tied_share=share, std=std,
    )  # fmt: skip
