"""What every page needs: the store, judgements, who may ask; and what a page is."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Container, Hashable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trueness.document import Cell, Column, Document, Figure, Link, Part, Sentence, Table
from trueness.document.texts import with_figures, with_tables
from trueness.judge.access import record_access
from trueness.places import StoreLocation
from trueness.report.cells import text_of
from trueness.serve.answers import Answer, Answers, is_large
from trueness.serve.events import Events
from trueness.serve.guard import Door
from trueness.serve.query import Query
from trueness.serve.rows import RowsKept
from trueness.serve.shelf import Shelf, View
from trueness.store import Run, Store

DEFAULT_STORE = "store"
TABLES = 2
"""Large tables, such as the texts of a run, that are kept at once."""


@dataclass(frozen=True)
class Page:
    """What answers an address.

    Attributes
    ----------
    document : Document
    command : str
        Verb that gives the same numbers.
    waits : bool
        Whether a judgement on it is still being made.
    events : str
        Address of the stream of its changes.
    status : int
        Of HTTP.
    """

    document: Document
    command: str = ""
    waits: bool = False
    events: str = ""
    status: int = 200


@dataclass(frozen=True)
class Workbench:
    """The state of a server: the store that it shows, judgements in the making, its clients.

    `bundles` are the folders that the command line names; an address knows them by their numbers.
    """

    shelf: Shelf
    door: Door
    bundles: tuple[Path, ...] = ()
    answers: Answers = field(default_factory=Answers)
    tables: Answers = field(default_factory=lambda: Answers(most=TABLES))
    events: Events = field(default_factory=Events)
    rows: RowsKept = field(default_factory=RowsKept)
    _recorded: dict[tuple[str, frozenset[str]], str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, root: StoreLocation, host: str = "127.0.0.1", bundles: Iterable[Path] = ()
    ) -> Workbench:  # fmt: skip
        """Workbench of a store."""
        rows = RowsKept()

        def prepare(view: View) -> None:
            for run in view.runs.values():
                _ = run.estimands  # kept by the run; the first page would wait for 10,000 of them
            for group in list(view.groups)[:1]:
                first = rows(view, group, "")
                first.ordered(Query(), {})
                _ = first.fields.settings

        return cls(Shelf(root, prepare=prepare), Door.of(host), tuple(bundles), rows=rows)

    @property
    def root(self) -> StoreLocation:
        """Where the store is."""
        return self.shelf.root

    def command(self, *words: str) -> str:
        """A command line about this store."""
        at = () if str(self.root) == DEFAULT_STORE else ("--store", str(self.root))
        return shlex.join(["trueness", *words, *at])

    def judge(
        self, view: View, question: Hashable, call: Callable[..., Any], *args: Any,  # noqa: ANN401
        state: Hashable = None,
    ) -> Answer:  # fmt: skip
        """What a judgement of the store says: of a small one here, else by another process.

        Judging imports much and needs memory, which the process of a large store gives back.

        Parameters
        ----------
        view : View
        question : hashable
        call : callable
            Takes a store and `args`; what it returns can be pickled.
        state : hashable, optional
            What the answer depends on; the whole store by default.
        """
        state = view.state if state is None else state
        if is_large(len(view.runs)):
            return self.answers.ask(question, state, opened, call, self.root, *args, apart=True)
        return self.answers.ask(question, state, call, view.store, *args)

    def record(self, view: View, runs: Iterable[Run[Any]], verb: str) -> list[Part]:
        """Record that measures of some runs are seen, before they are: once for the same runs.

        Returns
        -------
        list of Part
            A warning if the ledger cannot be written.
        """
        some = list(runs)
        question = verb, frozenset(run.key for run in some)
        if question not in self._recorded:
            self._recorded[question] = record_access(view.store, some, verb)
        lost = self._recorded[question]
        return [Sentence(f"This access is not recorded: {lost}", "warning")] if lost else []

    def show(self, view: View, page: Page) -> Page:
        """A page whose names of runs, and marks in pictures that stand for one, lead to them."""
        document = linked(page.document, view.place_of)
        return replace(page, document=with_figures(document, lambda one: leading(one, view.runs)))


def options_of(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Words of a command line, of the options that have a value.

    Examples
    --------
    >>> options_of([("--kind", ""), ("--sort", "auc"), ("--search", "-1")])
    ['--sort', 'auc', '--search=-1']
    """
    return [
        word
        for name, value in pairs
        if value
        for word in ([f"{name}={value}"] if value.startswith("-") else [name, value])
    ]


def opened(call: Callable[..., Any], root: StoreLocation, *args: Any) -> Any:  # noqa: ANN401
    """What a call about a store says, in a process that opens it by itself."""
    return call(Store(root), *args)


def linked(document: Document, place_of: Callable[[str], str | None]) -> Document:
    """A document whose tables lead to what they name; `place_of` knows the address of a name.

    Examples
    --------
    >>> from trueness.document import Column
    >>> table = Table([Column("id"), Column("AUC", "number")], [["D-01", 0.7], ["other", 0.6]])
    >>> linked(Document("Runs", [table]), {"D-01": "/run/abc"}.get).tables()[0].rows[0][0].target
    '/run/abc'
    """

    def changed(table: Table) -> Table:
        return replace(table, rows=[_linked(row, table.columns, place_of) for row in table.rows])

    return with_tables(document, changed)


def leading(figure: Figure, runs: Container[str]) -> Figure:
    """A figure whose marks lead to the runs whose keys they hold as ``customdata``.

    Examples
    --------
    >>> figure = Figure([{"x": [1, 2], "y": [3, 4], "customdata": ["abc", "gone"]}])
    >>> leading(figure, {"abc"}).data[0]["customdata"]
    ['/run/abc', None]
    """

    def places(keys: Iterable[Any]) -> list[str | None]:
        return [f"/run/{key}" if key is not None and key in runs else None for key in keys]

    return replace(figure, data=[
        {**one, "customdata": places(one["customdata"])} if "customdata" in one else one
        for one in figure.data
    ])  # fmt: skip


def _linked(row: Any, columns: Any, place_of: Callable[[str], str | None]) -> list[Cell]:  # noqa: ANN401
    """A row whose texts that name something are links."""
    cells = list(row)
    for i, column in enumerate(columns):
        if isinstance(cells[i], str) and column.kind in ("text", "code"):
            place = place_of(text_of(cells[i], column))
            cells[i] = Link(cells[i], place) if place else cells[i]
    return cells


def shown(answer: Answer, ready: Any, what: str) -> list[Part]:  # noqa: ANN401 - a callable
    """Parts of a judgement, or that it is being made, or why there is none."""
    if answer.refusal is not None:
        return [Sentence(str(answer.refusal), "warning")]
    if answer.value is None:
        return [Sentence(f"{what} is being computed; this page follows.", "note")]
    late: list[Part] = [Sentence(f"The store changed; {what} is being computed anew.", "note")]
    return [*(late if answer.stale else []), *ready(answer.value)]


def stamp(path: Path) -> tuple[int, int]:
    """What changes with a file; zeros where there is none."""
    try:
        result = path.stat()
    except OSError:
        return 0, 0
    return result.st_size, result.st_mtime_ns


def ways(at: int, pages: int, address: Callable[[int], str]) -> list[Part]:
    """Links from one of some pages to those beside it, and to the last."""
    some = [
        (at > 1, "‹ before", at - 1), (at < pages, "next ›", at + 1), (at < pages, "last", pages),
    ]  # fmt: skip
    links = [Link(word, address(page)) for there, word, page in some if there]
    return [Table([Column("pages", "link")], [[links]])] if links else []
