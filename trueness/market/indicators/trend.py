"""Trend: moving averages, distances from them, ADX."""

from __future__ import annotations

import talib

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row


def _average(position: int, kind: str, n: int) -> Row:
    if kind == "sma":
        return Row(
            position,
            f"sma_{n}",
            "a20",
            f"simple mean of C over {n} rows",
            lambda f: f.sma(n),
            n - 1,
            "price",
        )
    return Row(
        position,
        f"dema_{n}",
        "a20",
        f"double EMA of C, n={n}",
        lambda f: f.dema(n),
        2 * (n - 1),
        "price",
    )


def _distance(f: Frame, n: int) -> p.Array:
    return 100 * (f.close / f.sma(n) - 1)


ROWS = (
    _average(1, "dema", 9),
    _average(2, "dema", 10),
    _average(3, "sma", 12),
    _average(4, "dema", 20),
    _average(5, "dema", 25),
    _average(6, "sma", 50),
    _average(7, "dema", 90),
    _average(8, "sma", 100),
    _average(9, "sma", 200),
    Row(18, "adx_14", "a20", "average directional index, n=14",
        lambda f: talib.ADX(f.high, f.low, f.close, 14), 27),
    Row(40, "price_pct_from_sma_50", "a50", "100*(C/SMA(C,50) - 1)",
        lambda f: _distance(f, 50), 49),
    Row(41, "price_pct_from_sma_200", "a50", "100*(C/SMA(C,200) - 1)",
        lambda f: _distance(f, 200), 199),
    Row(42, "sma_50_200_proximity", "a50", "100*(SMA(C,50)/SMA(C,200) - 1)",
        lambda f: 100 * (f.sma(50) / f.sma(200) - 1), 199),
)  # fmt: skip
