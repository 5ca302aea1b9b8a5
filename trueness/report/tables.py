"""Tables for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from trueness.evaluation import Contrast, Estimate
from trueness.checks.pages import next_move
from trueness.judge.contrasts import ContrastRow, Contrasts, ContrastTable
from trueness.judge.leaderboard import Arena, Leaderboard, Row
from trueness.judge.selection import Selected
from trueness.judge.words import (
    at_least_text,
    difference_text,
    number_text,
    plural,
    selection_lines,
    share_text,
    verdict,
)


def interval_text(contrast: Contrast | None) -> str:
    """``[-0.112, -0.061]``, the simultaneous interval; nothing without a contrast."""
    if contrast is None:
        return ""
    low, high = contrast.simultaneous.low, contrast.simultaneous.high
    return "–" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"


WIDE = 190
"""Columns of a terminal from which the leaderboard shows everything."""


def _columns(budgets: tuple[int, ...], wide: bool) -> dict[str, Callable[[Row], str]]:
    """Header -> text of a row; narrow terminals get what decides."""
    tops: dict[str, Callable[[Row], str]] = {
        f"precision\ntop {b}": lambda row, b=b: share_text(row.estimates[f"precision@{b}"])
        for b in (budgets if wide else budgets[-1:])
    }
    weights = {"weights": lambda row: f"{row.run.record['parameters']:,}"}
    return {
        "id": lambda row: row.name,
        "model": lambda row: row.label,
        **(weights if wide else {}),
        **tops,
        "precision\nat 0.5": lambda row: share_text(row.estimates["precision@0.5"]),
        "recall\nat 0.5": lambda row: share_text(row.estimates["recall@0.5"]),
        "AUC": lambda row: number_text(row.estimates["auc"]),
        **(
            {"AUC inside\nfolds": lambda row: number_text(row.estimates["auc_in_fold"])}
            if wide
            else {}
        ),
        "AUC − best\nbaseline": lambda row: difference_text(row.difference),
        **(
            {"score\nwidth": lambda row: f"{row.run.record['scores']['width']:.2f}"} if wide else {}
        ),
        **_after_the_choice(budgets[-1], wide),
        "checks\nTRU": partial(checks_text, whole=wide),
    }


def checks_text(row: Row, whole: bool = True) -> str:
    """Numbers of the findings, the gravest first; without `whole`, that one and how many more."""
    codes = [f.code.removeprefix("TRU") for f in row.findings]
    if not whole and len(codes) > 1:
        codes = [codes[0], f"+{len(codes) - 1}"]
    muted = [f"({len(row.muted)} muted)"] if row.muted else []
    return " ".join([*codes, *muted])


def findings_text(arena: Arena) -> str:
    """Every check that fired, with how many networks it concerns, the gravest first."""
    found = {f.code: f for row in arena.networks for f in row.findings}
    counts = Counter(f.code for row in arena.networks for f in row.findings)
    muted = Counter(m.finding.code for row in arena.networks for m in row.muted)
    told = [
        f"{code.removeprefix('TRU')} {found[code].title} ({counts[code]} of {len(arena.networks)})"
        for code in sorted(found, key=lambda code: found[code].rank)
    ]
    silent = ", ".join(f"{c.removeprefix('TRU')} ({n})" for c, n in sorted(muted.items()))
    told += [f"muted: {silent}"] if muted else []
    return f"checks: {'; '.join(told)}" if told else ""


def _after_the_choice(budget: int, wide: bool) -> dict[str, Callable[[Row], str]]:
    """What remains of a candidate among its siblings; blank for baselines."""
    shown: dict[str, Callable[[Selected], str]] = {
        f"shrunk\ntop {budget}": lambda one: share_text(one.shrunk),
        f"corrected\ntop {budget}": lambda one: at_least_text(one.bound),
        "against\nleader": lambda one: one.mark,
    }
    return {
        header: lambda row, text=text: "" if row.selected is None else text(row.selected)
        for header, text in [*shown.items()][0 if wide else 2 :]
    }


def _sorted_text(sort: str) -> Callable[[Row], str]:
    """Text of the estimate that sorts."""
    text = share_text if sort.startswith(("precision", "recall", "base_rate")) else number_text
    return lambda row: text(row.estimates[sort])


def arena_table(arena: Arena, limit: int | None = None, wide: bool = False) -> Group:
    """Networks above baselines; precision and recall in percent with exact intervals."""
    columns = _columns(arena.rows[0].run.spec.evaluation.alarms, wide)
    budgets = arena.rows[0].run.spec.evaluation.alarms
    shown = {f"precision@{b}" for b in (budgets if wide else budgets[-1:])}
    if arena.sort not in shown | {"precision@0.5", "recall@0.5", "auc"}:
        first = dict([*columns.items()][:2])
        columns = {**first, arena.sort.replace("_", " "): _sorted_text(arena.sort), **columns}
    table = Table(header_style="bold", pad_edge=False, box=None, padding=(0, 1))
    for header in columns:
        table.add_column(
            header, justify="right" if header == "weights" else "left", overflow="fold"
        )
    for row in arena.networks[:limit]:
        table.add_row(*(text(row) for text in columns.values()))
    hidden = len(arena.networks) - len(arena.networks[:limit])
    if arena.networks and arena.baselines:
        table.add_row(f"… {hidden} more, --limit shows them" if hidden else "")
    for row in arena.baselines:
        table.add_row(*(text(row) for text in columns.values()), style="cyan")
    title, caption = Text(arena.title, style="bold"), Text(_caption(arena))
    return Group(title, caption, Text(""), table)


PARTS_IN_WORDS = {"oof": "out-of-fold days", "validation": "validation days"}


def _caption(arena: Arena) -> str:
    rate, auc = arena.base_rate, arena.rows[0].estimates["auc"]
    confidence = arena.rows[0].run.spec.evaluation.confidence_pct
    measured = PARTS_IN_WORDS.get(auc.measured_on, auc.measured_on)
    return (
        f"base rate {rate.k}/{rate.n} = {100 * (rate.value or 0):.1f} % · "
        f"precision as hits/alarms, percent and {confidence:g} % interval\n"
        f"{plural(arena.candidates, 'candidate')}, weights chosen on {auc.chosen_on}, "
        f"measured on {measured}; sorted by the unfavourable end of "
        f"{arena.sort.replace('_top', ' at top ').replace('_', ' ')}, not corrected for the choice"
        + "".join(f"\n{line}" for line in selection_lines(arena))
        + (f"\n{arena.looks}" if arena.looks else "")
    )


def show_leaderboard(console: Console, board: Leaderboard, limit: int | None = None) -> None:
    """Print every arena, then what could not be read and what failed."""
    if not board.arenas:
        console.print("no runs yet; `trueness run demo` makes some")
    for arena in board.arenas:
        console.print(arena_table(arena, limit, console.width >= WIDE), highlight=False)
        console.print(f"\n{verdict(arena)}\n", highlight=False, soft_wrap=True)
        if told := findings_text(arena):
            console.print(f"{told}\n", highlight=False, soft_wrap=True)
    for problem in board.problems:
        console.print(f"skipped {problem.name}: {problem.reason}", style="yellow", highlight=False)
    for key, reason in board.failures.items():
        console.print(f"failed {key}: {reason}", style="red", highlight=False)


def show_contrasts(console: Console, found: Contrasts, limit: int | None = None) -> None:
    """Print each table by an axis, with what remains of it after correction beneath."""
    if not found.tables:
        console.print("no networks to compare; `trueness run demo` makes some")
    for table in found.tables:
        console.print(Text(table.title, style="bold"))
        console.print(
            f"by {table.by}, against {table.reference}, everything else equal, same seeds; means "
            f"over pairs, {100 * table.confidence:g} % intervals\n",
            highlight=False,
        )
        console.print(_contrast_table(table, limit), highlight=False)
        console.print(f"\n{table.sentence}", highlight=False, soft_wrap=True)
        for note in contrast_notes(table):
            console.print(f"note: {note}", highlight=False, soft_wrap=True)
        console.print()
    for problem in found.problems:
        console.print(f"skipped {problem.name}: {problem.reason}", style="yellow", highlight=False)


def contrast_notes(table: ContrastTable) -> list[str]:
    """What a reader of a table by an axis has to know besides."""
    notes = []
    if table.compared:
        notes.append("intervals resample days, not seeds: they hold for these runs as trained")
    if any(row.runs > 1 for row in table.rows):
        notes.append("counts are summed over runs; their intervals are as wide as those of one run")
    stops = [row for row in table.rows if row.note]
    if stops:
        names = "; ".join(f"{row.variant} {row.note}" for row in stops)
        notes.append(f"not everything else is equal: {names}")
    if table.unpaired:
        shown = ", ".join(table.unpaired[:8]) + (" …" if len(table.unpaired) > 8 else "")
        notes.append(f"without a partner in the store, all else equal: {shown}")
    return notes


def _contrast_table(found: ContrastTable, limit: int | None) -> Table:
    top = f"precision@{found.budget}"
    columns: dict[str, Callable[[ContrastRow], str]] = {
        "variant": _variant_text,
        "ahead,\nseeds": lambda row: f"{row.ahead}/{row.pairs}, {row.seeds}" if row.pairs else "",
        f"precision\ntop {found.budget}": lambda row: share_text(row.measures[top]),
        "precision\nat 0.5": lambda row: share_text(row.measures["precision@0.5"]),
        "recall\nat 0.5": lambda row: share_text(row.measures["recall@0.5"]),
        "AUC": lambda row: number_text(row.measures["auc"]),
        "AUC −\nreference": lambda row: (
            row.verdict if row.contrast is None else difference_text(row.contrast.pointwise)
        ),
        "corrected": lambda row: interval_text(row.contrast),
        "verdict": lambda row: "" if row.contrast is None else row.verdict,
    }
    table = Table(
        header_style="bold", pad_edge=False, box=None, padding=(0, 1), collapse_padding=True
    )
    for header in columns:
        table.add_column(header, overflow="fold", no_wrap="AUC" in header)
    for row in found.rows[:limit]:
        style = "cyan" if row.is_reference else None
        table.add_row(*(text(row) for text in columns.values()), style=style)
    if limit is not None and len(found.rows) > limit:
        table.add_row(f"… {len(found.rows) - limit} more, --limit shows them")
    return table


def _variant_text(row: ContrastRow) -> str:
    names = row.experiments
    return row.variant + (f" ({' '.join(names)})" if len(names) < 3 else f" ({len(names)} ids)")


def rows_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Plain table of dictionaries with equal keys; whole numbers right-aligned with separators."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, first in (rows[0] if rows else {}).items():
        table.add_column(name, justify="right" if isinstance(first, int | float) else "left")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row.values()))
    return table


def show_plan(console: Console, rows: list[dict[str, Any]], notes: list[str], size: str) -> None:
    """Print what a campaign would do: experiments with weights and work, then the splits."""
    shown, splits = [], {}
    for row in rows:
        sizes = tuple(_split_text(row["folds"], part) for part in row["folds"][0])
        splits.setdefault(sizes, []).append(row["id"])
        if row["parameters"]:
            work = f"{row['work_gflop']:,.1f}"
            stored = "yes" if row["stored"] else "no"
            names = ("id", "priority", "key", "label", "seed", "features", "parameters")
            shown.append({**{n: row[n] for n in names}, "GFLOP at most": work, "stored": stored})
    console.print(rows_table(shown))
    for sizes, ids in splits.items():
        console.print(f"\nwindows (positives), fold by fold, of {', '.join(ids)}", highlight=False)
        for line in sizes:
            console.print(f"  {line}", highlight=False)
    for note in notes:
        console.print(f"note: {note}", highlight=False)
    console.print(f"\nto train: {size}", highlight=False)


def _split_text(folds: list[dict[str, Any]], part: str) -> str:
    counts = [fold[part] for fold in folds if part in fold]
    return f"{part} " + ", ".join(f"{c['n']:,} ({c['positives']:,})" for c in counts)


def show_run(console: Console, row: Row, ids: list[str]) -> None:
    """Print everything that is known about one run."""
    run, record = row.run, row.run.record
    console.print(f"{run.key}  {' = '.join(ids)}  {record['label']}", style="bold", highlight=False)
    console.print(
        f"{record['data']['bars']} to {record['data']['as_of']} · "
        f"{len(record['features'])} columns · {record['parameters']:,} weights · "
        f"{record['seconds']:.1f} s on {record['device']} in {record['precision']} · "
        f"{record['created']}",
        highlight=False,
    )
    for note in record["notes"]:
        console.print(f"note: {note}", highlight=False)
    for fold, parts in enumerate(record["folds"]):
        sizes = ", ".join(
            f"{part} {n} ({positives} positive)" for part, (n, positives) in parts.items()
        )
        console.print(f"fold {fold + 1}: {sizes}{_epochs(record, fold)}", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("estimate", "value", "measured on", "chosen on"):
        table.add_column(header)
    for name, content in record["estimates"].items():
        estimate = Estimate.from_dict(content)
        table.add_row(name, str(estimate), estimate.measured_on, estimate.chosen_on)
    console.print(table)
    if row.difference is not None and row.reference is not None:
        against = row.reference.record["label"]
        console.print(
            f"AUC − best baseline ({against}): {difference_text(row.difference)}", highlight=False
        )
    _show_findings(console, row)
    for one in record.get("incidents", []):
        until = "the end" if one["until"] is None else f"epoch {one['until']}"
        console.print(
            f"in training, fold {one['fold'] + 1}: {one['what']} from epoch {one['epoch']} to "
            f"{until}; {one['cause']}",
            highlight=False,
        )


def _show_findings(console: Console, row: Row) -> None:
    """Each finding with the next move of its page, then the muted ones with their reason."""
    lines = []
    for found in row.findings:
        lines.append(f"{found.code} {found.severity}: {found.title}: {found.evidence}")
        lines.append(f"  next move: {next_move(found.code)}")
    for one in row.muted:
        found, why = one.finding, f"{one.mute.date}: {one.mute.reason}"
        muted = f"{found.code} muted for {one.mute.scope} ({why})"
        lines.append(f"{muted}: {found.title}: {found.evidence}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _epochs(record: dict[str, Any], fold: int) -> str:
    if "best_epochs" in record:
        return f"; best epoch {record['best_epochs'][fold]} of {record['last_epochs'][fold]}"
    return f"; {record['chosen'][fold]}" if record.get("chosen") else ""


def show_reduction(console: Console, found: dict[str, Any], path: object) -> None:
    """Print the rounds of a feature reduction and its final check."""
    start = found["rounds"][0]["columns"]
    console.print(
        f"tier {found['tier']}: {start} columns, {len(found['columns'])} left", style="bold"
    )
    shown = ("columns", "precision", "recall", "auc", "width", "verdict")
    rows = [{n: _rounded(one[n]) for n in shown} for one in found["rounds"]]
    console.print(rows_table(rows))
    console.print(
        "precision and recall at the alarm rate, medians over seeds, inner validation days"
    )
    if found["clusters"]:
        console.print(
            f"largest cluster of near-copies: {', '.join(found['clusters'][0])}", highlight=False
        )
    for when in ("before", "after"):
        estimate = Estimate.from_dict(found[when])
        console.print(
            f"{when}: out-of-fold AUC {number_text(estimate)}, {estimate.n} days", highlight=False
        )
    console.print(f"written to {path}; in a campaign: task.tier: {path}", highlight=False)


def _rounded(value: object) -> object:
    return f"{value:.3f}" if isinstance(value, float) else value
