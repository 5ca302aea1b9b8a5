"""Proportions watched over time: statements that hold at all times at once.

Bets against a claim about the mean of the next outcome; wealth that grows 20-fold refutes it at an
error of 5 %, whenever one stops. Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting" (2024); Ville, "Étude critique de la notion de collectif" (1939).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.evaluation.inputs import InputError, between

Array = NDArray[np.float64]
Index = NDArray[np.int64]
GRID = 199
"""Values of a proportion that a confidence sequence is sought among."""
BETS = 40
"""Alternatives below the claim that wealth is spread over."""
TRUNCATION = 0.5
"""Of the wealth, the most that a bet of a confidence sequence may lose."""


@dataclass(frozen=True)
class Sequence:
    """Lower and upper bounds after each outcome, (n,) each, which hold for all n at once."""

    low: Array
    high: Array


def confidence_sequence(outcomes: ArrayLike, confidence: float = 0.95) -> Sequence:
    """Bounds of the mean of outcomes in [0, 1], each with that mean given what came before.

    Hedged capital with the predictable plug-in bets of Waudby-Smith and Ramdas (2024), on a grid;
    bounds are the running intersection.

    Parameters
    ----------
    outcomes : (n,)
        In order of time.
    confidence : float
        In (0, 1).

    Raises
    ------
    InputError
        With code ``outcomes`` for values outside [0, 1].

    Examples
    --------
    >>> result = confidence_sequence([1, 1, 0, 1] * 50)
    >>> float(result.low[-1].round(2)), float(result.high[-1].round(2))
    (0.64, 0.85)
    """
    x, alpha = _checked(outcomes), 1 - between("confidence", confidence)
    grid = np.arange(1, GRID + 1) / (GRID + 1)
    if not len(x):
        return Sequence(np.empty(0), np.empty(0))
    bet = _plug_in(x, alpha)
    up = np.minimum(bet[:, None], TRUNCATION / grid)
    down = np.minimum(bet[:, None], TRUNCATION / (1 - grid))
    apart = x[:, None] - grid
    capital = np.maximum(
        np.cumsum(np.log1p(up * apart), axis=0), np.cumsum(np.log1p(-down * apart), axis=0)
    ) + np.log(0.5)
    inside = np.logical_and.accumulate(capital < np.log(1 / alpha), axis=0)
    step = 1 / (GRID + 1)
    any_left = inside.any(axis=1)
    low = np.where(any_left, grid[inside.argmax(axis=1)] - step, x.mean())
    high = np.where(any_left, grid[GRID - 1 - inside[:, ::-1].argmax(axis=1)] + step, x.mean())
    return Sequence(low.clip(0, 1), high.clip(0, 1))


def _plug_in(x: Array, alpha: float) -> Array:
    """Bet before each outcome, (n,), from those before it."""
    t = np.arange(1, len(x) + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    before = np.append(0.25, variance[:-1])
    return np.sqrt(2 * np.log(2 / alpha) / (before * t * np.log1p(t)))


def block_means(outcomes: ArrayLike, place: ArrayLike, length: int) -> tuple[Array, Index]:
    """Means of the outcomes in each block of so many times that has any, and the blocks, in order.

    Alarms come in runs while scores stay high, and their outcomes share a regime, so that the next
    one is foreseeable from the last; means of blocks are much less so.

    Parameters
    ----------
    outcomes : (n,)
    place : (n,) int
        Number of the time of each, ascending.
    length : int
        Times of a block.

    Examples
    --------
    >>> block_means([1, 0, 1], [3, 4, 25], 20)
    (array([0.5, 1. ]), array([0, 1]))
    """
    x, block = _checked(outcomes), np.asarray(place, np.int64) // length
    blocks, of = np.unique(block, return_inverse=True)
    return np.bincount(of, x, len(blocks)) / np.bincount(of, minlength=len(blocks)), blocks


def wealth_against(outcomes: ArrayLike, promised: float) -> Array:
    """Wealth (n,) of bets that the mean is below what was promised; above 20 refutes it at 5 %.

    If each outcome has a mean of at least `promised` given what came before, wealth exceeds ``1 /
    a`` at any time with a probability of at most a. It is spread evenly over bets that are, for
    outcomes 0 and 1, likelihood ratios of lower means.

    Parameters
    ----------
    outcomes : (n,)
        In [0, 1], in order of time; see `block_means` for those that depend on each other.
    promised : float
        In (0, 1).

    Raises
    ------
    InputError
        With code ``outcomes`` or ``range``.

    Examples
    --------
    >>> bool(wealth_against([0, 1] * 60, promised=0.8)[-1] > 20)
    True
    >>> bool(wealth_against([1, 1, 1, 0] * 30, promised=0.75).max() < 20)
    True
    """
    x = _checked(outcomes)
    if not 0 < promised < 1:
        raise InputError(f"promised {promised}; a proportion between 0 and 1 is needed", "range")
    others = promised * (np.arange(BETS) + 0.5) / BETS
    bets = (promised - others) / (promised * (1 - promised))
    grown = np.cumsum(np.log1p(-bets * (x[:, None] - promised)), axis=0)
    return np.exp(grown).mean(axis=1)


def _checked(outcomes: ArrayLike) -> Array:
    x = np.asarray(outcomes, np.float64)
    if x.ndim != 1 or not ((x >= 0) & (x <= 1)).all():
        raise InputError("outcomes must be a list of numbers between 0 and 1", "outcomes")
    return x
