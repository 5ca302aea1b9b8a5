"""Verbs about searches: search analyze, search coverage, search shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from trueness.cli.options import (
    DEFAULT_STORE,
    Json,
    Store_,
    Whole,
    check_output,
    console,
    print_json,
    print_rows,
)
from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.judge.studies import Study
    from trueness.search.found import Found

search_app = App(
    name="search", help="Search hyper-parameters, and judge what was searched.",
    help_format="plaintext",
)  # fmt: skip

Imported = Annotated[
    list[Path] | None,
    Parameter(
        name="--import", negative=(),
        help="Folder of a published study, with all_trials.json; repeatable.",
    ),
]  # fmt: skip
Names = Annotated[tuple[str, ...], Parameter(help="Studies of the store.")]
Every = Annotated[
    bool,
    Parameter(
        name="--all", negative=(), help="All studies of the store, or of each imported folder."
    ),
]
Markdown = Annotated[
    Path | None, Parameter(name="--markdown", help="Also write everything to a Markdown file.")
]
Storage = Annotated[
    str | None,
    Parameter(
        name="--storage",
        help="Address of the database of studies; search.sqlite3 in the store by default.",
    ),
]  # fmt: skip
Page = Annotated[Path | None, Parameter(name="--report", help="Also write an HTML page.")]


@search_app.command
def analyze(
    names: Names = (),
    /,
    *,
    folders: Imported = None,
    everything: Every = False,
    markdown: Markdown = None,
    report: Page = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    as_json: Json = False,
) -> int:
    """Say what a search found: best, repeats, coverage, importance, trends; several by true size.

    Example: trueness search analyze mission-2M-a20-h1

    Example: trueness search analyze --import hpo/a100_2m_forced --report study.html

    Example: trueness search analyze --import hpo --all --markdown studies.md

    Parameters
    ----------
    names
        Studies of the store.
    """
    from trueness.judge.studies import across
    from trueness.judge.studies import analyze as look
    from trueness.report.study_page import show_across, study_markdown, write_study_page

    for output in (markdown, report):
        check_output(output)
    found = across([look(study) for study in _studies(names, folders, everything, store, storage)])
    if as_json:
        print_json(found.to_dict())
    else:
        show_across(console(), found)
    if markdown is not None:
        markdown.write_text(study_markdown(found), encoding="utf-8")
        console(err=True).print(f"markdown: {markdown}", highlight=False)
    if report is not None:
        write_study_page(found, report)
        console(err=True).print(f"report: {report}", highlight=False)
    return 0


@search_app.command
def coverage(
    names: Names = (),
    /,
    *,
    folders: Imported = None,
    everything: Every = False,
    markdown: Markdown = None,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    as_json: Json = False,
) -> int:
    """Say what a search has tried and what it has not: levels, pairs, architectures, gaps.

    Example: trueness search coverage --import hpo/a100_2m_forced

    Parameters
    ----------
    names
        Studies of the store.
    """
    from trueness.judge.studies import coverage as look
    from trueness.judge.studies.text import coverage_section
    from trueness.judge.studies.text import markdown as write
    from trueness.report.study_page import show_sections

    check_output(markdown)
    found = [look(study) for study in _studies(names, folders, everything, store, storage)]
    parts = [(one.study.name, [coverage_section(one)]) for one in found]
    if as_json:
        print_json([one.to_dict() for one in found])
    else:
        show_sections(console(), parts)
    if markdown is not None:
        markdown.write_text(write("Search coverage", parts), encoding="utf-8")
        console(err=True).print(f"markdown: {markdown}", highlight=False)
    return 0


@search_app.command
def shapes(
    budget: str,
    /,
    *,
    features: Whole = 50,
    context: Whole = 80,
    embedding: Whole | None = None,
    every: Annotated[bool, Parameter(negative=())] = False,
    batch: Whole = 128,
    as_json: Json = False,
) -> int:
    """List networks that have a budget's number of parameters, from shallow and wide to deep.

    Example: trueness search shapes 2M --features 100

    Parameters
    ----------
    budget
        Such as 750k, 2M, 200M; or label:2M, a published space of that name.
    features
        Columns of a window.
    context
        Rows of a window, days.
    embedding
        Width of a linear feature embedding; none without it.
    every
        All depths of each width, not only the one whose inner width is nearest to 4 widths.
    batch
        Windows per batch, for the estimate of memory.
    """
    from trueness.models.budgets import label_space, one_per_width, shape_rows, shapes_within
    from trueness.spec import LinearEmbedding, NoEmbedding

    if budget.startswith("label:"):
        space = label_space(budget)
        print_json(vars(space)) if as_json else _show_space(vars(space))
        return 0
    if batch < 1 or (embedding is not None and embedding < 1):
        raise TruenessError("--batch and --embedding must be at least 1")
    none = NoEmbedding(kind="none")
    kind = none if embedding is None else LinearEmbedding(kind="linear", width=embedding)
    found = shapes_within(budget, features, context, kind)
    rows = shape_rows(found if every else one_per_width(found), batch)
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)
    return 0


def _show_space(space: dict[str, object]) -> None:
    from trueness.cli.options import print_facts

    levels = space["levels"]
    assert isinstance(levels, dict)
    print_facts({name: list(values) for name, values in levels.items()})
    console().print(str(space["note"]), highlight=False, soft_wrap=True)


def storage_url(storage: str | None, store: Path) -> str:
    """Address of the studies: the one given, or the database of the store."""
    from trueness.search.studies import FILE

    return f"sqlite:///{(store / FILE).resolve()}" if storage is None else storage


def find_studies(names: tuple[str, ...], store: Path, storage: str | None) -> list[Found]:
    """Studies of a store by name, or all of them that have trials.

    Raises
    ------
    TruenessError
        If the store has none of a name, or none at all.
    """
    from trueness.search.found import find_study, study_names
    from trueness.search.studies import FILE, open_storage, shown_url

    if storage is None and not (store / FILE).is_file():
        what = f"no study of that name, {names[0]!r}," if names else "no study"
        raise TruenessError(
            f"{what} in {store}; `trueness search run` makes one, --import FOLDER reads a "
            "published one"
        )
    database = open_storage(storage_url(storage, store), must_exist=True)
    found = [find_study(database, name) for name in dict.fromkeys(names or study_names(database))]
    found = found if names else [one for one in found if one.completed]
    if not found:
        where = shown_url(storage) if storage else store
        raise TruenessError(f"no study in {where} has a completed trial yet")
    return found


def _studies(
    names: tuple[str, ...], folders: list[Path] | None, everything: bool, store: Path,
    storage: str | None,
) -> list[Study]:  # fmt: skip
    """What was asked for: studies of the store, or published folders, each once."""
    from trueness.judge.studies import read_published, study_folders

    if not (names or folders or everything):
        raise TruenessError("give names of studies, --all, or --import FOLDER")
    if names and (folders or everything):
        raise TruenessError("give names of studies, or --all or --import FOLDER, not both")
    if not folders:
        from trueness.search.found import study_of
        from trueness.store import Store

        opened = Store(store)
        return [study_of(one, opened) for one in find_studies(names, store, storage)]
    wanted = list(folders)
    if everything:
        inside = [(folder, study_folders(folder)) for folder in wanted]
        empty = next((folder for folder, some in inside if not some), None)
        if empty is not None:
            raise TruenessError(f"{empty}: no study inside; one is a folder with all_trials.json")
        wanted = [one for _, some in inside for one in some]
    return [read_published(one) for one in {one.resolve(): one for one in wanted}.values()]
