"""Tier c: eight features of the volatility index, added to any tier by the suffix ``+c``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row


def _row(
    position: int, name: str, formula: str, compute: Callable[[Frame], p.Array], warmup: int
) -> Row:
    return Row(position, name, "c", formula, compute, warmup, needs=("volatility",))


def _regime(f: Frame) -> p.Array:
    level = f.volatility
    return np.where(np.isnan(level), np.nan, np.digitize(level, (15.0, 25.0)).astype(float))


ROWS = (
    _row(501, "vix_close", "VIX", lambda f: f.volatility, 0),
    _row(502, "vix_sma_10", "mean(VIX,10)", lambda f: p.mean(f.volatility, 10), 9),
    _row(503, "vix_sma_20", "mean(VIX,20)", lambda f: p.mean(f.volatility, 20), 19),
    _row(504, "vix_percentile_60d", "100*rank_lt(VIX,60)",
         lambda f: 100 * p.rank_lt(f.volatility, 60), 59),
    _row(505, "vix_zscore_20d", "z-score of VIX over 20 rows; zero std -> 0",
         lambda f: p.zscore(f.volatility, 20), 19),
    _row(506, "vix_regime", "0 below 15, 1 in [15,25), 2 from 25", _regime, 0),
    _row(507, "vix_change_1d", "100*(VIX/VIX[-1] - 1)", lambda f: p.change_pct(f.volatility, 1), 1),
    _row(508, "vix_change_5d", "100*(VIX/VIX[-5] - 1)", lambda f: p.change_pct(f.volatility, 5), 5),
)  # fmt: skip
