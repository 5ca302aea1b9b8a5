"""What tests of bars share."""

from trueness.market import MarketData, market_examples


def examples_of(task, evaluation, bars, volatility=None, own=None):
    """Examples of one series or of a panel."""
    return market_examples(task, evaluation, MarketData.of(bars, volatility, own))
