"""What a store remembers of campaigns: keys that their ids stood for, title, reference.

A file ``campaigns/NAME.json`` each. Keys accumulate, the latest last; title and reference are those
of the latest run.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trueness.errors import StoreError
from trueness.files import locked, read_json, write_json
from trueness.store.run import Problem


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
    """

    ids: dict[str, list[str]] = field(default_factory=dict)
    title: str = ""
    reference: str | None = None


def read_campaigns(root: Path) -> tuple[dict[str, Declared], list[Problem]]:
    """Name of each campaign of a store -> what is known of it, and files that cannot be read."""
    known, problems = {}, []
    for path in sorted((root / "campaigns").glob("[!.]*.json")):
        try:
            known[path.stem] = _declared(read_json(path))
        except FileNotFoundError:
            continue
        except StoreError as error:
            problems.append(Problem(f"campaigns/{path.name}", str(error)))
    return known, problems


def write_campaign(
    root: Path, name: str, ids: Mapping[str, str], title: str, reference: str | None
) -> Path | None:
    """Add keys of ids to what a store knows of a campaign, and keep its title and reference.

    What was known and cannot be read any more is put aside; its new path is returned.
    """
    path, aside = root / "campaigns" / f"{name}.json", None
    with locked(root / "campaigns" / ".lock"):
        known: dict[str, list[str]] = {}
        try:
            known = _declared(read_json(path)).ids
        except FileNotFoundError:
            pass
        except StoreError:
            aside = put_aside(root, path)
        for id_, key in ids.items():
            known[id_] = [*(k for k in known.get(id_, []) if k != key), key]
        write_json(path, {"title": title, "reference": reference, "ids": known})
    return aside


def put_aside(root: Path, path: Path) -> Path:
    """Move what is damaged to where it can be looked at."""
    (root / "damaged").mkdir(exist_ok=True)
    aside = root / "damaged" / f"{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}"
    path.rename(aside)
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
    return Declared(ids, title, reference)
