"""Figures of a report, as plotly JSON; every curve comes from stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from trueness.evaluation import clopper_pearson, precision_recall_curve, reliability_diagram_data
from trueness.judge.comparison import measured
from trueness.judge.leaderboard import Arena, Row
from trueness.store import Run

COLOURS = ("#0b6e99", "#c2571a", "#5b8c2a", "#8a4fa3", "#b8860b", "#2f4b7c", "#a33b52", "#3b7d7d")
GREY, POSITIVE, NEGATIVE = "#8a8f98", "#c2571a", "#0b6e99"
MIN_ALARMS_SHOWN = 5
POINTS = 300
"""Points of a curve at most."""


def _figure(x: str, y: str, **layout: Any) -> go.Figure:  # noqa: ANN401 - plotly's layout options
    figure = go.Figure()
    figure.update_layout(
        template="simple_white", height=380, margin={"l": 60, "r": 16, "t": 12, "b": 48},
        font={"family": "system-ui, sans-serif", "size": 13}, xaxis_title=x, yaxis_title=y,
        legend={"orientation": "h", "y": -0.28}, hovermode="closest", **layout,
    )  # fmt: skip
    return figure


def _band(
    figure: go.Figure, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str
) -> None:
    r, g, b = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    figure.add_scatter(
        x=[*x, *reversed(x)], y=[*high, *reversed(low)], fill="toself", line={"width": 0},
        fillcolor=f"rgba({r},{g},{b},0.15)", hoverinfo="skip", showlegend=False,
    )  # fmt: skip


TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Alarm rates, percent, that an axis names."""


def alarm_curve(runs: Sequence[tuple[str, Run]], what: str) -> go.Figure:
    """Precision or recall of named runs over the share of days that raise an alarm.

    The first run has its exact band; baselines are grey and dashed. Unlike probabilities, alarm
    rates mean the same for every run.
    """
    figure = _figure("days with an alarm, %", what, yaxis_range=[0, 1.02])
    for i, (name, run) in enumerate(runs):
        points, grey = _points(run, what), run.spec.is_baseline
        colour = GREY if grey else COLOURS[i % len(COLOURS)]
        if i == 0:
            _band(figure, *(list(points[side]) for side in ("rate", "low", "high")), colour)
        rows = zip(*(points[n] for n in ("hits", "alarms", "low", "high")), strict=True)
        figure.add_scatter(
            x=points["rate"], y=points["value"], name=name, mode="lines",
            line={"color": colour, "dash": "dash" if grey else "solid", "width": 2},
            text=[
                f"{k} hits of {n} alarms, {what} [{a:.2f}, {b:.2f}]" for k, n, a, b in rows
            ],
        )  # fmt: skip
    lowest = min(min(line.x) for line in figure.data)
    _finish(figure, what, float(measured(runs[0][1])[0].mean()), lowest)
    return figure


def _points(run: Run, what: str) -> dict[str, NDArray[Any]]:
    """Points of a curve in equal ratios of the alarm rate: rate in percent, value, ends, counts."""
    y, score = measured(run)
    curve, level = precision_recall_curve(y, score), run.spec.evaluation.confidence_pct / 100
    (some,) = np.nonzero(curve["alarms"] >= (MIN_ALARMS_SHOWN if what == "precision" else 1))
    pick = some[np.unique(np.geomspace(1, max(1, len(some)), POINTS).astype(int)) - 1]
    hits, alarms = curve["hits"][pick].astype(int), curve["alarms"][pick].astype(int)
    of = alarms if what == "precision" else np.full(len(pick), int(y.sum()))
    ends = [clopper_pearson(int(k), int(n), level) for k, n in zip(hits, of, strict=True)]
    low, high = np.array(ends).T
    return {
        "rate": 100 * alarms / len(y), "value": curve[what][pick], "low": low, "high": high,
        "hits": hits, "alarms": alarms,
    }  # fmt: skip


def _finish(figure: go.Figure, what: str, base_rate: float, lowest: float) -> None:
    """What guessing gives, and an axis of rates in equal ratios."""
    rates = np.geomspace(lowest, 100, 50)
    guessed = np.full(50, base_rate) if what == "precision" else rates / 100
    figure.add_scatter(
        x=rates, y=guessed, mode="lines", hoverinfo="skip", name="guessing",
        line={"color": "#444", "dash": "dot", "width": 1},
    )  # fmt: skip
    figure.update_xaxes(
        type="log", range=[np.log10(lowest), 2], tickvals=TICKS, ticktext=[f"{t:g}" for t in TICKS]
    )


def calibration_curve(
    y: NDArray[np.uint8], probability: NDArray[np.float64], confidence: float, top: float = 0.0
) -> go.Figure:
    """Share of positives in ten bins of equal mass, and where it would be if every word were true.

    `top` is the end of both axes; by default what the bins need.
    """
    bins = reliability_diagram_data(probability, y, 10, "quantile", bands=confidence)
    full = bins["count"] > 0
    mean, share, low, high, count = (
        bins[k][full]
        for k in ("mean_probability", "positive_share", "band_low", "band_high", "count")
    )
    top = top or axis_end(y, probability, confidence)
    figure = _figure("mean predicted probability", "share of positives", showlegend=False)
    figure.update_layout(xaxis_range=[0, top], yaxis_range=[0, top])
    figure.add_scatter(
        x=[0, top], y=[0, top], mode="lines", line={"color": GREY, "dash": "dot"}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=mean, y=mean, mode="markers", hoverinfo="skip",
        marker={"size": 1, "color": GREY},
        error_y={
            "array": high - mean, "arrayminus": mean - low, "thickness": 7, "width": 0,
            "color": "rgba(138,143,152,0.35)",
        },
    )  # fmt: skip
    figure.add_scatter(
        x=mean, y=share, mode="markers+lines",
        text=[f"{round(s * n)} of {int(n)} days" for s, n in zip(share, count, strict=True)],
        marker={"size": 8, "color": COLOURS[0]}, line={"color": COLOURS[0]},
    )  # fmt: skip
    return figure


def axis_end(y: NDArray[np.uint8], probability: NDArray[np.float64], confidence: float) -> float:
    """End of the axes of a calibration curve that shows all of it."""
    bins = reliability_diagram_data(probability, y, 10, "quantile", bands=confidence)
    names = ("mean_probability", "positive_share", "band_high")
    return 1.05 * max(0.3, *(float(np.nanmax(bins[name])) for name in names))


def reliability(row: Row) -> go.Figure:
    """Share of positives against mean probability, in ten bins of equal mass.

    Intervals are exact.
    """
    y, score = measured(row.run)
    bins = reliability_diagram_data(expit(score), y, 10, "quantile")
    full = bins["count"] > 0
    mean, share, count = (bins[k][full] for k in ("mean_probability", "positive_share", "count"))
    intervals = [clopper_pearson(round(s * n), int(n)) for s, n in zip(share, count, strict=True)]
    low, high = (np.array(side) for side in zip(*intervals, strict=True))
    top = float(max(mean.max(), high.max(), 0.3)) * 1.05
    figure = _figure("mean predicted probability", "share of positives", showlegend=False)
    figure.add_scatter(
        x=[0, top], y=[0, top], mode="lines", line={"color": GREY, "dash": "dot"}, hoverinfo="skip"
    )
    figure.add_scatter(
        x=mean, y=share, mode="markers+lines",
        marker={"size": 8, "color": COLOURS[0]}, line={"color": COLOURS[0]},
        error_y={"array": high - share, "arrayminus": share - low, "thickness": 1},
        text=[f"{int(n)} days" for n in count],
    )  # fmt: skip
    return figure


def histogram(row: Row) -> go.Figure:
    """Scores of positives and negatives, each class as shares of its own size."""
    y, score = measured(row.run)
    figure = _figure("predicted probability", "share of the class", barmode="overlay")
    for label, name, colour in ((0, "not reached", NEGATIVE), (1, "reached", POSITIVE)):
        share, edges = np.histogram(expit(score[y == label]), bins=40, range=(0, 1))
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2, y=share / max(1, share.sum()), width=1 / 40,
            name=f"{name} ({int(share.sum())})", marker={"color": colour}, opacity=0.55,
        )  # fmt: skip
    return figure


def learning_curves(row: Row) -> go.Figure | None:
    """Loss in training and validation per epoch, one colour per fold, the best epoch marked."""
    history = row.run.history()
    if not len(history):
        return None
    figure = _figure("epoch", "loss")
    for (fold,), epochs in history.group_by("fold", maintain_order=True):
        colour, best = COLOURS[int(fold) % len(COLOURS)], row.run.record["best_epochs"][int(fold)]
        for column, dash in (("train_loss", "dot"), ("val_loss", "solid")):
            figure.add_scatter(
                x=epochs["epoch"], y=epochs[column], mode="lines",
                line={"color": colour, "dash": dash},
                name=f"fold {int(fold) + 1} {'training' if dash == 'dot' else 'validation'}",
                text=[f"validation AUC {a:.3f}" for a in epochs["val_auc"]],
            )  # fmt: skip
        chosen = epochs.filter(pl.col("epoch") == best)
        figure.add_scatter(
            x=chosen["epoch"], y=chosen["val_loss"], mode="markers", showlegend=False,
            marker={"color": colour, "size": 9},
            hovertext=f"fold {int(fold) + 1}: epoch {best} is kept",
        )  # fmt: skip
    return figure


def ladder(arena: Arena) -> go.Figure:
    """AUC of the baselines and the networks with their intervals, chance at 0.5."""
    rows = sorted(arena.rows, key=lambda row: row.estimates["auc"].value or 0.0)[-30:]
    figure = _figure("AUC", "", showlegend=False)
    figure.update_layout(height=90 + 22 * len(rows), yaxis={"automargin": True})
    for row in rows:
        auc = row.estimates["auc"]
        if auc.value is None or auc.low is None or auc.high is None:
            continue
        colour = GREY if row.run.spec.is_baseline else COLOURS[0]
        above, below = [auc.high - auc.value], [auc.value - auc.low]
        figure.add_scatter(
            x=[auc.value], y=[row.name], text=[row.title], marker={"color": colour, "size": 9},
            error_x={"array": above, "arrayminus": below, "thickness": 1.4},
        )  # fmt: skip
    figure.add_vline(x=0.5, line={"color": "#444", "dash": "dot", "width": 1})
    return figure
