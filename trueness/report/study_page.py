"""Studies printed in a terminal, as Markdown, and as one page with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from trueness.errors import StoreError
from trueness.judge.studies import Across, Analysis
from trueness.judge.studies.comparing import across_sections
from trueness.judge.studies.figures import pictures, sizes_picture
from trueness.judge.studies.text import Section, Table, markdown, sections, title

HEADING = "Search analysis"


def parts(found: Across) -> list[tuple[str, list[Section]]]:
    """Titles with their sections: all studies together if there are several, then each."""
    together = [("Studies together", across_sections(found))] if len(found.analyses) > 1 else []
    return [*together, *((title(a), sections(a)) for a in found.analyses)]


def study_markdown(found: Across) -> str:
    """Everything about some studies as Markdown."""
    return markdown(HEADING, parts(found))


def show_sections(console: Console, named: Sequence[tuple[str, Sequence[Section]]]) -> None:
    """Print titles with their sections."""
    for name, inside in named:
        console.print(name, style="bold underline", highlight=False, soft_wrap=True)
        for section in inside:
            console.print(f"\n{section.title}", style="bold", highlight=False)
            for line in section.lines:
                console.print(line, highlight=False, soft_wrap=True)
            for table in section.tables:
                _show_table(console, table)
        console.print()


def _show_table(console: Console, table: Table) -> None:
    if table.title:
        console.print(f"\n{table.title}", style="italic", highlight=False, soft_wrap=True)
    shown = RichTable(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    for i, header in enumerate(table.header):
        shown.add_column(escape(header), overflow="fold", no_wrap=i == 0)
    for row in table.rows:
        shown.add_row(*map(escape, row))
    console.print(shown, highlight=False)


def show_across(console: Console, found: Across) -> None:
    """Print one study whole, or several studies together with the best of each."""
    every = parts(found)
    show_sections(console, every[:1])
    if len(every) > 1:
        console.print(
            f"{len(found.analyses)} studies; --markdown or --report writes each of them whole",
            highlight=False,
        )


def write_study_page(found: Across, path: Path) -> None:
    """Write one self-contained HTML page.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    studies = [(title(a), sections(a), _pictures(a)) for a in found.analyses]
    several = len(found.analyses) > 1
    html = (
        Environment(
            loader=PackageLoader("trueness.report", "."), autoescape=True, undefined=StrictUndefined
        )
        .get_template("study.html.j2")
        .render(
            heading=HEADING, plotly=get_plotlyjs(), studies=studies,
            together=across_sections(found) if several else [],
            sizes=_html(sizes_picture(found.groups)) if found.groups else None,
        )
    )  # fmt: skip
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the page cannot be written ({error.strerror})") from None


def _pictures(found: Analysis) -> dict[str, str]:
    return {caption: _html(figure) for caption, figure in pictures(found).items()}


def _html(figure: go.Figure) -> str:
    options = {"displayModeBar": False, "responsive": True}
    return figure.to_html(full_html=False, include_plotlyjs=False, config=options)
