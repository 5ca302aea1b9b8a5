"""What tests of bars have in common."""

import dataclasses

import numpy as np
import polars as pl

from trueness.market import MarketData, market_examples, synthetic_bars

TICKERS = ("AAA", "BBB", "CCC")


def examples_of(task, evaluation, bars, volatility=None, own=None):
    """Examples of one series or of a panel."""
    return market_examples(task, evaluation, MarketData.of(bars, volatility, own))


def variants(bars, rows=2200):
    """Frames of three series that move with one: prices perturbed, lengths and missing days differ."""
    rng, actual = np.random.default_rng(7), {}
    for i, name in enumerate(TICKERS):
        noise = pl.Series(np.exp(0.001 * rng.standard_normal(len(bars)).cumsum()))
        prices = [
            (pl.col(c) * noise).alias(c) for c in ("Open", "High", "Low", "Close", "Adj Close")
        ]
        kept = (pl.col("i") >= len(bars) - rows + 150 * i) & (pl.col("i") % (97 + i) != 0)
        actual[name] = bars.frame().with_columns(prices).with_row_index("i").filter(kept).drop("i")
    return actual


def respaced(times, seed=0):
    """Synthetic bars at other times (T,)."""
    return dataclasses.replace(synthetic_bars(len(times), seed=seed), dates=times)
