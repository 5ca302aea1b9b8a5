"""One input of a run: its values over time, over parts, and what it tells of the label alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueness.document import Figure, HConcat, Part, Sentence
from trueness.document.numbers import count, decimal, p_value
from trueness.errors import TruenessError, nearest
from trueness.examples import PARTS, Examples
from trueness.judge.access import part_in_words
from trueness.judge.curves import axes
from trueness.market.quality import BLOCK_DAYS, label_relations

POINTS, BARS, LEAST = 1500, 40, 10
"""Points of a line, bars of a distribution, and labels of a class below which none is judged."""
Array = NDArray[np.float64]


def feature_parts(examples: Examples, name: str, sealed: Collection[str] = ()) -> list[Part]:
    """What is known of one column of the first fold.

    The null permutes blocks of consecutive times, as that of the feature audit does, single rows
    where there are no times.

    Parameters
    ----------
    examples : Examples
    name : str
        Of the column.
    sealed : collection of str
        Parts that are left out.

    Raises
    ------
    TruenessError
        With code ``no_feature``.
    """
    if name not in examples.features:
        note = nearest(name, list(examples.features))
        raise TruenessError(f"no feature {name!r}; {note}", "no_feature")
    last = examples.starts(0) + examples.context - 1
    values = examples.series[last, examples.features.index(name)].astype(np.float64)
    known = np.isfinite(values)
    parts = {part: examples.members(part) for part in PARTS[1:] if part not in sealed}
    inside = {part: rows[known[rows]] for part, rows in parts.items() if len(rows)}
    shown = {part: rows for part, rows in inside.items() if len(rows)}
    if not shown:
        return [Sentence(f"{name} has no values in any part that may be seen.", "note")]
    figures = [_distribution(values, shown)]
    note, null = _relation(examples, values, shown.get("train", np.array([], np.int64)))
    figures += [null] if null is not None else []
    line = _line(examples, values, np.sort(np.concatenate(list(shown.values()))))
    return [Sentence(note, "verdict"), HConcat(figures), *([line] if line else [])]


def _distribution(values: Array, parts: dict[str, NDArray[np.int64]]) -> Figure:
    every = np.concatenate([values[rows] for rows in parts.values()])
    edges = np.histogram_bin_edges(every, BARS)
    data: list[dict[str, Any]] = [
        {"type": "bar", "name": f"{part_in_words(part)} ({count(len(rows))})",
         "x": ((edges[1:] + edges[:-1]) / 2).tolist(), "width": float(edges[1] - edges[0]),
         "y": (np.histogram(values[rows], edges)[0] / len(rows)).tolist(), "opacity": 0.55,
         "marker": {"color": f"series-{i}"}}
        for i, (part, rows) in enumerate(parts.items())
    ]  # fmt: skip
    layout = axes("value", "share of the part", barmode="overlay", legend={"orientation": "h"})
    return Figure(data, layout, "Values in each part of the first fold, as shares of the part.")


def _relation(
    examples: Examples, values: Array, rows: NDArray[np.int64]
) -> tuple[str, Figure | None]:
    """AUC of the label by the column alone on training rows, beside its null."""
    y = examples.y[rows]
    if min(int((y == 1).sum()), int((y == 0).sum())) < LEAST:
        return "Too few labels of a class in training to relate it to the label.", None
    block = 1
    if examples.when is not None:
        when = examples.when[rows]
        rows = rows[np.argsort(when, kind="stable")]
        y, block = examples.y[rows], round(BLOCK_DAYS * len(rows) / len(np.unique(when)))
    auc = label_relations(values[rows][:, None], y, block=block)[0][0].astype(np.float64)
    strength = np.abs(auc - 0.5)
    p = (1 + int((strength[1:] >= strength[0] - 1e-9).sum())) / len(auc)
    note = (f"AUC of the label by it alone {decimal(float(auc[0]))} on {count(len(rows))} training "
            f"rows, {p_value(p)} against permuted labels.")  # fmt: skip
    edges = np.histogram_bin_edges(auc, BARS)
    bars = {"type": "bar", "name": "permuted labels", "marker": {"color": "grey"},
            "x": ((edges[1:] + edges[:-1]) / 2).tolist(), "width": float(edges[1] - edges[0]),
            "y": np.histogram(auc[1:], edges)[0].tolist()}  # fmt: skip
    line = {"type": "scatter", "mode": "lines", "name": "the labels", "x": [float(auc[0])] * 2,
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
