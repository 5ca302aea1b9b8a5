"""Scores per group, such as a language: which groups count, macro-F1 of each, summaries of all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueness.errors import at_least
from trueness.evaluation.inputs import InputError

Array = NDArray[np.float64]
Index = NDArray[np.int64]
OTHER, UNDETERMINED = "other", "und"
LOW_QUANTILE = 0.2
FEWEST_UNITS = 5
"""Units of a class below which its F1 in a slice says too little to count."""


@dataclass(frozen=True)
class Groups:
    """Which slice each unit is in.

    Attributes
    ----------
    names : tuple of str
        Groups with enough units, the largest first.
    index : (n,) int64
        Position in `slices`; all zero if there are no groups.
    pooled : dict of str to int
        Units of the groups that are too small, and of none; together they are "other".
    """

    names: tuple[str, ...]
    index: Index
    pooled: dict[str, int]

    @property
    def slices(self) -> tuple[str, ...]:
        """Names, and "other" where something is pooled."""
        return (*self.names, OTHER) if self.pooled else self.names

    @property
    def cells(self) -> int:
        """Values that `index` may have."""
        return max(1, len(self.slices))


def group_units(
    group: object | None, n: int, min_rows: int, *, undetermined: bool = False
) -> Groups:
    """Slices of n units by group; none without groups.

    Units whose group is undetermined (``"und"``) are pooled with the small groups, for they are no
    group; with `undetermined` they may be a slice of their own, as what a promise can speak of.

    Examples
    --------
    >>> result = group_units(["en", "de", "en", "de", "fr", "en"], 6, min_rows=2)
    >>> result.slices, result.index, result.pooled
    (('en', 'de', 'other'), array([0, 1, 0, 1, 2, 0]), {'fr': 1})
    >>> group_units(None, 3, min_rows=2).slices
    ()
    """
    min_rows = at_least("min_rows", min_rows, 1)
    if group is None:
        return Groups((), np.zeros(n, np.int64), {})
    every, which, count = np.unique(np.asarray(group), return_inverse=True, return_counts=True)
    ranked = sorted(zip(every.tolist(), count.tolist(), strict=True), key=lambda one: -one[1])
    never = (OTHER,) if undetermined else (OTHER, UNDETERMINED)
    own = [name for name, k in ranked if k >= min_rows and name not in never]
    place = {name: i for i, name in enumerate(own)}
    position = np.array([place.get(name, len(own)) for name in every.tolist()], np.int64)
    return Groups(tuple(own), position[which], {a: k for a, k in ranked if a not in place})


def checked_groups(
    group: object, min_rows: int, nouns: tuple[str, str] = ("unit", "group")
) -> Groups:
    """Slices of units by group, of which at least one has enough units.

    Parameters
    ----------
    group : (n,) str
    min_rows : int
    nouns : tuple of str
        What a unit and a group are called.

    Raises
    ------
    InputError
        If none has.
    """
    slices = group_units(group, len(np.asarray(group)), min_rows)
    unit, noun = nouns
    if not slices.names:
        known = {n: k for n, k in slices.pooled.items() if n not in (OTHER, UNDETERMINED)}
        if not known:
            raise InputError(f"no {unit} has a known {noun}; each needs one", "no_groups")
        name, most = next(iter(known.items()))
        raise InputError(
            f"no {noun} has {min_rows} {unit}s to be judged on; the largest, {name}, has {most}: "
            "lower evaluation.min_rows", "small_groups",
        )  # fmt: skip
    return slices


def majority_of(names: tuple[str, ...], majority: str) -> str:
    """The group that must not be degraded: the one that is named, else the largest; or none.

    Examples
    --------
    >>> majority_of(("de", "en"), ""), majority_of(("de", "en"), "en"), majority_of(("de",), "en")
    ('de', 'en', '')
    """
    if not majority:
        return names[0] if names else ""
    return majority if majority in names else ""


def checked_labels(name: str, labels: object, n_classes: int) -> Index:
    """Classes as whole numbers from 0 to K - 1, (n,), n >= 1; anything else is refused.

    Raises
    ------
    InputError
    """
    values = np.asarray(labels)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(
            f"{name} must be one whole number per unit; an array of shape {values.shape} and type "
            f"{values.dtype} came", "labels",
        )  # fmt: skip
    if not len(values):
        raise InputError("no units; at least one is needed", "no_units")
    if values.min() < 0 or values.max() >= n_classes:
        raise InputError(
            f"{name} run from {values.min()} to {values.max()}; with {n_classes} classes 0 to "
            f"{n_classes - 1} are possible", "labels",
        )  # fmt: skip
    return values.astype(np.int64)


def check_lengths(**arrays: object) -> None:
    """Refuse arrays that do not all have one entry per unit; None is no array.

    Raises
    ------
    InputError
    """
    shapes = {name: np.asarray(a).shape for name, a in arrays.items() if a is not None}
    if len({shape[:1] for shape in shapes.values()}) != 1:
        note = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(
            f"one entry per unit is needed in every array; shapes are {note}", "lengths"
        )


def class_f1(counts: Array) -> Array:
    """F1 of each class, ``2 hits / (units + predictions)``; 0 where there are neither.

    Parameters
    ----------
    counts : (3, ...)
        Hits, units and predictions.
    """
    hits, units, predictions = counts
    both = units + predictions
    return np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)


def summaries(
    names: tuple[str, ...], scores: Array, overall: Array, majority: str = ""
) -> dict[str, Array]:
    """Scores of a whole model from those of its groups.

    Parameters
    ----------
    names : tuple of str
        The G groups that take part; the pooled rest is none of them.
    scores : (G, draws)
        Macro-F1 of the groups.
    overall : (draws,)
    majority : str
        Group behind ``majority_group``.

    Returns
    -------
    dict of str to (draws,)
        ``macro_f1`` over all units, ``mean_group``, ``worst_group``, ``low_group`` (the 20 %
        quantile) and ``majority_group``; the last four only where there are such groups.
    """
    result = {"macro_f1": overall}
    if names:
        result["mean_group"] = scores.mean(axis=0)
        result["worst_group"] = scores.min(axis=0)
        result["low_group"] = low_group(scores)
    if majority in names:
        result["majority_group"] = scores[names.index(majority)]
    return result


def low_group(scores: Array) -> Array:
    """The 20 % quantile over groups, (G, draws) to (draws,)."""
    return np.asarray(np.quantile(scores, LOW_QUANTILE, axis=0))
