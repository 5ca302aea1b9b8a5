"""Studies of hyper-parameters: what each found, several beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from starlette.requests import Request

from trueness.document import Column, Document, Link, Part, Section, Sentence, Table
from trueness.document.texts import whole
from trueness.serve.workbench import Page, Workbench, shown, stamp

FILE = "search.sqlite3"
"""Database of the studies of a store."""


def studies_page(bench: Workbench, request: Request) -> Page:
    """Page of one study that is named, or of all of them."""
    view = bench.shelf.look()
    name = request.query_params.get("name", "")[:200]
    if not (bench.root / FILE).is_file():
        told = "No studies here yet; `trueness search run` makes one."
        return Page(Document("Studies", [Sentence(told)]))
    names = (name,) if name else ()
    # the log of writes of the database grows before it does
    state = view.state, *(stamp(bench.root / f"{FILE}{end}") for end in ("", "-wal"))
    answer = bench.answers.ask(("studies", *names), state, analysed, bench.root, names, apart=True)
    parts = shown(answer, lambda found: _parts(found, one=bool(name)), "The analysis")
    title = answer.value[0] if answer.value else "Studies"
    command = bench.command("search", "analyze", *(names or ("--all",)))
    page = Page(Document(title, parts), command, waits=answer.pending or answer.stale)
    return bench.show(view, page)


def _parts(found: tuple[str, list[str], list[Part]], *, one: bool) -> list[Part]:
    _, names, parts = found
    if one:
        return parts
    rows = [[Link(name, f"/studies?{urlencode({'name': name})}")] for name in names]
    return [Section("Studies", [Table([Column("study", "link", 9)], rows)]), *parts]


def analysed(root: Path, names: Sequence[str]) -> tuple[str, list[str], list[Part]]:
    """Title, names and parts of what `trueness search analyze` says."""
    from trueness.judge.studies import across, analyze
    from trueness.search.finding import find_studies
    from trueness.search.stored import study_of
    from trueness.store import Store

    store = Store(root)
    studies = [study_of(one, store) for one in find_studies(tuple(names), root, None)]
    document = across([analyze(study) for study in studies]).document()
    return document.title, [study.name for study in studies], whole(document.parts)
