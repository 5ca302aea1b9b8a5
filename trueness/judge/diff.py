"""Two specs side by side: which settings differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.document import Column, Document, Items, Part, Sentence, Table, numbers
from trueness.judge.finding import find_run
from trueness.judge.judgement import SCHEMA
from trueness.judge.settings import MISSING, content_of, flat, value_at, words
from trueness.store import AnyStore

SHORT_LIST = 6
"""Values of a list up to which it is shown whole."""


@dataclass(frozen=True)
class NamedSpec:
    """A spec and what it was asked for by.

    Attributes
    ----------
    name : str
    spec : Spec, TitlesSpec or ExternalSpec
    label : str
        What kind of model it is.
    key : str or None
        None where the data are not known.
    stored : bool
        Whether a run of it is stored, rather than an experiment declared.
    """

    name: str
    spec: Any
    label: str
    key: str | None = None
    stored: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "name": self.name, "key": self.key, "label": self.label,
            "task": self.spec.task.kind, "stored": self.stored,
        }  # fmt: skip


@dataclass(frozen=True)
class SettingPair:
    """A setting that differs; `MISSING` stands for a spec that does not have it.

    `by_default` says that only one spec has it, and at its default.
    """

    path: str
    first: Any
    second: Any
    by_default: bool

    @property
    def only_in(self) -> str | None:
        """Which spec alone has it, ``first`` or ``second``."""
        if self.first is MISSING:
            return "second"
        return "first" if self.second is MISSING else None

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "path": self.path, "first": _plain(self.first), "second": _plain(self.second),
            "only_in": self.only_in, "default": self.by_default,
        }  # fmt: skip


@dataclass(frozen=True)
class SpecDiff:
    """Settings in which two specs differ, in the order of the specs, and how many are equal."""

    first: NamedSpec
    second: NamedSpec
    differing: tuple[SettingPair, ...]
    equal: int

    @property
    def same(self) -> bool:
        """Whether both are one spec, so one run."""
        return not self.differing

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "diff", "first": self.first.to_dict(),
            "second": self.second.to_dict(), "same": self.same, "equal": self.equal,
            "differing": [pair.to_dict() for pair in self.differing],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per setting that differs, values as texts."""
        schema = dict.fromkeys(("path", "first", "second", "only_in"), pl.String)
        rows = [
            [pair.path, *(None if v is MISSING else words(v) for v in (pair.first, pair.second)),
             pair.only_in]
            for pair in self.differing
        ]  # fmt: skip
        return pl.DataFrame(rows, schema, orient="row")

    def document(self) -> Document:
        """What differs; what only one spec has, at its default, is counted."""
        title = f"{self.first.name} and {self.second.name}"
        parts: list[Part] = [Sentence(self._verdict(), "verdict"), Items(self._about())]
        shown = [pair for pair in self.differing if not pair.by_default]
        if shown:
            columns = [Column("setting", "code", 9), Column(self.first.name, weight=9),
                       Column(self.second.name, weight=9)]  # fmt: skip
            parts.append(Table(columns, [[p.path, *_cells(p.first, p.second)] for p in shown]))
        hidden = len(self.differing) - len(shown)
        if hidden:
            parts.append(Sentence(
                f"Left out: {numbers.plural(hidden, 'setting')} that only one of them has, at the "
                "default.", "note",
            ))  # fmt: skip
        return Document(title, parts)

    def _verdict(self) -> str:
        if self.same:
            return f"One spec: all {numbers.count(self.equal)} settings are equal."
        n = sum(not pair.by_default for pair in self.differing)
        equal = f"{numbers.count(self.equal)} {'is' if self.equal == 1 else 'are'} equal"
        return f"{numbers.plural(n, 'setting')} {'differs' if n == 1 else 'differ'}, {equal}."

    def _about(self) -> list[str]:
        return [
            f"{one.name}: {one.label} · {one.spec.task.kind} · "
            f"{f'key {one.key}' if one.key else 'data not read'} · "
            f"{'stored' if one.stored else 'declared'}"
            for one in (self.first, self.second)
        ]


def stored_spec(store: AnyStore, wanted: str) -> NamedSpec:
    """Spec of a stored run by id (or CAMPAIGN/ID), key, or the beginning of one.

    Raises
    ------
    TruenessError
        If there is none, or several.
    """
    run, _ = find_run(store, wanted)
    return NamedSpec(wanted, run.spec, run.record["label"], run.key, stored=True)


def diff(first: NamedSpec, second: NamedSpec) -> SpecDiff:
    """Compare two specs field by field, of whatever kinds of task.

    Examples
    --------
    >>> from trueness.spec import Spec
    >>> task = {"kind": "market", "bars": "x"}
    >>> one, other = (Spec.model_validate({"task": task, "evaluation": {"protocol": "holdout"},
    ...     "model": {"kind": "patchtst", "dropout": d}}) for d in (0.1, 0.2))
    >>> result = diff(NamedSpec("A", one, ""), NamedSpec("B", other, ""))
    >>> [(pair.path, pair.first, pair.second) for pair in result.differing]
    [('model.dropout', 0.1, 0.2)]
    """
    mine, theirs = _leaves(first.spec), _leaves(second.spec)
    paths = _by_section([*mine, *theirs])
    pairs = [
        SettingPair(path, a, b, _only_at_default(path, first.spec, second.spec, a, b))
        for path in paths
        if (a := mine.get(path, MISSING)) != (b := theirs.get(path, MISSING))
    ]
    return SpecDiff(first, second, tuple(pairs), len(paths) - len(pairs))


def _leaves(spec: Any) -> dict[str, Any]:  # noqa: ANN401 - any kind of spec
    """Dotted name -> value of every field that holds no further ones."""
    result = flat(content_of(spec))
    return {path: value for path, value in result.items() if not isinstance(value, Mapping)}


def _by_section(paths: Sequence[str]) -> list[str]:
    """Each path once, those of one section of a spec together."""
    sections = list(dict.fromkeys(path.partition(".")[0] for path in paths))
    return sorted(dict.fromkeys(paths), key=lambda path: sections.index(path.partition(".")[0]))


def _only_at_default(path: str, first: Any, second: Any, a: Any, b: Any) -> bool:  # noqa: ANN401
    """Whether one of two values is missing, and the other one the default."""
    if MISSING not in (a, b):
        return False
    owner = second if a is MISSING else first
    changed = owner.canonical().model_dump(mode="json", exclude_defaults=True)
    return value_at(changed, path) is MISSING


# ------------------------------------------------------------------------------------------- shown


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a spec can hold
    return None if value is MISSING else value


def _cells(first: Any, second: Any) -> tuple[str, str]:  # noqa: ANN401
    """Both values in words, told apart even where few digits are shown."""
    shown = (_words(first, second), _words(second, first))
    return shown if shown[0] != shown[1] else (json.dumps(first), json.dumps(second))


def _words(value: Any, other: Any) -> str:  # noqa: ANN401
    """A value in words; of a long list what the other one lacks."""
    if value is MISSING:
        return "–"
    if not isinstance(value, list) or len(value) <= SHORT_LIST:
        return words(value)
    alone = [one for one in value if not isinstance(other, list) or one not in other]
    rest = f", only here: {words(alone)}" if 0 < len(alone) < len(value) else ""
    return f"{numbers.count(len(value))} values{rest}"
