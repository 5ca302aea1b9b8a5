"""A ranking of the training part that is far better than that of the measured one."""

import numpy as np

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.evaluation.metrics import roc_auc

GAP = Limit("overfitting_gap", 0.15, "training AUC minus measured AUC that is still usual")
CHECK = Check("TRU015", "overfitting", "warning", ("binary",), (GAP,))


def check(run: CheckInput) -> CheckResult:
    """A mean training AUC over the folds far above the measured one, and above its interval."""
    measured = run.estimates.get("auc_in_fold", run.estimates["auc"])
    train = run.training
    parts = [train.only(train.fold == f) for f in np.unique(train.fold)]
    aucs = [roc_auc(p.y, p.score) for p in parts if 0 < p.y.mean() < 1]
    if not aucs or measured.value is None:
        raise Missing("one class only")
    known = float(np.mean(aucs))
    gap, chance = known - measured.value, measured.high is not None and known <= measured.high
    if gap <= run.limit(GAP) or chance:
        return CHECK.clean()
    return CHECK.finding(
        f"AUC {numbers.decimal(known)} on the training {run.units}, {measured} on the measured "
        f"ones, {numbers.decimal(gap, 2)} apart",
        train=known, measured=measured.value, gap=gap,
    )  # fmt: skip
