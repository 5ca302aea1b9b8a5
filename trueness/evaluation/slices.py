"""What a classifier is worth in each group and each class, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueness.evaluation.blocks import DRAWS, FEWEST_BLOCKS, Blocks
from trueness.evaluation.by_group import (
    Groups,
    check_lengths,
    checked_labels,
    group_units,
    low_group,
)
from trueness.evaluation.class_draws import (
    ClassDraws,
    Sizes,
    atom_of,
    independent,
    macro_f1_draws,
    sizes_of,
)
from trueness.evaluation.inputs import InputError
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.macro_f1 import Cells
from trueness.evaluation.resampling import Resampled
from trueness.evaluation.simultaneous_groups import simultaneous_band
from trueness.evaluation.slice_measures import (
    CALIBRATION,
    ClassScores,
    Units,
    calibration_draws,
    class_scores,
    top_k_accuracy,
)

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Resampling: TypeAlias = Literal["clusters", "blocks", "units"]
OVERALL = "overall"


@dataclass(frozen=True)
class Slice:
    """Some of the units, such as those of one group.

    Attributes
    ----------
    rows, blocks : int
        Units, and what stands for itself among them: clusters, blocks of times, or units.
    present : int
        Classes that occur among its units.
    counted : int
        Classes with at least five units of at least two clusters; those that occur where fewer than
        two classes have so many, and then there is no interval.
    macro_f1 : Estimate
        Mean of F1 over the classes that count.
    top_k : dict of str to Estimate
        ``top_1`` (accuracy), ``top_3`` and ``top_5`` as far as there are more classes: how often
        the true class is among the first k.
    calibration : dict of str to Estimate
        ``calibration_error`` of the largest probability in ten bins of equal mass, less the bias
        that the bootstrap shows, ``brier``
        (squared error summed over the classes, in [0, 2]) and ``log_loss`` (nats); empty where
        scores are no logits.
    by_class : dict of str to ClassScores
    confusion : list of list of int
        Units of a class (row) that were predicted as one (column), (K, K).
    """

    rows: int
    blocks: int
    present: int
    counted: int
    macro_f1: Estimate
    top_k: dict[str, Estimate]
    calibration: dict[str, Estimate]
    by_class: dict[str, ClassScores]
    confusion: list[list[int]]

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from plain types."""
        read = Estimate.from_dict
        made = {
            "macro_f1": read(content["macro_f1"]),
            "top_k": {n: read(e) for n, e in content["top_k"].items()},
            "calibration": {n: read(e) for n, e in content["calibration"].items()},
            "by_class": {
                name: ClassScores(**{what: read(e) for what, e in one.items()})
                for name, one in content["by_class"].items()
            },
        }
        return cls(**{f.name: made.get(f.name, content[f.name]) for f in fields(cls)})


@dataclass(frozen=True)
class Slices:
    """What a model is worth, overall and per group.

    Attributes
    ----------
    classes : tuple of str
    overall : Slice
    groups : dict of str to Slice
        Those with enough units, the largest first, then "other" where there is a rest.
    pooled : dict of str to int
        Units of each group in "other".
    judged : tuple of str
        Groups that have enough units for an interval of macro-F1, and take part in means and in the
        worst.
    scores : dict of str to Estimate
        ``macro_f1`` over all units; ``mean_group``, ``worst_group``, ``low_group`` (20 % quantile)
        over these; ``majority_group``. None of the last four without such a group.
    majority : str
        Group behind ``majority_group``; empty without one.
    worst : str
        Group behind ``worst_group``; empty without one.
    worst_share : float or None
        Share of the draws in which it is the worst; the rest show others.
    resampled : {"clusters", "blocks", "units"}
        What was drawn.
    min_rows, confidence, draws, seed
        As given.
    """

    classes: tuple[str, ...]
    overall: Slice
    groups: dict[str, Slice]
    pooled: dict[str, int]
    judged: tuple[str, ...]
    scores: dict[str, Estimate]
    majority: str
    worst: str
    worst_share: float | None
    resampled: Resampling
    min_rows: int
    confidence: float
    draws: int
    seed: int

    @property
    def left_out(self) -> int:
        """Classes of groups that occur there with too few units to count."""
        return sum(one.present - one.counted for one in self.own.values())

    @property
    def own(self) -> dict[str, Slice]:
        """Groups with enough units, the pooled rest left out."""
        rest = bool(self.pooled)
        return dict(list(self.groups.items())[: len(self.groups) - rest])

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**asdict(self), "classes": list(self.classes), "judged": list(self.judged)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        made = {
            "classes": tuple(content["classes"]),
            "judged": tuple(content["judged"]),
            "overall": Slice.from_dict(content["overall"]),
            "groups": {n: Slice.from_dict(s) for n, s in content["groups"].items()},
            "scores": {n: Estimate.from_dict(e) for n, e in content["scores"].items()},
        }
        return cls(**{f.name: made.get(f.name, content[f.name]) for f in fields(cls)})


def measure_slices(
    y: object, logits: object, group: object | None, blocks: Blocks | None = None, *,
    classes: Sequence[str], majority: str = "", probabilities: bool = True, min_rows: int = 100,
    confidence: float = 0.95, draws: int = DRAWS, seed: int = 0, chosen_on: str = "",
    measured_on: str = "",
) -> Slices:  # fmt: skip
    """Everything about one model on one part, overall and per group.

    Precision, recall and F1 of a class have exact intervals that know which units depend on each
    other, see `clustered_shares`; F1 is ``2 J / (1 + J)`` with J the share of hits among the units
    that are of the class or predicted as it. Macro-F1 is the mean over the classes that have at
    least five units in the slice, with Student's interval on the scale of log-odds from the
    jackknife over `blocks`, see `macro_f1_jackknife`. The worst and the low group are ends of
    intervals that hold for all groups at once. Calibration has a bootstrap over `blocks`, see
    `basic_interval` and `basic_length`. A slice with fewer than five blocks has none of these.

    Parameters
    ----------
    y : (n,) int
        Classes, 0 to K - 1.
    logits : (n, K)
        The prediction is the class of the largest; the first of equal ones.
    group : (n,) str or None
        None if there are no groups.
    blocks : Blocks, optional
        What is resampled together; each unit by itself without.
    classes : sequence of K str
    majority : str
        Group that must not be degraded; the largest if empty.
    probabilities : bool
        Whether `logits` are such; numbers that only rank have no calibration.
    min_rows : int
        Groups with fewer units are pooled as "other", "und" always.
    confidence : float
        In (0, 1).
    draws, seed : int
    chosen_on, measured_on : str
        Parts of the data, for the estimates.

    Returns
    -------
    Slices

    Raises
    ------
    InputError
        If shapes, labels or logits cannot be used.

    Examples
    --------
    >>> y, language = np.tile([0, 1], 100), np.repeat(["en", "de"], 100)
    >>> logits = np.random.default_rng(0).normal(size=(200, 2)) + 2 * np.eye(2)[y]
    >>> result = measure_slices(y, logits, language, classes=("book", "shoe"))
    >>> print(result.groups["de"].by_class["shoe"].precision)
    96 % (86–100) · 48/50
    """
    classes = tuple(classes)
    labels, scores = checked_logits(y, logits, len(classes))
    blocks = Blocks.of(len(labels)) if blocks is None else blocks
    check_lengths(y=y, logits=logits, group=group, blocks=atom_of(blocks))
    groups = group_units(group, len(labels), min_rows)
    units = Units(labels, scores, independent(blocks))
    f1 = _MacroF1.of(units, groups, blocks, majority, draws)
    known = calibration_draws(units, groups, blocks, draws, seed) if probabilities else ({}, {})
    make = partial(Estimate, chosen_on=chosen_on, measured_on=measured_on)

    def measured(name: str, place: int) -> Slice:
        some = units if name == OVERALL else units.only(groups.index == place)
        few = blocks.few or some.blocks < FEWEST_BLOCKS
        calibration = {}
        for what, whole in known[0].items():
            value, drawn = float(whole[place, 0]), known[1][what][place]
            ends = (value, None, None) if few else CALIBRATION[what].estimate(
                value, drawn, confidence
            )  # fmt: skip
            calibration[what] = make(*ends, len(some.y))
        confusion = some.confusion
        return Slice(
            len(some.y), some.blocks, int((confusion.sum(axis=1) > 0).sum()),
            int(f1.cells.counted[place].sum()), _made(f1.slice(place, confidence), make),
            top_k_accuracy(some, confidence, make), calibration,
            class_scores(some, classes, confidence, make), confusion.tolist(),
        )  # fmt: skip

    parts = {name: measured(name, place) for place, name in enumerate(groups.slices)}
    worst, share = f1.worst()
    return Slices(
        classes, measured(OVERALL, -1), parts, groups.pooled, f1.evaluated,
        {n: _made(e, make) for n, e in f1.summaries(confidence).items()}, f1.sizes.majority,
        worst, share, _resampling(blocks), min_rows, confidence, draws, seed,
    )  # fmt: skip


def _made(estimate: Estimate, make: partial[Estimate]) -> Estimate:
    return make(estimate.value, estimate.low, estimate.high, estimate.n)


def checked_logits(y: object, logits: object, n_classes: int) -> tuple[Index, Array]:
    """Classes (n,) and finite logits (n, K) as float64; anything else is refused.

    Raises
    ------
    InputError
    """
    labels, values = checked_labels("y", y, n_classes), np.asarray(logits)
    if values.shape != (len(labels), n_classes) or values.dtype.kind not in "fiu":
        raise InputError(
            f"logits of shape {values.shape} and type {values.dtype}; real numbers of shape "
            f"({len(labels)}, {n_classes}) are needed", "logits",
        )  # fmt: skip
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        wrong = int((~np.isfinite(values)).any(axis=1).sum())
        raise InputError(f"{wrong} units have logits that are not finite", "not_finite")
    return labels, values


def _resampling(blocks: Blocks) -> Resampling:
    if blocks.time is not None:
        return "blocks"
    return "units" if blocks.cluster is None else "clusters"


@dataclass(frozen=True)
class _MacroF1:
    """Macro-F1 of each slice, then of all units, as it is and in draws, (S + 1, 1 + draws)."""

    scores: Array
    cells: Cells
    sizes: Sizes

    @classmethod
    def of(
        cls, units: Units, groups: Groups, blocks: Blocks, majority: str, draws: int
    ) -> _MacroF1:
        """Of one model."""
        cells = Cells.of(units.y, groups, blocks, units.logits.shape[1])
        (scores,) = macro_f1_draws(
            units.y, {"": units.predicted}, groups, blocks, cells, draws=draws, paired=False
        ).values()
        return cls(scores, cells, sizes_of(groups, blocks, cells, majority))

    def slice(self, place: int, confidence: float) -> Estimate:
        """Macro-F1 of one slice with Student's interval."""
        value, sizes = self.scores[place], self.sizes
        drawn = Resampled(float(value[0]), value[1:], sizes.rows[place], sizes.freedom[place])
        return drawn.proportion(confidence)

    def summaries(self, confidence: float) -> dict[str, Estimate]:
        """Summaries over the groups that take part."""
        drawn = ClassDraws.of(self.scores, self.sizes).summaries
        result = {n: one.proportion(confidence) for n, one in drawn.items()}
        some = self.sizes.evaluated
        if not some:
            return result
        if len(some) == 1:  # then all of them are that of the group
            return {n: e if n == "macro_f1" else self.slice(some[0], confidence)
                    for n, e in result.items()}  # fmt: skip
        freedom = np.array([self.sizes.freedom[i] for i in some])
        band = simultaneous_band(self.scores[some], freedom, confidence)
        for name, of in (("worst_group", np.min), ("low_group", low_group)):
            low, high = (float(of(end)) for end in band)
            result[name] = replace(result[name], low=low, high=high)
        return result

    @property
    def evaluated(self) -> tuple[str, ...]:
        """Groups that take part in means and in the worst."""
        return tuple(self.sizes.names[i] for i in self.sizes.evaluated)

    def worst(self) -> tuple[str, float | None]:
        """The group with the smallest score, and how often it has that in the draws."""
        some = self.sizes.evaluated
        if not some:
            return "", None
        lowest = self.scores[some].argmin(axis=0)
        return self.sizes.names[some[lowest[0]]], float((lowest[1:] == lowest[0]).mean())
