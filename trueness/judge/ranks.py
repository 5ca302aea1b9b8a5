"""How the models of a comparison group are ranked by an estimate."""

from __future__ import annotations

from trueness.judge.captions import MIN_ALARMS
from trueness.judge.group import Model

LESS_IS_BETTER = ("calibration_error",)


def rank_of(model: Model, estimate: str) -> tuple[bool, float, float]:
    """Enough alarms first, then the worse end of the interval, then the AUC."""
    e, known = model.estimates[estimate], model.estimates.get("auc")
    auc = 0.0 if known is None else known.value or 0.0
    if estimate in LESS_IS_BETTER:
        return e.high is not None, -(e.high or 0.0), auc
    enough = e.k is None or e.n >= MIN_ALARMS
    low = -1.0 if e.value is None or e.low is None else e.low
    return enough, low, auc
