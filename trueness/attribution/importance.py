"""Which inputs a model rests on: what it loses when they are permuted, out of fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from trueness import interrupts
from trueness.attribution.groups import By, Group, alike, alike_note
from trueness.attribution.models import FoldModel, Models
from trueness.callback import Callback
from trueness.document import Document
from trueness.errors import TruenessError, at_least
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.joint_draws import auc_draws, precision_draws
from trueness.evaluation.permuted import ScoreDrop, block_permutation, score_drops
from trueness.evaluation.selection import Contrast
from trueness.judge.judgement import SCHEMA
from trueness.predictions import Predictions

Array = NDArray[np.float64]
Index = NDArray[np.int64]
MOST_REPEATS = 1000
GRID = 10
"""Quantiles of a column at which it is held."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a model.

    Attributes
    ----------
    by : {"family", "column"} or None
        None: families of bars, columns of tables.
    groups : tuple of str
        Only these; all without any.
    repeats : int
        Permutations that are averaged.
    seed : int
        Of the permutations.
    partial : int
        Groups whose partial dependence is computed.
    """

    by: By | None = None
    groups: tuple[str, ...] = ()
    repeats: int = 10
    seed: int = 0
    partial: int = 0

    def __post_init__(self) -> None:
        at_least("repeats", self.repeats, 1, MOST_REPEATS)
        at_least("seed", self.seed, 0)
        at_least("partial", self.partial, 0)

    @property
    def question(self) -> str:
        """For the ledger."""
        return " ".join([self.by or "", *self.groups, f"x{self.repeats} seed {self.seed}"]).strip()


@dataclass(frozen=True)
class Units:
    """Units that are asked about.

    Attributes
    ----------
    part : Predictions
        In order; its scores are those that the models give.
    block, alarms, confidence
        As in `Estimands`; `alarms` may be 0 where no alarm was raised.
    within : bool
        Whether inputs stay in their series when they are permuted.
    """

    part: Predictions
    block: int
    alarms: int
    confidence: float
    within: bool

    @property
    def length(self) -> int:
        """Times of a permuted block; units without times are permuted freely."""
        return 1 if self.part.time is None else self.block


@dataclass(frozen=True)
class GroupImportance:
    """One group of inputs.

    Attributes
    ----------
    name : str
    columns : tuple of str
    drops : dict of str to Contrast
        ``precision``, ``auc``, ``average_precision``: as it is minus permuted.
    spread : dict of str to float
        Standard deviation over the repeats.
    contribution : float or None
        Mean absolute TreeSHAP of the group, in logits; None for models that are no such trees.
    """

    name: str
    columns: tuple[str, ...]
    drops: dict[str, Contrast]
    spread: dict[str, float]
    contribution: float | None

    def matters(self, measure: str) -> bool:
        """Whether its drop lies above 0 after correction for the other groups."""
        return measure in self.drops and self.drops[measure].verdict == "better"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        spread = {name: value if np.isfinite(value) else None
                  for name, value in self.spread.items()}  # fmt: skip
        return {
            "name": self.name, "columns": list(self.columns), "contribution": self.contribution,
            "drops": {name: one.to_dict() for name, one in self.drops.items()},
            "matters": [name for name in self.drops if self.matters(name)], "spread": spread,
        }  # fmt: skip


@dataclass(frozen=True)
class PartialDependence:
    """Mean probability over all units with one column the same for all of them.

    Friedman, "Greedy Function Approximation: A Gradient Boosting Machine" (2001).

    Attributes
    ----------
    group, column : str
    levels, values, probability : tuple of float
        Quantiles of the column, their values (means over folds), and what the models say there.
    """

    group: str
    column: str
    levels: tuple[float, ...]
    values: tuple[float, ...]
    probability: tuple[float, ...]

    @property
    def range(self) -> float:
        """Largest minus smallest probability."""
        return max(self.probability) - min(self.probability)

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {**vars(self), "range": self.range}


@dataclass(frozen=True)
class Importance:
    """Groups of inputs by what the model loses without them, the largest loss first.

    Attributes
    ----------
    name, key, label : str
        Of the run or bundle.
    part : str
        Which units.
    by : str
    n, positives, alarms, block, repeats, seed : int
        `alarms` is the budget at which precision is compared, `block` the times that are permuted
        together.
    confidence : float
    measures : dict of str to Estimate
        Of the model as it is.
    groups : list of GroupImportance
    partial : list of PartialDependence
    notes : tuple of str
    noun : str
        What a unit is called.
    """

    name: str
    key: str
    label: str
    part: str
    by: str
    n: int
    positives: int
    alarms: int
    block: int
    repeats: int
    seed: int
    confidence: float
    measures: dict[str, Estimate]
    groups: list[GroupImportance]
    partial: list[PartialDependence]
    notes: tuple[str, ...] = ()
    noun: str = "unit"

    @property
    def matter(self) -> dict[str, list[str]]:
        """Measure -> groups whose drop remains after correction."""
        return {m: [g.name for g in self.groups if g.matters(m)] for m in self.measures}

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        return {
            "schema": SCHEMA, "kind": "importance", **vars(self),
            "measures": {name: one.to_dict() for name, one in self.measures.items()},
            "groups": [one.to_dict() for one in self.groups],
            "partial": [one.to_dict() for one in self.partial],
            "notes": list(self.notes), "matter": self.matter,
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per group and measure."""
        rows = [
            {
                "group": one.name, "columns": " ".join(one.columns), "measure": name,
                "drop": drop.pointwise.value, "low": drop.pointwise.low,
                "high": drop.pointwise.high, "simultaneous_low": drop.simultaneous.low,
                "simultaneous_high": drop.simultaneous.high, "p": drop.p,
                "matters": one.matters(name), "spread": one.spread[name],
                "contribution": one.contribution,
            }
            for one in self.groups
            for name, drop in one.drops.items()
        ]  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    def document(self) -> Document:
        """What to show."""
        from trueness.attribution.document import document_of

        return document_of(self)


# ----------------------------------------------------------------------------------- the question


def importance_of(
    models: Models, units: Units, groups: Sequence[Group], asked: Asked,
    callback: Callback, **about: Any,  # noqa: ANN401 - name, key, label, part, notes, noun
) -> Importance:  # fmt: skip
    """Permute group after group, and compare what the models say with what they said.

    Parameters
    ----------
    models : Models
    units : Units
    groups : sequence of Group
    asked : Asked
    callback : Callback
    about
        Further fields of `Importance`.

    Raises
    ------
    TruenessError
        With code ``one_class`` for units of one class.
    """
    part = units.part
    k, n = int(part.y.sum()), len(part)
    if k in (0, n):
        raise TruenessError(f"{n} units, {k} of them positive; both classes are needed to compare "
                            "scores", "one_class")  # fmt: skip
    blocks, alarms = part.blocks(units.block), min(units.alarms, n)
    donors = donors_of(models, units, asked)
    callback.on_stage_start("permuting", len(groups) * asked.repeats)
    permuted = (_permuted(models, group, donors, callback) for group in groups)
    drops = score_drops(part.y, part.score, permuted, blocks=blocks, alarms=alarms,
                        confidence=units.confidence)  # fmt: skip
    contributions = _contributions(models, groups)
    every = zip(groups, drops, contributions, strict=True)
    result = sorted((_group(*one) for one in every), key=_by_loss)
    wanted = [next(g for g in groups if g.name == one.name) for one in result[: asked.partial]]
    fold, pairs = models.fold_models()[0], list[tuple[str, str, float]]()
    if len(models.members) == 1:
        pairs = alike(groups, fold.features, fold.latest_values())
    notes = (*about.pop("notes", ()), *_inside_folds(models, units), *alike_note(pairs))
    return Importance(
        n=n, positives=k, alarms=alarms, block=units.length, repeats=asked.repeats,
        seed=asked.seed, confidence=units.confidence, measures=_as_it_is(units, alarms),
        groups=result, partial=[_partial(models, one, callback) for one in wanted],
        notes=notes, **about,
    )  # fmt: skip


def _inside_folds(models: Models, units: Units) -> list[str]:
    """What permuting inside folds of time leaves in, and folds of too few blocks."""
    time, folds = units.part.time, models.units_of_folds()
    if time is None or len(folds) < 2:
        return []
    blocks = [-(-len(np.unique(time[rows])) // units.length) for rows in folds.values()]
    few, many = min(blocks), max(blocks)
    each = str(few) if few == many else f"{few} to {many}"
    return [
        f"inputs are permuted inside each of the {len(folds)} folds, of {each} blocks: what they "
        "tell about differences between folds is left in"
    ]


def _group(group: Group, drop: ScoreDrop, contribution: float | None) -> GroupImportance:
    return GroupImportance(group.name, group.columns, drop.drops, drop.spread, contribution)


def _by_loss(one: GroupImportance) -> tuple[float, ...]:
    """Those that matter first; among them the larger loss of precision, then of AUC."""
    first = [m for m in ("precision", "auc") if m in one.drops]
    losses = [one.drops[m].pointwise.value for m in first]
    shown = [0.0 if one.matters(m) else 1.0 for m in first]
    return (*shown, *(-(loss if loss is not None else -np.inf) for loss in losses))


def donors_of(models: Models, units: Units, asked: Asked) -> list[dict[int, Index]]:
    """For each repeat: fold -> whose inputs each of its units gets; the same for every group."""
    part, result = units.part, []
    for repeat in range(asked.repeats):
        each = {}
        for fold, rows in models.units_of_folds().items():
            each[fold] = block_permutation(
                np.random.default_rng([asked.seed, repeat, fold]), len(rows),
                time=None if part.time is None else part.time[rows],
                series=None if part.group is None else part.group[rows],
                length=units.length, within=units.within,
            )  # fmt: skip
        result.append(each)
    return result


def _permuted(
    models: Models, group: Group, donors: Sequence[dict[int, Index]], callback: Callback
) -> Array:
    """Scores with a group permuted, (repeats, n)."""

    def logits(one: FoldModel, donor: dict[int, Index]) -> Array:
        return one.permuted(group.mask(one.features), donor[one.fold])

    result = []
    for donor in donors:
        interrupts.check()
        result.append(models.scores(partial(logits, donor=donor)))
        callback.on_progress(1, group.name)
    return np.array(result)


def _contributions(models: Models, groups: Sequence[Group]) -> list[float | None]:
    """Mean absolute contribution of each group to the score, where every fold tells."""
    total = {group.name: np.zeros(models.n) for group in groups}
    for member in models.members:
        own = {name: np.zeros(models.n) for name in total}
        times = np.zeros(models.n)
        for one in member.folds:
            each = one.contributions()
            if each is None:
                return [None] * len(groups)
            times[one.rows] += 1
            for group in groups:
                own[group.name][one.rows] += each[:, group.mask(one.features)].sum(axis=1)
        for name, sums in own.items():
            total[name] += sums / times / len(models.members)
    return [float(np.abs(total[group.name]).mean()) for group in groups]


def _as_it_is(units: Units, alarms: int) -> dict[str, Estimate]:
    """Measures of the model without any change, the first one first."""
    from trueness.evaluation.influence import average_precision_influence, linear, too_few
    from trueness.evaluation.resampling import SortedScores

    y, score = units.part.y, units.part.score
    blocks, result = units.part.blocks(units.block), dict[str, Estimate]()
    if alarms:
        (precision,) = precision_draws(y, [score], alarms=alarms, blocks=blocks)
        result["precision"] = precision.proportion(units.confidence)
    (auc,) = auc_draws(y, [score], blocks=blocks)
    area, influence = average_precision_influence(SortedScores.of(y, score))
    average = linear(area, influence, blocks, few=too_few(y))
    result["auc"] = auc.proportion(units.confidence)
    result["average_precision"] = average.proportion(units.confidence)
    return result


# ------------------------------------------------------------------------------ partial dependence


def _partial(models: Models, group: Group, callback: Callback) -> PartialDependence:
    """Of the column of a group that moves the models most."""
    callback.on_stage_start(f"holding {group.name}", len(group.columns))
    result = []
    for column in group.columns:
        result.append(partial_dependence(models, group.name, column))
        callback.on_progress(1, column)
    return max(result, key=lambda one: one.range)


def partial_dependence(models: Models, group: str, column: str) -> PartialDependence:
    """Mean probability with a column held at each of its quantiles, in each fold its own.

    Of windows it is held over all rows. Where several folds read a column prepared anew, its values
    are those of each fold, and the quantiles are what is compared.
    """
    levels = np.linspace(0.5 / GRID, 1 - 0.5 / GRID, GRID)
    own = {(i, j): np.quantile(one.column(one.features.index(column)), levels)
           for i, one, j in _reading(models, column)}  # fmt: skip
    result = []
    for at in range(GRID):
        value = {place: quantiles[at] for place, quantiles in own.items()}
        result.append(float(expit(_held(models, column, value)).mean()))
    values = np.mean(list(own.values()), axis=0)
    return PartialDependence(group, column, tuple(levels.tolist()), tuple(values.tolist()),
                             tuple(result))  # fmt: skip


def _reading(models: Models, column: str) -> Iterator[tuple[int, FoldModel, int]]:
    """Models that read a column: number of the member, model, number of the fold in it."""
    for i, member in enumerate(models.members):
        for j, one in enumerate(member.folds):
            if column in one.features:
                yield i, one, j


def _held(models: Models, column: str, value: dict[tuple[int, int], float]) -> Array:
    place = {id(one): (i, j) for i, one, j in _reading(models, column)}

    def logits(one: FoldModel) -> Array:
        if id(one) not in place:
            return one.logits()
        return one.held(one.features.index(column), float(value[place[id(one)]]))

    return models.scores(logits)
