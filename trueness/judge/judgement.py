"""What every judgement can do."""

from __future__ import annotations

from typing import Any, Protocol

import polars as pl

from trueness.document import Document

SCHEMA = 1
"""Version of the JSON of judgements; goes up when a field changes its meaning or goes."""


class Judgement(Protocol):
    """The answer to one question."""

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON, with the ``schema``."""
        ...

    def to_frame(self) -> pl.DataFrame:
        """The same flat, a row per thing that is judged."""
        ...

    def document(self) -> Document:
        """What to show of it."""
        ...
