"""Warnings of the training monitor that lasted to the end."""

from trueness.checks.inputs import CheckInput
from trueness.checks.results import Check, CheckResult
from trueness.document import numbers

CHECK = Check("TRU014", "unstable training", "warning", ("binary",), version=2)


def check(run: CheckInput) -> CheckResult:
    """A state that the monitor warned of and that never passed."""
    still = [one for one in run.warnings if one["until"] is None]
    if not still:
        return CHECK.clean()
    notes = []
    for what in dict.fromkeys(one["what"] for one in still):
        these = [one for one in still if one["what"] == what]
        of = f" in {numbers.plural(len(these), 'fold')}" if len(these) > 1 else ""
        since = min(one["epoch"] for one in these)
        notes.append(f"{what} from epoch {since} to the end{of}; {these[0]['cause']}")
    folds = {one["fold"] for one in still}
    return CHECK.finding(" · ".join(notes), incidents=len(still), folds=len(folds))
