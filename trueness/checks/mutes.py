"""Mutes: findings that somebody knows about, with the reason; shown as muted, never dropped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from trueness.checks.registry import CHECKS, known_code
from trueness.document import Column, Document, Sentence, Table
from trueness.errors import StoreError, TruenessError, nearest
from trueness.store import AnyStore, Store

LONGEST_REASON = 500
NAME = "mutes"
"""File of the store, without its suffix."""
SCHEMA = 1


@dataclass(frozen=True)
class Mute:
    """A check that is muted for one run, for the runs of a campaign, or, with neither, for all."""

    check: str
    reason: str
    run: str | None = None
    campaign: str | None = None
    date: str = ""

    def covers(self, code: str, key: str, campaigns: Collection[str]) -> bool:
        """Whether it mutes a check of a run that belongs to these campaigns."""
        if code != self.check:
            return False
        return self.run in (None, key) and (self.campaign is None or self.campaign in campaigns)

    @property
    def scope(self) -> str:
        """For what it holds, in words."""
        if self.run is not None:
            return f"run {self.run}"
        return "all runs" if self.campaign is None else f"campaign {self.campaign}"

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class MuteList:
    """The mutes of a store, the oldest first."""

    mutes: tuple[Mute, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "mutes", "mutes": [one.to_dict() for one in self.mutes]}

    def to_frame(self) -> pl.DataFrame:
        """A row per mute."""
        names = ("check", "run", "campaign", "date", "reason")
        rows = [[getattr(one, name) for name in names] for one in self.mutes]
        return pl.DataFrame(rows, dict.fromkeys(names, pl.String), orient="row")

    def document(self) -> Document:
        """What to show of them."""
        if not self.mutes:
            return Document("Muted checks", [Sentence("nothing is muted")])
        columns = [Column("check", "code", 9), Column("for", "text", 8), Column("since", "code"),
                   Column("reason", "text", 7)]  # fmt: skip
        rows = [[m.check, m.scope, m.date, m.reason] for m in self.mutes]
        return Document("Muted checks", [Table(columns, rows)])


@dataclass(frozen=True)
class MuteChange:
    """A mute that was just added, or taken back."""

    mute: Mute
    undone: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {"schema": SCHEMA, "kind": "mute", "undone": self.undone, **self.mute.to_dict()}

    def to_frame(self) -> pl.DataFrame:
        """One row."""
        return MuteList((self.mute,)).to_frame()

    def document(self) -> Document:
        """What to show of it."""
        done = "counts again" if self.undone else "is muted"
        return Document("Mute", [Sentence(f"{self.mute.check} {done} for {self.mute.scope}")])


def mutes_in(store: AnyStore) -> list[Mute]:
    """Mutes of a store, the oldest first.

    Raises
    ------
    StoreError
        If the file is damaged.
    """
    result = []
    for content in store.entries(NAME):
        if not _is_mute(content):
            raise StoreError(f"{store.root}/mutes.json is damaged; mend or remove it", "damaged")
        result.append(Mute(**content))
    return result


def _is_mute(content: dict[str, Any]) -> bool:
    """Whether an entry of the file is a mute of a known check, for texts or nothing."""
    texts = [content.get(name) for name in ("check", "reason", "date")]
    scope = [content.get(name) for name in ("run", "campaign")]
    return (
        set(content) <= set(Mute.__dataclass_fields__)
        and all(isinstance(one, str) for one in texts)
        and all(one is None or isinstance(one, str) for one in scope)
        and content["check"] in CHECKS
    )


def add_mute(store: Store, one: Mute) -> Mute:
    """Write a mute down with today's date; it replaces an earlier one of the same scope.

    Raises
    ------
    TruenessError
        For an unknown check or campaign, or without a reason.
    """
    _check(store, one)
    reason = " ".join(one.reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise TruenessError(
            f"a mute needs a reason of 1 to {LONGEST_REASON} characters; give --reason", "no_reason"
        )
    made = replace(one, reason=reason, date=datetime.now(UTC).date().isoformat())
    store.change_entries(NAME, lambda known: [*_others(known, one), made.to_dict()])
    return made


def remove_mute(store: Store, one: Mute) -> None:
    """Take a mute back.

    Raises
    ------
    TruenessError
        For an unknown check or campaign, or if there is no such mute.
    """
    _check(store, one)
    if not any(_same(m.to_dict(), one) for m in mutes_in(store)):
        raise TruenessError(
            f"{one.check} is not muted for {one.scope}; `trueness mute --list` shows what is",
            "not_muted",
        )
    store.change_entries(NAME, lambda known: _others(known, one))


def _check(store: Store, one: Mute) -> None:
    if not store.exists():
        raise StoreError(f"{store.root} is no store; give that of a store as --store",
                         "no_store")  # fmt: skip
    known_code(one.check)
    known = list(store.campaigns())
    if one.campaign is not None and one.campaign not in known:
        hint = nearest(one.campaign, known) if known else "the store holds none yet"
        raise TruenessError(f"{store.root}: no campaign {one.campaign!r}; {hint}", "no_campaign")


def _others(known: list[dict[str, Any]], one: Mute) -> list[dict[str, Any]]:
    return [content for content in known if not _same(content, one)]


def _same(content: dict[str, Any], one: Mute) -> bool:
    """Equal check and scope."""
    names = ("check", "run", "campaign")
    return all(content.get(name) == getattr(one, name) for name in names)
