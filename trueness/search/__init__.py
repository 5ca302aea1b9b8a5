"""Searches of spaces: trials asked for, trained and stored; what was found, and what follows.

Names are loaded when they are first used: reading a space takes neither torch nor Optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Found": "found",
    "Objective": "trainer",
    "Outcome": "trials",
    "Search": "definition",
    "Space": "space",
    "Trainer": "trainer",
    "find_study": "found",
    "load_search": "loading",
    "make_pruner": "pruning",
    "open_storage": "studies",
    "open_study": "studies",
    "search_trials": "trials",
    "study_names": "found",
    "study_of": "found",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a public name from the module it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module 'trueness.search' has no attribute {name!r}")
    return getattr(import_module(f"trueness.search.{_HOMES[name]}"), name)
