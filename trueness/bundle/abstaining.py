"""How many texts a classifier answers at a wanted precision, per language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueness.bundle.class_promise import class_promise_of
from trueness.document import Column, Figure, Part, Sentence, Table
from trueness.document.numbers import listed, percent
from trueness.evaluation.group_calibration import AbstentionThreshold
from trueness.judge.curves import axes
from trueness.spec.titles import TitlesSpec
from trueness.store import Run

PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
TABLED = (0.8, 0.9, 0.95)
MOST_LINES = 12
"""Languages that are drawn, the largest."""


def abstention_parts(
    run: Run[TitlesSpec], precisions: Sequence[float] = PRECISIONS
) -> list[Part]:  # fmt: skip
    """Share of the texts that is answered over the precision that is certified, per language.

    The thresholds are those that `trueness finalize --precision` would write into a bundle.

    Parameters
    ----------
    run : Run
        On titles.
    precisions : sequence of float
        In (0, 1), ascending.

    Raises
    ------
    StoreError
        If the record has no temperatures.
    """
    result = {one: class_promise_of(run, one).thresholds for one in precisions}
    names = list(result[precisions[0]])
    pooled = result[precisions[0]][names[-1]].pooled
    note = (
        "Texts below a threshold of the probability are left open; a threshold is the one that "
        "answers most texts while the validation part certifies the precision for the language."
    )
    more = f" Too few texts by themselves, and together as other: {listed(list(pooled))}."
    return [Sentence(note + more * bool(pooled), "note"), _figure(result, names),
            _table(result, names)]  # fmt: skip


Thresholds = dict[float, dict[str, AbstentionThreshold]]


def _figure(result: Thresholds, names: Sequence[str]) -> Figure:
    traces: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines+markers", "name": name, "x": list(result),
         "y": [_answered(thresholds[name]) for thresholds in result.values()],
         "line": {"color": f"series-{i % 8}", "dash": "solid" if i < 8 else "dot"}}
        for i, name in enumerate(names[:MOST_LINES])
    ]  # fmt: skip
    layout = axes("certified precision", "share of texts answered",
                  yaxis={"range": [-0.02, 1.02]})  # fmt: skip
    return Figure(traces, layout, "Texts that are answered over the precision that is certified.")


def _answered(one: AbstentionThreshold) -> float:
    return 0.0 if one.threshold is None else one.accepted.value or 0.0


def _table(result: Thresholds, names: Sequence[str]) -> Table:
    some = [one for one in result if one in TABLED]
    columns = [Column("language", "code", 9), Column("texts", "count", 6),
               *(Column(f"answered at\n{percent(one)} %", "share", 8) for one in some)]  # fmt: skip
    rows = [[name, result[next(iter(result))][name].accepted.n,
             *(_cell(result[one][name]) for one in some)] for name in names]  # fmt: skip
    return Table(columns, rows)


def _cell(one: AbstentionThreshold) -> Any:  # noqa: ANN401 - a cell
    if one.threshold is None:
        return "none certified"
    return one.accepted if one.guaranteed else "too few texts"
