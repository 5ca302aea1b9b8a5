"""Figures about alarms and probabilities, as data; every point comes from predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from trueness.document import Figure
from trueness.document.numbers import count, interval, level, plain
from trueness.evaluation.blocks import Blocks
from trueness.evaluation.calibration import reliability_diagram_data
from trueness.evaluation.design_effects import Residuals, of_share
from trueness.evaluation.intervals import exact_bounds
from trueness.evaluation.metrics import precision_recall_curve
from trueness.evaluation.resampling import SortedScores
from trueness.judge.comparison import measured_part
from trueness.predictions import Predictions
from trueness.store import Run

Array = NDArray[np.float64]
Trace = dict[str, Any]
MIN_ALARMS_SHOWN = 5
"""Precisions of fewer alarms are not drawn."""
POINTS = 300
"""Points of a curve at most."""
BINS = 10
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
"""Alarm rates, percent, that an axis names."""


def axes(x: str, y: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - plotly's layout options
    """Layout with titles of both axes; options of an axis as ``xaxis={…}``."""
    ends = {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}}
    for name in ends:
        ends[name] |= more.pop(name, {})
    return ends | more


def band(x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str) -> Trace:
    """Area between two lines over x, (n,) each."""
    x, low, high = (np.asarray(values, np.float64) for values in (x, low, high))
    return {
        "x": [*x.tolist(), *x[::-1].tolist()], "y": [*high.tolist(), *low[::-1].tolist()],
        "fill": "toself", "line": {"width": 0}, "fillcolor": f"{colour}/0.15",
        "hoverinfo": "skip", "showlegend": False, "mode": "lines",
    }  # fmt: skip


def dotted(x: Sequence[float], y: Sequence[float], name: str) -> Trace:
    """Line that guides the eye, such as chance."""
    return {
        "x": list(x), "y": list(y), "mode": "lines", "hoverinfo": "skip", "name": name,
        "line": {"color": "grey", "dash": "dot", "width": 1},
    }  # fmt: skip


# ------------------------------------------------------------------------------------- alarm rates


def alarm_curve(runs: Sequence[tuple[str, Run]], what: str) -> Figure:
    """Precision or recall of named runs over the share of units that raise an alarm.

    The first run has a band; baselines are dashed, one alone is grey. Unlike probabilities, alarm
    rates mean the same for every run.

    Parameters
    ----------
    runs : sequence of (name, run)
        On the same units.
    what : {"precision", "recall"}
    """
    parts = [measured_part(run) for _, run in runs]
    rule = runs[0][1].estimands
    confidence = rule.confidence
    points = [_points(part, what, rule.block, confidence) for part in parts]
    grey = sum(run.spec.is_baseline for _, run in runs) == 1
    lines: list[Trace] = []
    for i, ((name, run), one) in enumerate(zip(runs, points, strict=True)):
        colour = "grey" if grey and run.spec.is_baseline else f"series-{i % 8}"
        lines += [band(one["rate"], one["low"], one["high"], colour)] if i == 0 else []
        lines.append(_curve(one, what, name, colour, run.spec.is_baseline))
    lowest = min(float(one["rate"].min()) for one in points)
    rates = np.geomspace(lowest, 100, 50)
    base_rate = float(parts[0].y.mean())
    chance = np.full(50, base_rate) if what == "precision" else rates / 100
    rising = {
        "type": "log", "range": [float(np.log10(lowest)), 2], "tickvals": list(TICKS),
        "ticktext": [plain(tick) for tick in TICKS],
    }  # fmt: skip
    return Figure(
        [*lines, dotted(rates.tolist(), chance.tolist(), "chance")],
        axes(
            "units with an alarm, %", what, xaxis=rising, yaxis={"range": [0, 1.02]},
            legend={"orientation": "h"},
        ),
        f"{what.capitalize()} over the alarm rate; the band is the {level(confidence)} interval of "
        f"{runs[0][0]}, of its effective sample size.",
    )  # fmt: skip


def _points(
    part: Predictions, what: str, block: int, confidence: float
) -> Mapping[str, NDArray[Any]]:
    """Points of a curve in equal ratios of the alarm rate: rate in percent, value, ends, counts."""
    y = part.y
    curve = precision_recall_curve(y, part.score)
    (some,) = np.nonzero(curve["alarms"] >= (MIN_ALARMS_SHOWN if what == "precision" else 1))
    pick = some[np.unique(np.geomspace(1, max(1, len(some)), POINTS).astype(int)) - 1]
    hits, alarms = curve["hits"][pick].astype(int), curve["alarms"][pick].astype(int)
    low, high = _ends(part, what, hits, alarms, block, confidence)
    return {
        "rate": 100 * alarms / len(y), "value": curve[what][pick], "low": low, "high": high,
        "hits": hits, "alarms": alarms,
    }  # fmt: skip


def _ends(
    part: Predictions, what: str, hits: NDArray[np.int64], alarms: NDArray[np.int64], block: int,
    confidence: float,
) -> tuple[Array, Array]:  # fmt: skip
    """Intervals of proportions at their effective sample sizes."""
    ranked, blocks = SortedScores.of(part.y, part.score), part.blocks(block)
    residuals, positives, tail = Residuals.of(ranked, blocks), ranked.positive, (1 - confidence) / 2
    alarm, result = np.zeros(len(positives), bool), []
    for k, n in zip(hits.tolist(), alarms.tolist(), strict=True):
        alarm[ranked.order[:n]] = True
        if what == "precision":
            depends, of = residuals.of_alarms(ranked, n, by_rank=False), n
        else:
            depends, of = of_share(alarm, positives, blocks), int(positives.sum())
        result.append(depends.bounds(k, of, tail))
    low, high = np.array(result).T
    return low, high


def _curve(
    points: Mapping[str, NDArray[Any]], what: str, name: str, colour: str, dashed: bool
) -> Trace:
    rows = zip(*(points[n] for n in ("hits", "alarms", "low", "high")), strict=True)
    return {
        "x": points["rate"].tolist(), "y": points["value"].tolist(), "name": name, "mode": "lines",
        "line": {"color": colour, "dash": "dash" if dashed else "solid", "width": 2},
        "text": [
            f"{count(k)} hits of {count(n)} alarms, {what} {interval(a, b, 2)}"
            for k, n, a, b in rows
        ],
    }  # fmt: skip


# ----------------------------------------------------------------------------------- probabilities


def axis_end(y: ArrayLike, probability: ArrayLike, confidence: float, blocks: Blocks) -> float:
    """End of the axes of a calibration curve that shows all of it."""
    bins = reliability_diagram_data(
        y, probability, BINS, "quantile", bands=confidence, blocks=blocks
    )
    names = ("mean_probability", "positive_share", "band_high")
    return min(1.02, 1.05 * max(0.3, *(float(np.nanmax(bins[name])) for name in names)))


def calibration_curve(
    y: ArrayLike, probability: ArrayLike, confidence: float, blocks: Blocks, *, end: float = 0.0,
    title: str = "",
) -> Figure:  # fmt: skip
    """Share of positives in ten bins of equal mass, beside that of a perfect calibration.

    Parameters
    ----------
    y, probability : (n,)
    confidence : float
        Of the grey bars.
    blocks : Blocks
        Units that depend on each other.
    end : float
        End of both axes, the same for panels that are compared; by default what the bins need.
    title : str
        Caption of the panel, where several are explained together by `curve_explained`.
    """
    bins = reliability_diagram_data(
        y, probability, BINS, "quantile", bands=confidence, blocks=blocks
    )
    full = bins["count"] > 0
    mean, share, low, high, size = (
        bins[name][full]
        for name in ("mean_probability", "positive_share", "band_low", "band_high", "count")
    )
    end = end or axis_end(y, probability, confidence, blocks)
    expected = {
        "x": mean.tolist(), "y": mean.tolist(), "mode": "markers", "hoverinfo": "skip",
        "marker": {"size": 1, "color": "grey"},
        "error_y": {
            "type": "data", "symmetric": False, "array": (high - mean).tolist(),
            "arrayminus": (mean - low).tolist(), "thickness": 7, "width": 0, "color": "grey/0.35",
        },
    }  # fmt: skip
    observed = _observed(mean, share, size)
    return Figure(
        [dotted([0, end], [0, end], "perfect calibration"), expected, observed],
        _square(end),
        title or f"Calibration curve: {curve_explained(confidence)}",
    )


def curve_explained(confidence: float) -> str:
    """What a calibration curve shows."""
    return (
        "share of positives over the mean predicted probability in ten bins of equal mass; grey "
        f"bars: {level(confidence)} of the shares that a perfect calibration would give"
    )


def reliability(part: Predictions, block: int, confidence: float) -> Figure:
    """Share of positives against mean probability in ten bins of equal mass, with intervals."""
    y, prob, blocks = part.y, expit(part.score), part.blocks(block)
    bins = reliability_diagram_data(y, prob, BINS, "quantile")
    full = bins["count"] > 0
    mean, share, size = (bins[k][full] for k in ("mean_probability", "positive_share", "count"))
    inside = np.clip(np.searchsorted(bins["edges"], prob, "right") - 1, 0, len(full) - 1)
    rest = Residuals.around(y - prob, blocks)
    effects = np.array([rest.effect(inside == i) for i in np.flatnonzero(full)])
    low, high = exact_bounds(share * size / effects, size / effects, confidence)
    end = min(1.02, 1.05 * float(max(mean.max(), high.max(), 0.3)))
    observed = _observed(mean, share, size) | {
        "error_y": {
            "type": "data", "symmetric": False, "array": (high - share).tolist(),
            "arrayminus": (share - low).tolist(), "thickness": 1,
        },
    }  # fmt: skip
    return Figure(
        [dotted([0, end], [0, end], "perfect calibration"), observed],
        _square(end),
        "Share of positives over the mean predicted probability in ten bins of equal mass, with "
        f"{level(confidence)} intervals of the effective sample sizes.",
    )


def _observed(mean: Array, share: Array, size: Array) -> Trace:
    return {
        "x": mean.tolist(), "y": share.tolist(), "mode": "markers+lines", "name": "observed",
        "marker": {"size": 8, "color": "series-0"}, "line": {"color": "series-0"},
        "text": [
            f"{count(round(s * n))} of {count(n)} units" for s, n in zip(share, size, strict=True)
        ],
    }  # fmt: skip


def _square(end: float) -> dict[str, Any]:
    return axes(
        "mean predicted probability", "share of positives", xaxis={"range": [0, end]},
        yaxis={"range": [0, end]}, showlegend=False,
    )  # fmt: skip


def histogram(part: Predictions) -> Figure:
    """Scores of positives and negatives, each class as shares of its own size.

    Probabilities where scores are log-odds, the scores themselves where they only rank.
    """
    y, ranks = part.y, part.scale == "rank"
    x = part.score if ranks else expit(part.score)
    edges = np.linspace(*((x.min(), x.max()) if ranks and np.ptp(x) else (0, 1)), 41)
    bars = []
    for label, name, colour in ((0, "negative", "negative"), (1, "positive", "positive")):
        share = np.histogram(x[y == label], bins=edges)[0]
        bars.append({
            "type": "bar", "x": ((edges[:-1] + edges[1:]) / 2).tolist(),
            "y": (share / max(1, share.sum())).tolist(), "width": float(edges[1] - edges[0]),
            "name": f"{name} ({count(share.sum())})", "marker": {"color": colour}, "opacity": 0.55,
        })  # fmt: skip
    title = "score" if ranks else "predicted probability"
    return Figure(
        bars,
        axes(title, "share of the class", barmode="overlay", legend={"orientation": "h"}),
        f"{title.capitalize()} of positives and of negatives, each class as shares of its size.",
    )
