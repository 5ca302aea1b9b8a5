"""Bars to Examples: sources, labels, indicators, windows and splits. Never loads torch."""

from trueness.market.bars import Bars, Volatility, load_bars, load_volatility
from trueness.market.indicators import TIERS, feature_table
from trueness.market.inputs import feature_names
from trueness.market.labels import touch_labels
from trueness.market.synthetic import synthetic_bars
from trueness.market.windows import market_examples, resolve_evaluation

__all__ = [
    "TIERS",
    "Bars",
    "Volatility",
    "feature_names",
    "feature_table",
    "load_bars",
    "load_volatility",
    "market_examples",
    "resolve_evaluation",
    "synthetic_bars",
    "touch_labels",
]
