"""A run that trains now: who is at it, how far its campaign is, its learning curves."""

from __future__ import annotations

from starlette.requests import Request

from trueness.document import Document, Live
from trueness.errors import TruenessError
from trueness.judge.store_status import KEY, status_of_run
from trueness.report.html import to_part
from trueness.serve.pages.home import status_of
from trueness.serve.workbench import Page, Workbench

PLACE = "training"
OVER = "over"
"""Place that is there when the run is stored: the page is asked for again, and leads to it."""


def running_page(bench: Workbench, request: Request) -> Page:
    """Page of a run that trains; of a stored one, where it is."""
    key = request.path_params["key"]
    if KEY.fullmatch(key) is None:
        raise TruenessError("no such run: a key has 12 hexadecimal digits", "no_run")
    one = status_of_run(status_of(bench.shelf.current_view()), key)
    command = bench.command("status", "--run", key)
    if one.stored is not None:
        return Page(one.document(), command)
    document = Document(one.title, [Live(PLACE, one.parts()), Live(OVER, [])], key)
    return Page(document, command, events=f"/events/running/{key}")


def running_places(bench: Workbench, key: str) -> dict[str, str]:
    """Places of that page that change."""
    if KEY.fullmatch(key) is None:
        return {}
    view = bench.shelf.current_view()
    if key in view.runs:
        return {OVER: ""}
    return {PLACE: to_part(status_of_run(status_of(view), key).parts())}
