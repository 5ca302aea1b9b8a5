"""What indicator rows are written against: adjusted columns, shared intermediates, earlier rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueness.compiling import Kernel
from trueness.market import kernels as k
from trueness.market import primitives as p
from trueness.market.emd import mode_measures
from trueness.market.indicators.library import talib
from trueness.market.measures import Measures

if TYPE_CHECKING:
    from trueness.market.bars import Bars

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One indicator.

    Attributes
    ----------
    position : int
        Place in the catalogue, from 1; tiers are cumulative.
    name, tier : str
        Published name, and the tier that introduces it.
    formula : str
        In words, in the notation of the catalogue.
    compute : Frame -> (T,)
    warmup : int
        Rows before the first defined value; they are NaN whatever the formula puts there.
    scale : {"free", "price", "volume"}
        What the value is proportional to.
    needs : tuple of str
        Optional inputs: "volume", "volatility".
    flags : tuple of str
        Known traits, such as ``affine_of:stc_value``.
    """

    position: int
    name: str
    tier: str
    formula: str
    compute: Callable[[Frame], Array]
    warmup: int
    scale: str = "free"
    needs: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass
class Frame:
    """Adjusted bars with intermediates that several rows share, each computed once.

    ``frame[name]`` is the finished column of another row. Measures of windows are kept in `folder`,
    if there is one.
    """

    bars: Bars
    vix: Array | None
    rows: Mapping[str, Row]
    folder: Path | None = None
    _done: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        adjusted = self.bars.adjusted()
        self.dates = adjusted.dates
        self.open, self.high = adjusted.open, adjusted.high
        self.low, self.close = adjusted.low, adjusted.close

    def __getitem__(self, name: str) -> Array:
        if name not in self._done:
            row = self.rows[name]
            values = np.array(row.compute(self), dtype=np.float64)
            values[: row.warmup] = np.nan
            self._done[name] = values
        return self._done[name]

    @cached_property
    def measures(self) -> Measures:
        """Measures of windows of closes."""
        return Measures(np.ascontiguousarray(self.close), self.folder, catalogue_version())

    @property
    def volume(self) -> Array:
        """Traded units; rows that use it declare ``needs=("volume",)``."""
        if self.bars.volume is None:
            raise KeyError("volume")
        return self.bars.volume

    @property
    def volatility(self) -> Array:
        """Volatility index of the same day; rows that use it declare ``needs=("volatility",)``."""
        if self.vix is None:
            raise KeyError("volatility")
        return self.vix

    @cached_property
    def returns(self) -> Array:
        """``C / C[-1] - 1``, a fraction; NaN on row 0."""
        return self.close / p.lag(self.close, 1) - 1

    @cached_property
    def rsi14(self) -> Array:
        """Wilder RSI of the close, n = 14."""
        return talib.RSI(self.close, 14)

    @cached_property
    def atr14(self) -> Array:
        """Wilder average true range, n = 14."""
        return talib.ATR(self.high, self.low, self.close, 14)

    @cached_property
    def bands(self) -> tuple[Array, Array, Array]:
        """Bollinger bands (upper, middle, lower): 20 rows, 2 population standard deviations."""
        upper, middle, lower = talib.BBANDS(self.close, 20, 2.0, 2.0, talib.MA_Type.SMA)
        return upper, middle, lower

    @cached_property
    def macd(self) -> tuple[Array, Array, Array]:
        """MACD 12/26/9: line, signal, histogram."""
        line, signal, histogram = talib.MACD(self.close, 12, 26, 9)
        return line, signal, histogram

    @cached_property
    def supertrend10(self) -> tuple[Array, Array]:
        """Supertrend line and state, ATR over 10 rows, 3 of them wide."""
        atr = talib.ATR(self.high, self.low, self.close, 10)
        return p.supertrend(self.high, self.low, self.close, atr, 3.0)

    @cached_property
    def ratchet20(self) -> tuple[Array, Array]:
        """Ratchet line and state, ATR over 20 rows, 3 of them wide."""
        atr = talib.ATR(self.high, self.low, self.close, 20)
        return p.ratchet(self.high, self.low, self.close, atr, 3.0)

    @cached_property
    def modes(self) -> Array:
        """Measures of the empirical modes of 40 closes ending yesterday, (T, 4)."""
        return self.past(mode_measures, 40)

    @cached_property
    def multifractal(self) -> Array:
        """Multifractal exponents h(q), q = -5, -3, .. 5, of 120 closes to yesterday, (T, 6)."""
        return self.past(k.multifractal_exponents, 120, k.MFDFA_SCALES, k.MFDFA_POWERS)

    def past(self, kernel: Kernel, n: int, *options: int | Array) -> Array:
        """Measure of the n closes ending yesterday."""
        return p.lag(self.measures.of(kernel, n, *options), 1)

    def sma(self, n: int) -> Array:
        """Simple mean of the close over n rows."""
        return talib.SMA(self.close, n)

    def dema(self, n: int) -> Array:
        """Double EMA of the close."""
        return talib.DEMA(self.close, n)

    def weekly(self, formula: Callable[[Array], Array]) -> Array:
        """`formula` over weekly closes, as of the last completed week."""
        return p.weekly(self.dates, self.close, formula)


@cache
def catalogue_version() -> str:
    """Digest of the code that computes indicators, and of the library behind it."""
    sha = hashlib.sha256(f"TA-Lib {version('TA-Lib')} numpy {version('numpy')}".encode())
    here = Path(__file__).parent
    kernels = [here.parent / f"{name}.py" for name in ("primitives", "kernels", "emd")]
    for file in sorted([*here.glob("*.py"), *kernels]):
        sha.update(file.read_bytes())
    return sha.hexdigest()[:12]
