"""Datasets that Hugging Face `datasets` saved with ``save_to_disk``: folders of Arrow streams."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from trueness.errors import DataError, first_line
from trueness.files import foreign_json

STATE, SPLITS = "state.json", "dataset_dict.json"
"""What the folder of a dataset holds, and that of a mapping of splits to datasets."""
NO_LIST = (OSError, LookupError, TypeError, ValueError, AttributeError)
"""What reading a state raises that does not list files which are there."""


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder is one that ``save_to_disk`` wrote."""
    return (path / STATE).is_file() or (path / SPLITS).is_file()


def read_saved_dataset(path: Path) -> pl.DataFrame:
    """Rows of a saved dataset; class labels are numbers, as they are stored.

    Raises
    ------
    DataError
        With code ``several_splits`` for a mapping of splits, ``unreadable`` if it is damaged.
    """
    if (path / SPLITS).is_file():
        names = foreign_json(path / SPLITS).get("splits", [])
        some = " or ".join(str(path / str(name)) for name in names[:3])
        raise DataError(f"{path} holds the splits of a dataset; give one, {some}", "several_splits")
    try:
        state = foreign_json(path / STATE)
        if state.get("_indices_data_files"):
            raise DataError(
                f"{path}: rows are chosen by an index beside them; load it with datasets, "
                "flatten_indices() and save it again", "unreadable",
            )  # fmt: skip
        files = [path / Path(one["filename"]).name for one in state["_data_files"]]
        return pl.concat([pl.read_ipc_stream(file) for file in files])
    except (*NO_LIST, pl.exceptions.PolarsError) as error:
        reason = first_line(error)
        raise DataError(
            f"{path}: no saved dataset that can be read ({reason})", "unreadable"
        ) from None
