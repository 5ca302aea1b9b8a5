"""The feature audit: what is wrong with the columns of a tier, and which tell of the label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from trueness.callback import Callback
from trueness.document import Column, Document, Figure, HConcat, Section, Sentence, Style, Table
from trueness.document.numbers import count, decimal, level, plural
from trueness.judge.judgement import SCHEMA
from trueness.market import (
    Bars,
    MarketData,
    Volatility,
    labels_of,
    market_examples,
    resolve_evaluation,
)
from trueness.market.indicators import Table as Features
from trueness.market.own_features import OwnFeatures, recomputed
from trueness.market.panel import Panel
from trueness.market.quality import Audit, audit
from trueness.market.quality import Column as Feature
from trueness.spec import Spec

LATE = {"scattered_missing", "start_depends_on_first_event"}
"""Flags of features whose first value may come after the warm-up."""
NEAR_CONSTANT, DRIFTED, HEAVY, FALSE_DISCOVERY = 0.99, 0.5, 20.0, 0.05
STRONGEST, BARS = 20, 30
"""Features of the first table, and bars of a picture."""


@dataclass(frozen=True)
class FeatureAudit:
    """An audit of the features of a tier, and what it comes to."""

    audit: Audit

    @property
    def looking_ahead(self) -> list[Feature]:
        """Features whose values depend on what comes later."""
        return self.audit.looking_ahead

    def groups(self) -> dict[str, list[str]]:
        """What was found -> names of the features."""
        c = self.audit.columns
        return {
            "look-ahead": [x.name for x in self.looking_ahead],
            "first value later than declared": [
                x.name for x in c if x.warmup > x.warmup_declared and not set(x.flags) & LATE
            ],
            "exact copies": [f"{x.name} = {x.copy_of}" for x in c if x.copy_of],
            "exact linear maps": [f"{x.name} ~ {x.affine_of}" for x in c if x.affine_of],
            "constants": [x.name for x in c if x.constant],
            "near constants": [x.name for x in c if NEAR_CONSTANT <= x.top_share < 1],
            "scattered gaps": [
                f"{x.name} {count(x.missing)} rows, longest {count(x.longest_gap)}"
                for x in c if x.missing
            ],
            "heavy tails": [f"{x.name} {decimal(x.tail, 0)} SD" for x in c if x.tail > HEAVY],
            "drift between training and validation": [
                f"{x.name} {decimal(x.drift, 2)}" for x in c if x.drift > DRIFTED
            ],
        }  # fmt: skip

    def associated(self) -> list[Feature]:
        """Features whose association with the training labels survives, the strongest first."""
        result = [
            x for x in self.audit.columns
            if x.auc_q <= FALSE_DISCOVERY or x.mi_q <= FALSE_DISCOVERY
        ]  # fmt: skip
        return sorted(result, key=lambda x: -abs(x.auc - 0.5))

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        a = self.audit
        return {
            "schema": SCHEMA, "kind": "feature_audit", "tier": a.tier, "data": a.source,
            "cuts": a.truncations, "features": [c.to_dict() for c in a.columns],
            "training_rows": a.n_train, "validation_rows": a.n_validation, "found": self.groups(),
            "associated_with_label": [c.name for c in self.associated()], "notes": list(a.notes),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row for each feature."""
        rows = [{**c.to_dict(), "flags": " ".join(c.flags)} for c in self.audit.columns]
        return pl.DataFrame(rows, infer_schema_length=None)

    def document(self) -> Document:
        """What was found, the association with the label, and every feature."""
        a, related = self.audit, self.associated()
        n, q = len(a.columns), f"FDR {level(FALSE_DISCOVERY)}"
        several = "feature is" if n == 1 else "features are"
        associated = (
            f"{count(len(related))} of {count(n)} {several} associated with the label ({q})."
        )
        pictures = [_scatter(a.columns), *_bars(a.columns)]
        return Document(
            f"Feature audit: {'' if a.own else 'tier '}{a.tier}",
            [
                Sentence(f"{_look_ahead(self.looking_ahead)} {associated}", "verdict"),
                *(Sentence(note, "note") for note in a.notes),
                Section("Findings", [_findings(self.groups())]),
                Section("Association with the label", [_label_table(related), HConcat(pictures)]),
                Section("All features", [_every(a.columns)], folded=True),
            ],
            f"{a.source}; {plural(n, 'feature')} recomputed on data cut off at "
            f"{plural(len(a.truncations), 'point')}; label and drift on {count(a.n_train)} "
            f"training and {count(a.n_validation)} validation rows",
        )


def audit_tier(
    bars: Bars, tier: str, vix: Volatility | None, protocol: str, block: int, callback: Callback
) -> FeatureAudit:
    """Audit a tier with the published label: High of the next bar reaches +1 %.

    Under `walk_forward` the training and validation rows are those of the first fold; `block` is
    the number of bars per permuted block of the null.
    """
    return FeatureAudit(audit(bars, tier, vix, **_labelled(bars, protocol, block, callback)))


def audit_own(
    own: OwnFeatures, panel: Panel, protocol: str, block: int, callback: Callback
) -> FeatureAudit:
    """Audit own features on the first series, and whether they look ahead on others as well.

    Whether the columns of a file look ahead nobody can tell; a note says so.
    """
    bars = panel.series[0]

    def compute(some: Bars) -> Features:
        return Features(recomputed(own, some), own.names, ())

    result = audit(bars, own.source, compute=compute, **_labelled(bars, protocol, block, callback))
    for column in result.columns:
        column.look_ahead_rows = max(column.look_ahead_rows, own.looks_ahead.get(column.name, 0))
    notes = list(own.notes)
    if not panel.alone:
        notes.append(f"{count(len(panel))} series; all but look-ahead is of {bars.name}")
    if not own.computed:
        notes.append(f"{own.source} is a file: whether its columns look ahead cannot be told")
    result.notes, result.own = tuple(notes), True
    return FeatureAudit(result)


def _labelled(bars: Bars, protocol: str, block: int, callback: Callback) -> dict[str, Any]:
    """What an audit takes besides columns: rows, labels, and who hears of its steps."""
    rule = resolve_evaluation({"protocol": protocol}, bars.dates[0], bars.dates[-1])
    task = {"kind": "market", "bars": bars.digest, "columns": ("return_1d",)}
    spec = Spec.model_validate({"task": task, "evaluation": rule})
    of: Any = spec
    examples = market_examples(of.task, of.evaluation, MarketData.of(bars))
    when: Any = examples.when
    row = np.searchsorted(bars.dates, when)
    parts = row[examples.members("train")], row[examples.members("validation")]
    adjusted = bars.adjusted()
    y = labels_of(of.task.target, adjusted.high, adjusted.low, adjusted.close, 1)
    started = []

    def step(what: str, done: int, of: int) -> None:
        if not started:
            callback.on_stage_start(what, of)
            started.append(what)
        callback.on_progress(1)

    return {"parts": parts, "y": y, "block": block, "on_step": step}


# ------------------------------------------------------------------------------------------- shown


def _look_ahead(result: Sequence[Feature]) -> str:
    if not result:
        return "No feature looks ahead."
    names = ", ".join(f"{c.name} ({c.look_ahead_rows} rows)" for c in result)
    return f"{plural(len(result), 'feature looks', 'features look')} ahead: {names}."


def _findings(groups: dict[str, list[str]]) -> Table:
    columns = (
        Column("finding", weight=9), Column("features", "count", 9), Column("which", weight=8),
    )  # fmt: skip
    rows = [(what, len(names), "; ".join(names) or None) for what, names in groups.items()]
    styles: list[Style] = [
        "warning" if names and what == "look-ahead" else "" for what, names in groups.items()
    ]
    return Table(columns, rows, styles=styles)


LABEL = (
    Column("feature", "code", 9),
    Column("univariate\nAUC", "number", 9, help="On training rows; below 0.5 where it falls."),
    Column("q", "number", 8, help="Of the AUC, after Benjamini and Hochberg."),
    Column("mutual information,\nnats", "number", 7, 4),
    Column("q", "number", 6, help="Of the mutual information."),
    Column("drift", "number", 7, 2, help="KS distance between training and validation."),
)


def _label_cells(c: Feature) -> tuple[Any, ...]:
    return c.auc, c.auc_q, c.mi, c.mi_q, c.drift


def _label_table(related: Sequence[Feature]) -> Table:
    rows = [(c.name, *_label_cells(c)) for c in related]
    return Table(LABEL, rows, "Associated features, the strongest first", shown=STRONGEST)


def _every(columns: Sequence[Feature]) -> Table:
    shape = (
        Column("warm-up", "count"), Column("gaps", "count"),
        Column("most frequent\nvalue", "percent", 3), Column("tail,\nSD", "number", 4, 1),
    )  # fmt: skip
    rows = [
        (c.name, c.warmup, c.missing, c.top_share, c.tail, *_label_cells(c),
         c.copy_of or c.affine_of)
        for c in columns
    ]  # fmt: skip
    return Table([LABEL[0], *shape, *LABEL[1:], Column("repeats", "code", 4)], rows)


def _scatter(columns: Sequence[Feature]) -> Figure:
    """Univariate AUC of each feature against its drift."""
    known = [c for c in columns if not math.isnan(c.auc)]
    traces = [
        {
            "x": [c.drift for c in some], "y": [c.auc for c in some], "mode": "markers",
            "name": name, "text": [c.name for c in some],
            "marker": {"color": colour, "size": 7, "opacity": 0.7},
        }
        for name, colour, significant in (
            (f"q above {FALSE_DISCOVERY}", "grey", False),
            (f"q at most {FALSE_DISCOVERY}", "series-0", True),
        )
        if (some := [c for c in known if (c.auc_q <= FALSE_DISCOVERY) == significant])
    ]  # fmt: skip
    chance = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0.5, "y1": 0.5,
              "line": {"color": "ink", "dash": "dot", "width": 1}}  # fmt: skip
    return Figure(
        traces,
        {
            "xaxis": {"title": "KS distance, training to validation"},
            "yaxis": {"title": "univariate AUC, training rows"}, "shapes": [chance],
        },
        "Univariate AUC of each feature and how far it drifts: its Kolmogorov–Smirnov distance "
        "between training and validation.",
    )  # fmt: skip


def _bars(columns: Sequence[Feature]) -> list[Figure]:
    """The features with the largest gaps and the heaviest tails."""
    wanted = (
        ("missing", "undefined rows after the warm-up", "Gaps after the warm-up."),
        ("tail", "largest distance, robust SD", "Tails: largest distance from the median."),
    )
    pictures = []
    for field, axis, caption in wanted:
        some = [c for c in columns if getattr(c, field) > 0]
        top = sorted(some, key=lambda c: getattr(c, field))[-BARS:]
        if top:
            bar = {"type": "bar", "orientation": "h", "marker": {"color": "series-0"},
                   "x": [getattr(c, field) for c in top], "y": [c.name for c in top]}  # fmt: skip
            layout = {"xaxis": {"title": axis}, "yaxis": {"automargin": True},
                      "height": 100 + 18 * len(top)}  # fmt: skip
            pictures.append(Figure([bar], layout, caption))
    return pictures
