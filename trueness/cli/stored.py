"""How verbs find what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trueness.errors import TruenessError

if TYPE_CHECKING:
    from trueness.store import Run, S, Store


def campaign_name_of(file: str) -> str:
    """Name that a campaign file gives itself."""
    from trueness.campaign import campaign_name

    return campaign_name(file)


def open_store(path: Path) -> Store:
    """Store of a folder."""
    from trueness.store import Store

    return Store(path)


def find_run(store: Store, wanted: str) -> tuple[Run[S], list[str]]:
    """A run by id (or CAMPAIGN/ID) or key, and all ids that share it."""
    named = store.campaigns().items()
    ids = {
        f"{name}/{id_}": keys[-1] for name, known in named for id_, keys in known.items() if keys
    }
    meant = {full: key for full, key in ids.items() if wanted in (full, full.split("/", 1)[1])}
    if len(set(meant.values())) > 1:
        raise TruenessError(f"{wanted!r} is several runs; choose from {', '.join(meant)}")
    found = store.run(next(iter(meant.values()), wanted))
    return found, [full for full, key in ids.items() if key == found.key]
