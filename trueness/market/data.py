"""What a market task trains and measures on: bars, a volatility index, own features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trueness.market.bars import Bars, Volatility
from trueness.market.own_features import OwnFeatures
from trueness.market.panel import Panel


@dataclass(frozen=True)
class MarketData:
    """Bars of one series or of a panel, and what else columns are made from.

    Attributes
    ----------
    panel : Panel
    volatility : Volatility, optional
    own : OwnFeatures, optional
    events : dict of str to float
        Share of bars with an event, of those that were asked for.
    """

    panel: Panel
    volatility: Volatility | None = None
    own: OwnFeatures | None = None
    events: dict[str, float] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls, bars: Bars | Panel, volatility: Volatility | None = None,
        own: OwnFeatures | None = None,
    ) -> MarketData:  # fmt: skip
        """Of one series, or of a panel.

        Examples
        --------
        >>> from trueness.market import load_bars
        >>> MarketData.of(load_bars("sp500")).in_words()
        'sp500 to 2018-12-31'
        """
        return cls(Panel((bars,)) if isinstance(bars, Bars) else bars, volatility, own)

    @property
    def digest(self) -> str:
        """Of the bars."""
        return self.panel.digest

    def origin(self) -> dict[str, Any]:
        """What a record says of the data."""
        panel, vix, own = self.panel, self.volatility, self.own
        found = {
            "name": panel.name,
            "volatility": vix.name if vix else None,
            "digest": panel.digest,
            "rows": panel.rows,
            "first": str(panel.first),
            "as_of": str(panel.last),
        }
        if not panel.alone:
            found["series"] = {bars.name: bars.digest for bars in panel}
        if own is not None:
            found["features"] = own.source
        return found

    def in_words(self) -> str:
        """Name and last time."""
        return f"{self.panel.name} to {self.panel.last}"
