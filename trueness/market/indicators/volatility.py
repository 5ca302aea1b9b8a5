"""Volatility and risk: ATR, Bollinger bands, realised and implied volatility, risk ratios."""

from __future__ import annotations

import numpy as np

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row

# NOTE[DIFF] the published ratios show 0, and the implied-to-realised ratio 1, while they warm up;
# here they are missing.


def _sharpe(position: int, days: int) -> Row:
    return Row(
        position,
        f"sharpe_{days}d",
        "a50",
        f"sqrt(252)*mean(r,{days})/std(r,{days}); undefined -> 0",
        lambda f: p.reward_to_risk(f.returns, f.returns, days),
        days,
    )


def _sortino(position: int, days: int) -> Row:
    return Row(
        position,
        f"sortino_{days}d",
        "a50",
        f"sqrt(252)*mean(r,{days})/std(min(r,0),{days}), gains replaced by zero; undefined -> 0",
        lambda f: p.reward_to_risk(f.returns, np.minimum(f.returns, 0), days),
        days,
    )


def _premium(position: int, days: int) -> Row:
    return Row(
        position,
        f"vrp_{days}d",
        "a50",
        f"VIX - RV({days})",
        lambda f: f.volatility - p.realised_volatility(f.close, days),
        days,
        needs=("volatility",),
    )


def _implied_ratio(f: Frame) -> p.Array:
    realised = p.realised_volatility(f.close, 21)
    return np.where(realised == 0, 1.0, p.ratio(f.volatility, realised))


def _percent_b(f: Frame) -> p.Array:
    upper, _, lower = f.bands
    return p.ratio(f.close - lower, upper - lower)


ROWS = (
    Row(17, "atr_14", "a20", "Wilder average true range, n=14", lambda f: f.atr14, 14, "price"),
    Row(19, "bb_percent_b", "a20", "(C - BB.lo) / (BB.up - BB.lo)", _percent_b, 19),
    _premium(31, 10),
    _premium(32, 21),
    Row(33, "implied_vs_realized_ratio", "a50", "VIX / RV(21); undefined -> 1",
        _implied_ratio, 21, needs=("volatility",)),
    _sharpe(34, 20),
    _sharpe(35, 60),
    _sortino(36, 20),
    _sortino(37, 60),
    Row(43, "atr_pct", "a50", "100*ATR14/C", lambda f: 100 * f.atr14 / f.close, 14),
    Row(44, "atr_pct_slope", "a50", "d(atr_pct, 5)", lambda f: p.diff(f["atr_pct"], 5), 19),
    Row(45, "bb_width", "a50", "100*(BB.up - BB.lo)/BB.mid",
        lambda f: 100 * (f.bands[0] - f.bands[2]) / f.bands[1], 19),
)  # fmt: skip
