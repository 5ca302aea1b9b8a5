"""What the checks look at, where they draw their lines, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trueness.errors import TruenessError, nearest
from trueness.evaluation.intervals import Estimate

SEVERITIES = ("error", "warning", "note")
"""Gravest first."""


@dataclass(frozen=True)
class Finding:
    """A check that fired.

    `severity` is "error", "warning" or "note"; `evidence` says in words, `numbers` by name, what
    made it fire.
    """

    code: str
    severity: str
    title: str
    evidence: str
    numbers: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)

    @property
    def rank(self) -> tuple[int, str]:
        """Order of a list of findings: by severity, then by code."""
        return SEVERITIES.index(self.severity), self.code


@dataclass(frozen=True)
class Limits:
    """Where the checks draw their lines; ``checks.yaml`` in a store may move them.

    Attributes
    ----------
    collapsed_width : float
        Range of the probabilities below which they are collapsed (TRU001).
    collapsed_core : float
        Range of their central 90 %, in standard deviations of the labels, likewise (TRU001).
    few_positives : int
        Measured positives that are enough (TRU005).
    constant_std : float
        Standard deviation of the probabilities up to which they are constant (TRU007).
    tied_share : float
        Share of days with the most frequent score from which they are (TRU007).
    drift_ratio : float
        Ratio of the two base rates from which a drift matters (TRU008).
    few_alarms : int
        Alarms that are enough for a precision (TRU012, TRU016).
    edge_share : float
        Share of folds whose best epoch lies at the edge (TRU013).
    memorised_gap : float
        AUC on the training days minus AUC on the measured ones that is still usual (TRU015).
    clustered_share : float
        Effective number of alarms, over that of random days, that is still usual (TRU016).

    Examples
    --------
    >>> Limits.from_dict({"few_positives": 50}).few_positives
    50
    """

    collapsed_width: float = 0.2
    collapsed_core: float = 0.125
    few_positives: int = 100
    constant_std: float = 1e-6
    tied_share: float = 0.9
    drift_ratio: float = 1.25
    few_alarms: int = 5
    edge_share: float = 0.5
    memorised_gap: float = 0.15
    clustered_share: float = 0.5

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> Self:
        """Limits with some of them moved.

        Raises
        ------
        TruenessError
            For a name that no limit has, or a value that is no number of its kind.
        """
        known = {f.name: f.default for f in fields(cls)}
        for name, value in content.items():
            if name not in known:
                raise TruenessError(f"unknown limit {name!r}; {nearest(name, list(known))}")
            whole = isinstance(known[name], int)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                kind = "whole number" if whole else "number"
                raise TruenessError(f"limit {name} is {value!r}; a {kind} is needed")
            if not math.isfinite(value) or value < 0:
                raise TruenessError(f"limit {name} is {value!r}; it must be at least 0")
        return cls(**content)  # ty: ignore[invalid-argument-type]

    def to_dict(self) -> dict[str, float]:
        """Plain types for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Days:
    """Days of one part: labels, logits, folds, and dates where they are known; each (n,)."""

    y: NDArray[np.uint8]
    score: NDArray[np.float64]
    fold: NDArray[np.int64]
    when: NDArray[np.datetime64] | None = None


@dataclass(frozen=True)
class Epochs:
    """Best and last epoch of each fold, counted from 1, and how many there might have been."""

    best: tuple[int, ...]
    last: tuple[int, ...]
    budget: int


@dataclass(frozen=True)
class Evidence:
    """What a check may look at; one that lacks what it needs stays silent.

    Attributes
    ----------
    y, score, fold : (n,)
        Labels, logits and folds of the measured part, in time order.
    estimates : dict of str to Estimate
        As `measure` gives them.
    difference, one_feature : Estimate, optional
        AUC difference to the best baseline, and to the one-feature baseline on the same columns.
    when : (n,) datetime64, optional
    mirror : (n,) uint8, optional
        Labels of the mirror target on the same days.
    block : int, optional
        Days per block of the bootstrap.
    budget : int, optional
        The largest number of alarms that is judged.
    train : Days, optional
        Training days with their scores.
    epochs : Epochs, optional
    incidents : tuple of dict
        What the guard saw in training: fold, what, epoch, until, cause.
    horizon_days : int, optional
    confidence : float
    limits : Limits
    """

    y: NDArray[np.uint8]
    score: NDArray[np.float64]
    estimates: dict[str, Estimate]
    fold: NDArray[np.int64] | None = None
    difference: Estimate | None = None
    one_feature: Estimate | None = None
    when: NDArray[np.datetime64] | None = None
    mirror: NDArray[np.uint8] | None = None
    block: int | None = None
    budget: int | None = None
    train: Days | None = None
    epochs: Epochs | None = None
    incidents: tuple[dict[str, Any], ...] = ()
    horizon_days: int | None = None
    confidence: float = 0.95
    limits: Limits = Limits()

    @property
    def folds(self) -> NDArray[np.int64]:
        """Fold of each measured day, 0 where there is one only."""
        return np.zeros(len(self.y), np.int64) if self.fold is None else self.fold
