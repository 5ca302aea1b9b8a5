"""Studies of hyper-parameters: what each found, several beside each other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.requests import Request

from trueness.document import Column, Document, Link, Part, Section, Sentence, Table
from trueness.document.texts import whole
from trueness.places import Address, StoreLocation
from trueness.serve.workbench import Page, Workbench, shown, stamp

FILE = "search.sqlite3"
"""Database of the studies of a store in a folder."""
BELIEVED_S = 30
"""Seconds for which what a server said of studies is believed."""


def studies_page(bench: Workbench, request: Request) -> Page:
    """Page of one study that is named, or of all of them."""
    view = bench.shelf.current_view()
    name = request.query_params.get("name", "")[:200]
    if (stamps := _stamps(bench.root)) is None:
        note = "No studies here yet; `trueness search run` makes one."
        return Page(Document("Studies", [Sentence(note)]))
    names = (name,) if name else ()
    state = view.state, *stamps
    answer = bench.answers.ask(("studies", *names), state, analysed, bench.root, names, apart=True)
    parts = shown(answer, lambda result: _parts(result, one=bool(name)), "The analysis")
    title = answer.value[0] if answer.value else "Studies"
    command = bench.command("search", "analyze", *(names or ("--all",)))
    page = Page(Document(title, parts), command, waits=answer.pending or answer.stale)
    return bench.show(view, page)


def _stamps(root: StoreLocation) -> list[object] | None:
    """What changes with the database of a store's studies; None if there is none."""
    if isinstance(root, Address):
        return [time.monotonic() // BELIEVED_S]
    if not (root / FILE).is_file():
        return None
    # the log of writes of the database grows before it does
    return [stamp(root / f"{FILE}{end}") for end in ("", "-wal")]


def _parts(result: tuple[str, list[str], list[Part]], *, one: bool) -> list[Part]:
    _, names, parts = result
    if one:
        return parts
    rows = [[Link(name, f"/studies?{urlencode({'name': name})}")] for name in names]
    return [Section("Studies", [Table([Column("study", "link", 9)], rows)]), *parts]


def analysed(root: StoreLocation, names: Sequence[str]) -> tuple[str, list[str], list[Part]]:
    """Title, names and parts of what `trueness search analyze` says."""
    from trueness.judge.studies import across, analyze
    from trueness.search.finding import find_studies
    from trueness.search.stored import study_of
    from trueness.store import Store

    store = Store(root)
    studies = [study_of(one, store) for one in find_studies(tuple(names), root, None)]
    document = across([analyze(study) for study in studies]).document()
    return document.title, [study.name for study in studies], whole(document.parts)
