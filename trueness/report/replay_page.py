"""Published beside measured: as a table, in sentences, and as a page with a forest of intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from rich.console import Console
from rich.table import Table

from trueness.errors import StoreError
from trueness.evaluation import Estimate
from trueness.judge.figures import COLOURS, GREY
from trueness.judge.published import MEASURED, MIN_ALARMS, Luck, Replay, Replayed
from trueness.judge.words import number_text, share_text

BLUE = COLOURS[0]


def _share(estimate: Estimate | None) -> str:
    return "–" if estimate is None else share_text(estimate)


def _published(row: Replayed, name: str) -> str:
    """A published value: with counts and interval where they are given, else alone."""
    alarms, value = row.published.alarms, row.published.values.get(name)
    if name == "precision" and alarms is not None:
        return share_text(alarms)
    if value is None:
        return "–"
    return f"{value:.3f}" if name == "auc" else f"{100 * value:.0f}, no counts"


def _recall(row: Replayed) -> str:
    values = row.published.values
    if {"tp", "fn"} <= set(values) and values["tp"] + values["fn"]:
        return share_text(Estimate.proportion(int(values["tp"]), int(values["tp"] + values["fn"])))
    return _published(row, "recall")


def columns(found: Replay) -> dict[str, Callable[[Replayed], str]]:
    """Header -> text of a row; measured columns only if something is measured."""
    published: dict[str, Callable[[Replayed], str]] = {
        "id": lambda row: row.published.id,
        "precision\npublished": lambda row: _published(row, "precision"),
        "shrunk": lambda row: _share(row.shrunk),
        "recall\npublished": _recall,
        "AUC\npublished": lambda row: _published(row, "auc"),
    }
    if not any(row.runs for row in found.rows):
        return published
    return {
        **published,
        "precision\nmeasured": lambda row: _share(row.measured.get("precision")),
        "recall\nmeasured": lambda row: _share(row.measured.get("recall")),
        "AUC\nmeasured": lambda row: number_text(row.measured.get("auc")),
        "runs": lambda row: str(len(row.runs)) if row.runs else "–",
        "outside": lambda row: " ".join(row.outside),
    }


def sentences(found: Replay) -> list[str]:
    """What the comparison amounts to."""
    counts = found.counts()
    shares = [
        f"{name} {counts[f'{name}_outside']} of {counts[f'{name}_compared']}"
        for name in MEASURED
        if counts[f"{name}_compared"]
    ]
    lines = [
        f"{counts['published']} published experiments, {counts['with_counts']} with counts, "
        f"{counts['measured']} measured here under {found.campaign}."
    ]
    if shares:
        lines.append(
            f"Published values outside of the measured interval: {', '.join(shares)}; "
            f"{counts['outside']} of {counts['measured']} experiments have one."
        )
    luck = found.luck
    if luck is not None and luck.best.alarms is not None:
        lines.append(
            f"The best published precision with at least {MIN_ALARMS} alarms is "
            f"{luck.best.alarms} ({luck.best.id}). If each of the {luck.runs} such runs truly had "
            f"the pooled {100 * (luck.pooled.value or 0):.1f} % ({luck.pooled.k}/{luck.pooled.n}), "
            f"the best would show as much by luck with probability {luck.probability:.2f}."
        )
        lines += _shrunk_sentence(found, luck)
    return lines


def _shrunk_sentence(found: Replay, luck: Luck) -> list[str]:
    """What is left of the best after shrinkage, and whether it is more than its siblings."""
    own = {row.published.id: row.shrunk for row in found.rows}[luck.best.id]
    if found.shrunk is None or own is None:
        return []
    return [
        f"Shrunk towards the common {_interval(found.shrunk.pooled)}, around which true precisions "
        f"scatter by {100 * found.shrunk.deviation:.1f} points, {luck.best.id} is at "
        f"{_interval(own)}: {'tied with' if luck.tied else 'ahead of'} its siblings."
    ]


def _interval(share: Estimate) -> str:
    ends = [100 * (x or 0.0) for x in (share.value, share.low, share.high)]
    return "{:.1f} % [{:.1f}, {:.1f}]".format(*ends)


def show_replay(console: Console, found: Replay, limit: int | None = None) -> None:
    """Print the table, then the sentences."""
    texts = columns(found)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for header in texts:
        table.add_column(header)
    for row in found.rows[:limit]:
        style = "yellow" if row.outside else None
        table.add_row(*(text(row) for text in texts.values()), style=style)
    if limit is not None and len(found.rows) > limit:
        table.add_row(f"… {len(found.rows) - limit} more, --limit shows them")
    console.print(table, highlight=False)
    for line in ["", *sentences(found)]:
        console.print(line, highlight=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", highlight=False, soft_wrap=True)


def forest(found: Replay) -> go.Figure:
    """Precision of every experiment that raised alarms: published in grey, measured in colour."""
    pairs = [(r.published.id, r.published.alarms, r.measured.get("precision")) for r in found.rows]
    rows = [row for row in reversed(pairs) if any(e is not None and e.n for e in row[1:])]
    figure = go.Figure()
    for side, name, colour, shift in ((1, "published", GREY, 0.16), (2, "measured", BLUE, -0.16)):
        some = [(i, row[0], row[side]) for i, row in enumerate(rows)]
        _intervals(figure, [(i + shift, id_, e) for i, id_, e in some], name, colour)
    if found.luck is not None:
        figure.add_vline(x=found.luck.pooled.value, line={"dash": "dot", "width": 1})
    figure.update_layout(
        template="simple_white", height=150 + 18 * len(rows),
        xaxis={"title": "precision at 0.5, exact 95 % interval", "range": [0, 1.005],
               "side": "top"},
        yaxis={"automargin": True, "tickfont": {"size": 10}, "range": [-0.7, len(rows) - 0.3],
               "tickvals": list(range(len(rows))), "ticktext": [row[0] for row in rows]},
        margin={"l": 60, "r": 16, "t": 64, "b": 40}, showlegend=True,
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        font={"family": "system-ui, sans-serif", "size": 13},
    )  # fmt: skip
    return figure


def _intervals(
    figure: go.Figure, rows: Sequence[tuple[float, str, Estimate | None]], name: str, colour: str
) -> None:
    """Values with their intervals, at the given heights."""
    some = [(y, id_, e.value, e) for y, id_, e in rows if e is not None and e.value is not None]
    figure.add_scatter(
        x=[value for *_, value, _ in some], y=[y for y, *_ in some], name=name, mode="markers",
        marker={"color": colour, "size": 6},
        error_x={
            "array": [(e.high or 0.0) - value for *_, value, e in some],
            "arrayminus": [value - (e.low or 0.0) for *_, value, e in some],
            "thickness": 1.4, "width": 0,
        },
        text=[f"{id_}: {e}" for _, id_, _, e in some], hovertemplate="%{text}",
    )  # fmt: skip


def write_replay_page(found: Replay, path: Path) -> None:
    """Write one self-contained HTML page.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("trueness.report", "."), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("replay.html.j2").render(
        found=found, columns=columns(found), sentences=sentences(found),
        forest=forest(found).to_html(full_html=False, include_plotlyjs=False, config={
            "displayModeBar": False, "responsive": True}),
        plotly=get_plotlyjs(),
    )  # fmt: skip
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the page cannot be written ({error.strerror})") from None
