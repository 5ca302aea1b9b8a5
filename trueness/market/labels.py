"""Touch labels: whether the price reaches a level within the next days."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError

UNDEFINED = 255
"""Value of a label whose future lies beyond the data."""


def touch_labels(
    high: NDArray[np.float64],
    low: NDArray[np.float64],
    close: NDArray[np.float64],
    *,
    horizon_days: int,
    threshold_pct: float,
    price: Literal["high", "close"] = "high",
    mirror: bool = False,
) -> NDArray[np.uint8]:
    """Label of each day t: 1 if a level is touched in t+1..t+h, else 0.

    The level is ``Close[t] * (1 + x)`` with ``x = threshold_pct / 100``, touched from below by the
    maximum of the future highs (``price="high"``) or closes (``"close"``); comparison is "greater
    or equal". ``mirror=True`` asks for the minimum of future lows (or closes) at or below
    ``Close[t] * (1 - x)``.

    Parameters
    ----------
    high, low, close : (T,) float64
        Adjusted prices.
    horizon_days : int
        Trading days ahead, h >= 1.
    threshold_pct : float
        Distance of the level in percent, >= 0.

    Returns
    -------
    (T,) uint8
        0, 1, or `UNDEFINED` for the last h days.

    Raises
    ------
    DataError
        For NaN, lengths that differ, or fewer than h + 1 days.

    Examples
    --------
    >>> price = np.array([100.0, 101.0, 99.0, 99.5])
    >>> touch_labels(price, price, price, horizon_days=1, threshold_pct=1.0)
    array([  1,   0,   0, 255], dtype=uint8)
    >>> touch_labels(price, price, price, horizon_days=2, threshold_pct=1.0, mirror=True)
    array([  1,   1, 255, 255], dtype=uint8)
    """
    if not len(high) == len(low) == len(close):
        raise DataError(
            f"high, low and close differ in length: {len(high)}, {len(low)}, {len(close)}"
        )
    if len(close) <= horizon_days:
        raise DataError(f"{len(close)} days cannot carry a label {horizon_days} days ahead")
    if np.isnan(high).any() or np.isnan(low).any() or np.isnan(close).any():
        raise DataError("prices contain NaN; labels need complete bars")
    x = threshold_pct / 100
    future = close if price == "close" else low if mirror else high
    ahead = np.lib.stride_tricks.sliding_window_view(future[1:], horizon_days)
    base = close[: len(ahead)]
    touched = ahead.min(1) <= base * (1 - x) if mirror else ahead.max(1) >= base * (1 + x)
    labels = np.full(len(close), UNDEFINED, np.uint8)
    labels[: len(ahead)] = touched
    return labels
