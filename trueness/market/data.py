"""What a market task trains and measures on: bars, a volatility index, own features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trueness.market.bars import Bars, Volatility
from trueness.market.indicators import measure_files
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
    dated : datetime64, optional
        Time up to which the data went when dates that a campaign leaves open were filled in; their
        present end without it.
    source : str or list of str, optional
        Under which the bars can be read again; None of bars that were given themselves.
    events : dict of str to float
        Proportion of bars with an event, of those that were asked for.
    """

    panel: Panel
    volatility: Volatility | None = None
    own: OwnFeatures | None = None
    dated: np.datetime64 | None = None
    source: str | list[str] | None = field(default=None, compare=False)
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

    @property
    def rows(self) -> int:
        """Bars of all series."""
        return self.panel.rows

    @property
    def until(self) -> np.datetime64:
        """Last time that fills in dates which a campaign leaves open."""
        return self.panel.last if self.dated is None else self.dated

    def origin(self) -> dict[str, Any]:
        """What a record says of the data.

        ``lineage`` names the series, ``digest`` its present bars, ``lengths`` how many there are of
        each series, ``inputs`` the digest of own features, and ``dated`` is `until`: what is needed
        to find the run when bars go on.
        """
        panel, vix, own = self.panel, self.volatility, self.own
        result = {
            "name": panel.name,
            "source": self.source,
            "volatility": vix.name if vix else None,
            "digest": panel.digest,
            "lineage": panel.lineage,
            "rows": panel.rows,
            "lengths": {bars.name: len(bars) for bars in panel},
            "first": str(panel.first),
            "as_of": str(panel.last),
            "dated": str(self.until),
        }
        if vix is not None:
            result["volatility_rows"] = len(vix.dates)
        if not panel.alone:
            result["series"] = {bars.name: bars.digest for bars in panel}
        if own is not None:
            result["features"] = own.source
            result["inputs"] = own.inputs_digest(result["lengths"])
        return result

    def kept_files(self, features: Sequence[str]) -> dict[str, bytes]:
        """What a bundle keeps of the bars: measures that would take longest to make again."""
        return {
            f"measures/{name}": content
            for bars in self.panel
            for name, content in measure_files(bars, features).items()
        }

    def in_words(self) -> str:
        """Name and last time."""
        return f"{self.panel.name} to {self.panel.last}"
