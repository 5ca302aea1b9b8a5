"""What a page tells about an arena beside its table: numbers and figures, section by section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from trueness.errors import TruenessError
from trueness.evaluation import Estimate
from trueness.store.ledger import SEALED
from trueness.report import figures
from trueness.judge.calibration import AS_IS, compare_calibrations, number
from trueness.judge.comparison import without_seed
from trueness.judge.leaderboard import Arena, Row
from trueness.judge.power import power_lines, power_of
from trueness.judge.slices import Slices, slices
from trueness.judge.words import share_text
from trueness.store import Run

LOOKS_SHOWN = 12


@dataclass(frozen=True)
class Sections:
    """Sections about the leader and the best baseline.

    `calibration` are rows of a table, `uncalibrated` says why there are none.
    """

    slices: Slices
    figures: dict[str, go.Figure]
    calibration: list[dict[str, str]]
    uncalibrated: str


def leading_runs(arena: Arena) -> list[tuple[str, Run]]:
    """The leader and the best baseline with their names; a baseline leads if nothing else does."""
    best, names = arena.reference, {row.run.key: row.name for row in arena.rows}
    if not arena.networks:
        run = best or arena.rows[0].run
        return [(names.get(run.key, run.record["label"]), run)]
    leader = arena.networks[0]
    others = [(names.get(best.key, best.record["label"]), best)] if best is not None else []
    return [(leader.name, leader.run), *others]


def best_row(arena: Arena) -> list[Row]:
    """The best baseline as a row, from elsewhere in the store if the table lacks it."""
    best = arena.reference
    if best is None:
        return []
    estimates = {n: Estimate.from_dict(e) for n, e in best.record["estimates"].items()}
    made = Row([best.record["label"]], best, estimates, None, None, [])
    return [next((row for row in arena.baselines if row.run.key == best.key), made)]


def resolved(arena: Arena) -> list[str]:
    """What the days of an arena can tell apart, known without any of its results."""
    rule, rate = arena.rows[0].run.spec.evaluation, arena.base_rate
    found = power_of(
        rate.k or 0, rate.n, max(1, arena.candidates), max(rule.alarms), rule.confidence_pct / 100
    )
    return ["too few positives to compare anything"] if found is None else power_lines(found)


def tied(arena: Arena) -> dict[str, Any]:
    """Candidates that the leader cannot be told from in precision, and those it can, by name."""
    sets: dict[str, list[str]] = {"tied": [], "worse": [], "better": [], "unknown": []}
    seen: set[str] = set()
    for row in arena.networks:
        candidate = without_seed(row.run.spec)
        if row.selected is not None and candidate not in seen and row.selected.precision in sets:
            sets[row.selected.precision].append(_with_counts(row))
        seen.add(candidate)
    return {**sets, "others": len(seen) - 1}


def _with_counts(row: Row) -> str:
    top = row.estimates[f"precision@{max(row.run.spec.evaluation.alarms)}"]
    also = row.selected.mark if row.selected and row.selected.mark.startswith("AUC") else ""
    return f"{row.name} {top.k}/{top.n}" + (f" ({also})" if also else "")


def told_looks(arena: Arena) -> dict[str, Any]:
    """The ledger of the data: the latest looks first, and how many more there are."""
    if arena.looks is None:
        return {"line": "", "rows": [], "more": 0}
    rows = [
        {
            "when": look.when.replace("T", " ")[:16], "part": look.what, "verb": look.verb,
            "question": look.question, "runs": len(look.keys), "opened": look.what == SEALED,
        }
        for look in reversed(arena.looks.every)
    ]  # fmt: skip
    return {
        "line": str(arena.looks), "rows": rows[:LOOKS_SHOWN], "more": len(rows[LOOKS_SHOWN:]),
    }  # fmt: skip


def leader_sections(arena: Arena) -> Sections:
    """Curves, calibration and slices of the leader, the best baseline beside it.

    Raises
    ------
    StoreError
        If predictions are damaged.
    """
    runs = leading_runs(arena)
    leader, others = runs[0][1], [run for _, run in runs[1:]]
    drawn = {what: figures.alarm_curve(runs, what) for what in ("precision", "recall")}
    parts = slices(leader, *others)
    rows, curves, why = _calibration(leader)
    return Sections(parts, drawn | curves, rows, why)


def _calibration(run: Run) -> tuple[list[dict[str, str]], dict[str, go.Figure], str]:
    """Rows and figures of the scores as they are and after Platt scaling, or why there are none."""
    try:
        found = compare_calibrations(run, ["platt"])
    except TruenessError as error:
        return [], {}, str(error)
    level = run.spec.evaluation.confidence_pct / 100
    top = max(figures.axis_end(found.y, one.probability, level) for one in found.judged)
    rows, drawn = [], {}
    for one in found.judged:
        name = "before" if one.method == AS_IS else "after"
        drawn[name] = figures.calibration_curve(found.y, one.probability, level, top)
        error = one.estimates["calibration_error_equal_mass"].value
        minus = one.difference and number(one.difference.simultaneous, True)
        rows.append({
            "scores": {"before": "as they are", "after": "Platt, out of fold"}[name],
            "Brier score": number(one.estimates["brier"]),
            "difference": minus or "",
            "calibration error": "–" if error is None else f"{error:.3f}",
        })  # fmt: skip
    return rows, drawn, ""


def slice_texts(parts: Slices) -> dict[str, list[list[str]]]:
    """Cells of the tables by year and by regime."""
    return {
        what: [
            [
                one.name, f"{one.days:,}", share_text(one.base), share_text(one.alarms),
                "" if one.others is None else share_text(one.others),
            ]
            for one in rows
        ]
        for what, rows in (("year", parts.years), ("regime", parts.regimes))
    }  # fmt: skip
