"""How numbers are written, everywhere: one rule per kind of number.

Shares are whole percent, with more digits only where they are small; AUC, F1 and the like have
three decimals; intervals stand in round brackets; the minus sign is a real one; thousands have
commas. A value that is not known is a dash.
"""

from __future__ import annotations

import math
from typing import Protocol

UNKNOWN = "–"
MINUS = "−"


class Bounded(Protocol):
    """What an estimate looks like from here: a value, the ends of its interval, its counts."""

    @property
    def value(self) -> float | None:
        """The estimate; None if it is undefined."""
        ...

    @property
    def low(self) -> float | None:
        """Lower end of its interval."""
        ...

    @property
    def high(self) -> float | None:
        """Upper end of its interval."""
        ...

    @property
    def n(self) -> int:
        """Units it rests on."""
        ...

    @property
    def k(self) -> int | None:
        """Hits among them, for a proportion."""
        ...


def count(n: float) -> str:
    """Whole number with commas.

    Examples
    --------
    >>> count(7257), count(-12)
    ('7,257', '−12')
    """
    return f"{round(n):,}".replace("-", MINUS)


def plural(n: int, what: str, more: str = "") -> str:
    """Number and noun; `more` is the plural where an s is not enough.

    Examples
    --------
    >>> plural(1, "run"), plural(2012, "run"), plural(2, "baseline is", "baselines are")
    ('1 run', '2,012 runs', '2 baselines are')
    """
    return f"{count(n)} {what if n == 1 else more or what + 's'}"


def listed(names: list[str], most: int = 8) -> str:
    """Names in a sentence; beyond `most`, how many more.

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a", "b", "c"], 2)
    ('a, b and c', 'a, b and 1 more')
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {count(len(names) - most)} more"
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + "".join(names[-1:])


def capital(text: str) -> str:
    """The same as the beginning of a sentence.

    Examples
    --------
    >>> capital("evaluated twice")
    'Evaluated twice'
    """
    return f"{text[:1].upper()}{text[1:]}"


def decimal(x: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """Fixed number of decimals, with a sign if asked for.

    Examples
    --------
    >>> decimal(0.71049), decimal(-0.013, signed=True), decimal(0.0004, 2, signed=True)
    ('0.710', '−0.013', '+0.00')
    """
    if x is None or not math.isfinite(x):
        return UNKNOWN
    shown = f"{x + 0.0:{'+' if signed else ''}.{digits}f}"
    if float(shown) == 0:
        shown = shown.replace("-", "+" if signed else "")
    return shown.replace("-", MINUS)


def percent(share: float | None, *, signed: bool = False, like: float | None = None) -> str:
    """Percent without the sign; digits by size, or by the size of another share.

    Examples
    --------
    >>> percent(0.857), percent(0.0364), percent(0.00127), percent(1.0), percent(0.5, like=0.002)
    ('86', '3.6', '0.13', '100', '50.00')
    """
    if share is None or not math.isfinite(share):
        return UNKNOWN
    return decimal(100 * share, _percent_digits(share if like is None else like), signed=signed)


def _percent_digits(share: float) -> int:
    """No decimals from 10 % on, one below, two below 1 %, more for what would vanish."""
    size = abs(100 * share)
    if size == 0 or size >= 9.95:
        return 0
    if size >= 0.995:
        return 1
    return min(6, 1 - math.floor(math.log10(size)))


def share(e: Bounded, *, counts: bool = True) -> str:
    """Share with its interval and its counts.

    Examples
    --------
    >>> from trueness.evaluation import Estimate
    >>> share(Estimate.proportion(13, 30)), share(Estimate.proportion(6, 7), counts=False)
    ('43 % (25–63) · 13/30', '86 % (42–100)')
    """
    if e.value is None:
        return UNKNOWN if e.k is None or not counts else f"{UNKNOWN} · {count(e.k)}/{count(e.n)}"
    like = e.value or e.high or 0.0
    shown = f"{percent(e.value, like=like)} %"
    if e.low is not None and e.high is not None:
        shown += f" ({percent(e.low, like=like)}–{percent(e.high, like=like)})"
    return shown + (f" · {count(e.k)}/{count(e.n)}" if counts and e.k is not None else "")


def lower_bound(e: Bounded) -> str:
    """Share that is bounded below only.

    Examples
    --------
    >>> from trueness.evaluation import Estimate
    >>> lower_bound(Estimate(0.6, 0.41, 1.0, 30))
    '≥ 41 %'
    """
    return UNKNOWN if e.low is None else f"≥ {percent(e.low)} %"


def estimate(e: Bounded, digits: int = 3, *, signed: bool = False) -> str:
    """Value with its interval, both with the same decimals.

    Examples
    --------
    >>> from trueness.evaluation import Estimate
    >>> estimate(Estimate(0.7104, 0.68, 0.7382, 422))
    '0.710 (0.680–0.738)'
    >>> estimate(Estimate(-0.0131, -0.08, 0.04, 422), signed=True)
    '−0.013 (−0.080 to +0.040)'
    """
    if e.value is None:
        return UNKNOWN
    value = decimal(e.value, digits, signed=signed)
    if e.low is None or e.high is None:
        return value
    return f"{value} {interval(e.low, e.high, digits, signed=signed)}"


def interval(
    low: float | None, high: float | None, digits: int = 3, *, signed: bool = False
) -> str:
    """Interval in round brackets.

    Examples
    --------
    >>> interval(0.68, 0.7382), interval(-0.08, 0.04, 2, signed=True)
    ('(0.680–0.738)', '(−0.08 to +0.04)')
    """
    if low is None or high is None:
        return UNKNOWN
    ends = [decimal(x, digits, signed=signed) for x in (low, high)]
    return f"({(' to ' if signed or low < 0 else '–').join(ends)})"


def points(e: Bounded, *, unit: bool = True) -> str:
    """Difference of two shares in percentage points; without `unit` as under a head that has it.

    Examples
    --------
    >>> from trueness.evaluation import Estimate
    >>> points(Estimate(0.031, -0.012, 0.074, 422))
    '+3.1 points (−1.2 to +7.4)'
    >>> points(Estimate(0.031, -0.012, 0.074, 422), unit=False)
    '+3.1 (−1.2 to +7.4)'
    """
    if e.value is None:
        return UNKNOWN
    shown = f"{decimal(100 * e.value, 1, signed=True)}{' points' * unit}"
    if e.low is None or e.high is None:
        return shown
    return f"{shown} {interval(100 * e.low, 100 * e.high, 1, signed=True)}"


def p_value(p: float | None, *, name: bool = True) -> str:
    """P-value with its name; without `name` as under a head that has it.

    Examples
    --------
    >>> p_value(0.0341), p_value(0.00002), p_value(None)
    ('p = 0.034', 'p < 0.001', 'p unknown')
    >>> p_value(0.0341, name=False), p_value(0.00002, name=False)
    ('0.034', '< 0.001')
    """
    if p is None or not math.isfinite(p):
        return "p unknown" if name else UNKNOWN
    if p < 0.001:
        return f"{'p ' * name}< 0.001"
    return f"{'p = ' * name}{p:.3f}"


def short(n: float | None) -> str:
    """Large number in three digits.

    Examples
    --------
    >>> short(1306351), short(46351), short(750), short(2_016_000_000)
    ('1.31M', '46.4k', '750', '2.02B')
    """
    if n is None:
        return UNKNOWN
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if abs(n) >= unit:
            return f"{n / unit:.3g}{name}".replace("-", MINUS)
    return f"{n:.3g}".replace("-", MINUS)


def plain(x: float) -> str:
    """Number as short as it can be written, as in a setting.

    Examples
    --------
    >>> plain(0.05), plain(1e-4), plain(-3.0)
    ('0.05', '0.0001', '−3')
    """
    shown = f"{x:.10g}"
    if "e" in shown and 1e-6 <= abs(x) < 1e12:
        shown = f"{x:.10f}".rstrip("0").rstrip(".")
    return shown.replace("-", MINUS, 1) if x < 0 else shown


def level(confidence: float) -> str:
    """Confidence in percent.

    Examples
    --------
    >>> level(0.95), level(0.975)
    ('95 %', '97.5 %')
    """
    return f"{plain(round(100 * confidence, 6))} %"
