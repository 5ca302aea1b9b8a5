"""The best threshold of a sweep under a demand."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trueness.errors import at_least
from trueness.evaluation.inputs import InputError, between
from trueness.evaluation.thresholds import Sweep, Threshold


def best_recall(
    sweep: Sweep, precision: float, *, conservative: bool = False, fewest_alarms: int = 1
) -> Threshold | None:
    """Threshold with the most hits among those with enough precision; None if infeasible.

    Parameters
    ----------
    sweep : Sweep
    precision : float
        In (0, 1).
    conservative : bool
        Ask it of the lower end of the exact interval.
    fewest_alarms : int
        Thresholds with fewer do not count.

    Examples
    --------
    >>> from trueness.evaluation.thresholds import threshold_sweep
    >>> sweep = threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0])
    >>> print(best_recall(sweep, 0.6).precision)
    67 % (9–99) · 2/3
    >>> best_recall(sweep, 0.6, conservative=True) is None
    True
    """
    between("precision", precision)
    value = sweep.bounds("precision")[0] if conservative else sweep.precision
    allowed = (sweep.alarms >= at_least("fewest alarms", fewest_alarms, 1)) & (value >= precision)
    return _best(sweep, allowed, (sweep.hits, -sweep.alarms))


def best_precision(
    sweep: Sweep, *, recall: float | None = None, alarms: int | None = None,
    conservative: bool = False, fewest_alarms: int = 1,
) -> Threshold | None:  # fmt: skip
    """Threshold with the best precision among those with enough recall, or within a budget.

    Parameters
    ----------
    sweep : Sweep
    recall : float, optional
        At least this, in (0, 1].
    alarms : int, optional
        At most so many.
    conservative : bool
        Compare the lower ends of the exact intervals, and ask the recall of its lower end.
    fewest_alarms : int
        Thresholds with fewer do not count.

    Returns
    -------
    Threshold or None
        The one with more hits among equals; None if infeasible.

    Examples
    --------
    >>> from trueness.evaluation.thresholds import threshold_sweep
    >>> sweep = threshold_sweep([1, 0, 1, 0, 0], [2.0, 1.0, 1.0, 0.0, -1.0])
    >>> best_precision(sweep, recall=0.9).alarms, best_precision(sweep, alarms=2).alarms
    (3, 1)
    """
    if (recall is None) == (alarms is None):
        raise InputError("give a recall or a budget of alarms, one of them", "choice")
    allowed = sweep.alarms >= at_least("fewest alarms", fewest_alarms, 1)
    if recall is not None:
        if not 0 < recall <= 1:
            raise InputError(f"recall {recall} must lie in (0, 1]", "range")
        allowed &= (sweep.bounds("recall")[0] if conservative else sweep.recall) >= recall
    if alarms is not None:
        allowed &= sweep.alarms <= at_least("alarms", alarms, 1)
    value = sweep.bounds("precision")[0] if conservative else sweep.precision
    return _best(sweep, allowed, (value, sweep.hits))


def _best(sweep: Sweep, allowed: NDArray[np.bool_], by: tuple[ArrayLike, ...]) -> Threshold | None:
    """Allowed row that is greatest by the first key, then by the second; the first of equals."""
    rows = np.flatnonzero(allowed)
    if not len(rows):
        return None
    keys = [np.asarray(key, np.float64)[rows] for key in by]
    return sweep.threshold(int(rows[np.lexsort([-key for key in reversed(keys)])[0]]))
