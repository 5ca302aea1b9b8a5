"""Thresholds as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from trueness.errors import StoreError
from trueness.judge.figures import COLOURS, MIN_ALARMS_SHOWN
from trueness.report.threshold_tables import base_text, caption, choice_row, sweep_row
from trueness.judge.thresholds import Demand, RunThresholds

RUNS_IN_DETAIL = 6
POINTS = 300
MARKS = {
    "same days": ("circle", "●"),
    "same days, lower end": ("diamond", "◆"),
    "earlier days": ("x", "✖"),
}
"""Plotly's name of a rule's mark, and how it looks in text."""


def _figure(x: str, y: str, **layout: Any) -> go.Figure:  # noqa: ANN401 - plotly's layout options
    figure = go.Figure()
    figure.update_layout(
        template="simple_white", height=380, margin={"l": 60, "r": 16, "t": 12, "b": 48},
        font={"family": "system-ui, sans-serif", "size": 13}, xaxis_title=x, yaxis_title=y,
        showlegend=False, **layout,
    )  # fmt: skip
    return figure


def _shown(one: RunThresholds, what: str) -> NDArray[np.int64]:
    """Rows to draw: a precision needs some alarms; at most some hundreds, evenly spread."""
    enough = one.sweep.alarms >= (MIN_ALARMS_SHOWN if what == "precision" else 1)
    rows = np.flatnonzero(enough & np.isfinite(one.sweep.cut))
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(int))]


def curve(one: RunThresholds, what: str, over: str) -> go.Figure:
    """Precision or recall with its exact band, over the threshold or over the alarms a year."""
    table, rows = one.sweep.columns(), _shown(one, what)
    x, low, high = (table[name][rows] for name in (over, f"{what}_low", f"{what}_high"))
    wide = over != "probability"
    figure = _figure(
        "alarms a year" if wide else "alarm from this probability on", what,
        yaxis_range=[0, 1.04], xaxis={"type": "log"} if wide else {"range": [0, 1]},
    )  # fmt: skip
    figure.add_scatter(
        x=[*x, *x[::-1]], y=[*high, *low[::-1]], fill="toself", line={"width": 0},
        fillcolor="rgba(11,110,153,0.15)", hoverinfo="skip", name=f"{_percent(one)} interval",
    )  # fmt: skip
    hits, alarms = table["hits"][rows], table["alarms"][rows]
    figure.add_scatter(
        x=x, y=table[what][rows], mode="lines", line={"color": COLOURS[0]}, name=what,
        text=[f"{k} hits of {n} alarms" for k, n in zip(hits, alarms, strict=True)],
    )  # fmt: skip
    _marks(figure, one, what, over)
    if what == "precision":
        figure.add_hline(
            y=one.sweep.positives / one.sweep.n, annotation_text="base rate",
            annotation_position="top left" if wide else "top right",
            line={"color": "#444", "dash": "dot", "width": 1},
        )  # fmt: skip
    return figure


def _marks(figure: go.Figure, one: RunThresholds, what: str, over: str) -> None:
    """The thresholds that were chosen, each with the interval of its estimate."""
    demands = _demands(one)
    for choice in (c for c in one.choices if c.feasible):
        estimate, colour = getattr(choice, what), COLOURS[1 + demands.index(choice.demand)]
        x = choice.alarms_per_year if over != "probability" else choice.probabilities[0]
        if len(choice.probabilities) > 1 and over == "probability":
            continue  # one for every fold
        if estimate.value is None or not x:
            continue
        figure.add_scatter(
            x=[x], y=[estimate.value], mode="markers", name=f"{choice.demand}, {choice.rule}",
            marker={"size": 10, "symbol": MARKS[choice.rule][0], "color": colour},
            error_y={
                "array": [estimate.high - estimate.value], "thickness": 1,
                "arrayminus": [estimate.value - estimate.low],
            },
            text=[str(estimate)], cliponaxis=False,
        )  # fmt: skip


def _demands(one: RunThresholds) -> list[Demand]:
    return list(dict.fromkeys(choice.demand for choice in one.choices))


def _percent(one: RunThresholds) -> str:
    return f"{100 * one.sweep.confidence:g} %"


def write_threshold_page(found: Sequence[RunThresholds], ledger: Sequence[str], path: Path) -> None:
    """Write the thresholds of some runs; the first six with curves.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("trueness.report", "."), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("thresholds.html.j2").render(
        runs=[_run(one, i < RUNS_IN_DETAIL) for i, one in enumerate(found)],
        ledger=ledger,
        plotly=get_plotlyjs(),
    )
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the page cannot be written ({error.strerror})") from None


def _run(one: RunThresholds, detailed: bool) -> dict[str, Any]:
    over = "alarms_per_year" if one.sweep.years is not None else "alarms"
    wanted = (("precision", "probability"), ("recall", "probability"), ("precision", over))
    drawn = [_html(curve(one, what, x)) for what, x in wanted] if detailed else []
    rows = [sweep_row(one.sweep.threshold(int(i))) for i in _shown(one, "recall")]
    return {
        "one": one,
        "base": base_text(one),
        "percent": _percent(one),
        "caption": caption(one),
        "choices": [choice_row(choice) for choice in one.choices],
        "colours": {str(d): COLOURS[1 + i] for i, d in enumerate(_demands(one))},
        "marks": {rule: MARKS[rule][1] for rule in dict.fromkeys(c.rule for c in one.choices)},
        "figures": drawn,
        "rows": rows if detailed else [],
    }


def _html(figure: go.Figure) -> str:
    options = {"displayModeBar": False, "responsive": True}
    return figure.to_html(full_html=False, include_plotlyjs=False, config=options)
