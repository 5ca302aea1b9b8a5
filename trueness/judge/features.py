"""The feature audit as a table and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from rich.console import Console
from rich.table import Table

from trueness.errors import StoreError
from trueness.market import Bars, Volatility, market_examples, resolve_evaluation, touch_labels
from trueness.market.quality import Audit, Column, audit
from trueness.judge.figures import COLOURS, GREY
from trueness.spec import Spec

LATE = {"scattered_missing", "start_depends_on_first_event"}
"""Flags of columns whose first value may come after the warm-up."""
NEAR_CONSTANT, DRIFTED, HEAVY, FALSE_DISCOVERY = 0.99, 0.5, 20.0, 0.05


class Progress(Protocol):
    """Hears how far the audit has come."""

    def start(self, stage: str, epochs: int) -> None:
        """Begin so many steps."""
        ...

    def advance(self, epochs: int) -> None:
        """Finish so many steps."""
        ...


@dataclass(frozen=True)
class AuditReport:
    """An audit and the sentences that sum it up."""

    audit: Audit

    @property
    def looking_ahead(self) -> list[Column]:
        """Columns that look ahead."""
        return self.audit.looking_ahead

    def groups(self) -> dict[str, list[str]]:
        """What was found -> names of the columns."""
        c = self.audit.columns
        return {
            "look ahead": [x.name for x in self.looking_ahead],
            "first value later or earlier than declared": [
                x.name for x in c if x.warmup > x.warmup_declared and not set(x.flags) & LATE
            ],
            "exact copies": [f"{x.name} = {x.copy_of}" for x in c if x.copy_of],
            "exact linear maps": [f"{x.name} ~ {x.affine_of}" for x in c if x.affine_of],
            "constants": [x.name for x in c if x.constant],
            "near constants": [x.name for x in c if NEAR_CONSTANT <= x.top_share < 1],
            "scattered gaps": [
                f"{x.name} {x.missing} rows, longest {x.longest_gap}" for x in c if x.missing
            ],
            "heavy tails": [f"{x.name} {x.tail:.0f} sd" for x in c if x.tail > HEAVY],
            "drift between training and validation": [
                f"{x.name} {x.drift:.2f}" for x in c if x.drift > DRIFTED
            ],
        }  # fmt: skip

    def related(self) -> list[Column]:
        """Columns whose relation to the training labels survives the false-discovery control."""
        found = [
            x for x in self.audit.columns
            if x.auc_q <= FALSE_DISCOVERY or x.mi_q <= FALSE_DISCOVERY
        ]  # fmt: skip
        return sorted(found, key=lambda x: -abs(x.auc - 0.5))

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        a = self.audit
        return {
            "tier": a.tier, "data": a.source, "cuts": a.cuts,
            "columns": [c.to_dict() for c in a.columns],
            "training_rows": a.n_train, "validation_rows": a.n_validation, "found": self.groups(),
            "related_to_label": [c.name for c in self.related()], "notes": list(a.notes),
        }  # fmt: skip


def audit_tier(
    bars: Bars,
    tier: str,
    vix: Volatility | None,
    protocol: str,
    block_days: int,
    progress: Progress,
) -> AuditReport:
    """Audit a tier with the mission's label: High of the next day reaches +1 %.

    Under `walk_forward` the training and validation rows are those of the first fold.
    """
    rule = resolve_evaluation({"protocol": protocol}, bars)
    task = {"kind": "market", "bars": bars.digest, "columns": ("return_1d",)}
    spec = Spec.model_validate({"task": task, "evaluation": rule})
    examples = market_examples(spec.task, spec.evaluation, bars)
    row = np.searchsorted(bars.dates, examples.when)
    parts = row[examples.members("train")], row[examples.members("validation")]
    adjusted = bars.adjusted()
    y = touch_labels(adjusted.high, adjusted.low, adjusted.close, horizon_days=1, threshold_pct=1.0)
    started = []

    def step(what: str, done: int, of: int) -> None:
        if not started:
            progress.start(what, of)
            started.append(what)
        progress.advance(1)

    return AuditReport(audit(bars, tier, vix, parts=parts, y=y, block=block_days, on_step=step))


def show_audit(console: Console, found: AuditReport) -> None:
    """Print what was found, then the columns that have to do with the label."""
    a = found.audit
    console.print(
        f"{a.source}, tier {a.tier}: {len(a.columns)} columns, truncated and recomputed at "
        f"{len(a.cuts)} points",
        style="bold",
        highlight=False,
    )
    for note in a.notes:
        console.print(f"note: {note}", highlight=False)
    for what, names in found.groups().items():
        console.print(
            f"{what}: {len(names)}" + (f"  {'; '.join(names)}" if names else ""), highlight=False
        )
    related = found.related()
    console.print(
        f"\n{len(related)} of {len(a.columns)} columns have to do with the label on {a.n_train} "
        f"training rows (false-discovery rate {FALSE_DISCOVERY:.0%}); the strongest:",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("column", "AUC alone", "q", "mutual information, nats", "q", "drift"):
        table.add_column(header, justify="left" if header == "column" else "right")
    for x in related[:20]:
        table.add_row(
            x.name,
            f"{x.auc:.3f}",
            f"{x.auc_q:.3f}",
            f"{x.mi:.4f}",
            f"{x.mi_q:.3f}",
            f"{x.drift:.2f}",
        )
    console.print(table)


# --------------------------------------------------------------------------------------------- page


def _scatter(columns: list[Column]) -> go.Figure:
    """AUC of each column alone against its drift."""
    figure = go.Figure()
    for significant, name, colour in (
        (False, "not distinguishable", GREY),
        (True, "q at most 5 %", COLOURS[0]),
    ):
        chosen = [
            c
            for c in columns
            if (c.auc_q <= FALSE_DISCOVERY) == significant and not np.isnan(c.auc)
        ]
        figure.add_scatter(
            x=[c.drift for c in chosen], y=[c.auc for c in chosen], text=[c.name for c in chosen],
            mode="markers", name=name, marker={"color": colour, "size": 7, "opacity": 0.7},
        )  # fmt: skip
    figure.add_hline(y=0.5, line={"color": "#444", "dash": "dot", "width": 1})
    figure.update_layout(
        template="simple_white", height=420, legend={"orientation": "h", "y": -0.2},
        xaxis_title="drift between training and validation (KS distance)",
        yaxis_title="AUC alone, training rows",
        margin={"l": 60, "r": 16, "t": 12, "b": 48},
        font={"family": "system-ui, sans-serif", "size": 13},
    )  # fmt: skip
    return figure


def _bars(columns: list[Column], of: str, label: str) -> go.Figure:
    """The thirty columns with the largest value of one field."""
    top = sorted((c for c in columns if getattr(c, of) > 0), key=lambda c: getattr(c, of))[-30:]
    figure = go.Figure(go.Bar(
        x=[getattr(c, of) for c in top], y=[c.name for c in top], orientation="h",
        marker={"color": COLOURS[0]},
    ))  # fmt: skip
    figure.update_layout(
        template="simple_white", height=80 + 18 * max(1, len(top)), xaxis_title=label,
        yaxis={"automargin": True}, margin={"l": 60, "r": 16, "t": 12, "b": 48},
        font={"family": "system-ui, sans-serif", "size": 12},
    )  # fmt: skip
    return figure


def write_audit_page(found: AuditReport, path: Path) -> None:
    """Write the audit as one self-contained HTML page.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    columns = found.audit.columns
    options = {"displaylogo": False, "responsive": True}
    figures = {
        "Alone against the label, and how far it drifts": _scatter(columns),
        "Gaps after the warm-up, rows": _bars(
            columns, "missing", "undefined rows after the warm-up"
        ),
        "Tails": _bars(columns, "tail", "largest distance from the median, robust deviations"),
    }
    environment = Environment(
        loader=PackageLoader("trueness.report", "."), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("audit.html.j2").render(
        found=found,
        figures={
            name: figure.to_html(full_html=False, include_plotlyjs=False, config=options)
            for name, figure in figures.items()
            if any(len(trace.x) for trace in figure.data)
        },
        plotly=get_plotlyjs(),
    )  # fmt: skip
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the page cannot be written ({error.strerror})") from None
