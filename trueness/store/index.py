"""Derived numbers of a store, which may be deleted at any time; damaged ones are dropped."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from trueness.errors import StoreError
from trueness.files import (
    read_json,
    read_tensors,
    remove,
    write_json,
    write_tensors,
    written_whole,
)

Arrays = dict[str, NDArray[Any]]


class Index:
    """Derived numbers in a folder, by name; a store that cannot be written does without.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any]:
        """Numbers kept under a name; empty if there are none."""
        path = self.folder / f"{name}.json"
        try:
            return read_json(path)
        except FileNotFoundError:
            return {}
        except StoreError:
            remove(path)
            return {}

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Keep numbers under a name."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            write_json(self.folder / f"{name}.json", content)

    def read_arrays(self, name: str) -> tuple[list[str], Arrays]:
        """Numbers of many runs: their addresses, and arrays with a row for each; or nothing."""
        path = self.folder / f"{name}.safetensors"
        try:
            arrays, about = read_tensors(path)
            return json.loads(about["addresses"]), arrays
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError):
            remove(path)
        return [], {}

    def write_arrays(self, name: str, addresses: list[str], arrays: Arrays) -> None:
        """Keep numbers of many runs."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            with written_whole(self.folder / f"{name}.safetensors", durable=False) as unfinished:
                write_tensors(unfinished, arrays, {"addresses": json.dumps(addresses)})


class MemoryIndex:
    """The same as long as the process lives."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, Any]] = {}
        self._arrays: dict[str, tuple[list[str], Arrays]] = {}

    def read(self, name: str) -> dict[str, Any]:
        """Numbers kept under a name; empty if there are none."""
        return self._numbers.get(name, {})

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Keep numbers under a name."""
        self._numbers[name] = content

    def read_arrays(self, name: str) -> tuple[list[str], Arrays]:
        """Numbers of many runs: their addresses, and arrays with a row for each; or nothing."""
        return self._arrays.get(name, ([], {}))

    def write_arrays(self, name: str, addresses: list[str], arrays: Arrays) -> None:
        """Keep numbers of many runs."""
        self._arrays[name] = (addresses, arrays)
