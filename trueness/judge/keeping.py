"""What is kept of stored runs: which are deleted, what people write at them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from trueness.document import Column, Document, Part, Sentence, Table, numbers
from trueness.errors import TruenessError, nearest
from trueness.judge.finding import find_run, names_of
from trueness.judge.judgement import SCHEMA
from trueness.store import AnyStore, Run, Store
from trueness.store.annotations import Annotation, annotate, annotations_of, forget
from trueness.store.leases import Leases


@dataclass(frozen=True)
class Deletable:
    """A run that is, or would be, deleted.

    Attributes
    ----------
    run : Run
    names : list of str
        Ids that stand for it.
    depends_on : list of str
        Names of the deleted runs that it starts from; empty for one that was asked for.
    annotation : Annotation
    """

    run: Run
    names: list[str]
    depends_on: list[str]
    annotation: Annotation

    @property
    def name(self) -> str:
        """Its ids, or its key."""
        return " = ".join(self.names) or self.run.key

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file["bytes"] for file in self.run.record["files"].values())

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "key": self.run.key, "ids": self.names, "label": self.run.record["label"],
            "bytes": self.size, "depends_on": self.depends_on,
            "tags": list(self.annotation.tags), "note": self.annotation.note or None,
        }  # fmt: skip


@dataclass(frozen=True)
class Deletion:
    """Runs that would be deleted, or were: those asked for, then those that depend on them."""

    runs: tuple[Deletable, ...]
    deleted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "schema": SCHEMA, "kind": "deletion", "deleted": self.deleted,
            "runs": [one.to_dict() for one in self.runs],
        }  # fmt: skip

    def to_frame(self) -> pl.DataFrame:
        """A row per run."""
        rows = [
            {name: " ".join(v) if isinstance(v, list) else v for name, v in one.to_dict().items()}
            for one in self.runs
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    def document(self) -> Document:
        """What goes, why, and what stays."""
        size = numbers.count(_kilobytes(self.runs))
        what = f"{numbers.plural(len(self.runs), 'run')}, {size} kB"
        done = f"Deleted: {what}." if self.deleted else f"Would be deleted: {what}."
        columns = [
            Column("id", "text", 9), Column("key", "code", 8), Column("model", weight=6),
            Column("kB", "count", 4), Column("depends on", "text", 9), Column("tags", weight=5),
            Column("note", weight=3),
        ]  # fmt: skip
        rows = [
            [one.name, one.run.key, one.run.record["label"], _kilobytes([one]),
             ", ".join(one.depends_on) or None, ", ".join(one.annotation.tags) or None,
             one.annotation.note or None]
            for one in self.runs
        ]  # fmt: skip
        filled = [i for i, _ in enumerate(columns) if i < 3 or any(row[i] for row in rows)]
        parts: list[Part] = [
            Sentence(done, "verdict"),
            Table([columns[i] for i in filled], [[row[i] for i in filled] for row in rows]),
            Sentence(
                "The ledger keeps every evaluation of them. A leaderboard adjusts for the "
                "candidates that are stored, so it no longer counts the deleted ones.", "note",
            ),
        ]  # fmt: skip
        return Document("Delete runs", parts)


def _kilobytes(runs: Sequence[Deletable]) -> int:
    return round(sum(one.size for one in runs) / 1000)


def plan_deletion(store: Store, wanted: Sequence[str]) -> Deletion:
    """Runs that go if some are deleted: they, and every stored run that starts from one of them.

    Parameters
    ----------
    store : Store
    wanted : sequence of str
        Ids, keys or beginnings of keys.

    Raises
    ------
    TruenessError
        If one is not stored; ``which_runs`` if none is named.
    """
    if not wanted:
        raise TruenessError("which runs? give ids or keys", "which_runs")
    asked = {run.key: run for run in (find_run(store, one)[0] for one in wanted)}
    going, sources = dict(asked), dict[str, list[str]]()
    every, _ = store.all_runs()
    while result := [r for r in every if r.key not in going and r.spec.depends_on & set(going)]:
        for run in result:
            sources[run.key] = sorted(run.spec.depends_on & set(going))
        going |= {run.key: run for run in result}
    notes = annotations_of(store)
    names = {key: names_of(store, run) for key, run in going.items()}
    return Deletion(tuple(
        Deletable(
            run, names[key], [" = ".join(names[one]) or one for one in sources.get(key, ())],
            notes.get(key, Annotation()),
        )
        for key, run in going.items()
    ))  # fmt: skip


def delete(store: Store, plan: Deletion) -> Deletion:
    """Delete what was planned, dependent runs first; the ledger and mutes stay."""
    for one in reversed(plan.runs):
        store.remove(one.run.key)
    forget(store, [one.run.key for one in plan.runs])
    return replace(plan, deleted=True)


# ------------------------------------------------------------------------------------- annotations


@dataclass(frozen=True)
class AnnotatedRun:
    """A run, and what is written at it now."""

    key: str
    names: list[str]
    annotation: Annotation

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        own = asdict(self.annotation) | {"note": self.annotation.note or None}
        return {"schema": SCHEMA, "kind": "annotation", "key": self.key, "ids": self.names, **own}

    def to_frame(self) -> pl.DataFrame:
        """One row."""
        own = self.annotation
        row = {"key": self.key, "ids": " ".join(self.names), "tags": " ".join(own.tags),
               "note": own.note, "date": own.date}  # fmt: skip
        return pl.DataFrame([row])

    def document(self) -> Document:
        """What to show of it."""
        own, name = self.annotation, " = ".join(self.names) or self.key
        tags = f"tagged {', '.join(own.tags)}" if own.tags else "not tagged"
        return Document(
            name, [Sentence(f"{name}: {tags}; {f'note: {own.note}' if own.note else 'no note'}.")]
        )


def tag(store: Store, wanted: str, words: Sequence[str], *, remove: bool = False) -> AnnotatedRun:
    """Tag a stored run, or take tags back.

    Raises
    ------
    TruenessError
        If there is no such run; ``which_tag``, ``tag`` or ``not_tagged`` for the words.
    """
    if not words:
        raise TruenessError("which tags? give one or several words", "which_tag")

    def change(known: Annotation) -> Annotation:
        return known.without_tags(words) if remove else known.with_tags(words)

    return _annotated(store, wanted, change)


def note(store: Store, wanted: str, text: str | None) -> AnnotatedRun:
    """Write a note at a stored run in place of an earlier one; None removes it.

    Raises
    ------
    TruenessError
        If there is no such run; ``note`` or ``no_note`` for the text.
    """

    def change(known: Annotation) -> Annotation:
        return known.without_note() if text is None else known.with_note(text)

    return _annotated(store, wanted, change)


def _annotated(
    store: Store, wanted: str, change: Callable[[Annotation], Annotation]
) -> AnnotatedRun:
    run, _ = find_run(store, wanted)
    return AnnotatedRun(run.key, names_of(store, run), annotate(store, run.key, change))


def tagged(store: AnyStore, words: Iterable[str]) -> set[str]:
    """Keys of the runs that have every one of some tags.

    Raises
    ------
    TruenessError
        With the code ``no_tag`` for a tag that no run has.
    """
    notes = annotations_of(store)
    keys = set(notes)
    for word in words:
        having = {key for key, one in notes.items() if word in one.tags}
        if not having:
            known = list(dict.fromkeys(t for one in notes.values() for t in one.tags))
            hint = nearest(word, known) if known else "`trueness runs tag` tags a run"
            raise TruenessError(f"{store.root}: no run is tagged {word!r}; {hint}", "no_tag")
        keys &= having
    return keys


def held_key(store: Store, wanted: str) -> str:
    """Key of a run that a process holds, by its id (or CAMPAIGN/ID) or the beginning of its key.

    Raises
    ------
    TruenessError
        With the code ``not_held`` if nobody holds it, ``ambiguous`` if it is several.
    """
    held = [one.key for one in Leases(store).holders()]
    named = [
        key
        for name, ids in store.campaigns().items()
        for id_, keys in ids.items()
        for key in keys
        if wanted in (id_, f"{name}/{id_}") and key in held
    ]
    result = sorted({*named} or {key for key in held if wanted and key.startswith(wanted)})
    if not result:
        known = f"held now: {', '.join(held[:5])}" if held else "no run is held now"
        raise TruenessError(f"nobody holds {wanted!r}; {known}", "not_held")
    if len(result) > 1:
        raise TruenessError(f"{wanted!r} is several runs, {', '.join(result)}", "ambiguous")
    return result[0]
