"""Models that are not there yet: scores of stated skill on given labels, for planning."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.joint_draws import auc_draws, precision_draws
from trueness.evaluation.power import POWER
from trueness.evaluation.rearranged import Chance, alarm_values, rank_values
from trueness.evaluation.rearranged_labels import labels_of
from trueness.evaluation.resampling import Resampled, SortedScores
from trueness.evaluation.resolution import Resolution, resolution

Array = NDArray[np.float64]
PERSISTENCE = 0.9
"""Correlation of the scores of two neighbouring times beyond what their labels say."""
ACROSS = 0.5
"""Correlation of the scores of two series of a panel at one time, beyond what labels say."""
MOST_MODELS = 200
"""Candidates that are simulated; more are told as if there were so many."""


@dataclass(frozen=True)
class Planned:
    """Models that will be compared.

    Attributes
    ----------
    candidates, baselines : int
    alarms : int
        Budget at which precisions are compared.
    auc : float
        Of all of them, in (0.5, 1).
    correlation : float
        Of the scores of two models on units with the same label, in [0, 1).
    confidence, power : float
    """

    candidates: int = 1
    baselines: int = 5
    alarms: int = 30
    auc: float = 0.7
    correlation: float = 0.5
    confidence: float = 0.95
    power: float = POWER


def simulated_scores(
    y: NDArray[np.uint8], models: int, planned: Planned, *, persistence: float = 0.0,
    places: Places | None = None, seed: int = 0,
) -> Array:  # fmt: skip
    """Scores (models, n) of models with the planned AUC on labels (n,) in the order of time.

    Normal scores around a mean that the label moves; their noise is an autoregression, of each
    series of a panel along its own times.

    Examples
    --------
    >>> y = (np.random.default_rng(0).random(5000) < 0.2).astype(np.uint8)
    >>> (one,) = simulated_scores(y, 1, Planned(auc=0.7))
    >>> from trueness.evaluation import roc_auc
    >>> abs(roc_auc(y, one) - 0.7) < 0.02
    True
    """
    rng, rho = np.random.default_rng(seed), planned.correlation
    if places is None:
        noise = _persistent(rng.standard_normal((models + 1, len(y))), persistence)
    else:
        cells = (models + 1, places.series.max() + 1, places.time.max() + 1)
        shared = rng.standard_normal((models + 1, 1, cells[2]))
        own = rng.standard_normal(cells)
        each = _persistent(np.sqrt(ACROSS) * shared + np.sqrt(1 - ACROSS) * own, persistence)
        noise = each[:, places.series, places.time]
    mixed = np.sqrt(rho) * noise[0] + np.sqrt(1 - rho) * noise[1:]
    return float(np.sqrt(2) * ndtri(planned.auc)) * y + mixed


@dataclass(frozen=True)
class Places:
    """Time and series of each unit of a panel, (n,) each, from 0."""

    time: NDArray[np.int64]
    series: NDArray[np.int64]

    @classmethod
    def of(cls, blocks: Blocks, group: object) -> Places | None:
        """None without times, or without series."""
        if blocks.time is None or group is None:
            return None
        return cls(blocks.time, np.unique(np.asarray(group), return_inverse=True)[1])


def _persistent(steps: Array, persistence: float) -> Array:
    """Stationary autoregression along the last axis."""
    from scipy.signal import lfilter  # a tenth of a second

    steps[..., 1:] *= np.sqrt(1 - persistence**2)
    return lfilter([1.0], [1.0, -persistence], steps, axis=-1)


def simulated_resolution(
    y: NDArray[np.uint8], blocks: Blocks, planned: Planned, group: object = None
) -> Resolution:
    """What labels (n,) can show about planned models: the tests of a leaderboard on simulated ones.

    Parameters
    ----------
    y : (n,)
        At least ten of either label.
    blocks : Blocks
        Of the n units.
    planned : Planned
    group : (n,), optional
        Series of a panel.
    """
    m = min(planned.candidates, MOST_MODELS)
    persistence = PERSISTENCE if blocks.time is not None and blocks.length > 1 else 0.0
    places = Places.of(blocks, group)
    scores = simulated_scores(
        y, m + planned.baselines, planned, persistence=persistence, places=places
    )
    aucs = [_as_good(one, planned.auc) for one in auc_draws(y, scores, blocks=blocks)]
    (precision,) = precision_draws(y, scores[:1], alarms=planned.alarms, blocks=blocks)
    ranked, labels = [SortedScores.of(y, one) for one in scores[:m]], labels_of(y, blocks, group)
    chances = (
        Chance.of(labels, [alarm_values(one, planned.alarms) for one in ranked]),
        Chance.of(labels, [rank_values(one) for one in ranked]),
    )
    return resolution(
        int(np.count_nonzero(y)), len(y), 0, aucs[:m], aucs[m:], precision, chances,
        planned.confidence, planned.power,
    )  # fmt: skip


def _as_good(one: Resampled, auc: float) -> Resampled:
    """The same spread around the planned AUC: nobody leads by chance."""
    return replace(one, value=auc, draws=one.draws + (auc - one.value))
