"""Seeded worlds of rare events, in which what is true of a model is known.

A day has a state (none, calm or turbulent, log-volatility) and a signal. An event is where

    0.7 * signal + state + noise > threshold,

and the label of a day tells whether any of the next `horizon` days has one; about 21 % are
positive. A score is what it sees of the signal and of the state, plus noise of its own. Every
setting is a line of `SETTINGS`; `sample` draws days from it, and `truth_at_large` and
`truth_at_ranks` say what a statistic estimates there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.stats import norm

from trueness.evaluation.blocks import Blocks
from trueness.evaluation.influence import auc_influence, average_precision_influence
from trueness.evaluation.resampling import SortedScores

Array = NDArray[np.float64]
Labels = NDArray[np.uint8]

BASE_RATE = 0.21
BLOCK = 20
"""Days of a block in every simulation."""
CALM, TURBULENT = 80, 25
"""Mean days of a state."""
MEMORY = 0.98
"""Correlation of one day's log-volatility with the next."""
VOLATILITY, STATES = 0.69, (-0.64, 0.46)
"""What one standard deviation of log-volatility adds to an event, and a calm or turbulent day."""
LARGE = 1_000_000
"""Days of a sample that stands for all days."""
EQUAL, SCATTERED = (0.8,) * 20, tuple(np.linspace(0.4, 2.5, 20).tolist())
"""Families of twenty models: the standard deviation of the noise in their scores."""


@dataclass(frozen=True)
class Setting:
    """How days depend on each other, and what scores see.

    Attributes
    ----------
    name : str
    says : str
        The same in words, for the page.
    threshold : float
        Above which there is an event; makes the base rate about 21 %.
    state : {"none", "markov", "volatility"}
    horizon : int
        Days ahead over which a label looks.
    signal_memory, noise_memory : float
        Correlation of one day with the next, of the signal and of the noise in a score, in [0, 1).
    sees_signal, sees_state : bool
        Whether scores do. One that sees neither knows nothing.
    state_memory : float
        Correlation of one day's log-volatility with the next.
    trend : float
        What the last day has more than the first, in the chance of an event and in every score.
    """

    name: str
    says: str
    threshold: float
    state: Literal["none", "markov", "volatility"] = "none"
    horizon: int = 1
    signal_memory: float = 0.0
    noise_memory: float = 0.0
    sees_signal: bool = True
    sees_state: bool = False
    state_memory: float = MEMORY
    trend: float = 0.0

    def line(self, n: int) -> Array:
        """The trend of n days, (n,)."""
        return self.trend * np.linspace(-0.5, 0.5, n)


_BLIND = {"sees_signal": False}
_SLOW = {"signal_memory": 0.95, "noise_memory": 0.95}
SETTINGS = {
    one.name: one
    for one in (
        Setting("iid", "independent days", 0.984),
        Setting("markov", "calm and turbulent states of 80 and 25 days", 0.68, "markov"),
        Setting("regime", "log-volatility; the score follows it", 1.13, "volatility",
                sees_state=True),
        Setting("regime_ar", "as regime; the noise of the score persists for days", 1.13,
                "volatility", noise_memory=0.9, sees_state=True),
        Setting("spread", "log-volatility, which the score does not see", 1.13, "volatility"),
        Setting("hard", "as spread; signal and noise persist for weeks", 1.13, "volatility",
                **_SLOW),
        Setting("over5", "any of the next 5 days; signal independent", 2.06, horizon=5),
        Setting("over5ar", "any of the next 5 days; signal and noise persist for weeks", 1.95,
                horizon=5, **_SLOW),
        Setting("markov5", "states; any of the next 5 days", 1.8, "markov", horizon=5),
        Setting("sv", "log-volatility; the score knows nothing", 1.13, "volatility", **_BLIND),
        Setting("sv5", "log-volatility, any of the next 5 days; the score knows nothing", 2.28,
                "volatility", horizon=5, **_BLIND),
        Setting("sv_slow", "as sv; log-volatility persists for months", 1.13, "volatility",
                state_memory=0.995, **_BLIND),
        Setting("trend", "independent days; events and scores, which know nothing, become more",
                1.09, trend=2.0, **_BLIND),
    )
}  # fmt: skip
"""By name."""


@dataclass(frozen=True)
class Sample:
    """Labels (n,) and scores (m, n) of consecutive days."""

    y: Labels
    scores: Array

    @property
    def blocks(self) -> Blocks:
        """Blocks of 20 consecutive days."""
        return blocks_of(len(self.y))

    def ranked(self, model: int = 0) -> SortedScores:
        """Days by falling score of a model."""
        return SortedScores.of_checked(self.y, self.scores[model])


@lru_cache(maxsize=16)
def blocks_of(n: int) -> Blocks:
    """Blocks of 20 among n consecutive days."""
    return Blocks.of(n, time=np.arange(n), length=BLOCK)


# -------------------------------------------------------------------------------- random series


def autoregressive(rng: np.random.Generator, shape: int | tuple[int, ...], memory: float) -> Array:
    """Stationary standard normals along the last axis, each `memory` times the one before plus noise.

    Examples
    --------
    >>> autoregressive(np.random.default_rng(0), (2, 5), 0.9).shape
    (2, 5)
    """
    steps = rng.standard_normal(shape)
    if not memory:
        return steps
    steps[..., 1:] *= np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], steps, axis=-1)


def turbulent(rng: np.random.Generator, n: int) -> NDArray[np.bool_]:
    """Whether each day is turbulent, (n,); states last 80 and 25 days in the mean."""
    pairs = 2 * n // (CALM + TURBULENT) + 20
    lengths = rng.geometric(np.tile([1 / CALM, 1 / TURBULENT], pairs))
    states = np.tile([False, True], pairs)
    if rng.random() < TURBULENT / (CALM + TURBULENT):
        lengths, states = lengths[1:], states[1:]
    return np.repeat(states, lengths)[:n]


def _state(rng: np.random.Generator, setting: Setting, n: int) -> Array:
    """What the state adds to the chance of an event, (n,)."""
    if setting.state == "markov":
        return np.where(turbulent(rng, n), *STATES[::-1])
    if setting.state == "volatility":
        return VOLATILITY * autoregressive(rng, n, setting.state_memory)
    return np.zeros(n)


def sample(
    rng: np.random.Generator, setting: Setting, n: int, noise: Sequence[float] = (0.8,)
) -> Sample:
    """Consecutive days with the scores of several models.

    Parameters
    ----------
    rng : numpy Generator
    setting : Setting
    n : int
        Days.
    noise : sequence of m float
        Standard deviation of the noise in the score of each model; equal ones are equally good.
    """
    days = n + setting.horizon - 1
    state, signal = _state(rng, setting, days), autoregressive(rng, days, setting.signal_memory)
    line = setting.line(days)
    event = 0.7 * signal + state + line + rng.standard_normal(days) > setting.threshold
    ahead = [slice(k, k + n) for k in range(setting.horizon)]
    y = np.logical_or.reduce([event[some] for some in ahead]).astype(np.uint8)
    seen = line[:n].copy()
    if setting.sees_signal:
        seen += sum(signal[some] for some in ahead) / (2 if setting.horizon > 1 else 1)
    if setting.sees_state:
        seen += state[:n] / VOLATILITY
    own = autoregressive(rng, (len(noise), n), setting.noise_memory)
    return Sample(y, seen + np.asarray(noise)[:, None] * own)


# ------------------------------------------------------------------------------- planted skill


@lru_cache(maxsize=64)
def lead_for(precision: float, share: float, base_rate: float = BASE_RATE) -> float:
    """How far positives must score above negatives for a precision of the highest scores.

    Scores are standard normal within both classes; the highest `share` of them are alarms.

    Examples
    --------
    >>> abs(lead_for(0.21, 0.01)) < 1e-6, lead_for(0.6, 0.01) > 0.6
    (True, True)
    """

    def at(lead: float) -> float:
        def raised(cut: float) -> float:
            return base_rate * norm.sf(cut - lead) + (1 - base_rate) * norm.sf(cut) - share

        cut = brentq(raised, -6, 12)
        return base_rate * norm.sf(cut - lead) / share - precision

    return float(brentq(at, -2, 8))


def planted(
    rng: np.random.Generator, setting: Setting, n: int, precision: float | None, *,
    memory: float, models: int = 1, alarms: int = 30,
) -> Sample:  # fmt: skip
    """Days of a setting with scores that know exactly as much as a precision at top k says.

    Scores are autoregressive noise, higher by the same amount on all positive days.

    Parameters
    ----------
    rng : numpy Generator
    setting : Setting
        Only its labels count.
    n : int
    precision : float, optional
        True precision of the highest `alarms` scores; none know anything without it.
    memory : float
        Correlation of the noise of one day with the next.
    models, alarms : int
    """
    y = sample(rng, setting, n).y
    lead = 0.0 if precision is None else lead_for(precision, alarms / n)
    return Sample(y, lead * y + setting.line(n) + autoregressive(rng, (models, n), memory))


# -------------------------------------------------------------------------------------- truths


@dataclass(frozen=True)
class Truth:
    """What statistics of each model estimate: base rate, and (m,) each."""

    base_rate: float
    auc: Array
    average_precision: Array


@lru_cache(maxsize=64)
def truth_at_large(setting: Setting, noise: tuple[float, ...] = (0.8,)) -> Truth:
    """Statistics that do not depend on the number of days, from a very large sample."""
    distinct = sorted(set(noise))
    whole = sample(np.random.default_rng(90_001), setting, LARGE, distinct)
    actual = {"auc": auc_influence, "average_precision": average_precision_influence}
    values = {
        name: dict(
            zip(distinct, (f(whole.ranked(i))[0] for i in range(len(distinct))), strict=True)
        )
        for name, f in actual.items()
    }
    return Truth(
        float(whole.y.mean()),
        **{name: np.array([each[one] for one in noise]) for name, each in values.items()},
    )


@lru_cache(maxsize=128)
def truth_at_ranks(
    setting: Setting, n: int, alarms: int, noise: tuple[float, ...] = (0.8,), samples: int = 1000
) -> tuple[Array, Array]:
    """Mean precision and mean recall at a number of alarms among n days, (m,) each.

    Where a cut falls depends on the sample, so it is the mean over many of the same size; models
    with equal noise are averaged.
    """
    rng, distinct = np.random.default_rng(90_002), sorted(set(noise))
    repeats = max(1, min(5, len(noise)) // len(distinct))
    hits, recall = (np.zeros(len(distinct) * repeats) for _ in range(2))
    for _ in range(samples):
        one = sample(rng, setting, n, distinct * repeats)
        top = np.argpartition(one.scores, n - alarms, axis=1)[:, n - alarms :]
        actual = one.y[top].sum(axis=1)
        hits, recall = hits + actual, recall + actual / max(1, int(one.y.sum()))
    known = {
        value: (float(hits[i :: len(distinct)].mean()) / alarms / samples,
                float(recall[i :: len(distinct)].mean()) / samples)
        for i, value in enumerate(distinct)
    }  # fmt: skip
    precision, share = np.array([known[value] for value in noise]).T
    return precision, share
