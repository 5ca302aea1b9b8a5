"""What a list of runs shows of each, kept in columns so that no run need be opened for it."""

from __future__ import annotations

import hashlib
from typing import Any

import polars as pl

from trueness.spec.kinds import AnySpec

SCHEMA = pl.Schema({
    "key": pl.String, "created": pl.String, "task": pl.String, "candidate": pl.String,
    "label": pl.String, "baseline": pl.Boolean, "comparison_group": pl.String,
    "data": pl.String, "part": pl.String, "sealed": pl.Boolean, "estimate": pl.String,
    "value": pl.Float64, "low": pl.Float64, "high": pl.Float64,
    "k": pl.Int64, "n": pl.Int64, "auc": pl.Float64,
})  # fmt: skip
"""Columns of the facts of runs; ``value`` to ``n`` are those of the headline, ``estimate``."""


def facts_of(spec: AnySpec, record: dict[str, Any]) -> dict[str, Any]:
    """Facts of a run, a value for each column of `SCHEMA`."""
    rule, estimates = spec.estimands, record["estimates"]
    headline = estimates[rule.headline]
    return {
        "key": spec.key, "created": str(record["created"]), "task": spec.task.kind,
        "candidate": _digest(spec.candidate), "label": str(record["label"]),
        "baseline": spec.is_baseline,
        "comparison_group": str(record["comparison_group"]),
        "data": data_named(record), "part": rule.measured_on,
        "sealed": rule.measured_on in rule.sealed, "estimate": rule.headline,
        **{name: headline.get(name) for name in ("value", "low", "high", "k", "n")},
        "auc": estimates.get("auc", {}).get("value"),
    }  # fmt: skip


def data_named(record: dict[str, Any]) -> str:
    """Name of the data of a run, under which its accesses are counted.

    That of a series, which later bars do not change; else the digest, or that of the units.
    """
    data = record["data"]
    return str(data.get("lineage") or data.get("digest") or record["comparison_group"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
