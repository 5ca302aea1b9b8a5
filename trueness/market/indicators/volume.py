"""Volume: on-balance volume, accumulation, VWAP, Klinger oscillator."""

from __future__ import annotations

import talib

from trueness.market import primitives as p
from trueness.market.indicators.frame import Frame, Row


def _vwap(f: Frame, n: int) -> p.Array:
    return p.ratio(p.mean(f.close * f.volume, n), p.mean(f.volume, n))


def _klinger_signal(f: Frame) -> p.Array:
    force = p.klinger_force(f.high, f.low, f.close, f.volume)
    return p.ewm(p.ewm(force, 34) - p.ewm(force, 55), 13)


ROWS = (
    Row(15, "obv", "a20", "on-balance volume of C and V (first row = V)",
        lambda f: talib.OBV(f.close, f.volume), 0, "volume", ("volume",)),
    Row(16, "adosc", "a20", "Chaikin A/D oscillator, fast 3, slow 10",
        lambda f: talib.ADOSC(f.high, f.low, f.close, f.volume, 3, 10), 9, "volume", ("volume",)),
    Row(20, "vwap_20", "a20", "sum(C*V,20) / sum(V,20); zero volume sum -> missing",
        lambda f: _vwap(f, 20), 19, "price", ("volume",)),
    Row(48, "volume_ratio_20d", "a50", "V / SMA(V,20); zero -> missing",
        lambda f: p.ratio(f.volume, talib.SMA(f.volume, 20)), 19, needs=("volume",)),
    Row(49, "kvo_signal", "a50", "Klinger volume force f: ewm(ewm(f,34) - ewm(f,55), 13)",
        _klinger_signal, 0, "volume", ("volume",)),
)  # fmt: skip
