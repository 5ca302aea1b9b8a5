"""What a training run tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

Event: TypeAlias = (
    tuple[Literal["begin"], str, int, int]
    | tuple[Literal["advance"], int, int, float]
    | tuple[Literal["epoch"], dict[str, float]]
    | tuple[Literal["note"], str]
)
"""What is told.

* ``begin``: label, updates in all, updates made before
* ``advance``: updates, texts of the epoch so far, their mean loss
* ``epoch``: its row of the history
* ``note``: something a reader should know
"""
Report: TypeAlias = Callable[[Event], None]
