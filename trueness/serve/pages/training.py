"""A run that trains now: who is at it, how far its campaign is, its learning curves."""

from __future__ import annotations

import re

import polars as pl
from starlette.requests import Request

from trueness.document import Column, Document, Link, Live, Part, Section, Sentence, Table
from trueness.errors import TruenessError
from trueness.judge.figures import curves_of
from trueness.report.html import to_part
from trueness.serve.pages.home import process_table
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench
from trueness.store.leases import Leases

KEY = re.compile(r"[0-9a-f]{12}")
PLACE = "training"
OVER = "over"
"""Place that is there when the run is stored: the page is asked for again, and leads to it."""


def running_page(bench: Workbench, request: Request) -> Page:
    """Page of a run that trains; of a stored one, where it is."""
    key = request.path_params["key"]
    if KEY.fullmatch(key) is None:
        raise TruenessError("no such run: a key has 12 hexadecimal digits", "no_run")
    view = bench.shelf.current_view()
    title = f"{view.name(key)} in training"
    if key in view.runs:
        link = Sentence(f"It is stored: {view.runs[key].record['label']}.", "verdict")
        parts: list[Part] = [link, Section("Go on", [_to(view, key)])]
        return Page(Document(view.name(key), parts), bench.command("show", key))
    return Page(
        Document(title, [Live(PLACE, training(view, key)), Live(OVER, [])], key),
        events=f"/events/running/{key}",
    )


def _to(view: View, key: str) -> Part:
    return Table([Column("run", "link")], [[Link(view.name(key), f"/run/{key}")]])


def running_places(bench: Workbench, key: str) -> dict[str, str]:
    """Places of that page that change."""
    if KEY.fullmatch(key) is None:
        return {}
    view = bench.shelf.current_view()
    if key in view.runs:
        return {OVER: ""}
    return {PLACE: to_part(training(view, key))}


def training(view: View, key: str) -> list[Part]:
    """Who trains a run, its learning curves so far, the processes of its campaign."""
    leases = Leases(view.store)
    holder, rows = leases.holder(key), leases.epochs(key)
    parts: list[Part] = [
        Sentence("Nobody trains this run now." if holder is None else f"Held by {holder.text}.")
    ]
    if failed := view.store.failures().get(key):
        parts.append(Sentence(f"It failed: {failed}", "error"))
    if rows:
        history = pl.from_dicts(rows).unique(["fold", "epoch"], keep="last").sort("fold", "epoch")
        parts.append(curves_of(history, [], "Loss per epoch so far."))
    elif holder is not None:
        parts.append(Sentence("No epoch is over yet, or it is not trained in epochs.", "note"))
    names = {name for name, ids in view.campaigns.items() if any(key in k for k in ids.values())}
    notes = [
        (name, one) for name, some in leases.every_status().items() for one in some if name in names
    ]
    return [*parts, *process_table(view, notes)]
