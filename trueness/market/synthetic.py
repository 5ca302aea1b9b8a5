"""A seeded synthetic market with a planted signal of known strength."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueness.market.bars import Bars

Array = NDArray[np.float64]


def synthetic_probability(z: Array, strength: float, base_rate: float = 0.2) -> Array:
    """P(next day's high reaches +1 %) given the planted factor z.

    ``sigmoid(logit(base_rate) + strength * z)``.
    """
    return 1 / (1 + np.exp(-(np.log(base_rate / (1 - base_rate)) + strength * z)))


def synthetic_bars(n_days: int = 4000, strength: float = 1.0, seed: int = 0) -> Bars:
    """Seeded market in which the volume of day t foretells whether day t+1 touches +1 %.

    A standard AR(1) factor z (coefficient 0.5) sets the volume, ``log V = 18 + 0.5 z``. The next
    day's High reaches Close * 1.01 with probability ``synthetic_probability(z, strength)``,
    independent of all else, so the best attainable AUC is known. Prices stay within a few percent
    of 100 in drift.

    Parameters
    ----------
    n_days : int
        Bars, starting 1990-01-01, weekdays only.
    strength : float
        Log-odds per standard deviation of the factor; 0 plants nothing.
    seed : int

    Returns
    -------
    Bars
    """
    rng = np.random.default_rng(seed)
    shock = rng.standard_normal(n_days)
    z = np.empty(n_days)
    z[0] = shock[0]
    for t in range(1, n_days):
        z[t] = 0.5 * z[t - 1] + np.sqrt(0.75) * shock[t]
    touched = np.append(False, rng.random(n_days - 1) < synthetic_probability(z[:-1], strength))
    high_pct = np.where(
        touched, 1.001 + rng.exponential(0.4, n_days), rng.uniform(0.05, 0.99, n_days)
    )
    low_pct = -np.abs(rng.normal(0.7, 0.4, n_days)) - 0.02
    open_pct = low_pct + (high_pct - low_pct) * rng.beta(4, 4, n_days)
    close_pct = low_pct + (high_pct - low_pct) * rng.beta(2, 2, n_days)
    close_pct -= close_pct.mean()
    close_pct = close_pct.clip(low_pct, high_pct)
    close = 100 * np.cumprod(1 + close_pct / 100)
    before = np.append(100.0, close[:-1])
    days = np.datetime64("1990-01-01") + np.arange(n_days) // 5 * 7 + np.arange(n_days) % 5
    return Bars(
        f"synthetic(n_days={n_days}, strength={strength:g}, seed={seed})",
        days.astype("datetime64[D]"),
        open=before * (1 + open_pct / 100),
        high=before * (1 + high_pct / 100),
        low=before * (1 + low_pct / 100),
        close=close,
        volume=np.exp(18.0 + 0.5 * z),
        factor=np.ones(n_days),
    )
