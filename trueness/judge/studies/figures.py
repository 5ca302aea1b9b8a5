"""Pictures of a study: values in order, levels, importance; and values over true size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from trueness.document import Figure
from trueness.document.numbers import plural, short
from trueness.evaluation.intervals import Estimate
from trueness.judge.studies.across import Group
from trueness.judge.studies.analysis import Analysis
from trueness.judge.studies.levels import LevelRow, grouped
from trueness.judge.studies.trials import Trial
from trueness.judge.studies.words import level_text

Trace: TypeAlias = dict[str, Any]
JITTER, PALETTE = 0.22, 8


def error_bars(estimates: Sequence[Estimate]) -> Trace:
    """Error bars of estimates; of no length where there is no interval."""

    def length(e: Estimate, end: float | None) -> float:
        return 0.0 if e.value is None or end is None else abs(end - e.value)

    return {
        "type": "data", "symmetric": False, "thickness": 1.4, "width": 4,
        "array": [length(e, e.high) for e in estimates],
        "arrayminus": [length(e, e.low) for e in estimates],
    }  # fmt: skip


def hover(trial: Trial) -> str:
    """What a mark of a trial says: its settings and its size."""
    settings = [f"{name} {level_text(value)}" for name, value in trial.params.items()]
    size = [f"{short(trial.parameters)} weights"] if trial.parameters else []
    return "<br>".join([f"trial {trial.number}", *settings, *size])


def convergence(analysis: Analysis) -> Figure:
    """Value of every trial, forced ones marked, with the best so far."""
    study, best = analysis.study, analysis.best_value
    traces = [
        _trials([t for t in study.completed if bool(t.forced) == forced], *style)
        for forced, style in (
            (False, ("sampled", "series-0", "circle")), (True, ("forced", "series-1", "diamond")),
        )
    ]  # fmt: skip
    traces.append({
        "x": [t.number for t in study.completed], "y": analysis.convergence, "mode": "lines",
        "name": "best so far", "line": {"color": "ink", "shape": "hv", "width": 1.4},
    })  # fmt: skip
    if best.low is not None:
        traces.append({
            "x": [study.completed[-1].number + 1], "y": [best.value], "mode": "markers",
            "name": "best, 95 % CI", "marker": {"color": "ink", "size": 8},
            "error_y": error_bars([best]),
        })  # fmt: skip
    return Figure(
        [trace for trace in traces if trace["x"]],
        {"xaxis": {"title": "trial", "integer": True}, "yaxis": {"title": study.measure}},
        f"{study.measure} of {plural(len(study.completed), 'trial')} in order, with the best so "
        "far and the 95 % CI of the best.",
    )  # fmt: skip


def _trials(some: Sequence[Trial], name: str, colour: str, symbol: str) -> Trace:
    return {
        "x": [t.number for t in some], "y": [t.value for t in some], "mode": "markers",
        "name": name, "text": [hover(t) for t in some], "customdata": [t.key for t in some],
        "marker": {"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
    }  # fmt: skip


def level_figures(analysis: Analysis) -> list[Figure]:
    """A picture per parameter, all with the same axis of values: dots, means with intervals."""
    ends = _value_range(analysis)
    return [_level_figure(analysis, name, rows, ends) for name, rows in analysis.by_value.items()]


def _value_range(analysis: Analysis) -> list[float]:
    """Ends of the common axis: all values, and intervals as far as they are not much wider."""
    values = [v for _, v, _ in analysis.study.configurations]
    estimates = [row.estimate for rows in analysis.by_value.values() for row in rows]
    low, high = min(values), max(values)
    span = max(high - low, 1e-3)
    lows = [e.low for e in estimates if e.low is not None]
    highs = [e.high for e in estimates if e.high is not None]
    ends = max(min([low, *lows]), low - span), min(max([high, *highs]), high + span)
    return [ends[0] - 0.05 * span, ends[1] + 0.05 * span]


def _level_figure(
    analysis: Analysis, name: str, rows: Sequence[LevelRow], ends: list[float]
) -> Figure:
    groups, place = grouped(analysis.study, name), {r.level: i for i, r in enumerate(rows)}
    some = [(t, v) for t, v, _ in analysis.study.configurations if name in t.params]
    jitter = np.random.default_rng(0).uniform(-JITTER, JITTER, len(some))
    estimates = [row.estimate for row in rows]
    dots = {
        "x": [v for _, v in some], "mode": "markers",
        "text": [f"trial {t.number}" for t, _ in some], "customdata": [t.key for t, _ in some],
        "y": [place[groups[t.params[name]]] + round(float(s), 3)
              for (t, _), s in zip(some, jitter, strict=True)],
        "marker": {"color": "grey", "size": 5, "opacity": 0.7},
    }  # fmt: skip
    means = {
        "x": [e.value for e in estimates], "y": list(range(len(rows))), "mode": "markers",
        "marker": {"color": "series-0", "size": 9}, "error_x": error_bars(estimates),
    }  # fmt: skip
    labels = [f"{level_text(row.level)} · n {row.estimate.n}" for row in rows]
    axis = {"tickvals": list(range(len(rows))), "ticktext": labels, "automargin": True,
            "range": [len(rows) - 0.5, -0.5]}  # fmt: skip
    return Figure(
        [dots, means],
        {
            "xaxis": {"title": analysis.study.measure, "range": ends, "nticks": 5}, "yaxis": axis,
            "height": 130 + 30 * len(rows), "showlegend": False,
        },
        f"`{name}`: configurations by level, means with 95 % CI.", 280,
    )  # fmt: skip


def importance_figure(analysis: Analysis) -> Figure:
    """Published and additive shares side by side, chance as short lines."""
    some = sorted(analysis.importance, key=lambda i: i.published or 0.0)
    upper = [place + 0.19 for place in range(len(some))]
    lower = [place - 0.19 for place in range(len(some))]
    fitted = [(y, i.additive) for y, i in zip(lower, some, strict=True) if i.additive is not None]
    bar = {"type": "bar", "orientation": "h", "width": 0.34}
    traces: list[Trace] = [
        {**bar, "x": [i.published for i in some], "y": upper, "name": "marginal (published)",
         "marker": {"color": "grey"}},
    ]  # fmt: skip
    if fitted:
        traces.append({
            **bar, "x": [e.value for _, e in fitted], "y": [y for y, _ in fitted],
            "name": "additive, 95 % CI", "marker": {"color": "series-0"},
            "error_x": error_bars([e for _, e in fitted]),
        })  # fmt: skip
    chances = [*(i.published_chance for i in some), *(i.additive_chance for i in some)]
    traces.append({
        "x": chances, "y": [*upper, *lower], "mode": "markers", "name": "by chance",
        "marker": {"symbol": "line-ns", "size": 12, "line": {"width": 2, "color": "series-1"}},
    })  # fmt: skip
    names = {"tickvals": list(range(len(some))), "ticktext": [i.name for i in some]}
    return Figure(
        traces,
        {
            "xaxis": {"title": "share of variance", "rangemode": "tozero"}, "barmode": "overlay",
            "yaxis": {**names, "automargin": True}, "height": 150 + 48 * len(some),
        },
        "Importance of each parameter: marginal as published, additive with its 95 % CI, and what "
        "chance would give.",
    )  # fmt: skip


def size_figures(groups: Iterable[Group]) -> list[Figure]:
    """Values over true size, a picture per group with the same axis of values."""
    groups = list(groups)
    labels = list(dict.fromkeys(m.study.budget for g in groups for m in g.members))
    ends = _sized_range(groups)
    return [_size_figure(group, labels, ends) for group in groups]


def _sized_range(groups: Sequence[Group]) -> list[float]:
    members = [m for g in groups for m in g.members]
    values = [v for m in members for t, v, _ in m.study.configurations if t.parameters]
    values += [e for m in members for e in (m.best_value.low, m.best_value.high) if e is not None]
    pad = 0.05 * (max(values) - min(values)) if values else 0.0
    return [min(values) - pad, max(values) + pad] if values else [0.0, 1.0]


def _size_figure(group: Group, labels: Sequence[str], ends: list[float]) -> Figure:
    traces = [
        trace for member in group.members
        for trace in _sized(member, f"series-{labels.index(member.study.budget) % PALETTE}")
    ]  # fmt: skip
    return Figure(
        traces,
        {
            "xaxis": {"type": "log", "title": "true number of weights", "dtick": 1,
                      "exponentformat": "SI"},
            "yaxis": {"title": group.members[0].study.measure, "range": ends},
        },
        f"{group.name}: configurations by their true size; the diamond is the best of its label "
        "with its 95 % CI.", 280,
    )  # fmt: skip


def _sized(member: Analysis, colour: str) -> list[Trace]:
    some = [(t, v) for t, v, _ in member.study.configurations if t.parameters]
    best, label = member.best, member.study.budget
    traces: list[Trace] = [{
        "x": [t.parameters for t, _ in some], "y": [v for _, v in some], "mode": "markers",
        "name": f"label {label}", "legendgroup": label, "text": [hover(t) for t, _ in some],
        "customdata": [t.key for t, _ in some],
        "marker": {"color": colour, "size": 5, "opacity": 0.55},
    }]  # fmt: skip
    if best.parameters:
        traces.append({
            "x": [best.parameters], "y": [best.value], "mode": "markers", "legendgroup": label,
            "marker": {"color": colour, "size": 11, "symbol": "diamond"}, "showlegend": False,
            "error_y": error_bars([member.best_value]), "text": [hover(best)],
            "customdata": [best.key],
        })  # fmt: skip
    return traces
