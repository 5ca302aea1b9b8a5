"""Range of the day: gaps and the way from open to close."""

from __future__ import annotations

from trueness.market import primitives as p
from trueness.market.indicators.frame import Row

ROWS = (
    Row(46, "overnight_gap", "a50", "100*(O/C[-1] - 1)",
        lambda f: 100 * (f.open / p.lag(f.close, 1) - 1), 1),
    Row(47, "open_to_close_pct", "a50", "100*(C/O - 1)",
        lambda f: 100 * (f.close / f.open - 1), 0),
)  # fmt: skip
