"""Tasks: what is predicted from which data; the one place that binds a domain to the engines.

A task loads its data, fills what they decide into specs, makes examples of them, and names the
baselines. Adding one: its shape, a module here with a class like `Task`, and a row for both in
`trueness.spec.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from trueness.errors import CampaignError, SpecError, nearest
from trueness.examples import Examples
from trueness.spec.kinds import KINDS, AnySpec, imported
from trueness.yamlfile import KeyPath, Part, Reader

Source = str | Path | Any
"""A name of bundled data, a file or folder, or a frame."""


def read_from(source: Source | None, default: str) -> str | list[str] | None:
    """Under what data can be read again that were given so; None of frames.

    Examples
    --------
    >>> read_from(Path("a.csv"), "sp500"), read_from(["a.csv", "b.csv"], "sp500")
    ('a.csv', ['a.csv', 'b.csv'])
    >>> read_from(None, "sp500"), read_from({"a": [1]}, "sp500")
    ('sp500', None)
    """
    if source is None:
        return default
    if isinstance(source, list | tuple):
        return [str(one) for one in source]
    return str(source) if isinstance(source, str | Path) else None


@dataclass(frozen=True)
class Declaration:
    """Where an experiment stands: its campaign file, its id, and what it says there."""

    file: Path
    reader: Reader
    id: str
    part: Part

    def fail(self, path: KeyPath, message: str, code: str | None = None) -> CampaignError:
        """An error with file, line and id of the experiment."""
        return self.reader.fail(self.part.line(path), f"{self.id}: {message}", code)


Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Refit:
    """What a model is fitted on for use, and what later rows are prepared with.

    Attributes
    ----------
    examples : Examples, or AllTexts of titles
        One fold of training and inner validation.
    prepared : mapping
        Plain settings for `Task.unseen`.
    files : mapping of str to bytes
        Further ones, by name.
    """

    examples: Any
    prepared: Mapping[str, Any] = field(default_factory=dict)
    files: Files = field(default_factory=dict)


class Data(Protocol):
    """What a task trains and measures on."""

    @property
    def digest(self) -> str:
        """Changes with the content."""
        ...

    def origin(self) -> dict[str, Any]:
        """What a record says of the data: at least ``name``, ``source`` and ``digest``."""
        ...

    def kept_files(self, features: Sequence[str]) -> dict[str, bytes]:
        """What a bundle whose models read these columns keeps of the data, by name."""
        ...

    def in_words(self) -> str:
        """Name and extent."""
        ...


class Task(Protocol):
    """One kind of task.

    Attributes
    ----------
    kind : str
        As in ``task: {kind: market}``.
    sources : dict of str to str
        Fields of the task section that data fill, and the option that gives each.
    default : str
        Data of a campaign that names none.
    tabular : bool
        Whether inputs are the columns of ``data.table``, which can be audited.
    earlier : callable or None
        Runs -> the distinct data that they were made on, the longest first, which newer data may
        continue; see `trueness.market.continuing.Earlier`. None where data are no series in time.
    """

    kind: str
    sources: Mapping[str, str]
    default: str
    tabular: bool
    earlier: Callable[[Iterable[Any]], list[Any]] | None

    def load(self, sources: Mapping[str, Source | None], needed: bool, callback: Any) -> Any:  # noqa: ANN401
        """Read the data; those that nothing is computed from may be `Unread` where that is slow."""
        ...

    def filled(self, content: dict[str, Any], data: Any, place: Declaration) -> dict[str, Any]:  # noqa: ANN401
        """Content of a spec with what the data decide: digests, dates that were left open."""
        ...

    def check(self, spec: Any, data: Any, place: Declaration) -> None:  # noqa: ANN401
        """Refuse a spec that no data can satisfy."""
        ...

    def baselines(self, spec: Any) -> dict[str, AnySpec]:  # noqa: ANN401
        """What a spec is compared with, by name."""
        ...

    def shape(self, spec: Any, data: Any) -> tuple[int, int] | None:  # noqa: ANN401
        """Columns and rows of a window, where that is quickly said."""
        ...

    def examples_key(self, spec: Any) -> str:  # noqa: ANN401
        """Equal for specs with the same examples."""
        ...

    def examples(self, spec: Any, data: Any) -> Any:  # noqa: ANN401
        """What the engines of the task train on."""
        ...

    def counts(self, examples: Any) -> list[dict[str, dict[str, int]]]:  # noqa: ANN401
        """For each fold: part -> ``n``, and ``positives`` where the label is binary."""
        ...

    def refit(self, spec: Any, data: Any, share_pct: float) -> Refit:  # noqa: ANN401
        """All examples in one fold that predicts nothing: a share of them stops the others."""
        ...


class Columnar(Protocol):
    """What a `Task` with `Examples` has besides."""

    def unseen(self, spec: Any, data: Any, prepared: Mapping[str, Any], files: Files) -> Examples:  # noqa: ANN401
        """Examples to score, whose labels need not be known, as `refit` prepared them."""
        ...


TASKS = {kind: row.loader for kind, row in KINDS.items() if row.loader is not None}
"""Kind -> where its class is."""


@cache
def task_of(kind: str) -> Any:  # noqa: ANN401 - a Task, whose methods take specs of their own
    """The task of a kind.

    Raises
    ------
    SpecError
        If there is no such kind.

    Examples
    --------
    >>> task_of("market").sources
    {'bars': 'data', 'volatility': 'vix', 'features': 'features'}
    """
    if kind not in TASKS:
        raise SpecError(f"unknown task.kind {kind!r}; {nearest(kind, list(TASKS))}", "task_kind")
    return imported(TASKS[kind])()


def window_shape(spec: Any, data: Any) -> tuple[int, int]:  # noqa: ANN401
    """Columns and rows of the windows of a spec; examples are made where only they tell."""
    task = task_of(spec.task.kind)
    known = task.shape(spec, data)
    if known is not None:
        return known
    examples = task.examples(spec, data)
    return len(examples.features), examples.context
