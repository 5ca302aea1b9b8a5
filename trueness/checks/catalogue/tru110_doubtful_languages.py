"""Languages that a detector was not sure of."""

import numpy as np

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.evaluation.by_group import group_units

SURE = Limit("language_confidence", 0.8, "mean confidence in a language that is enough")
CHECK = Check("TRU110", "language labels of low confidence", "warning", ("titles",), (SURE,))


def check(run: CheckInput) -> CheckResult:
    """Languages that are judged and whose labels have a low mean confidence.

    One minus the mean confidence is the share of texts that are expected to be of another language.
    """
    sure = run.measured.optional("group_confidence")
    if sure is None:
        raise Missing("confidences of the languages are not stored")
    groups, doubtful = group_units(run.group, len(run.measured), run.rule.min_rows), {}
    for index, name in enumerate(groups.names):
        mean = float(np.mean(sure[groups.index == index], dtype=np.float64))
        if mean < run.limit(SURE):
            doubtful[name] = mean
    if not doubtful:
        return CHECK.clean()
    ranked = sorted(doubtful.items(), key=lambda one: one[1])
    notes = [f"{name} ({numbers.decimal(mean, 2)})" for name, mean in ranked]
    return CHECK.finding(
        f"{numbers.plural(len(doubtful), 'language')} of {len(groups.names)} with a mean "
        f"confidence below {run.limit(SURE):g}: {numbers.listed(notes)}; the rest of their texts "
        "is expected to be of another language",
        languages=len(doubtful), lowest=ranked[0][1],
    )  # fmt: skip
