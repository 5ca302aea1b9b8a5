"""Labels of bars: whether what a target asks for happens in the bars that follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trueness.errors import DataError
from trueness.spec.target import CloseReturn, FirstTouch, Target, Touch

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]
UNDEFINED = 255
"""Value of a label whose future lies beyond the data, or whose level is not known."""
SLACK = 1e-7
"""Of a price, by which it may miss a level that it touches: vendors round to six digits."""
RANGE_BARS = 14
"""Of the average true range."""


def labels_of(target: Target, high: Array, low: Array, close: Array, horizon: int) -> Labels:
    """Label of each bar t by the bars t+1 .. t+h.

    Parameters
    ----------
    target : Target
        Any but a column, see `trueness.spec.target`.
    high, low, close : (T,) float64
        Adjusted prices.
    horizon : int
        Bars ahead, h >= 1.

    Returns
    -------
    (T,) uint8
        0, 1, or `UNDEFINED` for the last h bars, and, where the target is in ranges, for the first
        bars, which have none.

    Raises
    ------
    DataError
        For NaN, lengths that differ, or fewer than h + 1 bars.

    Examples
    --------
    >>> price = np.array([100.0, 101.0, 99.0, 99.5])
    >>> labels_of(Touch(kind="touch"), price, price, price, 1)
    array([  1,   0,   0, 255], dtype=uint8)
    >>> labels_of(Touch(kind="touch", threshold_pct=-1.0), price, price, price, 2)
    array([  1,   1, 255, 255], dtype=uint8)
    """
    if not len(high) == len(low) == len(close):
        raise DataError(
            f"high, low and close differ in length: {len(high)}, {len(low)}, {len(close)}"
        )
    if len(close) <= horizon:
        raise DataError(f"{len(close)} bars cannot carry a label {horizon} bars ahead")
    if np.isnan(high).any() or np.isnan(low).any() or np.isnan(close).any():
        raise DataError("prices contain NaN; labels need complete bars")
    happens, known = RULES[type(target)](target, _Prices(high, low, close, horizon))
    labels = np.full(len(close), UNDEFINED, np.uint8)
    labels[: len(happens)] = np.where(known, happens, UNDEFINED)
    return labels


def touch_level(target: Touch, high: Array, low: Array, close: Array, horizon: int) -> Array:
    """Price that a target asks for from each bar with a whole horizon, (T - horizon,).

    NaN where it is in ranges and the range is not known.
    """
    prices = _Prices(high, low, close, horizon)
    return prices.level(target.threshold_pct, target.threshold_atr)


class _Prices:
    """Prices and what lies ahead of each bar that has a whole horizon, (n,) and (n, h)."""

    def __init__(self, high: Array, low: Array, close: Array, horizon: int) -> None:
        self._high, self._low, self._close, self.horizon = high, low, close, horizon
        self.n = len(close) - horizon
        self.base = close[: self.n]

    def ahead(self, of: Literal["high", "low", "close"]) -> Array:
        """Prices of the bars ahead, (n, h), as a view."""
        prices: Array = getattr(self, f"_{of}")
        return np.lib.stride_tricks.sliding_window_view(prices[1:], self.horizon)

    def level(self, pct: float | None, ranges: float | None) -> Array:
        """Close plus a signed distance, (n,); NaN where the range is not known."""
        if pct is not None:
            return self.base * (1 + pct / 100)
        import talib

        atr = talib.ATR(self._high, self._low, self._close, RANGE_BARS)
        return self.base + (ranges or 0.0) * atr[: self.n]


Answer = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Whether it happens, and whether the level is known, (n,) each."""


def _reaches(price: Array, level: Array) -> NDArray[np.bool_]:
    """Whether prices are at a level or above, up to the rounding of vendors and of floats."""
    return price >= level * (1 - SLACK)


def _falls_to(price: Array, level: Array) -> NDArray[np.bool_]:
    return price <= level * (1 + SLACK)


def _touch(target: Touch, prices: _Prices) -> Answer:
    level = prices.level(target.threshold_pct, target.threshold_atr)
    if target.size > 0:
        ahead = prices.ahead("close" if target.price == "close" else "high")
        return _reaches(ahead.max(1), level), ~np.isnan(level)
    ahead = prices.ahead("close" if target.price == "close" else "low")
    return _falls_to(ahead.min(1), level), ~np.isnan(level)


def _close_return(target: CloseReturn, prices: _Prices) -> Answer:
    level = prices.level(target.threshold_pct, target.threshold_atr)
    after = prices.ahead("close")[:, -1]
    happens = _reaches if target.size > 0 else _falls_to
    return happens(after, level), ~np.isnan(level)


def _first_touch(target: FirstTouch, prices: _Prices) -> Answer:
    up = prices.level(target.up_pct, target.up_atr)
    down = prices.level(_minus(target.down_pct), _minus(target.down_atr))
    above = _first(_reaches(prices.ahead("high"), up[:, None]))
    below = _first(_falls_to(prices.ahead("low"), down[:, None]))
    own, other = (above, below) if target.first == "up" else (below, above)
    known = ~np.isnan(up) & ~np.isnan(down)
    return (own < other) & (own < prices.horizon), known


def _first(hit: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Position of the first bar that hits, (n,); the horizon if none does."""
    return np.where(hit.any(1), hit.argmax(1), hit.shape[1])


def _minus(distance: float | None) -> float | None:
    return None if distance is None else -distance


RULES: dict[type, Callable[[Any, _Prices], Answer]] = {
    Touch: _touch,
    CloseReturn: _close_return,
    FirstTouch: _first_touch,
}


def labels_from(values: Array, name: str) -> Labels:
    """Labels of a column (T,) of 0 and 1, `UNDEFINED` where it is empty.

    Raises
    ------
    DataError
        With code ``labels`` for anything else.
    """
    known = ~np.isnan(values)
    odd = known & (values != 0) & (values != 1)
    if odd.any():
        raise DataError(
            f"the label {name} holds {values[odd][0]:g} ({int(odd.sum())} such rows); 0, 1 or "
            "nothing is expected", "labels"
        )  # fmt: skip
    return np.where(known, np.nan_to_num(values), UNDEFINED).astype(np.uint8)
