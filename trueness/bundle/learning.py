"""What the out-of-fold scores of a run teach: the promise of its bundle."""

from __future__ import annotations

import numpy as np

from trueness.bundle.promise import Promise, Threshold
from trueness.errors import StoreError
from trueness.evaluation.calibrators import PlattScaling
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.influence import too_few
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.thresholds import DAYS_PER_YEAR
from trueness.judge.certificates import certification
from trueness.judge.comparison import measured_part
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run


def promise_of(
    store: AnyStore, run: Run, name: str, precision: float | None = None, confidence: float = 0.95
) -> Promise:
    """Learn from the out-of-fold scores of a run.

    Parameters
    ----------
    store : Store or MemoryStore
    run : Run
        Of a binary label.
    name : str
    precision, confidence : float
        Take the threshold that is certified for it, if the run was certified; else, and without
        it, the threshold of the largest alarm budget.

    Raises
    ------
    StoreError
        With code ``no_alarms`` if scores are tied, so that no threshold raises any.
    """
    part, rule = measured_part(run), run.estimands
    notes: list[str] = []
    cut = certified = None
    if precision is not None:
        cut, note = _certified_cut(store, run, name, precision, confidence)
        certified = None if cut is None else precision
        notes += note
    if cut is None:
        raised = part.score > alarm_cut(part.score, rule.budget)
        if not raised.any():
            raise StoreError(f"{name}: its scores are tied, so no threshold raises an alarm",
                             "no_alarms")  # fmt: skip
        cut = float(part.score[raised].min())
    slope, intercept, lacking = _platt(part, probabilities=rule.probabilities)
    notes += [f"no calibrated probabilities: {lacking}"] if lacking else []
    every = np.ones(len(part), bool)
    k, n = int(part.y.sum()), len(part)
    blocks = part.blocks(rule.block)
    base = of_share(part.y, every, blocks).estimate(k, n, rule.confidence)
    threshold = _threshold(part, cut, certified, rule.block, rule.confidence)
    return Promise(rule.measured_on, n, k, threshold, base, slope, intercept, precision,
                   tuple(notes))  # fmt: skip


def _platt(part: Predictions, *, probabilities: bool) -> tuple[float | None, float | None, str]:
    """Slope and intercept of the map to calibrated probabilities, or why there is none."""
    if not probabilities:
        return None, None, "scores only rank"
    if too_few(part.y):
        return None, None, "positives or negatives are too few"
    fitted = PlattScaling().fit(part.score, part.y)
    if fitted.slope_ <= 0:
        return None, None, "the scores rank worse than chance"
    return float(fitted.slope_), float(fitted.intercept_), ""


def _threshold(
    part: Predictions, cut: float, certified: float | None, block: int, confidence: float
) -> Threshold:
    blocks, raised, positive = part.blocks(block), part.score >= cut, part.y.view(np.bool_)
    residuals = Residuals.of(SortedScores.of(part.y, part.score), blocks)
    hits = int((raised & positive).sum())
    recall = of_share(raised, positive, blocks).estimate(hits, int(positive.sum()), confidence)
    per_year = None
    if part.time is not None:
        days = part.time.astype("datetime64[D]")
        years = (int((days.max() - days.min()).astype(int)) + 1) / DAYS_PER_YEAR
        per_year = int(raised.sum()) / years
    precision = residuals.share(part.y, raised, confidence)
    return Threshold(float(cut), precision, recall, certified, per_year)


def _certified_cut(
    store: AnyStore, run: Run, name: str, precision: float, confidence: float
) -> tuple[float | None, list[str]]:
    """Threshold that a certificate of the run allows, and why there is none."""
    request = certification(store, {name: run}, precision, confidence)
    if request.spending.batch is not None:
        return None, [
            f"not certified: {name} has no certificate yet (`trueness certify {name} --precision "
            f"{precision:g}` makes one); the threshold is that of the largest alarm budget"
        ]
    (result,) = request.issue().runs
    if result.certificate.threshold is None:
        return None, [
            f"not certified: no threshold keeps a precision of {100 * precision:g} % with "
            f"{100 * confidence:g} % confidence; the threshold is that of the largest alarm budget"
        ]
    return float(result.certificate.threshold.cut), []
