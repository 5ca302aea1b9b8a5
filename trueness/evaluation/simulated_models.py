"""Models that are not there yet: scores of stated skill on given labels, for planning."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.joint_draws import auc_draws, precision_draws
from trueness.evaluation.power import POWER
from trueness.evaluation.rearranged import Chance, alarm_values, labels_of, rank_values
from trueness.evaluation.resampling import Resampled, SortedScores
from trueness.evaluation.resolution import Resolution, resolution

Array = NDArray[np.float64]
PERSISTENCE = 0.9
"""Correlation of the scores of two neighbouring times beyond what their labels say."""
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
    y: NDArray[np.uint8], models: int, planned: Planned, *, persistence: float = 0.0, seed: int = 0
) -> Array:
    """Scores (models, n) of models with the planned AUC on labels (n,) in the order of time.

    Normal scores around a mean that the label moves; their noise is an autoregression.

    Examples
    --------
    >>> y = (np.random.default_rng(0).random(5000) < 0.2).astype(np.uint8)
    >>> (one,) = simulated_scores(y, 1, Planned(auc=0.7))
    >>> from trueness.evaluation import roc_auc
    >>> abs(roc_auc(y, one) - 0.7) < 0.02
    True
    """
    from scipy.signal import lfilter  # a tenth of a second

    rng, rho = np.random.default_rng(seed), planned.correlation
    noise = rng.standard_normal((models + 1, len(y)))
    noise[:, 1:] *= np.sqrt(1 - persistence**2)
    noise = lfilter([1.0], [1.0, -persistence], noise, axis=1)
    mixed = np.sqrt(rho) * noise[0] + np.sqrt(1 - rho) * noise[1:]
    return float(np.sqrt(2) * ndtri(planned.auc)) * y + mixed


def simulated_resolution(y: NDArray[np.uint8], blocks: Blocks, planned: Planned) -> Resolution:
    """What labels (n,) can show about planned models: the tests of a leaderboard on simulated ones.

    Parameters
    ----------
    y : (n,)
        At least ten of either label.
    blocks : Blocks
        Of the n units.
    planned : Planned
    """
    m = min(planned.candidates, MOST_MODELS)
    persistence = PERSISTENCE if blocks.time is not None and blocks.length > 1 else 0.0
    scores = simulated_scores(y, m + planned.baselines, planned, persistence=persistence)
    aucs = [_as_good(one, planned.auc) for one in auc_draws(y, scores, blocks=blocks)]
    (precision,) = precision_draws(y, scores[:1], alarms=planned.alarms, blocks=blocks)
    ranked, labels = [SortedScores.of(y, one) for one in scores[:m]], labels_of(y, blocks)
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
