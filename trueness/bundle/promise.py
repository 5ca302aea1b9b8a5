"""What is known of a run before it is used: calibration, threshold, expected precision and recall.

All of it was learnt on units that the run predicted without having trained on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trueness.document.numbers import percent, share
from trueness.errors import StoreError
from trueness.evaluation.calibrators import PlattScaling
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.influence import too_few
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.metrics import alarm_cut
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.thresholds import DAYS_PER_YEAR
from trueness.judge.certificates import certification
from trueness.judge.comparison import measured_part
from trueness.predictions import Predictions
from trueness.store import AnyStore, Run

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """From which score on an alarm is raised, and the precision of its alarms out of fold.

    Attributes
    ----------
    score : float
        Alarms score at least as high.
    precision, recall : Estimate
    certified : float or None
        Precision that its certificate promises; None without one.
    per_year : float or None
        Alarms in a year; None without times.
    """

    score: float
    precision: Estimate
    recall: Estimate
    certified: float | None
    per_year: float | None

    @property
    def promised(self) -> float:
        """Precision below which the promise is broken: the certificate's, else the lower bound."""
        return self.certified if self.certified is not None else self.precision.low or 0.0

    @property
    def certificate(self) -> str:
        """Whether the precision is certified, in words."""
        if self.certified is None:
            return "not certified"
        return f"certified for {percent(self.certified)} %"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "score": self.score, "precision": self.precision.to_dict(),
            "recall": self.recall.to_dict(), "certified": self.certified,
            "promised": self.promised, "per_year": self.per_year,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain types."""
        read = Estimate.from_dict
        return cls(float(content["score"]), read(content["precision"]), read(content["recall"]),
                   content["certified"], content["per_year"])  # fmt: skip


@dataclass(frozen=True)
class Promise:
    """What a bundle promises.

    Attributes
    ----------
    measured_on : str
        Part on which it was learnt.
    n, positives : int
    threshold : Threshold
    base_rate : Estimate
    slope, intercept : float or None
        Of Platt's map from the logit to that of the calibrated probability; None where scores only
        rank, or positives are too few.
    notes : tuple of str
    """

    measured_on: str
    n: int
    positives: int
    threshold: Threshold
    base_rate: Estimate
    slope: float | None
    intercept: float | None
    notes: tuple[str, ...] = ()

    @property
    def promised(self) -> float:
        """Precision below which the promise is broken."""
        return self.threshold.promised

    @property
    def expected(self) -> Estimate:
        """Precision of the alarms out of fold."""
        return self.threshold.precision

    def told(self) -> list[str]:
        """What it promises, in a sentence."""
        one = self.threshold
        per_year = "" if one.per_year is None else f", about {one.per_year:.0f} alarms a year"
        return [
            f"Threshold: score of at least {one.score:.4g}{per_year}; precision expected "
            f"{share(one.precision)}, recall {share(one.recall)}; {one.certificate}"
        ]

    def calibrated(self, logit: Array) -> Array | None:
        """Calibrated probabilities (n,); None without a map."""
        if self.slope is None or self.intercept is None:
            return None
        return expit(self.slope * logit + self.intercept)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "measured_on": self.measured_on, "n": self.n, "positives": self.positives,
            "threshold": self.threshold.to_dict(), "base_rate": self.base_rate.to_dict(),
            "slope": self.slope, "intercept": self.intercept, "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain types."""
        return cls(
            content["measured_on"], content["n"], content["positives"],
            Threshold.from_dict(content["threshold"]), Estimate.from_dict(content["base_rate"]),
            content["slope"], content["intercept"], tuple(content["notes"]),
        )  # fmt: skip


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
        cut, told = _certified_cut(store, run, name, precision, confidence)
        certified = None if cut is None else precision
        notes += told
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
    return Promise(rule.measured_on, n, k, threshold, base, slope, intercept, tuple(notes))


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
    (found,) = request.issue().runs
    if found.certificate.threshold is None:
        return None, [
            f"not certified: no threshold keeps a precision of {100 * precision:g} % with "
            f"{100 * confidence:g} % confidence; the threshold is that of the largest alarm budget"
        ]
    return float(found.certificate.threshold.cut), []
