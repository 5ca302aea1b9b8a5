"""What a task measures of a run: the facts that judging needs, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Estimands:
    """What is measured of a run, where, and how its units depend on each other.

    Attributes
    ----------
    kind : {"binary", "classes"}
        A rare event, judged by precision; or K classes, judged by macro-F1.
    headline : str
        Estimate that sorts a leaderboard, by the worse end of its interval.
    measured_on : str
        Part that results are measured on.
    chosen_on : str
        Part that picked the weights; empty if nobody knows.
    judged_on : tuple of str
        Parts that may be judged.
    sealed : tuple of str
        Those among them that are shown only to who opens them.
    confidence : float
        Of every interval, in (0, 1).
    block : int
        Consecutive times that are resampled together.
    horizon : int
        Times that a label looks ahead; labels of nearer times overlap.
    alarms : tuple of int
        Alarm budgets, ascending.
    alarm_rate_pct : float
        Share of units that may raise an alarm, percent.
    probabilities : bool
        Whether scores are log-odds; numbers that only rank have no probability of one half, and no
        calibration.
    min_rows : int
        Units that a group needs to be judged by itself.
    draws : int
        Of the bootstrap over clusters.
    majority : str
        Group that must not be degraded; the largest if empty.
    nouns : tuple of str
        What a unit and a group are called, such as text and language.
    caution : str
        What results may not claim because of how they were made; every table says it.
    """

    kind: Literal["binary", "classes"]
    headline: str
    measured_on: str
    chosen_on: str
    judged_on: tuple[str, ...]
    sealed: tuple[str, ...] = ()
    confidence: float = 0.95
    block: int = 20
    horizon: int = 0
    alarms: tuple[int, ...] = ()
    alarm_rate_pct: float = 5.0
    probabilities: bool = True
    min_rows: int = 100
    draws: int = 1000
    majority: str = ""
    nouns: tuple[str, str] = ("unit", "group")
    caution: str = ""

    @property
    def budget(self) -> int:
        """The largest alarm budget, at which precisions are compared."""
        return max(self.alarms)

    @property
    def rate_name(self) -> str:
        """The alarm rate as it stands in the names of estimates, such as ``5%``."""
        return f"{self.alarm_rate_pct:g}%"

    @property
    def measures(self) -> tuple[object, ...]:
        """What has to be equal for two runs to be compared, besides the units."""
        return (
            self.kind, self.alarms, self.alarm_rate_pct, self.confidence, self.block,
            self.min_rows, self.draws,
        )  # fmt: skip
