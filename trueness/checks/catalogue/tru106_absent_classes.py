"""Classes that a language or another group does not have."""

import numpy as np

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.document import numbers
from trueness.evaluation.by_group import group_units

CHECK = Check("TRU106", "classes absent in a language or group", "note", ("classes",))


def check(run: CheckInput) -> CheckResult:
    """Groups that are judged by themselves and lack a class, which bounds their macro-F1."""
    part, k = run.measured, len(run.measured.classes)
    groups, lacking = group_units(run.group, len(run.measured), run.rule.min_rows), {}
    for index, name in enumerate(groups.names):
        present = len(np.unique(part.y[groups.index == index]))
        if present < k:
            lacking[name] = present
    if not lacking:
        return CHECK.clean()
    worst = min(lacking.values())
    notes = [f"{name} ({n} of {k})" for name, n in sorted(lacking.items(), key=lambda one: one[1])]
    return CHECK.finding(
        f"{numbers.plural(len(lacking), run.rule.nouns[1])} of {len(groups.names)} without all "
        f"classes: {numbers.listed(notes)}; macro-F1 over all classes cannot exceed "
        f"{numbers.decimal(worst / k)} there",
        groups=len(lacking), fewest=worst, classes=k, ceiling=worst / k,
    )  # fmt: skip
