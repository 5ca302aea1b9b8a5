"""How often the best candidate of one half of the times is below the median on the other half.

Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest Overfitting" (2017):
combinatorially symmetric cross-validation. The times are cut into consecutive pieces; each choice
of half of the pieces picks the best candidate, the other half ranks it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.evaluation.inputs import InputError, Labels, binary, labels_and_scores
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.resampling import SortedScores
from trueness.evaluation.threads import in_threads

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Performance = Callable[[Array], Array]
"""Halves as rows of 0 and 1, (splits, pieces) -> performance of each candidate, (splits, m)."""
MOST_PIECES = 20
"""They can be halved in 184,756 ways."""
AT_ONCE = 1024
AT_THE_MEDIAN = 1e-9
"""Logits below it are not above the median, up to rounding."""


@dataclass(frozen=True)
class Overfitting:
    """Probability of backtest overfitting.

    Attributes
    ----------
    probability : Estimate
        Share of the splits in which the best candidate of one half is at or below the median of the
        other. Splits overlap, so there is no interval: candidates without any difference give about
        one half, with wide scatter.
    logits : (splits,) float64
        ``log(w / (1 - w))`` of the relative rank w of the chosen candidate on the other half.
    candidates, pieces : int
    """

    probability: Estimate
    logits: Array
    candidates: int
    pieces: int

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, with quantiles of the logits instead of all of them."""
        levels = (0.05, 0.25, 0.5, 0.75, 0.95)
        some = np.quantile(self.logits, levels) if len(self.logits) else []
        return {
            "probability": self.probability.to_dict(), "candidates": self.candidates,
            "pieces": self.pieces, "splits": len(self.logits),
            "logit_quantiles": dict(zip(map(str, levels), map(float, some), strict=False)),
        }  # fmt: skip


def class_counts(y_true: ArrayLike, piece: Index) -> tuple[Array, Array]:
    """Positives and negatives of each piece, (pieces,) each; `piece` (n,) is of `Blocks.pieces`."""
    labels = np.asarray(y_true)
    if labels.shape != piece.shape:
        raise InputError(f"labels of shape {labels.shape} for {len(piece)} units", "length")
    labels, most = binary(labels), int(piece.max()) + 1
    positives, every = np.bincount(piece[labels == 1], minlength=most), np.bincount(piece)
    return positives.astype(np.float64), (every - positives).astype(np.float64)


def auc_counts(y_true: ArrayLike, y_score: ArrayLike, piece: Index) -> Array:
    """Won pairs of a positive of one piece and a negative of another, ties half, (pieces, pieces).

    They are all that the AUC of any union of pieces needs; `piece` (n,) is of `Blocks.pieces`.
    """
    from trueness.evaluation.kernels import won_pairs

    ranked = SortedScores.of(*_fitting(y_true, y_score, piece))
    return won_pairs(ranked.positive, ranked.order, ranked.ends, piece, int(piece.max()) + 1)


def _fitting(y_true: ArrayLike, y_score: ArrayLike, piece: Index) -> tuple[Labels, Array]:
    labels, scores = labels_and_scores(y_true, y_score)
    if labels.shape != piece.shape:
        raise InputError(f"{len(labels)} labels for {len(piece)} units", "length")
    return labels, scores


def overfitting_of_aucs(won: Array, positives: Array, negatives: Array) -> Overfitting:
    """Probability of backtest overfitting of a choice among candidates by AUC.

    Parameters
    ----------
    won : (m, pieces, pieces)
        `auc_counts` of each candidate, at least two; means over seeds serve as well. An even number
        of pieces, 4 to 20; 16 give 12,870 splits.
    positives, negatives : (pieces,)
        `class_counts`.

    Returns
    -------
    Overfitting
        Undefined where all candidates rank all units alike.

    Raises
    ------
    InputError
        With the codes ``few`` for one candidate, ``range`` for pieces that cannot be halved.

    Examples
    --------
    >>> from trueness.evaluation.blocks import Blocks
    >>> y, piece = np.tile([0, 0, 1, 0], 80), Blocks.of(320).pieces(8)
    >>> skill = y + np.random.default_rng(0).standard_normal((5, 320))
    >>> skill[3] += y
    >>> won = np.array([auc_counts(y, score, piece) for score in skill])
    >>> overfitting_of_aucs(won, *class_counts(y, piece)).probability.value
    0.0
    """
    m, pieces, _ = won.shape
    one, other = np.triu_indices(pieces)
    both = won + won.transpose(0, 2, 1) * (1 - np.eye(pieces))
    pairs = both[:, one, other].T

    def auc(halves: Array) -> Array:
        with np.errstate(invalid="ignore"):
            of = (halves @ positives) * (halves @ negatives)
            return (halves[:, one] * halves[:, other]) @ pairs / of[:, None]

    result = _probability(auc, m, pieces)
    if not np.ptp(won, axis=0).any():  # which of identical ones is best is no question
        return Overfitting(Estimate(None, None, None, 0), np.empty(0), m, pieces)
    return result


def _probability(performance: Performance, m: int, pieces: int) -> Overfitting:
    """Choose on each half, rank on the other; halves in which nothing is defined are left out."""
    from trueness.evaluation.kernels import ranks_of_best

    if m < 2:
        raise InputError("one candidate leaves nothing to choose; at least two are needed", "few")
    if not 4 <= pieces <= MOST_PIECES or pieces % 2:
        raise InputError(
            f"{pieces} pieces cannot be halved; an even number from 4 to 20 can", "range"
        )
    chosen = np.array(list(combinations(range(pieces), pieces // 2)))
    halves = np.zeros((math.comb(pieces, pieces // 2), pieces))
    np.put_along_axis(halves, chosen, 1.0, axis=1)

    def part(start: int) -> Array:
        some = halves[start : start + AT_ONCE]
        inside, outside = performance(some), performance(1 - some)
        defined = ~np.isnan(inside).all(axis=1) & ~np.isnan(outside).all(axis=1)
        inside, outside = (np.nan_to_num(x[defined], nan=-1.0) for x in (inside, outside))
        rank = ranks_of_best(inside, outside)
        return np.log(rank) - np.log(m + 1 - rank)

    logits = np.concatenate(in_threads(part, range(0, len(halves), AT_ONCE)))
    below = int((logits <= AT_THE_MEDIAN).sum())
    value = below / len(logits) if len(logits) else None
    return Overfitting(Estimate(value, None, None, len(logits), below), logits, m, pieces)
