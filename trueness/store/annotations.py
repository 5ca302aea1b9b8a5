"""What people wrote at runs: tags and a note, in ``STORE/annotations.json``; no part of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trueness.errors import StoreError, TruenessError
from trueness.store.runs import Store

if TYPE_CHECKING:
    from trueness.store import AnyStore

NAME = "annotations"
LONGEST_TAG = 40
LONGEST_NOTE = 500


@dataclass(frozen=True)
class Annotation:
    """Tags and note of a run.

    Attributes
    ----------
    tags : tuple of str
        Each once, in the order in which they were given.
    note : str
        Empty if there is none.
    date : str
        Of the last change, UTC; empty if nothing was ever written.
    """

    tags: tuple[str, ...] = ()
    note: str = ""
    date: str = ""

    def with_tags(self, words: Iterable[str]) -> Annotation:
        """With further tags.

        Raises
        ------
        TruenessError
            With the code ``tag`` for one that is empty, too long, or not one word.
        """
        return replace(self, tags=tuple(dict.fromkeys((*self.tags, *map(_checked_tag, words)))))

    def without_tags(self, words: Iterable[str]) -> Annotation:
        """Without some of its tags.

        Raises
        ------
        TruenessError
            With the code ``not_tagged`` if it lacks one of them.
        """
        gone = list(words)
        lacking = next((word for word in gone if word not in self.tags), None)
        if lacking is not None:
            has = f"tagged {', '.join(self.tags)}" if self.tags else "not tagged at all"
            raise TruenessError(f"no tag {lacking!r} to remove; the run is {has}", "not_tagged")
        return replace(self, tags=tuple(word for word in self.tags if word not in gone))

    def with_note(self, text: str) -> Annotation:
        """With another note.

        Raises
        ------
        TruenessError
            With the code ``note`` if it is empty or too long.
        """
        note = " ".join(text.split())
        if not note or len(note) > LONGEST_NOTE:
            raise TruenessError(f"a note has 1 to {LONGEST_NOTE:,} characters", "note")
        return replace(self, note=note)

    def without_note(self) -> Annotation:
        """Without its note.

        Raises
        ------
        TruenessError
            With the code ``no_note`` if it has none.
        """
        if not self.note:
            raise TruenessError("the run has no note to remove", "no_note")
        return replace(self, note="")


def _checked_tag(word: str) -> str:
    fits = 1 <= len(word) <= LONGEST_TAG and word.isprintable() and word == "".join(word.split())
    if not fits or "," in word or word.startswith("-"):
        raise TruenessError(
            f"tag {word[:LONGEST_TAG]!r}: give a word of 1 to {LONGEST_TAG} characters without "
            "spaces and commas", "tag",
        )  # fmt: skip
    return word


def annotations_of(store: AnyStore) -> dict[str, Annotation]:
    """Key of a run -> what was written at it; the run may be gone.

    Raises
    ------
    StoreError
        With the code ``damaged`` if the file is.
    """
    result = {}
    for content in store.entries(NAME):
        if not _is_annotation(content):
            raise StoreError(f"{store.root}/{NAME}.json is damaged; mend or remove it", "damaged")
        rest = {name: content[name] for name in ("note", "date")}
        result[content["run"]] = Annotation(tuple(content["tags"]), **rest)
    return result


def _is_annotation(content: dict[str, Any]) -> bool:
    texts = [content.get(name) for name in ("run", "note", "date")]
    tags = content.get("tags")
    return (
        set(content) == {"run", *(one.name for one in fields(Annotation))}
        and isinstance(tags, list)
        and all(isinstance(one, str) for one in (*texts, *tags))
    )


def annotate(store: Store, key: str, change: Callable[[Annotation], Annotation]) -> Annotation:
    """Change what is written at a run; one writer at a time.

    Raises
    ------
    TruenessError
        Whatever `change` refuses; nothing is written then.
    """
    today = datetime.now(UTC).date().isoformat()
    made = Annotation()

    def changed(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal made
        made = replace(change(annotations_of(store).get(key, Annotation())), date=today)
        others = [entry for entry in entries if entry["run"] != key]
        kept = [{"run": key, **asdict(made)}] if made.tags or made.note else []
        return [*others, *kept]

    store.change_entries(NAME, changed)
    return made


def forget(store: Store, keys: Iterable[str]) -> None:
    """Remove what was written at runs that are gone."""
    gone = set(keys)
    if gone & set(annotations_of(store)):
        store.change_entries(
            NAME, lambda entries: [entry for entry in entries if entry["run"] not in gone]
        )
