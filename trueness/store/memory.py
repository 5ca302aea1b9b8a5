"""Runs that no folder holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from trueness.store.campaigns import Declared
from trueness.store.index import MemoryIndex
from trueness.store.run import Problem, Run, S
from trueness.store.runs import only_key


@dataclass(frozen=True)
class MemoryRun(Run[S]):
    """A run that no folder holds."""

    kept: pl.DataFrame

    def table(self) -> pl.DataFrame:
        """Predictions with every column."""
        return self.kept

    def history(self) -> pl.DataFrame:
        """No rows."""
        return pl.DataFrame({"fold": [], "epoch": []}, {"fold": pl.Int64, "epoch": pl.Int64})


class MemoryStore:
    """Runs that live as long as the process; what reads a store can read it too."""

    root = None

    def __init__(self) -> None:
        self.runs_by_key: dict[str, MemoryRun[Any]] = {}
        self._ids: dict[str, list[str]] = {}
        self.index = MemoryIndex()

    def add(self, runs: Iterable[MemoryRun[Any]], ids: Mapping[str, str]) -> None:
        """Keep runs; `ids` are their names and keys."""
        self.runs_by_key |= {run.key: run for run in runs}
        self._ids |= {name: [key] for name, key in ids.items()}

    def remove(self, key: str) -> None:
        """Forget a run, if it is there."""
        self.runs_by_key.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self.runs_by_key

    def run(self, key: str) -> Run[Any]:
        """Run of a key or of an unambiguous beginning of one.

        Raises
        ------
        StoreError
            If there is none, or several.
        """
        return self.runs_by_key[only_key(key, list(self.runs_by_key), "what was judged")]

    def all_runs(self, most: int | None = None) -> tuple[list[Run[Any]], list[Problem]]:
        """Every run, and no problems."""
        runs: list[Run[Any]] = [*self.runs_by_key.values()]
        return runs[:most], []

    def exists(self) -> bool:
        """It does as long as the process lives."""
        return True

    def campaigns(self) -> dict[str, dict[str, list[str]]]:
        """The names of its runs, as one campaign without a name."""
        return {"": self._ids}

    def declared(self, name: str) -> Declared:
        """Nothing."""
        del name
        return Declared()

    def campaign_problems(self) -> list[Problem]:
        """None."""
        return []

    def failures(self) -> dict[str, str]:
        """None."""
        return {}

    def entries(self, name: str) -> list[dict[str, Any]]:
        """None: nobody can write any."""
        del name
        return []
