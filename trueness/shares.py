"""Shares of counts, in exact arithmetic: 9.2 % of 750 are 69, not 68.99."""

from __future__ import annotations

from fractions import Fraction


def percent_of(n: int, *percents: float) -> int:
    """Whole units in so many percent of n, rounded down; several percents are added first.

    A percent is the decimal number that it is written as, not the float nearest to it.

    Parameters
    ----------
    n : int
    percents : float
        In [0, 100]; below zero they are taken away.

    Examples
    --------
    >>> percent_of(750, 9.2), int(750 * 9.2 / 100)
    (69, 68)
    """
    return int(n * sum(Fraction(repr(float(percent))) for percent in percents) / 100)
