"""What a table of trials says: best, repeats, importance, trends, each with what it rests on.

Point estimates are taken over all trials, so that they can be compared with published ones;
intervals rest on configurations, of which each counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from trueness.evaluation.intervals import Estimate
from trueness.evaluation.summaries import (
    auc_estimate,
    correlation_estimate,
)
from trueness.judge.studies.coverage import Coverage, coverage, grid_coverage
from trueness.judge.studies.importance import (
    FEWEST,
    Importance,
    Surrogate,
    between_share,
    surrogate_importance,
)
from trueness.judge.studies.levels import (
    LevelRow,
    Trend,
    by_value,
    grouped,
    level_codes,
    trend,
    with_parameter,
)
from trueness.judge.studies.trials import (
    ARCHITECTURE,
    TRAINING,
    Levels,
    Range,
    Study,
    Trial,
    Value,
    mean,
    values,
)

COLLAPSED = 0.2
PAIRS = (("d_model", "n_layers"), ("d_model", "n_heads"), ("learning_rate", "dropout"))


@dataclass(frozen=True)
class Ranges:
    """Score ranges of the trials that recorded them."""

    known: int
    collapsed: int
    mean_width: float | None
    recalls: int
    no_recall: int


@dataclass(frozen=True)
class Analysis:
    """Everything that `analyze` finds out about one study."""

    study: Study
    best: Trial
    best_value: Estimate
    std: float | None
    correlations: dict[str, tuple[float | None, Estimate]]
    importance: list[Importance]
    surrogate: Surrogate | None
    by_value: dict[str, list[LevelRow]]
    trends: dict[str, Trend]
    coverage: Coverage
    ranges: Ranges

    @property
    def values(self) -> list[float]:
        """What the completed trials reached, in their order."""
        return values(self.study.completed)

    @property
    def repeats(self) -> list[tuple[Trial, int]]:
        """Configurations that were tried more than once, most often first."""
        result = [(trial, n) for trial, _, n in self.study.configurations if n > 1]
        return sorted(result, key=lambda pair: -pair[1])

    @property
    def wasted(self) -> int:
        """Trials that repeat a configuration."""
        return len(self.study.completed) - len(self.study.configurations)

    @property
    def convergence(self) -> list[float]:
        """Best value so far after each completed trial."""
        return list(np.maximum.accumulate(self.values))

    @property
    def forced(self) -> list[Trial]:
        """Completed trials whose values were not sampled."""
        return [t for t in self.study.completed if t.forced]

    @property
    def sizes(self) -> list[int]:
        """True numbers of weights of the configurations that tell them, ascending."""
        return sorted(t.parameters for t, _, _ in self.study.configurations if t.parameters)

    def facts(self) -> dict[str, Any]:
        """Counts and published measures, under the names of the published analysis."""
        study, result = self.study, self.coverage
        return {
            "n_trials": len(study.completed),
            "best_auc" if study.measure == "AUC" else "best_value": self.best.value,
            "mean_auc" if study.measure == "AUC" else "mean_value": mean([self.values]),
            "std_auc" if study.measure == "AUC" else "std_value": self.std,
            "unique_configs": len(study.configurations),
            "repeated_configs": len(self.repeats),
            "wasted_trials": self.wasted,
            "max_repeat": max(n for _, _, n in study.configurations),
            "distinct_auc_values": len(set(self.values)),
            "arch_combos": _combos(result, ARCHITECTURE),
            "training_combos": _combos(result, TRAINING),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; the names of the published analysis where it has the measure."""
        study = self.study
        return {
            "study": study.name, "budget": study.budget, "tier": study.tier, "kind": study.kind,
            **self.facts(),
            "correlation_with_auc": {k: v for k, (v, _) in self.correlations.items()},
            "importance": {i.name: i.published for i in self.importance},
            "by_value": {name: _levels_dict(rows) for name, rows in self.by_value.items()},
            "best": {
                "trial": self.best.number, "params": dict(self.best.params),
                "forced": self.best.forced, "parameters": self.best.parameters,
                "key": self.best.key, "estimate": self.best_value.to_dict(),
            },
            "correlation_estimates": {k: e.to_dict() for k, (_, e) in self.correlations.items()},
            "importance_estimates": [_importance_dict(i) for i in self.importance],
            "surrogate_explains": None if self.surrogate is None else self.surrogate.explained,
            "trends": {
                name: {**vars(t), "estimate": t.estimate.to_dict(), "supported": t.is_supported}
                for name, t in self.trends.items()
            },
            "most_repeated": [{"params": dict(t.params), "times": n} for t, n in self.repeats[:3]],
            "convergence": self.convergence, "ranges": vars(self.ranges),
            "forced": [
                {"trial": t.number, "type": t.forced, "value": t.value, "params": dict(t.params)}
                for t in self.forced
            ],
            "states": {"complete": len(study.completed), **study.uncounted},
            "coverage": self.coverage.to_dict(), "notes": list(study.notes),
        }  # fmt: skip


def _combos(covered: Coverage, names: Sequence[str]) -> dict[str, int] | None:
    grid = covered.architectures if names == ARCHITECTURE else covered.training
    if grid is None:
        return None
    total = 1
    for name in names:
        levels = covered.study.space[name]
        total *= 1 if isinstance(levels, Range) else len(levels)
    counts = {"total": total, "total_valid": len(grid.counts), "tested": grid.tested}
    return counts if names == ARCHITECTURE else {k: counts[k] for k in ("total", "tested")}


def _levels_dict(rows: Sequence[LevelRow]) -> dict[str, dict[str, Any]]:
    return {
        str(row.level): {
            "count": row.count, "mean": row.mean, "std": row.std, "min": row.low, "max": row.high,
            "estimate": row.estimate.to_dict(),
        } for row in rows
    }  # fmt: skip


def level_rows(analysis: Analysis) -> list[dict[str, Any]]:
    """A flat row for each level of each parameter."""
    return [
        {
            "study": analysis.study.name, "parameter": name, "level": str(row.level),
            "trials": row.count, "mean": row.mean, "std": row.std, "min": row.low, "max": row.high,
            "configurations": row.estimate.n, "value": row.estimate.value,
            "low": row.estimate.low, "high": row.estimate.high,
        } for name, rows in analysis.by_value.items() for row in rows
    ]  # fmt: skip


def _importance_dict(one: Importance) -> dict[str, Any]:
    estimates = {k: None if e is None else e.to_dict()
                 for k, e in (("additive", one.additive), ("top", one.top))}  # fmt: skip
    return {**vars(one), **estimates}


def analyze(study: Study, space: Levels | None = None) -> Analysis:
    """Everything about the completed trials of a study.

    Parameters
    ----------
    study : Study
    space : mapping of str to tuple or Range, optional
        Levels to compare with; the study's own if not given.

    Examples
    --------
    >>> from trueness.judge.studies import from_rows
    >>> rows = [{"number": i, "value": 0.7 + 0.01 * (i % 3), "params": {"n_layers": 2 + i % 3}}
    ...         for i in range(7)]
    >>> result = analyze(from_rows("tiny", rows))
    >>> result.best.number, result.wasted, result.trends["n_layers"].word
    (2, 4, 'increasing')
    """
    best = max(study.completed, key=lambda t: (t.value or 0.0, -t.number))
    y = np.array(values(study.completed))
    names = [name for name in study.space if any(name in t.params for t in study.completed)]
    importance, surrogate = _importance(study, names)
    levels = {name: by_value(study, name) for name in names}
    trends = {name: trend(study, name, rows) for name, rows in levels.items()}
    return Analysis(
        study, best, _best_value(study, best),
        float(y.std(ddof=1)) if len(y) > 1 else None, _correlations(study),
        importance, surrogate, levels, {n: t for n, t in trends.items() if t is not None},
        coverage(study, space), _ranges(study),
    )  # fmt: skip


def _best_value(study: Study, best: Trial) -> Estimate:
    """The best value with the error of its validation set, and how many it was best of."""
    value, candidates = best.value or 0.0, len(study.configurations)
    if study.measure != "AUC" or study.positives is None or study.examples is None:
        chosen = {"chosen_on": study.chosen, "measured_on": study.chosen}
        return Estimate(
            value, None, None, study.examples or 0, None, **chosen, n_candidates=candidates
        )
    return auc_estimate(
        value, study.positives, study.examples - study.positives, n_candidates=candidates,
        chosen_on=study.chosen, measured_on=study.chosen,
    )  # fmt: skip


# ------------------------------------------------------------------------- correlations, importance


def shape_measures(trial: Trial) -> dict[str, float]:
    """Inner width, depth and their ratio, where the trial tells them.

    Width is the inner width of the feed-forward blocks: d_model * d_ff_ratio, or d_ff.
    """
    params = {k: v for k, v in trial.params.items() if isinstance(v, int | float)}
    width = params.get("d_ff")
    if {"d_model", "d_ff_ratio"} <= set(params):
        width = params["d_model"] * params["d_ff_ratio"]
    depth = params.get("n_layers")
    result = {"width": width, "depth": depth}
    if width is not None and depth:
        result["width_over_depth"] = width / depth
    return {name: float(value) for name, value in result.items() if value is not None}


def _correlations(study: Study) -> dict[str, tuple[float | None, Estimate]]:
    """Pearson's correlation over all trials, as published, and over configurations."""
    result = {}
    for name in ("width", "depth", "width_over_depth"):
        trials = [(shape_measures(t).get(name), t.value) for t in study.completed]
        once = [(shape_measures(t).get(name), v) for t, v, _ in study.configurations]
        pairs = [[(x, y) for x, y in side if x is not None] for side in (trials, once)]
        if len(pairs[1]) > 1:
            whole, each = (
                correlation_estimate([x for x, _ in p], [y for _, y in p]) for p in pairs
            )
            result[name] = (whole.value, each)
    return result


def _importance(study: Study, names: Sequence[str]) -> tuple[list[Importance], Surrogate | None]:
    """The published share of each parameter and, with enough configurations, the other two."""
    published = [_published_importance(study, name) for name in names]
    shared = [n for n in names if all(n in t.params for t in study.completed)]
    varying = [n for n in shared if len(set(grouped(study, n).values())) > 1]
    y = np.array([value for _, value, _ in study.configurations])
    if len(y) < FEWEST or not varying or not np.ptp(y):
        return published, None
    codes = [level_codes(study, n, [t for t, _, _ in study.configurations]) for n in varying]
    start = [p for p in published if p.name in varying]
    surrogate, result = surrogate_importance(start, codes, y)
    filled = {p.name: p for p in result}
    return [filled.get(p.name, p) for p in published], surrogate


def _published_importance(study: Study, name: str) -> Importance:
    """Over all trials; by chance it is (levels - 1) / configurations, as repeats add nothing."""
    trials = [t for t in study.completed if name in t.params]
    codes = level_codes(study, name, trials)
    chance = (len(set(codes)) - 1) / max(1, len(with_parameter(study, name)))
    return Importance(name, between_share(codes, np.array(values(trials))), chance)


def _ranges(study: Study) -> Ranges:
    widths = [t.scores[1] - t.scores[0] for t in study.completed if t.scores is not None]
    recalls = [t.recall for t in study.completed if t.recall is not None]
    width = sum(widths) / len(widths) if widths else None
    collapsed = sum(w < COLLAPSED for w in widths)
    return Ranges(len(widths), collapsed, width, len(recalls), sum(r == 0 for r in recalls))


Point: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True)
class Pair:
    """Two discrete parameters: trials of every valid combination, and means of those tried."""

    names: tuple[str, str]
    counts: dict[Point, int]
    means: dict[Point, float]


def pairs(study: Study) -> list[Pair]:
    """The published pairs of parameters that are discrete here; the first three without any."""
    discrete = [name for name, levels in study.space.items() if not isinstance(levels, Range)]
    known = [names for names in PAIRS if set(names) <= set(discrete)]
    result = [_pair(study, names) for names in known or combinations(discrete, 2)]
    return [pair for pair in result if pair.means][: len(PAIRS)]


def _pair(study: Study, names: tuple[str, str]) -> Pair:
    inside: dict[Point, list[float]] = {}
    for trial in study.completed:
        if all(name in trial.params for name in names):
            point = tuple(trial.params[name] for name in names)
            inside.setdefault(point, []).append(trial.value or 0.0)
    counts = grid_coverage(study.completed, study.space, names, study.shapes).counts
    return Pair(names, counts, {point: mean([some]) for point, some in inside.items()})
