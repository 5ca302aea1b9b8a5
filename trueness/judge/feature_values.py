"""One input of a run: its values over time, over parts, and what it tells of the label alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trueness.document import Column, Document, Figure, HConcat, Part, Sentence, Table
from trueness.document.numbers import count, decimal, p_value
from trueness.errors import TruenessError, nearest
from trueness.examples import PARTS, Examples
from trueness.judge.access import part_in_words
from trueness.judge.curves import axes
from trueness.judge.judgement import SCHEMA
from trueness.market.quality import BLOCK_DAYS, label_relations

POINTS, BARS, LEAST = 1500, 40, 10
"""Points of a line, bars of a distribution, and labels of a class below which none is judged."""
QUANTILES = ("lowest", "lower_quartile", "median", "upper_quartile", "highest")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Relation:
    """AUC of the label by a column alone on training rows.

    Attributes
    ----------
    auc, p : float
        The p-value is against permuted labels.
    null : (B,) array
        AUCs of the permuted labels.
    n, block : int
        Rows, and how many of them are permuted together.
    """

    auc: float
    p: float
    null: Array
    n: int
    block: int


@dataclass(frozen=True)
class FeatureValues:
    """What is known of one column of the first fold.

    Attributes
    ----------
    run, feature : str
    parts : mapping of str to array
        Known values of each part that may be seen.
    relation : Relation or None
        None with too few labels of a class.
    line : Figure or None
        Values over time; None without times.
    """

    run: str
    feature: str
    parts: Mapping[str, Array]
    relation: Relation | None
    line: Figure | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON; docs/reference/json.md describes them."""
        relation = self.relation
        known = {} if relation is None else {
            "auc": relation.auc, "p": relation.p, "training_rows": relation.n,
            "block": relation.block,
        }  # fmt: skip
        return {"schema": SCHEMA, "kind": "feature_values", "run": self.run,
                "feature": self.feature, "relation": known or None,
                "parts": self._rows()}  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per part."""
        return pl.DataFrame(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        quantiles = dict(zip(QUANTILES, (0, 0.25, 0.5, 0.75, 1), strict=True))
        return [
            {"part": part, "n": len(values),
             **{name: float(np.quantile(values, q)) for name, q in quantiles.items()}}
            for part, values in self.parts.items()
        ]  # fmt: skip

    def pictures(self) -> list[Part]:
        """What it tells of the label, its distribution, and its values over time."""
        if not self.parts:
            note = f"{self.feature} has no values in any part that may be seen."
            return [Sentence(note, "note")]
        note, null = _told(self.relation)
        figures = [_distribution(self.parts), *([null] if null is not None else [])]
        return [Sentence(note, "verdict"), HConcat(figures), *([self.line] if self.line else [])]

    def document(self) -> Document:
        """What to show."""
        numbers = [Column(name.replace("_", " "), "number", digits=4) for name in QUANTILES]
        columns = [Column("part", weight=9), Column("rows", "count", 9), *numbers]
        rows = [[part_in_words(row["part"]), row["n"], *(row[name] for name in QUANTILES)]
                for row in self._rows()]  # fmt: skip
        table = [Table(columns, rows, "Values in each part")] if rows else []
        return Document(f"{self.feature} of {self.run}", [*self.pictures(), *table])


def feature_values(
    examples: Examples, feature: str, sealed: Collection[str] = (), run: str = ""
) -> FeatureValues:
    """What is known of one column of the first fold.

    The null permutes blocks of consecutive times, as that of the feature audit does, single rows
    where there are no times.

    Parameters
    ----------
    examples : Examples
    feature : str
        Name of the column.
    sealed : collection of str
        Parts that are left out.
    run : str
        What the run is called.

    Raises
    ------
    TruenessError
        With code ``no_feature``.
    """
    if feature not in examples.features:
        note = nearest(feature, list(examples.features))
        raise TruenessError(f"no feature {feature!r}; {note}", "no_feature")
    last = examples.starts(0) + examples.context - 1
    values = examples.series[last, examples.features.index(feature)].astype(np.float64)
    known = np.isfinite(values)
    parts = {part: examples.members(part) for part in PARTS[1:] if part not in sealed}
    inside = {part: rows[known[rows]] for part, rows in parts.items() if len(rows)}
    shown = {part: rows for part, rows in inside.items() if len(rows)}
    if not shown:
        return FeatureValues(run, feature, {}, None, None)
    return FeatureValues(
        run, feature, {part: values[rows] for part, rows in shown.items()},
        _relation(examples, values, shown.get("train", np.array([], np.int64))),
        _line(examples, values, np.sort(np.concatenate(list(shown.values())))),
    )  # fmt: skip


def _distribution(parts: Mapping[str, Array]) -> Figure:
    edges = np.histogram_bin_edges(np.concatenate(list(parts.values())), BARS)
    data: list[dict[str, Any]] = [
        {"type": "bar", "name": f"{part_in_words(part)} ({count(len(values))})",
         "x": ((edges[1:] + edges[:-1]) / 2).tolist(), "width": float(edges[1] - edges[0]),
         "y": (np.histogram(values, edges)[0] / len(values)).tolist(), "opacity": 0.55,
         "marker": {"color": f"series-{i}"}}
        for i, (part, values) in enumerate(parts.items())
    ]  # fmt: skip
    layout = axes("value", "share of the part", barmode="overlay", legend={"orientation": "h"})
    return Figure(data, layout, "Values in each part of the first fold, as shares of the part.")


def _relation(examples: Examples, values: Array, rows: NDArray[np.int64]) -> Relation | None:
    """AUC of the label by the column alone on training rows, beside its null."""
    y = examples.y[rows]
    if min(int((y == 1).sum()), int((y == 0).sum())) < LEAST:
        return None
    block = 1
    if examples.when is not None:
        when = examples.when[rows]
        rows = rows[np.argsort(when, kind="stable")]
        y, block = examples.y[rows], round(BLOCK_DAYS * len(rows) / len(np.unique(when)))
    auc = label_relations(values[rows][:, None], y, block=block)[0][0].astype(np.float64)
    strength = np.abs(auc - 0.5)
    p = (1 + int((strength[1:] >= strength[0] - 1e-9).sum())) / len(auc)
    return Relation(float(auc[0]), p, auc[1:], len(rows), block)


def _told(relation: Relation | None) -> tuple[str, Figure | None]:
    if relation is None:
        return "Too few labels of a class in training to relate it to the label.", None
    auc, block = relation.auc, relation.block
    note = (f"AUC of the label by it alone {decimal(auc)} on {count(relation.n)} training "
            f"rows, {p_value(relation.p)} against permuted labels.")  # fmt: skip
    edges = np.histogram_bin_edges(np.append(relation.null, auc), BARS)
    bars = {"type": "bar", "name": "permuted labels", "marker": {"color": "grey"},
            "x": ((edges[1:] + edges[:-1]) / 2).tolist(), "width": float(edges[1] - edges[0]),
            "y": np.histogram(relation.null, edges)[0].tolist()}  # fmt: skip
    line = {"type": "scatter", "mode": "lines", "name": "the labels", "x": [auc] * 2,
            "y": [0, max(bars["y"])], "line": {"color": "series-0", "width": 3}}  # fmt: skip
    blocks = f"blocks of {count(block)} rows" if block > 1 else "rows"
    caption = f"AUC of the label by it alone, and with {blocks} of the labels permuted."
    return note, Figure([bars, line], axes("AUC", "permutations"), caption)


def _line(examples: Examples, values: Array, rows: NDArray[np.int64]) -> Figure | None:
    """Values over time, of each series that has the most rows; None without times."""
    if examples.when is None:
        return None
    if examples.group is not None:
        names, sizes = np.unique(examples.group[rows], return_counts=True)
        rows = rows[examples.group[rows] == names[np.argmax(sizes)]]
        of = f" of {names[np.argmax(sizes)]}"
    else:
        of = ""
    rows = rows[np.argsort(examples.when[rows], kind="stable")]
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), POINTS)).astype(int))]
    trace = {
        "type": "scatter", "mode": "lines", "x": examples.when[rows].astype(str).tolist(),
        "y": values[rows].tolist(), "line": {"color": "series-0", "width": 1},
    }  # fmt: skip
    return Figure([trace], axes("", "value"), f"Values over time{of}.", width=640)
