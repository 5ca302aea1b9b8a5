"""Pictures about titles: scores per language, confusions, differences of methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from trueness.evaluation import Estimate, MethodComparison, Slice, Slices
from trueness.judge.figures import COLOURS
from trueness.judge.studies.figures import _bars, _layout
from trueness.judge.titles.words import VERDICTS

SHARES = [[0.0, "#ffffff"], [0.02, "#e3eff5"], [1.0, "#0b6e99"]]
SIGNED = [[0.0, "#c2571a"], [0.5, "#ffffff"], [1.0, "#0b6e99"]]
MARKS = {"better": "▲", "worse": "▼", "tied": "", "unknown": "?"}
"""Verdict -> what a cell of the heat map shows beside its number."""
SMALLEST_SCALE, LARGEST_SCALE = 0.01, 0.10
"""Half width of the colours of differences; more is as dark as that."""


def scores_by_language(runs: Mapping[str, Slices]) -> go.Figure:
    """Macro-F1 of each language with its interval, the runs side by side."""
    return _dots(
        {name: {n: s.macro_f1 for n, s in run.languages.items()} for name, run in runs.items()},
        "macro-F1", _names(runs), [0, 1],
    )  # fmt: skip


def errors_by_language(runs: Mapping[str, Slices]) -> go.Figure:
    """Calibration error of each language with its interval, the runs side by side."""
    return _dots(
        {
            name: {n: s.calibration["calibration_error"] for n, s in run.languages.items()}
            for name, run in runs.items()
        },
        "calibration error", _names(runs), None,
    )  # fmt: skip


def _names(runs: Mapping[str, Slices]) -> dict[str, str]:
    """Languages of all runs, the largest first, with their numbers of texts."""
    rows: dict[str, int] = {}
    for run in runs.values():
        for name, one in run.languages.items():
            rows.setdefault(name, one.rows)
    return {name: f"{name}<br>{n:,}" for name, n in rows.items()}


def _dots(
    series: Mapping[str, Mapping[str, Estimate]], title: str, names: Mapping[str, str],
    limits: list[float] | None,
) -> go.Figure:  # fmt: skip
    """A dot with its interval per series and name."""
    figure, places = go.Figure(), {name: i for i, name in enumerate(names)}
    step = 0.6 / max(1, len(series))
    for i, (name, values) in enumerate(series.items()):
        some = {n: e for n, e in values.items() if e.value is not None}
        shift = (i - (len(series) - 1) / 2) * step
        figure.add_scatter(
            x=[places[n] + shift for n in some], y=[e.value for e in some.values()], name=name,
            mode="markers", marker={"color": COLOURS[i % len(COLOURS)], "size": 8},
            error_y=_bars(list(some.values())), text=[f"{n}: {e}" for n, e in some.items()],
            hoverinfo="text+name",
        )  # fmt: skip
    figure.update_layout(
        xaxis={"tickvals": list(places.values()), "ticktext": list(names.values()), "tickangle": 0,
               "range": [-0.6, len(places) - 0.4]},
        yaxis={"title": title, "rangemode": "tozero", "range": limits},
    )  # fmt: skip
    return _layout(figure, 400, showlegend=len(series) > 1)


def confusion(one: Slice, classes: tuple[str, ...]) -> go.Figure:
    """How the texts of each class were predicted, in percent of the class; counts on hover."""
    counts = np.array(one.confusion)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(100 * counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    labels = [f"{name} ({n:,})" for name, n in zip(classes, total[:, 0], strict=True)]
    figure = go.Figure(go.Heatmap(
        z=share, x=classes, y=labels, colorscale=SHARES, zmin=0, zmax=100, xgap=1, ygap=1,
        customdata=counts,
        hovertemplate="%{y} as %{x}: %{customdata} texts, %{z:.0f} %<extra></extra>",
        text=[[_percent(v) for v in row] for row in share], texttemplate="%{text}",
        textfont={"size": 10}, showscale=False,
    ))  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True, dtick=1)
    figure.update_xaxes(side="top", tickangle=-45, automargin=True, dtick=1)
    figure = _layout(figure, 150 + 24 * len(classes))
    figure.update_layout(margin={"t": 20})
    return figure


def _percent(value: float) -> str:
    """Whole percent; nothing below one half."""
    return f"{value:.0f}" if value >= 0.5 else ""


def differences(found: MethodComparison) -> go.Figure | None:
    """Macro-F1 of each method minus that of the reference, per language; None for one method."""
    names = [name for name in found.ranked if found.methods[name].languages_against]
    if not names:
        return None
    languages = list(found.methods[names[0]].languages_against)
    contrasts = [[found.methods[n].languages_against[g] for g in languages] for n in names]
    values = np.array([[100 * (c.pointwise.value or 0.0) for c in row] for row in contrasts])
    widest = 100 * min(LARGEST_SCALE, max(SMALLEST_SCALE, float(np.abs(values).max()) / 100))
    figure = go.Figure(go.Heatmap(
        z=values, x=languages, y=names, colorscale=SIGNED, zmin=-widest, zmax=widest, xgap=1,
        ygap=1, text=[[_cell(c.pointwise.value, c.verdict) for c in row] for row in contrasts],
        texttemplate="%{text}", textfont={"size": 11}, hoverinfo="text",
        hovertext=[
            [f"{n} in {g}: {c.simultaneous}, {VERDICTS[c.verdict]}"
             for g, c in zip(languages, row, strict=True)]
            for n, row in zip(names, contrasts, strict=True)
        ],
        colorbar={"title": "points", "thickness": 12},
    ))  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True, dtick=1)
    figure.update_xaxes(side="top", dtick=1)
    return _layout(figure, 100 + 34 * len(names))


def _cell(value: float | None, verdict: str) -> str:
    return "–" if value is None else f"{100 * value:+.1f} {MARKS[verdict]}".strip()


def pictures(runs: Mapping[str, Slices]) -> dict[str, go.Figure]:
    """Caption -> figure of some runs together."""
    error = "Calibration error of the largest probability per language; ten bins of equal mass"
    return {
        "Macro-F1 per language, number of texts beneath": scores_by_language(runs),
        error: errors_by_language(runs),
    }


def confusions(found: Slices) -> dict[str, go.Figure]:
    """Caption -> confusion of all texts, of English and of the worst language."""
    some: dict[str, Any] = {"all texts": found.overall}
    for name, caption in (("en", "English"), (found.worst, f"{found.worst}, the worst language")):
        if name in found.languages and name not in some:
            some[caption] = found.languages[name]
    return {
        f"Predictions in percent of each class, {caption}": confusion(one, found.classes)
        for caption, one in some.items()
    }
