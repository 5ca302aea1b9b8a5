"""What is known of a run before it is used: calibration, threshold, expected precision and recall.

All of it was learnt on units that the run predicted without having trained on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trueness.document.numbers import capital, percent, share
from trueness.evaluation.intervals import Estimate

Array = NDArray[np.float64]

LEAST_EXPECTED = 5
"""Alarms; that none of so many comes has a chance below 1 %, were they independent."""


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
    asked : float or None
        Precision whose certificate was asked for; None if none was.
    notes : tuple of str
    """

    measured_on: str
    n: int
    positives: int
    threshold: Threshold
    base_rate: Estimate
    slope: float | None
    intercept: float | None
    asked: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def abstains(self) -> bool:
        """Whether no unit would be answered; thresholds of a binary label answer every one."""
        return False

    @property
    def headline(self) -> str:
        """That what was asked for is not certified, or not above the base rate; else empty."""
        weak = self._against_base_rate
        which = f", which is {weak}" if weak else ""
        promised = f"a precision of {percent(self.promised)} % or more is promised"
        if self.threshold.certified is None and self.asked is not None:
            return f"NOT certified at {percent(self.asked)} %; {promised} instead{which}"
        return f"{capital(self.threshold.certificate)}; {promised}{which}" if weak else ""

    @property
    def caution(self) -> str:
        """That it is not certified, or not above the base rate, in few words; else empty."""
        uncertified = "not certified" if self.threshold.certified is None else ""
        return ", ".join(one for one in (uncertified, self._against_base_rate) if one)

    @property
    def _against_base_rate(self) -> str:
        """That alarms at random would keep the promise; empty where they would not."""
        base = self.base_rate.value or 0.0
        if self.promised > base:
            return ""
        than = "below" if self.promised < base else "no more than"
        return f"{than} the base rate of {percent(base)} %"

    @property
    def promised(self) -> float:
        """Precision below which the promise is broken."""
        return self.threshold.promised

    def is_right(self, label: object, y: object) -> bool:
        """Whether an answer, 1 for an alarm, is the label that came."""
        return y == label

    @property
    def expected(self) -> Estimate:
        """Precision of the alarms out of fold."""
        return self.threshold.precision

    @property
    def expectation(self) -> str:
        """The same in words."""
        return (
            share(self.expected) if self.expected.n else "unknown, as none was raised out of fold"
        )

    def summary(self) -> list[str]:
        """What it promises, in a sentence."""
        one = self.threshold
        per_year = "" if one.per_year is None else f", about {one.per_year:.0f} alarms a year"
        return [
            f"Threshold: score of at least {_plain(one.score)}{per_year}; precision expected "
            f"{self.expectation}, recall {share(one.recall)}; {one.certificate}"
        ]

    def silence(self, score: Array) -> str:
        """That no score (N,) reaches the threshold where several were to be expected; else empty.

        A refitted model may score on another scale than those that the threshold was found on.
        """
        expected = len(score) * self.expected.n / max(self.n, 1)
        if expected < LEAST_EXPECTED or score.max() >= self.threshold.score:
            return ""
        return (
            f"No score reaches the threshold of {_plain(self.threshold.score)} (the highest is "
            f"{_plain(score.max())}), where about {expected:.0f} alarms were to be expected: the "
            "refitted model scores on another scale, or the data have changed"
        )

    def calibrated(self, logit: Array) -> Array | None:
        """Calibrated probabilities (n,); None without a map."""
        if self.slope is None or self.intercept is None:
            return None
        return probability_of(self.slope * logit + self.intercept)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "measured_on": self.measured_on, "n": self.n, "positives": self.positives,
            "threshold": self.threshold.to_dict(), "base_rate": self.base_rate.to_dict(),
            "slope": self.slope, "intercept": self.intercept, "asked": self.asked,
            "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Back from plain types."""
        return cls(
            content["measured_on"], content["n"], content["positives"],
            Threshold.from_dict(content["threshold"]), Estimate.from_dict(content["base_rate"]),
            content["slope"], content["intercept"], content["asked"], tuple(content["notes"]),
        )  # fmt: skip


def probability_of(logit: Array) -> Array:
    """Probabilities of logits, any shape, without loading scipy.

    Examples
    --------
    >>> probability_of(np.array([-800.0, 0.0, 800.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(logit))
    return np.where(logit >= 0, 1.0, small) / (1 + small)


def _plain(score: float) -> str:
    return f"{score:.4g}".replace("-", "−")
