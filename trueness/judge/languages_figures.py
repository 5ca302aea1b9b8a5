"""Scores per group of units with their intervals; confusions and differences as shaded tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trueness.document import Cell, Column, Figure, Shaded, Style, Table
from trueness.document.numbers import UNKNOWN, count, decimal
from trueness.document.numbers import estimate as interval
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.selection import Contrast
from trueness.evaluation.slice_comparison import MethodComparison
from trueness.evaluation.slices import Slice, Slices
from trueness.judge.languages_words import Words

MARKS = {"better": "▲", "worse": "▼", "tied": "", "unknown": "?"}
"""Verdict -> what a cell of differences shows beside its number."""
SMALLEST_SCALE, LARGEST_SCALE = 0.01, 0.10
"""Half width of the shades of differences; more is as dark as that, which the note says."""
FEW = 20
"""Units of a class below which percents say little."""
MARGIN_PX, GROUP_PX = 150, 56
MOST_GROUPS = 60
"""Groups of a picture, the largest."""
Runs = Mapping[str, Slices]


def score_dots(runs: Runs, words: Words) -> Figure:
    """Macro-F1 of each group with its interval, the runs side by side."""
    values = {name: {g: s.macro_f1 for g, s in run.groups.items()} for name, run in runs.items()}
    caption = f"Macro-F1 per {words.group} with its confidence interval, {words.units} beneath."
    return _dots(values, "macro-F1", _ticks(runs), {"range": [0, 1]}, caption)


def calibration_dots(runs: Runs, words: Words) -> Figure | None:
    """Calibration error of each group with its interval, the runs side by side."""
    values = {
        name: {g: s.calibration["calibration_error"] for g, s in run.groups.items()}
        for name, run in runs.items()
        if run.overall.calibration
    }
    if not values:
        return None
    caption = (
        f"Calibration error of the largest probability per {words.group}; ten bins of equal mass."
    )
    return _dots(values, "calibration error", _ticks(runs), {"rangemode": "tozero"}, caption)


def _ticks(runs: Runs) -> dict[str, str]:
    """Groups of all runs, the largest first, with their numbers of units."""
    rows: dict[str, int] = {}
    for run in runs.values():
        for name, one in run.groups.items():
            rows.setdefault(name, one.rows)
    return {name: f"{name}<br>{count(n)}" for name, n in list(rows.items())[:MOST_GROUPS]}


def _dots(
    series: Mapping[str, Mapping[str, Estimate]], title: str, ticks: Mapping[str, str],
    axis: dict[str, Any], caption: str,
) -> Figure:  # fmt: skip
    """A dot with its interval per series and group."""
    places = {name: i for i, name in enumerate(ticks)}
    step = 0.6 / max(1, len(series))
    traces = []
    for i, (name, values) in enumerate(series.items()):
        known = {g: e for g, e in values.items() if e.value is not None and g in places}
        shift = (i - (len(series) - 1) / 2) * step
        traces.append(_trace(name, f"series-{i % 8}", known, [places[g] + shift for g in known]))
    layout = {
        "xaxis": {"tickvals": list(places.values()), "ticktext": list(ticks.values()),
                  "tickangle": 0, "range": [-0.6, len(places) - 0.4]},
        "yaxis": {"title": title, **axis}, "showlegend": len(series) > 1,
    }  # fmt: skip
    return Figure(traces, layout, caption, MARGIN_PX + GROUP_PX * len(places))


def _trace(
    name: str, colour: str, values: Mapping[str, Estimate], x: Sequence[float]
) -> dict[str, Any]:
    above, below = [], []
    for e in values.values():
        own = e.value or 0.0
        above.append((own if e.high is None else e.high) - own)
        below.append(own - (own if e.low is None else e.low))
    return {
        "mode": "markers", "name": name, "x": list(x),
        "y": [e.value for e in values.values()], "marker": {"color": colour, "size": 8},
        "error_y": {"array": above, "arrayminus": below, "thickness": 1.4, "color": colour},
        "text": [f"{group}: {interval(e)}" for group, e in values.items()],
        "hoverinfo": "text+name",
    }  # fmt: skip


def confusion_table(one: Slice, classes: tuple[str, ...], caption: str, words: Words) -> Table:
    """How the units of each class (row) were predicted (columns), in percent of the class.

    Rows of few units are faded and hold counts.
    """
    columns = [
        Column("class", "text", 9), Column(words.units, "count", 8),
        *(Column(str(i), "code", 5, shade="share") for i in range(1, 1 + len(classes))),
    ]  # fmt: skip
    totals = [sum(counts) for counts in one.confusion]
    rows: list[list[Cell]] = [
        [f"{i} {name}", total, *(_confused(n, total) for n in counts)]
        for i, (name, counts, total) in enumerate(
            zip(classes, one.confusion, totals, strict=True), 1)
    ]  # fmt: skip
    few = any(0 < total < FEW for total in totals)
    note = f"Rows of fewer than {FEW} {words.units} are faded and hold counts." if few else ""
    styles: list[Style] = ["muted" if total < FEW else "" for total in totals]
    title = f"Predictions in percent of each class, {caption}"
    return Table(columns, rows, title, note, styles)


def _confused(n: int, total: int) -> Shaded:
    """Whole percent, nothing below one half; the counts where there are few."""
    if not total:
        return Shaded("")
    text = decimal(100 * n / total, 0) if n / total >= 0.005 else ""
    return Shaded(text if total >= FEW else f"{n}/{total}" if n else "", n / total)


def difference_table(result: MethodComparison, words: Words) -> Table | None:
    """Macro-F1 of each method minus that of the reference, per group; None without groups."""
    names = [name for name in result.ranked if result.methods[name].groups_against]
    if not names:
        return None
    groups = list(result.methods[names[0]].groups_against)
    contrasts = {n: [result.methods[n].groups_against[g] for g in groups] for n in names}
    values = [abs(c.pointwise.value or 0.0) for row in contrasts.values() for c in row]
    widest = min(LARGEST_SCALE, max(SMALLEST_SCALE, *values))
    points = decimal(100 * widest, 1)
    columns = [
        Column("method", "text", 9),
        *(Column(g, "code", 5, shade="signed", limits=(-widest, widest)) for g in groups),
    ]
    rows = [
        [n, *(Shaded(_cell(c.pointwise.value, c.verdict), _shown(c)) for c in row)]
        for n, row in contrasts.items()
    ]
    note = (
        "▲ better and ▼ worse with all cells corrected for together, in full colour from "
        f"{points} points on; the other cells are not distinguishable from 0, ? has too few to say."
    )
    title = f"Points of macro-F1 against {result.reference}, per {words.group}"
    return Table(columns, rows, title, note)


def _shown(contrast: Contrast) -> float | None:
    """Number that colours a cell: none where nothing is known, 0 where nothing is shown."""
    value = contrast.pointwise.value
    return {"unknown": None, "tied": 0.0}.get(contrast.verdict, value)


def _cell(value: float | None, verdict: str) -> str:
    if value is None:
        return UNKNOWN
    return f"{decimal(100 * value, 1, signed=True)} {MARKS[verdict]}".strip()


def confusion_tables(result: Slices, words: Words) -> list[Table]:
    """Confusion of all units, of the majority group and of the worst group."""
    some = {f"all {words.units}": result.overall}
    if len(result.own) > 1:
        if result.majority:
            some[words.majority] = result.groups[result.majority]
        if result.worst not in ("", result.majority):
            some[f"{result.worst}, the worst {words.group}"] = result.groups[result.worst]
    return [confusion_table(one, result.classes, caption, words) for caption, one in some.items()]
