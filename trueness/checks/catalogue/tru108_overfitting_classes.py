"""A training part that is known far better than the measured one."""

import numpy as np

from trueness.checks.inputs import CheckInput, Missing
from trueness.checks.results import Check, CheckResult, Limit
from trueness.document import numbers
from trueness.evaluation.by_group import class_f1
from trueness.predictions import Predictions

GAP = Limit("macro_f1_gap", 0.15, "training macro-F1 minus measured macro-F1 that is still usual")
RISE = Limit("loss_rise", 0.25, "rise of the validation loss over its lowest that is still usual")
CHECK = Check("TRU108", "overfitting", "warning", ("classes",), (GAP, RISE))


def check(run: CheckInput) -> CheckResult:
    """A gap of macro-F1 where training predictions are stored, else of the validation loss."""
    return _by_score(run) if run.predictions.has("train") else _by_loss(run)


def _by_score(run: CheckInput) -> CheckResult:
    train, measured = _macro_f1(run.training), _macro_f1(run.measured)
    if train - measured <= run.limit(GAP):
        return CHECK.clean()
    return CHECK.finding(
        f"macro-F1 {numbers.decimal(train)} on the training {run.units}, "
        f"{numbers.decimal(measured)} on the measured ones",
        train=train, measured=measured, gap=train - measured,
    )  # fmt: skip


def _macro_f1(part: Predictions) -> float:
    k, predicted = len(part.classes), part.scores.argmax(axis=1)
    labels = (part.y[part.y == predicted], part.y, predicted)
    counts = np.stack([np.bincount(one, minlength=k) for one in labels])
    return float(class_f1(counts.astype(np.float64)).mean())


def _by_loss(run: CheckInput) -> CheckResult:
    history = run.history
    best, loss = run.fact("best_epoch"), history["val_loss"].to_numpy()
    if best > len(loss):
        raise Missing("the history ends before the best epoch")
    kept, lowest = float(loss[best - 1]), float(loss[:best].min())
    rise = kept / lowest - 1
    if not rise > run.limit(RISE):
        return CHECK.clean()
    return CHECK.finding(
        f"the validation loss of the kept epoch {best} is {numbers.decimal(kept)}, "
        f"{numbers.percent(rise)} % above its lowest {numbers.decimal(lowest)} in epoch "
        f"{int(loss[:best].argmin()) + 1}",
        kept=kept, lowest=lowest, rise=rise, epoch=best,
    )  # fmt: skip
