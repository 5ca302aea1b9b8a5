"""One self-contained HTML page about classifiers of titles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from trueness.errors import StoreError, TruenessError
from trueness.evaluation import MethodComparison, Slices
from trueness.judge.studies.text import Table
from trueness.judge.titles.figures import confusions, differences, pictures
from trueness.judge.titles.tables import (
    CLASS_HEADER,
    class_rows,
    methods_sections,
    slices_sections,
)

MARGIN_PX, CLASS_PX, LANGUAGE_PX = 150, 24, 56
"""Least width of a picture: names, then a column per class or language; narrow pages scroll."""


def write_titles_page(
    path: str | Path, runs: Mapping[str, Slices], comparison: MethodComparison | None = None, *,
    title: str = "Titles", labels: Mapping[str, str] | None = None, note: str = "",
) -> None:  # fmt: skip
    """Write what some runs on titles are worth, and how methods compare.

    Parameters
    ----------
    path : str or Path
        HTML file; replaced if it exists.
    runs : mapping of str to Slices
        At least one, measured on the same texts; shown in this order.
    comparison : MethodComparison, optional
    title : str
    labels : mapping of str to str, optional
        What each method is, in few words.
    note : str
        Stands under the title.

    Raises
    ------
    TruenessError
        If there is no run.
    StoreError
        If the file cannot be written.
    """
    if not runs:
        raise TruenessError("no runs; a page needs at least one")
    map_of = None if comparison is None else differences(comparison)
    environment = Environment(
        loader=PackageLoader("trueness.report", "."), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("titles.html.j2").render(
        title=title, note=note, plotly=get_plotlyjs(),
        width=MARGIN_PX + LANGUAGE_PX * max(len(found.languages) for found in runs.values()),
        methods=[] if comparison is None else methods_sections(comparison, labels),
        differences=None if map_of is None else _html(map_of),
        together={caption: _html(figure) for caption, figure in pictures(runs).items()},
        runs=[_run(name, found) for name, found in runs.items()],
    )  # fmt: skip
    try:
        Path(path).write_text(html, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{path}: the page cannot be written ({error.strerror})") from None


def _run(name: str, found: Slices) -> dict[str, Any]:
    first, *others = slices_sections(name, found)
    return {
        "name": name, "first": first, "others": others,
        "width": MARGIN_PX + CLASS_PX * len(found.classes),
        "confusions": {caption: _html(figure) for caption, figure in confusions(found).items()},
        "languages": {
            language: Table(CLASS_HEADER, class_rows(one))
            for language, one in found.languages.items()
        },
    }  # fmt: skip


def _html(figure: go.Figure) -> str:
    options = {"displayModeBar": False, "responsive": True}
    return figure.to_html(full_html=False, include_plotlyjs=False, config=options)
