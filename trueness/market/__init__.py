"""Bars to Examples: sources, labels, indicators, windows and splits. Never loads torch."""

from trueness.market.bars import Bars, Volatility, load_bars, load_volatility
from trueness.market.data import MarketData
from trueness.market.indicators import TIERS, feature_table
from trueness.market.inputs import feature_names
from trueness.market.labels import labels_of
from trueness.market.panel import Panel, load_panel
from trueness.market.synthetic import synthetic_bars
from trueness.market.windows import market_examples, resolve_evaluation

__all__ = [
    "TIERS",
    "Bars",
    "MarketData",
    "Panel",
    "Volatility",
    "feature_names",
    "feature_table",
    "labels_of",
    "load_bars",
    "load_panel",
    "load_volatility",
    "market_examples",
    "resolve_evaluation",
    "synthetic_bars",
]
