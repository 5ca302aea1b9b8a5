"""Bundles that the command line names: what is deployed, what it promised, what came."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from trueness.document import Column, Document, Link, Live, Part, Section, Sentence, Table
from trueness.document.texts import whole
from trueness.errors import TruenessError
from trueness.report.html import to_part
from trueness.serve.answers import Answer, is_large
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench, shown, stamp

PLACE = "sequence"
OPEN = ("nothing_logged", "no_labels")
"""Codes of bundles of which nothing came yet."""


@dataclass(frozen=True)
class Deployed:
    """One bundle as its folder is now.

    Attributes
    ----------
    name, key : str
        Of the run that it was made from.
    promised : float
        Precision below which the promise is broken.
    predicted, known : int or None
        Answers in its log, and those with an outcome; None if it cannot be read.
    verdict : str
    about, came : list of Part
        What is deployed; what became of its answers.
    """

    name: str
    key: str
    promised: float
    predicted: int | None
    known: int | None
    verdict: str
    about: list[Part]
    came: list[Part]


def deployed(folder: Path) -> Deployed:
    """Read a bundle and its log; nothing is opened of its models, and nothing written.

    Raises
    ------
    StoreError
        If it is no bundle, or damaged.
    """
    from trueness.bundle.alarms import Alarms, of_bundle
    from trueness.bundle.finalizing import Finalized
    from trueness.bundle.format import open_bundle
    from trueness.bundle.log import read_log
    from trueness.bundle.watching import monitored, promise_of

    bundle = open_bundle(folder)
    promise = promise_of(bundle)
    about = list(Finalized(bundle, promise).document().parts)
    facts = bundle.name, str(bundle.description["key"]), promise.promised
    try:
        log = read_log(bundle)
    except TruenessError as error:
        return Deployed(*facts, None, None, "its log is damaged", about,
                        [Sentence(str(error), "error")])  # fmt: skip
    came: list[Part] = []
    try:
        result = monitored(bundle)
        verdict = result.verdict
        came += result.document().parts
    except TruenessError as error:
        verdict = "nothing came yet" if error.code in OPEN else str(error)
        came.append(Sentence(str(error), "note" if error.code in OPEN else "error"))
    if log.predictions and bundle.task != "titles" and (said := of_bundle(bundle)).raised.any():
        came.append(Section("Alarms in its log", Alarms(said).document().parts))
    return Deployed(*facts, len(log.predictions), len(log.outcomes), verdict, whole(about),
                    whole(came))  # fmt: skip


def bundles_page(bench: Workbench, request: Request) -> Page:
    """Page of all bundles that the server was given."""
    del request
    if not bench.bundles:
        note = "No bundles are shown here; `trueness serve --bundles FOLDER` names some."
        return Page(Document("Bundles", [Sentence(note)]))
    view = bench.shelf.current_view()
    answers = [_asked(bench, view, i) for i in range(len(bench.bundles))]
    rows = [_row(view, i, *one) for i, one in
            enumerate(zip(bench.bundles, answers, strict=True), 1)]  # fmt: skip
    columns = [
        Column("bundle", "link", 9), Column("run", "link"),
        Column("promised\nprecision", "percent"),
        Column("answers", "count"), Column("with an\noutcome", "count"), Column("so far", "text"),
        Column("folder", "code", 3),
    ]  # fmt: skip
    page = Page(Document("Bundles", [Table(columns, rows)]), _command(*bench.bundles),
                waits=any(one.pending or one.stale for one in answers))  # fmt: skip
    return bench.show(view, page)


def bundle_page(bench: Workbench, request: Request) -> Page:
    """Page of one bundle, by its number.

    Raises
    ------
    TruenessError
        With the code ``no_page``.
    """
    at = _place(bench, request.path_params["number"])
    if at is None:
        raise TruenessError("no such bundle: the page of bundles has all", "no_page")
    view, folder = bench.shelf.current_view(), bench.bundles[at]
    answer = _asked(bench, view, at)
    result: Deployed | None = answer.value
    parts: list[Part] = [
        *_refused(answer),
        *([Live(PLACE, result.came)] if result else []),
        *(
            [Section("What is deployed", [*_run(view, result.key), *result.about])]
            if result
            else []
        ),
    ]
    title = f"Bundle {result.name}" if result else f"Bundle {at + 1}"
    page = Page(Document(title, parts, str(folder)), _command(folder),
                waits=answer.pending or answer.stale,
                events=f"/events/bundles/{at + 1}")  # fmt: skip
    return bench.show(view, page)


def bundle_places(bench: Workbench, number: str) -> dict[str, str]:
    """What came of its answers, anew whenever the log grew."""
    at = _place(bench, number)
    answer = Answer() if at is None else _asked(bench, bench.shelf.current_view(), at)
    return {PLACE: to_part(answer.value.came)} if answer.value else {}


def _place(bench: Workbench, number: str) -> int | None:
    """Place in the list of a number of an address."""
    plain = number.isdecimal() and len(number) < 6
    return int(number) - 1 if plain and 1 <= int(number) <= len(bench.bundles) else None


def _asked(bench: Workbench, view: View, at: int) -> Answer:
    """What is known of a bundle; a large store leaves no memory for what reading one imports."""
    folder = bench.bundles[at]
    state = stamp(folder / "bundle.json"), stamp(folder / "log.jsonl")
    return bench.answers.ask(("bundle", at), state, deployed, folder,
                             apart=is_large(len(view.runs)))  # fmt: skip


def _refused(answer: Answer) -> list[Part]:
    return shown(answer, lambda result: [], "What came of its answers")


def _row(view: View, number: int, folder: Path, answer: Answer) -> Sequence[Any]:
    result: Deployed | None = answer.value
    link = Link(result.name if result else folder.name, f"/bundles/{number}")
    if result is None:
        why = "is being read" if answer.refusal is None else str(answer.refusal)
        return [link, None, None, None, None, why, str(folder)]
    return [link, _name(view, result.key), result.promised, result.predicted, result.known,
            result.verdict, str(folder)]  # fmt: skip


def _name(view: View, key: str) -> Link:
    """A run by its name, and where it is if it is stored here."""
    return Link(view.name(key), f"/run/{key}" if key in view.runs else "")


def _run(view: View, key: str) -> list[Part]:
    return [Table([Column("made from the run", "link", 9)], [[_name(view, key)]])]


def _command(*folders: Path) -> str:
    return "; ".join(shlex.join(["trueness", "monitor", str(folder)]) for folder in folders)
