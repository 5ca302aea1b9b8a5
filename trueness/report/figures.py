"""Figures of documents as plotly takes them: colours, one template, whole ticks, no gaps of NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trueness.document import Figure, numbers
from trueness.report.cells import clean
from trueness.report.palette import rgba

HEIGHT = 380
MOST_WHOLE = 12
"""Span of an axis of whole numbers up to which each has a tick; beyond, plotly's are whole."""
MOST_DECADES = 2.6
"""Span of a logarithmic axis up to which 2 and 5 of each decade have a tick as well."""
AXIS = {
    "automargin": True, "showline": True, "linecolor": "grey", "ticks": "outside", "ticklen": 4,
    "tickcolor": "grey", "gridcolor": "line", "zeroline": False,
    "title": {"standoff": 10, "font": {"size": 13}},
}  # fmt: skip
TEMPLATE: dict[str, Any] = {"layout": {
    "font": {"family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif", "size": 13,
             "color": "ink"},
    "paper_bgcolor": "paper", "plot_bgcolor": "paper",
    "margin": {"l": 56, "r": 16, "t": 30, "b": 44},
    "colorway": [f"series-{i}" for i in range(8)],
    "title": {"font": {"size": 14}, "x": 0.5, "xanchor": "center", "y": 0.98, "yanchor": "top"},
    "hovermode": "closest",
    "hoverlabel": {"bgcolor": "wash", "bordercolor": "grey", "align": "left",
                   "font": {"color": "ink", "size": 12.5}},
    "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
               "font": {"size": 12.5}},
    "xaxis": {**AXIS, "showgrid": False},
    "yaxis": {**AXIS, "showgrid": True},
    "annotationdefaults": {"font": {"size": 13, "color": "ink"}, "arrowcolor": "soft"},
    "shapedefaults": {"line": {"color": "soft"}},
}}  # fmt: skip
"""The one template; an axis is quiet, a legend stands above."""


def to_plotly(figure: Figure, dark: bool = False) -> dict[str, Any]:
    """Data and layout with template and colours, for ``plotly.graph_objects.Figure``.

    Examples
    --------
    >>> shown = to_plotly(Figure([{"x": [1], "y": [2], "line": {"color": "series-1/0.5"}}]))
    >>> shown["data"][0]["line"]["color"], shown["layout"]["height"]
    ('rgba(194,87,26,0.5)', 380)
    """
    data, layout = plain(figure, dark)
    return {"data": data, "layout": {**layout, "template": template(dark)}}


def template(dark: bool = False) -> dict[str, Any]:
    """The template with its colours."""
    return _resolved(TEMPLATE, dark)


def plain(figure: Figure, dark: bool = False) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Traces and layout as JSON can hold them, colours by number, without the template."""
    layout: dict[str, Any] = {"height": HEIGHT, **figure.layout}
    for name in [n for n in layout if n[:5] in ("xaxis", "yaxis")]:
        layout[name] = _axis(layout[name], name, figure.data)
    data = [_trace(trace) for trace in figure.data]
    return _resolved(data, dark), _resolved(layout, dark)


def has_points(figure: Figure) -> bool:
    """Whether there is anything to see: one point whose coordinates are all known.

    Examples
    --------
    >>> has_points(Figure([{"x": [1, 2], "y": [None, float("nan")]}]))
    False
    """
    return any(_drawn(trace) for trace in figure.data)


def _drawn(trace: Mapping[str, Any]) -> bool:
    sides = [_listed(trace[name]) for name in ("x", "y", "values") if trace.get(name) is not None]
    return bool(sides) and any(
        all(_known(value) for value in point) for point in zip(*sides, strict=False)
    )


def _listed(values: Any) -> list[Any]:  # noqa: ANN401 - whatever plotly takes
    listed = values.tolist() if hasattr(values, "tolist") else values
    return list(listed) if isinstance(listed, Sequence) else [listed]


def _known(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _trace(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Trace with its type; error bars of points in many colours, which plotly makes black, grey."""
    many = isinstance(trace.get("marker", {}).get("color"), list | tuple)
    bars = [name for name in ("error_x", "error_y") if many and name in trace]
    return {"type": "scatter", **trace, **{n: {"color": "grey", **trace[n]} for n in bars}}


def _axis(axis: Mapping[str, Any], name: str, data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Axis with ticks that do not collide: whole numbers, and 1, 2, 5 of decades."""
    side = name[0]
    values = [
        value for trace in data if trace.get(f"{side}axis", side) == side + name[5:]
        for value in _listed(trace.get(side, []))
        if isinstance(value, int | float) and _known(value)
    ]  # fmt: skip
    rest = {key: value for key, value in axis.items() if key != "integer"}
    if axis.get("integer"):
        narrow = not values or max(values) - min(values) <= MOST_WHOLE
        return {"tickformat": ",d", **({"dtick": 1} if narrow else {}), **rest}
    if axis.get("type") == "log":
        ends = axis.get("range") or [math.log10(x) for x in values if x > 0]
        return {**_log_ticks(ends), **rest}
    return rest


def _log_ticks(ends: Sequence[float]) -> dict[str, Any]:
    """Ticks of a logarithmic axis between powers of ten; few enough to be read.

    Examples
    --------
    >>> _log_ticks([-4, -2])["ticktext"]
    ['0.0001', '0.0002', '0.0005', '0.001', '0.002', '0.005', '0.01']
    >>> _log_ticks([2, 7])["ticktext"]
    ['100', '1k', '10k', '100k', '1M', '10M']
    """
    if not ends:
        return {}
    low, high = min(ends), max(ends)
    digits = (1, 2, 5) if high - low <= MOST_DECADES else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [d * 10.0**k for k in powers for d in digits]
    margin = 0.05 * (high - low) + 1e-9
    shown = [x for x in ticks if low - margin <= math.log10(x) <= high + margin]
    text = [numbers.short(x) if x >= 1000 else numbers.plain(x) for x in shown]
    return {"tickvals": shown, "ticktext": text}


def _resolved(content: Any, dark: bool, key: str = "") -> Any:  # noqa: ANN401 - plotly's JSON
    """Plain copy: colours by number, titles as plotly takes them, None for what is not finite."""
    if hasattr(content, "tolist"):
        content = content.tolist()
    if isinstance(content, Mapping):
        return {name: _resolved(value, dark, name) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_resolved(value, dark, key) for value in content]
    if isinstance(content, str):
        return _text(content, dark, key)
    return _rounded(content) if isinstance(content, float) else content


def _text(text: str, dark: bool, key: str) -> Any:  # noqa: ANN401 - plotly's JSON
    if key == "title":
        return {"text": clean(text)}
    return rgba(text, dark) if "color" in key else clean(text)


def _rounded(x: float) -> float | None:
    """Seven digits, which no screen resolves; None if not finite."""
    return float(f"{x:.7g}") if abs(x) < 1e6 else x if math.isfinite(x) else None
