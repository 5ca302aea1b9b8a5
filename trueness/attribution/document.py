"""How importances are shown: a table, bars with their intervals, curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueness.attribution.importance import GroupImportance, Importance, PartialDependence
from trueness.document import Column, Document, Figure, HConcat, Items, Part, Sentence, Style, Table
from trueness.document.numbers import count, estimate, level, listed, percent, plural, share
from trueness.evaluation.selection import Contrast

MOST_BARS = 30
"""Groups of a figure."""
TITLES = {"precision": "precision", "auc": "AUC", "average_precision": "average precision"}
PERMUTED = (
    "A drop is the measure as it is minus its mean with the columns of the group permuted. It says "
    "what this model as fitted uses, not what another model could use, nor what causes the event."
)


def document_of(result: Importance) -> Document:
    """The answer first, then the table, the bars and the curves."""
    parts: list[Part] = [
        Sentence(_verdict(result), "verdict"), Items([*_facts(result), *result.notes]),
        Sentence(PERMUTED), _table(result),
        HConcat([_bars(result, name) for name in _measures(result)]),
    ]  # fmt: skip
    if result.partial:
        parts += [Sentence(_of_curves(result)), HConcat([_curve(one) for one in result.partial])]
    return Document(f"Importance of the inputs of {result.name}", parts, result.label)


def _measures(result: Importance) -> list[str]:
    """Measures that have pictures: the two that are judged first."""
    return [name for name in ("precision", "auc") if name in result.measures]


def _title(result: Importance, measure: str) -> str:
    return f"precision@{result.alarms}" if measure == "precision" else TITLES[measure]


def _verdict(result: Importance) -> str:
    """Groups whose drop is above 0, in each of the two measures."""
    n = count(len(result.groups))
    said = [f"{_title(result, m)}: {_named(result.matter[m], n)}" for m in _measures(result)]
    return f"Groups of inputs whose permutation is shown to lower {'; '.join(said)}."


def _named(groups: Sequence[str], n: str) -> str:
    return f"{count(len(groups))} of {n} ({listed(list(groups))})" if groups else f"none of {n}"


def _facts(result: Importance) -> list[str]:
    as_it_is = [
        f"{_title(result, name)} "
        + (share(one) if name == "precision" else estimate(one))
        for name, one in result.measures.items()
    ]  # fmt: skip
    blocks = f"blocks of {result.block} times" if result.block > 1 else f"single {result.noun}s"
    mean = plural(result.repeats, "permutation")
    return [
        f"On {result.part}, {count(result.positives)} positive; as it is: {', '.join(as_it_is)}",
        f"Mean of {mean} of {blocks} (seed {result.seed}); {level(result.confidence)} intervals "
        f"adjusted for serial dependence and for {plural(len(result.groups), 'group')}",
    ]  # fmt: skip


def _table(result: Importance) -> Table:
    budget, several = result.alarms, any(len(one.columns) > 1 for one in result.groups)
    explained = any(one.contribution is not None for one in result.groups)
    columns = [
        Column("group" if several else "column", "code", 9),
        *([Column("columns", "count", 4)] if several else []),
        *([Column(f"drop in\nprecision@{budget}, points", "points", 9)] * (budget > 0)),
        Column("drop in AUC", "difference", 8),
        Column("drop in average\nprecision", "difference", 3),
        *([Column("p,\nprecision", "p", 5, help="Adjusted for the groups.")] * (budget > 0)),
        Column("p,\nAUC", "p", 5, help="Adjusted for the groups."),
        *([Column("mean |TreeSHAP|,\nlogits", "number", 4,
                  help="Mean absolute contribution to the logit.")] * explained),
    ]  # fmt: skip
    rows = [
        [
            one.name, *([len(one.columns)] if several else []),
            *([one.drops["precision"].simultaneous] * (budget > 0)),
            one.drops["auc"].simultaneous, one.drops["average_precision"].simultaneous,
            *([one.drops["precision"].p] * (budget > 0)), one.drops["auc"].p,
            *([one.contribution] * explained),
        ]
        for one in result.groups
    ]  # fmt: skip
    styles: list[Style] = [
        "leader" if any(map(one.matters, _measures(result))) else "" for one in result.groups
    ]
    return Table(columns, rows, styles=styles)


def _bars(result: Importance, measure: str) -> Figure:
    """Drops with their simultaneous intervals; those above 0 coloured."""
    every = sorted(result.groups, key=lambda one: one.drops[measure].pointwise.value or 0.0)
    shown, scale = every[-MOST_BARS:], 100 if measure == "precision" else 1
    traces = []
    for name, colour, matters in (
        ("above 0", "series-0", True),
        ("not shown to be", "grey", False),
    ):
        some = [one for one in shown if one.matters(measure) == matters]
        if some:
            traces.append(_trace(name, some, measure, colour, scale))
    zero = {"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": "ink", "dash": "dot", "width": 1}}  # fmt: skip
    unit = ", points" if measure == "precision" else ""
    title = _title(result, measure)
    more = f" The {MOST_BARS} largest of {len(every)}." if len(every) > MOST_BARS else ""
    layout = {
        "height": 130 + 24 * len(shown), "xaxis": {"title": {"text": f"drop in {title}{unit}"}},
        "yaxis": {"automargin": True, "categoryorder": "array",
                  "categoryarray": [one.name for one in shown]},
        "shapes": [zero],
    }  # fmt: skip
    return Figure(traces, layout, f"Drop in {title} with each group permuted, and its interval, "
                  f"which holds for all groups at once.{more}")  # fmt: skip


def _trace(
    name: str, some: Sequence[GroupImportance], measure: str, colour: str, scale: float
) -> dict[str, Any]:
    drops = [one.drops[measure].simultaneous for one in some]
    values = [scale * (e.value or 0.0) for e in drops]
    return {
        "type": "bar", "orientation": "h", "name": name, "x": values,
        "y": [one.name for one in some], "marker": {"color": colour}, "hoverinfo": "text",
        "text": [f"{one.name}: {_said(one.drops[measure], measure)}" for one in some],
        "textposition": "none",
        "error_x": {
            "array": [scale * e.high - v if e.high is not None else 0.0
                      for e, v in zip(drops, values, strict=True)],
            "arrayminus": [v - scale * e.low if e.low is not None else 0.0
                           for e, v in zip(drops, values, strict=True)],
            "thickness": 1.4, "color": "ink",
        },
    }  # fmt: skip


def _said(drop: Contrast, measure: str) -> str:
    from trueness.document.numbers import points

    return points(drop.simultaneous) if measure == "precision" else (
        estimate(drop.simultaneous, signed=True)
    )  # fmt: skip


def _of_curves(result: Importance) -> str:
    named = [f"{one.column} of {one.group}" if one.column != one.group else one.column
             for one in result.partial]  # fmt: skip
    return (
        f"Partial dependence: mean probability over the same {result.noun}s with one column held "
        f"at each of its quantiles, over the whole window; of each group the column that moves it "
        f"most: {listed(named)}. It describes the model; values that the other columns never go "
        "with are among those asked about."
    )


def _curve(one: PartialDependence) -> Figure:
    text = [f"quantile {percent(level)} %: {percent(p, like=0.05)} %"
            for level, p in zip(one.levels, one.probability, strict=True)]  # fmt: skip
    trace = {
        "type": "scatter", "mode": "lines+markers", "x": list(one.values),
        "y": [100 * p for p in one.probability], "line": {"color": "series-0"},
        "marker": {"color": "series-0", "size": 6}, "text": text, "hoverinfo": "text",
        "showlegend": False,
    }  # fmt: skip
    layout = {"xaxis": {"title": {"text": one.column}},
              "yaxis": {"title": {"text": "mean probability, %"}}, "height": 300}  # fmt: skip
    return Figure([trace], layout, f"Partial dependence on {one.column}, at ten quantiles.")
