"""The first page: what runs now, what came last, what is wrong, what was evaluated."""

from __future__ import annotations

from trueness.document import Document, Live
from trueness.judge.store_status import StoreStatus
from trueness.report.html import to_part
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench

PLACE = "now"


def home(bench: Workbench) -> Page:
    """Page of the store."""
    status = status_of(bench.shelf.current_view())
    parts = [Live(PLACE, status.running()), *status.standing()]
    document = Document("Workbench", parts, status.subtitle)
    return Page(document, bench.command("status"), events="/events/home")


def places(bench: Workbench) -> dict[str, str]:
    """Places of the first page that change."""
    return {PLACE: to_part(status_of(bench.shelf.current_view()).running())}


def status_of(view: View) -> StoreStatus:
    """A view of the store, whose runs have pages."""
    return StoreStatus(view.store, view.runs, view.problems, view.campaigns, view.ids, _at)


def _at(key: str, trains: bool) -> str:
    return f"/{'running' if trains else 'run'}/{key}"
