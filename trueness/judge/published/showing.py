"""What is shown of published results beside measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueness.document import Column, Document, Figure, Section, Sentence, Table
from trueness.document.numbers import capital, count, decimal, interval, percent, plural, share
from trueness.evaluation.intervals import Estimate
from trueness.judge.published.comparing import (
    MEASURED,
    MIN_ALARMS,
    ComparedResult,
    ExpectedMaximum,
    PublishedComparison,
)

SHIFT = 0.16
"""How far published and measured lie apart in a row of the forest plot."""
TALL = 40
"""Rows from which its axis stands above them."""


def published_document(comparison: PublishedComparison) -> Document:
    """What the comparison amounts to, a forest plot, and every experiment."""
    lines = [Sentence(line, "verdict") for line in sentences(comparison)]
    notes = [Sentence(f"{capital(note)}.", "note") for note in comparison.notes]
    figures = [Section("Precision", [forest(comparison)])] if _drawn(comparison) else []
    return Document(
        f"Published results: {comparison.source or comparison.campaign}",
        [*lines, *notes, *figures, Section("Every experiment", [_table(comparison)])],
        f"Beside the stored runs of campaign {comparison.campaign}; exact 95 % confidence "
        "intervals, units taken as independent",
    )


def sentences(comparison: PublishedComparison) -> list[str]:
    """What the comparison amounts to."""
    counts = comparison.counts()
    lines = [
        f"{plural(counts['published'], 'published experiment')}, {count(counts['with_counts'])} "
        f"with counts, {count(counts['measured'])} measured here under {comparison.campaign}."
    ]
    shares = [
        f"{name} {count(counts[f'{name}_outside'])} of {count(counts[f'{name}_compared'])}"
        for name in MEASURED
        if counts[f"{name}_compared"]
    ]
    if shares:
        lines.append(
            f"Published values outside of the measured interval: {', '.join(shares)}; "
            f"{count(counts['outside'])} of {plural(counts['measured'], 'experiment')} measured "
            "here have one."
        )
    if comparison.expected_maximum is not None:
        lines += _about_best(comparison, comparison.expected_maximum)
    return lines


def _about_best(comparison: PublishedComparison, best: ExpectedMaximum) -> list[str]:
    """Whether the best is more than the expected maximum, and what shrinkage leaves of it."""
    alarms, pooled = best.best.alarms, best.pooled
    assert alarms is not None
    lead = (
        f"The best published precision with at least {MIN_ALARMS} alarms is {share(alarms)} "
        f"({best.best.id})."
    )
    if best.n_candidates < 2:
        return [lead]
    lines = [
        f"{lead} If each of the {count(best.n_candidates)} such experiments truly had the pooled "
        f"{percent(pooled.value)} % ({count(pooled.k or 0)}/{count(pooled.n)}), the expected "
        f"maximum would be {percent(best.value)} %, and a maximum as good as the best would occur "
        f"with probability {decimal(best.p, 2)}."
    ]
    own = {row.published.id: row.shrunk for row in comparison.rows}[best.best.id]
    if comparison.shrunk is not None and own is not None:
        lines.append(
            f"Shrunk towards the model mean {_percent(comparison.shrunk.pooled)}, between-model SD "
            f"{decimal(100 * comparison.shrunk.deviation, 1)} points, {best.best.id} is at "
            f"{_percent(own)}: {'' if best.is_distinguishable else 'not '}distinguishable from "
            "its siblings."
        )
    return lines


def _percent(e: Estimate) -> str:
    """Share in percent with one decimal: shrinkage moves it by few points."""
    if e.value is None or e.low is None or e.high is None:
        return share(e)
    return f"{decimal(100 * e.value, 1)} % {interval(100 * e.low, 100 * e.high, 1)}"


PUBLISHED = (
    Column("id", "code", 9), Column("precision,\npublished", "share", 9),
    Column("shrunk", "share_only", 6), Column("recall,\npublished", "share", 4),
    Column("AUC,\npublished", "estimate", 7),
)  # fmt: skip
WITH_RUNS = (
    Column("precision,\nmeasured", "share", 8), Column("recall,\nmeasured", "share", 3),
    Column("AUC,\nmeasured", "estimate", 7), Column("runs", "count", 2),
    Column("outside", weight=8, help="Published values outside of the measured interval."),
)  # fmt: skip


def _table(comparison: PublishedComparison) -> Table:
    """Every experiment; measured columns only if something is measured."""
    has_runs = any(row.runs for row in comparison.rows)
    return Table(
        PUBLISHED + WITH_RUNS if has_runs else PUBLISHED,
        [(*_published(row), *(_measured(row) if has_runs else ())) for row in comparison.rows],
        note="Values without counts have no interval.",
        styles=["warning" if row.outside else "" for row in comparison.rows],
    )


def _published(row: ComparedResult) -> tuple[Any, ...]:
    one = row.published
    return one.id, one.precision, row.shrunk, one.recall, one.auc


def _measured(row: ComparedResult) -> tuple[Any, ...]:
    measures = [row.measured.get(name) for name in MEASURED]
    return *measures, len(row.runs) or None, ", ".join(row.outside)


def _drawn(comparison: PublishedComparison) -> list[tuple[str, Estimate | None, Estimate | None]]:
    """Experiments that raised alarms, the last one first."""
    pairs = [
        (r.published.id, r.published.alarms, r.measured.get("precision")) for r in comparison.rows
    ]
    return [pair for pair in reversed(pairs) if any(e is not None and e.n for e in pair[1:])]


def forest(comparison: PublishedComparison) -> Figure:
    """Precision of every experiment that raised alarms: published in grey, measured in colour."""
    rows, best = _drawn(comparison), comparison.expected_maximum
    published = [(i + SHIFT, id_, e) for i, (id_, e, _) in enumerate(rows)]
    measured = [(i - SHIFT, id_, e) for i, (id_, _, e) in enumerate(rows)]
    traces = [_dots(published, "published", "grey"), _dots(measured, "measured", "series-0")]
    pooled: list[dict[str, Any]] = []
    if best is not None:
        x = best.pooled.value
        pooled = [{"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1,
                   "line": {"color": "ink", "dash": "dot", "width": 1}}]  # fmt: skip
    return Figure(
        [trace for trace in traces if trace["x"]],
        {
            "xaxis": {"title": "precision at 0.5, exact 95 % CI", "range": [0, 1.005],
                      "side": "bottom" if len(rows) < TALL else "top"},
            "yaxis": {"automargin": True, "range": [-0.7, len(rows) - 0.3],
                      "tickfont": {"size": 10}, "tickvals": list(range(len(rows))),
                      "ticktext": [id_ for id_, *_ in rows]},
            "height": 150 + 18 * len(rows), "shapes": pooled,
        },
        "Precision of every experiment that raised alarms; the dotted line is the pooled published "
        "precision.",
    )  # fmt: skip


def _dots(
    rows: Sequence[tuple[float, str, Estimate | None]], name: str, colour: str
) -> dict[str, Any]:
    """Values with their intervals, at the given heights."""
    some = [(y, id_, e.value, e) for y, id_, e in rows if e is not None and e.value is not None]
    return {
        "x": [value for *_, value, _ in some], "y": [y for y, *_ in some], "name": name,
        "mode": "markers", "marker": {"color": colour, "size": 6},
        "error_x": {
            "type": "data", "symmetric": False, "thickness": 1.4, "width": 0,
            "array": [(e.high or 0.0) - value for *_, value, e in some],
            "arrayminus": [value - (e.low or 0.0) for *_, value, e in some],
        },
        "text": [f"{id_}: {share(e)}" for _, id_, _, e in some], "hovertemplate": "%{text}",
    }  # fmt: skip
