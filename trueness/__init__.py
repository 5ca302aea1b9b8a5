"""Precision-first experiments on rare events: which classifier really is better.

Names are loaded when they are first used, so that importing the package is immediate.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Campaign": "campaign",
    "Estimate": "evaluation",
    "Examples": "examples",
    "Spec": "spec",
    "Store": "store",
    "TruenessError": "errors",
    "leaderboard": "report",
    "load_bars": "market",
    "load_campaign": "campaign",
    "load_volatility": "market",
    "market_examples": "market",
    "write_page": "report",
}

__all__ = sorted([*_HOMES, "run_campaign"])


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a public name from the room it lives in."""
    if name == "run_campaign":
        return import_module("trueness.run").run
    if name not in _HOMES:
        raise AttributeError(f"module 'trueness' has no attribute {name!r}")
    return getattr(import_module(f"trueness.{_HOMES[name]}"), name)
