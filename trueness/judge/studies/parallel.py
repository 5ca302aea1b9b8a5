"""Configurations of a study as lines over its parameters."""

from __future__ import annotations

from typing import Any

from trueness.document import Figure
from trueness.judge.studies.analysis import Analysis
from trueness.judge.studies.figures import hover
from trueness.judge.studies.trials import Trial, Value, order
from trueness.judge.studies.words import level_text

BEST = 5
"""One of so many configurations is drawn in colour, the best ones."""
PX = 120
"""Width of a parameter."""


def parallel_coordinates(analysis: Analysis) -> Figure | None:
    """A line per configuration over its parameters, levels in their order; None below two.

    Inselberg, "The plane with parallel coordinates" (1985). A parameter has its levels from its
    smallest at the foot to its largest at the top, at equal distances.
    """
    study = analysis.study
    tried = {name: sorted({t.params[name] for t, _, _ in study.configurations if name in t.params},
                          key=order) for name in study.space}  # fmt: skip
    levels = {name: some for name, some in tried.items() if len(some) > 1}
    if len(levels) < 2:
        return None
    ranked = sorted(study.configurations, key=lambda one: -one[1])
    best = max(1, len(ranked) // BEST)
    traces = [
        _lines([t for t, _, _ in some], levels, *style)
        for some, style in (
            (ranked[best:], ("others", "grey/0.35", 1.0)),
            (ranked[:best], ("best fifth", "series-0", 2.0)),
        )
        if some
    ]
    names = list(levels)
    ends = [
        {"x": i, "y": y, "text": level_text(levels[n][at]), "showarrow": False, "yshift": shift}
        for i, n in enumerate(names) for y, at, shift in ((0, 0, -12), (1, -1, 12))
    ]  # fmt: skip
    layout = {
        "xaxis": {"tickvals": list(range(len(names))), "ticktext": names,
                  "range": [-0.3, len(names) - 0.7]},
        "yaxis": {"visible": False, "range": [-0.15, 1.15]}, "annotations": ends,
        "hovermode": "closest",
    }  # fmt: skip
    note = "Configurations as lines over their parameters, levels in order; in colour the best."
    return Figure(traces, layout, note, PX * len(names))


def _lines(
    some: list[Trial], levels: dict[str, list[Value]], name: str, colour: str, width: float
) -> dict[str, Any]:
    x: list[int | None] = []
    y: list[float | None] = []
    for trial in some:
        for i, (parameter, known) in enumerate(levels.items()):
            there = parameter in trial.params
            x.append(i)
            y.append(known.index(trial.params[parameter]) / (len(known) - 1) if there else None)
        x.append(None)
        y.append(None)
    each = len(levels) + 1
    return {
        "type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": y,
        "line": {"color": colour, "width": width}, "marker": {"color": colour, "size": 4},
        "text": [text for t in some for text in [hover(t)] * each], "hoverinfo": "text",
        "customdata": [key for t in some for key in [t.key] * each],
    }  # fmt: skip
