"""Inputs of a run: the audit of its columns, and one of them by itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from trueness.callback import Callback
from trueness.document import Document, Field, Form, Part, Sentence
from trueness.document.texts import whole
from trueness.errors import TruenessError, nearest
from trueness.places import StoreLocation
from trueness.serve.query import words_of
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench, linked, options_of, shown
from trueness.store import Run, Store

TASKS = ("market", "table")


def features_page(bench: Workbench, request: Request) -> Page:
    """Page of the inputs of a run: all, or the one that is named."""
    view, words = bench.shelf.current_view(), words_of(request.query_params, ("run", "feature"))
    runs, chosen = _inputs(view), view.run(words["run"]) if words["run"] else None
    if not runs and chosen is None:
        note = "No runs on bars or tables yet; `trueness run demo` makes some."
        return Page(Document("Features", [Sentence(note)]))
    run = chosen or next(iter(runs.values()))
    if run.spec.task.kind not in TASKS:
        raise TruenessError(f"the run {view.name(run.key)} reads texts, no columns", "no_page")
    names = list(run.record.get("features") or [])
    if words["feature"] and words["feature"] not in names:
        raise TruenessError(f"no feature {words['feature']!r}; {nearest(words['feature'], names)}",
                            "query")  # fmt: skip
    call, args = (valued, (words["feature"],)) if words["feature"] else (audited, ())
    answer = bench.answers.ask(("features", run.key, *args), run.address, call, bench.root,
                               run.key, view.name(run.key), *args, apart=True)  # fmt: skip
    parts = [_form(view, runs, run, words["feature"], names),
             *shown(answer, list, words["feature"] or "The audit")]  # fmt: skip
    title = f"{words['feature'] or 'Features'} of {view.name(run.key)} · {run.record['label']}"
    document = linked(Document(title, parts, run.key), lambda name: _place(run, name, names))
    command = _command(bench, run, words["feature"])
    return Page(document, command, waits=answer.pending or answer.stale)


def _inputs(view: View) -> dict[tuple[str, ...], Run[Any]]:
    """The latest run of each set of columns of the same data, those of candidates first."""
    result: dict[tuple[str, ...], Run[Any]] = {}
    latest = sorted(view.runs.values(), key=lambda one: one.record["created"], reverse=True)
    for run in sorted(latest, key=lambda one: one.spec.is_baseline):
        names = run.record.get("features")
        if run.spec.task.kind in TASKS and names:
            result.setdefault((run.record["data"]["digest"], *names), run)
    return result


def _form(
    view: View, runs: dict[tuple[str, ...], Run[Any]], run: Run[Any], feature: str, names: list[str]
) -> Form:  # fmt: skip
    known = {one.key: one for one in (*runs.values(), run)}
    titles = [(key, f"{view.name(key)}: {len(one.record['features'])} features")
              for key, one in known.items()]  # fmt: skip
    return Form("Show", "/features", [
        Field("run", "inputs of", "choice", run.key, titles),
        Field("feature", "feature", "choice", feature,
              [("", "all: the audit"), *((name, name) for name in names)]),
    ])  # fmt: skip


def _place(run: Run[Any], name: str, names: list[str]) -> str | None:
    return f"/features?{urlencode({'run': run.key, 'feature': name})}" if name in names else None


def _command(bench: Workbench, run: Run[Any], feature: str) -> str:
    words = options_of([("--run", run.key), ("--feature", feature)])
    return bench.command("features", "audit", *words)


# ------------------------------------------------------------------------ in a process of its own


def audited(root: StoreLocation, key: str, name: str) -> list[Part]:
    """What `trueness features audit --run` says of the columns of a run."""
    from trueness.bundle.inputs import audit_inputs

    return whole(audit_inputs(Store(root).run(key), name, {}, Callback()).document().parts)


def valued(root: StoreLocation, key: str, name: str, feature: str) -> list[Part]:
    """What it says of one column."""
    from trueness.bundle.inputs import values_of_input

    return whole(values_of_input(Store(root).run(key), name, {}, feature).document().parts)
