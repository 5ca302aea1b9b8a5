"""Pictures of a study: values in order, levels, importance, coverage; and values over true size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from trueness.evaluation import Estimate
from trueness.judge.figures import COLOURS, GREY
from trueness.judge.studies.across import Group
from trueness.judge.studies.analysis import Analysis, LevelRow, Point, grouped, matrices
from trueness.judge.studies.text import plural, size
from trueness.judge.studies.trials import Trial, order

BLUE, ORANGE = COLOURS[0], COLOURS[1]
FONT = {"family": "system-ui, sans-serif", "size": 13}
SCALE = [[0.0, "#ffffff"], [0.001, "#e3eff5"], [1.0, "#0b6e99"]]
ACROSS = 4
"""Small pictures side by side."""


def _layout(figure: go.Figure, height: int, **more: Any) -> go.Figure:  # noqa: ANN401 - plotly's
    """Common look; titles of small pictures are set small."""
    figure.update_layout(
        template="simple_white", height=height, font=FONT, hovermode="closest",
        margin={"l": 60, "r": 16, "t": 34, "b": 48},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0}, **more,
    )  # fmt: skip
    figure.update_annotations(font_size=13)
    return figure


def _bars(estimates: Sequence[Estimate]) -> dict[str, Any]:
    """Error bars of estimates; none where there is no interval."""

    def length(e: Estimate, end: float | None) -> float:
        return 0.0 if e.value is None or end is None else abs(end - e.value)

    return {
        "type": "data", "symmetric": False, "thickness": 1.4, "width": 4,
        "array": [length(e, e.high) for e in estimates],
        "arrayminus": [length(e, e.low) for e in estimates],
    }  # fmt: skip


def pictures(found: Analysis) -> dict[str, go.Figure]:
    """Caption -> figure, in the order of the page."""
    n, once = len(found.study.completed), len(found.study.configurations)
    return {
        f"Values of {plural(n, 'trial')} in their order, the best so far, the error of the best":
            convergence(found),
        f"Values of {plural(once, 'configuration')} by level; means with 95 % intervals, n beneath":
            levels(found),
        "Importance: published share, additive share with its interval, and what chance would give":
            importance(found),
        "Coverage: trials of each pair, their mean beneath; grey cannot be, white was not tried":
            coverage_maps(found),
    }  # fmt: skip


def _hover(trial: Trial) -> str:
    rows = [f"trial {trial.number}", *(f"{k} {v}" for k, v in trial.params.items())]
    return "<br>".join([*rows, f"{size(trial.parameters)} weights"])


def convergence(found: Analysis) -> go.Figure:
    """Value of every trial, forced ones marked, with the best so far."""
    figure, study = go.Figure(), found.study
    for forced, name, colour, symbol in (
        (False, "sampled", BLUE, "circle"), (True, "forced", ORANGE, "diamond")
    ):  # fmt: skip
        some = [t for t in study.completed if bool(t.forced) == forced]
        if some:
            figure.add_scatter(
                x=[t.number for t in some], y=[t.value for t in some], name=name, mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.75},
                text=[_hover(t) for t in some],
            )  # fmt: skip
    figure.add_scatter(
        x=[t.number for t in study.completed], y=found.convergence, name="best so far",
        mode="lines", line={"color": "#444", "shape": "hv", "width": 1.4},
    )  # fmt: skip
    best = found.best_value
    if best.low is not None:
        figure.add_scatter(
            x=[study.completed[-1].number + 1], y=[best.value], name="best, 95 % interval",
            mode="markers", marker={"color": "#444", "size": 8}, error_y=_bars([best]),
        )  # fmt: skip
    figure.update_layout(xaxis_title="trial", yaxis_title=study.measure)
    return _layout(figure, 380)


def levels(found: Analysis) -> go.Figure:
    """A small picture per parameter: configurations as dots, means with intervals."""
    names = list(found.by_value)
    rows = -(-len(names) // ACROSS) or 1
    figure = make_subplots(
        rows, min(ACROSS, len(names)) or 1, subplot_titles=names, shared_yaxes="all",
        horizontal_spacing=0.02, vertical_spacing=0.3 / rows,
    )  # fmt: skip
    for i, name in enumerate(names):
        _level_picture(figure, found, name, (i // ACROSS + 1, i % ACROSS + 1))
    for row in range(rows):
        figure.update_yaxes(title_text=found.study.measure, row=row + 1, col=1)
    return _layout(figure, 60 + 270 * rows, showlegend=False)


def _level_picture(figure: go.Figure, found: Analysis, name: str, place: tuple[int, int]) -> None:
    groups, row, col = grouped(found.study, name), *place
    rows: Sequence[LevelRow] = found.by_value[name]
    where = {r.level: i for i, r in enumerate(rows)}
    some = [(t, v) for t, v, _ in found.study.configurations if name in t.params]
    spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(some))
    x = [where[groups[t.params[name]]] + s for (t, _), s in zip(some, spread, strict=True)]
    figure.add_scatter(
        x=x, y=[v for _, v in some], mode="markers", text=[_hover(t) for t, _ in some],
        marker={"color": GREY, "size": 5, "opacity": 0.7}, row=row, col=col,
    )  # fmt: skip
    estimates = [r.estimate for r in rows]
    figure.add_scatter(
        x=list(range(len(rows))), y=[e.value for e in estimates], mode="markers",
        marker={"color": BLUE, "size": 9}, error_y=_bars(estimates), row=row, col=col,
    )  # fmt: skip
    labels = [f"{_short(r.level)}<br><sub>{r.estimate.n}</sub>" for r in rows]
    figure.update_xaxes(tickvals=list(range(len(rows))), ticktext=labels, tickangle=0,
                        row=row, col=col)  # fmt: skip


def _short(level: object) -> str:
    return f"{level:g}" if isinstance(level, float) else str(level)


def importance(found: Analysis) -> go.Figure:
    """Published and additive shares side by side, chance as short lines."""
    some = sorted(found.importance, key=lambda i: i.published or 0.0)
    places, figure = np.arange(len(some)), go.Figure()
    names = [i.name for i in some]
    figure.add_bar(
        x=[i.published for i in some], y=places + 0.19, width=0.34, orientation="h",
        name="published", marker={"color": "#c9ced6"},
    )  # fmt: skip
    shares = [(y, i.additive) for y, i in zip(places, some, strict=True) if i.additive]
    if shares:
        figure.add_bar(
            x=[e.value for _, e in shares], y=[y - 0.19 for y, _ in shares], width=0.34,
            orientation="h", name="additive share", marker={"color": BLUE},
            error_x=_bars([e for _, e in shares]),
        )  # fmt: skip
    chances = [(i.published_chance, y + 0.19) for i, y in zip(some, places, strict=True)]
    chances += [(i.additive_chance, y - 0.19) for i, y in zip(some, places, strict=True)]
    figure.add_scatter(
        x=[c for c, _ in chances], y=[y for _, y in chances], mode="markers", name="by chance",
        marker={"symbol": "line-ns", "size": 12, "line": {"width": 2, "color": ORANGE}},
    )  # fmt: skip
    figure.update_layout(
        xaxis={"title": "share of variance", "rangemode": "tozero"}, barmode="overlay",
        yaxis={"tickvals": list(places), "ticktext": names, "automargin": True},
    )  # fmt: skip
    return _layout(figure, 130 + 48 * len(some))


def coverage_maps(found: Analysis) -> go.Figure:
    """Heat maps of how often each pair of levels was tried."""
    maps = matrices(found.study)
    names = [f"{one} × {two}" for (one, two), _, _ in maps]
    figure = make_subplots(1, max(1, len(maps)), subplot_titles=names, horizontal_spacing=0.08)
    for i, ((one, two), counts, means) in enumerate(maps):
        down = sorted({a for a, _ in counts}, key=order)
        right = sorted({b for _, b in counts}, key=order)
        points = [[(a, b) for b in right] for a in down]
        figure.add_heatmap(
            z=[[counts.get(p) for p in line] for line in points],
            text=[[_cell(counts, means, p) for p in line] for line in points],
            x=[_short(b) for b in right], y=[_short(a) for a in down], texttemplate="%{text}",
            colorscale=SCALE, showscale=False, zmin=0, xgap=2, ygap=2, hoverinfo="skip",
            textfont={"size": 11}, row=1, col=i + 1,
        )  # fmt: skip
        figure.update_xaxes(title_text=two, type="category", row=1, col=i + 1)
        figure.update_yaxes(title_text=one, type="category", row=1, col=i + 1)
    _layout(figure, 380)
    return figure.update_layout(plot_bgcolor="#d5d9df")


def _cell(counts: dict[Point, int], means: dict[Point, float], point: Point) -> str:
    if not counts.get(point):
        return ""
    return f"{counts[point]}<br>{means[point]:.3f}"


def sizes_picture(groups: Iterable[Group]) -> go.Figure:
    """Values over true size, one small picture per group, colours by label.

    The best of each label carries its error.
    """
    groups = list(groups)
    figure = make_subplots(
        1, max(1, len(groups)), subplot_titles=[g.name for g in groups], shared_yaxes=True,
        horizontal_spacing=0.02,
    )  # fmt: skip
    labels = list(dict.fromkeys(m.study.budget for g in groups for m in g.members))
    shown: set[str] = set()
    for col, group in enumerate(groups, 1):
        for member in group.members:
            label = member.study.budget
            colour = COLOURS[labels.index(label) % len(COLOURS)]
            _sized(figure, member, colour, col, first=label not in shown)
            shown.add(label)
        figure.update_xaxes(type="log", title_text="true number of weights", row=1, col=col,
                            dtick=1, exponentformat="SI")  # fmt: skip
    measure = groups[0].members[0].study.measure if groups else "value"
    figure.update_yaxes(title_text=measure, row=1, col=1)
    _layout(figure, 460)
    return figure.update_layout(legend={"y": -0.2, "yanchor": "top"})


def _sized(figure: go.Figure, member: Analysis, colour: str, col: int, *, first: bool) -> None:
    some = [(t, v) for t, v, _ in member.study.configurations if t.parameters]
    figure.add_scatter(
        x=[t.parameters for t, _ in some], y=[v for _, v in some], mode="markers",
        name=f"label {member.study.budget}", legendgroup=member.study.budget, showlegend=first,
        marker={"color": colour, "size": 5, "opacity": 0.55}, text=[_hover(t) for t, _ in some],
        row=1, col=col,
    )  # fmt: skip
    if member.best.parameters:
        figure.add_scatter(
            x=[member.best.parameters], y=[member.best.value], mode="markers", row=1, col=col,
            marker={"color": colour, "size": 11, "symbol": "diamond"}, showlegend=False,
            error_y=_bars([member.best_value]), text=[_hover(member.best)],
        )  # fmt: skip
