"""Thresholds in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from trueness.evaluation.thresholds import ALARM_RATES_PCT, Sweep, Threshold, threshold_sweep
from trueness.judge.parts import IN_WORDS
from trueness.report.tables import rows_table
from trueness.judge.thresholds import Choice, Demand, RunThresholds
from trueness.judge.words import share_text

ROWS_SHOWN = 30


def show_thresholds(
    console: Console, one: RunThresholds, beside: Sequence[RunThresholds] = ()
) -> None:
    """Print the choices of a run and of those beside it, then its sweep, some thirty rows of it."""
    console.print(f"{one.name} · {one.run.record['label']}", style="bold", highlight=False)
    console.print(f"{base_text(one)}\n", highlight=False)
    console.print(rows_table([choice_row(choice) for choice in one.choices]))
    for other in beside:
        console.print(f"\n{other.name} · {other.run.record['label']}", highlight=False)
        console.print(rows_table([choice_row(choice) for choice in other.choices]))
    console.print(f"\n{caption(one)}\n", highlight=False, soft_wrap=True)
    sweep = one.sweep if len(one.sweep) <= ROWS_SHOWN else _at_rates(one)
    console.print(rows_table([sweep_row(row) for row in sweep]))
    if len(sweep) < len(one.sweep):
        console.print(
            f"{len(sweep)} of {len(one.sweep):,} distinct scores; --csv writes all", highlight=False
        )


def _at_rates(one: RunThresholds) -> Sweep:
    part = one.part
    return threshold_sweep(
        part.y, part.score, part.when, rates_pct=ALARM_RATES_PCT, confidence=one.sweep.confidence
    )


def show_lines(console: Console, found: Sequence[RunThresholds]) -> None:
    """Print one line per run for each demand, in the order given."""
    for demand in dict.fromkeys(choice.demand for choice in found[0].choices):
        console.print(f"{demand}: best {demand.sought}", style="bold")
        console.print(rows_table([_line(one, demand) for one in found]))
    widest = max(found, key=lambda one: len(one.sweep))
    console.print(f"\n{caption(widest, 'up to ')}", highlight=False, soft_wrap=True)
    for base in dict.fromkeys(base_text(one) for one in found):
        console.print(base, highlight=False)
    console.print(f"{len(found)} runs, not corrected for their number", highlight=False)


def _line(one: RunThresholds, demand: Demand) -> dict[str, str]:
    base = f"{one.sweep.positives}/{one.sweep.n}"
    row = {"run": one.name, "model": one.run.record["label"], "base rate": base}
    for choice in one.choices:
        if choice.demand == demand:
            texts = [share_text(e) if e else "" for e in (choice.precision, choice.recall)]
            row[f"{choice.rule}:\nprecision"] = texts[0] or "infeasible"
            row[f"{choice.rule}:\nrecall"] = texts[1]
    return row


def base_text(one: RunThresholds) -> str:
    """Days, positives and their share."""
    sweep = one.sweep
    words = IN_WORDS.get(one.part.name, one.part.name)
    return (
        f"{sweep.n:,} {words}, {one.part.when[0]} to {one.part.when[-1]}; base rate "
        f"{sweep.positives}/{sweep.n} = {100 * sweep.positives / sweep.n:.1f} %"
    )


def caption(one: RunThresholds, most: str = "") -> str:
    """What the three rules mean, and which of them to believe."""
    earlier = any(choice.rule == "earlier days" for choice in one.choices)
    inner = one.part.name == "oof"
    source = "the inner validation days of each fold" if inner else "validation days"
    carried = f" 'earlier days': chosen on {source}, so not flattered." * earlier
    return (
        f"'same days': best of {most}{len(one.sweep):,} thresholds on the days that measure it, so "
        f"it is flattered.{carried} Shares as hits/number, percent and "
        f"{100 * one.sweep.confidence:g} % interval, days taken as independent; "
        "`trueness certify` guarantees one."
    )


def choice_row(choice: Choice) -> dict[str, str]:
    """One choice as text."""
    first = {"demand": str(choice.demand), "best": choice.demand.sought, "chosen on": choice.rule}
    if choice.precision is None or choice.recall is None:
        return {**first, "from": "", "precision": "infeasible", "recall": "", "alarms a year": ""}
    return {
        **first,
        "from": probability_text(choice.probabilities),
        "precision": share_text(choice.precision),
        "recall": share_text(choice.recall),
        "alarms a year": year_text(choice.alarms_per_year),
    }


def sweep_row(row: Threshold) -> dict[str, object]:
    """One threshold as text."""
    return {
        "from": f"{row.probability:.3f}",
        "alarms": row.alarms,
        "hits": row.hits,
        "precision": share_text(row.precision),
        "recall": share_text(row.recall),
        "alarms a year": year_text(row.alarms_per_year),
    }


def probability_text(probabilities: Sequence[float]) -> str:
    """One threshold, or the range of those of several folds.

    Examples
    --------
    >>> probability_text([0.5]), probability_text([0.61, 0.4])
    ('0.500', '0.400 to 0.610')
    """
    low, high = min(probabilities), max(probabilities)
    return f"{low:.3f}" if len(probabilities) == 1 else f"{low:.3f} to {high:.3f}"


def year_text(alarms: float | None) -> str:
    """Alarms a year with one digit."""
    return "" if alarms is None else f"{alarms:.1f}"
