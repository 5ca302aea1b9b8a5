"""What a search has tried and what it has not: levels, pairs, valid architectures, gaps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise, product
from typing import Any

import numpy as np
import polars as pl

from trueness.document import Document
from trueness.judge.judgement import SCHEMA
from trueness.judge.studies.trials import (
    ARCHITECTURE,
    TRAINING,
    Levels,
    Range,
    Study,
    Trial,
    Value,
    order,
)

NUMBERS = (int, float)


@dataclass(frozen=True)
class Gap:
    """Two neighbouring values between which nothing was tried, the widest such place.

    `share` of the whole range lies between them, on the scale that spaces the levels most evenly:
    "linear", "log", or "rank" where a logarithm is apt but zero is a level.
    """

    low: float
    high: float
    share: float
    scale: str


@dataclass(frozen=True)
class ParameterCoverage:
    """Levels of one parameter with the number of trials that used each."""

    name: str
    counts: dict[Value, int]
    configurations: dict[Value, int]
    gap: Gap | None

    @property
    def untested(self) -> list[Value]:
        """Levels that no trial used."""
        return [level for level, count in self.counts.items() if not count]


@dataclass(frozen=True)
class GridCoverage:
    """Combinations of some parameters: how many are valid, and which were tried how often."""

    names: tuple[str, ...]
    counts: dict[tuple[Value, ...], int]

    @property
    def untested(self) -> list[tuple[Value, ...]]:
        """Valid combinations that no trial used."""
        return [levels for levels, count in self.counts.items() if not count]

    @property
    def tested(self) -> int:
        """Valid combinations that were tried."""
        return len(self.counts) - len(self.untested)

    @property
    def share(self) -> float:
        """Tested share of the valid combinations."""
        return self.tested / len(self.counts) if self.counts else 0.0


@dataclass(frozen=True)
class Coverage:
    """Coverage of a study: by parameter, by pair, of architectures and of training values."""

    study: Study
    parameters: list[ParameterCoverage]
    pairs: list[GridCoverage]
    architectures: GridCoverage | None
    training: GridCoverage | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "study": self.study.name,
            "n_trials": len(self.study.completed),
            "n_configurations": len(self.study.configurations),
            "parameters": {
                p.name: {
                    "counts": {str(k): n for k, n in p.counts.items()},
                    "configurations": {str(k): n for k, n in p.configurations.items()},
                    "untested": p.untested, "largest_gap": asdict(p.gap) if p.gap else None,
                } for p in self.parameters
            },
            "pairs": {" x ".join(p.names): _grid_dict(p) for p in self.pairs},
            "architectures": _grid_dict(self.architectures),
            "training": _grid_dict(self.training),
        }  # fmt: skip


@dataclass(frozen=True)
class Coverages:
    """Coverage of one study or several."""

    studies: list[Coverage]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        studies = [one.to_dict() for one in self.studies]
        return {"schema": SCHEMA, "kind": "search_coverage", "studies": studies}

    def to_frame(self) -> pl.DataFrame:
        """One row for each level of each parameter of each study."""
        return pl.DataFrame([
            {
                "study": one.study.name, "parameter": p.name, "level": str(level), "trials": n,
                "configurations": p.configurations[level],
            } for one in self.studies for p in one.parameters for level, n in p.counts.items()
        ], infer_schema_length=None)  # fmt: skip

    def document(self) -> Document:
        """Levels, pairs and architectures that were tried and that were not, study by study."""
        from trueness.judge.studies.comparing import coverage_document

        return coverage_document(self)


def _grid_dict(grid: GridCoverage | None) -> dict[str, Any] | None:
    if grid is None:
        return None
    return {
        "names": list(grid.names), "valid": len(grid.counts), "tested": grid.tested,
        "share": grid.share, "untested": [list(levels) for levels in grid.untested],
    }  # fmt: skip


def coverage(study: Study, space: Levels | None = None) -> Coverage:
    """What of a space the completed trials of a study have tried.

    Parameters
    ----------
    study : Study
    space : mapping of str to tuple or Range, optional
        The study's own if not given.

    Examples
    --------
    >>> from trueness.judge.studies import from_rows
    >>> rows = [{"number": 0, "value": 0.7, "params": {"d_model": 8, "n_layers": 1, "n_heads": 2}}]
    >>> result = coverage(from_rows("one", rows),
    ...                  {"d_model": (8, 10), "n_layers": (1, 2), "n_heads": (2, 4)})
    >>> result.architectures.tested, len(result.architectures.counts)  # 4 does not divide 10
    (1, 6)
    """
    space = study.space if space is None else space
    names = [n for n, levels in space.items() if isinstance(levels, Range) or levels]
    trials, discrete = study.completed, [n for n in names if not isinstance(space[n], Range)]
    return Coverage(
        study,
        [_parameter(study, name, space[name]) for name in names],
        [
            grid for pair in combinations(discrete, 2)
            if (grid := grid_coverage(trials, space, pair, study.shapes)).counts
        ],
        *(
            grid_coverage(trials, space, triple, study.shapes)
            if set(triple) <= set(discrete)
            else None
            for triple in (ARCHITECTURE, TRAINING)
        ),
    )  # fmt: skip


def grid_coverage(
    trials: Iterable[Trial], space: Levels, names: Sequence[str],
    shapes: Collection[tuple[int, int]] | None = None,
) -> GridCoverage:  # fmt: skip
    """Counts of all valid combinations of discrete parameters.

    Heads must divide the width, under a budget width and depth must be one of its `shapes`, and a
    setting below a choice, such as ``loss:focal.alpha``, goes with its own branch only. A
    combination that was tried though it is not in the space counts as one of it.

    Examples
    --------
    >>> space = {"loss": ("bce", "focal", "asl"), "loss:focal.alpha": (0.25, 0.5)}
    >>> list(grid_coverage([], space, ("loss", "loss:focal.alpha")).counts)
    [('focal', 0.25), ('focal', 0.5)]
    """
    levels = [space[name] for name in names]
    grid: Iterable[tuple[Value, ...]] = product(*(v for v in levels if not isinstance(v, Range)))
    counts = {point: 0 for point in grid if _is_valid(dict(zip(names, point, strict=True)), shapes)}
    for trial in trials:
        if all(name in trial.params for name in names):
            point = tuple(trial.params[name] for name in names)
            counts[point] = counts.get(point, 0) + 1
    return GridCoverage(tuple(names), counts)


def _is_valid(point: Mapping[str, Value], shapes: Collection[tuple[int, int]] | None) -> bool:
    """Whether a combination can be, as far as its parameters tell."""
    return _fits_budget(point, shapes) and _heads_divide(point) and _is_one_branch(point)


def _fits_budget(point: Mapping[str, Value], shapes: Collection[tuple[int, int]] | None) -> bool:
    width, depth = point.get("d_model"), point.get("n_layers")
    return shapes is None or width is None or depth is None or (width, depth) in shapes


def _heads_divide(point: Mapping[str, Value]) -> bool:
    width, heads = point.get("d_model"), point.get("n_heads")
    return not (isinstance(width, int) and isinstance(heads, int) and heads) or width % heads == 0


def _is_one_branch(point: Mapping[str, Value]) -> bool:
    """Whether all settings below a choice belong to the branch that is chosen."""
    branches: dict[str, str] = {}
    for name in point:
        choice, colon, below = name.partition(":")
        if not colon:
            continue
        branch = below.partition(".")[0]
        if choice in point and not below.startswith(f"{point[choice]}."):
            return False
        if branches.setdefault(choice, branch) != branch:
            return False
    return True


def _parameter(study: Study, name: str, levels: tuple[Value, ...] | Range) -> ParameterCoverage:
    tried = Counter(t.params[name] for t in study.completed if name in t.params)
    once = Counter(t.params[name] for t, _, _ in study.configurations if name in t.params)
    known = () if isinstance(levels, Range) else levels
    every = sorted({*known, *tried}, key=order)
    gap = largest_gap(levels, [v for v in tried if isinstance(v, NUMBERS)])
    return ParameterCoverage(name, {v: tried[v] for v in every}, {v: once[v] for v in every}, gap)


def scale_of(levels: Sequence[float]) -> str:
    """Scale on which levels lie most evenly.

    Examples
    --------
    >>> scale_of([0.1, 0.3, 0.5]), scale_of([2, 4, 8]), scale_of([0.0, 1e-5, 1e-4, 1e-3])
    ('linear', 'log', 'rank')
    """
    positive = [v for v in sorted(levels) if v > 0]
    if len(positive) < 3:
        return "linear"
    linear, log = _unevenness(np.array(positive)), _unevenness(np.log(positive))
    if linear <= log or min(levels) < 0:
        return "linear"
    return "log" if len(positive) == len(levels) else "rank"


def _unevenness(levels: np.ndarray) -> float:
    steps = np.diff(levels)
    return float(steps.std() / steps.mean())


def largest_gap(levels: tuple[Value, ...] | Range, tried: Sequence[float]) -> Gap | None:
    """Widest place without a tried value, the ends of the space included.

    None if the levels are words, only one, or all were tried.

    Examples
    --------
    >>> largest_gap((1, 2, 3, 4, 5), [1, 4, 5])
    Gap(low=1, high=4, share=0.75, scale='linear')
    >>> largest_gap(Range(1e-5, 1e-3, log=True), [1e-4]).share
    0.5
    """
    if isinstance(levels, Range):
        scale, known = ("log" if levels.log else "linear"), [levels.low, levels.high]
    else:
        known = sorted(v for v in levels if isinstance(v, NUMBERS))
        if len(known) < max(2, len(levels)) or set(known) <= set(tried):
            return None
        scale = scale_of(known)
    places = {v: _place(v, scale, known) for v in sorted({*tried, known[0], known[-1]})}
    span = places[max(places)] - places[min(places)]
    edges = list(places)
    if not span:
        return None
    low, high = max(pairwise(edges), key=lambda pair: places[pair[1]] - places[pair[0]])
    return Gap(low, high, round((places[high] - places[low]) / span, 12), scale)


def _place(value: float, scale: str, known: Sequence[float]) -> float:
    """Position of a value on a scale."""
    if scale == "rank":
        return float(np.interp(value, known, range(len(known))))
    return math.log(value) if scale == "log" else float(value)
