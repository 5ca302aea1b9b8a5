"""How many texts show a difference of macro-F1, before any model is there.

The spread of macro-F1 in samples of a size is drawn, not looked up: classes with so many texts,
each recognised with the same probability, wrong ones spread over the other classes. From it follow
smallest differences and sample sizes by the usual normal approximation, (z_level + z_power)^2
spread^2 / difference^2: Chow, Shao and Wang, "Sample Size Calculations in Clinical Research"
(2008), chapter 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from trueness.errors import at_least
from trueness.evaluation.inputs import InputError, between
from trueness.evaluation.power import MOST

DRAWS = 1500
MOST_DRAWN = 3_000
"""Texts that are drawn; of more, spreads are scaled by the square root."""
FEWEST_PER_CLASS = 5
"""Texts with which a class counts in macro-F1."""
WITHIN = 0.5
"""Correlation of the hits of texts of one cluster."""


@dataclass(frozen=True)
class ClassWorld:
    """What is supposed of texts and of two methods.

    Attributes
    ----------
    classes : int
        Equally frequent.
    macro_f1 : float
        Of the weaker method, in (0, 1).
    correlation : float
        Of the hits of both methods on one text, behind a normal distribution, in [0, 1).
    cluster : float
        Texts of one cluster, such as offers of one product; 1 or more.

    Raises
    ------
    TruenessError
        For a number outside its range.
    """

    classes: int
    macro_f1: float = 0.8
    correlation: float = 0.5
    cluster: float = 1.0

    def __post_init__(self) -> None:
        at_least("--classes", self.classes, 2, MOST)
        if not 1 <= self.cluster <= MOST:
            raise InputError(f"--cluster-size {self.cluster:g}: at least 1 is needed", "range")
        between("--macro-f1", self.macro_f1)
        if self.correlation:
            between("--correlation", self.correlation)

    @property
    def fewest(self) -> int:
        """Texts with which every class counts."""
        return FEWEST_PER_CLASS * self.classes

    @property
    def inflated(self) -> float:
        """Texts that stand for one independent one; Kish, "Survey Sampling" (1965)."""
        return 1 + (self.cluster - 1) * WITHIN


@lru_cache(maxsize=256)
def spreads(world: ClassWorld, texts: int, lift: float) -> tuple[float, float]:
    """Standard deviations of macro-F1, and of the difference of two methods on the same texts.

    Parameters
    ----------
    world : ClassWorld
    texts : int
        Of the language; at least five of each class.
    lift : float
        Macro-F1 of the better method minus that of the other one.

    Examples
    --------
    >>> one, difference = spreads(ClassWorld(10), 1000, 0.03)
    >>> 0.010 < difference < one * 2**0.5 < 0.020
    True
    """
    n = min(at_least("--texts", texts, world.fewest, MOST), max(MOST_DRAWN, world.fewest))
    rng = np.random.default_rng(0)
    y = np.arange(n) % world.classes
    right = np.array([world.macro_f1, min(world.macro_f1 + lift, 0.999)])
    scores = np.array([_drawn(world, y, right, rng) for _ in range(DRAWS)])
    scale = np.sqrt(world.inflated * n / texts)
    apart = scores[:, 1] - scores[:, 0]
    return float(scores[:, 0].std() * scale), float(apart.std() * scale)


def _drawn(
    world: ClassWorld, y: NDArray[np.int64], right: NDArray[np.float64], rng: np.random.Generator
) -> list[float]:
    """Macro-F1 of both methods in one sample."""
    n, k = len(y), world.classes
    shared, own = rng.normal(size=n), rng.normal(size=(2, n))
    latent = np.sqrt(world.correlation) * shared + np.sqrt(1 - world.correlation) * own
    hit = latent < ndtri(right)[:, None]
    result = []
    for one in hit:
        said = np.where(one, y, (y + rng.integers(1, k, size=n)) % k)
        hits, counts = np.bincount(y[one], minlength=k), np.bincount(y, minlength=k)
        result.append(float(np.mean(2 * hits / (counts + np.bincount(said, minlength=k)))))
    return result


@dataclass(frozen=True)
class ClassPower:
    """What so many texts of a language show; see `class_power`.

    Attributes
    ----------
    error : float
        Standard error of one macro-F1.
    paired, unpaired : float
        Smallest difference of two methods on the same texts, and of one method in two languages of
        so many texts each.
    """

    error: float
    paired: float
    unpaired: float


def class_power(
    world: ClassWorld, texts: int, *, level: float = 0.05, power: float = 0.8
) -> ClassPower:
    """Smallest differences of macro-F1 that so many texts show.

    Parameters
    ----------
    world : ClassWorld
    texts : int
    level : float
        Two-sided error of the comparison.
    power : float

    Examples
    --------
    >>> result = class_power(ClassWorld(10), 1000)
    >>> 0.02 < result.paired < result.unpaired < 0.06
    True
    """
    needed, lift = _deviations(level, power), 0.05
    for _ in range(3):  # the spread hardly depends on the lift
        one, difference = spreads(world, texts, lift)
        lift = min(needed * difference, 1 - world.macro_f1)
    return ClassPower(one, needed * difference, needed * one * float(np.sqrt(2)))


def texts_needed(
    world: ClassWorld, lift: float, *, level: float = 0.05, power: float = 0.8
) -> tuple[int, int]:
    """Texts of a language with which a lift is found: of two methods; and in each of two languages.

    At least as many as let every class count.

    Examples
    --------
    >>> both, each = texts_needed(ClassWorld(10), 0.03)
    >>> 500 < both < each < 4000
    True
    """
    between("--lift", lift)
    needed, result = _deviations(level, power), []
    for place in (1, 0):
        n = max(world.fewest, 1_000)
        for _ in range(2):  # few texts of a class spread a little more than the root says
            sides = spreads(world, n, lift if place else 0.0)
            spread = sides[1] if place else sides[0] * np.sqrt(2)
            n = max(world.fewest, int(np.ceil(n * (needed * spread / lift) ** 2)))
        result.append(min(n, MOST))
    return result[0], result[1]


def _deviations(level: float, power: float) -> float:
    """Standard errors between no difference and one that is found with this power."""
    return float(-ndtri(between("level", level) / 2) + ndtri(between("--power", power)))


def adjusted(level: float, comparisons: int) -> float:
    """Error of each of several comparisons; Šidák, "Rectangular Confidence Regions" (1967)."""
    return 1 - (1 - level) ** (1 / comparisons)
