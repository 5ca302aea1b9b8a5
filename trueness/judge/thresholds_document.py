"""What is shown of thresholds: choices, curves, the sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from trueness.document import (
    Cell,
    Column,
    Document,
    Figure,
    HConcat,
    Items,
    Part,
    Section,
    Sentence,
    Style,
    Table,
)
from trueness.document.numbers import count, decimal, level, plural
from trueness.evaluation.intervals import Estimate
from trueness.evaluation.thresholds import ALARM_RATES_PCT, Sweep, threshold_sweep
from trueness.judge.curves import MIN_ALARMS_SHOWN, POINTS, Trace, axes, band, dotted
from trueness.judge.demands import Choice, Demand
from trueness.judge.parts import cautions, counted, earlier_name, run_title, units_in_words
from trueness.judge.settings import full_labels
from trueness.judge.thresholds import RunThresholds, Thresholds

RUNS_IN_DETAIL = 6
"""Runs of a page that have curves."""
ROWS_SHOWN = 30
"""Rows of a sweep beyond which alarm rates stand for it."""
SYMBOLS = {"in-sample": "circle", "in-sample, lower bound": "diamond", "out-of-sample": "x"}
"""Rule -> mark of its choices in the curves."""
BOUND = "in-sample, lower bound"


def document(result: Thresholds) -> Document:
    """Of one run: its choices, the best baseline beside it, its sweep; of several a line each."""
    asked = result.asked
    parts: list[Part] = [Sentence(note, "warning") for note in result.notes]
    parts += cautions(one.run.estimands for one in result.runs)
    if len(asked) == 1 and not result.campaign:
        (one,) = asked
        title = f"Thresholds of {run_title(one.name, one.run)}"
        parts += [Sentence(base_sentence(one)), _choices(one)]
        parts += [_section(other, folded=False, detailed=False) for other in _baselines(result)]
        parts += [Sentence(caption(one), "note"), *_curves(one), _sweep(one)]
        subtitle = one.run.key
    else:
        of = f"campaign {result.campaign}" if result.campaign else plural(len(asked), "run")
        title, subtitle = f"Thresholds of {of}", ""
        parts += [_per_demand(result, demand) for demand in result.demands]
        widest = max(asked, key=lambda one: len(one.sweep))
        parts.append(Sentence(caption(widest, "up to "), "note"))
        bases = dict.fromkeys(base_sentence(one) for one in result.runs)
        parts.append(Items([*bases, f"{plural(len(asked), 'run')}, not adjusted for their number"]))
        runs = enumerate(result.runs)
        detail = [_section(one, folded=True, detailed=i < RUNS_IN_DETAIL) for i, one in runs]
        parts.append(Section("Run by run", detail))
    return Document(title, [*parts, *_ledger(result)], subtitle)


def _baselines(result: Thresholds) -> list[RunThresholds]:
    return [one for one in result.runs if one.is_baseline]


def _ledger(result: Thresholds) -> list[Part]:
    return [Items(result.ledger)] if result.ledger else []


def _section(one: RunThresholds, folded: bool, detailed: bool) -> Section:
    """A run under a heading, with its curves and its sweep if it is shown in detail."""
    parts: list[Part] = [_choices(one)]
    if detailed:
        parts += [*_curves(one), _sweep(one)]
    title = run_title(one.name, one.run)
    if one.run.key not in title:
        title += f" · {one.run.key}"
    return Section(title, parts, folded=folded)


def base_sentence(one: RunThresholds) -> str:
    """Units, positives and their share."""
    rule = one.run.estimands
    return f"{counted(rule, one.measured_on, one.part)}; base rate {one.base_rate}"


def caption(one: RunThresholds, most: str = "") -> str:
    """What the rules mean, and which of them to believe."""
    rule = one.run.estimands
    unit = rule.nouns[0]
    note = (
        f"In-sample threshold (optimistic): best of {most}{count(len(one.sweep))} thresholds on "
        f"the {unit}s that measure it."
    )
    if any(choice.rule == "out-of-sample" for choice in one.choices):
        source = units_in_words(rule, earlier_name(one.measured_on))
        each = " of each fold" if len(np.unique(one.part.fold)) > 1 else ""
        note += f" Out-of-sample threshold: chosen on the {source}{each}."
    return (
        f"{note} Precision and recall with exact {level(one.sweep.confidence)} CI of the effective "
        f"number of {unit}s; `trueness certify` guarantees a precision."
    )


# ------------------------------------------------------------------------------------------- tables


def _from(one: RunThresholds, thresholds: Sequence[float]) -> str:
    """One threshold, or the range of those of several folds, as probabilities where there are."""
    values = expit(np.array(thresholds)) if one.probabilities else np.array(thresholds)
    low, high = decimal(float(values.min())), decimal(float(values.max()))
    if len(thresholds) == 1:
        return low
    return f"{low}–{high}" if values.min() >= 0 else f"{low} to {high}"


def _from_column(one: RunThresholds) -> Column:
    what = "probability" if one.probabilities else "score"
    return Column(f"from\n{what}", "number", 9, help=f"Lowest {what} that raises an alarm.")


YEARLY = Column("alarms\na year", "number", 2, digits=1)


def _choices(one: RunThresholds) -> Table:
    """Every demand and rule with its threshold."""
    columns = [
        Column("demand", weight=9),
        Column("best", weight=3, help="What is as good as possible under the demand."),
        Column("threshold", weight=9, help="How it was chosen."),
        _from_column(one),
        Column("precision", "share", 9),
        Column("recall", "share_only", 7),
    ]
    rows: list[list[Cell]] = []
    for i, choice in enumerate(one.choices):
        again = i and one.choices[i - 1].demand == choice.demand
        rows.append([*([None, None] if again else _demand_cells(choice)), *_chosen(one, choice)])
    return _yearly(one, columns, rows, [choice.alarms_per_year for choice in one.choices])


def _demand_cells(choice: Choice) -> list[Cell]:
    return [choice.demand.short, choice.demand.maximised]


def _chosen(one: RunThresholds, choice: Choice) -> list[Cell]:
    """How a threshold was chosen, where it lies, what it reaches."""
    if not choice.feasible:
        return [choice.rule, None, "infeasible", None]
    return [choice.rule, _from(one, choice.thresholds), choice.precision, choice.recall]


def _yearly(
    one: RunThresholds, columns: list[Column], rows: list[list[Cell]],
    per_year: Sequence[float | None], title: str = "", note: str = "",
) -> Table:  # fmt: skip
    """A table, with alarms per year as last column where there are times."""
    if one.sweep.years is not None:
        columns = [*columns, YEARLY]
        rows = [[*row, alarms] for row, alarms in zip(rows, per_year, strict=True)]
    return Table(columns, rows, title, note)


def _sweep(one: RunThresholds) -> Table:
    """The sweep, or what of it lies at fixed alarm rates."""
    sweep = one.sweep if len(one.sweep) <= ROWS_SHOWN else _at_rates(one)
    columns = [
        _from_column(one), Column("alarms", "count", 9), Column("hits", "count", 9),
        Column("precision", "share_only", 9), Column("recall", "share_only", 7),
    ]  # fmt: skip
    some = [row for row in sweep if np.isfinite(row.cut)]
    rows = [[_from(one, [r.cut]), r.alarms, r.hits, r.precision, r.recall] for r in some]
    left_out = len(sweep) < len(one.sweep)
    note = (
        f"{count(len(sweep))} of {count(len(one.sweep))} distinct scores; --csv writes all"
        if left_out
        else ""
    )
    return _yearly(one, columns, rows, [r.alarms_per_year for r in some], "Sweep", note)


def _at_rates(one: RunThresholds) -> Sweep:
    part = one.part
    return threshold_sweep(
        part.y, part.score, part.time, rates_pct=ALARM_RATES_PCT, input="score",
        confidence=one.sweep.confidence, blocks=part.blocks(one.run.estimands.block),
    )  # fmt: skip


def _per_demand(result: Thresholds, demand: Demand) -> Section:
    """One line per run: what each rule reaches under one demand."""
    rules = list(dict.fromkeys(choice.rule for one in result.runs for choice in one.choices))
    columns = [Column("run", weight=9), Column("model", weight=3)]
    for rule in rules:
        weight = {"in-sample": 6, "in-sample, lower bound": 2}.get(rule, 8)
        columns.append(Column(f"{rule}:\nprecision", "share", weight))
        if rule != BOUND:
            columns.append(Column(f"{rule}:\nrecall", "share_only", weight - 1))
    rows = []
    labels = full_labels([one.run.spec for one in result.runs])
    for one, label in zip(result.runs, labels, strict=True):
        row: list[Cell] = [one.name, label]
        known = {choice.rule: choice for choice in one.choices if choice.demand == demand}
        for rule in rules:
            row += _reached(known.get(rule))[: 1 if rule == BOUND else 2]
        rows.append(row)
    styles: list[Style] = ["baseline" if one.run.spec.is_baseline else "" for one in result.runs]
    return Section(f"{demand}: best {demand.maximised}", [Table(columns, rows, styles=styles)])


def _reached(choice: Choice | None) -> list[Cell]:
    if choice is None:
        return [None, None]
    return [choice.precision, choice.recall] if choice.feasible else ["infeasible", None]


# ------------------------------------------------------------------------------------------- curves


def _curves(one: RunThresholds) -> list[Part]:
    over = "alarms_per_year" if one.sweep.years is not None else "alarms"
    at = "probability" if one.probabilities else "cut"
    wanted = (("precision", at), ("recall", at), ("precision", over))
    return [HConcat([curve(one, what, x) for what, x in wanted])]


def _shown(one: RunThresholds, what: str) -> NDArray[np.int64]:
    """Rows to draw: a precision needs some alarms; at most some hundreds, evenly spread."""
    enough = one.sweep.alarms >= (MIN_ALARMS_SHOWN if what == "precision" else 1)
    rows = np.flatnonzero(enough & np.isfinite(one.sweep.cut))
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(int))]


TITLES = {
    "probability": "probability threshold", "cut": "score threshold",
    "alarms_per_year": "alarms a year", "alarms": "alarms",
}  # fmt: skip


def curve(one: RunThresholds, what: str, over: str) -> Figure:
    """Precision or recall with its exact band, and the thresholds that were chosen.

    Parameters
    ----------
    one : RunThresholds
    what : {"precision", "recall"}
    over : {"probability", "cut", "alarms_per_year", "alarms"}
    """
    table, rows = one.sweep.columns(), _shown(one, what)
    x, value, low, high = (table[n][rows] for n in (over, what, f"{what}_low", f"{what}_high"))
    hits, alarms = table["hits"][rows], table["alarms"][rows]
    line: Trace = {
        "x": x.tolist(), "y": value.tolist(), "mode": "lines", "line": {"color": "series-0"},
        "showlegend": False, "name": what,
        "text": [
            f"{count(k)} hits of {count(n)} alarms" for k, n in zip(hits, alarms, strict=True)
        ],
    }  # fmt: skip
    traces = [band(x, low, high, "series-0"), line]
    if what == "precision" and len(x):
        rate = one.sweep.positives / one.sweep.n
        ends = [float(x.min()), float(x.max())]
        traces.append(dotted(ends, [rate, rate], "base rate"))
    axis = {"probability": {"range": [0, 1]}, "cut": {}}.get(over, {"type": "log"})
    marks = "; ".join(f"{symbol}: {rule}" for rule, symbol in SYMBOLS.items())
    return Figure(
        [*traces, *_marks(one, what, over)],
        axes(
            TITLES[over], what, xaxis=axis, yaxis={"range": [0, 1.04]},
            legend={"orientation": "h"},
        ),
        f"{what.capitalize()} by {TITLES[over]} with exact {level(one.sweep.confidence)} CI; "
        f"chosen thresholds ({marks}).",
    )  # fmt: skip


def _marks(one: RunThresholds, what: str, over: str) -> list[Trace]:
    """The thresholds that were chosen, each with the interval of its estimate."""
    demands = list(dict.fromkeys(choice.demand for choice in one.choices))
    traces, named = [], set()
    for choice in one.choices:
        place = _place(choice, over)
        estimate: Estimate | None = getattr(choice, what)
        if place is None or estimate is None or estimate.value is None:
            continue
        assert estimate.low is not None
        assert estimate.high is not None
        traces.append({
            "x": [place], "y": [estimate.value], "mode": "markers", "name": str(choice.demand),
            "legendgroup": str(choice.demand), "showlegend": choice.demand not in named,
            "marker": {
                "size": 10, "symbol": SYMBOLS[choice.rule],
                "color": f"series-{1 + demands.index(choice.demand)}",
            },
            "error_y": {
                "type": "data", "symmetric": False, "array": [estimate.high - estimate.value],
                "arrayminus": [estimate.value - estimate.low], "thickness": 1,
            },
            "text": [f"{choice.rule}: {estimate}"], "cliponaxis": False,
        })  # fmt: skip
        named.add(choice.demand)
    return traces


def _place(choice: Choice, over: str) -> float | None:
    """Where a choice lies on an axis; nowhere if it has a threshold for every fold."""
    if not choice.feasible or choice.precision is None:
        return None
    if over in ("alarms_per_year", "alarms"):
        return choice.alarms_per_year if over == "alarms_per_year" else choice.precision.n
    if len(choice.thresholds) > 1:
        return None
    cut = choice.thresholds[0]
    return float(1 / (1 + np.exp(-cut))) if over == "probability" else cut
