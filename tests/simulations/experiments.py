"""What a promise is, and how often it is counted to hold.

An experiment draws samples of a case and judges several promises on each of them. A repetition is
seeded by its number, so that experiments go on where they ended, and the same number gives the
same sample whatever ran before it.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["coverage", "error", "power"]
Outcome: TypeAlias = bool | np.bool_ | list[bool] | NDArray[np.bool_] | None
"""Whether it held, of one model or of several; None or empty where nothing was promised."""
Judge: TypeAlias = Callable[["Case", np.random.Generator], Mapping[str, Outcome]]

SEED = 2014
SLACK = {"coverage": (0.92 - 1) / (0.95 - 1), "error": 0.06 / 0.05}
"""How many times the promised share of misses is still taken for the promised one."""


@dataclass(frozen=True)
class Promise:
    """Something that is to happen in a share of all samples.

    Attributes
    ----------
    name : str
        Unique over all experiments.
    nominal : float
        The share, in (0, 1): at least that for coverage, at most that for errors. For power, what
        is aimed at; nothing is promised.
    kind : {"coverage", "error", "power"}
    """

    name: str
    nominal: float = 0.95
    kind: Kind = "coverage"

    @property
    def limit(self) -> float:
        """Share beyond which the promise does not hold: 92 % where 95 % is promised, 6 % at 5 %."""
        if self.kind == "coverage":
            return 1 - SLACK["coverage"] * (1 - self.nominal)
        return self.nominal * (SLACK["error"] if self.kind == "error" else 1)

    def broken_by(self, share: float) -> bool:
        """Whether a share lies beyond the limit.

        Examples
        --------
        >>> Promise("interval").broken_by(0.91), Promise("size", 0.05, "error").broken_by(0.055)
        (True, False)
        """
        return share > self.limit if self.kind == "error" else share < self.limit


@dataclass(frozen=True)
class Case:
    """What samples are drawn from.

    Attributes
    ----------
    setting : str
        Name of a setting, of `generators.SETTINGS` unless the experiment has its own.
    n : int
        Days or texts.
    variant : str
        What else is special to it.
    """

    setting: str
    n: int
    variant: str = ""

    @property
    def name(self) -> str:
        """Unique in its experiment."""
        return f"{self.setting}, {self.variant}" if self.variant else self.setting


@dataclass(frozen=True)
class Tally:
    """How often a promise held over some repetitions.

    Attributes
    ----------
    repetitions : int
        Those in which something was promised.
    total, squares : float
        Sums over repetitions of the share that held, and of its square.
    hits, of : int
        Promises that held, of those that were made.
    """

    repetitions: int = 0
    total: float = 0.0
    squares: float = 0.0
    hits: int = 0
    of: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.repetitions + other.repetitions, self.total + other.total,
            self.squares + other.squares, self.hits + other.hits, self.of + other.of,
        )  # fmt: skip

    @classmethod
    def of_outcome(cls, outcome: Outcome) -> "Tally":
        """Of one repetition.

        Examples
        --------
        >>> Tally.of_outcome([True, False]).share, Tally.of_outcome(None).repetitions
        (0.5, 0)
        """
        held = np.atleast_1d(np.array([] if outcome is None else outcome, bool))
        if not len(held):
            return cls()
        share = float(held.mean())
        return cls(1, share, share**2, int(held.sum()), len(held))

    @property
    def share(self) -> float:
        """Share of the promises that held; NaN without any."""
        return self.total / self.repetitions if self.repetitions else float("nan")

    @property
    def error(self) -> float:
        """Standard error of the share over repetitions, never 0."""
        r = self.repetitions
        if r < 2:
            return float("nan")
        spread = max(0.0, self.squares / r - self.share**2) / (r - 1)
        smoothed = (self.hits + 1) / (self.of + 2)
        return float(np.sqrt(max(spread, smoothed * (1 - smoothed) / max(self.of, r))))


@dataclass(frozen=True)
class Experiment:
    """Promises that are judged on the same samples.

    Attributes
    ----------
    name : str
    title : str
        Heads its part of the page.
    promises : tuple of Promise
    cases : tuple of Case
    repetitions : int
        Of each case, for the page.
    judge : function of a case and a generator
        Draws one sample and says what held: an outcome by the name of each promise.
    """

    name: str
    title: str
    promises: tuple[Promise, ...]
    cases: tuple[Case, ...]
    repetitions: int
    judge: Judge

    def simulate(
        self, case: Case, repetitions: int, first: int = 0, seed: int = SEED
    ) -> dict[str, Tally]:
        """Tallies by promise over repetitions from number `first` on."""
        tallies = {one.name: Tally() for one in self.promises}
        own = zlib.crc32(f"{self.name}/{case.name}/{case.n}".encode())
        for number in range(first, first + repetitions):
            outcomes = self.judge(case, np.random.default_rng([seed, own, number]))
            for name, outcome in outcomes.items():
                tallies[name] += Tally.of_outcome(outcome)
        return tallies


def cases(settings: tuple[str, ...], days: tuple[int, ...], variant: str = "") -> tuple[Case, ...]:
    """Every setting with every number of days."""
    return tuple(Case(setting, n, variant) for setting in settings for n in days)
