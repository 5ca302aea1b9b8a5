"""The feature audit of a table: what is wrong with its columns, and which tell of the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Column, Document, Section, Sentence, Style, Table
from trueness.document.numbers import count, decimal, percent, plural
from trueness.judge.judgement import SCHEMA
from trueness.spec.table import TableTask
from trueness.table import Table as Rows
from trueness.table.audit import Audit, Feature, audit_columns

LEAK_AUC, DRIFTED, NEAR_CONSTANT = 0.95, 0.3, 0.99
LEAKS, CONSTANTS, COPIES = "tell the label by themselves", "constants", "copies"
STRONGEST = 20
"""Features of the first table."""


@dataclass(frozen=True)
class TableAudit:
    """An audit of the input columns of a table, and what it comes to.

    Examples
    --------
    >>> from trueness.spec.evaluation import KFold
    >>> from trueness.table import table_of
    >>> rows = table_of({"x": [float(i) for i in range(80)], "paid_back": [1, 1, 1, 0] * 20,
    ...                  "y": [0, 0, 0, 1] * 20})
    >>> task = TableTask(kind="table", rows=rows.digest, label="y")
    >>> audit = audit_table(task, KFold(protocol="kfold", n_folds=2), rows)
    >>> [feature.name for feature in audit.leaks]
    ['paid_back']
    """

    audit: Audit

    @property
    def leaks(self) -> list[Feature]:
        """Features that tell the label by themselves, the strongest first."""
        return [one for one in self.ranked() if one.auc >= LEAK_AUC]

    def ranked(self) -> list[Feature]:
        """Features by what each tells of the label alone, the strongest first."""
        return sorted(self.audit.features, key=lambda one: -one.auc)

    def groups(self) -> dict[str, list[str]]:
        """What was found -> names of the features."""
        f = self.audit.features
        return {
            LEAKS: [f"{x.name} {decimal(x.auc, 3)}" for x in self.leaks],
            CONSTANTS: [x.name for x in f if x.top_share == 1],
            "near constants": [
                f"{x.name} {percent(x.top_share)} %" for x in f if NEAR_CONSTANT <= x.top_share < 1
            ],
            COPIES: [f"{x.name} = {x.copy_of}" for x in f if x.copy_of],
            "identifiers": [x.name for x in f if x.identifies],
            "drift between training and measured rows": [
                f"{x.name} {decimal(x.drift, 2)}" for x in f if x.drift > DRIFTED
            ],
        }

    def across(self) -> dict[str, int]:
        """What stands on both sides of the division -> how many."""
        a = self.audit
        shared = {} if a.shared_clusters is None else {"clusters": a.shared_clusters}
        return {"repeated rows": a.repeated, "of other label": a.contradicting, **shared}

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        a = self.audit
        return {
            "schema": SCHEMA, "kind": "table_audit", "data": a.source, "part": a.part,
            "features": [one.to_dict() for one in a.features], "training_rows": a.n_train,
            "measured_rows": a.n_measured, "found": self.groups(), "across_parts": self.across(),
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """One row for each feature."""
        return pl.DataFrame([one.to_dict() for one in self.audit.features],
                            infer_schema_length=None)  # fmt: skip

    def document(self) -> Document:
        """What was found, what each feature tells alone, and every feature."""
        a, ranked = self.audit, self.ranked()
        return Document(
            f"Feature audit: {a.source}",
            [
                Sentence(self._verdict(), "verdict"),
                *(Sentence(text, "warning") for text in self._warnings()),
                Section("Findings", [_findings(self.groups())]),
                Section("Association with the label", [_table(ranked, STRONGEST)]),
                Section("All features", [_table(a.features)], folded=True),
            ],
            f"{plural(len(a.features), 'feature')}; {count(a.n_train)} training and "
            f"{count(a.n_measured)} {a.part} rows of the last fold; whether a feature looks ahead "
            "cannot be tested in a table",
        )

    def _verdict(self) -> str:
        if not self.leaks:
            return f"No feature tells the label by itself (univariate AUC below {LEAK_AUC})."
        names = ", ".join(f"{x.name} (AUC {decimal(x.auc, 3)})" for x in self.leaks)
        return (f"Suspected leak: {names}. Is it known at the time of the decision, or written "
                "after the event?")  # fmt: skip

    def _warnings(self) -> list[str]:
        a, note = self.audit, []
        if a.repeated:
            note.append(
                f"{plural(a.repeated, 'measured row repeats', 'measured rows repeat')} the inputs "
                f"of a training row ({percent(a.repeated / a.n_measured)} % of them), "
                f"{count(a.contradicting)} under another label."
            )
        if a.shared_clusters:
            several = plural(a.shared_clusters, "cluster has", "clusters have")
            note.append(f"{several} rows among training and measured ones.")
        return note


def audit_table(task: TableTask, evaluation: Any, rows: Rows) -> TableAudit:  # noqa: ANN401
    """Audit the inputs of a task on a table, under one of its protocols.

    Parameters
    ----------
    task : TableTask
    evaluation : RowsHoldout, KFold, RowsForward or Given
    rows : trueness.table.Table

    Raises
    ------
    DataError
        As for `trueness.table.table_examples`.
    """
    return TableAudit(audit_columns(task, evaluation, rows))


# ------------------------------------------------------------------------------------------- shown


def _findings(groups: dict[str, list[str]]) -> Table:
    columns = (
        Column("finding", weight=9), Column("features", "count", 9), Column("which", weight=8),
    )  # fmt: skip
    rows = [(what, len(names), "; ".join(names) or None) for what, names in groups.items()]
    styles: list[Style] = [
        "warning" if names and what == LEAKS else "" for what, names in groups.items()
    ]
    return Table(columns, rows, styles=styles)


COLUMNS = (
    Column("feature", "code", 9),
    Column("kind", weight=5),
    Column("univariate\nAUC", "number", 9, help="Of measured rows, by its values or their rates."),
    Column("drift", "number", 7, 2, help="KS or total variation distance, training to measured."),
    Column("missing", "count", 6),
    Column("values", "count", 4),
    Column("most frequent\nvalue", "percent", 3),
    Column("repeats", "code", 4),
)


def _table(features: Sequence[Feature], shown: int | None = None) -> Table:
    rows = [
        (x.name, x.kind, x.auc, x.drift, x.missing, x.distinct, x.top_share, x.copy_of)
        for x in features
    ]
    return Table(COLUMNS, rows, shown=shown)
