"""Alarms of a run over time: hits, false alarms and misses, with the folds they came from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trueness.document import Figure, Part, Section, Sentence
from trueness.document.numbers import count
from trueness.evaluation.metrics import alarm_cut
from trueness.judge.access import part_in_words
from trueness.judge.comparison import measured_part
from trueness.judge.curves import Trace, axes
from trueness.judge.parts import units_in_words
from trueness.predictions import Predictions
from trueness.spec.estimands import Estimands
from trueness.store import Run

LINE_POINTS = 1500
"""Points of the line of scores at most: of each stretch, the highest."""
MOST_MARKS = 4000
"""Misses that are drawn at most, evenly spread."""
MOST_SERIES = 12
"""Series of a panel that are drawn: those with the most alarms."""


def alarm_sections(part: Predictions, name: str, rule: Estimands) -> list[Part]:
    """A picture of the alarms at the largest budget; of a panel, one per series.

    Nothing where units have no times.

    Parameters
    ----------
    part : Predictions
        One part of a run of a binary label.
    name : str
        Of the part.
    rule : Estimands
    """
    if part.time is None:
        return []
    budget = min(rule.budget, len(part))
    cut = alarm_cut(part.score, budget)
    raised = part.score > cut
    note = (
        f"The {count(budget)} highest scores of the {units_in_words(rule, name)} as alarms: "
        f"{count(raised.sum())} raised, {count((raised & (part.y == 1)).sum())} of them hits; "
        f"{count((~raised & (part.y == 1)).sum())} positives are missed."
    )
    parts: list[Part] = [Sentence(note)]
    groups = [""] if part.group is None else _busiest(part.group, raised)
    for one in groups:
        inside = np.ones(len(part), bool) if part.group is None else part.group == one
        parts.append(_figure(part.only(inside), raised[inside], cut, one, rule))
    return [Section("Alarms over time", parts)]


def _busiest(group: NDArray[Any], raised: NDArray[np.bool_]) -> list[str]:
    names, alarms = np.unique(group[raised], return_counts=True)
    return [str(names[i]) for i in np.argsort(-alarms, kind="stable")[:MOST_SERIES]]


def _figure(
    part: Predictions, raised: NDArray[np.bool_], cut: float, group: str, rule: Estimands
) -> Figure:
    shown = expit(part.score) if rule.probabilities else part.score
    assert part.time is not None
    order = np.argsort(part.time, kind="stable")
    time = _texts(part.time[order])
    shown, positive, raised = shown[order], part.y[order] == 1, raised[order]
    line = _highest(shown)
    what = "probability" if rule.probabilities else "score"
    traces: list[Trace] = [
        {"x": time[line].tolist(), "y": shown[line].tolist(), "mode": "lines", "name": what,
         "line": {"color": "grey/0.5", "width": 1}, "hoverinfo": "skip"},
        _marks(time, shown, _spread(positive & ~raised), "missed positive", "series-4", "x"),
        _marks(time, shown, raised & ~positive, "false alarm", "series-1", "circle-open"),
        _marks(time, shown, raised & positive, "hit", "series-0", "circle"),
    ]  # fmt: skip
    at = float(expit(cut)) if rule.probabilities else cut
    folds = _folds(part.fold[order], time)
    caption = f"{group}: alarms" if group else "Alarms"
    more = "; shades tell the folds apart" if len(folds) else ""
    return Figure(
        traces,
        axes("", what, shapes=[*folds, _level(at)], legend={"orientation": "h"}),
        f"{caption}, hits and missed positives by time; the dotted line is the threshold{more}.",
        width=640,
    )  # fmt: skip


def _level(at: float) -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": at, "y1": at,
            "line": {"color": "ink", "dash": "dot", "width": 1}}  # fmt: skip


def _marks(
    time: NDArray[np.str_], shown: NDArray[Any], which: NDArray[np.bool_], name: str, colour: str,
    symbol: str,
) -> Trace:  # fmt: skip
    return {
        "x": time[which].tolist(), "y": shown[which].tolist(), "mode": "markers",
        "name": f"{name} ({count(which.sum())})",
        "marker": {"color": colour, "symbol": symbol, "size": 8},
    }  # fmt: skip


def _spread(which: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The same, thinned evenly where there are very many."""
    places = np.flatnonzero(which)
    if len(places) > MOST_MARKS:
        places = places[np.linspace(0, len(places) - 1, MOST_MARKS).astype(int)]
    kept = np.zeros(len(which), bool)
    kept[places] = True
    return kept


def _highest(shown: NDArray[Any]) -> NDArray[np.int64]:
    """Place of the highest value of each of some stretches.

    Examples
    --------
    >>> _highest(np.array([1.0, 3.0, 2.0])).tolist()
    [0, 1, 2]
    """
    pieces = np.array_split(np.arange(len(shown)), min(len(shown), LINE_POINTS))
    return np.array([piece[np.argmax(shown[piece])] for piece in pieces])


def _folds(fold: NDArray[np.int64], time: NDArray[np.str_]) -> list[dict[str, Any]]:
    """A shade under every other fold, where folds follow each other in time."""
    starts = np.flatnonzero(np.diff(fold, prepend=fold[0] - 1))
    if len(starts) != len(np.unique(fold)) or len(starts) < 2:
        return []
    ends = [*starts[1:], len(fold)]
    return [_shade(time[start], time[end - 1], "grey/0.08")
            for start, end in list(zip(starts, ends, strict=True))[1::2]]  # fmt: skip


def _shade(start: str, end: str, colour: str) -> dict[str, Any]:
    return {"type": "rect", "yref": "paper", "y0": 0, "y1": 1, "x0": start, "x1": end,
            "fillcolor": colour, "line": {"width": 0}, "layer": "below"}  # fmt: skip


def _texts(time: NDArray[np.datetime64]) -> NDArray[np.str_]:
    return time.astype("datetime64[s]").astype(str)


def periods(run: Run) -> dict[str, Any]:
    """What marks folds and sealed parts on an axis of times: layout of a figure.

    Of a sealed part only its first and its last time are looked at.
    """
    part, rule = measured_part(run), run.estimands
    assert part.time is not None
    order = np.argsort(part.time, kind="stable")
    first, last = part.time.min(), part.time.max()
    shapes, notes = _folds(part.fold[order], _texts(part.time[order])), []
    splits = set(run.predictions().frame["split"].unique())
    for name in sorted(splits & set(rule.sealed)):
        time = run.predictions().part(name).time
        assert time is not None
        ends = _texts(np.array([time.min(), time.max()]))
        first, last = min(first, time.min()), max(last, time.max())
        shapes.append(_shade(*ends, "series-1/0.12"))
        notes.append((time.min(), time.max(), f"{part_in_words(name)}, sealed"))
    return {"shapes": shapes,
            "annotations": [_inwards(*note, i, first, last) for i, note in enumerate(notes)],
            "xaxis": {"range": _texts(np.array([first, last])).tolist()}}  # fmt: skip


def _inwards(
    start: np.datetime64, end: np.datetime64, text: str, line: int, first: np.datetime64,
    last: np.datetime64,
) -> dict[str, Any]:  # fmt: skip
    """Words at the outer end of a period, so that they stay inside of a narrow picture."""
    right = (last - end) <= (start - first)
    return {
        "x": str(_texts(np.array([end if right else start]))[0]), "y": 1 - 0.08 * line,
        "yref": "paper", "xanchor": "right" if right else "left", "yanchor": "top", "text": text,
        "showarrow": False,
    }  # fmt: skip
