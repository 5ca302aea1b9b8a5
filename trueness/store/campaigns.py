"""What a store remembers of campaigns: keys that their ids stood for, title, reference.

A document ``campaigns/NAME.json`` each. Keys accumulate, the latest last, and so do ids of
baselines; title and reference are those of the latest run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from trueness.errors import StoreError
from trueness.store.run import Problem

if TYPE_CHECKING:
    from trueness.store.database import Database
    from trueness.store.folder import Folder

    Kept: TypeAlias = Folder | Database

FOLDER = "campaigns"


@dataclass(frozen=True)
class Declared:
    """What a campaign declared when it was run last.

    Attributes
    ----------
    ids : dict of str to list of str
        Id -> keys, the latest last.
    title : str
        Empty if it has none.
    reference : str or None
        Id that the others are compared with.
    baselines : tuple of str
        Ids that came along as baselines, not as experiments.
    """

    ids: dict[str, list[str]] = field(default_factory=dict)
    title: str = ""
    reference: str | None = None
    baselines: tuple[str, ...] = ()


def read_campaigns(kept: Kept) -> tuple[dict[str, Declared], list[Problem]]:
    """Name of each campaign of a store -> what is known of it, and documents that are damaged."""
    known, problems = {}, []
    for name in kept.names(FOLDER):
        if not name.endswith(".json"):
            continue
        try:
            known[name.removesuffix(".json")] = _declared(kept.read(f"{FOLDER}/{name}"))
        except FileNotFoundError:
            continue
        except StoreError as error:
            if error.code != "damaged":
                raise
            problems.append(Problem(f"{FOLDER}/{name}", str(error)))
    return known, problems


def write_campaign(
    kept: Kept, name: str, ids: Mapping[str, str], title: str, reference: str | None,
    baselines: Collection[str],
) -> Path | str | None:  # fmt: skip
    """Add keys of ids to what a store knows of a campaign, and keep its title and reference.

    `baselines` are those of the ids that are no experiments.

    What was known and cannot be read any more is put aside; its new path is returned.
    """
    document, aside = f"{FOLDER}/{name}.json", None
    with kept.alone(FOLDER):
        known: dict[str, list[str]] = {}
        others: list[str] = []
        try:
            earlier = _declared(kept.read(document))
            known, others = earlier.ids, [one for one in earlier.baselines if one not in ids]
        except FileNotFoundError:
            pass
        except StoreError as error:
            if error.code != "damaged":
                raise
            aside = kept.put_aside(document)
        for id_, key in ids.items():
            known[id_] = [*(k for k in known.get(id_, []) if k != key), key]
        content = {"title": title, "reference": reference, "ids": known,
                   "baselines": [*others, *baselines]}  # fmt: skip
        kept.write(document, content)
    return aside


def _declared(content: Mapping[str, Any]) -> Declared:
    """What a campaign's file says.

    Raises
    ------
    StoreError
        With the code ``damaged``.
    """
    ids, title, reference = (content.get(name) for name in ("ids", "title", "reference"))
    if not isinstance(ids, dict) or not isinstance(title, str):
        raise StoreError("ids or title are missing", "damaged")
    for id_, keys in ids.items():
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise StoreError(f"id {id_!r} stands for no keys", "damaged")
    if not isinstance(reference, str | None):
        raise StoreError("the reference is no id", "damaged")
    baselines = content.get("baselines", [])
    if not isinstance(baselines, list) or not all(isinstance(one, str) for one in baselines):
        raise StoreError("baselines are no ids", "damaged")
    return Declared(ids, title, reference, tuple(baselines))
