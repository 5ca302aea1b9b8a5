"""One self-contained HTML page: opens from a file, needs no network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from trueness.errors import StoreError
from trueness.report import figures
from trueness.checks.pages import next_move
from trueness.judge.leaderboard import Arena, Leaderboard, Row
from trueness.judge.sections import (
    best_row,
    leader_sections,
    leading_runs,
    resolved,
    slice_texts,
    tied,
    told_looks,
)
from trueness.report.tables import findings_text
from trueness.judge.words import (
    at_least_text,
    baseline_text,
    difference_text,
    number_text,
    plural,
    selection_lines,
    share_text,
    verdict,
)

RUNS_IN_DETAIL = 6
ROWS_IN_VIEW = 20
"""Networks of the corrected table; the table of all measures has every one."""

NAMES_SHOWN = 60
"""Candidates of a set that are named."""


def write_page(board: Leaderboard, path: str | Path, title: str = "trueness") -> None:
    """Write the report of a leaderboard.

    Parameters
    ----------
    board : Leaderboard
    path : str or Path
        HTML file; replaced if it exists.
    title : str

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("trueness.report", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    html = environment.get_template("page.html.j2").render(
        title=title,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        arenas=[_arena(arena) for arena in board.arenas],
        board=board,
        plotly=get_plotlyjs(),
        share=share_text,
        at_least=at_least_text,
        number=number_text,
        difference=difference_text,
        plural=plural,
        next_move=next_move,
        most=NAMES_SHOWN,
    )
    try:
        Path(path).write_text(html, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the report cannot be written ({error.strerror})") from None


def _arena(arena: Arena) -> dict[str, Any]:
    best = best_row(arena)
    leaders = arena.networks[:RUNS_IN_DETAIL]
    return {
        "comparison_group": arena,
        "leader": leading_runs(arena)[0][0],
        "verdict": verdict(arena),
        "resolved": resolved(arena),
        "selection": selection_lines(arena),
        "budgets": arena.rows[0].run.spec.evaluation.alarms,
        "corrected": [*arena.networks[:ROWS_IN_VIEW], *best],
        "out_of_view": len(arena.networks[ROWS_IN_VIEW:]),
        "reference": arena.reference and baseline_text(arena.reference),
        "tied": tied(arena),
        "ladder": _html(figures.ladder(arena)),
        "findings": findings_text(arena).removeprefix("checks: "),
        "looks": told_looks(arena),
        **_of_leader(arena),
        "hidden": len(arena.networks) - len(leaders),
        "details": [d for row in (*leaders, *best) if (d := _detail(row)) is not None],
    }


def _of_leader(arena: Arena) -> dict[str, Any]:
    """Sections from the predictions of the leader and the best baseline, or why there are none."""
    try:
        found = leader_sections(arena)
    except StoreError as error:
        return {"unreadable": str(error), "sections": None}
    drawn = {name: _html(figure) for name, figure in found.figures.items()}
    runs = leading_runs(arena)
    return {
        "unreadable": "", "sections": found, "figures": drawn, "slices": slice_texts(found.slices),
        "beside": runs[1][0] if len(runs) > 1 else "",
    }  # fmt: skip


def _detail(row: Row) -> dict[str, Any] | None:
    """Figures of one run; None if its predictions cannot be read, which the board tells."""
    try:
        curves = figures.learning_curves(row)
        return {
            "row": row,
            "reliability": _html(figures.reliability(row)),
            "histogram": _html(figures.histogram(row)),
            "learning": None if curves is None else _html(curves),
        }
    except StoreError:
        return None


def _html(figure: go.Figure) -> str:
    options = {
        "displayModeBar": False,
        "responsive": True,
        "modeBarButtonsToRemove": ["lasso2d", "select2d"],
    }
    return figure.to_html(full_html=False, include_plotlyjs=False, config=options)
