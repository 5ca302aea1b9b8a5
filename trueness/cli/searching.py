"""Verbs about searches: search analyze, search coverage, search shapes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from trueness.cli.options import DEFAULT_STORE, Store_, StrictInt
from trueness.cli.output import DEFAULT, Output, check, present
from trueness.errors import TruenessError
from trueness.places import StoreLocation

if TYPE_CHECKING:
    from trueness.judge.listing import Listing
    from trueness.judge.studies import Study

search_app = App(
    name="search", help="Search hyper-parameters, and judge what was searched.",
    help_format="plaintext",
)  # fmt: skip
for _where in ("search_trials:run", "search_next:propose", "search_next:promote",
               "search_next:transfer"):  # fmt: skip
    search_app.command(f"trueness.cli.{_where}")

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
Storage = Annotated[
    str | None,
    Parameter(
        name="--storage",
        help="Address of the database of studies; search.sqlite3 in the store by default.",
    ),
]  # fmt: skip


@search_app.command
def analyze(
    names: Names = (),
    /,
    *,
    folders: Imported = None,
    everything: Every = False,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    output: Output = DEFAULT,
) -> int:
    """Say what a search found: best, duplicates, coverage, importance, trends; several by size.

    Example: trueness search analyze published-2M-a20-h1

    Example: trueness search analyze --import hpo/a100_2m_forced --report study.html

    Example: trueness search analyze --import hpo --all --markdown studies.md

    Parameters
    ----------
    names
        Studies of the store.
    """
    from trueness.judge.studies import across
    from trueness.judge.studies import analyze as analysis

    check(output)
    studies = _studies(names, folders, everything, store, storage)
    present(across([analysis(study) for study in studies]), output)
    return 0


@search_app.command
def coverage(
    names: Names = (),
    /,
    *,
    folders: Imported = None,
    everything: Every = False,
    store: Store_ = DEFAULT_STORE,
    storage: Storage = None,
    output: Output = DEFAULT,
) -> int:
    """Say what a search has tried and what it has not: levels, pairs, architectures, gaps.

    Example: trueness search coverage --import hpo/a100_2m_forced

    Parameters
    ----------
    names
        Studies of the store.
    """
    from trueness.judge.studies import Coverages
    from trueness.judge.studies import coverage as covered

    check(output)
    studies = _studies(names, folders, everything, store, storage)
    present(Coverages([covered(study) for study in studies]), output)
    return 0


@search_app.command
def shapes(
    budget: str,
    /,
    *,
    features: StrictInt = 50,
    context: StrictInt = 80,
    embedding: StrictInt | None = None,
    every: Annotated[bool, Parameter(negative=())] = False,
    batch: StrictInt = 128,
    output: Output = DEFAULT,
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
    from trueness.judge.listing import Listing
    from trueness.models.budgets import one_per_width, shape_rows, shapes_within
    from trueness.spec.embedding import LinearEmbedding, NoEmbedding

    check(output)
    if budget.startswith("label:"):
        present(_published_space(budget), output)
        return 0
    if batch < 1 or (embedding is not None and embedding < 1):
        raise TruenessError("--batch and --embedding must be at least 1", "count")
    none = NoEmbedding(kind="none")
    kind = none if embedding is None else LinearEmbedding(kind="linear", width=embedding)
    result = shapes_within(budget, features, context, kind)
    rows = shape_rows(result if every else one_per_width(result), batch)
    present(Listing(f"Networks of {budget} parameters", rows), output)
    return 0


def _published_space(budget: str) -> Listing:
    from trueness.judge.listing import Listing
    from trueness.models.budgets import label_space

    space = label_space(budget)
    rows = [
        {"parameter": name, "levels": ", ".join(map(str, levels))}
        for name, levels in space.levels.items()
    ]
    return Listing(f"Published space {budget}", rows, [space.note])


def _studies(
    names: tuple[str, ...], folders: list[Path] | None, everything: bool, store: StoreLocation,
    storage: str | None,
) -> list[Study]:  # fmt: skip
    """What was asked for: studies of the store, or published folders, each once."""
    from trueness.judge.studies import read_study, study_folders

    if not (names or folders or everything):
        raise TruenessError("give names of studies, --all, or --import FOLDER", "which_study")
    if names and (folders or everything):
        raise TruenessError(
            "give names of studies, or --all or --import FOLDER, not both", "which_study"
        )
    if not folders:
        from trueness.search.finding import find_studies
        from trueness.search.stored import study_of
        from trueness.store import Store

        opened = Store(store)
        return [study_of(one, opened) for one in find_studies(names, store, storage, foreign=True)]
    wanted = list(folders)
    if everything:
        inside = [(folder, study_folders(folder)) for folder in wanted]
        empty = next((folder for folder, some in inside if not some), None)
        if empty is not None:
            raise TruenessError(
                f"{empty}: no study inside; one is a folder with all_trials.json", "no_study"
            )
        wanted = [one for _, some in inside for one in some]
    return [read_study(one) for one in {one.resolve(): one for one in wanted}.values()]
