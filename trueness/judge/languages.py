"""Classifiers of K classes per group of units, from what stored runs predicted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.errors import StoreError, TruenessError
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.by_group import Groups, group_units
from trueness.evaluation.class_draws import ClassDraws, Sizes, macro_f1_draws, sizes_of
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.macro_f1 import Cells
from trueness.evaluation.slice_comparison import SliceComparison, compare_pair
from trueness.evaluation.slices import Slices, measure_slices
from trueness.evaluation.top_k import TopDifference, compare_tops, positions
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.store import AnyStore, Problem, Run

Index = NDArray[np.int64]


def slices_of(part: Predictions, rule: Estimands, measured_on: str) -> Slices:
    """Everything about one run on one part, overall and per group.

    Parameters
    ----------
    part : Predictions
        Of K classes.
    rule : Estimands
    measured_on : str
        Name of the part.
    """
    return measure_slices(
        part.y, part.scores, part.group, part.blocks(rule.block), classes=part.classes,
        majority=rule.majority, probabilities=rule.probabilities, min_rows=rule.min_rows,
        confidence=rule.confidence, draws=rule.draws, chosen_on=rule.chosen_on,
        measured_on=measured_on,
    )  # fmt: skip


def recorded_slices(run: Run[Any], part: str) -> Slices:
    """What the record of a run says of one part.

    Raises
    ------
    StoreError
        If it says nothing.
    """
    return Slices.from_dict(_recorded(run, part))


def recorded_scores(run: Run[Any], part: str) -> dict[str, Estimate]:
    """Estimates of a run on one part, as its record has them.

    Raises
    ------
    StoreError
        If it has none.
    """
    return {n: Estimate.from_dict(e) for n, e in _recorded(run, part)["scores"].items()}


def _recorded(run: Run[Any], part: str) -> dict[str, Any]:
    known = run.record.get("slices", {})
    if part not in known:
        raise StoreError(
            f"{run.key} was not measured on a part {part!r}; there are {', '.join(known)}",
            "no_part",
        )
    return known[part]


# ------------------------------------------------------------------------------------- common units


@dataclass(frozen=True)
class CommonUnits:
    """Units that several runs were asked about, and how they are resampled.

    Attributes
    ----------
    y : (n,) int64
    groups : Groups
    blocks : Blocks
    cells : Cells
    rule : Estimands
    digest : bytes
        Of ids and labels.
    """

    y: Index
    groups: Groups
    blocks: Blocks
    cells: Cells
    rule: Estimands
    digest: bytes

    @classmethod
    def of(cls, part: Predictions, rule: Estimands) -> CommonUnits:
        """From the predictions of one of the runs."""
        y = part.y.astype(np.int64)
        groups = group_units(part.group, len(part), rule.min_rows)
        blocks = part.blocks(rule.block)
        cells = Cells.of(y, groups, blocks, len(part.classes))
        return cls(y, groups, blocks, cells, rule, part.units())

    @property
    def n_classes(self) -> int:
        """Classes that count over all units."""
        return int(self.cells.counted[-1].sum())

    @property
    def sizes(self) -> Sizes:
        """Sizes of groups."""
        return sizes_of(self.groups, self.blocks, self.cells, self.rule.majority)

    @property
    def chance(self) -> float:
        """The largest macro-F1 to expect of a guess that does not look at the units.

        Guessing class c with frequency q_c has F1 of ``2 p_c q_c / (p_c + q_c)``; the mean over the
        K classes that count is largest at q = p, where it is 1 / K whatever the prior p; a little
        less where some do not count. Always the most frequent class is a weaker guess:
        2 p / (1 + p) / K.
        """
        return 1 / self.n_classes

    @property
    def name(self) -> str:
        """Under which draws of these units are kept."""
        rule, blocks = self.rule, self.blocks
        arrays = (self.groups.index, blocks.item, blocks.cluster)
        content = [self.digest, *(a.tobytes() for a in arrays if a is not None)]
        settings = (self.groups.names, blocks.length, rule.draws, self.cells.counted.tolist())
        digest = hashlib.sha256(b"\0".join([*content, repr(settings).encode()]))
        return f"classes-{digest.hexdigest()[:12]}"


@dataclass
class Compared:
    """Draws of several runs on common units.

    Attributes
    ----------
    units : CommonUnits
    draws : dict of str to ClassDraws
        By key.
    problems : list of Problem
        Runs whose predictions cannot be read.
    """

    units: CommonUnits
    draws: dict[str, ClassDraws] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def draws_of(runs: Sequence[Run[Any]], part: str, store: AnyStore | None = None) -> Compared:
    """Macro-F1 of runs per group on the same resamples, from the index of a store or computed.

    Parameters
    ----------
    runs : sequence of Run
        Measured on the same units; groups and clusters are those of the first that has groups.
    part : str
    store : Store or MemoryStore, optional
        Its index keeps draws; nothing is kept without.

    Raises
    ------
    TruenessError
        With the code ``other_units`` if they were measured on other units.
    StoreError
        If the predictions of none can be read.
    """
    parts, problems = _first_parts(runs, part)
    units = _common(parts, runs)
    addresses, known = _usable(
        units, *([], {}) if store is None else store.index.read_arrays(units.name)
    )
    place = {address: row for row, address in enumerate(addresses)}
    wanted = [run for run in runs if run.address not in place and run.key not in
              {p.name for p in problems}]  # fmt: skip
    predicted: dict[str, tuple[Index, bytes]] = {}
    for run in wanted:
        try:
            one = parts.get(run.key) or run.predictions().part(part)
        except StoreError as error:
            problems.append(Problem(run.key, str(error)))
            continue
        predicted[run.address] = one.scores.argmax(axis=1), one.units()
    _check_units(units, (digest for _, digest in predicted.values()))
    if predicted:
        addresses, known = _extended(units, predicted, addresses, known)
        place = {address: row for row, address in enumerate(addresses)}
        if store is not None:
            store.index.write_arrays(units.name, addresses, known)
    result = {run.key: place[run.address] for run in runs if run.address in place}
    _check_units(units, (known["units"][row].tobytes() for row in result.values()))
    sizes = units.sizes
    draws = {key: ClassDraws.of(known["scores"][row], sizes) for key, row in result.items()}
    return Compared(units, draws, problems)


def _first_parts(
    runs: Sequence[Run[Any]], part: str
) -> tuple[dict[str, Predictions], list[Problem]]:
    """Predictions up to the first that has groups, of those of a task of its own before others."""
    parts: dict[str, Predictions] = {}
    problems: list[Problem] = []
    for run in sorted(runs, key=lambda one: not one.estimands.majority):
        try:
            parts[run.key] = run.predictions().part(part)
        except StoreError as error:
            problems.append(Problem(run.key, str(error)))
            continue
        if parts[run.key].group is not None:
            break
    if not parts:
        raise StoreError(f"no predictions can be read: {problems[0].reason}", "damaged")
    return parts, problems


def _common(parts: Mapping[str, Predictions], runs: Sequence[Run[Any]]) -> CommonUnits:
    grouped = next((key for key, one in parts.items() if one.group is not None), next(iter(parts)))
    rule = next(run.estimands for run in runs if run.key == grouped)
    return CommonUnits.of(parts[grouped], rule)


def _check_units(units: CommonUnits, digests: Iterable[bytes]) -> None:
    if any(digest != units.digest for digest in digests):
        raise TruenessError(
            "these runs were measured on other units; compare runs on one data set, one part and "
            "one evaluation", "other_units",
        )  # fmt: skip


def _usable(
    units: CommonUnits, addresses: list[str], known: dict[str, NDArray[Any]]
) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """The same if an index is whole, else nothing."""
    shapes = {"scores": (len(addresses), units.groups.cells + 1, 1 + units.rule.draws),
              "units": (len(addresses), len(units.digest))}  # fmt: skip
    whole = {name: rows.shape for name, rows in known.items()} == shapes
    return (addresses, known) if whole else ([], {})


def _extended(
    units: CommonUnits, predicted: Mapping[str, tuple[Index, bytes]], addresses: list[str],
    known: dict[str, NDArray[Any]],
) -> tuple[list[str], dict[str, NDArray[Any]]]:  # fmt: skip
    """An index with the draws of further predictions."""
    scores = macro_f1_draws(
        units.y, {name: y for name, (y, _) in predicted.items()}, units.groups, units.blocks,
        units.cells, draws=units.rule.draws,
    )  # fmt: skip
    digests = [np.frombuffer(digest, np.uint8) for _, digest in predicted.values()]
    fresh = {"scores": np.stack(list(scores.values())), "units": np.stack(digests)}
    if known:
        fresh = {name: np.concatenate([known[name], rows]) for name, rows in fresh.items()}
    return [*addresses, *predicted], fresh


# ---------------------------------------------------------------------------------------- comparing


@dataclass(frozen=True)
class TwoCompared:
    """First run minus second on the same units.

    Attributes
    ----------
    macro_f1 : SliceComparison
    top_k : dict of str to dict of str to TopDifference
        ``all`` units, then each group: ``top_1`` and so on.
    """

    macro_f1: SliceComparison
    top_k: dict[str, dict[str, TopDifference]]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        tops = {n: {k: d.to_dict() for k, d in one.items()} for n, one in self.top_k.items()}
        return {**self.macro_f1.to_dict(), "top_k": tops}


def compare_two(
    one: Run[Any], other: Run[Any], part: str, store: AnyStore | None = None
) -> TwoCompared:
    """First run minus second, per group, on the same units.

    Raises
    ------
    TruenessError
        With the code ``other_units`` if they were measured on other units.
    """
    result = draws_of([one, other], part, store)
    if result.problems:
        raise StoreError(result.problems[0].reason, "damaged")
    first, second = ([result.draws[run.key]] for run in (one, other))
    units, rule = result.units, result.units.rule
    scores = [run.predictions().part(part).scores.astype(np.float64) for run in (one, other)]
    tops = compare_tops(
        *(positions(units.y, one) for one in scores), scores[0].shape[1], units.groups,
        units.blocks, draws=rule.draws, confidence=rule.confidence,
    )  # fmt: skip
    return TwoCompared(compare_pair(first, second, rule.confidence), tops)
