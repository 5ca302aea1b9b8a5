"""Two to six runs beside each other: what differs in them first, then what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from trueness.document import Column, Document, Part, Section, Sentence, Table
from trueness.document.numbers import plural
from trueness.document.texts import whole
from trueness.errors import TruenessError
from trueness.judge.compare_several import MOST, compare_runs
from trueness.judge.settings import MISSING, differing, stored_value, words
from trueness.serve.workbench import Page, Workbench, shown
from trueness.store import Run

Pair = tuple[str, Run[Any]]


def compare_page(bench: Workbench, request: Request) -> Page:
    """Page of the runs that an address names.

    Raises
    ------
    TruenessError
        With the code ``query`` unless there are two to six of them.
    """
    view = bench.shelf.current_view()
    keys = list(dict.fromkeys(request.query_params.getlist("run")))
    if not 2 <= len(keys) <= MOST:
        raise TruenessError(
            f"{plural(len(keys), 'run')} to compare: tick two to {MOST} on the leaderboard", "query"
        )
    runs = [(view.name(key), view.run(key)) for key in keys]
    answer = bench.judge(view, ("compare", *keys), compared, tuple(keys))
    parts = [_settings(runs), *shown(answer, list, "The comparison")]
    document = Document(" and ".join(name for name, _ in runs), parts)
    waits = answer.pending or answer.stale
    return bench.show(view, Page(document, bench.command("compare", *keys), waits=waits))


def _settings(runs: Sequence[Pair]) -> Section:
    """Settings in which the runs differ."""
    specs = [run.spec for _, run in runs]
    rows = []
    for path in differing(specs):
        values = [stored_value(spec, path) for spec in specs]
        rows.append([path, *("not there" if v is MISSING else words(v) for v in values)])
    if not rows:
        return Section("What differs in them", [Sentence("Nothing but the seed.")])
    columns = [Column("setting", "code", 9), *(Column(name) for name, _ in runs)]
    return Section("What differs in them", [Table(columns, rows)])


def compared(store: Any, keys: Sequence[str]) -> list[Part]:  # noqa: ANN401 - any store
    """What `trueness compare` says of some runs."""
    result = compare_runs(store, keys, access=("compare", " ".join(keys[1:])))
    return whole(result.document().parts)
