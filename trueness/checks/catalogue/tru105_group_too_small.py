"""Languages or other groups with too few texts for a number of their own."""

import numpy as np

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.evaluation.by_group import OTHER, UNDETERMINED

EACH = Limit("texts_per_class", 5, "texts per class that a group needs")
CHECK = Check("TRU105", "language or group too small to judge", "note", ("classes",), (EACH,))


def check(run: CheckInput) -> CheckResult:
    """Groups below the least number of rows, or with too few rows for each of their classes."""
    group, y, small = run.group, run.measured.y, {}
    for name, n in zip(*np.unique(group, return_counts=True), strict=True):
        classes = len(np.unique(y[group == name]))
        if n < max(run.rule.min_rows, run.limit(EACH) * classes):
            small[str(name)] = int(n)
    small = {name: n for name, n in small.items() if name not in (OTHER, UNDETERMINED)}
    if not small:
        return CHECK.clean()
    notes = [f"{name} ({n})" for name, n in sorted(small.items(), key=lambda one: -one[1])]
    return CHECK.finding(
        f"{numbers.plural(len(small), run.rule.nouns[1])} with fewer than {run.rule.min_rows} "
        f"{run.units} or {run.limit(EACH):g} per class: {numbers.listed(notes)}",
        groups=len(small), rows=sum(small.values()),
    )  # fmt: skip
