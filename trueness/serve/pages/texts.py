"""Texts of a run on titles: filtered, one by one, with what decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
from starlette.requests import Request

from trueness.document import Cell, Column, Document, Field, Form, Items, Link, Part, Section, Table
from trueness.document.model import Sentence
from trueness.document.numbers import count, percent, plural
from trueness.document.texts import whole
from trueness.errors import TruenessError, nearest
from trueness.judge.errors import Asked
from trueness.judge.errors_document import cut
from trueness.places import StoreLocation
from trueness.serve.answers import Answer
from trueness.serve.query import ROWS, address_of, page_of, words_of
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench, options_of, shown, ways
from trueness.store import Run, Store

SHOWN = {
    "": "wrong, the surest first", "unsure": "the least sure first", "near": "near-duplicates",
    "right": "right, the surest first", "all": "all",
}  # fmt: skip
"""Word of an address -> which texts."""
WEIGHTS = "model.safetensors"
"""File of a run that keeps its weights."""
WORDS = ("show", "language", "class", "search")


def texts_page(bench: Workbench, request: Request) -> Page:
    """Texts that a run was measured on, in pages of 50."""
    view = bench.shelf.current_view()
    run = _run(view, request)
    words = words_of(request.query_params, WORDS, ("page",))
    page = page_of(request.query_params)
    lost, answer = bench.record(view, [run], "errors"), _asked(bench, view, run)
    parts = [*lost, *shown(answer, lambda frame: _browser(run, frame, words, page), "Their list")]
    document = Document(f"Texts of {view.name(run.key)} · {run.record['label']}", parts, run.key)
    return Page(document, _command(bench, run, words), waits=answer.pending or answer.stale)


def text_page(bench: Workbench, request: Request) -> Page:
    """One of these texts, by its number, with the words that moved it.

    Raises
    ------
    TruenessError
        With the code ``no_page`` if there is none of that number.
    """
    view = bench.shelf.current_view()
    run, number = _run(view, request), request.query_params.get("n", "")
    lost, answer = bench.record(view, [run], "errors"), _asked(bench, view, run)
    title, waits = f"A text of {view.name(run.key)}", answer.pending or answer.stale
    if answer.value is None:
        parts = [*lost, *shown(answer, list, "It")]
        return Page(Document(title, parts), waits=waits)
    if not number.isdecimal() or len(number) > 9 or int(number) >= len(answer.value):
        raise TruenessError(f"no text {number[:20]!r} of this run", "no_page")
    row = answer.value.row(int(number), named=True)
    if WEIGHTS in run.record["files"]:
        asked = bench.answers.ask(("words", run.key, row["id"]), view.state, moving, bench.root,
                                  run.key, row["text"], apart=True)  # fmt: skip
        waits = waits or asked.pending or asked.stale
        moved = shown(asked, list, "What moved it")
    else:
        note = f"a {run.record['label']} keeps no weights in its run, so that words are not shown"
        moved = [Sentence(f"{note}; `trueness errors {run.key} --refit` fits it again.", "note")]
    parts = [*lost, *_one(row), Section("Words that moved it", moved)]
    command = bench.command("importance", run.key, "--text", row["text"])
    return Page(Document(title, parts, row["id"]), command, waits=waits)


def every(root: StoreLocation, key: str, name: str) -> pl.DataFrame:
    """Texts of a run; for a process of its own."""
    from trueness.labels.errors import every_text

    return every_text(Store(root).run(key), name)


def moving(root: StoreLocation, key: str, text: str) -> list[Part]:
    """What `trueness importance --text` says; for a process of its own."""
    from trueness.attribution.words import Asked, word_importance

    result = word_importance(Store(root), key, {}, Asked.of(text), device="cpu")
    return whole(result.document().parts)


def _run(view: View, request: Request) -> Run[Any]:
    run = view.run(request.path_params["key"])
    if run.spec.task.kind != "titles":
        raise TruenessError(f"the run {view.name(run.key)} is not on titles, so it has no texts",
                            "no_page")  # fmt: skip
    return run


def _asked(bench: Workbench, view: View, run: Run[Any]) -> Answer:
    return bench.tables.ask(("texts", run.key), run.address, every, bench.root, run.key,
                            view.name(run.key), apart=True)  # fmt: skip


def _command(bench: Workbench, run: Run[Any], words: Mapping[str, str]) -> str:
    """The verb that lists the same texts."""
    options = [(f"--{name}", words[name]) for name in WORDS]
    return bench.command("errors", run.key, *options_of(options))


# ------------------------------------------------------------------------------------- many of them


def _browser(
    run: Run[Any], frame: pl.DataFrame, words: dict[str, str], page: int
) -> list[Part]:  # fmt: skip
    classes, languages = run.record["classes"], sorted(frame["language"].unique().to_list())
    known = {"show": list(SHOWN), "language": languages, "class": classes}
    for name, values in known.items():
        if words[name] and words[name] not in values:
            note = f"no {name} {words[name]!r}; {nearest(words[name], [v for v in values if v])}"
            raise TruenessError(note, "query")
    some = _asked_of(words).listed(frame.with_row_index("n"))
    place = f"/run/{run.key}/texts"
    pages = max(1, -(-len(some) // ROWS))
    at = min(page, pages)
    form = Form("Show", place, [
        Field("show", "texts", "choice", words["show"], list(SHOWN.items())),
        Field("language", "language", "choice", words["language"], _choices(languages)),
        Field("class", "class given or predicted", "choice", words["class"], _choices(classes)),
        Field("search", "search", "text", words["search"], hint="part of a text"),
    ])  # fmt: skip
    note = f"{plural(len(some), 'text')} of {count(len(frame))}"
    shown_rows = some.slice((at - 1) * ROWS, ROWS)
    return [
        form, Sentence(note, "note"), *([_table(run.key, shown_rows)] if len(some) else []),
        *ways(at, pages, lambda number: address_of(place, words, number)),
    ]  # fmt: skip


def _asked_of(words: Mapping[str, str]) -> Asked:
    return Asked(words["language"], words["class"], search=words["search"],
                 show=words["show"] or "wrong")  # fmt: skip


def _choices(names: list[str]) -> list[tuple[str, str]]:
    return [("", "all"), *((name, name) for name in names)]


def _table(key: str, some: pl.DataFrame) -> Table:
    near = some["near_similarity"].null_count() < len(some)
    columns = [
        Column("text", "link", 9), Column("language", "code"), Column("given"),
        Column("predicted"), Column("probability", "number"),
        Column("of the\ngiven class", "number"),
        *([Column("nearest\ntraining text", "number", digits=2), Column("its class")]
          if near else []),
        Column("id", "code"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [Link(cut(row["text"]) or "(no text)", f"/run/{key}/text?n={row['n']}"), row["language"],
         row["given"], row["predicted"], row["probability"], row["probability_given"],
         *([row["near_similarity"], row["near_label"]] if near else []), row["id"]]
        for row in some.iter_rows(named=True)
    ]  # fmt: skip
    wrong = (some["given"] != some["predicted"]).to_list()
    return Table(columns, rows, styles=["warning" if one else "" for one in wrong])


# -------------------------------------------------------------------------------------- one of them


def _one(row: dict[str, Any]) -> list[Part]:
    right = "as it is labelled" if row["given"] == row["predicted"] else "wrong"
    facts = [
        f"Language {row['language']}",
        f"Labelled {row['given']}, calibrated probability {percent(row['probability_given'])} %",
        f"Predicted {row['predicted']}, calibrated probability {percent(row['probability'])} %",
    ]
    parts: list[Part] = [
        Sentence(f"{row['predicted']}: {right}.", "verdict"),
        Table([Column("text")], [[row["text"]]]),
        Items(facts),
    ]
    if row["near_similarity"] is not None:
        columns = [Column("nearest training text", weight=9), Column("similarity", "number", 9, 2),
                   Column("its class"), Column("id", "code")]  # fmt: skip
        near = [row["near_text"], row["near_similarity"], row["near_label"], row["near_id"]]
        parts.append(Table(columns, [near]))
    return parts
