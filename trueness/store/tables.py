"""Tables of a store in PostgreSQL, in a schema of their own."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    func,
)

from trueness.store.facts import SCHEMA

NAME = "trueness"
"""The schema."""
METADATA = MetaData(schema=NAME)
KINDS = {"String": Text, "Boolean": Boolean, "Float64": Double, "Int64": BigInteger}

ABOUT = Table(
    "about", METADATA, Column("version", Integer, nullable=False),
    Column("files", Text, nullable=False),
    Column("made", DateTime(timezone=True), server_default=func.now()),
)  # fmt: skip
"""One row: the layout, and where the files of runs are."""

RUNS = Table(
    "runs", METADATA,
    *[
        Column(name, KINDS[str(kind)], primary_key=name == "key")
        for name, kind in SCHEMA.items()
    ],
    Column("number", BigInteger, Identity(), nullable=False),
    Column("folder", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Index("runs_ranked", "comparison_group", "baseline", "low"),
)  # fmt: skip
"""A row per run: its facts, in what order it came, where its files are, record and spec."""


def _documents(name: str) -> Table:
    return Table(
        name, METADATA, Column("name", Text, primary_key=True),
        Column("content", JSON, nullable=False),
        Column("changed", DateTime(timezone=True), nullable=False,
               server_default=func.clock_timestamp()),
    )  # fmt: skip


def _lines(name: str) -> Table:
    return Table(
        name, METADATA, Column("number", BigInteger, Identity(), primary_key=True),
        Column("name", Text, nullable=False, index=True), Column("line", Text, nullable=False),
    )  # fmt: skip


DOCUMENTS = {
    name: _documents(name)
    for name in ("campaigns", "damaged", "failures", "leases", "notes", "status", "uploads")
}
"""Tables of documents; ``notes`` has those that lie in no folder."""
LEDGER, EPOCHS = _lines("ledger"), _lines("epochs")
