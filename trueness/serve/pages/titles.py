"""Runs on titles: methods over languages, confusions, abstention, ways to their texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from trueness.document import (
    Column,
    Document,
    Field,
    Form,
    Link,
    Part,
    Section,
    Sentence,
    Table,
)
from trueness.document.numbers import count
from trueness.document.texts import whole
from trueness.errors import TruenessError, nearest
from trueness.evaluation.slices import Slices
from trueness.judge.languages import recorded_slices
from trueness.judge.languages_figures import confusion_table
from trueness.judge.languages_words import words_of
from trueness.serve.pages.board import comparison_of
from trueness.serve.query import words_of as asked_words
from trueness.serve.rows import Rows, title_of
from trueness.serve.shelf import View
from trueness.serve.workbench import Page, Workbench, options_of, shown
from trueness.store import Run

WORDS = ("group", "run", "language")


def titles_page(bench: Workbench, request: Request) -> Page:
    """Page of a comparison group on titles."""
    view, words = bench.shelf.current_view(), asked_words(request.query_params, WORDS)
    groups = {name: runs for name, runs in view.groups.items()
              if runs[0].estimands.kind == "classes"}  # fmt: skip
    if not groups:
        note = "No runs on titles yet; `trueness run text-demo` makes some."
        return Page(Document("Titles", [Sentence(note)]))
    group = words["group"] or next(iter(groups))
    if group not in groups:
        raise TruenessError(f"no comparison group {group!r} on titles here", "query")
    rows = bench.rows(view, group, "")
    lost = bench.record(view, (model.run for model in rows.models), "leaderboard")
    comparison = comparison_of(bench, view, rows, "")
    run = _chosen(view, rows, words["run"])
    result = recorded_slices(run, run.estimands.measured_on)
    parts: list[Part] = [
        *lost, Section("Methods by language", [
            *shown(comparison, lambda one: [*one.above, *_heat(one.heat)], "The verdict")]),
        _form(view, groups, rows, {**words, "group": group, "run": run.key}, result),
        *_of_run(view, run, result, words["language"]),
    ]  # fmt: skip
    answers = [comparison]
    if run.spec.task.kind == "titles":
        answers.append(bench.judge(view, ("abstention", run.key), abstention, run.key,
                                   state=run.address))  # fmt: skip
        title = f"Answers of {view.name(run.key)} at a wanted precision"
        parts.append(Section(title, shown(answers[-1], list, "How many texts it answers")))
    waits = any(one.pending or one.stale for one in answers)
    document = Document("Titles", parts, title_of(run))
    return bench.show(view, Page(document, _command(bench, view, group, run), waits=waits))


def _command(bench: Workbench, view: View, group: str, run: Run[Any]) -> str:
    """The methods of the group, then the confusions of the run."""
    only = options_of([("--group", group if len(view.groups) > 1 else "")])
    return f"{bench.command('leaderboard', *only)}; {bench.command('show', run.key)}"


def abstention(store: Any, key: str) -> list[Part]:  # noqa: ANN401 - any store
    """How many texts a run answers over the certified precision."""
    from trueness.bundle.abstaining import abstention_parts

    return whole(abstention_parts(store.run(key)))


def _heat(heat: Table | None) -> list[Part]:
    note = "One method, or no languages: there is nothing to compare."
    return [Sentence(note, "note")] if heat is None else [heat]


def _chosen(view: View, rows: Rows, wanted: str) -> Run[Any]:
    """The run that is asked for; by default the best by what is recorded."""
    runs = {model.key: model.run for model in rows.models}
    if not wanted:
        best = max(rows.models, key=lambda m: m.estimates[rows.fields.headline].value or 0.0)
        return best.run
    if wanted not in runs:
        raise TruenessError(f"the run {view.name(wanted)[:40]!r} is none of these", "query")
    return runs[wanted]


def _form(
    view: View, groups: Mapping[str, list[Run[Any]]], rows: Rows, words: Mapping[str, str],
    result: Slices,
) -> Form:  # fmt: skip
    runs = [(m.key, f"{m.name} · {m.run.record['label']}") for m in rows.models]
    titles = [(g, f"{title_of(r[0])} ({count(len(r))})") for g, r in groups.items()]
    return Form("Show", "/titles", [
        Field("group", "evaluated on", "choice", words["group"], titles),
        Field("run", "run", "choice", words["run"], runs),
        Field("language", "language", "choice", words["language"],
              [("", "all"), *((name, name) for name in result.groups)]),
    ])  # fmt: skip


def _of_run(view: View, run: Run[Any], result: Slices, language: str) -> list[Part]:
    """Confusions of a run, in one language or in all, and where its texts are."""
    if language and language not in result.groups:
        raise TruenessError(f"no language {language!r}; {nearest(language, list(result.groups))}",
                            "query")  # fmt: skip
    note = words_of(run.estimands, result.majority, result.judged)
    one = result.groups[language] if language else result.overall
    caption = language or f"all {note.units}"
    places = [Link("the run", f"/run/{run.key}")]
    if run.spec.task.kind == "titles":
        places.insert(0, Link("its texts", f"/run/{run.key}/texts"))
    return [
        Table([Column("go to", "link")], [[places]]),
        Section(f"Confusions of {view.name(run.key)}",
                [confusion_table(one, result.classes, caption, note)]),
    ]  # fmt: skip
