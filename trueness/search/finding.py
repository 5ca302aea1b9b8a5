"""Studies of a store by their names."""

from __future__ import annotations

from pathlib import Path

from trueness.errors import TruenessError
from trueness.places import Address, StoreLocation, shown_url
from trueness.search.stored import StoredStudy, find_study, study_names
from trueness.search.studies import FILE, file_url, open_storage


def storage_url(storage: str | None, store: StoreLocation) -> str:
    """Address of the studies: the one given, the database of the store, or a file in its folder."""
    if storage is not None:
        return storage
    return store.database if isinstance(store, Address) else file_url((store / FILE).resolve())


def find_studies(
    names: tuple[str, ...], store: StoreLocation, storage: str | None, *, foreign: bool = False
) -> list[StoredStudy]:
    """Studies of a store by name, or all of them that have trials.

    With `foreign`, also those that other programs made.

    Raises
    ------
    TruenessError
        If the store has none of a name, or none at all.
    """
    if storage is None and isinstance(store, Path) and not (store / FILE).is_file():
        what = f"no study of that name, {names[0]!r}," if names else "no study"
        raise TruenessError(
            f"{what} in {store}; `trueness search run` makes one, --import FOLDER reads a "
            "published one", "no_study",
        )  # fmt: skip
    database = open_storage(storage_url(storage, store), must_exist=True)
    wanted = names or study_names(database, foreign=foreign)
    result = [find_study(database, name, foreign=foreign) for name in dict.fromkeys(wanted)]
    result = result if names else [one for one in result if one.completed]
    if not result:
        where = shown_url(storage) if storage else store
        raise TruenessError(f"no study in {where} has a completed trial yet", "no_trials")
    return result
